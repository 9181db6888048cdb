/* projector/announcement_record.h - one announcement as it goes to Kafka: a tarn.Announcement
 * (schema/tarn/announcement.proto). Pure. */
#ifndef TARN_PROJECTOR_ANNOUNCEMENT_RECORD_H
#define TARN_PROJECTOR_ANNOUNCEMENT_RECORD_H

#include "schema/base/arena.h"
#include "schema/view/plan.h"

struct announcement_facts {
    const struct view *view;
    size_t ordinal;       /* in the view's announcements */
    struct span view_key; /* encoded */
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *generation;
    int64_t event_time_ms;
    int64_t visible_at_ms;
};

enum { ANNOUNCEMENT_ID_CHARS = 32 };

struct announcement_record {
    struct span key; /* the owner, as in a record's key */
    char id[ANNOUNCEMENT_ID_CHARS + 1];
    struct span value;
};

/* Spans live in the arena. ERR_BROKEN: a stored key that isn't the view's. */
MUST_CHECK int announcement_record_make(const struct announcement_facts *facts, struct arena *arena,
                                        struct announcement_record *ret_record, struct err *err);

#endif
