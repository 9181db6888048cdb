/* tests/unit/store_world.h - a store of a test's own, open for writing, with a reader. */
#ifndef TARN_TESTS_STORE_WORLD_H
#define TARN_TESTS_STORE_WORLD_H

#include "schema/base/buf.h"
#include "schema/store/layout.h"
#include "schema/store/store.h"

struct store_world {
    char *folder;
    struct store *store; /* open for writing */
    struct store_reader *reader;
    struct buf key;   /* of the row that was made last, */
    struct buf value; /* and what it holds */
};

extern const struct store_options store_world_read_write, store_world_read_only;

/* cmocka's: *state is a struct store_world *. */
int store_world_set_up(void **state);
int store_world_tear_down(void **state);
#define with_store(test) cmocka_unit_test_setup_teardown(test, store_world_set_up, store_world_tear_down)

/* The row of owner number `owner`, in key and value. */
void store_world_make_view(struct store_world *world, unsigned owner, uint16_t view, const char *bytes, size_t length);

/* In a commit of its own. */
void store_world_put_mark(struct store_world *world, const char *key, const char *value);
void store_world_assert_mark(struct store_world *world, const char *key, const char *expected);

/* What another process does, with what should come of it: see isolated.h. */
struct store_opening {
    const char *folder;
    struct store_options options;
    int expected;     /* what store_open() should return */
    const char *says; /* part of the error's text, or NULL */
};
int store_world_open_elsewhere(void *opening);

/* Tells what went wrong; 1, as a process ends that has failed. */
int store_world_complain(const char *what, const struct err *err);

#endif
