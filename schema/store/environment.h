/* schema/store/environment.h - the LMDB environment that a store is, for store*.c alone.
 *
 * Private: everybody else goes through store.h, and no header but this one includes lmdb.h. */
#ifndef TARN_STORE_ENVIRONMENT_H
#define TARN_STORE_ENVIRONMENT_H

#include <lmdb.h>
#include <sys/types.h>

#include "schema/store/bucket_sums.h"
#include "schema/store/presence.h"
#include "schema/store/store.h"

enum { ENVIRONMENT_KEY_BYTES_MAX = 511 }; /* what LMDB takes */

struct checkpoint;

struct store {
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    enum store_access access;
    char *folder;
    struct presence *presence;
    bool has_writer;
    bool skips_syncs;
    struct checkpoint *checkpoint; /* of one that is written to */
    struct bucket_sums sums; /* of the writer; kept for the next one */
    dev_t device;            /* device and inode: which folder this is */
    ino_t inode;
    pid_t owner; /* the process that opened it: a fork of it may open the folder for itself */
    struct store *next_open;
};

extern const char *const environment_table_names[TABLE_COUNT];

/* Claims the folder for this process, as no other store has: LMDB forbids to open one environment twice in a process,
 * since closing one would drop the other's locks. ERR_ABSENT: no such folder; ERR_INPUT: it is open already. */
MUST_CHECK int environment_claim(struct store *store, struct err *err);
void environment_give_up(struct store *store);

/* Sets the lock file's space aside and opens LMDB in the claimed folder. store->env stays NULL on failure. */
MUST_CHECK int environment_open(struct store *store, uint64_t map_bytes, unsigned reader_slots, struct err *err);

/* What LMDB's code means for the caller. what: what couldn't be done. */
int environment_failed(const struct store *store, int lmdb_rc, const char *what, struct err *err);

/* As store_find(), for whoever holds a transaction. */
MUST_CHECK int environment_find(const struct store *store, MDB_txn *txn, enum store_table table, struct span key,
                                struct span *ret_value, struct err *err);

static inline MDB_val val_of(struct span span)
{
    union {
        const void *borrowed;
        void *writable; /* LMDB has one type for both ways; it doesn't write to what it is given */
    } at = {.borrowed = span.at};

    return (MDB_val){span.len, at.writable};
}

static inline struct span span_of_val(MDB_val val)
{
    return span_of(val.mv_data, val.mv_size);
}

#endif
