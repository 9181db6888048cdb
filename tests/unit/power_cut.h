/* tests/unit/power_cut.h - what a disk would hold if the power went off now.
 *
 * A program that links it answers pwrite(), writev() and fdatasync() in the C library's place: LMDB's, too. What is
 * written to the files of the watched folder is remembered until it is synced, or written through O_DSYNC; a cut keeps of
 * it what chance would have it keep, each sector of 512 bytes for itself, and all of what was synced. Files that are made
 * or removed meanwhile are so on the disk at once: those who do that sync them and their folder.
 *
 * Threads: any may write and sync; what looks is called by one at a time, while the others wait. */
#ifndef TARN_TEST_POWER_CUT_H
#define TARN_TEST_POWER_CUT_H

#include <stdbool.h>
#include <stdint.h>

/* From now on this folder, as it is, is on the disk. One at a time. */
void power_cut_watch(const char *folder);
void power_cut_end(void);

/* Whether a cut might take something. */
bool power_cut_takes_something(void);

/* The disk fails: the next sync in the folder says EIO, once, as the kernel does. */
void power_cut_fail_next_sync(void);

/* Called after each of those calls in the folder, while the disk is as it would be found then; NULL: nobody. */
void power_cut_at_each_call(void (*look)(void *self), void *self);

/* Makes of this other folder what a cut would leave, another for each seed. LMDB's lock file is left out. */
void power_cut_write(const char *folder, uint64_t seed);

#endif
