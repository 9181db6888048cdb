/* ops/runtime/stop.h - SIGTERM and SIGINT as a file descriptor that turns readable, once for the whole process. */
#ifndef TARN_RUNTIME_STOP_H
#define TARN_RUNTIME_STOP_H

#include <stdbool.h>

#include "schema/base/err.h"

/* Blocks the signals in this thread and those it starts later, ignores SIGPIPE. Call first in main(). */
MUST_CHECK int stop_init(struct err *err);

/* Readable (poll) once a signal has come; not to be read. */
int stop_fd(void);
bool stop_requested(void);
/* As if a signal had come. From any thread. */
void stop_request(void);

#endif
