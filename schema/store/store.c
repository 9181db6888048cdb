/* LMDB behind the store's own words; no other file includes lmdb.h.
 *
 * Environment: default sync (a commit is on the disk when it returns, and an image is whole after any power cut;
 * NOSYNC was seen to crash on a torn one), no WRITEMAP (a full disk would be a SIGBUS), NOTLS (a reader belongs to an
 * event loop, not to a thread), NORDAHEAD (views are read at random: the kernel's reading around a fault would throw
 * out pages that are wanted as soon as the store is larger than memory; store_warm_up() reads ahead in order
 * instead). The map is a reservation of address space far larger than any store; where that can't be had it is halved
 * until it can.
 *
 * The writer keeps one cursor a table, so that puts in key order find the place where the last one was, and a value
 * is looked at before it is replaced: for the digest, and because what doesn't change needn't be written. */
#include "schema/store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/bucket_sums.h"
#include "schema/store/file_system.h"
#include "schema/store/layout.h"
#include "schema/store/presence.h"

enum {
    READER_SLOTS = 1024,
    TABLES_MAX = 32,            /* more than there are: a later format may add some */
    LOCK_FILE_SLACK = 4096,     /* beyond a cache line for each reader slot */
    READER_SLOT_BYTES = 64,
    KEY_BYTES_MAX_LMDB = 511,
};
#define MAP_BYTES_LEAST ((uint64_t)64 << 30)

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",           [TABLE_VIEWS] = "views",           [TABLE_MARKS] = "marks",
    [TABLE_PARKED] = "parked",       [TABLE_POSITIONS] = "positions",   [TABLE_PARTITIONS] = "partitions",
    [TABLE_BUCKETS] = "buckets",
};

static const struct span format_key = {"format", 6};

struct store {
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    enum store_access access;
    char *folder;
    struct presence *presence;
    bool has_writer;
    struct bucket_sums sums; /* of the writer; kept for the next one */
    dev_t device;            /* device and inode: which folder this is */
    ino_t inode;
    pid_t owner; /* the process that opened it: a fork of it may open the folder for itself */
    struct store *next_open;
};

struct store_reader {
    struct store *store;
    MDB_txn *txn;
    bool has_snapshot;
};

struct store_cursor {
    MDB_cursor *cursor;
    struct span prefix;
    MDB_val from;
    bool is_started;
    bool is_done;
    uint8_t bytes[2 * KEY_BYTES_MAX_LMDB]; /* what prefix and from point to */
};

struct store_writer {
    struct store *store;
    MDB_txn *txn;
    MDB_cursor *cursors[TABLE_COUNT];
    bool has_failed;
    bool knows_last_view;           /* of TABLE_VIEWS, for appending */
    size_t last_view_len;           /* 0: the table is empty */
    uint8_t last_view[KEY_BYTES_MAX_LMDB];
};

/* LMDB forbids to open one environment twice in a process: closing one would drop the other's locks. */
static pthread_mutex_t open_stores_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct store *open_stores;

static MDB_val val_of(struct span span)
{
    union {
        const void *borrowed;
        void *writable; /* LMDB has one type for both ways; it doesn't write to what it is given */
    } at = {.borrowed = span.at};

    return (MDB_val){span.len, at.writable};
}

static struct span span_of_val(MDB_val val)
{
    return span_of(val.mv_data, val.mv_size);
}

/* LMDB reports a short write, which is how most disks say that they are full, as EIO. */
static bool is_disk_full(const struct store *store)
{
    struct statvfs status;

    return statvfs(store->folder, &status) == 0 &&
           (uint64_t)status.f_bavail * status.f_frsize < (uint64_t)16 << 20;
}

