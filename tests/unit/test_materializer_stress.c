/* Kills at any moment, in any order of topics, with any cache: the store ends as one that was filled without a break, and
 * nobody who is erased is in it. Each campaign writes a history of few people, much poison and many erasures, reads it
 * once in peace, and then in lives that end without a commit: closed while a job may be half written, or killed between
 * two system calls of a commit, while a reader keeps the lock file alive.
 *
 * TARN_SEED=N runs that campaign alone; TARN_SOAK=SECONDS goes on with new seeds for so long. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "isolated.h"
#include "kill_moment.h"
#include "projector/parked.h"
#include "schema/base/mem.h"
#include "tests/unit/till_world.h"

/* --- chance --- */

struct chance {
    uint64_t state;
};

static unsigned below(struct chance *chance, unsigned limit)
{
    chance->state = chance->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(chance->state >> 33) % limit;
}

/* --- histories --- */

enum { PEOPLE = 12, EVENTS_MIN = 40, EVENTS_SPAN = 600 };

/* Names that begin other names, and receipts likewise: what goes with one mustn't go with another. */
static const char *const people[PEOPLE] = {"u",  "u1",  "u16", "u160", "v", "u1\x01",
                                           "v1", "v11", "w",   "ww",   "x", "\xc3\xa4"};
static const char *const receipts[] = {"r", "r1", "r10", "r100", "s"};

static void put_field(struct buf *bytes, unsigned field, const char *text, size_t len)
{
    buf_add_byte(bytes, (uint8_t)(field << 3 | 2));
    if (len >= 0x80)
        buf_add_byte(bytes, (uint8_t)(len | 0x80));
    buf_add_byte(bytes, (uint8_t)(len >= 0x80 ? len >> 7 : len));
    buf_add_span(bytes, span_of(text, len));
}

/* Bought and Left with a text that makes the view large, or too large. */
static void write_long(struct till_world *world, const char *person, const char *receipt, size_t len, bool has_left)
{
    static char text[8000];
    struct buf bytes = BUF_INIT;

    memset(text, 'n', sizeof(text));
    put_field(&bytes, 1, person, strlen(person));
    put_field(&bytes, 2, receipt, strlen(receipt));
    put_field(&bytes, has_left ? 3 : 4, text, len);
    till_raw(world, has_left ? TOPIC_PEOPLE : TOPIC_TILL, person, has_left ? "people.v1.Left" : "till.v1.Bought",
             buf_text(&bytes), bytes.len);
    buf_release(&bytes);
}

static void write_event(struct till_world *world, struct chance *chance, bool is_erased[PEOPLE])
{
    /* Few are hot. */
    unsigned who = below(chance, 3) > 0 ? below(chance, 4) : below(chance, PEOPLE);
    const char *person = people[who];
    const char *receipt = receipts[below(chance, ARRAY_COUNT(receipts))];
    unsigned what = below(chance, 1000);

    if (what < 350)
        till_bought(world, person, receipt, (int32_t)below(chance, 1000));
    else if (what < 480)
        write_long(world, person, receipt, 1 + below(chance, 2000), false);
    else if (what < 580)
        till_returned(world, person, receipt);
    else if (what < 730)
        till_renamed(world, person, receipt);
    else if (what < 850)
        till_left(world, person, receipt);
    else if (what < 870)
        write_long(world, person, receipt, 5000, true); /* fails, and erases all the same */
    else if (what < 880)
        till_bought(world, person, receipt, INT32_MAX); /* the second one is too much */
    else if (what < 890)
        write_long(world, person, receipt, 5000, false);
    else if (what < 900)
        till_raw(world, TOPIC_TILL, person, "till.v1.Bought", "\xff", 1);
    else if (what < 905)
        till_raw(world, TOPIC_PEOPLE, person, "people.v1.Renamed", "\xff", 1);
    else if (what < 910)
        till_raw(world, TOPIC_TILL, person, NULL, "x", 1); /* no type */
    else if (what < 915)
        till_raw(world, TOPIC_TILL, person, "till.v1.Bought", "", 0); /* another owner's: none */
    else if (what < 920)
        till_raw(world, TOPIC_PEOPLE, person, "till.v1.Bought", "\x0a\x01u", 3); /* the wrong topic */
    else if (what < 925)
        till_raw(world, TOPIC_TILL, NULL, "till.v1.Bought", "", 0);
    else if (what < 930)
        till_raw(world, TOPIC_TILL, person, "till.v1.Audited", "", 0);
    else if (what < 940) { /* all receipts, and nothing else: the leading field alone */
        struct buf bytes = BUF_INIT;
        put_field(&bytes, 1, person, strlen(person));
        till_raw(world, TOPIC_PEOPLE, person, "people.v1.Shredded", buf_text(&bytes), bytes.len);
        buf_release(&bytes);
    } else if (what < 960)
        scripted_source_skip(world->source, (uint16_t)below(chance, TILL_TOPICS), 0, 1 + below(chance, 3));
    else if (who >= 2 || what >= 998) {
        if (what % 2 == 0)
            till_gone(world, person);
        else
            till_raw(world, TOPIC_PEOPLE, person, NULL, NULL, 0); /* a tombstone */
        is_erased[who] = true;
    }
}

