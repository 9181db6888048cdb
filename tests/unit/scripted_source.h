/* tests/unit/scripted_source.h - the second implementation of the record_source port: logs made by a test, read in any
 * interleaving. */
#ifndef TARN_TEST_SCRIPTED_SOURCE_H
#define TARN_TEST_SCRIPTED_SOURCE_H

#include "projector/record_source.h"

struct scripted_source;

/* seed decides how partitions take turns. */
struct scripted_source *scripted_source_new(size_t topic_count, int32_t partition_count, uint64_t seed);
void scripted_source_free(struct scripted_source **source);

int32_t scripted_source_partitions(const struct scripted_source *source);

struct record_source scripted_source_port(struct scripted_source *source);

/* Appends to the log that the key's hash chooses (or to partition 0 without one). Copies. value or key NULL: none. */
void scripted_source_add(struct scripted_source *source, uint16_t topic, const char *key, const char *type,
                         const struct span *value);

/* Records that are added from here on have this id; NULL: none. */
void scripted_source_set_id(struct scripted_source *source, const char *id);

/* The next record of that partition gets this offset: what a compaction or a transaction leaves out. */
void scripted_source_skip(struct scripted_source *source, uint16_t topic, int32_t partition, int64_t offsets);

#endif
