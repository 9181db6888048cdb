/* schema/base/mem.h - memory that is there or the process isn't.
 *
 * Every large use of memory is bounded by a budget of its own (caches, queues, request sizes), so an allocation that
 * fails means the machine is out of memory: the process says so on stderr and aborts, and the next start goes on from
 * the last commit, as after a kill. See ops/docs/decisions/out-of-memory.md. */
#ifndef TARN_BASE_MEM_H
#define TARN_BASE_MEM_H

#include <stddef.h>

#include "schema/base/span.h"

void *mem_alloc(size_t size);                       /* uninitialized; free() ends it */
void *mem_zero(size_t count, size_t size);          /* zeroed */
void *mem_resize(void *at, size_t count, size_t size);
void *mem_copy(const void *at, size_t size);        /* NULL for size 0 */
char *mem_text(const char *text);
char *mem_text_of(struct span span);                /* NUL-terminated copy */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for one more element: `things = mem_grow(things, count, &capacity, sizeof(*things))`. */
void *mem_grow(void *at, size_t count, size_t *capacity, size_t size);

#endif
