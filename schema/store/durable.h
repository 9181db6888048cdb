/* schema/store/durable.h - small files that are there whole, or as they were before, whatever happens meanwhile. */
#ifndef TARN_STORE_DURABLE_H
#define TARN_STORE_DURABLE_H

#include <stdbool.h>

#include "schema/base/buf.h"
#include "schema/base/err.h"

/* Makes or replaces folder/name: written beside as .name.tmp, fsynced, renamed, the folder fsynced. One writer a name
 * at a time. Mode 0600. */
MUST_CHECK int durable_write(const char *folder, const char *name, struct span bytes, struct err *err);

/* Appends the file's bytes. ERR_ABSENT: there is none (err has no text). ERR_INPUT: larger than max_bytes. */
MUST_CHECK int durable_read(const char *folder, const char *name, size_t max_bytes, struct buf *bytes, struct err *err);

/* What was made, renamed or removed in the folder survives a power cut from now on. */
MUST_CHECK int durable_sync_folder(const char *folder, struct err *err);

/* Mode 0700; one that is there already is left as it is. Its parent is fsynced. */
MUST_CHECK int durable_make_folder(const char *parent, const char *name, struct err *err);

/* The names in a folder that don't begin with a dot, sorted; durable_free_names() ends them. ERR_ABSENT: no folder. */
MUST_CHECK int durable_list(const char *folder, char ***ret_names, size_t *ret_count, struct err *err);
void durable_free_names(char **names, size_t count);

#endif
