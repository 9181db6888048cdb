/* Rows leave the store with the first commit behind their announcement, and the file is a second old at most: neither is
 * a count by itself. */
#include "projector/announcements_pending.h"

#include <stdatomic.h>

#include "schema/store/announced.h"
#include "schema/store/layout.h"

static int count(const struct generation_settings *settings, struct store_reader *reader, struct announced *announced,
                 size_t *ret_count, struct err *err)
{
    const struct span all = {NULL, 0};
    const struct announced_partition *entry = NULL;
    struct announcement_key at, last = {.partition = -1};
    struct store_cursor *cursor = NULL;
    struct span key, value;
    size_t pending = 0;

    int rc = store_cursor_open(reader, TABLE_ANNOUNCEMENTS, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        rc = layout_parse_announcement_key(key, &at, err);
        if (rc < 0 || at.topic >= settings->topic_count)
            continue;
        if (entry == NULL || at.topic != last.topic || at.partition != last.partition)
            entry = announced_at(announced, settings->topics[at.topic], at.partition);
        last = at;
        pending += at.offset >= atomic_load(&entry->next_offset);
    }
    store_cursor_close(&cursor);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    *ret_count = pending;
    return 0;
}

int announcements_pending(const char *directory, const struct generation_settings *settings,
                          struct store_reader *reader, size_t *ret_count, struct err *err)
{
    struct announced *announced = NULL;

    if (store_read_count(reader, TABLE_ANNOUNCEMENTS) == 0) {
        *ret_count = 0;
        return 0;
    }
    int rc = announced_open(directory, &announced, err);
    if (rc == 0)
        rc = count(settings, reader, announced, ret_count, err);
    announced_close(&announced);
    return rc;
}
