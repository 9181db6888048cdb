/* schema/store/store.h - one generation on disk: an LMDB environment, one writer, many readers.
 *
 * No caller sees lmdb.h: that stays behind environment.h. Tables are LMDB's named databases; layout.h says what their keys
 * and values hold. Commits are atomic, in order and never corrupt; a power cut takes those that weren't on the disk yet:
 * whole ones, the last of store_commit_relaxed(), and none of store_commit().
 *
 * Threads: a store may be shared; a store_reader belongs to the thread that uses it at the moment (MDB_NOTLS), one
 * store_writer at a time exists in a process, and DIR/lock (lock.h) sees to it that there is one process. */
#ifndef TARN_STORE_STORE_H
#define TARN_STORE_STORE_H

#include <stdbool.h>

#include "schema/base/err.h"
#include "schema/base/hash.h"
#include "schema/base/span.h"

struct store;
struct store_reader;
struct store_cursor;
struct store_writer;

enum store_table {
    TABLE_META,       /* format version, what the generation was made of */
    TABLE_VIEWS,      /* the views */
    TABLE_MARKS,      /* erasure marks */
    TABLE_PARKED,     /* parked events and what waits behind them */
    TABLE_POSITIONS,  /* per topic, partition and range */
    TABLE_PARTITIONS, /* per topic and partition: log end, when it was seen, state */
    TABLE_BUCKETS,    /* digests, cut by owner */
    TABLE_ANNOUNCEMENTS, /* what is visible and isn't known to have been told */
    TABLE_IDS,        /* ids of the last events, by owner */
    TABLE_COUNT,
};

enum store_access { STORE_READ_ONLY, STORE_READ_WRITE };

enum { STORE_BOOT_ID_SIZE = 64 };

/* What the store asks the machine, so that tests can answer for it. NULL stands for the real one. */
struct store_platform {
    /* The kind of file system that path is on, as statfs() f_type. */
    int (*file_system_type)(void *self, const char *path, int64_t *ret_type);
    /* What tells this boot of the machine from any other. 0 or -errno; NULL: as the real one. */
    int (*boot_id)(void *self, char ret_id[STORE_BOOT_ID_SIZE]);
    void *self;
};

struct store_options {
    enum store_access access;
    uint64_t map_bytes;                    /* reservation of address space; 0: STORE_MAP_BYTES */
    unsigned reader_slots;                 /* 0: 1024 */
    const struct store_platform *platform; /* NULL: the machine */
    bool skips_syncs;                      /* see store_make_whole(); for a store that nobody reads yet */
};

/* Address space only, nothing is set aside on disk; where it can't be had, half of it, and so on. ThreadSanitizer
 * leaves less than a TiB to map. */
#ifdef __SANITIZE_THREAD__
#define STORE_MAP_BYTES ((uint64_t)64 << 30)
#else
#define STORE_MAP_BYTES ((uint64_t)4 << 40)
#endif

/* Opens a generation's folder; the writer makes the environment when there is none. ERR_ABSENT: none there (reader).
 * ERR_INPUT: a network file system, a read-only mount (readers too write to lock.mdb), another format version, another
 * process from another PID namespace uses it, or this process has the folder open already (LMDB's locks forbid two);
 * the text says what to do. ERR_FULL. ERR_BROKEN: also a store that a reboot has left half synced. ERR_AGAIN: also one
 * that the machine's end has left, and that this process may not mend (checkpoint.h).
 * Not to be carried through fork(): open the store in the child. */
MUST_CHECK int store_open(const char *folder, const struct store_options *options, struct store **ret_store,
                          struct err *err);
void store_close(struct store **store);

/* One that skips syncs leaves its commits to the kernel, and its folder says so (unsynced.h) until this has brought all
 * of them to the disk; from then on every commit is synced, as it is in any other store. No writer may be under way. */
MUST_CHECK int store_make_whole(struct store *store, struct err *err);
/* Has the disk take the next piece of what was left to the kernel, from *at on, and sets *at to 0 behind the last one: so
 * that little is left to be synced at once, behind which the commits of other stores on the disk would wait. Blocks as
 * long as the disk takes; may be called beside a writer. Of a store that syncs: nothing to do. */
MUST_CHECK int store_write_back(struct store *store, uint64_t *at, struct err *err);
bool store_is_whole(const struct store *store);

/* Frees slots of readers that died. Called by the writer now and then. Returns how many. */
int store_clear_stale_readers(struct store *store);

