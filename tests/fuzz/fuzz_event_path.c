/* Any records, from the topic to the changed view: framing, type, key, decoding, handlers, rules. The first byte of the
 * input chooses the framing; then come records, each five bytes (which event, which key, flags, the value's length) and
 * its value. The views are kept in a table here instead of a store. Whatever comes: a record changes views or is refused
 * with a reason and a sentence; the same record gives the same effects twice; what is stored is canonical, and served. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "projector/intake.h"
#include "projector/projection.h"
#include "schema/base/mem.h"
#include "schema/json/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_MAX = 64, MARKS_MAX = 16, HEAD_BYTES = 5, VIEW_BYTES_MAX = 4096 };
enum flag { FLAG_NO_KEY = 1, FLAG_NULL = 2, FLAG_NO_TYPE = 4, FLAG_FOREIGN_TYPE = 8, FLAG_LATE = 16 };

static const char *const people[] = {"u0", "u1", "u2", "0", "7", "-7", "PAID", "", "u\xff", "a/b"};

/* What all inputs share: made once. */
static struct {
    struct view_set *views;
    struct render_plan **plans;
    struct generation_settings settings;
    struct intake *intakes[2]; /* by framing */
    struct generation_settings framed;
} fixture;

struct row {
    const struct view *view;
    struct buf key;
    struct buf bytes;
    bool is_made;
};

struct world {
    struct row rows[ROWS_MAX];
    size_t row_count;
    struct row marks[MARKS_MAX]; /* bytes unused */
    size_t mark_count;
};

static struct buf read_file(const char *path)
{
    struct buf bytes = BUF_INIT;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        fprintf(stderr, "%s isn't there: make unit-tests\n", path);
        exit(2);
    }
    while (!feof(file))
        bytes.len += fread(buf_reserve(&bytes, 4096), 1, 4096, file);
    fclose(file);
    return bytes;
}

static void load(void)
{
    static char type_header[] = "type";
    static char *type_headers[] = {type_header};
    struct buf bytes = read_file("build/protos/fold.binpb");
    struct mistakes mistakes = {NULL, 0, 0};
    struct err err;

    if (view_set_load(buf_span(&bytes), &fixture.views, &mistakes, &err) < 0)
        abort();
    buf_release(&bytes);
    mistakes_release(&mistakes);

    const struct view_set *views = fixture.views;
    fixture.plans = mem_zero(views->view_count, sizeof(*fixture.plans));
    for (size_t i = 0; i < views->view_count; i++)
        fixture.plans[i] = render_plan_new(&views->views[i]);
    struct generation_settings *settings = &fixture.settings;
    *settings = (struct generation_settings){.stream_count = views->stream_count,
                                             .topic_count = views->stream_count,
                                             .type_headers = type_headers,
                                             .type_header_count = 1,
                                             .max_view_bytes = VIEW_BYTES_MAX};
    settings->streams = mem_zero(views->stream_count, sizeof(*settings->streams));
    settings->topics = mem_zero(views->stream_count, sizeof(*settings->topics));
    for (size_t i = 0; i < views->stream_count; i++) {
        settings->streams[i] =
            (struct topic_of_stream){mem_text(views->streams[i].name), mem_text(views->streams[i].name)};
        settings->topics[i] = mem_text(views->streams[i].name);
    }
    fixture.framed = *settings;
    fixture.framed.framing = FRAMING_CONFLUENT;
    if (intake_new(views, settings, &fixture.intakes[0], &err) < 0 ||
        intake_new(views, &fixture.framed, &fixture.intakes[1], &err) < 0)
        abort();
}

/* --- the views --- */

static bool is_marked(const struct world *world, const struct view *view, struct span key)
{
    for (size_t i = 0; i < world->mark_count; i++) {
        struct span mark = buf_span(&world->marks[i].key);
        if (world->marks[i].view == view && mark.len <= key.len && memcmp(mark.at, key.at, mark.len) == 0)
            return true;
    }
    return false;
}

static struct row *row_of(struct world *world, const struct view *view, struct span key)
{
    for (size_t i = 0; i < world->row_count; i++)
        if (world->rows[i].view == view && span_equal(buf_span(&world->rows[i].key), key))
            return &world->rows[i];
    return NULL;
}

static int find_view(void *self, const struct view *view, struct span key, struct stored_view *ret_view,
                     bool *ret_is_erased, struct err *err)
{
    struct world *world = self;
    const struct row *row = row_of(world, view, key);

    (void)err;
    *ret_is_erased = is_marked(world, view, key);
    if (*ret_is_erased || row == NULL)
        return ERR_ABSENT;
    *ret_view = (struct stored_view){row->is_made, buf_span(&row->bytes)};
    return 0;
}

static void remove_row(struct world *world, struct row *row)
{
    buf_release(&row->key);
    buf_release(&row->bytes);
    *row = world->rows[--world->row_count];
}

static void put_row(struct world *world, const struct view_change *change)
{
    struct row *row = row_of(world, change->view, change->key);

    if (row == NULL) {
        if (world->row_count == ROWS_MAX)
            return;
        row = &world->rows[world->row_count++];
        *row = (struct row){.view = change->view, .key = BUF_INIT, .bytes = BUF_INIT};
        buf_add_span(&row->key, change->key);
    }
    buf_clear(&row->bytes);
    buf_add_span(&row->bytes, change->after.bytes);
    row->is_made = change->after.is_made;
}

