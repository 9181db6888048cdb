/* Changes every N-th view of a store's served generation, so that there is something to compare. Usage: bench_alter DIR N,
 * with build/examples.binpb's genetic results (bench_fill). Nobody else may have the store open. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "projector/opened_store.h"
#include "schema/base/mem.h"
#include "schema/store/layout.h"

enum { VIEWS_PER_COMMIT = 20000 };

static int alter(const struct opened_store *opened, struct span row_key, struct span value, struct store_writer *writer,
                 struct arena *arena, struct err *err)
{
    const struct view *view = view_set_find(opened->views, SPAN_LITERAL("genetic-result"));
    const struct field_type *name = message_type_field(view->type, SPAN_LITERAL("user_name"));
    struct buf bytes = BUF_INIT, row = BUF_INIT;
    struct stored_view stored;
    ProtobufCMessage *message;

    arena_reset(arena);
    int rc = layout_parse_view_value(value, &stored, err);
    if (rc == 0)
        rc = message_decode_own(view->type, stored.bytes, arena, &message, err);
    if (rc == 0) {
        message_set(message, name, (struct value){.kind = VALUE_STRING, .text = SPAN_LITERAL("somebody else")});
        message_encode(message, &bytes);
        stored.bytes = buf_span(&bytes);
        layout_view_value(row_key.len, stored, &row);
        rc = store_put(writer, TABLE_VIEWS, row_key, buf_span(&row), err);
    }
    buf_release(&bytes);
    buf_release(&row);
    return rc;
}

int main(int argc, char **argv)
{
    struct opened_store opened = {0};
    struct store_cursor *cursor = NULL;
    struct store_writer *writer = NULL;
    struct arena arena = ARENA_INIT;
    struct span key, value;
    struct err err = {0};
    uint64_t seen = 0, changed = 0;

    if (argc != 3 || atol(argv[2]) < 1) {
        fprintf(stderr, "usage: bench_alter DIR N\n");
        return 2;
    }
    int rc = opened_store_open(argv[1], NULL, STORE_READ_WRITE, &opened, &err);
    if (rc == 0)
        rc = store_cursor_open(opened.reader, TABLE_VIEWS, span_of(NULL, 0), span_of(NULL, 0), &cursor, &err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, &err)) == 0) {
        if (seen++ % (uint64_t)atol(argv[2]) != 0)
            continue;
        if (writer == NULL)
            rc = store_write_begin(opened.store, &writer, &err);
        if (rc == 0)
            rc = alter(&opened, key, value, writer, &arena, &err);
        if (rc == 0 && ++changed % VIEWS_PER_COMMIT == 0)
            rc = store_commit(&writer, &err);
    }
    rc = rc == ERR_ABSENT ? 0 : rc;
    if (rc == 0 && writer != NULL)
        rc = store_commit(&writer, &err);
    store_abort(&writer);
    store_cursor_close(&cursor);
    opened_store_close(&opened);
    arena_release(&arena);
    if (rc < 0)
        fprintf(stderr, "bench_alter: %s\n", err.text);
    else
        printf("changed %" PRIu64 " of %" PRIu64 " views\n", changed, seen);
    return rc < 0;
}
