/* What the compiler makes of a schema: names, streams, handlers, rules. The views are those of plan.proto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/view/stream.h"
#include "schema/view/view_name.h"
#include "tests/unit/made_schema.h"
#include "tests/unit/plan_text.h"

static int open_set(void **state)
{
    *state = made_schema_load_file("build/protos/plan.binpb");
    return 0;
}

static int close_set(void **state)
{
    struct view_set *set = *state;

    view_set_free(&set);
    return 0;
}

static const struct view *view_of(const struct view_set *set, const char *name)
{
    const struct view *view = view_set_find(set, span_of_text(name));

    if (view == NULL)
        fail_msg("there is no view %s", name);
    return view;
}

static void expect_handlers(const struct view_set *set, const char *name, const char *const *lines, size_t count)
{
    const struct view *view = view_of(set, name);
    struct buf text = BUF_INIT;

    assert_int_equal(view->handler_count, count);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&text);
        plan_text_handler(&view->handlers[i], &text);
        if (strcmp(buf_text(&text), lines[i]) != 0)
            fail_msg("%s.on[%zu] is\n  %s\ninstead of\n  %s", name, i, buf_text(&text), lines[i]);
        assert_int_equal(view->handlers[i].ordinal, i);
        assert_ptr_equal(view->handlers[i].view, view);
    }
    buf_release(&text);
}

static void a_view_is_named_after_its_message(void **state)
{
    static const struct {
        const char *message;
        const char *name;
    } rows[] = {
        {"GeneticResult", "genetic-result"}, {"Lender", "lender"},         {"lender", "lender"},
        {"HTTPStatus", "http-status"},       {"HTTPStatus2", "http-status2"}, {"Score2Result", "score2-result"},
        {"user_page", "user-page"},          {"ABC", "abc"},               {"A", "a"},
        {"LoanKRW", "loan-krw"},
    };
    struct buf name = BUF_INIT;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_clear(&name);
        view_name_default(rows[i].message, &name);
        assert_string_equal(buf_text(&name), rows[i].name);
        assert_true(view_name_is_good(buf_span(&name)));
    }
    buf_release(&name);
}

static void a_stream_is_the_package_without_its_version(void **state)
{
    static const struct {
        const char *package;
        const char *stream;
    } rows[] = {
        {"genetics.v1", "genetics"},   {"bank.card.v12", "bank.card"}, {"people.v2beta1", "people"},
        {"people.v1alpha", "people"},  {"a.v1p1beta2", "a"},           {"users", "users"},
        {"v1", ""},                    {"", ""},                       {"a.v", "a.v"},
        {"a.version1", "a.version1"},  {"a.v1x", "a.v1x"},             {"a.v1.b", "a.v1.b"},
        {"a.v1p", "a.v1p"},            {"a.v1gamma", "a.v1gamma"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct span stream = stream_default_name(rows[i].package);
        if (!span_equal_text(stream, rows[i].stream))
            fail_msg("%s gives %.*s", rows[i].package, SPAN_ARGS(stream));
    }
}

static void views_streams_and_events_are_found_by_name_and_numbered_in_its_order(void **state)
{
    static const char *const views[] = {"Sources_1", "conditions", "purchase", "rules", "small", "sums", "ways"};
    static const char *const events[] = {"people.v2beta1.Erased", "people.v2beta1.Renamed", "shop.v1.Counted",
                                         "shop.v1.Ordered", "shop.v1.Shipped"};
    const struct view_set *set = *state;

    assert_int_equal(set->view_count, ARRAY_COUNT(views));
    for (size_t i = 0; i < ARRAY_COUNT(views); i++) {
        assert_string_equal(set->views[i].name, views[i]);
        assert_int_equal(set->views[i].number, i);
        assert_ptr_equal(set->views[i].set, set);
        assert_ptr_equal(view_of(set, views[i]), &set->views[i]);
    }
    assert_null(view_set_find(set, SPAN_LITERAL("purchas")));
    assert_null(view_set_find(set, SPAN_LITERAL("")));

    assert_int_equal(set->stream_count, 2);
    assert_string_equal(set->streams[0].name, "people");
    assert_ptr_equal(view_set_stream(set, SPAN_LITERAL("shop")), &set->streams[1]);
    assert_int_equal(set->streams[1].number, 1);
    assert_null(view_set_stream(set, SPAN_LITERAL("sho")));

    assert_int_equal(set->event_count, ARRAY_COUNT(events));
    for (size_t i = 0; i < ARRAY_COUNT(events); i++) {
        assert_string_equal(set->events[i].event->full_name, events[i]);
        assert_ptr_equal(view_set_event(set, span_of_text(events[i])), &set->events[i]);
    }
    assert_null(view_set_event(set, SPAN_LITERAL("shop.v1.Line")));
}

static void an_events_handlers_go_view_by_view_in_the_order_written(void **state)
{
    const struct view_set *set = *state;
    const struct event_plan *ordered = view_set_event(set, SPAN_LITERAL("shop.v1.Ordered"));
    const struct event_plan *erased = view_set_event(set, SPAN_LITERAL("people.v2beta1.Erased"));
    const struct event_plan *shipped = view_set_event(set, SPAN_LITERAL("shop.v1.Shipped"));

    assert_int_equal(ordered->handler_count, 15);
    for (size_t i = 1; i < ordered->handler_count; i++) {
        const struct handler *before = ordered->handlers[i - 1];
        const struct handler *handler = ordered->handlers[i];
        assert_ptr_equal(handler->event, ordered->event);
        assert_true(before->view->number < handler->view->number ||
                    (before->view == handler->view && before->ordinal < handler->ordinal));
    }
    assert_false(ordered->has_erase);
    assert_string_equal(ordered->stream->name, "shop");
    assert_true(erased->has_erase && erased->only_erases);
    assert_int_equal(erased->handler_count, 1);
    assert_false(shipped->only_erases);
}

static void handlers_take_keys_brackets_and_fields_from_where_they_are_named(void **state)
{
    static const char *const lines[] = {
        "REPLACE shop.v1.Ordered of shop, home; key user_id=user_id,order_id=order_id; title=title, amount=amount, "
        "note='it's', lines=lines; replaced title, amount, note, lines, parcel",
        "UPSERT shop.v1.Ordered of shop, home; each lines; into lines[sku=element.sku]; "
        "key user_id=user_id,order_id=order_id; count=element.count, ordered_as=title, user_id=user_id",
        "REPLACE shop.v1.Shipped of shop, home; into parcel; key user_id=user_id,order_id=order_id; "
        "title=title, user_id=user_id; replaced title, user_id, tags",
        "DELETE shop.v1.Shipped of shop, home; key user_id=user_id,order_id=order_id",
        "MERGE people.v2beta1.Renamed of people; key user_id=user_id,order_id=title; name=name",
        "ERASE people.v2beta1.Erased of people, tombstone; key user_id=user_id",
    };

    expect_handlers(*state, "purchase", lines, ARRAY_COUNT(lines));
}

static void a_field_belongs_to_the_stream_that_writes_it(void **state)
{
    const struct view_set *set = *state;
    const struct view *view = view_of(set, "purchase");
    static const char *const streams[] = {NULL,   NULL, "shop", "shop",   "shop", NULL,
                                          "shop", NULL, "shop", "people", NULL};

    assert_string_equal(view->home->name, "shop");
    assert_int_equal(view->utc_offset_s, -(3 * 60 + 30) * 60);
    assert_int_equal(view->type->field_count, ARRAY_COUNT(streams));
    for (size_t i = 0; i < ARRAY_COUNT(streams); i++) {
        const struct stream *stream = view->field_streams[i];
        assert_true((stream == NULL) == (streams[i] == NULL));
        if (stream != NULL)
            assert_string_equal(stream->name, streams[i]);
    }
}

static void sources_are_of_the_kind_that_their_target_takes(void **state)
{
    static const char *const lines[] = {
        "MERGE shop.v1.Ordered of shop, home; key owner=customer.id; least=int -9223372036854775808, "
        "most=uint 18446744073709551615, zero=int 0, whole=double 3, tenth=float 0.100000001, state=shop.v1.Kind 2, "
        "yes=true, text='', kind=kind, size=kind, number=big, opposite=-big, when=time(), day=day(at), "
        "month=month(at), coupon=coupon.value, names=customer.phones, person=customer, by_sku=lines_by_sku, at=at, "
        "lasts=lasts",
    };

    expect_handlers(*state, "Sources_1", lines, ARRAY_COUNT(lines));
}

static void add_takes_single_numbers_and_may_take_away(void **state)
{
    static const char *const lines[] = {
        "ADD shop.v1.Ordered of shop, home; key user_id=user_id; open=uint 1, amount=amount",
        "ADD shop.v1.Shipped of shop, home; key user_id=user_id; open=int -1",
        "ADD shop.v1.Ordered of shop, home; each lines; into lines[sku=element.sku,kind=element.kind]; "
        "key user_id=user_id; count=element.count",
        "ADD shop.v1.Ordered of shop, home; into totals.inner; key user_id=user_id; amount=-amount",
    };

    expect_handlers(*state, "sums", lines, ARRAY_COUNT(lines));
}

static void a_way_may_end_in_a_message_inside_an_element(void **state)
{
    static const char *const lines[] = {
        "MERGE shop.v1.Ordered of shop, home; into orders[order_id=order_id].customer; key user_id=user_id",
        "MERGE shop.v1.Ordered of shop, home; into orders[order_id=order_id].customer; key user_id=user_id",
        "REPLACE shop.v1.Ordered of shop, home; into orders[order_id=order_id].customer; key user_id=user_id; "
        "replaced id, name, phones",
        "APPEND shop.v1.Ordered of shop, home; into orders[order_id=order_id].lines; key user_id=user_id; kind=kind",
        "REMOVE shop.v1.Ordered of shop, home; each lines; into orders[order_id=order_id].lines[sku=element.sku]; "
        "key user_id=user_id",
        "REMOVE shop.v1.Ordered of shop, home; into orders[title=title]; key user_id=user_id",
    };

    expect_handlers(*state, "ways", lines, ARRAY_COUNT(lines));
}

static void conditions_start_at_the_element_before_the_event(void **state)
{
    static const char *const lines[] = {
        "element.count > uint 3", "element.kind != shop.v1.Kind 2", "element.sku = title", "customer.name >= 'M'",
        "at <= time()", "is_gift = false", "weight < amount", "amount > -big", "seal != seal",
        "element.count >= int -1", "element.count < double 0.5", "amount < double 1e+20",
        "amount < uint 9223372036854775808", "weight = double 1", "lasts > lasts", "title = day(at)", "size = size",
    };
    const struct handler *handler = &view_of(*state, "conditions")->handlers[0];
    struct buf text = BUF_INIT;

    assert_int_equal(handler->when_count, ARRAY_COUNT(lines));
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        buf_clear(&text);
        plan_text_condition(&handler->when[i], &text);
        assert_string_equal(buf_text(&text), lines[i]);
    }
    buf_release(&text);
}

/* The rules of a message inside, by the way to it. */
static const struct message_rules *rules_at(const struct view *view, const char *way)
{
    const struct message_rules *rules = view->rules;
    char text[100];
    char *rest = NULL;

    strcpy(text, way);
    for (char *name = strtok_r(text, ".", &rest); name != NULL; name = strtok_r(NULL, ".", &rest)) {
        const struct message_rules *found = NULL;
        for (size_t i = 0; i < rules->child_count; i++)
            if (strcmp(rules->children[i]->name, name) == 0)
                found = rules->child_rules[i];
        if (found == NULL)
            fail_msg("%s: nothing inside %s", way, name);
        rules = found;
    }
    return rules;
}

