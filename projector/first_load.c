/* Order of a crash: chunk committed to Kafka, then noted in the database. In between, the chunk is told again by a later
 * snapshot, behind the changes that happened meanwhile: the same order, one telling more. */
#include "projector/first_load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "ops/runtime/metrics.h"
#include "projector/first_load_query.h"
#include "projector/first_load_rows.h"
#include "projector/progress.h"
#include "projector/sql_text.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"

/* One `first_load` of one view. */
struct part {
    const struct view *view;
    const struct first_load *load;
    size_t ordinal;
    bool is_known; /* the query was tried, the noted progress read */
    bool is_done;
    struct load_cursor cursor;
    int64_t rows_done;
    int64_t rows_total; /* -1: not known */
};

struct first_load_run {
    struct first_load_options options;
    struct part *parts;
    size_t count;
    size_t next; /* the part that is loaded */
    bool has_begun;
    int64_t due_us; /* not before, for rows_per_s */
    struct progress progress;
    struct buf sql;
};

/* --- set-up ------------------------------------------------------------------------------------------------------- */

static void add_table(struct buf *sql, const char *outbox_table)
{
    char *name = mem_format("%s_first_load", outbox_table);

    sql_add_table(sql, name);
    free(name);
}

void first_load_ddl(const char *outbox_table, struct buf *sql)
{
    buf_add_literal(sql, "CREATE TABLE IF NOT EXISTS ");
    add_table(sql, outbox_table);
    buf_add_literal(
        sql, " (\n"
             "  view       VARCHAR(100)   NOT NULL,\n"
             "  part       INT            NOT NULL,\n"
             "  query_hash CHAR(16)       NOT NULL,\n"
             "  key_kind   INT            NOT NULL,\n"
             "  last_key   VARBINARY(3072) NULL,\n"
             "  rows_done  BIGINT         NOT NULL,\n"
             "  is_done    INT            NOT NULL,\n"
             "  changed_at TIMESTAMP(3)   NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),\n"
             "  PRIMARY KEY (view, part)\n"
             ") ENGINE = InnoDB DEFAULT CHARACTER SET ascii");
}

int first_load_new(const struct first_load_options *options, struct first_load_run **ret_run, struct err *err)
{
    struct first_load_run *run = mem_zero(1, sizeof(*run));
    size_t capacity = 0;
    int rc = 0;

    run->options = *options;
    for (size_t i = 0; rc == 0 && i < options->names->count; i++) {
        const char *name = options->names->items[i];
        const struct view *view = view_set_find(options->views, span_of_text(name));
        if (view == NULL)
            rc = err_set(err, ERR_INPUT, "--first-load: there is no view %s", name);
        else if (view->first_load_count == 0)
            rc = err_set(err, ERR_INPUT, "--first-load: view %s has no first_load", name);
        for (size_t k = 0; rc == 0 && k < view->first_load_count; k++) {
            run->parts = mem_grow(run->parts, run->count, &capacity, sizeof(*run->parts));
            run->parts[run->count++] = (struct part){.view = view,
                                                     .load = &view->first_loads[k],
                                                     .ordinal = k,
                                                     .cursor = {.load = &view->first_loads[k]},
                                                     .rows_total = -1};
        }
    }
    if (rc < 0)
        first_load_free(&run);
    else
        *ret_run = run;
    return rc;
}

void first_load_free(struct first_load_run **run)
{
    if (*run == NULL)
        return;
    for (size_t i = 0; i < (*run)->count; i++)
        buf_release(&(*run)->parts[i].cursor.last_key);
    free((*run)->parts);
    buf_release(&(*run)->sql);
    free(*run);
    *run = NULL;
}

bool first_load_is_pending(const struct first_load_run *run)
{
    return run->next < run->count;
}

bool first_load_has_begun(const struct first_load_run *run)
{
    return run->has_begun;
}

static int prefix(const struct part *part, struct err *err)
{
    return err_prefix(err, "%s.first_load[%zu]", part->view->type->name, part->ordinal);
}

/* --- what is noted in the database -------------------------------------------------------------------------------- */

static uint64_t query_hash(const struct part *part)
{
    struct buf text = BUF_INIT;

    buf_add_format(&text, "%s\n%s\n%s", part->load->sql, part->load->key_column, part->load->handler->event->full_name);
    uint64_t hash = hash64(buf_span(&text));
    buf_release(&text);
    return hash;
}

