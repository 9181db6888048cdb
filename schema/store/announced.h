/* schema/store/announced.h - DIR/control/announced: up to where each partition's changes are announced, for all generations
 * of the store.
 *
 *     tarn-announced 1
 *     genetics.events/0 1234       the first offset that isn't announced yet
 *
 * A partition that isn't there has never been caught up with: nothing of it is announced. Replaced by rename, when one
 * begins and now and then: after a crash what came since is announced again. */
#ifndef TARN_STORE_ANNOUNCED_H
#define TARN_STORE_ANNOUNCED_H

#include <stdint.h>

#include "schema/base/compiler.h"
#include "schema/base/err.h"

struct announced; /* any thread may call what is below */

enum { ANNOUNCED_NOT_YET = -1 };

/* Its address stays as long as the table. */
struct announced_partition {
    _Atomic int64_t next_offset; /* everything before it is announced, or isn't to be; or ANNOUNCED_NOT_YET */
    _Atomic int64_t sent_offset; /* what lies before it is on its way; not in the file */
};

/* Loads the file; none is an empty table. ERR_INPUT: of another version, or a line that isn't understood. */
MUST_CHECK int announced_open(const char *directory, struct announced **ret_announced, struct err *err);
void announced_close(struct announced **announced);

/* The partition's entry; made when there is none. */
struct announced_partition *announced_at(struct announced *announced, const char *topic, int32_t partition);

/* Calls visit for each entry, begun or not. It may change the entry, and nothing else here. */
void announced_walk(struct announced *announced,
                    void (*visit)(void *self, const char *topic, int32_t partition, struct announced_partition *entry),
                    void *self);

/* Brings the table to the disk when it isn't there as it stands. For the holder of DIR/lock. */
MUST_CHECK int announced_write(struct announced *announced, struct err *err);

#endif
