/* projector/announcements.h - all that announces in a process: the offsets in DIR/control, Kafka's client, the thread. */
#ifndef TARN_PROJECTOR_ANNOUNCEMENTS_H
#define TARN_PROJECTOR_ANNOUNCEMENTS_H

#include "projector/announcer.h"
#include "projector/run_settings.h"

struct announcements;

/* *ret_announcements is NULL where nothing is announced: without --announce-topic. Borrowed: settings, clock.
 * ERR_INPUT: a setting in --kafka that is wrong for a producer. */
MUST_CHECK int announcements_open(const struct run_settings *settings, const struct serving *serving,
                                  const struct clock_port *clock, struct announcements **ret_announcements,
                                  struct err *err);
/* Everybody has left the announcer. Waits a moment for what is on its way. */
void announcements_close(struct announcements **announcements);

/* NULL where nothing is announced. */
struct announcer *announcements_announcer(struct announcements *announcements);

/* Now and then: writes down how far it is, when that has changed. After a crash what came since is announced again. */
void announcements_note(struct announcements *announcements);

#endif