struct store_size {
    uint64_t file_bytes; /* the data file */
    uint64_t used_bytes; /* pages in use */
    uint64_t free_bytes; /* pages that a later commit uses again */
    unsigned readers;    /* slots taken */
};
MUST_CHECK int store_size(struct store *store, struct store_size *ret_size, struct err *err);

/* --- reading ------------------------------------------------------------------------------------------------- */

/* Takes a reader slot. The reader has no snapshot until store_read_begin(). */
MUST_CHECK int store_reader_open(struct store *store, struct store_reader **ret_reader, struct err *err);
void store_reader_close(struct store_reader **reader);

/* One snapshot: for one turn of an event loop, never across a wait. begin on a reader that has one moves it to the
 * newest commit; when there was none since, that costs nothing. */
MUST_CHECK int store_read_begin(struct store_reader *reader, struct err *err);
void store_read_end(struct store_reader *reader);

/* The transaction number of the snapshot: grows with each commit. */
uint64_t store_read_version(const struct store_reader *reader);

/* ret_value points into the map and dies with store_read_end(): copy it to keep it. ERR_ABSENT leaves err alone. */
MUST_CHECK int store_find(struct store_reader *reader, enum store_table table, struct span key, struct span *ret_value,
                          struct err *err);

/* How many rows a table has. */
size_t store_read_count(struct store_reader *reader, enum store_table table);

/* Walks the keys that begin with prefix, in order, from the first one >= from (an empty span: from the prefix).
 * next returns ERR_ABSENT at the end. Keys and values die with the snapshot; close before store_read_end(). */
MUST_CHECK int store_cursor_open(struct store_reader *reader, enum store_table table, struct span prefix,
                                 struct span from, struct store_cursor **ret_cursor, struct err *err);
MUST_CHECK int store_cursor_next(struct store_cursor *cursor, struct span *ret_key, struct span *ret_value,
                                 struct err *err);
void store_cursor_close(struct store_cursor **cursor);

/* --- writing ------------------------------------------------------------------------------------------------- */

MUST_CHECK int store_write_begin(struct store *store, struct store_writer **ret_writer, struct err *err);

/* Puts and deletes; fastest in key order (a cursor stays where the last one was). Absent keys may be deleted. The
 * same value again writes nothing. For TABLE_VIEWS the digest's bucket is kept up to date from what was there before,
 * so that it can't drift; a value that layout.h can't parse is ERR_BROKEN. TABLE_META and TABLE_BUCKETS are the
 * store's own. After an error the writer can only be aborted. */
MUST_CHECK int store_put(struct store_writer *writer, enum store_table table, struct span key, struct span value,
                         struct err *err);
MUST_CHECK int store_delete(struct store_writer *writer, enum store_table table, struct span key, struct err *err);

/* The row with the first key >= from; spans die with the next put or delete. ERR_ABSENT: there is none. */
MUST_CHECK int store_writer_next(struct store_writer *writer, enum store_table table, struct span from,
                                 struct span *ret_key, struct span *ret_value, struct err *err);
/* How many rows the table has, as this writer sees it. */
size_t store_writer_count(struct store_writer *writer, enum store_table table);

/* What this writer would leave behind if it committed now. As store_find(); dies with the next put or delete. */
MUST_CHECK int store_writer_find(struct store_writer *writer, enum store_table table, struct span key,
                                 struct span *ret_value, struct err *err);

/* Ends the writer and sets it to NULL in any case. ERR_FULL: the disk is full; nothing of the transaction is there, the
 * store stays usable, and a later commit works when there is room again. */
MUST_CHECK int store_commit(struct store_writer **writer, struct err *err);

/* For what can be had again from elsewhere: readers see it at once, and nobody waits for the disk. store_sync(),
 * store_commit() and store_close() bring it there. A power cut before that takes this commit and those like it before it,
 * whole ones, back to the last that was brought there (checkpoint.h). Killed processes take nothing. */
MUST_CHECK int store_commit_relaxed(struct store_writer **writer, struct err *err);

/* Brings what was committed to the disk, if it isn't known to be there. One thread may do so while another one writes.
 * ERR_BROKEN: the disk failed; so does store_write_begin() from then on, and whoever opens the store next finds the last
 * commit that was brought there. ERR_FULL: not now. */
MUST_CHECK int store_sync(struct store *store, struct err *err);
void store_abort(struct store_writer **writer); /* no-op on NULL */

#endif
