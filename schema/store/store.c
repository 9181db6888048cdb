/* A store's life: opened, measured, closed. Reading is store_read.c, writing store_write.c, and how LMDB is set up
 * environment.c. A generation's folder is entered step by step, each of which finds what would harm the next: a file
 * system that LMDB's maps and locks don't work on, a process in another PID namespace (presence.h), a lock file without
 * its space, a writer that was killed, and tables of another format. */
#include "schema/store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/checkpoint.h"
#include "schema/store/environment.h"
#include "schema/store/file_system.h"
#include "schema/store/layout.h"
#include "schema/store/unsynced.h"
#include "schema/store/write_back.h"

enum { READER_SLOTS = 1024 };

static const struct span format_key = {"format", 6};

static int check_format(const struct store *store, MDB_txn *txn, struct err *err)
{
    MDB_val key = val_of(format_key);
    MDB_val value;
    uint8_t known[4];

    int rc = mdb_get(txn, store->tables[TABLE_META], &key, &value);
    if (rc != 0)
        return environment_failed(store, rc, "no format version", err);
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
        return environment_failed(store, rc, "can't read", err);
    rc = mdb_dbi_open(txn, environment_table_names[TABLE_META], 0, &store->tables[TABLE_META]);
    if (rc == MDB_NOTFOUND)
        rc = err_set(err, ERR_ABSENT, "%s: nothing has been stored yet", store->folder);
    else if (rc != 0)
        rc = environment_failed(store, rc, "can't open its tables", err);
    else
        rc = check_format(store, txn, err);
    for (int i = 0; rc == 0 && i < TABLE_COUNT; i++) {
        rc = mdb_dbi_open(txn, environment_table_names[i], 0, &store->tables[i]);
        if (rc != 0)
            rc = environment_failed(store, rc, environment_table_names[i], err);
    }
    if (rc < 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn); /* an abort would close the tables again */
    return rc != 0 ? environment_failed(store, rc, "can't open its tables", err) : 0;
}

static int make_tables(struct store *store, struct err *err)
{
    MDB_txn *txn;
    uint8_t version[4];

    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0)
        return environment_failed(store, rc, "can't write", err);
    for (int i = 0; rc == 0 && i < TABLE_COUNT; i++)
        rc = mdb_dbi_open(txn, environment_table_names[i], MDB_CREATE, &store->tables[i]);
    if (rc == 0) {
        for (unsigned i = 0; i < sizeof(version); i++)
            version[i] = (uint8_t)(FORMAT_VERSION >> (8 * i));
        MDB_val key = val_of(format_key);
        MDB_val value = val_of(span_of(version, sizeof(version)));
        rc = mdb_put(txn, store->tables[TABLE_META], &key, &value, 0);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return environment_failed(store, rc, "can't make its tables", err);
    }
    rc = mdb_txn_commit(txn);
    return rc != 0 ? environment_failed(store, rc, "can't make its tables", err) : 0;
}

/* A commit counts from the moment its last page is written, but LMDB's readers learn of it from the lock file, a moment
 * later. A writer that was killed between the two has committed what new readers don't see, for as long as others keep
 * the lock file alive: a projector that went by such a reader would apply again, upon what it wrote, what it had
 * committed. Whoever takes the writer's lock after a dead one has LMDB put that right. */
static int take_over_from_dead_writer(struct store *store, struct err *err)
{
    MDB_txn *txn;

    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0)
        return environment_failed(store, rc, "can't write", err);
    mdb_txn_abort(txn);
    return 0;
}

static int open_claimed(struct store *store, const struct store_options *options, struct err *err)
{
    const struct store_platform *platform = options->platform ? options->platform : &store_platform_system;
    unsigned slots = options->reader_slots ? options->reader_slots : READER_SLOTS;

    int rc = file_system_check(platform, store->folder, err);
    if (rc == 0)
        rc = unsynced_check(platform, store->folder, err);
    if (rc == 0)
        rc = checkpoint_restore(platform, store->folder, err);
    store->skips_syncs = store->access == STORE_READ_WRITE && (options->skips_syncs || unsynced_is_marked(store->folder));
    if (rc == 0 && store->skips_syncs)
        rc = unsynced_mark(platform, store->folder, err);
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
        rc = environment_open(store, options->map_bytes ? options->map_bytes : STORE_MAP_BYTES, slots, err);
    if (rc == 0 && store->access == STORE_READ_WRITE)
        rc = take_over_from_dead_writer(store, err);
    if (rc == 0 && store->access == STORE_READ_WRITE)
        rc = checkpoint_take_over(store->folder, store->env, err);
    if (rc == 0 && store->access == STORE_READ_WRITE)
        store->checkpoint = checkpoint_new(platform, store->folder, store->env);
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
    int rc = environment_claim(store, err);
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
    if (closed->env != NULL) {
        struct err unsynced; /* what isn't on the disk then is what a power cut may take anyway */
        int rc = checkpoint_end(&closed->checkpoint, &unsynced);
        (void)rc;
        mdb_env_close(closed->env);
    }
    presence_leave(&closed->presence);
    environment_give_up(closed);
    bucket_sums_release(&closed->sums);
    free(closed->folder);
    free(closed);
    *store = NULL;
}

int store_sync(struct store *store, struct err *err)
{
    assert(store->access == STORE_READ_WRITE);
    return checkpoint_advance(store->checkpoint, err);
}

bool store_is_whole(const struct store *store)
{
    return !unsynced_is_marked(store->folder);
}

/* The kernel tells a failure once; what it couldn't write it has forgotten, and the next sync says that all is well. */
static int sync_failed(struct store *store, int rc, struct err *err)
{
    struct err unwritten;

    if (unsynced_spoil(store->folder, &unwritten) < 0)
        return err_set_errno(err, ERR_BROKEN, rc,
                             "%s: isn't to be trusted any more, which can't be written down either (%s): can't be "
                             "synced",
                             store->folder, unwritten.text);
    return err_set_errno(err, ERR_BROKEN, rc, "%s: can't be synced, and isn't to be trusted any more", store->folder);
}

int store_write_back(struct store *store, uint64_t *at, struct err *err)
{
    int fd = -1;

    if (!store->skips_syncs) {
        *at = 0;
        return 0;
    }
    int rc = mdb_env_get_fd(store->env, &fd);
    if (rc == 0)
        rc = write_back_piece(fd, at);
    return rc != 0 ? sync_failed(store, rc, err) : 0;
}

/* The mark goes last: a crash in between leaves a store that is whole and doesn't say so. */
int store_make_whole(struct store *store, struct err *err)
{
    assert(store->access == STORE_READ_WRITE && !store->has_writer);
    if (!store->skips_syncs)
        return 0;
    int rc = mdb_env_sync(store->env, 1);
    if (rc == 0)
        rc = mdb_env_set_flags(store->env, MDB_NOSYNC, 0);
    if (rc != 0)
        return sync_failed(store, rc, err);
    rc = unsynced_clear(store->folder, err);
    if (rc == 0)
        store->skips_syncs = false;
    return rc;
}

int store_clear_stale_readers(struct store *store)
{
    int dead = 0;

    return mdb_reader_check(store->env, &dead) == 0 ? dead : 0;
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
        return environment_failed(store, rc, "can't tell its size", err);
    size.file_bytes = (uint64_t)file.st_size;
    size.free_bytes = free_pages * stat.ms_psize;
    size.used_bytes = (info.me_last_pgno + 1) * stat.ms_psize - size.free_bytes;
    size.readers -= size.readers > 0; /* ours, just now */
    *ret_size = size;
    return 0;
}
