/* schema/store/unsynced.h - the mark of a store whose commits haven't been synced to the disk.
 *
 *     FOLDER/unsynced   the id of the machine's boot under which its first commit was left unsynced
 *
 * While the machine runs, such a store is as whole as any other: a process that dies takes nothing with it, as what it
 * wrote is the kernel's. After a reboot nobody knows which of its pages have reached the disk, and LMDB, which was seen
 * to crash on such an image, never gets to see it: the boot's id is another one, and the store is thrown away. */
#ifndef TARN_STORE_UNSYNCED_H
#define TARN_STORE_UNSYNCED_H

#include <stdbool.h>

#include "schema/store/store.h"

/* Before the first commit that isn't synced. One that is marked stays as it is. */
MUST_CHECK int unsynced_mark(const struct store_platform *platform, const char *folder, struct err *err);
/* Everything is on the disk. */
MUST_CHECK int unsynced_clear(const char *folder, struct err *err);
bool unsynced_is_marked(const char *folder);
/* A sync has failed: no boot is the mark's any more. On failure the mark is as it was. */
MUST_CHECK int unsynced_spoil(const char *folder, struct err *err);

/* ERR_BROKEN: it is marked, and the machine has been booted since or a sync has failed; not to be opened any more. */
MUST_CHECK int unsynced_check(const struct store_platform *platform, const char *folder, struct err *err);

#endif
