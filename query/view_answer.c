/* The generation of the owner whom the URL names is chosen before anything else, and the whole answer comes from it.
 * The steps of an answer stand in answer_from_generation(), in order: read the URL, wait for the position that is asked
 * for, find the view, say how fresh it is, render it, and leave the body out when the client has it already. A step that
 * ends the answer early has written it.
 *
 * The entity tag is the hash of the bytes that are served, so it changes exactly when they do, whatever has happened to
 * stored bytes, fields or representation. Rendering for nothing costs about a microsecond; a tag kept beside the view
 * would have to be kept for each representation and selection. */
#include "query/view_answer.h"

#include <inttypes.h>
#include <stdio.h>

#include "ops/runtime/log.h"
#include "ops/runtime/metrics.h"
#include "query/at_least.h"
#include "query/negotiation.h"
#include "query/request_side.h"
#include "schema/base/hash.h"
#include "schema/view/key.h"

enum { FAULT_LOG_MS = 1000 };

/* What the URL and the header fields ask for. */
struct asked {
    const struct served_view *view;
    struct span *segments; /* decoded */
    size_t segment_count;
    const struct field_selection *fields;
    struct at_least at_least;
    enum representation representation;
};

enum step { GO_ON, ANSWERED, WAIT };

static enum http_outcome answer_from_generation(struct query_loop *loop, const struct http_request *request,
                                                struct http_wait *wait, struct http_answer *answer);
static enum step read_url(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                          struct http_answer *answer);
static enum step read_path(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                           struct http_answer *answer);
static enum step read_query(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                            struct http_answer *answer);
static enum step read_fields(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                             struct http_answer *answer);
static enum step read_key(struct query_loop *loop, const struct http_request *request, const struct asked *asked,
                          struct http_answer *answer);
static enum step await_position(struct query_loop *loop, const struct asked *asked, unsigned range,
                                struct http_wait *wait, struct http_answer *answer, bool *ret_is_in_vain);
static int add_freshness(struct query_loop *loop, const struct key_partitions *partitions, struct http_answer *answer,
                         struct err *err);
static int find_view(struct query_loop *loop, const struct asked *asked, const struct key_partitions *partitions,
                     struct stored_view *ret_stored, struct err *err);
static int render(const struct asked *asked, struct span stored, struct http_answer *answer, struct err *err);
static void add_entity(const struct http_request *request, const struct asked *asked, struct query_counters *counters,
                       struct http_answer *answer);

static enum step problem(struct http_answer *answer, int status, const struct err *err)
{
    http_answer_problem(answer, status, "%s", err->text);
    return ANSWERED;
}

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
        figures_count_answer(loop->generation->figures, answer->status,
                             clock_monotonic_us(loop->query->clock) - wait->began_us);
    return outcome;
}

static enum http_outcome answer_from_generation(struct query_loop *loop, const struct http_request *request,
                                                struct http_wait *wait, struct http_answer *answer)
{
    struct asked asked = {.at_least.wait_ms = AT_LEAST_WAIT_MS};
    struct key_partitions partitions;
    struct stored_view stored;
    struct err err;
    bool is_in_vain = false;

