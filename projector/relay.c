/* A round is a read, a transaction, a delete, one after the other in one thread: the next read must not see what was
 * published already, and reading on behind the last id would be the cursor that loses rows. Rounds are large instead
 * (relay_options.rows_max), and librdkafka sends while rows are still handed over.
 *
 * Leadership ends with the database session, never before: whenever it is gained, the transactional id is taken over
 * before the first read. What was acknowledged but not deleted, because the database went away in between, is remembered
 * and deleted by whoever gets a connection: those ids are done for, whoever leads. */
#include "projector/relay.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ops/runtime/log.h"
#include "ops/runtime/metrics.h"
#include "projector/sql_text.h"
#include "schema/base/mem.h"

enum {
    ROWS_LIMIT_FIRST = 1000, /* grows with each read that stays below bytes_max */
    ROWS_LIMIT_MIN = 16,
    COUNT_EVERY_US = 5 * 1000 * 1000,
    BREAKER_FAILURES = 3,
    BREAKER_SHORTEST_US = 250 * 1000,
    BREAKER_LONGEST_US = 10 * 1000 * 1000,
};

static const struct circuit_breaker fresh_breaker = {
    .failures_to_open = BREAKER_FAILURES, .shortest_us = BREAKER_SHORTEST_US, .longest_us = BREAKER_LONGEST_US};

static int lead(struct relay *relay, bool *ret_leads, struct err *err);
static int publish_round(struct relay *relay, enum relay_outcome *ret_outcome, struct err *err);

void relay_init(struct relay *relay, const struct relay_options *options)
{
    *relay = (struct relay){.options = *options,
                            .rows_limit = ROWS_LIMIT_FIRST,
                            .database_breaker = fresh_breaker,
                            .kafka_breaker = fresh_breaker,
                            .counted_at_us = INT64_MIN / 2};
    if (relay->rows_limit > options->rows_max)
        relay->rows_limit = options->rows_max;
}

void relay_release(struct relay *relay)
{
    outbox_close(&relay->outbox);
    outbox_batch_release(&relay->batch);
    free(relay->published);
    relay->published = NULL;
}

static int64_t now_us(const struct relay *relay)
{
    return clock_monotonic_us(relay->options.clock);
}

static void stop_leading(struct relay *relay)
{
    relay->is_leader = false;
    metric_set(&relay->options.figures->is_leader, 0);
}

int relay_database_failed(struct relay *relay, int rc)
{
    const struct database *database = relay->options.database;

    circuit_breaker_failed(&relay->database_breaker, now_us(relay));
    if (!database->is_open(database->self))
        stop_leading(relay);
    return rc;
}

/* A leader that Kafka refuses may have been deposed: it lets go of the lock too, and begins from the start. */
int relay_kafka_failed(struct relay *relay, int rc)
{
    const struct database *database = relay->options.database;
    const struct record_sink *sink = relay->options.sink;

    circuit_breaker_failed(&relay->kafka_breaker, now_us(relay));
    if (!sink->is_open(sink->self)) {
        database->close(database->self);
        stop_leading(relay);
    }
    return rc;
}

int relay_turn(struct relay *relay, enum relay_outcome *ret_outcome, struct err *err)
{
    bool leads = relay->is_leader;

    if (!circuit_breaker_allows(&relay->database_breaker, now_us(relay)) ||
        !circuit_breaker_allows(&relay->kafka_breaker, now_us(relay))) {
        *ret_outcome = RELAY_WAITS;
        return 0;
    }
    int rc = leads ? 0 : lead(relay, &leads, err);
    if (rc < 0)
        return rc;
    if (!leads) {
        *ret_outcome = RELAY_STANDBY;
        return 0;
    }
    return publish_round(relay, ret_outcome, err);
}

/* --- leading ------------------------------------------------------------------------------------------------------ */

/* *ret_is_ours: 1, 0: somebody else's. */
static int take_lock(const struct relay *relay, int64_t *ret_is_ours, struct err *err)
{
    struct buf sql = BUF_INIT;

    buf_add_literal(&sql, "SELECT GET_LOCK(");
    sql_add_text(&sql, span_of_text(relay->options.lock_name));
    buf_add_format(&sql, ", %u)", relay->options.lock_wait_s);
    int rc = database_integer(relay->options.database, buf_span(&sql), ret_is_ours, err);
    buf_release(&sql);
    return rc == ERR_ABSENT ? err_set(err, ERR_AGAIN, "the database can't give the lock %s", relay->options.lock_name)
                            : rc;
}

/* A replica would give the lock, and the rows, and then refuse to delete them. */
static int check_writable(const struct database *database, struct err *err)
{
    int64_t is_read_only = 0;

    int rc = database_integer(database, span_of_text("SELECT @@global.read_only + 0"), &is_read_only, err);
    if (rc == 0 && is_read_only != 0)
        rc = err_set(err, ERR_AGAIN, "the database is read-only (@@read_only): name the writer");
    return rc;
}

static int connect_to_database(struct relay *relay, int64_t *ret_is_ours, struct err *err)
{
    const struct database *database = relay->options.database;
    int rc = 0;

    if (!database->is_open(database->self)) {
        rc = database->open(database->self, err);
        if (rc == 0)
            rc = check_writable(database, err);
        outbox_close(&relay->outbox);
        if (rc == 0)
            rc = outbox_open(database, relay->options.table, &relay->outbox, err);
        if (rc < 0)
            database->close(database->self);
    }
    if (rc == 0)
        rc = take_lock(relay, ret_is_ours, err);
    return rc;
}

