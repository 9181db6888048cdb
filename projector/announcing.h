/* projector/announcing.h - a generation's part in announcements: whose changes are news, the rows that say so until it has
 * been told, and letting go of them.
 *
 *     record -> announcing_takes() -> applier -> announcing_note() -> cache row -> flusher: announcing_put()  } one
 *     announced rows                                              <- flusher: announcing_let_go()             } transaction
 *     the commit is visible                                       -> flusher: announcing_committed() -> announcer
 *
 * Every generation that is followed keeps rows for what isn't announced yet, served or not, so that none is lost when it
 * takes over; what lies before the announced offset (announced.h) is history to it, which is why a rebuild and a first
 * filling announce nothing.
 *
 * Made by announcer_join(), on the follower's thread; NULL stands for a projector that announces nothing. */
#ifndef TARN_PROJECTOR_ANNOUNCING_H
#define TARN_PROJECTOR_ANNOUNCING_H

#include "projector/positions.h"
#include "projector/projection.h"
#include "projector/rows.h"
#include "schema/base/clock.h"
#include "schema/store/announced.h"
#include "schema/store/generation_settings.h"

struct announcing;

/* All borrowed; they outlive it. */
struct announcing_options {
    const struct view_set *views;
    const struct generation_settings *settings;
    struct announced *announced;
    const struct clock_port *clock;
    size_t row_limit;               /* of pending rows: beyond it the oldest are given up */
    void (*committed)(void *self);  /* something new is visible; from the flusher's thread */
    void (*gave_up)(void *self, size_t count); /* likewise */
    void *self;
};

struct announcing *announcing_new(const struct announcing_options *options);
void announcing_free(struct announcing **announcing);

/* --- the loop --- */

/* Once a turn, before records are handled. is_ready: the store has been caught up with all partitions once; what a
 * served one reads from then on, partitions that are new included, is news. */
void announcing_look(struct announcing *announcing, const struct positions *positions, bool is_ready);

/* A partition's end was reached: the first time, what comes after it is news. */
void announcing_end_reached(struct announcing *announcing, uint16_t topic, int32_t partition, int64_t next_offset);

/* --- records: any thread --- */

/* Whether what the record changes is to be announced: it isn't announced yet, and not from a first load. */
bool announcing_takes(const struct announcing *announcing, const struct record_source *source,
                      const struct record *record);

/* A view is about to change in the cache. The arena is the event's. */
MUST_CHECK int announcing_note(struct rows *rows, const struct parked_key *at, int64_t time_ms,
                               const struct view_change *change, struct arena *arena, struct err *err);

/* --- the flusher --- */

MUST_CHECK int announcing_put(const struct announcing *announcing, struct store_writer *writer, struct span cache_key,
                              struct span value, struct err *err);
/* Deletes rows that are announced, and the oldest when there are more than row_limit. A bounded number each time. */
MUST_CHECK int announcing_let_go(struct announcing *announcing, struct store_writer *writer, struct err *err);
void announcing_committed(struct announcing *announcing);

/* --- the announcer --- */

/* Before anything else, of one that is served: partitions of which the announced offset isn't known begin where the store
 * has pending rows. A crash came before the offset was on the disk. */
MUST_CHECK int announcing_resume(struct announcing *announcing, struct store_reader *reader, struct err *err);

/* NULL: the loop hasn't seen the partition. */
struct announced_partition *announcing_entry(const struct announcing *announcing, uint16_t topic, int32_t partition);

void announcing_set_served(struct announcing *announcing, bool is_served);
/* When the transaction ended that a row was written in, as far as it is remembered. */
int64_t announcing_visible_at_ms(struct announcing *announcing, int64_t written_at_ms);

#endif
