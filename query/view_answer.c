/* The generation of the owner whom the URL names is chosen before anything else, and the whole answer comes from it.
 * The steps of an answer stand in answer_from_generation(), in order: read the request, wait for the position that is
 * asked for, say how fresh the answer is, find the view, render it, and leave the body out when the client has it
 * already. A step that ends the answer early has written it.
 *
 * The entity tag is the hash of the bytes that are served, so it changes exactly when they do, whatever has happened to
 * stored bytes, fields or representation. Rendering for nothing costs about a microsecond; a tag kept beside the view
 * would have to be kept for each representation and selection. */
#include "query/view_answer.h"

#include "ops/runtime/log.h"
#include "ops/runtime/metrics.h"
#include "query/request_side.h"
#include "query/view_request.h"
#include "schema/base/decimal.h"
#include "schema/base/hash.h"

enum { FAULT_LOG_MS = 1000, CACHE_LINE_BYTES = 64, AHEAD_BYTES = 4096 };

enum step { GO_ON, ANSWERED, WAIT };

/* In a wait's second note, where a topic and a partition would stand: it waits for an event's id. */
enum { NOTE_OF_ID = -1 };

static enum http_outcome answer_from_generation(struct query_loop *loop, const struct http_request *request,
                                                struct http_wait *wait, struct http_answer *answer);
static enum step await_position(struct query_loop *loop, const struct view_request *asked,
                                const struct key_partitions *partitions, struct http_wait *wait,
                                struct http_answer *answer, bool *ret_is_in_vain);
static int add_freshness(struct query_loop *loop, const struct key_partitions *partitions, struct http_answer *answer,
                         struct err *err);
static int find_view(struct query_loop *loop, const struct view_request *asked, const struct key_partitions *partitions,
                     struct stored_view *ret_stored, struct err *err);
static int render(const struct view_request *asked, struct span stored, struct http_answer *answer, struct err *err);
static void add_entity(struct query_loop *loop, const struct view_request *asked, struct http_answer *answer);

/* Our fault: the client gets no details, the log gets a line, and not thousands of them. */
static enum http_outcome fault(struct query_loop *loop, struct http_answer *answer, const struct err *err)
{
    int64_t now_ms = query_loop_now_ms(loop);

    metric_add(&loop->query->counters.faults, 1);
    if (now_ms - loop->fault_at_ms >= FAULT_LOG_MS) {
        log_error("a view can't be answered: %s", err->text);
        loop->fault_at_ms = now_ms;
    }
    buf_clear(answer->headers);
    http_answer_problem(answer, err->kind == ERR_AGAIN ? 503 : 500,
                        "the store can't be read; the server's log says why");
    return HTTP_ANSWERED;
}

enum http_outcome view_answer(struct query_loop *loop, const struct http_request *request, struct http_wait *wait,
                              struct http_answer *answer)
{
    if (!query_loop_has_generation(loop)) {
        http_answer_header(answer, "Retry-After", "1");
        http_answer_problem(answer, 503, "there is no store yet");
        return HTTP_ANSWERED;
    }
    query_loop_choose(loop, request_side(loop, request));
    enum http_outcome outcome = answer_from_generation(loop, request, wait, answer);
    if (outcome == HTTP_ANSWERED)
        figures_tally_answer(&loop->side->tally, answer->status,
                             clock_monotonic_us(loop->query->clock) - wait->began_us);
    return outcome;
}

static enum http_outcome answer_from_generation(struct query_loop *loop, const struct http_request *request,
                                                struct http_wait *wait, struct http_answer *answer)
{
    struct view_request asked;
    struct key_partitions partitions;
    struct stored_view stored;
    struct err err;
    bool is_in_vain = false;

    if (!view_request_read(loop, request, &asked, answer))
        return HTTP_ANSWERED;
    if (!atomic_load_explicit(&loop->generation->is_filled, memory_order_relaxed)) {
        http_answer_header(answer, "Retry-After", "1");
        http_answer_header(answer, "Tarn-Generation", "%s", loop->generation->generation->name);
        http_answer_problem(answer, 503, "the store is being filled for the first time");
        return HTTP_ANSWERED;
    }

