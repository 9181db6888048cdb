/* schema/store/presence.h - who has a store open: processes of one PID namespace only.
 *
 * LMDB's lock table knows its users by process id. Seen from two PID namespaces an id means two processes (the main
 * process of every container is number 1): a second reader is refused, and a reader that lives elsewhere looks dead, so
 * that its pages are written over below it. So every process that opens a store says which namespace it is of, and one
 * from another is refused for as long as any of the first lives. */
#ifndef TARN_STORE_PRESENCE_H
#define TARN_STORE_PRESENCE_H

#include "schema/base/err.h"

struct presence;

/* Says that this process has the folder open. ERR_INPUT: processes of another PID namespace have; the text says what to
 * do. Ends with presence_leave() or with the process, however it ends. */
MUST_CHECK int presence_enter(const char *folder, struct presence **ret_presence, struct err *err);
void presence_leave(struct presence **presence);

#endif
