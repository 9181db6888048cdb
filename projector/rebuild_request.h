/* projector/rebuild_request.h - what `rebuild` was told, as the request that it becomes. */
#ifndef TARN_PROJECTOR_REBUILD_REQUEST_H
#define TARN_PROJECTOR_REBUILD_REQUEST_H

#include <jansson.h>

#include "schema/base/buf.h"
#include "schema/base/err.h"

/* --from: `beginning`, a time (2026-11-22, 2026-11-22T09:00:00Z, ms since 1970), or TOPIC/PARTITION@OFFSET,... as the
 * request's `start`; the caller's to json_decref(). ERR_INPUT names what isn't understood. */
MUST_CHECK int rebuild_parse_from(const char *text, json_t **ret_start, struct err *err);

/* --sample: `1%` or `1`, below 100. */
MUST_CHECK int rebuild_parse_sample(const char *text, int64_t *ret_percent, struct err *err);

/* --dedupe-window: a number of records, 0 for none. */
MUST_CHECK int rebuild_parse_window(const char *text, int64_t *ret_records, struct err *err);

/* Names the request by what it asks for, so that a command that was killed and is run again finds what it had begun:
 * the same id as long as that is under construction, another one once it is complete. schema: the file's bytes; empty
 * when none is given. The caller frees. */
MUST_CHECK int rebuild_request_id(const char *directory, json_t *arguments, struct span schema, char **ret_id,
                                  struct err *err);

/* Puts the schema where the request names it: DIR/control/uploads/ID.binpb, which stays until the same request is
 * carried out. */
MUST_CHECK int rebuild_upload(const char *directory, const char *id, struct span schema, struct err *err);
/* The request was answered. */
void rebuild_forget_upload(const char *directory, const char *id);

#endif
