/* A candidate that isn't the topic's survives a record with 1 chance in n (partitions), so CERTAIN_AFTER records leave
 * n^-CERTAIN_AFTER. Once certain, one record in SAMPLE is looked at: enough to notice another producer soon, and free.
 * A topic with one partition tells nothing, and needs nothing told: all partitioners say 0. */
#include "projector/partitioner_guess.h"

enum {
    CERTAIN_AFTER = 24,
    SAMPLE = 64,
    ALL = 1u << PARTITIONER_MURMUR2 | 1u << PARTITIONER_CRC32 | 1u << PARTITIONER_FNV1A,
};

void partitioner_guess_init(struct partitioner_guess *guess, enum partitioner known)
{
    *guess = (struct partitioner_guess){.candidates = ALL, .answer = known};
    if (known == PARTITIONER_MIXED)
        guess->candidates = 0;
    else if (known != PARTITIONER_UNKNOWN)
        *guess = (struct partitioner_guess){.candidates = 1u << known, .seen = CERTAIN_AFTER, .answer = known};
}

void partitioner_guess_fix(struct partitioner_guess *guess, enum partitioner partitioner)
{
    *guess = (struct partitioner_guess){.is_fixed = true, .answer = partitioner};
}

static void rule_out(struct partitioner_guess *guess, struct span key, int32_t partition, int32_t partition_count)
{
    for (unsigned i = PARTITIONER_MURMUR2; i <= PARTITIONER_FNV1A; i++) {
        if ((guess->candidates & 1u << i) &&
            partitioner_partition((enum partitioner)i, key, partition_count) != partition)
            guess->candidates &= ~(1u << i);
    }
}

static enum partitioner answer_of(const struct partitioner_guess *guess)
{
    if (guess->candidates == 0)
        return PARTITIONER_MIXED;
    if (guess->seen < CERTAIN_AFTER)
        return PARTITIONER_UNKNOWN;
    unsigned first = PARTITIONER_MURMUR2;
    while (!(guess->candidates & 1u << first))
        first++;
    return (enum partitioner)first;
}

bool partitioner_guess_see(struct partitioner_guess *guess, struct span key, int32_t partition, int32_t partition_count)
{
    if (guess->is_fixed || guess->candidates == 0)
        return false;
    if (guess->seen >= CERTAIN_AFTER && ++guess->skipped % SAMPLE != 0)
        return false;

    enum partitioner before = guess->answer;
    if (partition_count <= 1) {
        guess->answer = PARTITIONER_MURMUR2;
        return guess->answer != before;
    }
    rule_out(guess, key, partition, partition_count);
    if (guess->seen < CERTAIN_AFTER)
        guess->seen++;
    guess->answer = answer_of(guess);
    return guess->answer != before;
}
