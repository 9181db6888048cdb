/* query/served_generation.h - one generation, opened for answering from it. */
#ifndef TARN_QUERY_SERVED_GENERATION_H
#define TARN_QUERY_SERVED_GENERATION_H

#include <stdatomic.h>

#include "query/generation_figures.h"
#include "schema/json/render.h"
#include "schema/store/generation.h"
#include "schema/store/store.h"
#include "schema/view/plan.h"

/* What one view needs besides its plan. */
struct served_view {
    const struct view *view;
    struct render_plan *render;
    uint16_t *topics; /* numbers of the topics that feed it, ascending */
    size_t topic_count;
};

struct served_generation {
    struct generation *generation;
    struct view_set *set;
    struct store *store;
    uint64_t device, inode;             /* of its folder */
    struct served_view *views;          /* beside set->views */
    struct buf headers;                 /* lines that every answer about a key carries */
    struct buf openapi;                 /* /openapi.json */
    uint64_t serial;                    /* of the openings of this process, from 1 */
    struct generation_figures *figures; /* never NULL */
    atomic_bool is_filled;              /* it has been caught up once, or was promoted all the same; stays so */
    _Atomic size_t references;          /* sets that name it, and who reads it ahead; 0: served.c closes it */
    bool is_read_ahead;                 /* or about to be */
    struct served_generation *next;     /* of those that served.c has open */
};

/* As generation_open(), view_set_load() and store_open() say. ERR_AGAIN: too many are open. References: none. */
MUST_CHECK int served_generation_open(const char *directory, const char *name, uint64_t serial,
                                      struct figures_table *figures, struct served_generation **ret_generation,
                                      struct err *err);
void served_generation_close(struct served_generation **generation, struct figures_table *figures);

/* A store that was removed and made anew from the same schema has the same name and is another one. */
bool served_generation_is(const struct served_generation *generation, const char *name);

/* Looks whether it has been caught up for the first time, unless that is known. */
MUST_CHECK int served_generation_look(struct served_generation *generation, struct err *err);

#endif