static void rules_lie_inside_each_other_as_messages_do(void **state)
{
    static const struct {
        const char *way;
        const char *rules;
    } rows[] = {
        {"", "Rules; list orders[order_id] by -at keep 7; list numbers limit 3; first=first orders; "
             "last=max orders.at where element.kind = shop.v1.Kind 2 where element.total > uint 0; "
             "total=sum orders.total; sum=sum numbers; least=min numbers; inside orders: RulesOrder, "
             "first: RulesOrder, by_name: ByNameEntry, tree: RulesTree; hidden user_id; alters"},
        {"orders", "RulesOrder; list lines[sku] by count; total=sum lines.count"},
        {"by_name.value", "RulesOrder; list lines[sku] by count; total=sum lines.count"},
        {"tree", "RulesTree; count=count branches; inside branches: RulesTree, leaf: RulesLeaf; alters"},
        {"tree.branches.branches.leaf", "RulesLeaf; hidden unseen; alters"},
    };
    const struct view *view = view_of(*state, "rules");
    struct buf text = BUF_INIT;

    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_clear(&text);
        plan_text_rules(rules_at(view, rows[i].way), &text);
        if (strcmp(buf_text(&text), rows[i].rules) != 0)
            fail_msg("%s: rules are\n  %s\ninstead of\n  %s", rows[i].way, buf_text(&text), rows[i].rules);
    }
    assert_ptr_equal(rules_at(view, "tree"), rules_at(view, "tree.branches"));
    buf_release(&text);
}

