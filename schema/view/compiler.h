/* schema/view/compiler.h - what the parts of the compiler share while one descriptor set is compiled. */
#ifndef TARN_VIEW_COMPILER_H
#define TARN_VIEW_COMPILER_H

#include "schema/view/mistakes.h"
#include "schema/view/options.h"
#include "schema/view/pair_map.h"

/* Bounds on what somebody else's descriptor set may ask for. */
enum {
    VIEWS_MAX = 1000,
    HANDLERS_MAX = 10000,
    FROM_MAX = 1000,           /* entries of one handler */
    ASSIGNMENTS_MAX = 1000000, /* of all handlers */
    KEY_FIELDS_MAX = 16,
    ANNOUNCEMENTS_MAX = 100, /* of one view */
    ANNOUNCEMENT_NAME_MAX = 255,
    VIEW_TYPES_MAX = 200000, /* message types, counted once for every view that holds them */
    SUGGESTION_NAMES_MAX = 200000, /* names compared for "did you mean", over all mistakes */
};

struct compiler {
    const struct type_set *types;
    struct arena *arena;   /* what the plan keeps */
    struct arena scratch;  /* what goes with the compiler */
    struct mistakes *mistakes;
    struct pair_map facts;       /* message type -> struct type_facts (field_rules.h) */
    struct pair_map conversions; /* target type, source type -> not NULL: looked at (convert.h) */
    size_t view_type_count;      /* against VIEW_TYPES_MAX */
    size_t assignment_count;     /* against ASSIGNMENTS_MAX */
    size_t suggestion_count;     /* against SUGGESTION_NAMES_MAX */
};

/* A handler on its way into the plan. */
struct handler_draft {
    struct handler *handler;
    const Tarn__Handler *options;
    const char *place;       /* `GeneticResult.on[2] (genetics.v1.MarkerReinterpreted)` */
    const char *stream_name; /* NULL: a mistake */
    bool is_whole;           /* free of mistakes as far as its own text goes */
};

/* A view on its way into the plan. */
struct view_draft {
    struct view *view;
    const Tarn__View *options;
    const char *place; /* `GeneticResult` */
    struct handler_draft *handlers;
    const struct message_type **types; /* reachable from the view's type, which is the first */
    size_t type_count;
};

#endif