static int lead(struct relay *relay, bool *ret_leads, struct err *err)
{
    const struct record_sink *sink = relay->options.sink;
    int64_t is_ours = 0;

    int rc = connect_to_database(relay, &is_ours, err);
    if (rc < 0)
        return relay_database_failed(relay, rc);
    circuit_breaker_succeeded(&relay->database_breaker);
    *ret_leads = is_ours == 1;
    if (!*ret_leads)
        return 0;
    rc = sink->open(sink->self, err);
    if (rc < 0) {
        sink->close(sink->self);
        return relay_kafka_failed(relay, rc);
    }
    circuit_breaker_succeeded(&relay->kafka_breaker);
    if (!relay->is_leader)
        log_info("leads the relay of %s", relay->options.table);
    relay->is_leader = true;
    relay->has_worked = true;
    metric_set(&relay->options.figures->is_leader, 1);
    return 0;
}

/* --- a round ------------------------------------------------------------------------------------------------------ */

/* After a read that was cut by its bytes the rest of the answer was thrown away: the next asks for less. */
static void adapt_limit(struct relay *relay, bool is_cut)
{
    size_t limit = is_cut ? relay->batch.count * 2 : relay->rows_limit * 2;

    if (limit < ROWS_LIMIT_MIN)
        limit = ROWS_LIMIT_MIN;
    relay->rows_limit = limit < relay->options.rows_max ? limit : relay->options.rows_max;
}

static void tell_backlog(struct relay *relay)
{
    const struct outbox_batch *batch = &relay->batch;
    struct relay_figures *figures = relay->options.figures;
    int64_t age_ms = 0;

    if (batch->count > 0 && batch->rows[0].time_ms >= 0 && batch->db_now_ms > batch->rows[0].time_ms)
        age_ms = batch->db_now_ms - batch->rows[0].time_ms;
    metric_set(&figures->oldest_age_ms, age_ms);
    if (batch->is_all)
        metric_set(&figures->backlog_rows, (int64_t)batch->count);
}

static int count_backlog(struct relay *relay, struct err *err)
{
    int64_t count = 0;

    if (relay->batch.is_all || now_us(relay) - relay->counted_at_us < COUNT_EVERY_US)
        return 0;
    relay->counted_at_us = now_us(relay);
    int rc = outbox_count(relay->outbox, relay->options.database, &count, err);
    if (rc == 0)
        metric_set(&relay->options.figures->backlog_rows, count);
    return rc;
}

int relay_add_rows(struct relay *relay, const struct outbox_batch *batch, struct err *err)
{
    const struct record_sink *sink = relay->options.sink;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < batch->count; i++) {
        const struct outbox_row *row = &batch->rows[i];
        struct sink_record record = {
            .key = row->key,
            .has_value = row->has_payload,
            .value = row->payload,
            .time_ms = row->time_ms,
            .type = row->type,
            .id = row->id_text,
            .first_load = span_equal_text(row->aggregate_type, OUTBOX_STATE_AGAIN) ? "again" : NULL,
            .number = row->id,
        };
        rc = relay_routes_topic(relay->options.routes, row->type, &record.topic, err);
        if (rc < 0) {
            sink->abort(sink->self);
            return err_prefix(err, "table %s, row %" PRIu64, relay->options.table, row->id);
        }
        rc = sink->add(sink->self, &record, err);
    }
    return rc;
}

void relay_note_published(struct relay *relay, const struct outbox_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        relay->published =
            mem_grow(relay->published, relay->published_count, &relay->published_capacity, sizeof(*relay->published));
        relay->published[relay->published_count++] = batch->rows[i].id;
    }
    metric_add(&relay->options.figures->rows_total, (int64_t)batch->count);
}

int relay_delete_published(struct relay *relay, struct err *err)
{
    if (relay->published_count == 0)
        return 0;
    int rc = outbox_delete(relay->outbox, relay->options.database, relay->published, relay->published_count, err);
    if (rc == 0)
        relay->published_count = 0;
    return rc;
}

static int publish(struct relay *relay, struct err *err)
{
    const struct record_sink *sink = relay->options.sink;

    int rc = sink->begin(sink->self, err);
    if (rc == 0)
        rc = relay_add_rows(relay, &relay->batch, err);
    if (rc == 0)
        rc = sink->commit(sink->self, err);
    if (rc < 0)
        return relay_kafka_failed(relay, rc);
    circuit_breaker_succeeded(&relay->kafka_breaker);
    relay_note_published(relay, &relay->batch);
    return 0;
}

static int publish_round(struct relay *relay, enum relay_outcome *ret_outcome, struct err *err)
{
    const struct database *database = relay->options.database;

    int rc = relay_delete_published(relay, err);
    outbox_batch_clear(&relay->batch);
    if (rc == 0)
        rc = outbox_read(relay->outbox, database, 0, relay->rows_limit, relay->options.bytes_max, &relay->batch, err);
    if (rc == 0) {
        tell_backlog(relay);
        rc = count_backlog(relay, err);
    }
    if (rc < 0)
        return relay_database_failed(relay, rc);
    adapt_limit(relay, !relay->batch.is_all && relay->batch.count < relay->rows_limit);
    *ret_outcome = relay->batch.is_all ? RELAY_DRAINED : RELAY_GOES_ON;
    if (relay->batch.count == 0) {
        circuit_breaker_succeeded(&relay->database_breaker);
        return 0;
    }
    rc = publish(relay, err);
    if (rc < 0)
        return rc;
    rc = relay_delete_published(relay, err);
    if (rc < 0)
        return relay_database_failed(relay, rc);
    circuit_breaker_succeeded(&relay->database_breaker);
    metric_add(&relay->options.figures->rounds_total, 1);
    if (relay->batch.is_all)
        metric_set(&relay->options.figures->backlog_rows, 0);
    return 0;
}