static void install(struct world *world, const struct projection_effects *effects)
{
    for (size_t i = 0; i < effects->change_count; i++) {
        struct row *row = row_of(world, effects->changes[i].view, effects->changes[i].key);
        if (!effects->changes[i].is_gone)
            put_row(world, &effects->changes[i]);
        else if (row != NULL)
            remove_row(world, row);
    }
    for (size_t i = 0; i < effects->erasure_count && world->mark_count < MARKS_MAX; i++) {
        const struct view_erasure *erasure = &effects->erasures[i];
        struct row *mark = &world->marks[world->mark_count++];
        *mark = (struct row){.view = erasure->view, .key = BUF_INIT, .bytes = BUF_INIT};
        buf_add_span(&mark->key, erasure->key_prefix);
        for (size_t k = world->row_count; k > 0; k--)
            if (is_marked(world, world->rows[k - 1].view, buf_span(&world->rows[k - 1].key)))
                remove_row(world, &world->rows[k - 1]);
    }
}

static void release(struct world *world)
{
    while (world->row_count > 0)
        remove_row(world, &world->rows[0]);
    for (size_t i = 0; i < world->mark_count; i++)
        buf_release(&world->marks[i].key);
}

/* --- one record --- */

static void check_change(const struct view_change *change, struct arena *arena)
{
    ProtobufCMessage *message = NULL;
    struct buf bytes = BUF_INIT;
    struct err err;

    if (change->is_gone)
        return;
    assert(change->key.len > 0 && change->key.len <= 255);
    int rc = message_decode_own(change->view->type, change->after.bytes, arena, &message, &err);
    assert(rc == 0);
    message_encode(message, &bytes);
    assert(span_equal(buf_span(&bytes), change->after.bytes));
    buf_clear(&bytes);
    rc = render_json(fixture.plans[change->view->number], NULL, change->after.bytes, &bytes, &err);
    assert(rc == 0 || rc == ERR_INPUT); /* a Timestamp out of JSON's range */
    buf_release(&bytes);
}

static void check_same(const struct projection_effects *a, const struct projection_effects *b)
{
    assert(a->change_count == b->change_count && a->erasure_count == b->erasure_count);
    assert(a->touched_count == b->touched_count && a->erased_count == b->erased_count);
    for (size_t i = 0; i < a->change_count; i++) {
        assert(a->changes[i].view == b->changes[i].view && span_equal(a->changes[i].key, b->changes[i].key));
        assert(a->changes[i].is_gone == b->changes[i].is_gone);
        assert(a->changes[i].is_gone || (a->changes[i].after.is_made == b->changes[i].after.is_made &&
                                         span_equal(a->changes[i].after.bytes, b->changes[i].after.bytes)));
    }
}

static int project(struct world *world, const struct incoming *incoming, const struct intake_answer *answer,
                   struct arena *arena, struct projection_effects *ret_effects, struct err *err)
{
    const struct record_facts facts = {incoming->time_ms, incoming->key, incoming->at.unit_hash};
    const struct projection_limits limits = {VIEW_BYTES_MAX};
    const struct view_port port = {find_view, world};
    enum park_reason reason = PARK_WAITING;
    ProtobufCMessage *message = NULL;

    if (!incoming->is_null && message_decode(answer->plan->event, answer->event, arena, &message, err) < 0)
        return ERR_INPUT;
    int rc =
        projection_apply(answer->plan, message, &facts, PROJECT_ALL, &limits, &port, arena, ret_effects, &reason, err);
    assert(rc == 0 || (rc == ERR_INPUT && reason != PARK_WAITING && err->text[0] != '\0'));
    return rc;
}

static void take(struct world *world, const struct intake *intake, const struct record *record, struct span type)
{
    struct parked_key keyless = {0, record->topic, record->partition, record->offset};
    struct incoming incoming =
        intake_incoming(intake, NULL, record, layout_unit_hash(&keyless, record->has_key, record->key));
    struct projection_effects effects, again;
    struct arena arena = ARENA_INIT;
    struct err err = {0};

    if (!record->is_null)
        incoming.type = type;
    struct intake_answer answer = intake_judge(intake, &incoming, &err);
    assert(answer.verdict != INTAKE_BAD || err.text[0] != '\0');
    if (answer.verdict == INTAKE_EVENT && project(world, &incoming, &answer, &arena, &effects, &err) == 0) {
        int rc = project(world, &incoming, &answer, &arena, &again, &err);
        assert(rc == 0);
        check_same(&effects, &again);
        for (size_t i = 0; i < effects.change_count; i++)
            check_change(&effects.changes[i], &arena);
        install(world, &effects);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.row_count = 0};

    if (fixture.views == NULL)
        load();
    if (size == 0)
        return 0;
    const struct intake *intake = fixture.intakes[data[0] & 1];
    const uint8_t *at = data + 1, *end = data + size;
    for (int64_t offset = 0; end - at >= HEAD_BYTES; offset++) {
        const struct event_plan *event = &fixture.views->events[at[0] % fixture.views->event_count];
        unsigned flags = at[2];
        size_t len = (size_t)at[3] | (size_t)at[4] << 8;
        struct record record = {.topic = (uint16_t)event->stream->number,
                                .offset = offset,
                                .has_key = (flags & FLAG_NO_KEY) == 0,
                                .is_null = (flags & FLAG_NULL) != 0,
                                .time_ms = (flags & FLAG_LATE) != 0 ? INT64_MAX : 1700000000000 + offset,
                                .key = span_of_text(people[at[1] % ARRAY_COUNT(people)])};
        struct span type = span_of_text(event->event->full_name);
        at += HEAD_BYTES;
        len = len < (size_t)(end - at) ? len : (size_t)(end - at);
        record.value = span_of(at, len);
        at += len;
        if ((flags & FLAG_NO_TYPE) != 0)
            type = span_of(NULL, 0);
        else if ((flags & FLAG_FOREIGN_TYPE) != 0)
            type = record.value;
        take(&world, intake, &record, type);
    }
    release(&world);
    return 0;
}
