/* TABLE_PARKED holds a unit's events side by side in order, so one walk finds each failed one and counts what waits
 * behind it. An event's content is shown only when asked for, as JSON when it can be read, else in base64. */
#include "projector/parked_report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "projector/intake.h"
#include "projector/table.h"
#include "schema/base/mem.h"
#include "schema/json/json_text.h"
#include "schema/json/render.h"

static bool is_selected(const struct parked_selection *selection, const struct parked_key *at,
                        const struct parked_event *event)
{
    return selection == NULL || selection->is_all ||
           (at->topic == selection->topic && event->has_key && span_equal(event->key, selection->key));
}

int parked_report(const struct opened_store *opened, const struct parked_selection *selection, bool with_waiting,
                  struct parked_report_row **ret_rows, size_t *ret_count, struct err *err)
{
    const struct span all = {NULL, 0};
    struct parked_report_row *rows = NULL;
    struct parked_report_row row = {0};
    size_t count = 0, capacity = 0, failed = 0; /* failed: place of the last event that failed, + 1 */
    struct store_cursor *cursor = NULL;
    struct span key, value;

    int rc = store_cursor_open(opened->reader, TABLE_PARKED, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        uint64_t last_hash = row.at.unit_hash;
        uint16_t last_topic = row.at.topic;
        rc = layout_parse_parked_key(key, &row.at, err);
        if (rc == 0)
            rc = layout_parse_parked_event(value, &row.event, err);
        if (rc < 0 || !is_selected(selection, &row.at, &row.event))
            continue;
        bool is_same_unit = failed > 0 && row.at.unit_hash == last_hash && row.at.topic == last_topic;
        bool is_waiting = row.event.reason == PARK_WAITING && is_same_unit;
        if (is_waiting)
            rows[failed - 1].waiting++;
        if (is_waiting && !with_waiting)
            continue;
        rows = mem_grow(rows, count, &capacity, sizeof(*rows));
        rows[count++] = row;
        if (!is_waiting)
            failed = count;
    }
    store_cursor_close(&cursor);
    if (rc != ERR_ABSENT) {
        free(rows);
        return rc;
    }
    *ret_rows = rows;
    *ret_count = count;
    return 0;
}

static void add_text(struct buf *out, struct span text)
{
    if (!json_add_string(out, text))
        json_add_base64(out, text);
}

/* As JSON when the event can be read, else its bytes in base64. */
static void add_event(const struct opened_store *opened, const struct parked_report_row *row, struct buf *out)
{
    struct intake *intake = NULL;
    struct intake_answer answer = {.verdict = INTAKE_BAD};
    struct incoming incoming = {.at = row->at,
                                .has_key = row->event.has_key,
                                .is_null = row->event.is_null,
                                .key = row->event.key,
                                .type = row->event.type,
                                .value = row->event.value};
    struct arena arena = ARENA_INIT;
    ProtobufCMessage *message;
    struct buf json = BUF_INIT, canonical = BUF_INIT;
    struct err ignored;
    bool is_read = false;

    if (row->event.is_null) {
        buf_add_literal(out, "null");
        return;
    }
    if (intake_new(opened->views, &opened->generation->settings, &intake, &ignored) == 0)
        answer = intake_judge(intake, &incoming, &ignored);
    if (answer.plan != NULL && message_decode(answer.plan->event, answer.event, &arena, &message, &ignored) == 0) {
        struct render_plan *plan = render_plan_new_message(answer.plan->event);
        message_encode(message_copy(message, &arena), &canonical);
        is_read = render_json(plan, NULL, buf_span(&canonical), &json, &ignored) == 0;
        render_plan_free(&plan);
    }
    if (is_read)
        buf_add_span(out, buf_span(&json));
    else
        json_add_base64(out, row->event.value);
    buf_release(&json);
    buf_release(&canonical);
    arena_release(&arena);
    intake_free(&intake);
}

