/* projector/announcements_pending.h - how many announcements a generation's store holds back, as `status` shows it. */
#ifndef TARN_PROJECTOR_ANNOUNCEMENTS_PENDING_H
#define TARN_PROJECTOR_ANNOUNCEMENTS_PENDING_H

#include "schema/store/generation_settings.h"
#include "schema/store/store.h"

/* The reader has a snapshot. Rows that are announced and haven't been let go of yet don't count. */
MUST_CHECK int announcements_pending(const char *directory, const struct generation_settings *settings,
                                     struct store_reader *reader, size_t *ret_count, struct err *err);

#endif
