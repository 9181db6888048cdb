/* A list with a chained hash index on top. Most events touch a few views, a hostile one with `each` hundreds of
 * thousands: the index begins with a handful of buckets and doubles, so that neither pays for the other. */
#include "projector/working_set.h"

enum { FIRST_BUCKETS = 8 };

static uint64_t hash_of(const struct view *view, struct span key)
{
    return hash64(key) + view->number;
}

void working_set_init(struct working_set *set, struct arena *arena)
{
    *set = (struct working_set){
        .arena = arena,
        .buckets = arena_zero(arena, FIRST_BUCKETS * sizeof(struct working_view *)),
        .bucket_count = FIRST_BUCKETS,
    };
}

struct working_view *working_set_find(const struct working_set *set, const struct view *view, struct span key)
{
    if (set->count == 0)
        return NULL;
    uint64_t hash = hash_of(view, key);
    for (struct working_view *at = set->buckets[hash & (set->bucket_count - 1)]; at != NULL; at = at->next_in_bucket)
        if (at->hash == hash && at->view == view && span_equal(at->key, key))
            return at;
    return NULL;
}

static void link_into_bucket(struct working_set *set, struct working_view *view)
{
    struct working_view **bucket = &set->buckets[view->hash & (set->bucket_count - 1)];

    view->next_in_bucket = *bucket;
    *bucket = view;
}

struct working_view *working_set_add(struct working_set *set, const struct view *view, struct span key)
{
    if (set->count == set->bucket_count * 2) {
        set->bucket_count *= 8;
        set->buckets = arena_zero(set->arena, set->bucket_count * sizeof(struct working_view *));
        for (struct working_view *at = set->first; at != NULL; at = at->next)
            link_into_bucket(set, at);
    }

    struct working_view *added = arena_zero(set->arena, sizeof(*added));
    added->view = view;
    added->key = key;
    added->hash = hash_of(view, key);
    link_into_bucket(set, added);
    if (set->last != NULL)
        set->last->next = added;
    else
        set->first = added;
    set->last = added;
    set->count++;
    return added;
}
