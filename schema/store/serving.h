/* schema/store/serving.h - DIR/serving: which generations are served, in which shares of the traffic, and what was served
 * before.
 *
 *     tarn-serving 2
 *     since 1764000000000
 *     7f3a9c-2 90                        the incumbent: it has what no other has
 *     91bd0e-1 10                        the candidate, while the traffic is shared
 *     was 1763990000000 7f3a9c-2 100     served from then on, newest first; rollback goes back to the newest
 *     undone 1763980000000 91bd0e-1 100  served from then on, and taken back: rollback passes it by
 *     retain 1764080000000 6aa01c-1      no longer served, fed until then; 0: until somebody drops it
 *
 * Cutting over, sharing and rolling back are nothing else than writing this file anew. Replaced by rename: a reader sees
 * the old file or the new one. Times in ms since 1970. */
#ifndef TARN_STORE_SERVING_H
#define TARN_STORE_SERVING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/base/err.h"

/* A generation's name: short hash of schema, settings and start, with an ordinal: "7f3a9c-2". */
enum { GENERATION_NAME_MAX = 32 };

enum { SERVING_SHARES_MAX = 2, SERVING_PAST_MAX = 32, SERVING_RETAINED_MAX = 32 };

struct serving_share {
    char name[GENERATION_NAME_MAX];
    unsigned percent; /* 1..100 */
};

/* What was served from since_ms on: the incumbent, and perhaps a candidate; together 100%. */
struct serving_shares {
    int64_t since_ms;
    struct serving_share shares[SERVING_SHARES_MAX];
    size_t count;
};

struct serving_past {
    struct serving_shares served;
    bool is_undone;
};

struct serving_retained {
    char name[GENERATION_NAME_MAX];
    int64_t until_ms; /* 0: until it is dropped */
};

struct serving {
    struct serving_shares now;
    struct serving_past past[SERVING_PAST_MAX]; /* newest first; the oldest fall off */
    size_t past_count;
    struct serving_retained retained[SERVING_RETAINED_MAX];
    size_t retained_count;
};

/* ERR_ABSENT: none (yet). ERR_INPUT: of another version, or a line that isn't understood. */
MUST_CHECK int serving_read(const char *directory, struct serving *ret_serving, struct err *err);
/* By the holder of DIR/lock. */
MUST_CHECK int serving_write(const char *directory, const struct serving *serving, struct err *err);

/* --- what it says --- */

/* The generation that answers when nobody says which: the incumbent. */
static inline const char *serving_incumbent(const struct serving *serving)
{
    return serving->now.shares[0].name;
}

/* The generation's share now, 0 when it isn't served. */
unsigned serving_percent(const struct serving *serving, const char *name);

/* NULL: it isn't retained. */
const struct serving_retained *serving_find_retained(const struct serving *serving, const char *name);

/* Which of the shares an owner belongs to. owner_hash: hash64() of the view's first key field as it stands in a record's
 * key. An owner who is on the candidate's side stays there while its share grows, whatever the machine. */
size_t serving_side(const struct serving_shares *shares, uint64_t owner_hash);

/* --- changes, in memory: serving_write() makes them true --- */

/* The first generation of a store. */
void serving_start(struct serving *serving, const char *name, int64_t now_ms);

/* Gives a generation its share. 100: it becomes the incumbent and whoever leaves is retained until retain_until_ms.
 * 1..99: it becomes, or stays, the candidate beside the incumbent. 0: a candidate gives its share back. Asking for what
 * is there already is no error, and changes nothing but until when (if not 0) those are retained that the last change left. ERR_INPUT: a share below 100 for the incumbent, or for a third. */
MUST_CHECK int serving_promote(struct serving *serving, const char *name, unsigned percent, int64_t now_ms,
                               int64_t retain_until_ms, struct err *err);

/* Goes back to the newest of what was served before, past the shares that the newest generation had on its way (from 100%
 * after 10% back to none) and what is the same as now. ERR_ABSENT: nothing was. The generations of it must still be there:
 * the caller looks. */
MUST_CHECK int serving_roll_back(struct serving *serving, int64_t now_ms, struct err *err);

/* A dropped generation: forgets that it was served or retained. ERR_INPUT: it is served now. */
MUST_CHECK int serving_forget(struct serving *serving, const char *name, struct err *err);

#endif
