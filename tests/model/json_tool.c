/* Shows json_compare.py what Tarn makes of a message: for each frame on stdin a line on stdout.
 *
 *   json_tool SET.binpb        frame: the type's name, a newline, the number of bytes in decimal, a newline, the bytes
 *                              line:  "ok", the canonical bytes in hex, their JSON, separated by tabs
 *                                     "refused" or "unshown" (no JSON), the error
 *
 * The message goes the way of an event into a view: decoded, copied, encoded; decoded again as our own; rendered. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/json/render.h"

static struct buf read_file(const char *path)
{
    struct buf buf = BUF_INIT;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        exit(2);
    }
    for (;;) {
        size_t got = fread(buf_reserve(&buf, 65536), 1, 65536, file);
        if (got == 0)
            break;
        buf.len += got;
    }
    fclose(file);
    return buf;
}

static bool read_frame(struct buf *type, struct buf *bytes)
{
    char line[1000];
    size_t length = 0;

    if (fgets(line, sizeof(line), stdin) == NULL)
        return false;
    buf_clear(type);
    buf_add(type, line, strcspn(line, "\n"));
    if (fgets(line, sizeof(line), stdin) == NULL || sscanf(line, "%zu", &length) != 1)
        return false;
    buf_clear(bytes);
    bytes->len = fread(buf_reserve(bytes, length), 1, length, stdin);
    return bytes->len == length;
}

/* The renderers of the types seen so far, by the type's place in the set. */
struct plans {
    const struct type_set *set;
    struct render_plan **by_type;
};

static const struct render_plan *plan_of(struct plans *plans, const struct message_type *type)
{
    struct render_plan **plan = &plans->by_type[type - type_set_at(plans->set, 0)];

    if (*plan == NULL)
        *plan = render_plan_new_message(type);
    return *plan;
}

static void show(struct plans *plans, const struct message_type *type, struct span bytes, struct arena *arena)
{
    struct buf canonical = BUF_INIT;
    struct buf again = BUF_INIT;
    struct buf json = BUF_INIT;
    ProtobufCMessage *message = NULL;
    ProtobufCMessage *own = NULL;
    struct err err;

    if (message_decode(type, bytes, arena, &message, &err) < 0) {
        printf("refused\t%s\n", err.text);
        return;
    }
    message_encode(message_copy(message, arena), &canonical);
    if (message_decode_own(type, buf_span(&canonical), arena, &own, &err) < 0) {
        printf("broken\t%s\n", err.text);
    } else {
        message_encode(own, &again);
        if (!span_equal(buf_span(&canonical), buf_span(&again)))
            printf("broken\tthe canonical bytes change\n");
        else if (render_json(plan_of(plans, type), NULL, buf_span(&canonical), &json, &err) < 0)
            printf("unshown\t%s\n", err.text);
        else {
            fputs("ok\t", stdout);
            for (size_t i = 0; i < canonical.len; i++)
                printf("%02x", canonical.at[i]);
            printf("\t%s\n", buf_text(&json));
        }
    }
    buf_release(&canonical);
    buf_release(&again);
    buf_release(&json);
}

int main(int argc, char **argv)
{
    struct arena arena = ARENA_INIT;
    struct buf type_name = BUF_INIT;
    struct buf bytes = BUF_INIT;
    struct type_set *set = NULL;
    struct err err;

    if (argc != 2) {
        fprintf(stderr, "usage: json_tool SET.binpb\n");
        return 2;
    }
    struct buf schema = read_file(argv[1]);
    if (type_set_load(buf_span(&schema), &set, &err) < 0) {
        fprintf(stderr, "json_tool: %s: %s\n", argv[1], err.text);
        return 2;
    }
    struct plans plans = {set, mem_zero(type_set_count(set), sizeof(struct render_plan *))};
    while (read_frame(&type_name, &bytes)) {
        const struct message_type *type = type_set_find(set, buf_span(&type_name));
        if (type == NULL)
            printf("refused\tno such type\n");
        else
            show(&plans, type, buf_span(&bytes), &arena);
        fflush(stdout);
        arena_reset(&arena);
    }

    for (size_t i = 0; i < type_set_count(set); i++)
        render_plan_free(&plans.by_type[i]);
    free(plans.by_type);
    type_set_free(&set);
    arena_release(&arena);
    buf_release(&schema);
    buf_release(&type_name);
    buf_release(&bytes);
    return 0;
}