void parked_report_json(const struct opened_store *opened, const struct parked_report_row *rows, size_t count,
                        bool with_message, bool with_values, struct buf *out)
{
    buf_add_byte(out, '[');
    for (size_t i = 0; i < count; i++) {
        const struct parked_report_row *row = &rows[i];
        buf_add_text(out, i > 0 ? ",{\"topic\":" : "{\"topic\":");
        add_text(out, span_of_text(opened->generation->settings.topics[row->at.topic]));
        buf_add_format(out, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",\"key\":", row->at.partition,
                       row->at.offset);
        if (row->event.has_key)
            add_text(out, row->event.key);
        else
            buf_add_literal(out, "null");
        buf_add_literal(out, ",\"type\":");
        add_text(out, row->event.type);
        buf_add_format(out, ",\"reason\":\"%s\",\"time\":%" PRId64 ",\"waiting\":%zu",
                       park_reason_name(row->event.reason), row->event.time_ms, row->waiting);
        if (with_message) {
            buf_add_literal(out, ",\"message\":");
            add_text(out, row->event.message);
        }
        if (with_values) {
            buf_add_literal(out, ",\"event\":");
            add_event(opened, row, out);
        }
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

/* A key for people: text without control characters, else base64. */
static const char *shown_key(const struct parked_event *event, struct buf *text)
{
    struct buf json = BUF_INIT;
    bool is_plain = event->has_key && json_add_string(&json, event->key) && json.len == event->key.len + 2;

    buf_clear(text);
    if (!event->has_key) {
        buf_add_literal(text, "(none)");
    } else if (is_plain) {
        buf_add_span(text, event->key);
    } else {
        buf_clear(&json);
        json_add_base64(&json, event->key);
        buf_add(text, json.at + 1, json.len - 2); /* without the quotes */
    }
    buf_release(&json);
    return buf_text(text);
}

static void shown_time(int64_t time_ms, char text[32])
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm utc;

    if (gmtime_r(&seconds, &utc) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(text, 32, "%" PRId64, time_ms);
}

void parked_report_print(const struct opened_store *opened, const struct parked_report_row *rows, size_t count)
{
    static const char *const headings[] = {"POSITION", "KEY", "TYPE", "REASON", "TIME", ">WAITING"};
    struct buf key = BUF_INIT;
    struct table table;

    table_init(&table, headings, ARRAY_COUNT(headings));
    for (size_t i = 0; i < count; i++) {
        char time_text[32];
        shown_time(rows[i].event.time_ms, time_text);
        table_add(&table, "%s/%" PRId32 "@%" PRId64, opened->generation->settings.topics[rows[i].at.topic],
                  rows[i].at.partition, rows[i].at.offset);
        table_add(&table, "%s", shown_key(&rows[i].event, &key));
        table_add(&table, "%.*s", SPAN_ARGS(rows[i].event.type));
        table_add(&table, "%s", park_reason_name(rows[i].event.reason));
        table_add(&table, "%s", time_text);
        table_add(&table, "%zu", rows[i].waiting);
    }
    table_print(&table, stdout);
    table_release(&table);
    buf_release(&key);
}

void parked_report_print_unit(const struct opened_store *opened, const struct parked_report_row *rows, size_t count,
                              bool with_values)
{
    for (size_t i = 0; i < count; i++) {
        const struct parked_report_row *row = &rows[i];
        char time_text[32];
        shown_time(row->event.time_ms, time_text);
        printf("%s/%" PRId32 "@%" PRId64 "  %s  %.*s\n", opened->generation->settings.topics[row->at.topic],
               row->at.partition, row->at.offset, time_text, SPAN_ARGS(row->event.type));
        printf("  %s%s%.*s\n", park_reason_name(row->event.reason), row->event.message.len > 0 ? ": " : "",
               SPAN_ARGS(row->event.message));
        if (with_values) {
            struct buf event = BUF_INIT;
            add_event(opened, row, &event);
            printf("  %.*s\n", SPAN_ARGS(buf_span(&event)));
            buf_release(&event);
        }
    }
}
