/* ops/runtime/log.h - the log, on stderr: one fault, one line; text for people, JSON for collectors.
 *
 * Only main() and the loops log. Never a secret, never the content of a view or an event; keys only at debug. Usable
 * from any thread once log_init() has run. */
#ifndef TARN_RUNTIME_LOG_H
#define TARN_RUNTIME_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/base/compiler.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* format "text" or "json". Colours only when stderr is a terminal and NO_COLOR isn't set. */
void log_init(const char *program, bool is_json, enum log_level least);

/* printf-like; without a newline. */
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)

/* A line that is drawn again in place on a terminal (progress); log lines move it down. Nothing when stderr is no
 * terminal. NULL takes it away. */
void log_progress(const char *line);
bool log_has_terminal(void);

#endif
