/* schema/base/hash.h - the hashes that the store's format rests on: XXH3 (xxhash.h), seed 0. They are part of the
 * format: another hash is another format version. Not for secrets: XXH3 is not keyed against an attacker here. */
#ifndef TARN_BASE_HASH_H
#define TARN_BASE_HASH_H

#include "schema/base/span.h"

struct hash128 {
    uint64_t low;
    uint64_t high;
};

uint64_t hash64(struct span bytes);
struct hash128 hash128(struct span bytes);

/* Hash of the pair (key, value): the value hashed with the hash of the key as its seed. */
struct hash128 hash128_pair(struct span key, struct span value);

/* Sums and differences modulo 2^128: what a digest is made of. */
struct hash128 hash128_plus(struct hash128 a, struct hash128 b);
struct hash128 hash128_minus(struct hash128 a, struct hash128 b);

#endif
