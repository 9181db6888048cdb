/* tests/unit/kill_moment.h - kills the test's process between two system calls of a commit.
 *
 * A program that links it answers pwrite(), writev() and fdatasync() in the C library's place: LMDB's, too. Only those
 * link it that call this function; without a kill that is due the calls are what they always were. */
#ifndef TARN_TEST_KILL_MOMENT_H
#define TARN_TEST_KILL_MOMENT_H

/* SIGKILL at the moment of that number from now on, one moment before and one after each of these calls, on any thread.
 * 0: none is due any more. */
void kill_moment_set(unsigned number);

#endif