static void write_history(struct till_world *world, uint64_t seed, bool is_erased[PEOPLE])
{
    struct chance chance = {seed};
    unsigned events = EVENTS_MIN + below(&chance, EVENTS_SPAN);

    for (unsigned i = 0; i < events; i++)
        write_event(world, &chance, is_erased);
}

/* --- what the store has in the end --- */

static void dump(struct till_world *world, struct buf *out)
{
    static const enum store_table tables[] = {TABLE_VIEWS, TABLE_MARKS, TABLE_PARKED};
    const struct span all = {NULL, 0};
    struct store_reader *reader = NULL;
    struct err err = {0};

    assert_int_equal(store_reader_open(world->store, &reader, &err), 0);
    assert_int_equal(store_read_begin(reader, &err), 0);
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++) {
        struct store_cursor *cursor = NULL;
        struct span key, value;
        assert_int_equal(store_cursor_open(reader, tables[i], all, all, &cursor, &err), 0);
        while (store_cursor_next(cursor, &key, &value, &err) == 0) {
            const struct span parts[] = {key, value};
            for (size_t k = 0; k < ARRAY_COUNT(parts); k++) {
                buf_add_format(out, k == 0 ? "%zu " : " ", i);
                for (size_t at = 0; at < parts[k].len; at++)
                    buf_add_format(out, "%02x", span_bytes(parts[k])[at]);
            }
            buf_add_byte(out, '\n');
        }
        store_cursor_close(&cursor);
    }
    store_read_end(reader);
    store_reader_close(&reader);
}

/* No view of a key, or of leading fields, that a mark stands for. */
static void check_marks(struct till_world *world, const char *when)
{
    const struct span all = {NULL, 0};
    struct store_reader *reader = NULL;
    struct store_cursor *marks = NULL, *views = NULL;
    struct span mark, key, value;
    struct err err = {0};

    assert_int_equal(store_reader_open(world->store, &reader, &err), 0);
    assert_int_equal(store_read_begin(reader, &err), 0);
    assert_int_equal(store_cursor_open(reader, TABLE_MARKS, all, all, &marks, &err), 0);
    while (store_cursor_next(marks, &mark, &value, &err) == 0) {
        assert_int_equal(store_cursor_open(reader, TABLE_VIEWS, mark, all, &views, &err), 0);
        if (store_cursor_next(views, &key, &value, &err) == 0)
            fail_msg("%s: a view of an erased key: %.*s", when, (int)(key.len - VIEW_KEY_PREFIX_BYTES),
                     (const char *)span_bytes(key) + VIEW_KEY_PREFIX_BYTES);
        store_cursor_close(&views);
    }
    store_cursor_close(&marks);
    store_read_end(reader);
    store_reader_close(&reader);
}

/* By the history, not by the marks. */
static void check_erased(struct till_world *world, const bool is_erased[PEOPLE])
{
    static const char *const views[] = {"customer", "receipt"};
    const struct span all = {NULL, 0};
    struct store_reader *reader = NULL;
    struct buf prefix = BUF_INIT;
    struct err err = {0};

    assert_int_equal(store_reader_open(world->store, &reader, &err), 0);
    assert_int_equal(store_read_begin(reader, &err), 0);
    for (size_t i = 0; i < PEOPLE * ARRAY_COUNT(views); i++) {
        const char *person = people[i / ARRAY_COUNT(views)];
        const char *view = views[i % ARRAY_COUNT(views)];
        struct store_cursor *cursor = NULL;
        struct span key, value;
        if (!is_erased[i / ARRAY_COUNT(views)])
            continue;
        buf_clear(&prefix);
        layout_view_key(hash64(span_of_text(person)), view_set_find(world->views, span_of_text(view))->number, all,
                        &prefix);
        assert_int_equal(store_cursor_open(reader, TABLE_VIEWS, buf_span(&prefix), all, &cursor, &err), 0);
        if (store_cursor_next(cursor, &key, &value, &err) == 0)
            fail_msg("%s is erased, and has a view: %s", person, view);
        store_cursor_close(&cursor);
    }
    buf_release(&prefix);
    store_read_end(reader);
    store_reader_close(&reader);
}

