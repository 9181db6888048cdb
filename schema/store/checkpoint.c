/* The crash order of an advance: hold on to the newest commit and copy its meta pages; have the disk take all pages; write
 * them down; only then let go of the last one. Whenever the power goes off, the newest whole record is of a commit whose
 * pages are all on the disk and weren't written over. */
#include "schema/store/checkpoint.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/checkpoint_file.h"
#include "schema/store/environment.h"
#include "schema/store/file_system.h"

struct checkpoint {
    const struct store_platform *platform;
    const char *folder;
    MDB_env *env;

    pthread_mutex_t commits; /* held over each commit, and while it is seen which was the last one. These need it: */
    bool is_used;
    uint64_t made; /* relaxed commits, */
    uint64_t held; /* of which the record holds so many */
    int failure;   /* of the disk, an errno */

    pthread_mutex_t advances; /* one at a time. The rest needs it: */
    MDB_txn *pin;             /* reads the commit that the record is of */
    MDB_txn *next_pin;        /* at rest; has its reader's slot, so that an advance needs none */
    struct checkpoint_record record;
    struct buf pages; /* of the record */
    int fd;           /* the file */
};

struct checkpoint *checkpoint_new(const struct store_platform *platform, const char *folder, MDB_env *env)
{
    struct checkpoint *checkpoint = mem_zero(1, sizeof(*checkpoint));

    checkpoint->platform = platform;
    checkpoint->folder = folder;
    checkpoint->env = env;
    checkpoint->fd = -1;
    pthread_mutex_init(&checkpoint->commits, NULL);
    pthread_mutex_init(&checkpoint->advances, NULL);
    return checkpoint;
}

static int read_meta_pages(MDB_env *env, struct buf *pages)
{
    MDB_stat stat;
    int fd;

    int rc = mdb_env_stat(env, &stat);
    if (rc == 0)
        rc = mdb_env_get_fd(env, &fd);
    if (rc != 0)
        return rc;
    size_t wanted = (size_t)stat.ms_psize * 2;
    ssize_t got = pread(fd, buf_reserve(pages, wanted), wanted, 0);
    if (got != (ssize_t)wanted)
        return got < 0 ? errno : EIO;
    pages->len = wanted;
    return 0;
}

/* Has next_pin hold on to the newest commit, and copies its meta pages. */
static int look(struct checkpoint *checkpoint, struct buf *pages, uint64_t *ret_made, struct err *err)
{
    pthread_mutex_lock(&checkpoint->commits);
    int rc = mdb_txn_renew(checkpoint->next_pin);
    if (rc == 0)
        rc = read_meta_pages(checkpoint->env, pages);
    *ret_made = checkpoint->made;
    pthread_mutex_unlock(&checkpoint->commits);
    return rc != 0 ? err_set(err, ERR_BROKEN, "%s: can't see its last commit: %s", checkpoint->folder, mdb_strerror(rc))
                   : 0;
}

/* Lets go of what was held. */
static void hold_next(struct checkpoint *checkpoint, struct buf pages, uint64_t made)
{
    MDB_txn *last_pin = checkpoint->pin;

    pthread_mutex_lock(&checkpoint->commits);
    checkpoint->held = made;
    pthread_mutex_unlock(&checkpoint->commits);
    checkpoint->pin = checkpoint->next_pin;
    checkpoint->next_pin = last_pin;
    mdb_txn_reset(last_pin);
    buf_release(&checkpoint->pages);
    checkpoint->pages = pages;
    checkpoint->record.pages = buf_span(&checkpoint->pages);
}

static int take_slot(struct checkpoint *checkpoint, MDB_txn **pin, struct err *err)
{
    int rc = *pin == NULL ? mdb_txn_begin(checkpoint->env, NULL, MDB_RDONLY, pin) : 0;

    if (rc != 0)
        return err_set(err, rc == MDB_READERS_FULL ? ERR_AGAIN : ERR_BROKEN, "%s: a checkpoint can't be held: %s",
                       checkpoint->folder, mdb_strerror(rc));
    mdb_txn_reset(*pin);
    return 0;
}

/* Beside the writer that is about to make the first relaxed commit. All before it were durable ones. */
static int begin(struct checkpoint *checkpoint, struct err *err)
{
    struct buf pages = BUF_INIT;
    uint64_t made = 0;

    int rc = file_system_boot_id(checkpoint->platform, checkpoint->record.boot_id, err);
    if (rc == 0)
        rc = take_slot(checkpoint, &checkpoint->pin, err);
    if (rc == 0)
        rc = take_slot(checkpoint, &checkpoint->next_pin, err);
    if (rc == 0)
        rc = look(checkpoint, &pages, &made, err);
    if (rc < 0) {
        buf_release(&pages);
        return rc;
    }
    hold_next(checkpoint, pages, made);
    return checkpoint_file_make(checkpoint->folder, &checkpoint->record, &checkpoint->fd, err);
}

bool checkpoint_is_used(struct checkpoint *checkpoint)
{
    pthread_mutex_lock(&checkpoint->commits);
    bool is_used = checkpoint->is_used;
    pthread_mutex_unlock(&checkpoint->commits);
    return is_used;
}

