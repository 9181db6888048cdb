/* What is served while generations come and go: shares, sides, changes between two requests, what can't be opened, and
 * stores that are let go of. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "query/view_answer.h"
#include "schema/base/mem.h"
#include "tests/unit/served_world.h"

enum { OWNERS = 60, CHANGES = 150, THREADS = 3 };

static struct served_world world;
static char incumbent[GENERATION_NAME_MAX], candidate[GENERATION_NAME_MAX];

/* Shelves of all owners; each body names its generation. */
static void put_shelves(const char *generation)
{
    struct served_change changes[OWNERS];
    char keys[OWNERS][16], jsons[OWNERS][100];

    for (int i = 0; i < OWNERS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "u%d", i);
        snprintf(jsons[i], sizeof(jsons[i]), "{'reader': 'u%d', 'name': '%s'}", i, generation);
        changes[i] = (struct served_change){.kind = CHANGE_VIEW, .view = "shelf", .key1 = keys[i], .json = jsons[i]};
    }
    served_world_change(&world, changes, OWNERS);
}

static void put(const char *view, const char *key, const char *json)
{
    served_world_put(&world, view, key, json);
}

static int set_up(void **state)
{
    (void)state;
    served_world_open(&world);
    served_world_fill(&world);
    assert_true(query_loop_has_generation(world.loop));
    snprintf(incumbent, sizeof(incumbent), "%s", world.loop->generation->generation->name);
    put_shelves(incumbent);
    served_world_add(&world, "served_candidate");
    snprintf(candidate, sizeof(candidate), "%s", world.writes_to);
    put_shelves(candidate);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    served_world_close(&world);
    return 0;
}

static void promote(const char *generation, unsigned percent)
{
    served_world_promote(&world, generation, percent);
    served_world_refresh(&world);
}

static const char *side_of(const char *owner, unsigned percent)
{
    struct serving_shares shares = {.shares = {{"", 100 - percent}, {"", percent}}, .count = 2};

    return serving_side(&shares, hash64(span_of_text(owner))) == 0 ? incumbent : candidate;
}

/* An owner on the wanted side of a share. */
static const char *owner_of(const char *generation, unsigned percent)
{
    static char owner[16];
    int i = 0;

    do
        snprintf(owner, sizeof(owner), "u%d", i++);
    while (strcmp(side_of(owner, percent), generation) != 0);
    return owner;
}

static int ask(const char *view, const char *owner)
{
    char line[100];

    snprintf(line, sizeof(line), "GET /v1/%s/%s", view, owner);
    return served_world_ask(&world, line, NULL);
}

static void assert_answered_by(const char *generation)
{
    assert_string_equal(served_world_header(&world, "Tarn-Generation"), generation);
}

/* --- sides ---------------------------------------------------------------------------------------------------------- */

static void an_owner_stays_on_one_side_while_the_share_grows(void **state)
{
    static const unsigned shares[] = {1, 10, 30, 50, 80, 99};
    bool was_candidate[OWNERS] = {false};
    char owner[16];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        int of_candidate = 0;
        promote(candidate, shares[i]);
        for (int j = 0; j < OWNERS; j++) {
            snprintf(owner, sizeof(owner), "u%d", j);
            assert_int_equal(ask("shelf", owner), 200);
            const char *expected = side_of(owner, shares[i]);
            assert_answered_by(expected);
            assert_non_null(strstr(served_world_body(&world), expected)); /* body and header are of one generation */
            assert_true(!was_candidate[j] || expected == candidate);
            was_candidate[j] = expected == candidate;
            of_candidate += expected == candidate;
        }
        assert_in_range(of_candidate, OWNERS * shares[i] / 100 / 2, OWNERS * shares[i] / 100 * 2 + 4);
    }
    promote(candidate, 100);
    assert_int_equal(ask("shelf", "u0"), 200);
    assert_answered_by(candidate);
}

