/* tests/unit/schema_file.h - descriptor sets of tests/protos, and bytes written down as hex. */
#ifndef TARN_TESTS_SCHEMA_FILE_H
#define TARN_TESTS_SCHEMA_FILE_H

#include "schema/base/buf.h"
#include "schema/message/type.h"

/* The bytes of build/protos/NAME.binpb; fails the running test without it. */
struct buf schema_file_bytes(const char *name);
struct type_set *schema_file_types(const char *name);

/* "0a 03 616263" in the arena. */
struct span bytes_of_hex(const char *hex, struct arena *arena);

#endif