static int64_t integer_of(struct span cell)
{
    char text[24] = "";

    memcpy(text, cell.len ? cell.at : "", cell.len < sizeof(text) - 1 ? cell.len : sizeof(text) - 1);
    return strtoll(text, NULL, 10);
}

static int take_note(void *self, const struct database_row *row, struct err *err)
{
    struct part *part = self;
    (void)err;

    part->cursor.key_kind = (enum column_kind)integer_of(row->cells[0]);
    part->cursor.has_key = row->cells[1].at != NULL;
    buf_clear(&part->cursor.last_key);
    buf_add_span(&part->cursor.last_key, row->cells[1]);
    part->rows_done = integer_of(row->cells[2]);
    part->is_done = integer_of(row->cells[3]) != 0;
    return DATABASE_ENOUGH;
}

static int read_note(struct first_load_run *run, struct part *part, struct err *err)
{
    const struct database *database = run->options.relay->options.database;
    struct buf *sql = &run->sql;

    buf_clear(sql);
    buf_add_literal(sql, "SELECT key_kind, last_key, rows_done, is_done FROM ");
    add_table(sql, run->options.relay->options.table);
    buf_add_literal(sql, " WHERE view = ");
    sql_add_text(sql, span_of_text(part->view->name));
    buf_add_format(sql, " AND part = %zu AND query_hash = '%016" PRIx64 "'", part->ordinal, query_hash(part));
    return database->run(database->self, buf_span(sql), take_note, part, NULL, err);
}

static int write_note(struct first_load_run *run, const struct part *part, struct err *err)
{
    const struct database *database = run->options.relay->options.database;
    struct buf *sql = &run->sql;

    buf_clear(sql);
    buf_add_literal(sql, "REPLACE INTO ");
    add_table(sql, run->options.relay->options.table);
    buf_add_literal(sql, " (view, part, query_hash, key_kind, last_key, rows_done, is_done) VALUES (");
    sql_add_text(sql, span_of_text(part->view->name));
    buf_add_format(sql, ", %zu, '%016" PRIx64 "', %d, ", part->ordinal, query_hash(part), (int)part->cursor.key_kind);
    if (part->cursor.has_key)
        sql_add_bytes(sql, buf_span(&part->cursor.last_key));
    else
        buf_add_literal(sql, "NULL");
    buf_add_format(sql, ", %" PRId64 ", %d)", part->rows_done, part->is_done);
    return database->run(database->self, buf_span(sql), NULL, NULL, NULL, err);
}

/* --- queries ------------------------------------------------------------------------------------------------------ */

struct trial {
    const struct part *part;
};

static int try_row(void *self, const struct database_row *row, struct err *err)
{
    const struct trial *trial = self;
    struct row_mapping *mapping = NULL;

    int rc = row_mapping_new(trial->part->load, row, &mapping, err);
    row_mapping_free(&mapping);
    return rc < 0 ? rc : DATABASE_ENOUGH;
}

/* A query that can't work is found before anything is published; so is a row that no chunk would ever have. */
static int try_query(struct first_load_run *run, struct part *part, struct err *err)
{
    const struct database *database = run->options.relay->options.database;
    struct trial trial = {part};
    int64_t count = 0;

    buf_clear(&run->sql);
    buf_add_format(&run->sql, "SELECT * FROM (%s) AS loaded LIMIT 1", part->load->sql);
    int rc = database->run(database->self, buf_span(&run->sql), try_row, &trial, NULL, err);
    if (rc == 0) {
        buf_clear(&run->sql);
        buf_add_format(&run->sql, "SELECT COUNT(*) FROM (%s) AS loaded WHERE ", part->load->sql);
        sql_add_name(&run->sql, part->load->key_column);
        buf_add_literal(&run->sql, " IS NULL");
        rc = database_integer(database, buf_span(&run->sql), &count, err);
    }
    if (rc == 0 && count > 0)
        rc = err_set(err, ERR_INPUT, "%" PRId64 " rows have no %s: NULL", count, part->load->key_column);
    if (rc == 0) {
        buf_clear(&run->sql);
        buf_add_format(&run->sql, "SELECT COUNT(*) FROM (%s) AS loaded", part->load->sql);
        rc = database_integer(database, buf_span(&run->sql), &part->rows_total, err);
    }
    return rc;
}

