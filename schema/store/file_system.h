/* schema/store/file_system.h - the machine that a store lies on: which file systems will do, and which boot it is.
 *
 * LMDB maps the data file and keeps its lock table in another map that all processes share, so both must be the very
 * same memory for all of them. Network file systems and those that a process serves (FUSE) don't promise that. */
#ifndef TARN_STORE_FILE_SYSTEM_H
#define TARN_STORE_FILE_SYSTEM_H

#include "schema/store/store.h"

extern const struct store_platform store_platform_system;

/* ERR_INPUT: path is on a file system that won't do; the text names it and says what to do. */
MUST_CHECK int file_system_check(const struct store_platform *platform, const char *path, struct err *err);

/* What tells this boot of the machine from any other. platform: NULL, and one without that question, are the machine. */
MUST_CHECK int file_system_boot_id(const struct store_platform *platform, char ret_id[STORE_BOOT_ID_SIZE],
                                   struct err *err);

#endif
