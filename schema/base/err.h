/* schema/base/err.h - what went wrong, and what the caller can do next.
 *
 * A function that can fail returns 0 or a negative kind and fills a struct err that its caller owns. The kind names
 * the next step, the text grows on the way up ("topic users: partition 3: ..."), and only main() and the loops log it.
 * On failure a ret_ parameter is left as it was. */
#ifndef TARN_BASE_ERR_H
#define TARN_BASE_ERR_H

#include <stdarg.h>

#include "schema/base/compiler.h"

enum err_kind {
    ERR_ABSENT = -1, /* there is none: an answer, not a fault; the text may be empty */
    ERR_AGAIN = -2,  /* not now: later, or ask another */
    ERR_INPUT = -3,  /* what came from outside is wrong: refuse or park it, go on */
    ERR_FULL = -4,   /* out of disk or another resource: stop at the last commit, page someone */
    ERR_BROKEN = -5, /* what we keep is not what we wrote, or a library failed: stop, rebuild */
};

struct err {
    int kind;       /* an enum err_kind, or 0 */
    char text[1000]; /* one sentence without a newline; cut at the end when it grows too long */
};

/* Sets kind and text, returns kind: `return err_set(err, ERR_INPUT, "...")`. */
int err_set(struct err *err, int kind, const char *format, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": " and the text of errno_value behind. ENOSPC, EDQUOT and EFBIG make the kind ERR_FULL. */
int err_set_errno(struct err *err, int kind, int errno_value, const char *format, ...) PRINTF_LIKE(4, 5);

/* Puts "<prefix>: " before the text, returns the kind. */
int err_prefix(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
