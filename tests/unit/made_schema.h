/* tests/unit/made_schema.h - descriptor sets for tests: read from files, or made of options that protoc would never
 * write. */
#ifndef TARN_TESTS_MADE_SCHEMA_H
#define TARN_TESTS_MADE_SCHEMA_H

#include <tarn/view.pb-c.h>

#include "schema/base/buf.h"
#include "schema/view/plan.h"

/* A file's bytes; fails the test when it can't be read. The caller releases. */
struct buf made_schema_read(const char *path);

/* The views of a set that must be without mistakes; prints them and fails the test when it isn't. */
struct view_set *made_schema_load(struct span descriptor_set);
struct view_set *made_schema_load_file(const char *path);

/* A set of `made.v1.Happened {string user_id; string title; repeated string tags;}` and `view_count` messages with the
 * same fields, `View0`, `View1`, ..., each with these (tarn.view) bytes. title_rules: (tarn.field) bytes of `title`, or
 * none. The caller releases. */
struct buf made_schema(struct span view_options, struct span title_rules, size_t view_count);

/* A View with the key user_id, an unlimited number of `on`s from made.v1.Happened. Packed; the caller releases. */
struct buf made_schema_pack(const ProtobufCMessage *options);

#endif