    int rc = query_loop_snapshot(loop, &err);
    if (rc == 0)
        rc = freshness_partitions(loop->freshness, asked.view->topics, asked.view->topic_count, buf_span(&loop->owner),
                                  request->arena, &partitions, &err);
    if (rc < 0)
        return fault(loop, answer, &err);
    if (asked.at_least.count > 0) {
        enum step step = await_position(loop, &asked, &partitions, wait, answer, &is_in_vain);
        if (step != GO_ON)
            return step == WAIT ? HTTP_WAITING : HTTP_ANSWERED;
    }
    int found = find_view(loop, &asked, &partitions, &stored, &err);
    if (found < 0 && found != ERR_ABSENT)
        return fault(loop, answer, &err);
    if (add_freshness(loop, &partitions, answer, &err) < 0)
        return fault(loop, answer, &err);
    if (is_in_vain) {
        http_answer_header(answer, "Retry-After", "1");
        http_answer_problem(answer, 409, "the store doesn't have the position of Tarn-At-Least yet");
        return HTTP_ANSWERED;
    }

    if (found == ERR_ABSENT) {
        metric_add(&loop->query->counters.views_absent, 1);
        metric_add(&loop->generation->figures->views_absent, 1);
        http_answer_problem(answer, 404, "there is no such %s", asked.view->view->name);
        return HTTP_ANSWERED;
    }
    rc = render(&asked, stored.bytes, answer, &err);
    if (rc == ERR_INPUT) {
        http_answer_problem(answer, 500, "this %s can't be written as JSON (%s); ask for application/x-protobuf",
                            asked.view->view->name, err.text);
        return HTTP_ANSWERED;
    }
    if (rc < 0)
        return fault(loop, answer, &err);
    add_entity(loop, &asked, answer);
    if (loop->exposures != NULL && request->method == HTTP_GET)
        exposure_note(loop->exposures, &(struct exposure){.view = asked.view->view,
                                                          .owner = buf_span(&loop->owner),
                                                          .owner_hash = partitions.owner_hash,
                                                          .generation = loop->generation->generation->name,
                                                          .time_ms = query_loop_now_ms(loop)});
    return HTTP_ANSWERED;
}

bool view_answer_still_waits(struct query_loop *loop, const struct http_wait *wait)
{
    int64_t next_offset;
    bool is_there;
    struct err err;

    if (!query_loop_has_generation(loop) || !query_loop_choose_serial(loop, (uint64_t)wait->note[0]))
        return false; /* asked again from the beginning */
    if (query_loop_snapshot(loop, &err) < 0)
        return true;
    if (wait->note[1] == NOTE_OF_ID)
        return freshness_has_id(loop->freshness, (uint64_t)wait->note[2], (uint64_t)wait->note[3], &is_there, &err) == 0 &&
               !is_there;
    return freshness_next_offset(loop->freshness, (uint16_t)(wait->note[1] >> 32), (int32_t)wait->note[1],
                                 (unsigned)wait->note[2], &next_offset, &err) == 0 &&
           next_offset <= wait->note[3];
}

/* --- the store ------------------------------------------------------------------------------------------------------ */

static enum step await_position(struct query_loop *loop, const struct view_request *asked,
                                const struct key_partitions *partitions, struct http_wait *wait,
                                struct http_answer *answer, bool *ret_is_in_vain)
{
    const struct at_least_item *missing;
    struct err err;

    int rc = at_least_missing(&asked->at_least, loop->freshness, partitions, &loop->generation->generation->settings,
                              &missing, &err);
    if (rc == ERR_INPUT) {
        http_answer_problem(answer, 400, "%s", err.text);
        return ANSWERED;
    }
    if (rc < 0) {
        fault(loop, answer, &err);
        return ANSWERED;
    }
    if (missing == NULL)
        return GO_ON;
    if (!wait->is_again) {
        wait->deadline_us = wait->now_us + asked->at_least.wait_ms * 1000;
        metric_add(&loop->query->counters.waits, 1);
    }
    if (wait->is_last || asked->at_least.wait_ms == 0) {
        metric_add(&loop->query->counters.waits_in_vain, 1);
        *ret_is_in_vain = true;
        return GO_ON;
    }
    wait->note[0] = (int64_t)loop->generation->serial;
    wait->note[1] = missing->is_id ? NOTE_OF_ID : (int64_t)missing->topic << 32 | missing->partition;
    wait->note[2] = missing->is_id ? (int64_t)partitions->owner_hash : (int64_t)partitions->range;
    wait->note[3] = missing->is_id ? (int64_t)missing->id_hash : missing->offset;
    return WAIT;
}

