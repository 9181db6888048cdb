/* One job changes hands under a mutex; while the flusher has it, nobody else looks at it, but for the rows it points to,
 * whose keys never change and whose values a job holds references to. Rows are sorted here rather than by the main
 * thread: the sort of a large job takes as long as a few thousand events. An eventfd tells the main loop of the end, so
 * that it can wait for records and for commits in one poll(). */
#include "projector/flusher.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "projector/checkpointer.h"
#include "projector/frozen_sort.h"
#include "schema/base/condition.h"
#include "schema/base/mem.h"

struct flusher {
    struct store *store;
    struct announcing *announcing;
    struct checkpointer *checkpointer;
    const struct clock_port *clock;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct job *job; /* handed over, not finished */
    struct job *finished;
    bool is_stopping;
    _Atomic bool gives_up; /* read between two rows of a job */
    int event_fd;
    int64_t stale_readers_us; /* when they were last looked for */
};

enum {
    GIVE_UP_ROWS = 256,
    STALE_READERS_EVERY_US = 10 * 1000 * 1000,
};

static void *run(void *self);
static void write_job(struct flusher *flusher, struct job *job);

int flusher_open(struct store *store, struct announcing *announcing, const struct clock_port *clock,
                 struct flusher **ret_flusher, struct err *err)
{
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return err_set_errno(err, ERR_BROKEN, errno, "eventfd");

    struct flusher *flusher = mem_zero(1, sizeof(*flusher));
    flusher->store = store;
    flusher->announcing = announcing;
    flusher->clock = clock;
    flusher->event_fd = event_fd;
    pthread_mutex_init(&flusher->mutex, NULL);
    condition_init(&flusher->changed);
    int rc = checkpointer_open(store, &flusher->checkpointer, err);
    if (rc == 0) {
        int failure = pthread_create(&flusher->thread, NULL, run, flusher);
        if (failure != 0)
            rc = err_set_errno(err, ERR_BROKEN, failure, "a thread for commits");
    }
    if (rc < 0) {
        checkpointer_close(&flusher->checkpointer);
        close(event_fd);
        free(flusher);
        return rc;
    }
    *ret_flusher = flusher;
    return 0;
}

void flusher_close(struct flusher **flusher)
{
    if (*flusher == NULL)
        return;
    struct flusher *f = *flusher;
    atomic_store(&f->gives_up, true);
    pthread_mutex_lock(&f->mutex);
    f->is_stopping = true;
    pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->mutex);
    pthread_join(f->thread, NULL);
    checkpointer_close(&f->checkpointer);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->mutex);
    close(f->event_fd);
    free(f);
    *flusher = NULL;
}

void flusher_start(struct flusher *flusher, struct job *job)
{
    pthread_mutex_lock(&flusher->mutex);
    flusher->job = job;
    pthread_cond_signal(&flusher->changed);
    pthread_mutex_unlock(&flusher->mutex);
}

struct job *flusher_finished(struct flusher *flusher)
{
    pthread_mutex_lock(&flusher->mutex);
    struct job *job = flusher->finished;
    flusher->finished = NULL;
    pthread_mutex_unlock(&flusher->mutex);
    if (job != NULL) {
        uint64_t ignored;
        ssize_t got = read(flusher->event_fd, &ignored, sizeof(ignored));
        (void)got; /* non-blocking; it only has to be unreadable afterwards */
    }
    return job;
}

int flusher_event_fd(const struct flusher *flusher)
{
    return flusher->event_fd;
}

/* --- the thread --- */

static void *run(void *self)
{
    struct flusher *flusher = self;

    pthread_mutex_lock(&flusher->mutex);
    for (;;) {
        while (flusher->job == NULL && !flusher->is_stopping)
            pthread_cond_wait(&flusher->changed, &flusher->mutex);
        if (flusher->is_stopping)
            break;
        struct job *job = flusher->job;
        pthread_mutex_unlock(&flusher->mutex);
        write_job(flusher, job);
        pthread_mutex_lock(&flusher->mutex);
        flusher->job = NULL;
        flusher->finished = job;
        uint64_t one = 1;
        ssize_t put = write(flusher->event_fd, &one, sizeof(one));
        (void)put; /* can't fill up: it is read once per job */
    }
    pthread_mutex_unlock(&flusher->mutex);
    return NULL;
}

