/* schema/store/generation.h - the store's directory: which generations there are, which one is served.
 *
 *     DIR/serving                        which generations are served, with their shares; replaced by rename
 *     DIR/lock                           held by whoever writes (lock.h)
 *     DIR/control/                       requests and decisions (control.h)
 *     DIR/generations/NAME/schema.binpb  the descriptor set
 *     DIR/generations/NAME/generation.conf  the settings that shape results
 *     DIR/generations/NAME/data.mdb, lock.mdb
 *
 * Mode 0700, files 0600, replaced by rename and fsynced with their folder. A generation is made in a folder with a name that begins with a dot and renamed when it is whole: one that is seen is whole. */
#ifndef TARN_STORE_GENERATION_H
#define TARN_STORE_GENERATION_H

#include "schema/base/buf.h"
#include "schema/base/err.h"
#include "schema/base/span.h"

/* One line of `topics`: a stream and the topic that brings it. */
struct topic_of_stream {
    char *stream;
    char *topic;
};

struct name_value {
    char *name;
    char *value;
};

enum framing { FRAMING_NONE, FRAMING_CONFLUENT };

/* What shapes results, fixed when a generation is made; written to generation.conf as `name = value` lines. */
struct generation_settings {
    struct topic_of_stream *streams; /* sorted by stream */
    size_t stream_count;
    char **topics; /* distinct, sorted: a topic's number in the store is its place here */
    size_t topic_count;
    char **type_headers; /* in order of precedence */
    size_t type_header_count;
    struct name_value *topic_types; /* --topic-type TOPIC=FULL.NAME */
    size_t topic_type_count;
    enum framing framing;
    uint64_t max_view_bytes; /* of one stream's part of one view */
    unsigned projection_version;
    char *start; /* "beginning" */
};

/* Raised whenever the same events would give other bytes. */
enum { PROJECTION_VERSION = 1 };

void generation_settings_release(struct generation_settings *settings);
void generation_settings_write(const struct generation_settings *settings, struct buf *text);
MUST_CHECK int generation_settings_read(struct span text, struct generation_settings *ret_settings, struct err *err);

/* -1 when the topic isn't one of them. */
int generation_topic_number(const struct generation_settings *settings, struct span topic);

/* A generation's name: short hash of schema, settings and start, with an ordinal: "7f3a9c-2". */
enum { GENERATION_NAME_MAX = 32 };

struct generation {
    char name[GENERATION_NAME_MAX];
    char *folder;
    struct buf schema; /* schema.binpb's bytes */
    struct generation_settings settings;
};
void generation_close(struct generation **generation);

/* Makes DIR when it isn't there and checks that it is ours to use (mode, format). */
MUST_CHECK int store_directory_prepare(const char *directory, struct err *err);

/* Makes a generation's folder, whole or not at all; the name's ordinal is the first one never used. */
MUST_CHECK int generation_make(const char *directory, struct span schema, const struct generation_settings *settings,
                               struct generation **ret_generation, struct err *err);
MUST_CHECK int generation_open(const char *directory, const char *name, struct generation **ret_generation,
                               struct err *err);

/* Names, sorted; the caller frees each and the list. */
MUST_CHECK int generation_list(const char *directory, char ***ret_names, size_t *ret_count, struct err *err);

/* What DIR/serving says: one line per served generation `NAME SHARE`. For now: one generation with share 100. */
struct serving {
    char name[GENERATION_NAME_MAX];
};
MUST_CHECK int serving_read(const char *directory, struct serving *ret_serving, struct err *err); /* ERR_ABSENT: none */
MUST_CHECK int serving_write(const char *directory, const struct serving *serving, struct err *err);

#endif