static int add_freshness(struct query_loop *loop, const struct key_partitions *partitions, struct http_answer *answer,
                         struct err *err)
{
    struct buf *headers = answer->headers;
    bool is_incomplete = false;
    int64_t age_s = 0;

    buf_add_span(headers, buf_span(&loop->generation->headers));
    int rc = freshness_age_s(loop->freshness, partitions, query_loop_now_ms(loop), &age_s, err);
    if (rc < 0)
        return rc;
    buf_add_literal(headers, "Tarn-Age: ");
    headers->len = (size_t)(decimal_put_signed(buf_reserve(headers, DECIMAL_MAX), age_s) - headers->at);
    buf_add_literal(headers, "\r\nTarn-Position: ");
    rc = freshness_position(loop->freshness, partitions, headers, err);
    if (rc < 0)
        return rc;
    buf_add_literal(headers, "\r\n");
    rc = freshness_is_incomplete(loop->freshness, partitions->owner_hash, &is_incomplete, err);
    if (rc < 0)
        return rc;
    if (is_incomplete) {
        metric_add(&loop->query->counters.views_incomplete, 1);
        metric_add(&loop->generation->figures->views_incomplete, 1);
        buf_add_literal(headers, "Tarn-Incomplete: true\r\n");
    }
    return 0;
}

static int find_view(struct query_loop *loop, const struct view_request *asked, const struct key_partitions *partitions,
                     struct stored_view *ret_stored, struct err *err)
{
    struct stored_view stored;
    struct span value;

    buf_clear(&loop->row_key);
    layout_view_key(partitions->owner_hash, asked->view->view->number, buf_span(&loop->key), &loop->row_key);
    int rc = store_find(loop->reader, TABLE_VIEWS, buf_span(&loop->row_key), &value, err);
    if (rc == 0)
        rc = layout_parse_view_value(value, &stored, err);
    if (rc < 0)
        return rc;
    if (!stored.is_made)
        return ERR_ABSENT;
    /* Nobody has touched them yet in this turn: they are on their way while the answer's header is written. */
    for (size_t at = 0; at < stored.bytes.len && at < AHEAD_BYTES; at += CACHE_LINE_BYTES)
        __builtin_prefetch(span_bytes(stored.bytes) + at);
    *ret_stored = stored;
    return 0;
}

/* --- the answer ----------------------------------------------------------------------------------------------------- */

static int render(const struct view_request *asked, struct span stored, struct http_answer *answer, struct err *err)
{
    if (asked->representation == REPRESENTATION_JSON)
        return render_json(asked->view->render, asked->fields, stored, answer->body, err);
    if (!render_leaves_as_stored(asked->view->render, asked->fields, stored))
        return render_protobuf(asked->view->render, asked->fields, stored, answer->body, err);
    answer->body_borrowed = stored.at != NULL ? stored : SPAN_LITERAL("");
    return 0;
}

static void add_entity(struct query_loop *loop, const struct view_request *asked, struct http_answer *answer)
{
    static const char digits[] = "0123456789abcdef";
    struct span body = answer->body_borrowed.at != NULL ? answer->body_borrowed : buf_span(answer->body);
    uint64_t hash = hash64(body);
    char etag[18];

    etag[0] = etag[17] = '"';
    for (int i = 0; i < 16; i++)
        etag[i + 1] = digits[hash >> (60 - 4 * i) & 15];
    buf_add_literal(answer->headers, "ETag: ");
    buf_add(answer->headers, etag, sizeof(etag));
    loop->views_found++;
    if (asked->if_none_match.len > 0 && etag_matches(asked->if_none_match, span_of(etag, sizeof(etag)))) {
        metric_add(&loop->query->counters.views_not_modified, 1);
        answer->status = 304;
        buf_add_literal(answer->headers, "\r\n");
        return;
    }
    buf_add_literal(answer->headers, "\r\nContent-Type: ");
    buf_add_text(answer->headers, representation_types[asked->representation]);
    buf_add_literal(answer->headers, "\r\n");
}