/* Those of one range and table, which begin at *at. */
static int put_rows_of(struct flusher *flusher, struct store_writer *writer, const struct cache_frozen_list *rows,
                       enum store_table table, size_t *at, struct err *err)
{
    enum { AHEAD = 16 };
    size_t i = *at;
    int rc = 0;

    for (; rc == 0 && i < rows->count && rows->items[i].table == table; i++) {
        const struct cache_frozen *item = &rows->items[i];
        if (i + AHEAD < rows->count) {
            __builtin_prefetch(rows->items[i + AHEAD].row->key);
            __builtin_prefetch(rows->items[i + AHEAD].value);
        }
        if (i % GIVE_UP_ROWS == 0 && atomic_load_explicit(&flusher->gives_up, memory_order_relaxed))
            return err_set(err, ERR_AGAIN, "the process stops");
        if (table == TABLE_ANNOUNCEMENTS)
            rc = announcing_put(flusher->announcing, writer, cache_row_key(item->row),
                                span_of(item->value->bytes, item->value->len), err);
        else if (item->value == NULL)
            rc = store_delete(writer, table, cache_row_key(item->row), err);
        else
            rc = store_put(writer, table, cache_row_key(item->row),
                           span_of(item->value->bytes, item->value->len), err);
    }
    *at = i;
    return rc;
}

/* Keys begin with their owner's hash, and so with their range: the ranges one behind the other are in order. */
static int put_rows(struct flusher *flusher, struct store_writer *writer, const struct job *job, struct err *err)
{
    size_t at[RANGE_COUNT] = {0};
    int rc = 0;

    for (unsigned table = 0; table < TABLE_COUNT; table++)
        for (unsigned range = 0; rc == 0 && range < RANGE_COUNT; range++)
            rc = put_rows_of(flusher, writer, &job->rows[range], (enum store_table)table, &at[range], err);
    return rc;
}

static int put_positions(struct store_writer *writer, const struct job *job, struct err *err)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < job->position_count; i++) {
        const struct job_position *item = &job->positions[i];
        buf_clear(&key);
        buf_clear(&value);
        layout_position_key(item->topic, item->number, item->range, &key);
        layout_position(&item->position, &value);
        rc = store_put(writer, TABLE_POSITIONS, buf_span(&key), buf_span(&value), err);
    }
    for (size_t i = 0; rc == 0 && i < job->partition_count; i++) {
        const struct job_partition *item = &job->partitions[i];
        buf_clear(&key);
        buf_clear(&value);
        layout_partition_key(item->topic, item->number, &key);
        layout_partition(&item->row, &value);
        rc = store_put(writer, TABLE_PARTITIONS, buf_span(&key), buf_span(&value), err);
    }
    buf_release(&key);
    buf_release(&value);
    return rc;
}

static void write_job(struct flusher *flusher, struct job *job)
{
    struct store_writer *writer = NULL;
    int64_t start_us = clock_monotonic_us(flusher->clock);

    for (unsigned range = 0; range < RANGE_COUNT && !job->is_sorted; range++)
        frozen_sort(job->rows[range].items, job->rows[range].count);
    job->is_sorted = true;

    int rc = store_write_begin(flusher->store, &writer, &job->err);
    if (rc == 0)
        rc = put_rows(flusher, writer, job, &job->err);
    if (rc == 0)
        rc = put_positions(writer, job, &job->err);
    if (rc == 0)
        rc = announcing_let_go(flusher->announcing, writer, &job->err);
    if (rc == 0)
        rc = job->is_durable ? store_commit(&writer, &job->err) : store_commit_relaxed(&writer, &job->err);
    store_abort(&writer);
    if (rc == 0)
        announcing_committed(flusher->announcing);
    if (rc == 0 && !job->is_durable)
        checkpointer_note_commit(flusher->checkpointer);
    job->rc = rc;

    int64_t end_us = clock_monotonic_us(flusher->clock);
    job->took_us = end_us - start_us;
    if (end_us - flusher->stale_readers_us >= STALE_READERS_EVERY_US) {
        store_clear_stale_readers(flusher->store);
        flusher->stale_readers_us = end_us;
    }
}