static void an_owner_is_on_the_same_side_on_every_screen(void **state)
{
    char key[40];
    const char *on_candidate, *keys[] = {"5", "-12", "77", "1234567"};

    (void)state;
    promote(candidate, 50);
    on_candidate = owner_of(candidate, 50);
    ask("shelf", on_candidate);
    assert_answered_by(candidate);
    snprintf(key, sizeof(key), "%s/1/PAPER", on_candidate);
    ask("loan", key); /* a view that only the incumbent has, for an owner of the other side */
    assert_int_equal(world.answer.status, 404);
    snprintf(key, sizeof(key), "%s/1/PAPER", owner_of(incumbent, 50));
    ask("loan", key);
    assert_answered_by(incumbent);
    /* What decides is the owner as it stands in a record's key: an integer here, a text there. */
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        assert_int_equal(ask("branch", keys[i]), 404);
        assert_answered_by(side_of(keys[i], 50));
    }
}

static void a_view_that_only_the_candidate_has_is_found_on_its_side_alone(void **state)
{
    char json[100];

    (void)state;
    const char *owner = owner_of(candidate, 50);
    snprintf(json, sizeof(json), "{'reader': '%s', 'title': 'T'}", owner);
    put("receipt", owner, json);
    promote(candidate, 50);
    assert_int_equal(ask("receipt", owner), 200);
    assert_answered_by(candidate);
    assert_int_equal(ask("receipt", owner_of(incumbent, 50)), 404);
    assert_null(strstr(served_world_body(&world), "receipt"));
}

static void what_names_no_owner_is_the_incumbent_s(void **state)
{
    static const char *const requests[] = {"GET /v1/nonsense/u1", "GET /v1/shelf/%zz", "GET /v1/branch/", "GET /v1/"};

    (void)state;
    promote(candidate, 99);
    for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
        int64_t before = atomic_load(&world.loop->set->generations[0]->figures->answers[2]);
        assert_in_range(served_world_ask(&world, requests[i], NULL), 400, 404);
        assert_int_equal(atomic_load(&world.loop->set->generations[0]->figures->answers[2]), before + 1);
    }
    world.loop->listener = LISTENER_ADMIN;
    assert_int_equal(served_world_ask(&world, "GET /openapi.json", NULL), 200);
    assert_answered_by(incumbent);
    assert_null(strstr(served_world_body(&world), "receipt"));
}

static void positions_are_those_of_the_generation_that_answers(void **state)
{
    struct served_change ahead = {.kind = CHANGE_POSITION,
                                  .topic = TOPIC_SHOP,
                                  .range = -1,
                                  .position = {.next_offset = 42, .last_offset = 41, .caught_up_at_ms = world.now_ms}};

    (void)state;
    served_world_change(&world, &ahead, 1);
    promote(candidate, 50);
    ask("shelf", owner_of(candidate, 50));
    assert_non_null(strstr(served_world_header(&world, "Tarn-Position"), "shop.events/0@41"));
    ask("shelf", owner_of(incumbent, 50));
    assert_non_null(strstr(served_world_header(&world, "Tarn-Position"), "shop.events/0@9"));
    char line[100];
    snprintf(line, sizeof(line), "GET /v1/shelf/%s?at-least=shop.events/0@41", owner_of(candidate, 50));
    assert_int_equal(served_world_ask(&world, line, NULL), 200);
    snprintf(line, sizeof(line), "GET /v1/shelf/%s?at-least=shop.events/0@41", owner_of(incumbent, 50));
    assert_int_equal(served_world_ask(&world, line, NULL), 0); /* waits */
    assert_true(view_answer_still_waits(world.loop, &world.wait));
}

/* --- changes -------------------------------------------------------------------------------------------------------- */

static bool is_mapped(const char *name)
{
    char line[1000], wanted[100];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");

    snprintf(wanted, sizeof(wanted), "/%s/data.mdb", name);
    while (fgets(line, sizeof(line), maps) != NULL)
        found = found || strstr(line, wanted) != NULL;
    fclose(maps);
    return found;
}

