/* projector/partitioner_guess.h - finds out which partitioner a topic's producers use, from the records themselves.
 * Pure.
 *
 * Readers need it to tell the position of one person's partition. A wrong guess would tell the wrong partition's, so a
 * single record that disagrees rules a candidate out, and when none is left, readers tell all partitions. */
#ifndef TARN_PROJECTOR_PARTITIONER_GUESS_H
#define TARN_PROJECTOR_PARTITIONER_GUESS_H

#include "schema/store/partitioner.h"

struct partitioner_guess {
    unsigned candidates; /* a bit per enum partitioner */
    unsigned seen;       /* records that could tell, up to some number */
    unsigned skipped;
    bool is_fixed; /* --partitioner said so */
    enum partitioner answer;
};

/* known: what an earlier run found out (PARTITIONER_UNKNOWN: nothing), while the topic had more than one partition. */
void partitioner_guess_init(struct partitioner_guess *guess, enum partitioner known);
void partitioner_guess_fix(struct partitioner_guess *guess, enum partitioner partitioner);

/* One record with a key. True: the answer changed. */
bool partitioner_guess_see(struct partitioner_guess *guess, struct span key, int32_t partition,
                           int32_t partition_count);

#endif
