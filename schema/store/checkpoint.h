/* schema/store/checkpoint.h - commits that don't wait for the disk, and what a power cut leaves of them. For store*.c alone.
 *
 *     FOLDER/checkpoint   LMDB's meta pages of the last commit that is on the disk, whole (checkpoint_file.h)
 *
 * A relaxed commit is left to the kernel: its pages reach the disk in any order, and LMDB, which was seen to crash on such
 * an image, must never get to see it. So a checkpoint is one commit all of whose pages are on the disk, and these stay as
 * they are: a reader of our own holds on to it, and LMDB writes over no page that a reader may need. Its meta pages, the
 * only ones that LMDB writes in place, are kept beside. After the machine went down (the boot's id is another one),
 * whoever opens the store first puts them back, and the store is what it was then.
 *
 * While the machine runs nothing of this is read: a process that dies takes nothing with it.
 * The idea is that of libmdbx's steady commits (MDBX_SAFE_NOSYNC), made here from outside of LMDB.
 *
 * Threads: one makes commits; another one may call checkpoint_advance() beside it. */
#ifndef TARN_STORE_CHECKPOINT_H
#define TARN_STORE_CHECKPOINT_H

#include "schema/store/store.h"

struct checkpoint;
struct MDB_env; /* lmdb.h */
struct MDB_txn;

/* Before LMDB gets to see the folder. ERR_AGAIN: what must be mended is in use, or this process may not write to it;
 * ERR_BROKEN: it can't be. */
MUST_CHECK int checkpoint_restore(const struct store_platform *platform, const char *folder, struct err *err);

/* Brings to the disk what a writer that was killed has left to the kernel, before a page of it is used again. */
MUST_CHECK int checkpoint_take_over(const char *folder, struct MDB_env *env, struct err *err);

/* Of a writer. folder, env and platform are borrowed. */
struct checkpoint *checkpoint_new(const struct store_platform *platform, const char *folder, struct MDB_env *env);
/* What was committed is on the disk, and the file is gone. Ends it in any case. */
MUST_CHECK int checkpoint_end(struct checkpoint **checkpoint, struct err *err);

/* So many relaxed commits may be ahead of the disk; the next one waits for it. Live ones take a second or more to get there: a
 * disk that is slower slows them, instead of having the file grow by pages that can't be used again. */
enum { CHECKPOINT_AHEAD_MAX = 1000 };

/* Before a relaxed commit, beside its writer: makes the first checkpoint, or waits for one. */
MUST_CHECK int checkpoint_prepare(struct checkpoint *checkpoint, struct err *err);
/* Ends txn in any case. 0 or LMDB's code. */
int checkpoint_commit_relaxed(struct checkpoint *checkpoint, struct MDB_txn *txn);
/* Whether there was a relaxed one: then each durable one is a relaxed one and checkpoint_advance(). */
bool checkpoint_is_used(struct checkpoint *checkpoint);

/* Brings the last commit to the disk. Nothing to do: 0. ERR_BROKEN: the disk failed, now or before; the kernel tells it
 * once, so it is kept. ERR_FULL: not now. */
MUST_CHECK int checkpoint_advance(struct checkpoint *checkpoint, struct err *err);
/* ERR_BROKEN: the disk has failed, and no commit may follow, as it might be taken for one that is whole. */
MUST_CHECK int checkpoint_check(struct checkpoint *checkpoint, struct err *err);

#endif