static void what_is_no_longer_served_is_closed_once_the_last_loop_has_turned(void **state)
{
    struct served_world idle;

    (void)state;
    served_world_open_loop(&world, &idle);
    assert_int_equal(served_world_ask(&idle, "GET /v1/shelf/u0", NULL), 200);
    promote(candidate, 100);
    assert_int_equal(ask("shelf", "u0"), 200);
    assert_answered_by(candidate);
    served_world_refresh(&world);
    assert_true(is_mapped(incumbent)); /* the idle loop has it still */
    query_loop_rest(idle.loop);        /* as when it is woken */
    assert_true(is_mapped(incumbent)); /* never by a thread that answers */
    served_world_refresh(&world);
    assert_false(is_mapped(incumbent));
    assert_true(is_mapped(candidate));
    served_world_close_loop(&idle);
}

static void one_that_comes_back_while_a_loop_still_has_it_is_not_opened_twice(void **state)
{
    struct served_world idle;

    (void)state;
    served_world_open_loop(&world, &idle);
    assert_int_equal(served_world_ask(&idle, "GET /v1/shelf/u0", NULL), 200);
    uint64_t serial = idle.loop->generation->serial;
    promote(candidate, 100);
    promote(incumbent, 100);
    assert_int_equal(ask("shelf", "u0"), 200);
    assert_answered_by(incumbent);
    assert_int_equal(world.loop->generation->serial, serial);
    served_world_close_loop(&idle);
}

static void another_share_keeps_stores_and_waiting_requests(void **state)
{
    char line[100];

    (void)state;
    promote(candidate, 10);
    ask("shelf", "u0");
    const struct store_reader *readers[] = {world.loop->sides[0].reader, world.loop->sides[1].reader};
    snprintf(line, sizeof(line), "GET /v1/shelf/%s?at-least=shop.events/0@10", owner_of(candidate, 10));
    assert_int_equal(served_world_ask(&world, line, NULL), 0);
    promote(candidate, 60);
    assert_true(view_answer_still_waits(world.loop, &world.wait));
    assert_ptr_equal(world.loop->sides[0].reader, readers[0]);
    assert_ptr_equal(world.loop->sides[1].reader, readers[1]);
    promote(candidate, 100);
    assert_true(view_answer_still_waits(world.loop, &world.wait));
    assert_ptr_equal(world.loop->sides[0].reader, readers[1]);
    promote(incumbent, 100);
    assert_false(view_answer_still_waits(world.loop, &world.wait)); /* asked again, of who is served now */
    assert_int_equal(served_world_resume(&world, true), 409);
    assert_answered_by(incumbent);
}

static void a_candidate_that_cannot_be_opened_leaves_the_shares_as_they_were(void **state)
{
    struct err err = {0};
    char *data = mem_format("%s/generations/%s/data.mdb", world.directory, candidate);
    char *away = mem_format("%s.away", data);

    (void)state;
    assert_int_equal(rename(data, away), 0);
    for (unsigned percent = 99; percent <= 100; percent++) {
        served_world_promote(&world, candidate, percent);
        assert_true(served_refresh(world.query.served, &err) < 0);
        assert_int_equal(ask("shelf", owner_of(candidate, 99)), 200);
        assert_answered_by(incumbent);
        assert_int_equal(world.loop->set->shares.shares[0].percent, 100);
    }
    assert_int_equal(rename(away, data), 0);
    served_world_refresh(&world);
    assert_int_equal(ask("shelf", "u0"), 200);
    assert_answered_by(candidate);
    free(data);
    free(away);
}

