/* One row after the other: the number of its query (1 byte), the length of its event (4), the event's canonical bytes. */
#include "projector/verify_rows.h"

#include <string.h>

#include "projector/first_load_query.h"
#include "projector/first_load_rows.h"

enum { HEAD_BYTES = 1 + sizeof(uint32_t) };

struct rows_of_owner {
    const struct first_load *load;
    size_t ordinal;
    struct span owner;
    struct row_mapping *mapping;
    struct arena arena;
    struct buf text;
    struct buf *rows;
};

static int add_row(void *self, const struct database_row *row, struct err *err)
{
    struct rows_of_owner *reading = self;
    ProtobufCMessage *message;
    int rc = 0;

    if (reading->mapping == NULL)
        rc = row_mapping_new(reading->load, row, &reading->mapping, err);
    arena_reset(&reading->arena);
    buf_clear(&reading->text);
    if (rc == 0)
        rc = row_mapping_event(reading->mapping, row, &reading->arena, &message, &reading->text, err);
    if (rc < 0 || !span_equal(buf_span(&reading->text), reading->owner)) /* the column's collation may be laxer */
        return rc;
    uint32_t len = (uint32_t)message_encoded_size(message);
    buf_add_byte(reading->rows, (uint8_t)reading->ordinal);
    buf_add(reading->rows, &len, sizeof(len));
    message_encode(message, reading->rows);
    return 0;
}

int verify_rows_read(const struct database *database, const struct view *view, struct span owner, struct buf *rows,
                     struct err *err)
{
    int rc = 0;

    buf_clear(rows);
    for (size_t i = 0; rc == 0 && i < view->first_load_count; i++) {
        struct rows_of_owner reading = {.load = &view->first_loads[i], .ordinal = i, .owner = owner, .rows = rows};
        rc = load_query_owner(database, reading.load, owner, add_row, &reading, err);
        row_mapping_free(&reading.mapping);
        arena_release(&reading.arena);
        buf_release(&reading.text);
    }
    return rc;
}

bool verify_rows_next(struct span *left, const struct view *view, const struct first_load **ret_load,
                      struct span *ret_event)
{
    uint32_t len;

    if (left->len == 0)
        return false;
    const uint8_t *at = left->at;
    memcpy(&len, at + 1, sizeof(len));
    *ret_load = &view->first_loads[at[0]];
    *ret_event = span_of(at + HEAD_BYTES, len);
    *left = span_of(at + HEAD_BYTES + len, left->len - HEAD_BYTES - len);
    return true;
}

int verify_rows_look(const struct database *database, const struct outbox *outbox, const struct view *view,
                     struct span owner, struct buf *rows, bool *ret_has_outbox_row, struct err *err)
{
    struct err ignored = {0};

    int rc = database_do(database, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", err);
    if (rc == 0)
        rc = database_do(database, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err);
    if (rc == 0)
        rc = verify_rows_read(database, view, owner, rows, err);
    if (rc == 0)
        rc = outbox_has_key(outbox, database, owner, ret_has_outbox_row, err);
    if (database->is_open(database->self) && database_do(database, "ROLLBACK", &ignored) < 0)
        database->close(database->self);
    return rc;
}
