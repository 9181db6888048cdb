/* `status`: what the stores of DIR say about themselves, and, while a projector runs, how fast it is. Needs neither Kafka
 * nor the projector. */
#include <inttypes.h>
#include <stdlib.h>

#include "projector/announcements_pending.h"
#include "projector/command.h"
#include "projector/live_figures.h"
#include "projector/opened_store.h"
#include "projector/positions.h"
#include "projector/table.h"
#include "schema/base/clock.h"
#include "schema/json/json_text.h"
#include "schema/store/building.h"
#include "schema/store/durable.h"
#include "schema/store/generation_start.h"
#include "schema/store/lock.h"

struct status_settings {
    struct command_common common;
    const char *store;
    bool is_json;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct status_settings),
    COMMAND_STORE_OPTION(struct status_settings),
    COMMAND_JSON_OPTION(struct status_settings),
};

/* One generation as it is shown. */
struct generation_status {
    char name[GENERATION_NAME_MAX];
    unsigned percent;  /* of the traffic */
    const struct serving_retained *retained; /* NULL: it isn't */
    const char *state; /* "building" until it was caught up for the first time, "ready", "served", "retained", "stopped" */
    bool is_partial;
    unsigned sample_percent;
    uint64_t schema_hash;
    char *const *topics;
    struct positions positions;
    size_t parked;
    size_t announcements_pending;
    struct store_size size;
    struct building building;
    bool has_live;
    struct live_generation live;
};

static int read_generation(const char *directory, const struct opened_store *opened, struct generation_status *status,
                           struct err *err);
static void add_json(const struct generation_status *status, struct buf *out);
static void print_text(const struct generation_status *status);

static int64_t position_of(const struct partition *partition)
{
    return partition->cursor.next_offset - 1;
}

/* The log's end as last seen, -1: not yet. A position that is ahead of it was there later. */
static int64_t end_of(const struct partition *partition)
{
    int64_t end = partition->row.end_offset;

    return end >= 0 && end < partition->cursor.next_offset ? partition->cursor.next_offset : end;
}

static int64_t lag_of(const struct partition *partition)
{
    return end_of(partition) < 0 ? -1 : end_of(partition) - partition->cursor.next_offset;
}

static int show_generation(const char *directory, const char *name, const struct serving *serving, bool is_json,
                           struct buf *out, struct err *err)
{
    struct opened_store opened = {0};
    struct generation_status status = {.percent = serving_percent(serving, name),
                                       .retained = serving_find_retained(serving, name)};

    int rc = opened_store_open(directory, name, STORE_READ_ONLY, &opened, err);
    if (rc == ERR_ABSENT) {
        if (!is_json)
            printf("generation %s  nothing in it yet\n", name);
        return 0;
    }
    if (rc == 0)
        rc = read_generation(directory, &opened, &status, err);
    if (rc == 0 && is_json)
        add_json(&status, out);
    else if (rc == 0)
        print_text(&status);
    positions_release(&status.positions);
    opened_store_close(&opened);
    return rc;
}