static void a_server_that_starts_without_the_candidate_answers_everybody_from_the_incumbent(void **state)
{
    struct err err = {0};
    char *folder = mem_format("%s/generations/%s", world.directory, candidate);
    char *away = mem_format("%s/away", world.directory);

    (void)state;
    query_loop_free(&world.loop);
    served_free(&world.query.served);
    served_world_promote(&world, candidate, 99);
    assert_int_equal(rename(folder, away), 0);
    world.query.served = served_new(world.directory, world.query.figures);
    world.loop = query_loop_new(&world.query, LISTENER_PUBLIC);
    assert_true(served_refresh(world.query.served, &err) < 0);
    assert_true(served_has_changed(world.query.served, NULL));
    assert_int_equal(ask("shelf", owner_of(candidate, 99)), 200);
    assert_answered_by(incumbent);
    assert_int_equal(served_world_ask(&world, "GET /readyz", NULL), 200);
    assert_int_equal(rename(away, folder), 0);
    served_world_refresh(&world);
    assert_int_equal(ask("shelf", owner_of(candidate, 99)), 200);
    assert_answered_by(candidate);
    free(folder);
    free(away);
}

static void one_that_was_promoted_before_it_had_caught_up_answers_all_the_same(void **state)
{
    struct served_change behind = {
        .kind = CHANGE_POSITION, .topic = TOPIC_SHOP, .range = 3, .position = {.next_offset = 4, .last_offset = 3}};

    (void)state;
    served_world_change(&world, &behind, 1);
    promote(candidate, 100);
    assert_int_equal(ask("shelf", "u0"), 200);
    assert_answered_by(candidate);
    assert_int_equal(served_world_ask(&world, "GET /readyz", NULL), 200);
}

static void readiness_is_the_incumbent_s(void **state)
{
    struct served_change stalled = {.kind = CHANGE_PARTITION,
                                    .topic = TOPIC_SHOP,
                                    .row = {.end_offset = 99, .seen_at_ms = world.now_ms, .partition_count = 1}};
    struct served_change long_ago = {.kind = CHANGE_POSITION,
                                     .topic = TOPIC_SHOP,
                                     .range = -1,
                                     .position = {.next_offset = 10, .caught_up_at_ms = world.now_ms - 3600000}};

    (void)state;
    served_world_change(&world, &stalled, 1);
    served_world_change(&world, &long_ago, 1);
    world.query.unready_after_s = 60;
    promote(candidate, 50);
    assert_int_equal(served_world_ask(&world, "GET /readyz", NULL), 200);
    promote(candidate, 100);
    assert_int_equal(served_world_ask(&world, "GET /readyz", NULL), 503);
}

/* --- figures -------------------------------------------------------------------------------------------------------- */

static void assert_metric(const char *name, const char *generation, const char *more_labels, long long value)
{
    char line[200];

    snprintf(line, sizeof(line), "\ntarn_query_generation_%s{generation=\"%s\"%s} %lld\n", name, generation,
             more_labels, value);
    world.loop->listener = LISTENER_ADMIN;
    assert_int_equal(served_world_ask(&world, "GET /metrics", NULL), 200);
    world.loop->listener = LISTENER_PUBLIC;
    if (strstr(served_world_body(&world), line) == NULL)
        fail_msg("no %sin\n%s", line + 1, served_world_body(&world));
}

