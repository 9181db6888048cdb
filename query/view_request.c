/* The view's name comes first in the path, and says how many segments may follow. Each step answers what it can't take, and says so with false. */
#include "query/view_request.h"

#include "schema/view/key.h"

/* The segments of the path behind the view's name, decoded. */
struct segments {
    struct span *at; /* as many as the view's key has */
    size_t count;    /* may be more */
};

static bool read_path(struct query_loop *loop, const struct http_request *request, struct view_request *asked,
                      struct segments *segments, struct http_answer *answer);
static bool read_query(struct query_loop *loop, const struct http_request *request, struct view_request *asked,
                       struct http_answer *answer);
static bool read_fields(struct query_loop *loop, const struct http_request *request, struct view_request *asked,
                        struct http_answer *answer);
static bool read_key(struct query_loop *loop, const struct http_request *request, const struct view_request *asked,
                     const struct segments *segments, struct http_answer *answer);

static bool refuse(struct http_answer *answer, int status, const struct err *err)
{
    http_answer_problem(answer, status, "%s", err->text);
    return false;
}

bool view_request_read(struct query_loop *loop, const struct http_request *request, struct view_request *ret_request,
                       struct http_answer *answer)
{
    struct view_request asked = {.at_least.wait_ms = AT_LEAST_WAIT_MS};
    struct segments segments = {NULL, 0};

    if (!read_path(loop, request, &asked, &segments, answer) ||
        (request->query.len > 0 && !read_query(loop, request, &asked, answer)) ||
        !read_key(loop, request, &asked, &segments, answer) || !read_fields(loop, request, &asked, answer))
        return false;
    *ret_request = asked;
    return true;
}

/* --- the path ------------------------------------------------------------------------------------------------------- */

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

static bool check_method(const struct http_request *request, struct span verb, struct http_answer *answer)
{
    bool is_batch = span_equal_text(verb, ":batchGet");

    if (is_batch ? request->method == HTTP_POST : request->method == HTTP_GET || request->method == HTTP_HEAD)
        return true;
    http_answer_header(answer, "Allow", is_batch ? "POST" : "GET, HEAD");
    http_answer_problem(answer, 405, "%s", is_batch ? ":batchGet is a POST" : "views are read with GET and HEAD");
    return false;
}

static bool read_path(struct query_loop *loop, const struct http_request *request, struct view_request *asked,
                      struct segments *segments, struct http_answer *answer)
{
    const struct view_set *set = loop->generation->set;
    struct span path = span_of(span_bytes(request->path) + strlen("/v1/"), request->path.len - strlen("/v1/"));
    struct span name = {NULL, 0}, verb = {NULL, 0}, segment;
    bool is_ok;

    (void)next_segment(&path, request->arena, &name, &is_ok);
    const uint8_t *colon = is_ok && name.len > 0 ? memchr(name.at, ':', name.len) : NULL;
    if (colon != NULL) {
        verb = span_of(colon, name.len - (size_t)(colon - span_bytes(name)));
        name.len -= verb.len;
    }
    const struct view *view = is_ok ? view_set_find(set, name) : NULL;
    if (view == NULL || (verb.len > 0 && !span_equal_text(verb, ":batchGet"))) {
        http_answer_problem(answer, is_ok ? 404 : 400, is_ok ? "there is no such view" : "a malformed %% escape");
        return false;
    }
    asked->view = &loop->generation->views[view - set->views];
    if (!check_method(request, verb, answer))
        return false;
    segments->at = arena_alloc(request->arena, view->key_count * sizeof(*segments->at));
    for (; next_segment(&path, request->arena, &segment, &is_ok); segments->count++) {
        if (!is_ok) {
            http_answer_problem(answer, 400, "%s: a malformed %% escape",
                                segments->count < view->key_count ? view->keys[segments->count]->name : "key");
            return false;
        }
        if (segments->count < view->key_count)
            segments->at[segments->count] = segment;
    }
    if (segments->count == 1 && segments->at[0].len == 0 && view->key_count > 1)
        segments->count = 0; /* "/v1/view/" */
    if (refuse_later(request, view, verb, segments->count, answer))
        return false;
    if (segments->count > view->key_count) {
        http_answer_problem(answer, 400, "the key has %zu field%s, the URL gives %zu", view->key_count,
                            view->key_count > 1 ? "s" : "", segments->count);
        return false;
    }
    return true;
}

static bool read_key(struct query_loop *loop, const struct http_request *request, const struct view_request *asked,
                     const struct segments *segments, struct http_answer *answer)
{
    struct err err;

    buf_clear(&loop->key);
    buf_clear(&loop->owner);
    int rc =
        key_parse(asked->view->view, segments->at, segments->count, request->arena, &loop->key, &loop->owner, &err);
    return rc == 0 || refuse(answer, 400, &err);
}

/* --- what may stand behind the question mark ------------------------------------------------------------------------ */

static bool read_parameter(struct query_loop *loop, const struct http_request *request, struct span name,
                           struct span value, struct view_request *asked, struct http_answer *answer)
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
    return rc == 0 || refuse(answer, 400, &err);
}

static bool read_query(struct query_loop *loop, const struct http_request *request, struct view_request *asked,
                       struct http_answer *answer)
{
    struct span query = request->query, name, value;
    bool is_ok;

    while (url_query_next(&query, request->arena, &name, &value, &is_ok)) {
        if (!is_ok) {
            http_answer_problem(answer, 400, "a malformed %% escape behind the question mark");
            return false;
        }
        if (!read_parameter(loop, request, name, value, asked, answer))
            return false;
    }
    return true;
}

/* --- header fields -------------------------------------------------------------------------------------------------- */

static bool read_fields(struct query_loop *loop, const struct http_request *request, struct view_request *asked,
                        struct http_answer *answer)
{
    struct span at_least = http_request_header(request, "Tarn-At-Least");
    struct span wait = http_request_header(request, "Tarn-Wait");
    struct err err;
    int rc = 0;

    if (at_least.at != NULL)
        rc = at_least_add(&loop->generation->generation->settings, at_least, request->arena, &asked->at_least, &err);
    if (rc == 0 && wait.at != NULL)
        rc = at_least_parse_wait(wait, &asked->at_least.wait_ms, &err);
    if (rc < 0)
        return refuse(answer, 400, &err);

    asked->if_none_match = http_request_header(request, "If-None-Match");
    asked->representation = negotiate(http_request_header(request, "Accept"));
    if (asked->representation == REPRESENTATION_EVENT_STREAM) {
        http_answer_problem(answer, 501, "text/event-stream is not supported by this version; poll with If-None-Match");
        return false;
    }
    if (asked->representation == REPRESENTATION_NONE) {
        http_answer_problem(answer, 406, "views are application/json or application/x-protobuf");
        return false;
    }
    return true;
}
