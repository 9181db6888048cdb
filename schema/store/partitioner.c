/* The hashes as the clients have them: murmur2 from org.apache.kafka.common.utils.Utils, CRC-32 (zlib's polynomial) and
 * the not quite canonical FNV-1a (it folds the sign of a signed hash away) from librdkafka's rdmurmur2.c, rdcrc32.c and
 * rdfnv1a.c. */
#include "schema/store/partitioner.h"

#include <zlib.h>

#include "schema/base/compiler.h"

static const char *const names[] = {
    [PARTITIONER_UNKNOWN] = "unknown", [PARTITIONER_MURMUR2] = "murmur2", [PARTITIONER_CRC32] = "crc32",
    [PARTITIONER_FNV1A] = "fnv1a",     [PARTITIONER_MIXED] = "mixed",
};

const char *partitioner_name(enum partitioner partitioner)
{
    return (size_t)partitioner < ARRAY_COUNT(names) ? names[partitioner] : "unknown";
}

static uint32_t murmur2(struct span key)
{
    const uint32_t multiplier = 0x5bd1e995;
    const uint8_t *at = span_bytes(key);
    uint32_t hash = 0x9747b28c ^ (uint32_t)key.len;
    size_t left = key.len;

    for (; left >= 4; at += 4, left -= 4) {
        uint32_t word = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        word *= multiplier;
        word ^= word >> 24;
        hash = hash * multiplier ^ word * multiplier;
    }
    if (left > 0) {
        for (size_t i = 0; i < left; i++)
            hash ^= (uint32_t)at[i] << (8 * i);
        hash *= multiplier;
    }
    hash ^= hash >> 13;
    hash *= multiplier;
    return hash ^ hash >> 15;
}

static uint32_t fnv1a(struct span key)
{
    const uint8_t *at = span_bytes(key);
    uint32_t hash = 0x811c9dc5;

    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ at[i]) * 0x01000193;
    /* librdkafka takes the absolute value of the hash as a signed number. */
    return hash > INT32_MAX ? (uint32_t)0 - hash : hash;
}

static uint32_t crc_of(struct span key)
{
    return (uint32_t)crc32_z(0, key.len ? key.at : (const void *)"", key.len);
}

int32_t partitioner_partition(enum partitioner partitioner, struct span key, int32_t partition_count)
{
    uint32_t hash;

    if (partition_count <= 0)
        return -1;
    switch (partitioner) {
    case PARTITIONER_MURMUR2:
        hash = murmur2(key) & INT32_MAX;
        break;
    case PARTITIONER_CRC32:
        hash = crc_of(key);
        break;
    case PARTITIONER_FNV1A:
        hash = fnv1a(key);
        break;
    case PARTITIONER_UNKNOWN:
    case PARTITIONER_MIXED:
    default:
        return -1;
    }
    return (int32_t)(hash % (uint32_t)partition_count);
}
