/* Default sync (a commit is on the disk when it returns, and an image is whole after any power cut; LMDB was seen to crash
 * on a torn one, so that NOSYNC is for relaxed commits, whose image it never gets to see (checkpoint.h), and for stores
 * under construction, which no reboot survives (unsynced.h)), no WRITEMAP (a full disk would be a SIGBUS), NOTLS (a reader
 * belongs to an event loop, not to a thread), NORDAHEAD (views are read at random: the kernel's reading around a fault would throw out pages that are
 * wanted as soon as the store is larger than memory; store_warm_up.h reads ahead in order instead). The map is a
 * reservation of address space far larger than any store; where that can't be had it is halved until it can. */
#include "schema/store/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "schema/base/mem.h"

enum {
    TABLES_MAX = 32,        /* more than there are: a later format may add some */
    LOCK_FILE_SLACK = 4096, /* beyond a cache line for each reader slot */
    READER_SLOT_BYTES = 64,
};
/* As much as a process under valgrind still gets. */
#define MAP_BYTES_LEAST ((uint64_t)16 << 30)

const char *const environment_table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",       [TABLE_VIEWS] = "views",         [TABLE_MARKS] = "marks",
    [TABLE_PARKED] = "parked",   [TABLE_POSITIONS] = "positions", [TABLE_PARTITIONS] = "partitions",
    [TABLE_BUCKETS] = "buckets", [TABLE_ANNOUNCEMENTS] = "announcements", [TABLE_IDS] = "ids",
};

static pthread_mutex_t open_stores_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct store *open_stores;

int environment_claim(struct store *store, struct err *err)
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

void environment_give_up(struct store *store)
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

int environment_open(struct store *store, uint64_t map_bytes, unsigned reader_slots, struct err *err)
{
    uint64_t least = map_bytes < MAP_BYTES_LEAST ? map_bytes : MAP_BYTES_LEAST;
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (store->access == STORE_READ_ONLY ? MDB_RDONLY : 0) |
                     (store->skips_syncs ? MDB_NOSYNC : 0);

    int allocated = allocate_lock_file(store, reader_slots, err);
    if (allocated < 0)
        return allocated;
    for (;;) {
        int rc = mdb_env_create(&store->env);
        if (rc == 0)
            rc = mdb_env_set_mapsize(store->env, map_bytes);
        if (rc == 0)
            rc = mdb_env_set_maxreaders(store->env, reader_slots);
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
        return environment_failed(store, rc, "can't open", err);
    }

    /* The data file's descriptor is the one that LMDB leaves open across exec(). */
    int fd;
    if (mdb_env_get_fd(store->env, &fd) == 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

/* LMDB reports a short write, which is how most disks say that they are full, as EIO. */
static bool is_disk_full(const struct store *store)
{
    struct statvfs status;

    return statvfs(store->folder, &status) == 0 && (uint64_t)status.f_bavail * status.f_frsize < (uint64_t)16 << 20;
}

int environment_failed(const struct store *store, int lmdb_rc, const char *what, struct err *err)
{
    switch (lmdb_rc) {
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
                       mdb_strerror(lmdb_rc));
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return err_set_errno(err, ERR_FULL, lmdb_rc, "%s: %s", store->folder, what);
    case EIO:
        if (is_disk_full(store))
            return err_set(err, ERR_FULL, "%s: %s: no space left on the disk", store->folder, what);
        break;
    default:
        break;
    }
    return err_set(err, ERR_BROKEN, "%s: %s: %s", store->folder, what, mdb_strerror(lmdb_rc));
}

int environment_find(const struct store *store, MDB_txn *txn, enum store_table table, struct span key,
                     struct span *ret_value, struct err *err)
{
    MDB_val lmdb_key = val_of(key);
    MDB_val value;

    if (key.len == 0 || key.len > ENVIRONMENT_KEY_BYTES_MAX)
        return ERR_ABSENT; /* such a key can't be stored */
    int rc = mdb_get(txn, store->tables[table], &lmdb_key, &value);
    if (rc == MDB_NOTFOUND)
        return ERR_ABSENT;
    if (rc != 0)
        return environment_failed(store, rc, environment_table_names[table], err);
    *ret_value = span_of_val(value);
    return 0;
}
