/* projector/fingerprint.h - is the log still the one that was read? Pure.
 *
 * With each position stand offset, time and hash of the last record handled. Reading that record again tells a log that
 * was truncated, or a topic that was deleted and made again, from the one that the views were made of: offsets alone
 * can't, because the new log counts from 0 again and soon reaches the old position. */
#ifndef TARN_PROJECTOR_FINGERPRINT_H
#define TARN_PROJECTOR_FINGERPRINT_H

#include "projector/positions.h"

/* What stands in position.last_hash: key and value, each told from an empty one when it isn't there. */
uint64_t fingerprint_hash(const struct record *record);

/* A record that was handled, by which its log is known again. */
struct anchor {
    int64_t offset; /* -1: none was handled yet */
    int64_t time_ms;
    uint64_t hash;
};
#define ANCHOR_NONE ((struct anchor){-1, 0, 0})

/* The newest record that the store has of a partition. */
struct anchor fingerprint_newest(const struct partition *partition);

/* What was read of a partition: what a log must still hold to be the same. */
struct log_memory {
    int64_t next_offset;    /* to be read next */
    int64_t reached_offset; /* the end of what was read; behind next_offset while some owner ranges are replayed */
    struct anchor anchor;
};

enum anchor_sight {
    ANCHOR_NOT_READ, /* there is none, or it lies before the log's start */
    ANCHOR_READ,     /* a record stands at its offset: `seen` */
    ANCHOR_GONE,     /* nothing stands there any more: compacted away, or the log ends before it */
};

/* What Kafka said about a partition's log. */
struct log_facts {
    int64_t start_offset;
    int64_t end_offset; /* high watermark */
    enum anchor_sight sight;
    struct anchor seen;
};

enum log_verdict {
    LOG_SAME,      /* as far as one can tell: read on */
    LOG_REWRITTEN, /* not the log that was read */
    LOG_LOST,      /* its records from the position on are gone */
};

/* The sentence (of a verdict other than LOG_SAME) says what was found and what to do; it names no keys or values. */
enum log_verdict fingerprint_judge(const struct log_memory *memory, const struct log_facts *facts, char *sentence,
                                   size_t sentence_size);

#endif
