#include "schema/base/hash.h"

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wswitch-enum"
#pragma GCC diagnostic ignored "-Wconversion"
#include <xxhash.h>
#pragma GCC diagnostic pop

uint64_t hash64(struct span bytes)
{
    return XXH3_64bits(bytes.len ? bytes.at : "", bytes.len);
}

struct hash128 hash128(struct span bytes)
{
    XXH128_hash_t hash = XXH3_128bits(bytes.len ? bytes.at : "", bytes.len);

    return (struct hash128){hash.low64, hash.high64};
}

struct hash128 hash128_pair(struct span key, struct span value)
{
    /* Seeding the value's hash with the key's is as good as hashing both in a row, without copying them together;
     * two keys with the same 64-bit hash would still need the same value to cancel out in a sum. */
    uint64_t seed = hash64(key);
    XXH128_hash_t hash = XXH3_128bits_withSeed(value.len ? value.at : "", value.len, seed);

    return (struct hash128){hash.low64, hash.high64 + seed};
}

struct hash128 hash128_plus(struct hash128 a, struct hash128 b)
{
    struct hash128 sum = {a.low + b.low, a.high + b.high};

    sum.high += sum.low < a.low;
    return sum;
}

struct hash128 hash128_minus(struct hash128 a, struct hash128 b)
{
    struct hash128 difference = {a.low - b.low, a.high - b.high};

    difference.high -= a.low < b.low;
    return difference;
}