static int failed(const struct store *store, int rc, const char *what, struct err *err)
{
    switch (rc) {
    case MDB_MAP_FULL:
        return err_set(err, ERR_FULL,
                       "%s: %s: the store has filled its reserved address space; raise the limit (ulimit -v) and start "
                       "again",
                       store->folder, what);
    case MDB_MAP_RESIZED:
        return err_set(err, ERR_FULL,
                       "%s: %s: the store has outgrown this process's reserved address space; raise the limit "
                       "(ulimit -v) and start again",
                       store->folder, what);
    case MDB_READERS_FULL:
        return err_set(err, ERR_AGAIN, "%s: all reader slots are taken: too many threads or processes read this store",
                       store->folder);
    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
        return err_set(err, ERR_INPUT, "%s/data.mdb is not a store that this version can read (%s)", store->folder,
                       mdb_strerror(rc));
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return err_set_errno(err, ERR_FULL, rc, "%s: %s", store->folder, what);
    case EIO:
        if (is_disk_full(store))
            return err_set(err, ERR_FULL, "%s: %s: no space left on the disk", store->folder, what);
        break;
    default:
        break;
    }
    return err_set(err, ERR_BROKEN, "%s: %s: %s", store->folder, what, mdb_strerror(rc));
}

/* --- opening --------------------------------------------------------------------------------------------------- */

static int claim_folder(struct store *store, struct err *err)
{
    struct stat status;
    int rc = 0;

    if (stat(store->folder, &status) != 0)
        return err_set_errno(err, errno == ENOENT ? ERR_ABSENT : ERR_BROKEN, errno, "%s", store->folder);
    pthread_mutex_lock(&open_stores_mutex);
    for (const struct store *other = open_stores; other != NULL; other = other->next_open) {
        if (other->device == status.st_dev && other->inode == status.st_ino && other->owner == getpid())
            rc = err_set(err, ERR_INPUT, "%s is open in this process already", store->folder);
    }
    if (rc == 0) {
        store->device = status.st_dev;
        store->inode = status.st_ino;
        store->owner = getpid();
        store->next_open = open_stores;
        open_stores = store;
    }
    pthread_mutex_unlock(&open_stores_mutex);
    return rc;
}

static void give_up_folder(struct store *store)
{
    pthread_mutex_lock(&open_stores_mutex);
    for (struct store **link = &open_stores; *link != NULL; link = &(*link)->next_open) {
        if (*link == store) {
            *link = store->next_open;
            break;
        }
    }
    pthread_mutex_unlock(&open_stores_mutex);
}

/* LMDB sets the lock file's size without taking the space, and then writes to it through a map: on a full disk that
 * would be a SIGBUS. Harmless for those who have it open. */
