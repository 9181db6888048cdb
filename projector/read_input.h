/* projector/read_input.h - a whole input file. */
#ifndef TARN_PROJECTOR_READ_INPUT_H
#define TARN_PROJECTOR_READ_INPUT_H

#include "schema/base/buf.h"
#include "schema/base/err.h"

/* Appends the file's bytes; "-" is stdin. ERR_INPUT: it can't be read, or has more than max_bytes. */
MUST_CHECK int read_input(const char *path, size_t max_bytes, struct buf *bytes, struct err *err);

#endif
