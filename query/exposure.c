/* Whom has been told of stands in one table of marks for all threads: sets of eight, each a cache line, looked through
 * as a whole. There is no list and nothing is cleared: a mark holds the day, so yesterday's are never asked for again,
 * and they are what is written over. Two threads that meet in a set may lose a mark: a repeat, no more.
 *
 * A queue has one writer, its loop, and one reader, our thread, and so needs two counters and no lock. Kafka's client
 * takes locks of its own, which is why no loop calls it. */
#include "query/exposure.h"

#include <pthread.h>
#include <stdlib.h>

#include "ops/runtime/metrics.h"
#include "schema/base/mem.h"

enum {
    WAYS = 8,
    QUEUE_RECORDS =
        1024, /* a loop notes tens of thousands in a second of a rush, and the queue is emptied every POLL_MS */
    POLL_MS = 10,
};

struct exposure_queue {
    struct exposures *exposures;
    _Atomic size_t written, read;
    struct exposure_record *records; /* QUEUE_RECORDS */
};

struct exposures {
    struct exposure_counters counters;
    _Atomic uint64_t *marks;
    uint64_t set_mask;
    struct exposure_queue *queues;
    unsigned queue_count;
    const struct exposure_port *port;
    pthread_t thread;
    bool has_thread;
    atomic_bool is_stopping;
};

static void *run(void *self);

struct exposures *exposures_new(unsigned threads, uint64_t memory_bytes)
{
    struct exposures *exposures = mem_zero(1, sizeof(*exposures));
    uint64_t sets = 1;

    while (sets * 2 * WAYS * sizeof(*exposures->marks) <= memory_bytes)
        sets *= 2;
    exposures->set_mask = sets - 1;
    exposures->marks = mem_zero(sets * WAYS, sizeof(*exposures->marks));
    exposures->queue_count = threads;
    exposures->queues = mem_zero(threads, sizeof(*exposures->queues));
    for (unsigned i = 0; i < threads; i++) {
        exposures->queues[i].exposures = exposures;
        exposures->queues[i].records = mem_zero(QUEUE_RECORDS, sizeof(struct exposure_record));
    }
    return exposures;
}

void exposures_free(struct exposures **exposures)
{
    struct exposures *freed = *exposures;

    if (freed == NULL)
        return;
    for (unsigned i = 0; i < freed->queue_count; i++)
        free(freed->queues[i].records);
    free(freed->queues);
    free((void *)(uintptr_t)freed->marks);
    free(freed);
    *exposures = NULL;
}

int exposures_start(struct exposures *exposures, const struct exposure_port *port, struct err *err)
{
    exposures->port = port;
    int error = pthread_create(&exposures->thread, NULL, run, exposures);
    if (error != 0)
        return err_set_errno(err, ERR_FULL, error, "starting a thread");
    exposures->has_thread = true;
    return 0;
}

void exposures_stop(struct exposures *exposures, int64_t grace_ms)
{
    if (exposures == NULL || !exposures->has_thread)
        return;
    atomic_store_explicit(&exposures->is_stopping, true, memory_order_release);
    pthread_join(exposures->thread, NULL);
    exposures->has_thread = false;
    exposures->port->flush(exposures->port->self, grace_ms);
}

struct exposure_queue *exposures_queue(struct exposures *exposures, unsigned thread)
{
    return &exposures->queues[thread];
}

struct exposure_counters *exposures_counters(struct exposures *exposures)
{
    return &exposures->counters;
}

/* --- marks ---------------------------------------------------------------------------------------------------------- */

static _Atomic uint64_t *set_of(const struct exposures *exposures, uint64_t mark)
{
    return &exposures->marks[(mark >> 8 & exposures->set_mask) * WAYS];
}

static bool has_mark(const struct exposures *exposures, uint64_t mark)
{
    _Atomic uint64_t *set = set_of(exposures, mark);

    for (int i = 0; i < WAYS; i++)
        if (atomic_load_explicit(&set[i], memory_order_relaxed) == mark)
            return true;
    return false;
}

static void add_mark(struct exposures *exposures, uint64_t mark)
{
    _Atomic uint64_t *set = set_of(exposures, mark);
    int at = (int)(mark >> 60) & (WAYS - 1); /* whoever this hits, if nobody's place is free */

    for (int i = 0; i < WAYS; i++)
        if (atomic_load_explicit(&set[i], memory_order_relaxed) == 0)
            at = i;
    atomic_store_explicit(&set[at], mark, memory_order_relaxed);
}

static void remove_mark(struct exposures *exposures, uint64_t mark)
{
    _Atomic uint64_t *set = set_of(exposures, mark);

    for (int i = 0; i < WAYS; i++) {
        uint64_t expected = mark;
        atomic_compare_exchange_strong_explicit(&set[i], &expected, 0, memory_order_relaxed, memory_order_relaxed);
    }
}

/* --- on a loop's thread --------------------------------------------------------------------------------------------- */

void exposure_note(struct exposure_queue *queue, const struct exposure *exposure)
{
    struct exposures *exposures = queue->exposures;
    uint64_t mark = exposure_mark(exposure);
    size_t written = atomic_load_explicit(&queue->written, memory_order_relaxed);

    if (has_mark(exposures, mark))
        return;
    if (written - atomic_load_explicit(&queue->read, memory_order_acquire) == QUEUE_RECORDS ||
        !exposure_record_write(exposure, &queue->records[written % QUEUE_RECORDS])) {
        metric_add(&exposures->counters.dropped, 1);
        return;
    }
    add_mark(exposures, mark);
    metric_add(&exposures->counters.waiting, 1);
    atomic_store_explicit(&queue->written, written + 1, memory_order_release);
}

/* --- on our own ----------------------------------------------------------------------------------------------------- */

void exposures_told(void *self, uint64_t mark, bool is_published)
{
    struct exposures *exposures = self;

    metric_add(&exposures->counters.waiting, -1);
    metric_add(is_published ? &exposures->counters.published : &exposures->counters.dropped, 1);
    if (!is_published)
        remove_mark(exposures, mark);
}

static void empty(struct exposures *exposures, struct exposure_queue *queue)
{
    size_t read = atomic_load_explicit(&queue->read, memory_order_relaxed);
    size_t written = atomic_load_explicit(&queue->written, memory_order_acquire);

    for (; read < written; read++) {
        const struct exposure_record *record = &queue->records[read % QUEUE_RECORDS];
        if (!exposures->port->publish(exposures->port->self, record))
            exposures_told(exposures, record->mark, false);
        atomic_store_explicit(&queue->read, read + 1, memory_order_release);
    }
}

static void *run(void *self)
{
    struct exposures *exposures = self;
    bool goes_on;

    do {
        goes_on = !atomic_load_explicit(&exposures->is_stopping, memory_order_acquire);
        for (unsigned i = 0; i < exposures->queue_count; i++)
            empty(exposures, &exposures->queues[i]);
        if (goes_on)
            exposures->port->poll(exposures->port->self, POLL_MS);
    } while (goes_on);
    return NULL;
}
