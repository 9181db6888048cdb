/* The texts of the relay: URLs of databases, SQL, and which topic a type goes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "projector/mysql_url.h"
#include "projector/relay_routes.h"
#include "projector/sql_text.h"

static void a_url_is_taken_apart(void **state)
{
    static const struct {
        const char *text, *user, *password, *host, *database, *socket;
        uint16_t port;
    } rows[] = {
        {"mysql://u:p@h:13306/d", "u", "p", "h", "d", NULL, 13306},
        {"mariadb://u@h/d", "u", "", "h", "d", NULL, 3306},
        {"mysql://u:p%40%2F%3A@[::1]:7/d%20b", "u", "p@/:", "::1", "d b", NULL, 7},
        {"mysql://u:a@b@h/d", "u", "a@b", "h", "d", NULL, 3306},
        {"mysql://u:p@/d?socket=/run/db.sock", "u", "p", NULL, "d", "/run/db.sock", 3306},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena arena = ARENA_INIT;
        struct mysql_url url;
        struct err err = {0};
        assert_int_equal(mysql_url_parse(rows[i].text, &arena, &url, &err), 0);
        assert_string_equal(url.user, rows[i].user);
        assert_string_equal(url.password, rows[i].password);
        assert_string_equal(url.database, rows[i].database);
        assert_int_equal(url.port, rows[i].port);
        assert_true((url.host == NULL) == (rows[i].host == NULL));
        assert_true((url.socket == NULL) == (rows[i].socket == NULL));
        if (rows[i].host)
            assert_string_equal(url.host, rows[i].host);
        if (rows[i].socket)
            assert_string_equal(url.socket, rows[i].socket);
        arena_release(&arena);
    }
}

static void a_url_that_is_none_is_refused_without_telling_its_password(void **state)
{
    static const char *const texts[] = {"",
                                        "h/d",
                                        "postgres://u:secret@h/d",
                                        "mysql://h/d",
                                        "mysql://u:secret@h",
                                        "mysql://u:secret@h/",
                                        "mysql://u:secret@/d",
                                        "mysql://:secret@h/d",
                                        "mysql://u:secret%z@h/d",
                                        "mysql://u:secret%00@h/d",
                                        "mysql://u:secret@h:0/d",
                                        "mysql://u:secret@h:65536/d",
                                        "mysql://u:secret@h:x/d",
                                        "mysql://u:secret@[::1/d",
                                        "mysql://u:secret@h/d?charset=latin1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct arena arena = ARENA_INIT;
        struct mysql_url url;
        struct err err = {0};
        assert_int_equal(mysql_url_parse(texts[i], &arena, &url, &err), ERR_INPUT);
        assert_null(strstr(err.text, "secret"));
        arena_release(&arena);
    }
}

static void no_value_can_be_taken_for_sql(void **state)
{
    struct buf sql = BUF_INIT;
    (void)state;
    sql_add_table(&sql, "ba`nk.out`box");
    buf_add_byte(&sql, ' ');
    sql_add_text(&sql, SPAN_LITERAL("';--"));
    buf_add_byte(&sql, ' ');
    sql_add_bytes(&sql, span_of("\0\xff", 2));
    assert_string_equal(buf_text(&sql), "`ba``nk`.`out``box` _utf8mb4 X'273b2d2d' X'00ff'");
    buf_release(&sql);
}

static struct relay_routes *routes_of(char **items, size_t count, struct err *err)
{
    struct config_list list = {items, count};
    struct relay_routes *routes = NULL;
    return relay_routes_new(&list, NULL, &routes, err) == 0 ? routes : NULL;
}

static void a_type_goes_to_the_topic_of_its_stream(void **state)
{
    char *items[] = {(char[]){"card=card.events"}, (char[]){"bank.loan=loans"}, (char[]){"plain=all"}};
    static const struct {
        const char *type, *topic;
    } rows[] = {{"card.v1.Paid", "card.events"}, {"card.v12beta3.Paid", "card.events"}, {"bank.loan.v2.Taken", "loans"},
                {"plain.Event", "all"},          {"bank.v1.Opened", NULL},              {"Event", NULL}};
    struct err err = {0};
    (void)state;
    struct relay_routes *routes = routes_of(items, 3, &err);
    assert_non_null(routes);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *topic = NULL;
        int rc = relay_routes_topic(routes, span_of_text(rows[i].type), &topic, &err);
        assert_int_equal(rc, rows[i].topic ? 0 : ERR_INPUT);
        if (rows[i].topic)
            assert_string_equal(topic, rows[i].topic);
    }
    relay_routes_free(&routes);
}

static void topics_that_say_two_things_are_refused(void **state)
{
    char *no_topic[] = {(char[]){"card="}}, *no_stream[] = {(char[]){"=t"}},
         *twice[] = {(char[]){"card=a"}, (char[]){"card=b"}}, *mixed[] = {(char[]){"card=a"}, (char[]){"b"}};
    struct err err = {0};
    (void)state;
    assert_null(routes_of(no_topic, 1, &err));
    assert_null(routes_of(no_stream, 1, &err));
    assert_null(routes_of(twice, 2, &err));
    assert_null(routes_of(mixed, 2, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_taken_apart),
        cmocka_unit_test(a_url_that_is_none_is_refused_without_telling_its_password),
        cmocka_unit_test(no_value_can_be_taken_for_sql),
        cmocka_unit_test(a_type_goes_to_the_topic_of_its_stream),
        cmocka_unit_test(topics_that_say_two_things_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
