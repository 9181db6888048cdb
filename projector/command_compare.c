/* `compare`: a running projector is asked to hold both generations at the same positions for the moment in which their
 * snapshots are taken; what is compared then is the snapshots, and traffic goes on. When none runs, nothing moves. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ops/runtime/log.h"
#include "projector/carry_out.h"
#include "projector/command.h"
#include "projector/comparison_report.h"
#include "projector/generation_change.h"
#include "projector/opened_store.h"
#include "projector/same_positions.h"
#include "schema/store/lock.h"

/* A compare that is killed costs live traffic a lease at most: it begins small, and grows where a machine is too busy to
 * take two snapshots within it. */
enum { LEASE_MS = 2000, LEASE_MOST_MS = 16000, RELEASE_MS = 2000, ASK_MS = 8000, ASK_AGAIN_MS = 300 };

struct compare_settings {
    struct command_common common;
    const char *store;
    int64_t max_diff;
    int64_t examples;
    bool with_values;
    bool is_json;
    int64_t wait_ms;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct compare_settings),
    COMMAND_STORE_OPTION(struct compare_settings),
    {.name = "max-diff",
     .kind = CONFIG_INTEGER,
     .offset = offsetof(struct compare_settings, max_diff),
     .placeholder = "N",
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "With more differences than this the exit code is 3. A difference is a key in one only, a key of a view "
             "that B doesn't have, or a view that isn't the same."},
    {.name = "examples",
     .kind = CONFIG_INTEGER,
     .offset = offsetof(struct compare_settings, examples),
     .placeholder = "N",
     .fallback = "5",
     .min = 0,
     .max = 10000,
     .help = "How many keys of differences are named for each view."},
    {.name = "values",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct compare_settings, with_values),
     .help = "Prints the views of these keys too (personal data)."},
    COMMAND_JSON_OPTION(struct compare_settings),
    {.name = "wait",
     .kind = CONFIG_TIME_MS,
     .offset = offsetof(struct compare_settings, wait_ms),
     .placeholder = "TIME",
     .fallback = "60s",
     .min = 100,
     .max = 24 * 3600 * 1000,
     .help = "How long to wait until a running projector has both at the same positions."},
};

struct pair {
    const struct compare_settings *settings;
    const char *names[2];
    struct opened_store opened[2];
    int64_t lease_ms;
};

static int open_both(struct pair *pair, struct err *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < 2; i++)
        rc = opened_store_open(pair->settings->store, pair->names[i], STORE_READ_ONLY, &pair->opened[i], err);
    return rc;
}

static void close_both(struct pair *pair)
{
    for (int i = 0; i < 2; i++)
        opened_store_close(&pair->opened[i]);
}

/* Nobody runs, and with the lock held nobody begins to. */
static int open_here(void *self, json_t *arguments, json_t **ret_outcome, struct err *err)
{
    int rc = open_both(self, err);

    (void)arguments;
    if (rc == 0)
        *ret_outcome = json_object();
    return rc;
}

/* A lease ends by itself: that the release isn't heard costs nothing but that. */
static void release(const struct compare_settings *settings, const char *hold)
{
    const struct carry_out what = {settings->store, "tarn-projector compare", REQUEST_RELEASE, RELEASE_MS, NULL, NULL};
    json_t *request = json_pack("{s:s}", "hold", hold);
    json_t *outcome = NULL;
    struct err err = {0};

    if (carry_out(&what, request, &outcome, &err) < 0)
        log_debug("the projector goes on by itself: %s", err.text);
    json_decref(outcome);
    json_decref(request);
}

/* "users/0@119, ..." as they are shown: the last offset handled. */
static void tell_positions(const json_t *held, struct buf *positions)
{
    size_t index;
    json_t *position;

    json_array_foreach(held, index, position)
        buf_add_format(positions, "%s%s/%d@%" PRId64, index > 0 ? ", " : "",
                       json_string_value(json_object_get(position, "topic")),
                       (int)json_integer_value(json_object_get(position, "partition")),
                       (int64_t)json_integer_value(json_object_get(position, "offset")) - 1);
}

/* Once. ERR_AGAIN: they couldn't be brought together, or a lease was over before the snapshots were there. A held
 * generation has committed all that it has handled, but doesn't write the positions of owners that had no changes: so it
 * is the hold that is believed, and only where nobody runs what stands in the stores. */