/* --- lives --- */

static void drop_parked(struct till_world *world)
{
    const struct parked_selection selection = {.is_all = true};
    struct parked_outcome outcome;
    struct err err = {0};

    if (materializer_drop(world->materializer, &selection, &outcome, &err) < 0)
        fail_msg("%s", err.text);
}

static void roll_the_turn(struct till_world *world, struct chance *chance)
{
    static const int64_t passed_us[] = {0, 1000, 6000, 60 * 1000, 600 * 1000, 11 * 1000 * 1000};

    world->now_us += passed_us[below(chance, ARRAY_COUNT(passed_us))];
    world->turn.lag = below(chance, 3) == 0 ? -1 : below(chance, 2) == 0 ? 0 : 1000 * 1000;
    world->turn.is_drained = below(chance, 3) == 0;
    world->batch = 1 + below(chance, below(chance, 4) == 0 ? 200 : 12);
    if (below(chance, 3) == 0)
        materializer_wait(world->materializer, 20);
}

static void roll_the_start(struct till_world *world, struct chance *chance)
{
    static const size_t budgets[] = {0, 40 << 10, 64 << 10, 100 << 10, 256 << 10, 8 << 20};

    world->memory_bytes = budgets[below(chance, ARRAY_COUNT(budgets))];
    world->fold_threads = 1 + below(chance, 4);
    till_world_start(world);
}

/* Steps on until the logs end (true), or the dice do. */
static bool live(struct till_world *world, struct chance *chance, unsigned life_turns)
{
    for (unsigned turn = 0; turn < life_turns; turn++) {
        roll_the_turn(world, chance);
        if (!till_world_step(world))
            return true;
    }
    return false;
}

/* What is left in the end is dropped in rounds, as what waited may fail in turn. Not before: what an erasure still to come
 * would have healed is applied by one who waits, and not by one who dropped it. chance NULL: without ends in between. */
static void finish(struct till_world *world, bool has_drops, struct chance *chance)
{
    till_world_drain(world);
    while (has_drops && materializer_parked(world->materializer) > 0) {
        drop_parked(world);
        if (chance != NULL && below(chance, 2) == 0) { /* decided, and the store doesn't know */
            till_world_kill(world);
            roll_the_start(world, chance);
        }
        till_world_drain(world);
    }
}

struct killed_life {
    struct till_world *world;
    struct chance chance;
    unsigned kill_at;
};

static int live_until_killed(void *argument)
{
    struct killed_life *life = argument;

    roll_the_start(life->world, &life->chance);
    kill_moment_set(life->kill_at);
    if (live(life->world, &life->chance, UINT32_MAX))
        till_world_drain(life->world);
    kill_moment_set(0);
    till_world_kill(life->world);
    return 0;
}

static int read_and_wait(void *argument)
{
    const struct store_options options = {.access = STORE_READ_ONLY};
    struct store *store = NULL;
    struct err err = {0};

    if (store_open(argument, &options, &store, &err) < 0)
        return 1;
    isolated_ready_and_wait();
    return 0;
}

/* Processes that are killed at moments of their commits, until one gets to the end. The world has no store open. */
static void live_in_processes(struct till_world *world, struct chance *chance)
{
    enum { KILLED = 256 + SIGKILL };
    unsigned kills = 0;
    int ended = KILLED;
    struct isolated reader;
    bool has_reader = below(chance, 4) > 0;

    if (has_reader)
        isolated_start(ISOLATED_PROCESS, read_and_wait, world->store_folder, &reader);
    while (ended == KILLED) {
        struct killed_life life = {world, {chance->state + kills}, 1 + below(chance, 60)};
        if (++kills > 12)
            life.kill_at = 0;
        ended = isolated_run(ISOLATED_PROCESS, live_until_killed, &life);
        assert_true(ended == KILLED || ended == 0);
        roll_the_start(world, chance);
        check_marks(world, "after a kill");
        free(till_digest(world));
        till_world_kill(world);
    }
    if (has_reader)
        isolated_kill(&reader);
}

