/* tests/unit/till_world.h - a projector without Kafka: tests/protos/till.proto over a store of its own, fed by a scripted
 * source, with a clock that the test moves. */
#ifndef TARN_TEST_TILL_WORLD_H
#define TARN_TEST_TILL_WORLD_H

#include "projector/materializer.h"
#include "tests/unit/scripted_source.h"

enum { TOPIC_PEOPLE, TOPIC_TILL, TILL_TOPICS };

struct till_world {
    char *folder; /* DIR */
    char *store_folder;
    struct view_set *views;
    struct generation_settings settings;
    struct store *store;
    struct scripted_source *source;
    struct record_source port;
    struct materializer *materializer;
    _Atomic int64_t now_us;        /* the clock; the flusher reads it too */
    size_t batch;                  /* records a poll */
    struct materializer_turn turn; /* what each turn is told */
    size_t park_limit;
    unsigned fold_threads; /* from TARN_TEST_FOLD_THREADS, or 1 */
    size_t memory_bytes;
    size_t parked_told;             /* how often the listener heard of one */
    enum park_reason parked_reason; /* the last one's */
    char parked_message[1000];
};

/* partition_count per topic; seed for the interleaving. */
void till_world_open(struct till_world *world, int32_t partition_count, uint64_t seed);
void till_world_close(struct till_world *world);

/* Ends the process' state without a commit, as a kill does, and starts anew. */
void till_world_kill(struct till_world *world);
void till_world_start(struct till_world *world);

/* One poll, one turn. False when the source had nothing. */
bool till_world_step(struct till_world *world);
/* Steps to the end of the logs and commits. */
void till_world_drain(struct till_world *world);

/* --- events --- */

/* The name of somebody, good until the next call. */
const char *till_person(unsigned number);
void till_bought(struct till_world *world, const char *person, const char *receipt, int32_t amount);
void till_returned(struct till_world *world, const char *person, const char *receipt);
void till_renamed(struct till_world *world, const char *person, const char *name);
void till_gone(struct till_world *world, const char *person);
void till_left(struct till_world *world, const char *person, const char *receipt);
void till_raw(struct till_world *world, uint16_t topic, const char *key, const char *type, const char *bytes,
              size_t len);

/* --- what the store has --- */

/* The view's JSON, "unseen" before it when it isn't made, or NULL. The caller frees it. */
char *till_view(struct till_world *world, const char *name, const char *key1, const char *key2);
/* NULL: it isn't there. */
void till_expect_view(struct till_world *world, const char *view, const char *key1, const char *key2,
                      const char *expected);
/* All digest lines. The caller frees them. */
char *till_digest(struct till_world *world);
size_t till_rows(struct till_world *world, enum store_table table);
/* How many events are parked for a topic and key, or all of them for NULL. */
size_t till_parked(struct till_world *world, uint16_t topic, const char *key);
struct partition *till_partition(struct till_world *world, uint16_t topic, int32_t number);

#endif
