/* schema/store/generation.h - the store's directory and its generations.
 *
 *     DIR/format                         the version of all this
 *     DIR/serving                        which generations are served, with their shares (serving.h)
 *     DIR/lock                           held by whoever writes (lock.h)
 *     DIR/control/                       requests (control.h) and decisions: dropped (dropped.h), ordinals
 *     DIR/generations/NAME/schema.binpb  the descriptor set
 *     DIR/generations/NAME/generation.conf  the settings that shape results (generation_settings.h)
 *     DIR/generations/NAME/data.mdb, lock.mdb, namespace  (store.h, presence.h)
 *     DIR/generations/NAME/made_by, building  (building.h)
 *     DIR/generations/NAME/unsynced  (unsynced.h)
 *     DIR/generations/NAME/checkpoint  (checkpoint.h)
 *     DIR/generations/.trash-NAME  dropped, and being deleted
 *
 * Mode 0700, files 0600, replaced by rename and fsynced with their folder. A generation is made in a folder with a name
 * that begins with a dot and renamed when it is whole: one that is seen is whole. */
#ifndef TARN_STORE_GENERATION_H
#define TARN_STORE_GENERATION_H

#include "schema/store/generation_settings.h"
#include "schema/store/serving.h"

struct generation {
    char name[GENERATION_NAME_MAX];
    char *folder;
    struct buf schema; /* schema.binpb's bytes */
    struct generation_settings settings;
};
void generation_close(struct generation **generation);

/* Makes DIR when it isn't there (its parent must be), or takes one that is empty or ours. ERR_INPUT: it holds something
 * else, or is of another version; it is left as it was. */
MUST_CHECK int store_directory_prepare(const char *directory, struct err *err);

/* For readers. ERR_ABSENT: DIR isn't there or nobody has prepared it yet. ERR_INPUT: of another version. */
MUST_CHECK int store_directory_check(const char *directory, struct err *err);

/* Makes a generation's folder, whole or not at all; the name's ordinal is the first one never used with its hash. By
 * the holder of DIR/lock. */
MUST_CHECK int generation_make(const char *directory, struct span schema, const struct generation_settings *settings,
                               struct generation **ret_generation, struct err *err);
/* The same, with more in the folder before it is renamed: prepare() gets the hidden folder's path, with schema and
 * settings in it. */
struct generation_preparation {
    int (*prepare)(void *self, const char *folder, struct err *err);
    void *self;
};
MUST_CHECK int generation_make_prepared(const char *directory, struct span schema,
                                        const struct generation_settings *settings,
                                        const struct generation_preparation *preparation,
                                        struct generation **ret_generation, struct err *err);

/* Renamed to a hidden name, which is the moment it is gone, then deleted: whoever has its file mapped keeps what is
 * mapped, and its name is never given again. One that is gone already is no error. By the holder of DIR/lock; no store
 * of it is open for writing, and `serving` names it no more. */
MUST_CHECK int generation_drop(const char *directory, const char *name, struct err *err);
/* Deletes what a crash left of dropped ones. */
MUST_CHECK int generation_clear_trash(const char *directory, struct err *err);

/* The folder of a generation; the caller frees it. */
char *generation_folder(const char *directory, const char *name);

/* ERR_ABSENT: no such generation. ERR_INPUT: settings that this version doesn't know. ERR_BROKEN: schema or settings
 * aren't those that the name was made of. */
MUST_CHECK int generation_open(const char *directory, const char *name, struct generation **ret_generation,
                               struct err *err);

/* Names, sorted; the caller frees each and the list. */
MUST_CHECK int generation_list(const char *directory, char ***ret_names, size_t *ret_count, struct err *err);

/* "7f3a9c-2": six hex digits, a dash, a number from 1 without leading zeros. */
bool generation_is_name(const char *text);

#endif