static void read_in_peace(uint64_t seed, bool has_drops, struct buf *out)
{
    struct till_world world;
    bool is_erased[PEOPLE] = {false};

    till_world_open(&world, 1 + (int32_t)(seed % 4), seed);
    till_world_kill(&world);
    world.park_limit = 100 * 1000;
    world.memory_bytes = (size_t)256 << 20;
    world.batch = 100 * 1000;
    till_world_start(&world);
    write_history(&world, seed, is_erased);
    finish(&world, has_drops, NULL);
    check_marks(&world, "in peace");
    check_erased(&world, is_erased);
    free(till_digest(&world));
    dump(&world, out);
    till_world_close(&world);
}

static void read_in_lives(uint64_t seed, bool has_drops, struct buf *out)
{
    struct chance chance = {seed * 31 + 7};
    struct till_world world;
    bool is_erased[PEOPLE] = {false};
    unsigned life_turns = 1 + below(&chance, 30);

    till_world_open(&world, 1 + (int32_t)(seed % 4), seed * 17 + 1);
    till_world_kill(&world);
    world.park_limit = 100 * 1000;
    write_history(&world, seed, is_erased);
    if (below(&chance, 3) == 0) {
        live_in_processes(&world, &chance);
        roll_the_start(&world, &chance);
    } else {
        roll_the_start(&world, &chance);
        /* A life that is too short for any commit would be lived for ever. */
        while (!live(&world, &chance, below(&chance, ++life_turns))) {
            till_world_kill(&world);
            roll_the_start(&world, &chance);
            check_marks(&world, "after an end");
        }
    }
    finish(&world, has_drops, &chance);
    check_marks(&world, "at the end");
    check_erased(&world, is_erased);
    free(till_digest(&world));
    dump(&world, out);
    till_world_close(&world);
}

static void run_campaign(uint64_t seed)
{
    struct buf expected = BUF_INIT, found = BUF_INIT;
    bool has_drops = seed % 5 == 0;

    read_in_peace(seed, has_drops, &expected);
    read_in_lives(seed, has_drops, &found);
    if (!span_equal(buf_span(&expected), buf_span(&found))) {
        size_t at = 0, line = 0;
        for (; at < expected.len && at < found.len && expected.at[at] == found.at[at]; at++)
            line = expected.at[at] == '\n' ? at + 1 : line;
        fail_msg("the stores differ (table, key, value):\n  in peace %.200s\n  in lives %.200s",
                 line < expected.len ? buf_text(&expected) + line : "ends",
                 line < found.len ? buf_text(&found) + line : "ends");
    }
    buf_release(&expected);
    buf_release(&found);
}

static void any_kills_and_caches_leave_the_store_as_if_none_had_been(void **state)
{
    enum { SHORT_S = 8 };
    const char *seed_text = getenv("TARN_SEED"), *soak_text = getenv("TARN_SOAK");
    time_t end = time(NULL) + (soak_text != NULL ? atol(soak_text) : SHORT_S);
    uint64_t seed = seed_text != NULL   ? strtoull(seed_text, NULL, 10)
                    : soak_text != NULL ? (uint64_t)time(NULL) << 20
                                        : 1;
    uint64_t first = seed;

    (void)state;
    /* What the seed is when it fails is known then. */
    do {
        char text[32];
        snprintf(text, sizeof(text), "%llu", (unsigned long long)seed);
        setenv("TARN_STRESS_SEED", text, 1);
        run_campaign(seed++);
    } while (time(NULL) < end && (seed_text == NULL || soak_text != NULL));
    if (soak_text != NULL)
        print_message("%llu campaigns from TARN_SEED=%llu\n", (unsigned long long)(seed - first),
                      (unsigned long long)first);
}

/* cmocka's failures jump past everybody. */
static int say_seed(void **state)
{
    (void)state;
    if (getenv("TARN_STRESS_SEED") != NULL)
        print_message("the last campaign was TARN_SEED=%s\n", getenv("TARN_STRESS_SEED"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(any_kills_and_caches_leave_the_store_as_if_none_had_been, say_seed),
    };

    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* unless it is set: a kill needs no disk */
    return cmocka_run_group_tests_name("materializer_stress", tests, NULL, NULL);
}
