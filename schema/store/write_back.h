/* schema/store/write_back.h - brings what the kernel holds of a file to the disk, a piece at a time.
 *
 * What is left to the kernel comes all at once, when it is old enough, too much, or synced; whoever syncs another file of
 * the same disk meanwhile waits behind it. Measured on two cores and a virtual disk: syncing 1.5 GB in one go held up the
 * commits beside it for 0.6 s. The pieces are written in the caller's own I/O class, and one is waited for before the next.
 *
 * Promises nothing about power cuts: that is for fdatasync(), which has little left to do afterwards. */
#ifndef TARN_STORE_WRITE_BACK_H
#define TARN_STORE_WRITE_BACK_H

#include <stdint.h>

/* Writes the piece at *at and moves *at behind it, to 0 at the file's end. Blocks as long as the disk takes.
 * 0 or an errno: then the file's pages can't be trusted any more, even if a later sync says 0, as a failure is told only
 * once. File systems without such writing: 0, and *at is 0. */
int write_back_piece(int fd, uint64_t *at);

#endif
