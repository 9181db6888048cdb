/* schema/store/partitioner.h - which partition a producer puts a key into.
 *
 * Needed to tell a reader the position of *their* partition. Java's clients hash with murmur2, librdkafka's default
 * (consistent_random) with CRC-32; librdkafka also has murmur2, murmur2_random, fnv1a. The projector finds out which
 * one a topic's records agree with; with none (a partitioner of the producer's own) all partitions are told. */
#ifndef TARN_STORE_PARTITIONER_H
#define TARN_STORE_PARTITIONER_H

#include "schema/base/span.h"

enum partitioner {
    PARTITIONER_UNKNOWN, /* no record has told yet */
    PARTITIONER_MURMUR2, /* org.apache.kafka BuiltInPartitioner: (murmur2 & 0x7fffffff) % n */
    PARTITIONER_CRC32,   /* librdkafka consistent: crc32 % n */
    PARTITIONER_FNV1A,   /* librdkafka fnv1a */
    PARTITIONER_MIXED,   /* records disagree with all of the above */
};

const char *partitioner_name(enum partitioner partitioner);
/* -1 when the partitioner can't tell (UNKNOWN, MIXED). */
int32_t partitioner_partition(enum partitioner partitioner, struct span key, int32_t partition_count);

#endif
