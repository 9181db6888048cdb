/* The generations may have unlike schemas, so the URL is read with the incumbent's first and, when that has no such view
 * or key, with the candidate's: a view that only the candidate has is found by those who are on its side, and by nobody
 * else. Read before anything else of the request and only while traffic is shared; what is read here is read again with
 * the schema of the side that is chosen. */
#include "query/request_side.h"

#include "schema/base/hash.h"
#include "schema/view/key.h"

/* The next part of a path, decoded. False: there is none, or an escape is malformed. */
static bool next_part(struct span *path, struct arena *arena, struct span *ret_part)
{
    const uint8_t *slash = path->len > 0 ? memchr(path->at, '/', path->len) : NULL;
    size_t len = slash != NULL ? (size_t)(slash - span_bytes(*path)) : path->len;
    struct span part = span_of(path->at, len);

    *path = slash != NULL ? span_of(slash + 1, path->len - len - 1) : span_of(NULL, 0);
    return len > 0 && url_decode(part, false, arena, ret_part);
}

static bool read_owner(const struct view_set *set, struct span view_name, struct span segment, struct arena *arena,
                       struct buf *owner)
{
    const struct view *view = view_set_find(set, view_name);
    struct value value;
    struct err err;

    if (view == NULL || key_parse_segment(view->keys[0], segment, arena, &value, &err) < 0)
        return false;
    buf_clear(owner);
    key_owner_text(view->keys[0], value, owner);
    return true;
}

size_t request_side(struct query_loop *loop, const struct http_request *request)
{
    struct span path = request->path, view_name, segment;

    if (loop->set->shares.count == 1 || !span_starts_with(path, SPAN_LITERAL("/v1/")))
        return 0;
    path = span_of(span_bytes(path) + strlen("/v1/"), path.len - strlen("/v1/"));
    if (!next_part(&path, request->arena, &view_name) || !next_part(&path, request->arena, &segment))
        return 0;
    for (size_t i = 0; i < loop->set->shares.count; i++)
        if (read_owner(loop->set->generations[i]->set, view_name, segment, request->arena, &loop->owner))
            return serving_side(&loop->set->shares, hash64(buf_span(&loop->owner)));
    return 0;
}
