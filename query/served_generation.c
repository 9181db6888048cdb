/* What a request needs is made once here: plans of views, what renders them, header lines, /openapi.json. Whether the
 * store has been filled is read off its positions, as the projector itself does, so that the two need not talk. */
#include "query/served_generation.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "query/openapi.h"
#include "schema/base/mem.h"
#include "schema/store/layout.h"

static void note_folder(struct served_generation *generation);
static void prepare_views(struct served_generation *generation);

int served_generation_open(const char *directory, const char *name, uint64_t serial, struct figures_table *figures,
                           struct served_generation **ret_generation, struct err *err)
{
    struct served_generation *opened = mem_zero(1, sizeof(*opened));
    struct store_options options = {.access = STORE_READ_ONLY};
    struct mistakes mistakes = {0};

    opened->serial = serial;
    int rc = generation_open(directory, name, &opened->generation, err);
    if (rc == 0)
        rc = view_set_load(buf_span(&opened->generation->schema), &opened->set, &mistakes, err);
    mistakes_release(&mistakes);
    if (rc == 0)
        rc = store_open(opened->generation->folder, &options, &opened->store, err);
    if (rc == 0 && (opened->figures = figures_take(figures, name)) == NULL)
        rc = err_set(err, ERR_AGAIN, "answers from %d other generations haven't ended yet", SERVED_FIGURES_MAX);
    if (rc < 0) {
        served_generation_close(&opened, figures);
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

void served_generation_close(struct served_generation **generation, struct figures_table *figures)
{
    struct served_generation *closed = *generation;

    *generation = NULL;
    if (closed == NULL)
        return;
    for (size_t i = 0; closed->views != NULL && i < closed->set->view_count; i++) {
        render_plan_free(&closed->views[i].render);
        free(closed->views[i].topics);
    }
    free(closed->views);
    store_close(&closed->store);
    view_set_free(&closed->set);
    generation_close(&closed->generation);
    figures_give_back(figures, closed->figures);
    buf_release(&closed->headers);
    buf_release(&closed->openapi);
    free(closed);
}

static void note_folder(struct served_generation *generation)
{
    struct stat status;

    if (stat(generation->generation->folder, &status) == 0) {
        generation->device = status.st_dev;
        generation->inode = status.st_ino;
    }
}

bool served_generation_is(const struct served_generation *generation, const char *name)
{
    struct stat status;

    return strcmp(generation->generation->name, name) == 0 && stat(generation->generation->folder, &status) == 0 &&
           status.st_dev == generation->device && status.st_ino == generation->inode;
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

int served_generation_look(struct served_generation *generation, struct err *err)
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