static int take_snapshots(struct pair *pair, int64_t wait_ms, struct buf *positions, struct err *err)
{
    int64_t began_us = clock_monotonic_us(&clock_system);
    const struct compare_settings *settings = pair->settings;
    const struct carry_out what = {settings->store, "tarn-projector compare", REQUEST_HOLD, wait_ms, open_here, pair};
    json_t *request = json_pack("{s:[s, s], s:i}", "generations", pair->names[0], pair->names[1], "lease_ms",
                                (int)pair->lease_ms);
    json_t *outcome = NULL;

    int rc = carry_out(&what, request, &outcome, err);
    const char *hold = json_string_value(json_object_get(outcome, "hold"));
    buf_clear(positions);
    if (rc == 0 && hold != NULL) {
        rc = open_both(pair, err);
        if (rc == 0 && clock_monotonic_us(&clock_system) - began_us >= pair->lease_ms * 1000) {
            pair->lease_ms = pair->lease_ms * 2 < LEASE_MOST_MS ? pair->lease_ms * 2 : LEASE_MOST_MS;
            rc = err_set(err, ERR_AGAIN, "the projector couldn't hold both still for long enough");
        }
        tell_positions(json_object_get(outcome, "positions"), positions);
        release(settings, hold);
    } else if (rc == 0) {
        rc = same_positions_check(&pair->opened[0], &pair->opened[1], positions, err);
    }
    json_decref(outcome);
    json_decref(request);
    if (rc < 0)
        close_both(pair);
    return rc;
}

/* Without a projector nothing changes by trying again. */
static int open_at_same_positions(struct pair *pair, struct buf *positions, struct err *err)
{
    int64_t end_us = clock_monotonic_us(&clock_system) + pair->settings->wait_ms * 1000;

    for (;;) {
        int64_t left_ms = (end_us - clock_monotonic_us(&clock_system)) / 1000;
        /* A request that nobody takes is left anew now and then. */
        int64_t ask_ms = left_ms < 100 ? 100 : left_ms < ASK_MS ? left_ms : ASK_MS;
        int rc = take_snapshots(pair, ask_ms, positions, err);
        struct lock_holder holder;
        struct err ignored;
        bool may_change = lock_find_holder(pair->settings->store, &holder, &ignored) == 0;
        if (rc != ERR_AGAIN || !may_change || clock_monotonic_us(&clock_system) >= end_us)
            return rc;
        nanosleep(&(struct timespec){.tv_nsec = ASK_AGAIN_MS * 1000000L}, NULL);
    }
}

static struct comparison_side side_of(const struct opened_store *opened)
{
    return (struct comparison_side){opened->views, &opened->generation->settings, opened->reader};
}

static int compare(struct pair *pair, bool *ret_differs, struct err *err)
{
    const struct compare_settings *settings = pair->settings;
    const struct comparison_options wanted = {(size_t)settings->examples, settings->with_values};
    struct comparison_result result;
    struct buf positions = BUF_INIT, out = BUF_INIT;

    int rc = open_at_same_positions(pair, &positions, err);
    if (rc == 0) {
        const struct comparison_side a = side_of(&pair->opened[0]), b = side_of(&pair->opened[1]);
        rc = comparison_make(&a, &b, &wanted, &result, err);
    }
    if (rc == 0) {
        const struct comparison_names names = {pair->names[0], pair->names[1], buf_text(&positions)};
        if (settings->is_json) {
            comparison_report_json(&names, &result, &out);
            puts(buf_text(&out));
        } else {
            comparison_report_print(&names, &result);
        }
        *ret_differs = result.differences > (uint64_t)settings->max_diff;
        comparison_release(&result);
    }
    close_both(pair);
    buf_release(&positions);
    buf_release(&out);
    return rc;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct compare_settings *settings = settings_at;
    struct pair pair = {.settings = settings, .lease_ms = LEASE_MS};
    bool differs = false;
    int rc = 0;

    if (arguments->count != 2 || strcmp(arguments->items[0], arguments->items[1]) == 0)
        rc = err_set(err, ERR_INPUT, "compare takes two generations: compare 7f3a9c-1 91bd0e-1");
    for (size_t i = 0; rc == 0 && i < 2; i++) {
        pair.names[i] = arguments->items[i];
        if (!generation_is_name(pair.names[i]))
            rc = err_set(err, ERR_INPUT, "%s is not a generation's name", pair.names[i]);
    }
    if (rc == 0 && (rc = store_directory_check(settings->store, err)) == ERR_ABSENT)
        err_set(err, ERR_ABSENT, "%s is not a store, or an empty one", settings->store);
    if (rc == 0)
        rc = compare(&pair, &differs, err);
    if (rc < 0)
        return command_exit_of(err);
    return differs ? EXIT_DIFFERENT : EXIT_DONE;
}

const struct command command_compare = {
    .config = {.program = "tarn-projector",
               .name = "compare",
               .arguments = "A B",
               .summary = "two generations at the same positions: what differs",
               .help = "Tells for each view how many keys are in one only and how many views differ, in which fields. "
                       "What is equal isn't read: the sums that each commit keeps up to date say where to look. A running "
                       "projector brings both to the same positions and goes on at once; live traffic doesn't wait. "
                       "Generations of unlike schemas are compared on the fields that they share, and what isn't "
                       "compared is named. Keys and field names are printed, values only with --values.\n\n"
                       "  tarn-projector compare 7f3a9c-1 91bd0e-1 --store /var/lib/tarn\n"
                       "  tarn-projector compare 7f3a9c-1 91bd0e-1 --store /var/lib/tarn --max-diff 100 --json",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct compare_settings),
    .run = run,
};
