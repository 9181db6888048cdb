/* query/served.h - the generation that is served: found in DIR/serving, opened, followed when it changes.
 *
 * A generation is opened once and shared by all threads; each loop holds a reference and takes up another one between
 * two turns, so an answer never mixes two. For now one generation is served at a time; the list of served ones and
 * their shares will stand in struct served, and nothing outside of served_current() will notice. */
#ifndef TARN_QUERY_SERVED_H
#define TARN_QUERY_SERVED_H

#include <stdatomic.h>

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
    uint64_t device, inode;    /* of its folder */
    struct served_view *views; /* beside set->views */
    struct buf headers;        /* lines that every answer about a key carries */
    struct buf openapi;        /* /openapi.json */
    uint64_t serial;           /* of the openings of this process, from 1 */
    atomic_bool is_filled;     /* it has been caught up once; stays so */
    _Atomic size_t references;
};

struct served;

/* directory must live as long. Opens nothing yet. */
struct served *served_new(const char *directory);
void served_free(struct served **served);

/* Looks at DIR/serving again: opens what is served now, and notes that it has been caught up for the first time. Sleeps
 * on nothing but the disk. ERR_ABSENT: there is no store yet; other kinds as store_open() says. What was served goes on
 * being served when it fails. One thread at a time. */
MUST_CHECK int served_refresh(struct served *served, struct err *err);

/* Refreshes from a thread of its own, several times a second, and logs what goes wrong; reads the first
 * read_ahead_bytes of each newly opened store ahead. */
MUST_CHECK int served_follow(struct served *served, uint64_t read_ahead_bytes, struct err *err);

/* True when `generation` (NULL: none) isn't the one to serve now. Cheap: for each turn of a loop. */
bool served_has_changed(const struct served *served, const struct served_generation *generation);

/* The generation to serve now, with a reference, or NULL. */
struct served_generation *served_current(struct served *served);
void served_generation_release(struct served_generation **generation);

#endif
