/* schema/store/file_room.h - written room at the end of a file that is synced often.
 *
 * What lies in place is only written; what makes a file longer changes the file system's own records, too, and a sync waits
 * for these: on ext4 with its journal (through a loop device) 1.09 ms instead of 0.44 for a page of 4 KiB, on one without 0.25 instead
 * of 0.19. So the file is made longer by many pages at a time, by zeros, as space that is only set aside would be such a change
 * again. */
#ifndef TARN_STORE_FILE_ROOM_H
#define TARN_STORE_FILE_ROOM_H

#include <stdint.h>

enum { FILE_ROOM_LEAST_BYTES = 128 * 1024, FILE_ROOM_STEP_BYTES = 512 * 1024 };

/* Makes the file longer when there is little room behind used_bytes, while nobody writes behind them. A disk without the
 * space gives less or none: the write that needs it will tell. */
void file_room_keep(int fd, uint64_t used_bytes);

#endif
