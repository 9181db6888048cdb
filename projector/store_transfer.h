/* projector/store_transfer.h - one generation of a store as a store of its own, in another directory: a backup, a seeded new
 * machine, and the way back.
 *
 *     TO/control/copied   "tarn-copy 1", the generation, what it is as of, and its digests as of the copy
 *
 * The copy is as of one commit, whatever is written meanwhile. Its digests are proved: every view is read again and summed
 * up. A kill at any moment leaves a TO without `serving`, which the same transfer clears and begins anew. */
#ifndef TARN_PROJECTOR_STORE_TRANSFER_H
#define TARN_PROJECTOR_STORE_TRANSFER_H

#include "schema/base/buf.h"
#include "schema/store/serving.h"

struct store_transfer {
    const char *from;       /* a store's directory */
    const char *generation; /* NULL: the served one */
    const char *to;         /* isn't there, is empty, or was begun before */
    const char *command;    /* "tarn-projector copy": who holds TO's lock meanwhile */
};

struct store_transferred {
    char name[GENERATION_NAME_MAX];
    struct buf digests;   /* a line for each view */
    struct buf positions; /* "users/0@119, ..." */
    uint64_t file_bytes;
};

/* ERR_INPUT: TO is a store or holds something else; the generation is under construction or a sample. ERR_BROKEN: FROM's
 * or the copy's views aren't those that the digests tell of; TO is left unserved. ERR_FULL. */
MUST_CHECK int store_transfer(const struct store_transfer *transfer, struct store_transferred *ret_transferred,
                              struct err *err);
void store_transferred_release(struct store_transferred *transferred);

/* Compares a copy with what was noted when it was made. ERR_ABSENT: DIR isn't a copy, so nothing was noted. ERR_BROKEN:
 * it isn't what it was. */
MUST_CHECK int store_transfer_verify(const char *directory, struct err *err);

#endif
