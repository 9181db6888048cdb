/* A sample is taken by a salted hash of the owner, so that all of an owner's views are in it or none. */
#include "projector/verify_scope.h"

#include <stdlib.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"

int verify_scope_choose(struct verify_scope *scope, const struct view_set *set, const struct config_list *names,
                        struct err *err)
{
    scope->views = mem_zero(set->view_count + names->count, sizeof(*scope->views));
    for (size_t i = 0; names->count == 0 && i < set->view_count; i++)
        if (set->views[i].first_load_count > 0)
            scope->views[scope->view_count++] = &set->views[i];
    for (size_t i = 0; i < names->count; i++) {
        const struct view *view = view_set_find(set, span_of_text(names->items[i]));
        if (view == NULL || view->first_load_count == 0)
            return err_set(err, ERR_INPUT, "%s %s",
                           view ? "without first_load there is nothing to compare with: view" : "there is no view",
                           names->items[i]);
        scope->views[scope->view_count++] = view;
    }
    return scope->view_count > 0 ? 0 : err_set(err, ERR_INPUT, "no view of the store has a first_load");
}

void verify_scope_release(struct verify_scope *scope)
{
    free(scope->views);
    scope->views = NULL;
}

bool verify_scope_has_view(const struct verify_scope *scope, const struct view *view)
{
    for (size_t i = 0; i < scope->view_count; i++)
        if (scope->views[i] == view)
            return true;
    return false;
}

bool verify_scope_has_owner(const struct verify_scope *scope, uint64_t owner_hash)
{
    uint64_t salted = hash64(span_of(&(uint64_t[]){owner_hash, scope->sample_salt}, 2 * sizeof(uint64_t)));

    return salted % 10000 < scope->sample_per_10000;
}

bool verify_is_made_by_rows(const struct view *view)
{
    for (size_t i = 0; i < view->first_load_count; i++)
        if (view->first_loads[i].handler->is_home)
            return true;
    return false;
}

/* --- views seen --------------------------------------------------------------------------------------------------- */

static uint64_t hash_of_view(const struct view *view, struct span key)
{
    return hash64(key) ^ (uint64_t)(view->number + 1) * 0x9e3779b97f4a7c15U;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

void views_seen_add(struct views_seen *seen, const struct view *view, struct span key)
{
    seen->hashes = mem_grow(seen->hashes, seen->count, &seen->capacity, sizeof(*seen->hashes));
    seen->hashes[seen->count++] = hash_of_view(view, key);
}

void views_seen_sort(struct views_seen *seen)
{
    if (seen->count > 0)
        qsort(seen->hashes, seen->count, sizeof(*seen->hashes), by_number);
}

bool views_seen_has(const struct views_seen *seen, const struct view *view, struct span key)
{
    uint64_t hash = hash_of_view(view, key);

    return seen->count > 0 && bsearch(&hash, seen->hashes, seen->count, sizeof(hash), by_number) != NULL;
}

void views_seen_release(struct views_seen *seen)
{
    free(seen->hashes);
    *seen = (struct views_seen){0};
}