static int allocate_lock_file(const struct store *store, unsigned slots, struct err *err)
{
    char *path = mem_format("%s/lock.mdb", store->folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int failure = fd < 0 ? errno : 0;

    free(path);
    if (fd >= 0) {
        off_t size = (off_t)slots * READER_SLOT_BYTES + LOCK_FILE_SLACK;
        if (fallocate(fd, 0, 0, size) != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
            failure = errno;
        close(fd);
    }
    if (failure != 0)
        return err_set_errno(err, ERR_BROKEN, failure, "%s/lock.mdb: can't set its space aside", store->folder);
    return 0;
}

static bool is_no_address_space(int rc)
{
    return rc == ENOMEM || rc == EINVAL;
}

static int open_environment(struct store *store, uint64_t map_bytes, unsigned slots, struct err *err)
{
    uint64_t least = map_bytes < MAP_BYTES_LEAST ? map_bytes : MAP_BYTES_LEAST;
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (store->access == STORE_READ_ONLY ? MDB_RDONLY : 0);

    for (;;) {
        int rc = mdb_env_create(&store->env);
        if (rc == 0)
            rc = mdb_env_set_mapsize(store->env, map_bytes);
        if (rc == 0)
            rc = mdb_env_set_maxreaders(store->env, slots);
        if (rc == 0)
            rc = mdb_env_set_maxdbs(store->env, TABLES_MAX);
        if (rc == 0)
            rc = mdb_env_open(store->env, store->folder, flags, 0600);
        if (rc == 0)
            break;
        mdb_env_close(store->env);
        store->env = NULL;
        if (is_no_address_space(rc) && map_bytes / 2 >= least) {
            map_bytes /= 2;
            continue;
        }
        if (is_no_address_space(rc))
            return err_set(err, ERR_FULL,
                           "%s: %" PRIu64 " GiB of address space can't be had: raise the limit (ulimit -v)",
                           store->folder, map_bytes >> 30);
        if (rc == EAGAIN)
            return err_set(err, ERR_AGAIN, "%s/lock.mdb is locked by another process", store->folder);
        return failed(store, rc, "can't open", err);
    }

    /* The data file's descriptor is the one that LMDB leaves open across exec(). */
    int fd;
    if (mdb_env_get_fd(store->env, &fd) == 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

static int check_format(const struct store *store, MDB_txn *txn, struct err *err)
{
    MDB_val key = val_of(format_key);
    MDB_val value;
    uint8_t known[4];

    int rc = mdb_get(txn, store->tables[TABLE_META], &key, &value);
    if (rc != 0)
        return failed(store, rc, "no format version", err);
    for (unsigned i = 0; i < sizeof(known); i++)
        known[i] = (uint8_t)(FORMAT_VERSION >> (8 * i));
    if (span_equal(span_of_val(value), span_of(known, sizeof(known))))
        return 0;
    unsigned found = 0;
    for (unsigned i = 0; i < value.mv_size && i < 4; i++)
        found |= (unsigned)span_bytes(span_of_val(value))[i] << (8 * i);
    return err_set(err, ERR_INPUT,
                   "%s has format version %u, and this program knows version %d: use the program that wrote it, or "
                   "rebuild the store from Kafka",
                   store->folder, found, FORMAT_VERSION);
}

/* ERR_ABSENT: nothing was ever committed. */
static int open_tables(struct store *store, struct err *err)
{
    MDB_txn *txn;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return failed(store, rc, "can't read", err);
    rc = mdb_dbi_open(txn, table_names[TABLE_META], 0, &store->tables[TABLE_META]);
    if (rc == MDB_NOTFOUND)
        rc = err_set(err, ERR_ABSENT, "%s: nothing has been stored yet", store->folder);
    else if (rc != 0)
        rc = failed(store, rc, "can't open its tables", err);
    else
        rc = check_format(store, txn, err);
    for (int i = 0; rc == 0 && i < TABLE_COUNT; i++) {
        rc = mdb_dbi_open(txn, table_names[i], 0, &store->tables[i]);
        if (rc != 0)
            rc = failed(store, rc, table_names[i], err);
    }
    if (rc < 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn); /* an abort would close the tables again */
    return rc != 0 ? failed(store, rc, "can't open its tables", err) : 0;
}

static int make_tables(struct store *store, struct err *err)
{
    MDB_txn *txn;
    uint8_t version[4];

    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0)
        return failed(store, rc, "can't write", err);
    for (int i = 0; rc == 0 && i < TABLE_COUNT; i++)
        rc = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &store->tables[i]);
    if (rc == 0) {
        for (unsigned i = 0; i < sizeof(version); i++)
            version[i] = (uint8_t)(FORMAT_VERSION >> (8 * i));
        MDB_val key = val_of(format_key);
        MDB_val value = val_of(span_of(version, sizeof(version)));
        rc = mdb_put(txn, store->tables[TABLE_META], &key, &value, 0);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return failed(store, rc, "can't make its tables", err);
    }
    rc = mdb_txn_commit(txn);
    return rc != 0 ? failed(store, rc, "can't make its tables", err) : 0;
}

static int open_claimed(struct store *store, const struct store_options *options, struct err *err)
{
    const struct store_platform *platform = options->platform ? options->platform : &store_platform_system;
    unsigned slots = options->reader_slots ? options->reader_slots : READER_SLOTS;

    int rc = file_system_check(platform, store->folder, err);
    if (rc == 0 && store->access == STORE_READ_ONLY) {
        /* Asked before anything is made there: a reader's question leaves no trace in a folder without a store. */
        char *path = mem_format("%s/data.mdb", store->folder);
        if (access(path, F_OK) != 0)
            rc = err_set(err, ERR_ABSENT, "%s: there is no store yet", store->folder);
        free(path);
    }
    if (rc == 0)
        rc = presence_enter(store->folder, &store->presence, err);
    if (rc == 0)
        rc = allocate_lock_file(store, slots, err);
    if (rc == 0)
        rc = open_environment(store, options->map_bytes ? options->map_bytes : STORE_MAP_BYTES, slots, err);
    if (rc == 0)
        rc = open_tables(store, err);
    if (rc == ERR_ABSENT && store->env != NULL && store->access == STORE_READ_WRITE)
        rc = make_tables(store, err);
    if (rc == 0)
        store_clear_stale_readers(store);
    return rc;
}

int store_open(const char *folder, const struct store_options *options, struct store **ret_store, struct err *err)
{
    struct store *store = mem_zero(1, sizeof(*store));

    store->folder = mem_text(folder);
    store->access = options->access;
    int rc = claim_folder(store, err);
    if (rc < 0) {
        free(store->folder);
        free(store);
        return rc;
    }
    rc = open_claimed(store, options, err);
    if (rc < 0) {
        store_close(&store);
        return rc;
    }
    *ret_store = store;
    return 0;
}

void store_close(struct store **store)
{
    struct store *closed = *store;

    if (closed == NULL)
        return;
    assert(!closed->has_writer);
    if (closed->env != NULL)
        mdb_env_close(closed->env);
    presence_leave(&closed->presence);
    give_up_folder(closed);
    bucket_sums_release(&closed->sums);
    free(closed->folder);
    free(closed);
    *store = NULL;
}

int store_clear_stale_readers(struct store *store)
{
    int dead = 0;

    return mdb_reader_check(store->env, &dead) == 0 ? dead : 0;
}

void store_warm_up(const struct store *store, uint64_t max_bytes)
{
    const uint64_t step = 1 << 20;
    struct stat file;
    int fd;

    if (mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &file) != 0)
        return;
    uint64_t end = (uint64_t)file.st_size < max_bytes ? (uint64_t)file.st_size : max_bytes;
    for (uint64_t at = 0; at < end; at += step) {
        if (readahead(fd, (off_t)at, step) != 0)
            return;
    }
}

static int count_reader(const char *line, void *context)
{
    unsigned *count = context;

    /* A line for each slot that is taken begins with a process id; headings and "(no active readers)" don't. */
    while (*line == ' ')
        line++;
    if (*line >= '0' && *line <= '9')
        ++*count;
    return 0;
}

int store_size(struct store *store, struct store_size *ret_size, struct err *err)
{
    struct store_size size = {0};
    MDB_envinfo info;
    MDB_stat stat;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    struct stat file;
    uint64_t free_pages = 0;
    int fd;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mdb_cursor_open(txn, 0 /* LMDB's own table of free pages */, &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count;
        memcpy(&count, value.mv_data, sizeof(count));
        free_pages += count;
    }
    if (rc == MDB_NOTFOUND)
        rc = 0;
    if (rc == 0)
        rc = mdb_env_info(store->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(store->env, &stat);
    if (rc == 0)
        rc = mdb_env_get_fd(store->env, &fd);
    if (rc == 0 && fstat(fd, &file) != 0)
        rc = errno;
    if (rc == 0)
        mdb_reader_list(store->env, count_reader, &size.readers);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    if (txn != NULL)
        mdb_txn_abort(txn);
    if (rc != 0)
        return failed(store, rc, "can't tell its size", err);
    size.file_bytes = (uint64_t)file.st_size;
    size.free_bytes = free_pages * stat.ms_psize;
    size.used_bytes = (info.me_last_pgno + 1) * stat.ms_psize - size.free_bytes;
    size.readers -= size.readers > 0; /* ours, just now */
    *ret_size = size;
    return 0;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

int store_reader_open(struct store *store, struct store_reader **ret_reader, struct err *err)
{
    MDB_txn *txn;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc == MDB_READERS_FULL && store_clear_stale_readers(store) > 0)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return failed(store, rc, "can't read", err);
    mdb_txn_reset(txn); /* keeps the slot, lets go of the snapshot */

    struct store_reader *reader = mem_zero(1, sizeof(*reader));
    reader->store = store;
    reader->txn = txn;
    *ret_reader = reader;
    return 0;
}

void store_reader_close(struct store_reader **reader)
{
    if (*reader == NULL)
        return;
    mdb_txn_abort((*reader)->txn);
    free(*reader);
    *reader = NULL;
}

int store_read_begin(struct store_reader *reader, struct err *err)
{
    MDB_envinfo info;

    if (reader->has_snapshot) {
        if (mdb_env_info(reader->store->env, &info) == 0 && info.me_last_txnid == mdb_txn_id(reader->txn))
            return 0;
        store_read_end(reader);
    }
    int rc = mdb_txn_renew(reader->txn);
    if (rc != 0)
        return failed(reader->store, rc, "can't read", err);
    reader->has_snapshot = true;
    return 0;
}

void store_read_end(struct store_reader *reader)
{
    if (reader->has_snapshot)
        mdb_txn_reset(reader->txn);
    reader->has_snapshot = false;
}

uint64_t store_read_version(const struct store_reader *reader)
{
    assert(reader->has_snapshot);
    return mdb_txn_id(reader->txn);
}

static int find(const struct store *store, MDB_txn *txn, enum store_table table, struct span key,
                struct span *ret_value, struct err *err)
{
    MDB_val lmdb_key = val_of(key);
    MDB_val value;

    if (key.len == 0 || key.len > KEY_BYTES_MAX_LMDB)
        return ERR_ABSENT; /* such a key can't be stored */
    int rc = mdb_get(txn, store->tables[table], &lmdb_key, &value);
    if (rc == MDB_NOTFOUND)
        return ERR_ABSENT;
    if (rc != 0)
        return failed(store, rc, table_names[table], err);
    *ret_value = span_of_val(value);
    return 0;
}

int store_find(struct store_reader *reader, enum store_table table, struct span key, struct span *ret_value,
               struct err *err)
{
    assert(reader->has_snapshot);
    return find(reader->store, reader->txn, table, key, ret_value, err);
}

int store_cursor_open(struct store_reader *reader, enum store_table table, struct span prefix, struct span from,
                      struct store_cursor **ret_cursor, struct err *err)
{
    MDB_cursor *lmdb_cursor;

    assert(reader->has_snapshot);
    if (span_compare(from, prefix) < 0)
        from = prefix;
    int rc = mdb_cursor_open(reader->txn, reader->store->tables[table], &lmdb_cursor);
    if (rc != 0)
        return failed(reader->store, rc, table_names[table], err);

    struct store_cursor *cursor = mem_zero(1, sizeof(*cursor));
    cursor->cursor = lmdb_cursor;
    /* No key is longer than LMDB takes: nothing begins with a longer prefix, and cutting a longer start (it is beyond
     * its own beginning) would only find keys that begin with that too. */
    cursor->is_done = prefix.len > KEY_BYTES_MAX_LMDB || from.len > KEY_BYTES_MAX_LMDB;
    if (!cursor->is_done) {
        if (prefix.len)
            memcpy(cursor->bytes, prefix.at, prefix.len);
        if (from.len)
            memcpy(cursor->bytes + KEY_BYTES_MAX_LMDB, from.at, from.len);
        cursor->prefix = span_of(cursor->bytes, prefix.len);
        cursor->from = (MDB_val){from.len, cursor->bytes + KEY_BYTES_MAX_LMDB};
    }
    *ret_cursor = cursor;
    return 0;
}

int store_cursor_next(struct store_cursor *cursor, struct span *ret_key, struct span *ret_value, struct err *err)
{
    MDB_val key = cursor->from;
    MDB_val value;
    int rc;

    if (cursor->is_done)
        return ERR_ABSENT;
    if (cursor->is_started)
        rc = mdb_cursor_get(cursor->cursor, &key, &value, MDB_NEXT);
    else
        rc = mdb_cursor_get(cursor->cursor, &key, &value, key.mv_size ? MDB_SET_RANGE : MDB_FIRST);
    cursor->is_started = true;
    if (rc != 0 && rc != MDB_NOTFOUND) {
        cursor->is_done = true;
        return err_set(err, ERR_BROKEN, "can't walk the store: %s", mdb_strerror(rc));
    }
    if (rc == MDB_NOTFOUND || !span_starts_with(span_of_val(key), cursor->prefix)) {
        cursor->is_done = true;
        return ERR_ABSENT;
    }
    *ret_key = span_of_val(key);
    *ret_value = span_of_val(value);
    return 0;
}

void store_cursor_close(struct store_cursor **cursor)
{
    if (*cursor == NULL)
        return;
    mdb_cursor_close((*cursor)->cursor);
    free(*cursor);
    *cursor = NULL;
}

/* --- writing --------------------------------------------------------------------------------------------------- */

int store_write_begin(struct store *store, struct store_writer **ret_writer, struct err *err)
{
    MDB_txn *txn;

    assert(store->access == STORE_READ_WRITE && !store->has_writer);
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0)
        return failed(store, rc, "can't write", err);
    struct store_writer *writer = mem_zero(1, sizeof(*writer));
    writer->store = store;
    writer->txn = txn;
    store->has_writer = true;
    *ret_writer = writer;
    return 0;
}

static int write_failed(struct store_writer *writer, int rc, enum store_table table, struct err *err)
{
    writer->has_failed = true;
    return failed(writer->store, rc, table_names[table], err);
}

/* Moves the table's cursor to the key. MDB_NOTFOUND: there is none. */
static int seek(struct store_writer *writer, enum store_table table, MDB_val *key, MDB_val *ret_value)
{
    int rc = 0;

    if (writer->cursors[table] == NULL)
        rc = mdb_cursor_open(writer->txn, writer->store->tables[table], &writer->cursors[table]);
    return rc != 0 ? rc : mdb_cursor_get(writer->cursors[table], key, ret_value, MDB_SET);
}

/* Views that are new and behind all others (a store's first filling) are appended: pages fill to the brim instead of
 * being split in halves. Asking for the last key moves the cursor, so it is asked once a transaction. */
static int is_behind_all_views(struct store_writer *writer, struct span key, bool *ret_is_behind)
{
    MDB_cursor *cursor;
    MDB_val last, value;

    if (!writer->knows_last_view) {
        int rc = mdb_cursor_open(writer->txn, writer->store->tables[TABLE_VIEWS], &cursor);
        if (rc != 0)
            return rc;
        rc = mdb_cursor_get(cursor, &last, &value, MDB_LAST);
        if (rc == 0) {
            memcpy(writer->last_view, last.mv_data, last.mv_size);
            writer->last_view_len = last.mv_size;
        }
        mdb_cursor_close(cursor);
        if (rc != 0 && rc != MDB_NOTFOUND)
            return rc;
        writer->knows_last_view = true;
    }
    *ret_is_behind = span_compare(key, span_of(writer->last_view, writer->last_view_len)) > 0;
    return 0;
}

static int put_new(struct store_writer *writer, enum store_table table, MDB_val *key, MDB_val *value)
{
    bool is_behind = false;

    if (table == TABLE_VIEWS) {
        int rc = is_behind_all_views(writer, span_of_val(*key), &is_behind);
        if (rc != 0)
            return rc;
        if (is_behind) {
            memcpy(writer->last_view, key->mv_data, key->mv_size);
            writer->last_view_len = key->mv_size;
        }
    }
    return mdb_cursor_put(writer->cursors[table], key, value, is_behind ? MDB_APPEND : 0);
}

/* The store's own writing, to tables that callers may not write to as well. */
static int put(struct store_writer *writer, enum store_table table, struct span key, struct span value, struct err *err)
{
    MDB_val lmdb_key = val_of(key);
    MDB_val new_value = val_of(value);
    MDB_val old_value;

    assert(!writer->has_failed && key.len > 0 && key.len <= KEY_BYTES_MAX_LMDB);
    int rc = seek(writer, table, &lmdb_key, &old_value);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return write_failed(writer, rc, table, err);
    bool is_there = rc == 0;
    if (is_there && span_equal(span_of_val(old_value), value))
        return 0;

    rc = 0;
    if (table == TABLE_VIEWS && is_there)
        rc = bucket_sums_take(&writer->store->sums, key, span_of_val(old_value), err);
    if (table == TABLE_VIEWS && rc == 0)
        rc = bucket_sums_add(&writer->store->sums, key, value, err);
    if (rc < 0) {
        writer->has_failed = true;
        return err_prefix(err, "%s", writer->store->folder);
    }
    lmdb_key = val_of(key);
    if (is_there)
        rc = mdb_cursor_put(writer->cursors[table], &lmdb_key, &new_value, MDB_CURRENT);
    else
        rc = put_new(writer, table, &lmdb_key, &new_value);
    return rc != 0 ? write_failed(writer, rc, table, err) : 0;
}

static int delete_row(struct store_writer *writer, enum store_table table, struct span key, struct err *err)
{
    MDB_val lmdb_key = val_of(key);
    MDB_val old_value;

    assert(!writer->has_failed);
    if (key.len == 0 || key.len > KEY_BYTES_MAX_LMDB)
        return 0; /* such a key can't be stored */
    int rc = seek(writer, table, &lmdb_key, &old_value);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return write_failed(writer, rc, table, err);
    if (table == TABLE_VIEWS) {
        rc = bucket_sums_take(&writer->store->sums, key, span_of_val(old_value), err);
        if (rc < 0) {
            writer->has_failed = true;
            return err_prefix(err, "%s", writer->store->folder);
        }
    }
    rc = mdb_cursor_del(writer->cursors[table], 0);
    return rc != 0 ? write_failed(writer, rc, table, err) : 0;
}

int store_put(struct store_writer *writer, enum store_table table, struct span key, struct span value, struct err *err)
{
    assert(table != TABLE_META && table != TABLE_BUCKETS);
    return put(writer, table, key, value, err);
}

int store_delete(struct store_writer *writer, enum store_table table, struct span key, struct err *err)
{
    assert(table != TABLE_META && table != TABLE_BUCKETS);
    return delete_row(writer, table, key, err);
}

int store_writer_find(struct store_writer *writer, enum store_table table, struct span key, struct span *ret_value,
                      struct err *err)
{
    return find(writer->store, writer->txn, table, key, ret_value, err);
}

static int write_bucket(struct store_writer *writer, uint16_t view_number, unsigned bucket, struct digest change,
                        struct buf *key, struct buf *value, struct err *err)
{
    struct digest digest = {0, {0, 0}};
    struct span stored;

    buf_clear(key);
    buf_clear(value);
    layout_bucket_key(view_number, bucket, key);
    int rc = store_writer_find(writer, TABLE_BUCKETS, buf_span(key), &stored, err);
    if (rc == 0)
        rc = layout_parse_digest(stored, &digest, err);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    digest.count += change.count;
    digest.sum = hash128_plus(digest.sum, change.sum);
    if (digest.count == 0)
        return delete_row(writer, TABLE_BUCKETS, buf_span(key), err);
    layout_digest(&digest, value);
    return put(writer, TABLE_BUCKETS, buf_span(key), buf_span(value), err);
}

static int write_buckets(struct store_writer *writer, struct err *err)
{
    struct buf key = BUF_INIT;
    struct buf value = BUF_INIT;
    struct digest change;
    uint16_t view_number;
    unsigned bucket;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && bucket_sums_next(&writer->store->sums, &at, &view_number, &bucket, &change))
        rc = write_bucket(writer, view_number, bucket, change, &key, &value, err);
    buf_release(&key);
    buf_release(&value);
    return rc;
}

/* What abort and commit have in common: the transaction itself is gone already. */
static void end_writer(struct store_writer **writer)
{
    bucket_sums_clear(&(*writer)->store->sums);
    (*writer)->store->has_writer = false;
    free(*writer);
    *writer = NULL;
}

int store_commit(struct store_writer **writer, struct err *err)
{
    struct store_writer *committed = *writer;

    assert(!committed->has_failed);
    int rc = write_buckets(committed, err);
    if (rc < 0) {
        store_abort(writer);
        return rc;
    }
    /* Closes the cursors too. */
    rc = mdb_txn_commit(committed->txn);
    if (rc != 0)
        rc = failed(committed->store, rc, "can't commit", err);
    end_writer(writer);
    return rc;
}

void store_abort(struct store_writer **writer)
{
    if (*writer == NULL)
        return;
    mdb_txn_abort((*writer)->txn);
    end_writer(writer);
}
