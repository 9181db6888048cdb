/* schema/store/generation_settings.h - what shapes a generation's results: fixed when it is made, written to its
 * generation.conf. Changing one is a rebuild. */
#ifndef TARN_STORE_GENERATION_SETTINGS_H
#define TARN_STORE_GENERATION_SETTINGS_H

#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

/* A stream and the topic that brings it. */
struct topic_of_stream {
    char *stream;
    char *topic;
};

struct name_value {
    char *name;
    char *value;
};

enum framing { FRAMING_NONE, FRAMING_CONFLUENT };

struct generation_settings {
    struct topic_of_stream *streams; /* sorted by stream */
    size_t stream_count;
    char **topics; /* distinct, sorted: a topic's number in the store is its place here */
    size_t topic_count;
    char **type_headers; /* in order of precedence */
    size_t type_header_count;
    uint64_t dedupe_window; /* a record whose id stood among the last so many of its partition is skipped; 0: none */
    char **id_headers;      /* in order of precedence */
    size_t id_header_count;
    struct name_value *topic_types; /* --topic-type TOPIC=FULL.NAME; sorted by topic */
    size_t topic_type_count;
    enum framing framing;
    uint64_t max_view_bytes; /* of one stream's part of one view */
    unsigned projection_version;
    char *start;             /* generation_start.h */
    unsigned sample_percent; /* only this part of the owners, chosen by their hash; 0: all */
};

enum { DEDUPE_WINDOW_MAX = 10 * 1000 * 1000 };

/* Raised whenever the same events would give other bytes. */
enum { PROJECTION_VERSION = 1 };

void generation_settings_release(struct generation_settings *settings);

/* Appends them as `name = value` lines, the same text for the same settings. Reading refuses what this version doesn't
 * know: ERR_INPUT names the line. */
void generation_settings_write(const struct generation_settings *settings, struct buf *text);
MUST_CHECK int generation_settings_read(struct span text, struct generation_settings *ret_settings, struct err *err);

/* Whether records of the owner (the record's key) are projected: chosen alike on every machine. The hash is mixed, as
 * its bits choose ranges and sides of shared traffic already. */
static inline bool generation_takes_owner(const struct generation_settings *settings, uint64_t owner_hash)
{
    return settings->sample_percent == 0 ||
           ((owner_hash * 0x9e3779b97f4a7c15u) >> 32) * 100 >> 32 < settings->sample_percent;
}

/* -1 when the topic isn't one of them. */
int generation_topic_number(const struct generation_settings *settings, struct span topic);

#endif
