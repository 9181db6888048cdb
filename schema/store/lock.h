/* schema/store/lock.h - DIR/lock: held by the one process that writes, for as long as it lives.
 *
 * The lock is the kernel's (an open-file-description lock), so a killed holder's is gone with it; the file's text only
 * tells who holds it. A command that finds it taken by the projector leaves a request instead (control.h). */
#ifndef TARN_STORE_LOCK_H
#define TARN_STORE_LOCK_H

#include <stdint.h>

#include "schema/base/err.h"

struct lock;

/* Takes DIR/lock. ERR_AGAIN: another has it; the text says who ("tarn-projector (pid 123 on host a, since ...) writes
 * DIR"). program: "tarn-projector run". Not to be carried through fork(). */
MUST_CHECK int lock_take(const char *directory, const char *program, struct lock **ret_lock, struct err *err);
void lock_release(struct lock **lock);

struct lock_holder {
    char program[64];
    char host[65];
    int64_t pid; /* in the holder's own PID namespace */
    int64_t since_ms;
};

/* Who holds DIR/lock now. ERR_ABSENT: nobody. */
MUST_CHECK int lock_find_holder(const char *directory, struct lock_holder *ret_holder, struct err *err);

#endif
