/* tests/unit/power_cut.h - what a disk would hold if the power went off now.
 *
 * A program that links it answers pwrite(), writev() and fdatasync() in the C library's place: LMDB's, too. What is
 * written to the watched file is remembered until it is synced, or written through O_DSYNC; a cut keeps of it what
 * chance would have it keep, each sector of 512 bytes for itself, and all of what was synced.
 *
 * Threads: one writes to the file; what is said of a cut is asked by it, or while it rests. */
#ifndef TARN_TEST_POWER_CUT_H
#define TARN_TEST_POWER_CUT_H

#include <stdbool.h>
#include <stdint.h>

/* From now on this file, as it is, is on the disk. One at a time. */
void power_cut_watch(const char *path);
void power_cut_end(void);

/* Whether a cut might take something. */
bool power_cut_takes_something(void);

/* The disk fails: the next sync of the watched file says EIO, once, as the kernel does. */
void power_cut_fail_next_sync(void);

/* Called after each of those calls on the watched file, while the disk is as it would be found then; NULL: nobody. */
void power_cut_at_each_call(void (*look)(void *self), void *self);

/* Writes what a cut would leave, another for each seed. */
void power_cut_write(const char *path, uint64_t seed);

#endif