static void print_holder(const char *directory)
{
    struct lock_holder holder;
    struct err err;

    if (lock_find_holder(directory, &holder, &err) == 0)
        printf("%s is running (pid %" PRId64 " on %s)\n", holder.program, holder.pid, holder.host);
    else
        printf("no projector is running\n");
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct status_settings *settings = settings_at;
    struct serving serving = {.now = {.count = 0}};
    struct buf out = BUF_INIT;
    char **names = NULL;
    size_t count = 0;

    int rc = arguments->count == 0 ? 0 : err_set(err, ERR_INPUT, "status takes no arguments");
    if (rc == 0)
        rc = store_directory_check(settings->store, err);
    if (rc == ERR_ABSENT)
        err_set(err, ERR_ABSENT, "%s is not a store, or an empty one", settings->store);
    if (rc == 0 && (rc = serving_read(settings->store, &serving, err)) == ERR_ABSENT)
        rc = 0;
    if (rc == 0)
        rc = generation_list(settings->store, &names, &count, err);
    buf_add_literal(&out, "{\"generations\":[");
    if (rc == 0 && !settings->is_json)
        print_holder(settings->store);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = show_generation(settings->store, names[i], &serving, settings->is_json, &out, err);
    buf_add_literal(&out, "]}");
    if (rc == 0 && settings->is_json)
        puts(buf_text(&out));
    durable_free_names(names, count);
    buf_release(&out);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

static int count_parked(struct store_reader *reader, size_t *ret_count, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct span key, value;
    size_t count = 0;

    int rc = store_cursor_open(reader, TABLE_PARKED, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0)
        count++;
    store_cursor_close(&cursor);
    if (rc != ERR_ABSENT)
        return rc;
    *ret_count = count;
    return 0;
}

static bool was_caught_up(const struct positions *positions)
{
    for (size_t i = 0; i < positions->count; i++)
        for (unsigned range = 0; range < RANGE_COUNT; range++)
            if (positions->partitions[i]->row.state == PARTITION_FOLLOWING &&
                !layout_has_caught_up(&positions->partitions[i]->stored[range], &positions->partitions[i]->row))
                return false;
    return positions->count > 0;
}

static const char *state_of(const struct generation_status *status, bool is_building)
{
    if (status->has_live && strcmp(status->live.state, "stopped") == 0)
        return "stopped";
    if (is_building || !was_caught_up(&status->positions))
        return "building";
    return status->percent > 0 ? "served" : status->retained ? "retained" : "ready";
}

static void find_live(const char *directory, struct generation_status *status)
{
    struct lock_holder holder;
    struct live_figures figures;
    struct err ignored;

    /* Figures outlive their projector by a few seconds. */
    if (lock_find_holder(directory, &holder, &ignored) < 0 ||
        live_figures_read(directory, clock_wall_ms(&clock_system), &figures, &ignored) < 0)
        return;
    const struct live_generation *found = live_figures_find(&figures, status->name);
    status->has_live = found != NULL;
    if (found != NULL)
        status->live = *found;
}

static int read_generation(const char *directory, const struct opened_store *opened, struct generation_status *status,
                           struct err *err)
{
    struct generation_start start = {.kind = START_BEGINNING};

    memcpy(status->name, opened->generation->name, sizeof(status->name));
    status->schema_hash = hash64(buf_span(&opened->generation->schema));
    status->topics = opened->generation->settings.topics;
    positions_init(&status->positions, opened->generation->settings.topic_count);
    int rc = positions_load(&status->positions, opened->reader, err);
    if (rc == 0)
        rc = count_parked(opened->reader, &status->parked, err);
    if (rc == 0)
        rc = announcements_pending(directory, &opened->generation->settings, opened->reader,
                                   &status->announcements_pending, err);
    if (rc == 0)
        rc = store_size(opened->store, &status->size, err);
    if (rc < 0)
        return rc;
    rc = generation_start_read(opened->generation->settings.start, &start, err);
    if (rc < 0)
        return rc;
    status->is_partial = generation_start_is_partial(&start);
    generation_start_release(&start);
    status->sample_percent = opened->generation->settings.sample_percent;
    rc = building_read(opened->generation->folder, &status->building, err);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    find_live(directory, status);
    status->state = state_of(status, rc == 0);
    return 0;
}

static void add_text(struct buf *out, const char *text)
{
    if (!json_add_string(out, span_of_text(text)))
        buf_add_literal(out, "null");
}

static void add_json(const struct generation_status *status, struct buf *out)
{
    if (out->at[out->len - 1] == '}')
        buf_add_byte(out, ',');
    buf_add_format(out,
                   "{\"name\":\"%s\",\"state\":\"%s\",\"traffic\":%u,\"schema\":\"%016" PRIx64 "\",\"partitions\":[",
                   status->name, status->state, status->percent, status->schema_hash);
    for (size_t i = 0; i < status->positions.count; i++) {
        const struct partition *partition = status->positions.partitions[i];
        buf_add_text(out, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        add_text(out, status->topics[partition->topic]);
        buf_add_format(out,
                       ",\"partition\":%" PRId32 ",\"position\":%" PRId64 ",\"end\":%" PRId64 ",\"lag\":%" PRId64
                       ",\"state\":\"%s\"}",
                       partition->number, position_of(partition), end_of(partition), lag_of(partition),
                       partition_state_name(partition->row.state));
    }
    buf_add_format(out,
                   "],\"events_per_s\":%" PRId64 ",\"time_left_s\":", status->has_live ? status->live.events_per_s : 0);
    if (status->has_live && status->live.time_left_s >= 0)
        buf_add_format(out, "%" PRId64, status->live.time_left_s);
    else
        buf_add_literal(out, "null");
    buf_add_format(out, ",\"parked\":%zu,\"announcements_pending\":%zu,\"file_bytes\":%" PRIu64 ",\"problem\":",
                   status->parked, status->announcements_pending, status->size.file_bytes);
    if (status->has_live && status->live.problem[0] != '\0')
        add_text(out, status->live.problem);
    else
        buf_add_literal(out, "null");
    buf_add_format(out, ",\"is_partial\":%s,\"sample\":", status->is_partial ? "true" : "false");
    if (status->sample_percent > 0)
        buf_add_format(out, "%u", status->sample_percent);
    else
        buf_add_literal(out, "null");
    buf_add_literal(out, ",\"retain_until\":");
    if (status->retained != NULL && status->retained->until_ms > 0)
        buf_add_format(out, "%" PRId64, status->retained->until_ms);
    else
        buf_add_literal(out, "null");
    buf_add_format(out, ",\"rate\":%" PRId64 "}", status->building.rate);
}

static void print_text(const struct generation_status *status)
{
    static const char *const headings[] = {"TOPIC", ">PARTITION", ">POSITION", ">END", ">LAG", "STATE"};
    struct table table;

    printf("generation %s  %s  traffic %u%%  parked %zu  file %.1f MiB", status->name, status->state, status->percent,
           status->parked, (double)status->size.file_bytes / (1 << 20));
    if (status->announcements_pending > 0)
        printf("  announcements pending %zu", status->announcements_pending);
    if (status->sample_percent > 0)
        printf("  a sample of %u%%", status->sample_percent);
    if (status->is_partial)
        printf("  partial");
    if (status->has_live) {
        printf("  %" PRId64 " events/s", status->live.events_per_s);
        if (status->live.time_left_s > 0)
            printf("  caught up in %" PRId64 " s", status->live.time_left_s);
        if (status->live.problem[0] != '\0')
            printf("\n%s", status->live.problem);
    }
    putchar('\n');
    table_init(&table, headings, ARRAY_COUNT(headings));
    for (size_t i = 0; i < status->positions.count; i++) {
        const struct partition *partition = status->positions.partitions[i];
        table_add(&table, "%s", status->topics[partition->topic]);
        table_add(&table, "%" PRId32, partition->number);
        table_add(&table, "%" PRId64, position_of(partition));
        table_add(&table, "%" PRId64, end_of(partition));
        if (lag_of(partition) < 0)
            table_add(&table, "?");
        else
            table_add(&table, "%" PRId64, lag_of(partition));
        table_add(&table, "%s", partition_state_name(partition->row.state));
    }
    table_print(&table, stdout);
    table_release(&table);
}

const struct command command_status = {
    .config = {.program = "tarn-projector",
               .name = "status",
               .arguments = NULL,
               .summary = "generations, positions, lag, parked events",
               .help = "Reads the store's files: works with and without a running projector. A position is the offset "
                       "of the last record handled, -1 before the first.\n\n"
                       "  tarn-projector status --store /var/lib/tarn --json",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct status_settings),
    .run = run,
};