static void a_view_without_rules_has_empty_ones(void **state)
{
    const struct message_rules *rules = view_of(*state, "conditions")->rules;

    assert_non_null(rules);
    assert_int_equal(rules->list_count + rules->derived_count + rules->child_count + rules->hidden_count, 0);
    assert_false(rules->alters_serving);
}

static void a_list_under_upsert_without_order_stays_in_the_order_of_arrival(void **state)
{
    const struct view *view = view_of(*state, "purchase");

    for (size_t i = 0; i < view->rules->list_count; i++)
        assert_string_not_equal(view->rules->lists[i].list->name, "lines");
}

static void options_may_be_written_one_by_one(void **state)
{
    static const char *const lines[] = {
        "MERGE shop.v1.Counted of shop, home; key user_no=user_no; either=amount, amount=amount",
    };
    const struct view_set *set = *state;
    struct buf text = BUF_INIT;

    expect_handlers(set, "small", lines, ARRAY_COUNT(lines));
    plan_text_rules(view_of(set, "small")->rules, &text);
    assert_string_equal(buf_text(&text), "Small; list lines by sku limit 2; hidden lines; alters");
    buf_release(&text);
}

static void the_examples_have_no_mistakes(void **state)
{
    struct view_set *set = made_schema_load_file("build/examples.binpb");

    (void)state;
    assert_true(set->view_count >= 7);
    view_set_free(&set);
}