static void each_generation_has_figures_of_its_own(void **state)
{
    char owner[40];

    (void)state;
    promote(candidate, 50);
    snprintf(owner, sizeof(owner), "%s", owner_of(candidate, 50));
    ask("shelf", owner);
    ask("shelf", owner);
    ask("receipt", owner);
    strcat(owner, "?fields=nonsense");
    ask("shelf", owner);
    snprintf(owner, sizeof(owner), "%s", owner_of(incumbent, 50));
    ask("shelf", owner);
    assert_metric("answers_total", candidate, ",class=\"2xx\"", 2);
    assert_metric("answers_total", candidate, ",class=\"4xx\"", 2);
    assert_metric("answers_total", candidate, ",class=\"5xx\"", 0);
    assert_metric("views_absent_total", candidate, "", 1);
    assert_metric("answer_seconds_count", candidate, "", 4);
    assert_metric("answers_total", incumbent, ",class=\"2xx\"", 1);
    assert_metric("answer_seconds_bucket", incumbent, ",le=\"1e-05\"", 1);
    assert_metric("share_percent", incumbent, "", 50);
    assert_metric("age_seconds", candidate, "", 0);
    world.now_ms += 7000;
    assert_metric("age_seconds", candidate, "", 7);

    /* A fault of its own, and events that are parked. */
    served_world_change(
        &world,
        (struct served_change[]){{.kind = CHANGE_GARBAGE, .view = "shelf", .key1 = owner_of(candidate, 50)},
                                 {.kind = CHANGE_PARKED, .topic = TOPIC_SHOP, .record_key = owner_of(candidate, 50)}},
        2);
    ask("shelf", owner_of(candidate, 50));
    assert_metric("answers_total", candidate, ",class=\"5xx\"", 1);
    assert_metric("answers_total", incumbent, ",class=\"5xx\"", 0);
    assert_metric("views_incomplete_total", candidate, "", 1);

    /* They go on counting when it is taken back and given again. */
    promote(candidate, 0);
    assert_metric("share_percent", candidate, "", 0);
    assert_metric("answers_total", candidate, ",class=\"2xx\"", 2);
    served_world_refresh(&world);
    promote(candidate, 100);
    ask("shelf", owner);
    assert_metric("answers_total", candidate, ",class=\"2xx\"", 3);
}

static void an_answer_that_was_waited_for_took_as_long(void **state)
{
    (void)state;
    assert_int_equal(served_world_ask(&world, "GET /v1/shelf/u1", "Tarn-At-Least: shop.events/0@10\r\n"), 0);
    world.now_ms += 400;
    assert_int_equal(served_world_resume(&world, true), 409);
    assert_metric("answer_seconds_bucket", incumbent, ",le=\"0.3\"", 0);
    assert_metric("answer_seconds_bucket", incumbent, ",le=\"0.5\"", 1);
}

static void no_scrape_grows_with_every_generation_there_ever_was(void **state)
{
    struct figures_table *table = figures_table_new();
    struct generation_figures *held = figures_take(table, "aaaaaa-1"), *taken[SERVED_FIGURES_MAX];
    struct buf out = BUF_INIT;
    char name[GENERATION_NAME_MAX];

    (void)state;
    metric_add(&held->views_absent, 5);
    for (int i = 1; i <= 3 * SERVED_FIGURES_MAX; i++) {
        snprintf(name, sizeof(name), "bbbbbb-%d", i);
        struct generation_figures *figures = figures_take(table, name);
        assert_non_null(figures);
        figures_give_back(table, figures);
    }
    assert_ptr_equal(figures_take(table, "aaaaaa-1"), held);
    figures_print(table, &out);
    const char *at = buf_text(&out);
    size_t count = 0;
    while ((at = strstr(at, "\ntarn_query_generation_share_percent{")) != NULL) {
        count++;
        at++;
    }
    assert_int_equal(count, SERVED_FIGURES_MAX);
    assert_non_null(strstr(buf_text(&out), "views_absent_total{generation=\"aaaaaa-1\"} 5\n"));
    assert_non_null(strstr(buf_text(&out), "generation=\"bbbbbb-24\""));
    assert_null(strstr(buf_text(&out), "generation=\"bbbbbb-17\""));
    for (int i = 1; i < SERVED_FIGURES_MAX; i++) {
        snprintf(name, sizeof(name), "cccccc-%d", i);
        taken[i] = figures_take(table, name);
        assert_non_null(taken[i]);
    }
    assert_null(figures_take(table, "dddddd-1")); /* rather none than figures that two share */
    buf_release(&out);
    figures_table_free(&table);
}

/* --- all at once ---------------------------------------------------------------------------------------------------- */

struct asking {
    struct served_world world;
    pthread_t thread;
    atomic_bool *is_over;
    unsigned seed;
    int64_t answers, failed, mixed;
    bool saw[2];
};