    if (read_url(loop, request, &asked, answer) == ANSWERED)
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
        enum step step = await_position(loop, &asked, partitions.range, wait, answer, &is_in_vain);
        if (step != GO_ON)
            return step == WAIT ? HTTP_WAITING : HTTP_ANSWERED;
    }
    if (add_freshness(loop, &partitions, answer, &err) < 0)
        return fault(loop, answer, &err);
    if (is_in_vain) {
        http_answer_header(answer, "Retry-After", "1");
        http_answer_problem(answer, 409, "the store doesn't have the position of Tarn-At-Least yet");
        return HTTP_ANSWERED;
    }

    rc = find_view(loop, &asked, &partitions, &stored, &err);
    if (rc == ERR_ABSENT) {
        metric_add(&loop->query->counters.views_absent, 1);
        metric_add(&loop->generation->figures->views_absent, 1);
        http_answer_problem(answer, 404, "there is no such %s", asked.view->view->name);
        return HTTP_ANSWERED;
    }
    if (rc == 0)
        rc = render(&asked, stored.bytes, answer, &err);
    if (rc == ERR_INPUT) {
        http_answer_problem(answer, 500, "this %s can't be written as JSON (%s); ask for application/x-protobuf",
                            asked.view->view->name, err.text);
        return HTTP_ANSWERED;
    }
    if (rc < 0)
        return fault(loop, answer, &err);
    add_entity(request, &asked, &loop->query->counters, answer);
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
    struct err err;

    if (!query_loop_has_generation(loop) || !query_loop_choose_serial(loop, (uint64_t)wait->note[0]))
        return false; /* asked again from the beginning */
    if (query_loop_snapshot(loop, &err) < 0)
        return true;
    return freshness_next_offset(loop->freshness, (uint16_t)(wait->note[1] >> 32), (int32_t)wait->note[1],
                                 (unsigned)wait->note[2], &next_offset, &err) == 0 &&
           next_offset <= wait->note[3];
}

/* --- the URL -------------------------------------------------------------------------------------------------------- */

static enum step read_url(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                          struct http_answer *answer)
{
    if (read_path(loop, request, asked, answer) == ANSWERED)
        return ANSWERED;
    if (request->query.len > 0 && read_query(loop, request, asked, answer) == ANSWERED)
        return ANSWERED;
    if (read_key(loop, request, asked, answer) == ANSWERED)
        return ANSWERED;
    return read_fields(loop, request, asked, answer);
}

/* The part of *path up to the next slash, decoded; *path moves behind it. False at the end. */
static bool next_segment(struct span *path, struct arena *arena, struct span *ret_segment, bool *ret_ok)
{
    const char *at = path->at;

    if (path->at == NULL)
        return false;
    const char *slash = path->len > 0 ? memchr(at, '/', path->len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - at) : path->len;
    *ret_ok = url_decode(span_of(at, len), false, arena, ret_segment);
    *path = slash != NULL ? span_of(slash + 1, path->len - len - 1) : span_of(NULL, 0);
    return true;
}

/* What a later version brings, by the look of the URL. */
static bool refuse_later(const struct http_request *request, const struct view *view, struct span verb,
                         size_t segment_count, struct http_answer *answer)
{
    if (span_equal_text(verb, ":batchGet")) {
        http_answer_problem(answer, 501, ":batchGet is not supported by this version; get one view after the other");
        return true;
    }
    if (verb.len > 0 || segment_count >= view->key_count)
        return false;
    if (segment_count == 0 && request->query.len > 0)
        http_answer_problem(answer, 501,
                            "finding views by an indexed field is not supported by this version; give the "
                            "whole key");
    else
        http_answer_problem(answer, 501,
                            "lists of views are not supported by this version; give the whole key, which "
                            "has %zu field%s",
                            view->key_count, view->key_count > 1 ? "s" : "");
    return true;
}

static enum step check_method(const struct http_request *request, struct span verb, struct http_answer *answer)
{
    bool is_batch = span_equal_text(verb, ":batchGet");

    if (is_batch ? request->method == HTTP_POST : request->method == HTTP_GET || request->method == HTTP_HEAD)
        return GO_ON;
    http_answer_header(answer, "Allow", is_batch ? "POST" : "GET, HEAD");
    http_answer_problem(answer, 405, "%s", is_batch ? ":batchGet is a POST" : "views are read with GET and HEAD");
    return ANSWERED;
}

static enum step read_path(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                           struct http_answer *answer)
{
    const struct view_set *set = loop->generation->set;
    struct span path = span_of(span_bytes(request->path) + strlen("/v1/"), request->path.len - strlen("/v1/"));
    struct span name = {NULL, 0}, verb = {NULL, 0}, segment;
    size_t room = 1;
    bool is_ok;

