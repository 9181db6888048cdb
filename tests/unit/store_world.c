#include "store_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"

const struct store_options store_world_read_write = {.access = STORE_READ_WRITE};
const struct store_options store_world_read_only = {.access = STORE_READ_ONLY};

int store_world_set_up(void **state)
{
    struct store_world *world = mem_zero(1, sizeof(*world));
    struct err err = {0};

    world->folder = scratch_folder_make();
    if (store_open(world->folder, &store_world_read_write, &world->store, &err) != 0 ||
        store_reader_open(world->store, &world->reader, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    *state = world;
    return 0;
}

int store_world_tear_down(void **state)
{
    struct store_world *world = *state;

    store_reader_close(&world->reader);
    store_close(&world->store);
    scratch_folder_remove(&world->folder);
    buf_release(&world->key);
    buf_release(&world->value);
    free(world);
    return 0;
}

void store_world_make_view(struct store_world *world, unsigned owner, uint16_t view, const char *bytes, size_t length)
{
    char name[32];

    snprintf(name, sizeof(name), "u%u", owner);
    buf_clear(&world->key);
    buf_clear(&world->value);
    layout_view_key(hash64(span_of_text(name)), view, span_of_text(name), &world->key);
    layout_view_value(world->key.len, (struct stored_view){true, span_of(bytes, length)}, &world->value);
}

void store_world_put_mark(struct store_world *world, const char *key, const char *value)
{
    struct store_writer *writer = NULL;
    struct err err = {0};

    assert_ok(store_write_begin(world->store, &writer, &err));
    assert_ok(store_put(writer, TABLE_MARKS, span_of_text(key), span_of_text(value), &err));
    assert_ok(store_commit(&writer, &err));
    assert_null(writer);
}

void store_world_assert_mark(struct store_world *world, const char *key, const char *expected)
{
    struct err err = {0};
    struct span value;

    assert_ok(store_find(world->reader, TABLE_MARKS, span_of_text(key), &value, &err));
    assert_true(span_equal_text(value, expected));
}

int store_world_open_elsewhere(void *argument)
{
    const struct store_opening *opening = argument;
    struct store *store = NULL;
    struct err err = {0};

    int rc = store_open(opening->folder, &opening->options, &store, &err);
    if (rc != opening->expected || (opening->says != NULL && strstr(err.text, opening->says) == NULL)) {
        fprintf(stderr, "store_open() = %d, %s\n", rc, err.text);
        return 1;
    }
    store_close(&store);
    return 0;
}

int store_world_complain(const char *what, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->text);
    return 1;
}
