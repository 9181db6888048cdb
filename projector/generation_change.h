/* projector/generation_change.h - what is done to the set of generations: made, promoted, rolled back, dropped.
 *
 * One implementation for the running projector, which takes requests (schema/store/control.h), and for a command that
 * holds DIR/lock itself while none runs. Arguments and outcomes are the requests' JSON objects:
 *
 *     rebuild   {request: ID, schema?: FILE, topics?: [STREAM=TOPIC..], type_headers?: [..],
 *                topic_types?: [TOPIC=TYPE..], dedupe_window?, id_headers?: [..], framing?: "none"|"confluent",
 *                start?: "beginning"|"time:MS"|{"topic/p": offset, ..},
 *                sample_percent?, rate?, from_generation?: NAME}   -> {generation: NAME}
 *     promote   {generation, percent?: 100, retain_ms?, force?}     -> {shares: [[name, percent]..], was: [[..]..]}
 *     rollback  {request?: ID}                                      -> {shares, was}
 *     drop      {generation}                                        -> {}
 *
 * What isn't given is the incumbent's. Every change is idempotent: carried out again after a crash (with the same
 * `request`) it leaves what the first one left. */
#ifndef TARN_PROJECTOR_GENERATION_CHANGE_H
#define TARN_PROJECTOR_GENERATION_CHANGE_H

#include <jansson.h>

#include "schema/base/clock.h"
#include "schema/store/generation.h"
#include "schema/store/store.h"

#define REQUEST_REBUILD  "rebuild"
#define REQUEST_PROMOTE  "promote"
#define REQUEST_ROLLBACK "rollback"
#define REQUEST_DROP     "drop"
#define REQUEST_HOLD     "hold"
#define REQUEST_RELEASE  "release"

struct changer {
    const char *directory; /* prepared; the caller holds DIR/lock */
    const struct clock_port *clock;
    /* A generation's store when this process has it open (LMDB forbids to open it twice); NULL, or NULL from it: it is
     * opened and closed as needed. */
    struct store *(*open_store)(void *self, const char *name);
    void *self;
};

/* *ret_outcome is the caller's to json_decref(). */
typedef int change_fn(const struct changer *changer, const json_t *arguments, json_t **ret_outcome, struct err *err);

/* ERR_INPUT: the schema has mistakes, topics don't fit it, an unknown start, from_generation is of another schema or
 * gone. ERR_ABSENT: nothing is served yet, so there is nothing to build beside. */
MUST_CHECK change_fn change_rebuild;

/* ERR_ABSENT: no such generation. ERR_INPUT: it is a sample, hasn't caught up or is partial (without force), or the share
 * can't be given. ERR_AGAIN: this process has it open and hasn't synced it yet. */
MUST_CHECK change_fn change_promote;

/* ERR_ABSENT: nothing was served before. ERR_INPUT: a generation of it is gone. */
MUST_CHECK change_fn change_roll_back;

/* Its store is closed in this process. ERR_INPUT: it is served. One that is gone already is no error. */
MUST_CHECK change_fn change_drop;

/* What promote asks before. */
struct change_facts {
    bool is_caught_up;  /* with every partition, once */
    bool is_partial;    /* starts later than the beginning */
    bool is_whole;      /* everything that was committed is on the disk */
    unsigned sample_percent; /* 0: no sample */
    uint64_t dedupe_window;  /* in records of a partition; 0: none */
};
MUST_CHECK int change_look(const struct changer *changer, const char *name, struct change_facts *ret_facts,
                           struct err *err);

/* At a start, before anything is opened: ends drops that were begun, throws away generations whose commits an unclean
 * reboot has taken away, and makes those anew under the same request. The caller logs what it says. */
MUST_CHECK int change_clean_up(const struct changer *changer, void (*say)(void *self, const char *sentence), void *self,
                               struct err *err);

/* Retained generations whose time is over: drops them but those that `open_store` has open, whose names it gives to
 * the caller. *ret_due: the first such; false: none. */
bool change_find_expired(const struct serving *serving, int64_t now_ms, char ret_name[GENERATION_NAME_MAX]);

#endif