static void *ask_and_look(void *self)
{
    struct asking *asking = self;
    char line[60], generation[GENERATION_NAME_MAX];

    while (!atomic_load(asking->is_over)) {
        snprintf(line, sizeof(line), "GET /v1/shelf/u%d", rand_r(&asking->seed) % OWNERS);
        asking->failed += served_world_ask(&asking->world, line, NULL) != 200;
        const char *at = strstr(buf_text(&asking->world.headers), "Tarn-Generation: ");
        snprintf(generation, sizeof(generation), "%.*s", at != NULL ? (int)strcspn(at + 17, "\r") : 0, at + 17);
        asking->mixed += at == NULL || strstr(served_world_body(&asking->world), generation) == NULL;
        asking->saw[strcmp(generation, candidate) == 0] = true;
        asking->answers++;
    }
    return NULL;
}

static void count_change(void *self)
{
    atomic_fetch_add((atomic_int *)self, 1);
}

static void changes_under_load_fail_tear_and_mix_no_answer(void **state)
{
    static const unsigned percents[] = {10, 50, 100, 0};
    struct asking asking[THREADS] = {0};
    atomic_bool is_over = false;
    atomic_int changes_seen = 0;
    int untold = 0;
    struct err err = {0};

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        served_world_open_loop(&world, &asking[i].world);
        asking[i].world.query.clock = &clock_system;
        asking[i].is_over = &is_over;
        asking[i].seed = (unsigned)i;
        assert_int_equal(pthread_create(&asking[i].thread, NULL, ask_and_look, &asking[i]), 0);
    }
    for (int i = 0; i < CHANGES; i++) {
        unsigned percent = percents[i % 4];
        if (percent == 0)
            served_world_promote(&world, incumbent, 100);
        else
            served_world_promote(&world, candidate, percent);
        served_world_refresh(&world);
        query_loop_rest(world.loop);
    }
    /* And by itself. */
    assert_int_equal(
        served_follow(world.query.served, &(struct served_follow_options){1 << 20, count_change, &changes_seen}, &err),
        0);
    for (int i = 0; i < 3; i++) {
        int seen = atomic_load(&changes_seen);
        served_world_promote(&world, i % 2 == 0 ? candidate : incumbent, 100);
        for (int waited = 0; atomic_load(&changes_seen) == seen && waited < 5000; waited++)
            usleep(1000);
        untold += atomic_load(&changes_seen) == seen;
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(asking[i].thread, NULL);
        served_world_close_loop(&asking[i].world);
        assert_true(asking[i].answers > 0);
        assert_int_equal(asking[i].failed, 0);
        assert_int_equal(asking[i].mixed, 0);
        assert_true(asking[i].saw[0] && asking[i].saw[1]);
    }
    assert_int_equal(untold, 0); /* who sleeps must be woken */
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_owner_stays_on_one_side_while_the_share_grows),
        TEST(an_owner_is_on_the_same_side_on_every_screen),
        TEST(a_view_that_only_the_candidate_has_is_found_on_its_side_alone),
        TEST(what_names_no_owner_is_the_incumbent_s),
        TEST(positions_are_those_of_the_generation_that_answers),
        TEST(what_is_no_longer_served_is_closed_once_the_last_loop_has_turned),
        TEST(one_that_comes_back_while_a_loop_still_has_it_is_not_opened_twice),
        TEST(another_share_keeps_stores_and_waiting_requests),
        TEST(a_candidate_that_cannot_be_opened_leaves_the_shares_as_they_were),
        TEST(a_server_that_starts_without_the_candidate_answers_everybody_from_the_incumbent),
        TEST(one_that_was_promoted_before_it_had_caught_up_answers_all_the_same),
        TEST(readiness_is_the_incumbent_s),
        TEST(each_generation_has_figures_of_its_own),
        TEST(an_answer_that_was_waited_for_took_as_long),
        TEST(no_scrape_grows_with_every_generation_there_ever_was),
        TEST(changes_under_load_fail_tear_and_mix_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