    for (size_t i = 0; i < path.len; i++)
        room += span_bytes(path)[i] == '/';
    asked->segments = arena_alloc(request->arena, room * sizeof(*asked->segments));
    (void)next_segment(&path, request->arena, &name, &is_ok);
    const uint8_t *colon = is_ok && name.len > 0 ? memchr(name.at, ':', name.len) : NULL;
    if (colon != NULL) {
        verb = span_of(colon, name.len - (size_t)(colon - span_bytes(name)));
        name.len -= verb.len;
    }
    const struct view *view = is_ok ? view_set_find(set, name) : NULL;
    if (view == NULL || (verb.len > 0 && !span_equal_text(verb, ":batchGet"))) {
        http_answer_problem(answer, is_ok ? 404 : 400, is_ok ? "there is no such view" : "a malformed %% escape");
        return ANSWERED;
    }
    asked->view = &loop->generation->views[view - set->views];
    if (check_method(request, verb, answer) == ANSWERED)
        return ANSWERED;
    while (next_segment(&path, request->arena, &segment, &is_ok)) {
        if (!is_ok) {
            http_answer_problem(answer, 400, "%s: a malformed %% escape",
                                asked->segment_count < view->key_count ? view->keys[asked->segment_count]->name
                                                                       : "key");
            return ANSWERED;
        }
        asked->segments[asked->segment_count++] = segment;
    }
    if (asked->segment_count == 1 && asked->segments[0].len == 0 && view->key_count > 1)
        asked->segment_count = 0; /* "/v1/view/" */
    if (refuse_later(request, view, verb, asked->segment_count, answer))
        return ANSWERED;
    if (asked->segment_count > view->key_count) {
        http_answer_problem(answer, 400, "the key has %zu field%s, the URL gives %zu", view->key_count,
                            view->key_count > 1 ? "s" : "", asked->segment_count);
        return ANSWERED;
    }
    return GO_ON;
}

static enum step read_parameter(struct query_loop *loop, const struct http_request *request, struct span name,
                                struct span value, struct asked *asked, struct http_answer *answer)
{
    struct err err;
    int rc;

    if (span_equal_text(name, "fields")) {
        rc = field_selection_parse(asked->view->render, value, request->arena, &asked->fields, &err);
    } else if (span_equal_text(name, "at-least")) {
        rc = at_least_add(&loop->generation->generation->settings, value, request->arena, &asked->at_least, &err);
    } else if (span_equal_text(name, "wait")) {
        rc = at_least_parse_wait(value, &asked->at_least.wait_ms, &err);
    } else {
        rc = err_set(&err, ERR_INPUT, "unknown parameter \"%.*s\"; there are fields, at-least and wait",
                     SPAN_ARGS(name));
    }
    return rc == 0 ? GO_ON : problem(answer, rc == ERR_AGAIN ? 501 : 400, &err);
}

static enum step read_query(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                            struct http_answer *answer)
{
    struct span query = request->query, name, value;
    bool is_ok;

    while (url_query_next(&query, request->arena, &name, &value, &is_ok)) {
        if (!is_ok) {
            http_answer_problem(answer, 400, "a malformed %% escape behind the question mark");
            return ANSWERED;
        }
        if (read_parameter(loop, request, name, value, asked, answer) == ANSWERED)
            return ANSWERED;
    }
    return GO_ON;
}

static enum step read_fields(struct query_loop *loop, const struct http_request *request, struct asked *asked,
                             struct http_answer *answer)
{
    struct span accept = http_request_header(request, "Accept");
    struct span at_least = http_request_header(request, "Tarn-At-Least");
    struct err err;
    int rc = 0;

