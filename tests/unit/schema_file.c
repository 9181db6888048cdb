#include "tests/unit/schema_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct buf schema_file_bytes(const char *name)
{
    struct buf path = BUF_INIT;
    struct buf bytes = BUF_INIT;

    buf_add_format(&path, "build/protos/%s.binpb", name);
    FILE *file = fopen(buf_text(&path), "rb");
    if (file == NULL)
        fail_msg("%s: not there; tests run from the top folder", buf_text(&path));
    while (file != NULL && !feof(file))
        bytes.len += fread(buf_reserve(&bytes, 4096), 1, 4096, file);
    if (file != NULL)
        fclose(file);
    buf_release(&path);
    return bytes;
}

struct type_set *schema_file_types(const char *name)
{
    struct buf bytes = schema_file_bytes(name);
    struct type_set *set = NULL;
    struct err err = {0};

    if (type_set_load(buf_span(&bytes), &set, &err) < 0)
        fail_msg("%s: %s", name, err.text);
    buf_release(&bytes);
    return set;
}

static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c < 'a' || c > 'f')
        fail_msg("not a hex digit: %c", c);
    return (unsigned)(c - 'a' + 10);
}

struct span bytes_of_hex(const char *hex, struct arena *arena)
{
    uint8_t *bytes = arena_alloc(arena, strlen(hex));
    size_t len = 0;

    while (*hex != '\0') {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        bytes[len++] = (uint8_t)(digit_of(hex[0]) << 4 | digit_of(hex[1]));
        hex += 2;
    }
    return span_of(bytes, len);
}