/* Each block of protobuf on the page stands in reference.proto word for word, which is a set without mistakes. */
static void the_examples_of_the_reference_are_right(void **state)
{
    static const char begin[] = "```proto\n";
    struct buf page = made_schema_read("ops/docs/view-language.md");
    struct buf source = made_schema_read("tests/protos/reference.proto");
    struct view_set *set = made_schema_load_file("build/protos/reference.binpb");
    const char *proto = buf_text(&source);
    size_t count = 0;

    (void)state;
    for (const char *at = strstr(buf_text(&page), begin); at != NULL; at = strstr(at, begin), count++) {
        at += strlen(begin);
        const char *end = strstr(at, "```");
        assert_non_null(end);
        char *block = mem_text_of(span_of(at, (size_t)(end - at)));
        if (strstr(proto, block) == NULL)
            fail_msg("the reference shows what reference.proto doesn't have:\n%s", block);
        free(block);
    }
    assert_int_equal(count, 3);
    assert_int_equal(set->view_count, 2);
    view_set_free(&set);
    buf_release(&page);
    buf_release(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_is_named_after_its_message),
        cmocka_unit_test(a_stream_is_the_package_without_its_version),
        cmocka_unit_test(views_streams_and_events_are_found_by_name_and_numbered_in_its_order),
        cmocka_unit_test(an_events_handlers_go_view_by_view_in_the_order_written),
        cmocka_unit_test(handlers_take_keys_brackets_and_fields_from_where_they_are_named),
        cmocka_unit_test(a_field_belongs_to_the_stream_that_writes_it),
        cmocka_unit_test(sources_are_of_the_kind_that_their_target_takes),
        cmocka_unit_test(add_takes_single_numbers_and_may_take_away),
        cmocka_unit_test(a_way_may_end_in_a_message_inside_an_element),
        cmocka_unit_test(conditions_start_at_the_element_before_the_event),
        cmocka_unit_test(rules_lie_inside_each_other_as_messages_do),
        cmocka_unit_test(a_view_without_rules_has_empty_ones),
        cmocka_unit_test(a_list_under_upsert_without_order_stays_in_the_order_of_arrival),
        cmocka_unit_test(options_may_be_written_one_by_one),
        cmocka_unit_test(the_examples_have_no_mistakes),
        cmocka_unit_test(the_examples_of_the_reference_are_right),
    };

    return cmocka_run_group_tests(tests, open_set, close_set);
}