    if (at_least.len > 0 || (at_least.at != NULL && http_request_has_header(request, "Tarn-At-Least")))
        rc = at_least_add(&loop->generation->generation->settings, at_least, request->arena, &asked->at_least, &err);
    if (rc == 0 && http_request_has_header(request, "Tarn-Wait"))
        rc = at_least_parse_wait(http_request_header(request, "Tarn-Wait"), &asked->at_least.wait_ms, &err);
    if (rc < 0)
        return problem(answer, rc == ERR_AGAIN ? 501 : 400, &err);

    asked->representation = negotiate(accept);
    if (asked->representation == REPRESENTATION_EVENT_STREAM) {
        http_answer_problem(answer, 501, "text/event-stream is not supported by this version; poll with If-None-Match");
        return ANSWERED;
    }
    if (asked->representation == REPRESENTATION_NONE) {
        http_answer_problem(answer, 406, "views are application/json or application/x-protobuf");
        return ANSWERED;
    }
    return GO_ON;
}

static enum step read_key(struct query_loop *loop, const struct http_request *request, const struct asked *asked,
                          struct http_answer *answer)
{
    struct err err;

    buf_clear(&loop->key);
    buf_clear(&loop->owner);
    int rc = key_parse(asked->view->view, asked->segments, asked->segment_count, request->arena, &loop->key,
                       &loop->owner, &err);
    return rc == 0 ? GO_ON : problem(answer, 400, &err);
}

/* --- the store ------------------------------------------------------------------------------------------------------ */

static enum step await_position(struct query_loop *loop, const struct asked *asked, unsigned range,
                                struct http_wait *wait, struct http_answer *answer, bool *ret_is_in_vain)
{
    const struct at_least_item *missing;
    struct err err;

    int rc = at_least_missing(&asked->at_least, loop->freshness, range, &loop->generation->generation->settings,
                              &missing, &err);
    if (rc == ERR_INPUT)
        return problem(answer, 400, &err);
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
    wait->note[1] = (int64_t)missing->topic << 32 | missing->partition;
    wait->note[2] = range;
    wait->note[3] = missing->offset;
    return WAIT;
}

static int add_freshness(struct query_loop *loop, const struct key_partitions *partitions, struct http_answer *answer,
                         struct err *err)
{
    struct buf *headers = answer->headers;
    bool is_incomplete = false;
    int64_t age_s = 0;
    char age[24];

    buf_add_span(headers, buf_span(&loop->generation->headers));
    int rc = freshness_age_s(loop->freshness, partitions, query_loop_now_ms(loop), &age_s, err);
    if (rc < 0)
        return rc;
    buf_add_literal(headers, "Tarn-Age: ");
    buf_add(headers, age, (size_t)snprintf(age, sizeof(age), "%" PRId64, age_s));
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

static int find_view(struct query_loop *loop, const struct asked *asked, const struct key_partitions *partitions,
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
    *ret_stored = stored;
    return 0;
}

/* --- the answer ----------------------------------------------------------------------------------------------------- */

static int render(const struct asked *asked, struct span stored, struct http_answer *answer, struct err *err)
{
    if (asked->representation == REPRESENTATION_JSON)
        return render_json(asked->view->render, asked->fields, stored, answer->body, err);
    if (asked->fields != NULL || !render_is_identity(asked->view->render))
        return render_protobuf(asked->view->render, asked->fields, stored, answer->body, err);
    answer->body_borrowed = stored.at != NULL ? stored : SPAN_LITERAL("");
    return 0;
}

static void add_entity(const struct http_request *request, const struct asked *asked, struct query_counters *counters,
                       struct http_answer *answer)
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
    buf_add_literal(answer->headers, "\r\n");
    metric_add(&counters->views, 1);

    struct span if_none_match = http_request_header(request, "If-None-Match");
    if (if_none_match.len > 0 && etag_matches(if_none_match, span_of(etag, sizeof(etag)))) {
        metric_add(&counters->views_not_modified, 1);
        answer->status = 304;
        return;
    }
    buf_add_literal(answer->headers, "Content-Type: ");
    buf_add_text(answer->headers, representation_types[asked->representation]);
    buf_add_literal(answer->headers, "\r\n");
}