/* All queries are tried before the first row is published. */
static int learn(struct first_load_run *run, struct err *err)
{
    for (size_t i = 0; i < run->count; i++) {
        struct part *part = &run->parts[i];
        if (part->is_known)
            continue;
        int rc = try_query(run, part, err);
        if (rc == 0 && !run->options.is_again)
            rc = read_note(run, part, err);
        if (rc < 0)
            return prefix(part, err);
        part->is_known = true;
        if (part->is_done)
            log_info("first load of %s, query %zu: done before, %" PRId64 " rows; --first-load-again loads it again",
                     part->view->name, part->ordinal, part->rows_done);
        else if (part->cursor.has_key)
            log_info("first load of %s, query %zu: goes on behind %" PRId64 " rows", part->view->name, part->ordinal,
                     part->rows_done);
    }
    run->has_begun = true;
    return 0;
}

/* --- a chunk ------------------------------------------------------------------------------------------------------ */

struct chunk {
    struct first_load_run *run;
    const struct part *part;
    struct row_mapping *mapping;
    struct arena arena;
    struct buf owner;
    struct buf value;
    struct buf last_key;
    enum column_kind key_kind;
    const char *topic;
    int64_t rows;
    bool is_sink_fault;
};

static int publish_row(void *self, const struct database_row *row, struct err *err)
{
    struct chunk *chunk = self;
    const struct record_sink *sink = chunk->run->options.relay->options.sink;
    const char *event_name = chunk->part->load->handler->event->full_name;
    ProtobufCMessage *event;
    int rc = 0;

    if (chunk->mapping == NULL)
        rc = row_mapping_new(chunk->part->load, row, &chunk->mapping, err);
    if (rc < 0)
        return rc;
    arena_reset(&chunk->arena);
    buf_clear(&chunk->owner);
    buf_clear(&chunk->value);
    rc = row_mapping_event(chunk->mapping, row, &chunk->arena, &event, &chunk->owner, err);
    if (rc < 0)
        return err_prefix(err, "row %" PRId64, chunk->part->rows_done + chunk->rows + 1);
    message_encode(event, &chunk->value);
    struct span key = row_mapping_key(chunk->mapping, row, &chunk->key_kind);
    buf_clear(&chunk->last_key);
    buf_add_span(&chunk->last_key, key);
    struct sink_record record = {
        .topic = chunk->topic,
        .key = buf_span(&chunk->owner),
        .has_value = true,
        .value = buf_span(&chunk->value),
        .time_ms = -1,
        .type = span_of_text(event_name),
        .first_load = chunk->part->view->name,
        .number = (uint64_t)(chunk->part->rows_done + chunk->rows + 1),
    };
    rc = sink->add(sink->self, &record, err);
    chunk->is_sink_fault = rc < 0;
    if (rc == 0)
        chunk->rows++;
    return rc;
}

