/* A store whose commits aren't synced, on a machine whose boots the test counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/store/unsynced.h"
#include "scratch_folder.h"
#include "tests/unit/assert_ok.h"
#include "tests/unit/counted_boots.h"

struct fixture {
    char *folder;
    struct counted_boots machine;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_zero(1, sizeof(*fixture));

    fixture->folder = scratch_folder_make();
    counted_boots_init(&fixture->machine);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    scratch_folder_remove(&fixture->folder);
    free(fixture);
    return 0;
}

/* --- the mark --- */

static int check(const struct fixture *fixture)
{
    struct err err = {0};

    int rc = unsynced_check(&fixture->machine.platform, fixture->folder, &err);
    if (rc < 0)
        assert_non_null(strstr(err.text, "can't be trusted"));
    return rc;
}

static void a_folder_without_a_mark_is_trusted_in_any_boot(void **state)
{
    struct fixture *fixture = *state;

    assert_false(unsynced_is_marked(fixture->folder));
    assert_int_equal(check(fixture), 0);
    fixture->machine.boot++;
    assert_int_equal(check(fixture), 0);
}

static void a_marked_folder_is_trusted_in_its_boot_alone_until_it_is_cleared(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};

    assert_ok(unsynced_mark(&fixture->machine.platform, fixture->folder, &err));
    assert_true(unsynced_is_marked(fixture->folder));
    assert_int_equal(check(fixture), 0);
    fixture->machine.boot++;
    assert_int_equal(check(fixture), ERR_BROKEN);
    assert_ok(unsynced_clear(fixture->folder, &err));
    assert_ok(unsynced_clear(fixture->folder, &err)); /* again: fine */
    assert_false(unsynced_is_marked(fixture->folder));
    assert_int_equal(check(fixture), 0);
}

static void a_mark_stays_that_of_the_first_commit(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};

    assert_ok(unsynced_mark(&fixture->machine.platform, fixture->folder, &err));
    fixture->machine.boot++;
    assert_ok(unsynced_mark(&fixture->machine.platform, fixture->folder, &err));
    assert_int_equal(check(fixture), ERR_BROKEN);
}

static void a_spoiled_mark_is_trusted_in_no_boot(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};

    assert_ok(unsynced_mark(&fixture->machine.platform, fixture->folder, &err));
    assert_ok(unsynced_spoil(fixture->folder, &err));
    assert_int_equal(check(fixture), ERR_BROKEN);
    assert_ok(unsynced_mark(&fixture->machine.platform, fixture->folder, &err));
    assert_int_equal(check(fixture), ERR_BROKEN);
}

static void a_mark_that_can_not_be_spoiled_is_told_of(void **state)
{
    struct fixture *fixture = *state;
    char *absent = mem_format("%s/absent", fixture->folder);
    struct err err = {0};

    assert_int_equal(unsynced_spoil(absent, &err), ERR_BROKEN);
    assert_true(strlen(err.text) > 0);
    free(absent);
}

/* --- stores that go by it --- */

static int try_store(const struct fixture *fixture, bool skips_syncs, bool makes_whole)
{
    struct store_options options = {
        .access = STORE_READ_WRITE, .platform = &fixture->machine.platform, .skips_syncs = skips_syncs};
    struct store *store = NULL;
    struct err err = {0};

    int rc = store_open(fixture->folder, &options, &store, &err);
    if (rc == 0 && makes_whole)
        rc = store_make_whole(store, &err);
    if (rc == 0)
        assert_int_equal(store_is_whole(store), makes_whole || !skips_syncs);
    store_close(&store);
    return rc;
}

static void a_store_that_skips_syncs_is_opened_in_the_same_boot_alone_until_it_is_made_whole(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(try_store(fixture, true, false), 0);
    assert_true(unsynced_is_marked(fixture->folder));
    assert_int_equal(try_store(fixture, true, false), 0);
    fixture->machine.boot++;
    assert_int_equal(try_store(fixture, true, false), ERR_BROKEN);
    assert_int_equal(try_store(fixture, false, false), ERR_BROKEN);
    fixture->machine.boot--;
    assert_int_equal(try_store(fixture, false, true), 0); /* goes on skipping until then, as it is marked */
    assert_false(unsynced_is_marked(fixture->folder));
    fixture->machine.boot++;
    assert_int_equal(try_store(fixture, false, false), 0);
}

static void a_store_whose_sync_has_failed_is_not_opened_again(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};

    assert_int_equal(try_store(fixture, true, false), 0);
    assert_ok(unsynced_spoil(fixture->folder, &err));
    assert_int_equal(try_store(fixture, true, false), ERR_BROKEN);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(a_folder_without_a_mark_is_trusted_in_any_boot),
        with_folder(a_marked_folder_is_trusted_in_its_boot_alone_until_it_is_cleared),
        with_folder(a_mark_stays_that_of_the_first_commit),
        with_folder(a_spoiled_mark_is_trusted_in_no_boot),
        with_folder(a_mark_that_can_not_be_spoiled_is_told_of),
        with_folder(a_store_that_skips_syncs_is_opened_in_the_same_boot_alone_until_it_is_made_whole),
        with_folder(a_store_whose_sync_has_failed_is_not_opened_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
