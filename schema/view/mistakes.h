/* schema/view/mistakes.h - mistakes of a schema: collected while it is compiled, all of them at once.
 *
 * A line is `<place>: <option>: <what is wrong, and what to do>`. It is read by people who write .proto files. */
#ifndef TARN_VIEW_MISTAKES_H
#define TARN_VIEW_MISTAKES_H

#include <stdarg.h>

#include "schema/base/span.h"
#include "schema/view/plan.h"

enum {
    MISTAKES_MAX = 10000, /* more aren't kept: nobody reads them, and a hostile schema may have many */
    QUOTE_BYTES_MAX = 120,
};

/* printf("\"%.*s\"", QUOTE_ARGS(span)): what somebody else wrote, never more than QUOTE_BYTES_MAX of it. */
#define QUOTE_ARGS(span)                                                                                               \
    (int)((span).len < QUOTE_BYTES_MAX ? (span).len : QUOTE_BYTES_MAX), (const char *)((span).len ? (span).at : "")

/* option may be NULL. Characters that would break the line are replaced. */
void mistakes_add(struct mistakes *mistakes, const char *place, const char *option, const char *format, ...)
    PRINTF_LIKE(4, 5);
void mistakes_add_list(struct mistakes *mistakes, const char *place, const char *option, const char *format,
                       va_list args) PRINTF_LIKE(4, 0);

#endif