static int begin_snapshot(const struct database *database, struct err *err)
{
    int rc = database_do(database, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", err);
    return rc == 0 ? database_do(database, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err) : rc;
}

static void end_snapshot(const struct database *database)
{
    struct err ignored = {0};

    if (database->is_open(database->self) && database_do(database, "ROLLBACK", &ignored) < 0)
        database->close(database->self);
}

/* Within the snapshot: the outbox rows that it shows, then the chunk. *ret_is_drained false: there are more outbox rows than
 * one round takes, and nothing was done. */
static int publish_snapshot(struct first_load_run *run, struct part *part, struct chunk *chunk, bool *ret_is_drained,
                            bool *ret_is_last, struct err *err)
{
    struct relay *relay = run->options.relay;
    const struct relay_options *options = &relay->options;

    outbox_batch_clear(&relay->batch);
    int rc =
        outbox_read(relay->outbox, options->database, 0, relay->rows_limit, options->bytes_max, &relay->batch, err);
    *ret_is_drained = rc == 0 && relay->batch.is_all;
    if (rc < 0 || !*ret_is_drained)
        return rc;
    chunk->is_sink_fault = true;
    rc = options->sink->begin(options->sink->self, err);
    if (rc == 0)
        rc = relay_add_rows(relay, &relay->batch, err);
    if (rc < 0)
        return rc;
    chunk->is_sink_fault = false;
    return load_query_chunk(options->database, &part->cursor, run->options.chunk_rows, publish_row, chunk, ret_is_last,
                            err);
}

static int load_chunk(struct first_load_run *run, struct part *part, struct chunk *chunk, bool *ret_worked,
                      struct err *err)
{
    struct relay *relay = run->options.relay;
    const struct record_sink *sink = relay->options.sink;
    bool is_drained = false, is_last = false;

    int rc = relay_delete_published(relay, err);
    if (rc == 0)
        rc = begin_snapshot(relay->options.database, err);
    if (rc == 0)
        rc = publish_snapshot(run, part, chunk, &is_drained, &is_last, err);
    end_snapshot(relay->options.database);
    if (rc < 0 && !chunk->is_sink_fault) {
        sink->abort(sink->self);
        prefix(part, err);
        return rc == ERR_INPUT ? rc : relay_database_failed(relay, rc);
    }
    if (rc == 0 && !is_drained)
        return 0;
    if (rc == 0)
        rc = sink->commit(sink->self, err);
    if (rc < 0)
        return relay_kafka_failed(relay, prefix(part, err));
    relay_note_published(relay, &relay->batch);
    metric_add(&relay->options.figures->first_load_rows_total, chunk->rows);
    part->rows_done += chunk->rows;
    part->is_done = is_last;
    if (chunk->rows > 0) {
        part->cursor.has_key = true;
        part->cursor.key_kind = chunk->key_kind;
        buf_clear(&part->cursor.last_key);
        buf_add_span(&part->cursor.last_key, buf_span(&chunk->last_key));
    }
    *ret_worked = true;
    rc = write_note(run, part, err);
    if (rc == 0)
        rc = relay_delete_published(relay, err);
    return rc < 0 ? relay_database_failed(relay, prefix(part, err)) : 0;
}

static void keep_rate(struct first_load_run *run, int64_t now_us, int64_t rows)
{
    if (run->options.rows_per_s > 0)
        run->due_us = now_us + rows * 1000000 / run->options.rows_per_s;
}

int first_load_turn(struct first_load_run *run, bool *ret_worked, struct err *err)
{
    struct relay *relay = run->options.relay;
    int64_t now_us = clock_monotonic_us(relay->options.clock);
    int rc = 0;

    *ret_worked = false;
    if (now_us < run->due_us)
        return 0;
    if (!run->has_begun)
        rc = learn(run, err);
    if (rc < 0)
        return rc == ERR_INPUT ? rc : relay_database_failed(relay, rc);
    while (first_load_is_pending(run) && run->parts[run->next].is_done)
        run->next++;
    if (!first_load_is_pending(run))
        return 0;

    struct part *part = &run->parts[run->next];
    struct chunk chunk = {.run = run, .part = part};
    rc = relay_routes_topic(relay->options.routes, span_of_text(part->load->handler->event->full_name), &chunk.topic,
                            err);
    if (rc == 0)
        rc = load_chunk(run, part, &chunk, ret_worked, err);
    row_mapping_free(&chunk.mapping);
    arena_release(&chunk.arena);
    buf_release(&chunk.owner);
    buf_release(&chunk.value);
    buf_release(&chunk.last_key);
    if (rc < 0)
        return rc;
    int64_t left = part->rows_total - part->rows_done;
    progress_note(&run->progress, clock_monotonic_us(relay->options.clock), part->rows_done, left > 0 ? left : 0);
    keep_rate(run, now_us, chunk.rows);
    if (part->is_done) {
        log_info("first load of %s, query %zu: done, %" PRId64 " rows", part->view->name, part->ordinal,
                 part->rows_done);
        run->progress = (struct progress){0};
    }
    return 0;
}

void first_load_line(const struct first_load_run *run, struct buf *line)
{
    if (!first_load_is_pending(run))
        return;
    const struct part *part = &run->parts[run->next];
    int64_t left_s = progress_time_left_s(&run->progress);

    buf_add_format(line, "first load of %s: ", part->view->name);
    progress_number(part->rows_done, line);
    if (part->rows_total > 0) {
        int64_t percent = part->rows_done * 100 / part->rows_total;
        buf_add_literal(line, " of ");
        progress_number(part->rows_total, line);
        buf_add_literal(line, " rows [");
        for (int64_t i = 0; i < 20; i++)
            buf_add_byte(line, i * 5 < percent ? '=' : ' ');
        buf_add_format(line, "] %" PRId64 "%%", percent < 100 ? percent : 100);
    }
    buf_add_literal(line, ", ");
    progress_number(progress_rate(&run->progress), line);
    buf_add_literal(line, "/s");
    if (left_s >= 0)
        buf_add_format(line, ", %" PRId64 " s left", left_s);
}
