/* A mutex guards the pointer while a reference is taken; asking whether it has changed is one atomic load. The last
 * reference closes the store: the loops' readers are closed before their references go. */
#include "query/served.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "ops/runtime/log.h"
#include "query/openapi.h"
#include "schema/base/mem.h"
#include "schema/store/layout.h"

enum {
    FOLLOW_MS = 200,        /* between looks at DIR/serving */
    FOLLOW_FILLING_MS = 20, /* while nothing is ready to be served */
};

struct served {
    const char *directory;
    pthread_mutex_t mutex;
    pthread_cond_t stop_condition;
    bool is_stopping;
    bool has_thread;
    pthread_t thread;
    uint64_t read_ahead_bytes;
    uint64_t serials;
    struct served_generation *_Atomic current;
};

static int open_generation(const char *directory, const char *name, uint64_t serial,
                           struct served_generation **ret_generation, struct err *err);
static bool is_still_there(const struct served_generation *generation, const char *name);
static void prepare_views(struct served_generation *generation);
static int look_whether_filled(struct served_generation *generation, struct err *err);
static void *follow(void *self);

struct served *served_new(const char *directory)
{
    struct served *served = mem_zero(1, sizeof(*served));
    pthread_condattr_t attributes;

    served->directory = directory;
    pthread_mutex_init(&served->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&served->stop_condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return served;
}

void served_free(struct served **served)
{
    struct served *freed = *served;

    if (freed == NULL)
        return;
    pthread_mutex_lock(&freed->mutex);
    freed->is_stopping = true;
    pthread_cond_signal(&freed->stop_condition);
    pthread_mutex_unlock(&freed->mutex);
    if (freed->has_thread)
        pthread_join(freed->thread, NULL);
    struct served_generation *current = atomic_load(&freed->current);
    served_generation_release(&current);
    pthread_cond_destroy(&freed->stop_condition);
    pthread_mutex_destroy(&freed->mutex);
    free(freed);
    *served = NULL;
}

int served_refresh(struct served *served, struct err *err)
{
    struct served_generation *current = atomic_load_explicit(&served->current, memory_order_relaxed);
    struct served_generation *opened = NULL;
    struct serving serving;

    int rc = store_directory_check(served->directory, err);
    if (rc == 0)
        rc = serving_read(served->directory, &serving, err);
    if (rc < 0)
        return rc;
    if (current == NULL || !is_still_there(current, serving_incumbent(&serving))) {
        rc = open_generation(served->directory, serving_incumbent(&serving), served->serials + 1, &opened, err);
        if (rc < 0)
            return rc;
        served->serials++;
    }
    rc = look_whether_filled(opened != NULL ? opened : current, err);
    if (opened == NULL)
        return rc;

    pthread_mutex_lock(&served->mutex);
    atomic_store_explicit(&served->current, opened, memory_order_release);
    pthread_mutex_unlock(&served->mutex);
    served_generation_release(&current);
    return rc;
}

int served_follow(struct served *served, uint64_t read_ahead_bytes, struct err *err)
{
    served->read_ahead_bytes = read_ahead_bytes;
    int error = pthread_create(&served->thread, NULL, follow, served);
    if (error != 0)
        return err_set_errno(err, ERR_FULL, error, "starting a thread");
    served->has_thread = true;
    return 0;
}

bool served_has_changed(const struct served *served, const struct served_generation *generation)
{
    return atomic_load_explicit(&served->current, memory_order_acquire) != generation;
}

struct served_generation *served_current(struct served *served)
{
    pthread_mutex_lock(&served->mutex);
    struct served_generation *current = atomic_load_explicit(&served->current, memory_order_acquire);
    if (current != NULL)
        atomic_fetch_add_explicit(&current->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&served->mutex);
    return current;
}

void served_generation_release(struct served_generation **generation)
{
    struct served_generation *released = *generation;

    *generation = NULL;
    if (released == NULL || atomic_fetch_sub_explicit(&released->references, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; released->views != NULL && i < released->set->view_count; i++) {
        render_plan_free(&released->views[i].render);
        free(released->views[i].topics);
    }
    free(released->views);
    store_close(&released->store);
    view_set_free(&released->set);
    generation_close(&released->generation);
    buf_release(&released->headers);
    buf_release(&released->openapi);
    free(released);
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

static void note_folder(struct served_generation *generation)
{
    struct stat status;

    if (stat(generation->generation->folder, &status) == 0) {
        generation->device = status.st_dev;
        generation->inode = status.st_ino;
    }
}

/* A store that was removed and made anew from the same schema has the same name and is another one. */
static bool is_still_there(const struct served_generation *generation, const char *name)
{
    struct stat status;

    return strcmp(generation->generation->name, name) == 0 && stat(generation->generation->folder, &status) == 0 &&
           status.st_dev == generation->device && status.st_ino == generation->inode;
}

static int open_generation(const char *directory, const char *name, uint64_t serial,
                           struct served_generation **ret_generation, struct err *err)
{
    struct served_generation *opened = mem_zero(1, sizeof(*opened));
    struct store_options options = {.access = STORE_READ_ONLY};
    struct mistakes mistakes = {0};

    opened->references = 1;
    opened->serial = serial;
    int rc = generation_open(directory, name, &opened->generation, err);
    if (rc == 0)
        rc = view_set_load(buf_span(&opened->generation->schema), &opened->set, &mistakes, err);
    mistakes_release(&mistakes);
    if (rc == 0)
        rc = store_open(opened->generation->folder, &options, &opened->store, err);
    if (rc < 0) {
        served_generation_release(&opened);
        return rc == ERR_ABSENT ? rc : err_prefix(err, "generation %s", name);
    }
    note_folder(opened);
    prepare_views(opened);
    buf_add_format(&opened->headers, "Cache-Control: private, no-cache\r\nVary: Accept\r\nTarn-Generation: %s\r\n",
                   opened->generation->name);
    openapi_write(opened->set, &opened->openapi);
    *ret_generation = opened;
    return 0;
}

static bool stream_feeds(const struct view *view, const char *stream)
{
    for (size_t i = 0; i < view->handler_count; i++)
        if (strcmp(view->handlers[i].stream->name, stream) == 0)
            return true;
    return false;
}

static void prepare_views(struct served_generation *generation)
{
    const struct generation_settings *settings = &generation->generation->settings;

    generation->views = mem_zero(generation->set->view_count + 1, sizeof(*generation->views));
    for (size_t i = 0; i < generation->set->view_count; i++) {
        struct served_view *served = &generation->views[i];
        served->view = &generation->set->views[i];
        served->render = render_plan_new(served->view);
        served->topics = mem_zero(settings->topic_count + 1, sizeof(*served->topics));
        for (size_t topic = 0; topic < settings->topic_count; topic++) {
            bool feeds = false;
            for (size_t j = 0; j < settings->stream_count; j++)
                feeds = feeds || (strcmp(settings->streams[j].topic, settings->topics[topic]) == 0 &&
                                  stream_feeds(served->view, settings->streams[j].stream));
            if (feeds)
                served->topics[served->topic_count++] = (uint16_t)topic;
        }
    }
}

/* --- filled --------------------------------------------------------------------------------------------------------- */

/* Each partition that is followed has been caught up in every range, and each topic has partitions: what the projector
 * calls ready. A partition that stopped keeps its state, and doesn't keep the others from being served. */
static int walk_positions(struct served_generation *generation, struct store_reader *reader, bool *ret_filled,
                          struct err *err)
{
    size_t topic_count = generation->generation->settings.topic_count;
    bool *has_partition = mem_zero(topic_count + 1, sizeof(bool));
    struct store_cursor *cursor = NULL;
    struct buf key = BUF_INIT;
    bool is_filled = true;
    struct span row_key, value;

    int rc = store_cursor_open(reader, TABLE_PARTITIONS, (struct span){NULL, 0}, (struct span){NULL, 0}, &cursor, err);
    while (rc == 0 && is_filled && (rc = store_cursor_next(cursor, &row_key, &value, err)) == 0) {
        struct partition_row row;
        struct position position;
        uint16_t topic;
        int32_t partition;
        rc = layout_parse_partition_key(row_key, &topic, &partition, err);
        if (rc == 0)
            rc = layout_parse_partition(value, &row, err);
        if (rc == 0 && topic < topic_count)
            has_partition[topic] = true;
        for (unsigned range = 0; rc == 0 && is_filled && row.state == PARTITION_FOLLOWING && range < RANGE_COUNT;
             range++) {
            buf_clear(&key);
            layout_position_key(topic, partition, range, &key);
            rc = store_find(reader, TABLE_POSITIONS, buf_span(&key), &value, err);
            if (rc == 0)
                rc = layout_parse_position(value, &position, err);
            is_filled = rc == 0 && layout_has_caught_up(&position, &row);
            rc = rc == ERR_ABSENT ? 0 : rc;
        }
    }
    for (size_t i = 0; i < topic_count; i++)
        is_filled = is_filled && has_partition[i];
    store_cursor_close(&cursor);
    buf_release(&key);
    free(has_partition);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    *ret_filled = is_filled;
    return 0;
}

static int look_whether_filled(struct served_generation *generation, struct err *err)
{
    struct store_reader *reader = NULL;
    bool is_filled = false;

    if (atomic_load_explicit(&generation->is_filled, memory_order_relaxed))
        return 0;
    int rc = store_reader_open(generation->store, &reader, err);
    if (rc == 0)
        rc = store_read_begin(reader, err);
    if (rc == 0)
        rc = walk_positions(generation, reader, &is_filled, err);
    store_reader_close(&reader);
    if (rc == 0)
        atomic_store_explicit(&generation->is_filled, is_filled, memory_order_relaxed);
    return rc;
}

/* --- following ------------------------------------------------------------------------------------------------------ */

/* One fault, one line: the same text isn't logged again until something else has happened. */
static void tell(struct err *err, int rc, char *last, size_t size)
{
    const char *text = rc < 0 ? err->text : "";

    if (strcmp(text, last) != 0 && rc < 0 && rc != ERR_ABSENT)
        log_error("%s", text);
    snprintf(last, size, "%s", text);
}

/* False when it is time to stop. */
static bool rest(struct served *served, int64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&served->mutex);
    while (!served->is_stopping && pthread_cond_timedwait(&served->stop_condition, &served->mutex, &until) == 0)
        continue;
    bool goes_on = !served->is_stopping;
    pthread_mutex_unlock(&served->mutex);
    return goes_on;
}

static void *follow(void *self)
{
    struct served *served = self;
    uint64_t told_serial = 0, read_serial = 0;
    char last[sizeof(((struct err *)0)->text)] = "";
    int64_t rest_ms;

    do {
        struct err err = {0};
        int rc = served_refresh(served, &err);
        tell(&err, rc, last, sizeof(last));
        struct served_generation *current = served_current(served);
        bool is_filled = current != NULL && atomic_load(&current->is_filled);
        if (is_filled && current->serial != told_serial)
            log_info("serving generation %s", current->generation->name);
        if (current != NULL && current->serial != read_serial && served->read_ahead_bytes > 0)
            store_warm_up(current->store, served->read_ahead_bytes);
        told_serial = is_filled ? current->serial : told_serial;
        read_serial = current != NULL ? current->serial : read_serial;
        rest_ms = is_filled ? FOLLOW_MS : FOLLOW_FILLING_MS;
        served_generation_release(&current);
    } while (rest(served, rest_ms));
    return NULL;
}