static int begin_once(struct checkpoint *checkpoint, struct err *err)
{
    pthread_mutex_lock(&checkpoint->advances);
    int rc = begin(checkpoint, err);
    pthread_mutex_unlock(&checkpoint->advances);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&checkpoint->commits);
    checkpoint->is_used = true;
    pthread_mutex_unlock(&checkpoint->commits);
    return 0;
}

static uint64_t ahead(struct checkpoint *checkpoint)
{
    pthread_mutex_lock(&checkpoint->commits);
    uint64_t ahead = checkpoint->made - checkpoint->held;
    pthread_mutex_unlock(&checkpoint->commits);
    return ahead;
}

int checkpoint_prepare(struct checkpoint *checkpoint, struct err *err)
{
    if (!checkpoint_is_used(checkpoint))
        return begin_once(checkpoint, err);
    return ahead(checkpoint) >= CHECKPOINT_AHEAD_MAX ? checkpoint_advance(checkpoint, err) : 0;
}

/* LMDB reads its flags at the commit. */
int checkpoint_commit_relaxed(struct checkpoint *checkpoint, MDB_txn *txn)
{
    pthread_mutex_lock(&checkpoint->commits);
    int rc = mdb_env_set_flags(checkpoint->env, MDB_NOSYNC, 1);
    if (rc != 0)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    if (rc == 0)
        checkpoint->made++;
    pthread_mutex_unlock(&checkpoint->commits);
    return rc;
}

static int disk_failed(struct checkpoint *checkpoint, int failure, struct err *err)
{
    return err_set_errno(err, ERR_BROKEN, failure,
                         "%s: the disk has failed; a start goes back to the last commit that it took: can't be synced",
                         checkpoint->folder);
}

int checkpoint_check(struct checkpoint *checkpoint, struct err *err)
{
    pthread_mutex_lock(&checkpoint->commits);
    int failure = checkpoint->failure;
    pthread_mutex_unlock(&checkpoint->commits);
    return failure != 0 ? disk_failed(checkpoint, failure, err) : 0;
}

/* What a full disk doesn't take can be tried again; a sync that failed can't. */
static int note_failure(struct checkpoint *checkpoint, int failure, bool was_sync, struct err *err)
{
    bool is_final = was_sync || (failure != ENOSPC && failure != EDQUOT);

    if (!is_final)
        return err_set_errno(err, ERR_FULL, failure, "%s/checkpoint", checkpoint->folder);
    pthread_mutex_lock(&checkpoint->commits);
    checkpoint->failure = failure;
    pthread_mutex_unlock(&checkpoint->commits);
    checkpoint_file_spoil(checkpoint->fd, checkpoint->record);
    return disk_failed(checkpoint, failure, err);
}

static int advance(struct checkpoint *checkpoint, struct err *err)
{
    struct buf pages = BUF_INIT;
    struct checkpoint_record record = checkpoint->record;
    uint64_t made = 0;

    int rc = look(checkpoint, &pages, &made, err);
    if (rc < 0) {
        buf_release(&pages);
        return rc;
    }
    record.sequence++;
    record.pages = buf_span(&pages);
    int unsynced = mdb_env_sync(checkpoint->env, 1);
    int unwritten = unsynced == 0 ? checkpoint_file_put(checkpoint->fd, &record) : 0;
    if (unsynced == 0 && unwritten == 0 && fdatasync(checkpoint->fd) != 0)
        unsynced = errno;
    if (unsynced != 0 || unwritten != 0) {
        mdb_txn_reset(checkpoint->next_pin);
        buf_release(&pages);
        return note_failure(checkpoint, unsynced != 0 ? unsynced : unwritten, unsynced != 0, err);
    }
    checkpoint->record.sequence = record.sequence;
    hold_next(checkpoint, pages, made);
    return 0;
}

int checkpoint_advance(struct checkpoint *checkpoint, struct err *err)
{
    pthread_mutex_lock(&checkpoint->advances);
    int rc = checkpoint_check(checkpoint, err);
    if (rc == 0 && ahead(checkpoint) > 0)
        rc = advance(checkpoint, err);
    pthread_mutex_unlock(&checkpoint->advances);
    return rc;
}

/* A generation that was dropped has no files any more, and another one may have its folder. */
static bool is_there(int fd)
{
    struct stat file;

    return fd >= 0 && fstat(fd, &file) == 0 && file.st_nlink > 0;
}

int checkpoint_end(struct checkpoint **checkpoint, struct err *err)
{
    struct checkpoint *ended = *checkpoint;

    if (ended == NULL)
        return 0;
    int rc = checkpoint_advance(ended, err);
    if (rc == 0 && is_there(ended->fd))
        rc = checkpoint_file_remove(ended->folder, err);
    mdb_txn_abort(ended->pin);
    mdb_txn_abort(ended->next_pin);
    if (ended->fd >= 0)
        close(ended->fd);
    buf_release(&ended->pages);
    pthread_mutex_destroy(&ended->commits);
    pthread_mutex_destroy(&ended->advances);
    free(ended);
    *checkpoint = NULL;
    return rc;
}
