/* What handlers do to views, sentence by sentence of the view language. Schemas: tests/protos/fold*.proto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/view_fold.h"

#define PLACED "shop.v1.Placed"
#define REVISED "shop.v1.Revised"
#define CLOSED "shop.v1.Closed"
#define LISTED "shop.v1.Listed"
#define CHANGED "shop.v1.LineChanged"
#define DROPPED "shop.v1.LineDropped"
#define NOTED "shop.v1.Noted"
#define SPENT "shop.v1.Spent"
#define REFUNDED "shop.v1.Refunded"
#define BOOKED "shop.v1.Booked"
#define RENAMED "person.v1.Renamed"
#define GONE "person.v1.Gone"

static int open_fold(void **state)
{
    static struct fold fold;

    fold_open(&fold, "fold");
    *state = &fold;
    return 0;
}

static int close_fold(void **state)
{
    fold_close(*state);
    return 0;
}

/* Ann's event. */
static void apply(struct fold *fold, const char *event, const char *json)
{
    if (fold_event(fold, "ann", event, json) != 0)
        fail_msg("%s", fold->err.text);
}

static void refuse(struct fold *fold, enum park_reason reason, const char *event, const char *json, const char *text)
{
    assert_int_equal(fold_event(fold, "ann", event, json), ERR_INPUT);
    assert_string_equal(park_reason_name(fold->reason), park_reason_name(reason));
    assert_string_equal(fold->err.text, text);
    assert_int_equal(fold->effects.change_count, 0);
}

/* --- MERGE ------------------------------------------------------------------------------------------------------- */

static void merge_copies_fields_of_the_same_name(void **state)
{
    apply(*state, PLACED,
          "{'person':'ann','title':'t','note':'n','amount':5,'card':'c','at':{'seconds':1},'tags':['x','y']}");
    fold_expect(*state, "order", "ann",
                "{'person':'ann','title':'t','note':'n','amount':5,'card':'c','at':{'seconds':1},'tags':['x','y']}");
}

static void merge_leaves_what_an_event_with_presence_does_not_set(void **state)
{
    apply(*state, PLACED, "{'person':'ann','note':'n','place':{'city':'Seoul'},'at':{'seconds':1}}");
    apply(*state, PLACED, "{'person':'ann'}");
    fold_expect(*state, "order", "ann",
                "{'person':'ann','note':'n','amount':0,'place':{'city':'Seoul'},'at':{'seconds':1}}");
}

static void an_implicit_zero_sets_even_an_optional_target(void **state)
{
    apply(*state, PLACED, "{'person':'ann','amount':5,'title':'t'}");
    apply(*state, PLACED, "{'person':'ann'}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0}");
}

static void an_explicit_empty_value_is_a_value(void **state)
{
    apply(*state, PLACED, "{'person':'ann','note':'n'}");
    apply(*state, PLACED, "{'person':'ann','note':''}");
    fold_expect(*state, "order", "ann", "{'person':'ann','note':'','amount':0}");
}

static void lists_and_maps_are_replaced_whole(void **state)
{
    apply(*state, PLACED, "{'person':'ann','tags':['a','b'],'prices':{'z':1,'a':2}}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0,'tags':['a','b'],'prices':{'a':2,'z':1}}");
    apply(*state, PLACED, "{'person':'ann','tags':['c'],'prices':{'b':3}}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0,'tags':['c'],'prices':{'b':3}}");
    apply(*state, PLACED, "{'person':'ann'}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0}");
}

static void a_map_has_one_order_and_the_last_of_equal_keys(void **state)
{
    struct fold *fold = *state;
    apply(fold, PLACED, "{'person':'ann','prices':{'b':2,'a':1,'c':3}}");
    apply(fold, PLACED, "{'person':'ann','prices':{'c':3,'a':1,'b':2}}");
    assert_int_equal(fold->effects.change_count, 0); /* the same bytes */
}

static void a_message_is_replaced_whole_when_it_is_set(void **state)
{
    apply(*state, PLACED, "{'person':'ann','place':{'city':'Seoul','door':'4'}}");
    apply(*state, PLACED, "{'person':'ann','place':{'floor':3}}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0,'place':{'floor':3}}");
}

static void a_set_oneof_clears_the_other_member_and_an_empty_one_leaves_it(void **state)
{
    apply(*state, PLACED, "{'person':'ann','card':'c'}");
    apply(*state, PLACED, "{'person':'ann','counter':{'city':'Seoul'}}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0,'counter':{'city':'Seoul'}}");
    apply(*state, PLACED, "{'person':'ann'}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0,'counter':{'city':'Seoul'}}");
}

/* --- REPLACE, DELETE, streams ------------------------------------------------------------------------------------ */

static void replace_clears_what_its_stream_owns_and_the_event_does_not_give(void **state)
{
    apply(*state, RENAMED, "{'person':'ann','name':'Ann'}");
    apply(*state, PLACED, "{'person':'ann','note':'n','amount':5,'card':'c','tags':['x'],'title':'t'}");
    apply(*state, REVISED, "{'person':'ann','title':'u'}");
    fold_expect(*state, "order", "ann", "{'person':'ann','person_name':'Ann','title':'u'}");
}

static void what_a_foreign_stream_brings_first_is_kept_unseen(void **state)
{
    apply(*state, RENAMED, "{'person':'ann','name':'Ann'}");
    fold_expect(*state, "order", "ann", "unseen {'person':'ann','person_name':'Ann'}");
    apply(*state, REVISED, "{'person':'ann','title':'t'}");
    fold_expect(*state, "order", "ann", "{'person':'ann','person_name':'Ann','title':'t'}");
}

static void a_home_event_that_copies_nothing_makes_the_view(void **state)
{
    apply(*state, REVISED, "{'person':'ann'}");
    fold_expect(*state, "order", "ann", "{'person':'ann'}");
}

static void delete_clears_the_home_part_and_leaves_the_others_unseen(void **state)
{
    apply(*state, PLACED, "{'person':'ann','title':'t'}");
    apply(*state, RENAMED, "{'person':'ann','name':'Ann'}");
    apply(*state, CLOSED, "{'person':'ann'}");
    fold_expect(*state, "order", "ann", "unseen {'person':'ann','person_name':'Ann'}");
    apply(*state, REVISED, "{'person':'ann','title':'u'}");
    fold_expect(*state, "order", "ann", "{'person':'ann','person_name':'Ann','title':'u'}");
}

static void a_view_with_nothing_left_is_gone(void **state)
{
    struct fold *fold = *state;
    apply(fold, PLACED, "{'person':'ann','title':'t'}");
    apply(fold, CLOSED, "{'person':'ann'}");
    fold_expect(fold, "order", "ann", NULL);
    apply(fold, CLOSED, "{'person':'ann'}"); /* there is nothing to delete: nothing changes */
    assert_int_equal(fold->effects.change_count, 0);
}

static void an_unseen_view_goes_when_a_foreign_stream_leaves_nothing(void **state)
{
    apply(*state, RENAMED, "{'person':'ann','name':'Ann'}");
    apply(*state, RENAMED, "{'person':'ann','name':''}");
    fold_expect(*state, "order", "ann", NULL);
}

static void a_view_that_holds_nothing_new_does_not_change(void **state)
{
    struct fold *fold = *state;
    apply(fold, REVISED, "{'person':'ann','title':'t'}");
    assert_int_equal(fold->effects.change_count, 1);
    apply(fold, REVISED, "{'person':'ann','title':'t'}");
    assert_int_equal(fold->effects.change_count, 0);
    assert_int_equal(fold->effects.touched_count, 1);
}

static void a_null_value_deletes_where_the_handler_says_tombstone(void **state)
{
    apply(*state, PLACED, "{'person':'ann','title':'t'}");
    apply(*state, LISTED, "{'person':'ann','loud':true}");
    apply(*state, CLOSED, NULL);
    fold_expect(*state, "order", "ann", NULL);
    fold_expect(*state, "board", "ann", "{'person':'ann','loud':true,'group_count':0}"); /* its DELETE doesn't */
}

static void a_null_value_erases_where_the_handler_says_tombstone(void **state)
{
    struct fold *fold = *state;
    apply(fold, PLACED, "{'person':'ann','title':'t'}");
    apply(fold, GONE, NULL);
    assert_int_equal(fold->effects.erasure_count, 1);
    fold_expect(fold, "order", "ann", NULL);
}

/* --- ERASE ------------------------------------------------------------------------------------------------------- */

static void an_erased_view_never_comes_back(void **state)
{
    struct fold *fold = *state;
    apply(fold, PLACED, "{'person':'ann','title':'t'}");
    apply(fold, GONE, "{'person':'ann'}");
    fold_expect(fold, "order", "ann", NULL);
    apply(fold, REVISED, "{'person':'ann','title':'u'}");
    fold_expect(fold, "order", "ann", NULL);
    assert_int_equal(fold->effects.erased_count, 1);
    assert_int_equal(fold->effects.touched_count, 0);
}

static void an_event_skips_erased_views_and_feeds_the_others(void **state)
{
    struct fold *fold = *state;
    apply(fold, GONE, "{'person':'ann'}");
    apply(fold, PLACED, "{'person':'ann','title':'t','amount':1}"); /* converted isn't erased */
    fold_expect(fold, "order", "ann", NULL);
    fold_expect(fold, "converted", "ann",
                "{'person':'ann','small':1,'natural':1,'opposite':-1,'real':1.0,'single':1.0,"
                "'text':'1','state_name':'UNKNOWN','literal':'it\\u0027s','number':-7,'yes':true,'fixed':'PAID',"
                "'seen':{'seconds':1700000000}}");
    assert_int_equal(fold->effects.erased_count, 1);
    assert_int_equal(fold->effects.touched_count, 2); /* converted, and the diary's book */
}

static void erasing_by_leading_fields_takes_all_views_below(void **state)
{
    struct fold *fold = *state;
    apply(
        fold, BOOKED,
        "{'person':'ann','seats':[{'flight':'KE1','row':1,'person':'ann'},{'flight':'KE2','row':-1,'person':'ann'}]}");
    assert_int_equal(fold_count(fold), 2);
    apply(fold, GONE, "{'person':'ann'}");
    assert_int_equal(fold_count(fold), 0);
    apply(fold, BOOKED, "{'person':'ann','seats':[{'flight':'KE3','row':1,'person':'ann'}]}");
    assert_int_equal(fold_count(fold), 0);
}

static void erasures_alone_and_all_but_erasures_make_up_the_whole(void **state)
{
    struct fold *fold = *state;
    apply(fold, PLACED, "{'person':'ann'}");
    fold->part = PROJECT_ALL_BUT_ERASURES;
    apply(fold, GONE, "{'person':'ann'}");
    assert_int_equal(fold->effects.erasure_count, 0);
    fold->part = PROJECT_ERASURES;
    apply(fold, PLACED, "{'person':'ann','title':'t'}");
    assert_int_equal(fold->effects.change_count, 0);
    apply(fold, GONE, "{'person':'ann'}");
    assert_int_equal(fold->effects.erasure_count, 3); /* order, board, tickets */
}

static void a_bad_event_for_an_erased_view_is_dropped(void **state)
{
    struct fold *fold = *state;
    apply(fold, GONE, "{'person':'ann'}");
    apply(fold, BOOKED, "{'person':'ann','seats':[{'row':1,'person':'ann'}]}"); /* no flight */
    assert_int_equal(fold->effects.erased_count, 1);
    assert_int_equal(fold->effects.touched_count, 0);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static void the_record_key_must_equal_the_owner(void **state)
{
    struct fold *fold = *state;
    assert_int_equal(fold_event(fold, "bob", REVISED, "{'person':'ann'}"), ERR_INPUT);
    assert_int_equal(fold->reason, PARK_FOREIGN_KEY);
    assert_string_equal(fold->err.text,
                        "Order.on[1] (shop.v1.Revised): person: the event has another one than the record's key");
    assert_int_equal(fold_count(fold), 0);
}

static void an_empty_text_is_no_key(void **state)
{
    struct fold *fold = *state;
    assert_int_equal(fold_event(fold, "", REVISED, "{}"), ERR_INPUT);
    assert_int_equal(fold->reason, PARK_NO_KEY);
}

static void a_key_that_is_too_long_is_refused(void **state)
{
    struct fold *fold = *state;
    char owner[301], json[400];
    memset(owner, 'x', 300);
    owner[300] = '\0';
    snprintf(json, sizeof(json), "{'person':'%s'}", owner);
    assert_int_equal(fold_event(fold, owner, REVISED, json), ERR_INPUT);
    assert_int_equal(fold->reason, PARK_BAD_VALUE);
    owner[254] = '\0'; /* with its terminator of two bytes: 256 */
    snprintf(json, sizeof(json), "{'person':'%s'}", owner);
    assert_int_equal(fold_event(fold, owner, REVISED, json), ERR_INPUT);
    owner[253] = '\0';
    snprintf(json, sizeof(json), "{'person':'%s'}", owner);
    assert_int_equal(fold_event(fold, owner, REVISED, json), 0);
}

static void each_may_supply_later_key_fields(void **state)
{
    apply(
        *state, BOOKED,
        "{'person':'ann','seats':[{'flight':'KE1','row':12,'person':'ann'},{'flight':'KE2','row':-3,'person':'ann'}]}");
    fold_expect(*state, "ticket", "ann/KE1/12", "{'person':'ann','flight':'KE1','row':12}");
    fold_expect(*state, "ticket", "ann/KE2/-3", "{'person':'ann','flight':'KE2','row':-3}");
}

static void one_bad_element_refuses_the_whole_event(void **state)
{
    struct fold *fold = *state;
    refuse(fold, PARK_NO_KEY, BOOKED,
           "{'person':'ann','seats':[{'flight':'KE1','row':12,'person':'ann'},{'row':1,'person':'ann'}]}",
           "Ticket.on[0] (shop.v1.Booked): key field \"flight\": an empty text is no key");
    assert_int_equal(fold_count(fold), 0);
}

static void elements_of_other_owners_are_foreign(void **state)
{
    struct fold *fold = *state;
    assert_int_equal(fold_event(fold, "ann", BOOKED, "{'person':'ann','seats':[{'flight':'KE1','person':'bob'}]}"),
                     ERR_INPUT); /* an element's field comes before the event's */
    assert_int_equal(fold->reason, PARK_FOREIGN_KEY);
}

static void hundreds_of_views_of_one_event_are_told_apart(void **state)
{
    struct fold *fold = *state;
    struct buf json = BUF_INIT;
    buf_add_text(&json, "{'person':'ann','seats':[");
    for (int i = 0; i < 600; i++)
        buf_add_format(&json, "%s{'flight':'KE','row':%d,'person':'ann'}", i ? "," : "", i % 300);
    buf_add_text(&json, "]}");
    apply(fold, BOOKED, buf_text(&json));
    assert_int_equal(fold->effects.change_count, 300);
    assert_int_equal(fold->finds, 300);
    assert_int_equal(fold_count(fold), 300);
    buf_release(&json);
}

static void owners_that_are_integers_are_canonical_decimals(void **state)
{
    static const struct {
        const char *owner;
        int rc;
    } cases[] = {{"-7", 0},          {"7", ERR_INPUT}, {"-07", ERR_INPUT},
                 {"-7 ", ERR_INPUT}, {"", ERR_INPUT},  {"x", ERR_INPUT}};
    struct fold *fold = *state;

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(
            fold_event(fold, cases[i].owner, "shop.v1.Counted", "{'shop':-7,'kind':'PAID','tag':'t','amount':2}"),
            cases[i].rc);
        if (cases[i].rc != 0)
            assert_int_equal(fold->reason, PARK_FOREIGN_KEY);
    }
    assert_int_equal(fold_event(fold, "0", "shop.v1.Counted", "{'kind':'OPEN','tag':'t','amount':2}"),
                     0); /* 0 is one */
    assert_int_equal(fold_count(fold), 2);
    assert_int_equal(fold_event(fold, "0", "shop.v1.Counted", "{'kind':'OPEN','amount':2}"), ERR_INPUT); /* no bytes */
    assert_int_equal(fold->reason, PARK_NO_KEY);
}

/* --- UPSERT, REMOVE, APPEND, ADD --------------------------------------------------------------------------------- */

static void upsert_finds_or_adds_elements_at_every_level(void **state)
{
    apply(*state, CHANGED, "{'person':'ann','group':'b','code':'x','score':1}");
    apply(*state, CHANGED, "{'person':'ann','group':'a','code':'y','score':2}");
    apply(*state, CHANGED, "{'person':'ann','group':'b','code':'z','score':3}");
    apply(*state, CHANGED, "{'person':'ann','group':'b','code':'x','state':'PAID'}"); /* score stays: it isn't set */
    fold_expect(
        *state, "board", "ann",
        "{'person':'ann','group_count':2,"
        "'groups':[{'group':'a','lines':[{'code':'y','score':2}],'count':1,'least':2,'most':2,'first_code':'y'},"
        "{'group':'b','lines':[{'code':'z','score':3},{'code':'x','score':1,'state':'PAID'}],'count':2,'least':1,"
        "'most':3,'first':{'code':'x','score':1,'state':'PAID'},'first_code':'z'}],"
        "'top':{'group':'a','lines':[{'code':'y','score':2}],'count':1,'least':2,'most':2,'first_code':'y'}}");
}

static void a_bracket_field_without_a_value_is_refused(void **state)
{
    refuse(*state, PARK_BAD_VALUE, CHANGED, "{'person':'ann','code':'x'}",
           "Board.on[2] (shop.v1.LineChanged): groups[group]: the event gives no value");
    refuse(*state, PARK_BAD_VALUE, CHANGED, "{'person':'ann','group':'x'}",
           "Board.on[2] (shop.v1.LineChanged): lines[code]: the event gives no value");
}

static void an_empty_text_in_brackets_is_a_value(void **state)
{
    apply(*state, CHANGED, "{'person':'ann','group':'','code':'','score':1}");
    apply(*state, CHANGED, "{'person':'ann','group':'','code':'','score':2}");
    fold_expect(*state, "diary", "ann", "{'person':'ann','book':{'lines':[{'score':2}],'count':1}}");
}

static void remove_takes_all_that_match_and_makes_nothing(void **state)
{
    struct fold *fold = *state;
    apply(fold, DROPPED, "{'person':'ann','group':'a','code':'x'}");
    fold_expect(fold, "board", "ann", NULL); /* from what isn't there it does nothing */
    apply(fold, CHANGED, "{'person':'ann','group':'a','code':'x'}");
    apply(fold, DROPPED, "{'person':'ann','group':'b','code':'x'}");
    assert_int_equal(fold->effects.change_count, 0);
    apply(fold, DROPPED, "{'person':'ann','group':'a','code':'x'}");
    fold_expect(fold, "board", "ann", "{'person':'ann','group_count':1,'groups':[{'group':'a'}],'top':{'group':'a'}}");
    apply(fold, "shop.v1.GroupDropped", "{'person':'ann','group':'a'}");
    fold_expect(fold, "board", "ann", "{'person':'ann','group_count':0}"); /* made, and stays so */
}

static void several_handlers_of_an_event_run_in_the_order_written(void **state)
{
    apply(*state, LISTED, "{'person':'ann','loud':true,'lines':[{'group':'a','code':'x','state':'OPEN'}]}");
    apply(*state, LISTED,
          "{'person':'ann','lines':[{'group':'b','code':'y','state':'OPEN'}]}"); /* REPLACE goes first */
    fold_expect(
        *state, "board", "ann",
        "{'person':'ann','group_count':1,'groups':[{'group':'b','lines':[{'code':'y','state':'OPEN'}],'count':1,"
        "'first_code':'y'}],'top':{'group':'b','lines':[{'code':'y','state':'OPEN'}],'count':1,"
        "'first_code':'y'}}");
}

static void when_is_asked_for_each_element(void **state)
{
    apply(*state, LISTED,
          "{'person':'ann','lines':[{'group':'a','code':'x'},{'group':'a','code':'y','state':'PAID'},"
          "{'group':'a','code':'z'}]}");
    fold_expect(
        *state, "board", "ann",
        "{'person':'ann','group_count':1,'groups':[{'group':'a','lines':[{'code':'y','state':'PAID'}],'count':1,"
        "'first':{'code':'y','state':'PAID'},'first_code':'y'}],'top':{'group':'a','lines':[{'code':'y',"
        "'state':'PAID'}],'count':1,'first':{'code':'y','state':'PAID'},'first_code':'y'}}");
}

static void each_without_elements_asks_for_no_key(void **state)
{
    struct fold *fold = *state;
    assert_int_equal(fold_event(fold, "bob", BOOKED, "{'person':'ann'}"), 0); /* a foreign key, of no account */
    assert_int_equal(fold->finds, 0);
    assert_int_equal(fold->effects.touched_count, 0);
}

static void a_failing_when_asks_for_no_key(void **state)
{
    struct fold *fold = *state;
    assert_int_equal(fold_event(fold, "bob", "shop.v1.Quiet", "{'person':'ann'}"), 0);
    assert_int_equal(fold->finds, 0);
}

static void append_adds_and_keep_forgets(void **state)
{
    for (int i = 1; i <= 5; i++) {
        char json[100];
        snprintf(json, sizeof(json), "{'person':'ann','text':'n%d','at':{'seconds':%d}}", i, i == 2 ? 9 : i);
        apply(*state, NOTED, json);
    }
    fold_expect(*state, "diary", "ann",
                "{'person':'ann','notes':[{'text':'n2','at':{'seconds':9}},{'text':'n5','at':{'seconds':5}},"
                "{'text':'n4','at':{'seconds':4}}],"
                "'arrivals':[{'text':'n1','at':{'seconds':1}},{'text':'n2','at':{'seconds':9}}]}");
}

static void what_keep_cut_is_made_anew(void **state)
{
    static const char *const kept = "{'person':'ann','book':{'lines':[{'code':'a','score':1},{'code':'b','score':2},"
                                    "{'code':'c','score':3}],'count':3}}";
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'d','score':4,'amount':7}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'a','score':1}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'b','score':2}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'c','score':3}");
    fold_expect(*state, "diary", "ann", kept);
    apply(*state, "shop.v1.LinesDropped", "{'person':'ann','code':'a'}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'d','score':5}"); /* its amount of 7 is forgotten */
    fold_expect(*state, "diary", "ann",
                "{'person':'ann','book':{'lines':[{'code':'b','score':2},"
                "{'code':'c','score':3},{'code':'d','score':5}],'count':3}}");
}

static void add_grows_and_shrinks(void **state)
{
    struct fold *fold = *state;
    apply(fold, SPENT, "{'person':'ann','amount':5,'natural':7,'real':0.5,'at':{'seconds':1700000000}}");
    apply(fold, REFUNDED, "{'person':'ann','amount':2,'natural':7,'real':0.25,'at':{'seconds':1700000000}}");
    apply(fold, SPENT, "{'person':'ann','at':{'seconds':1709300000}}");
    fold_expect(
        fold, "purse", "ann",
        "{'person':'ann','all':5,'months':[{'month':'2023-11','amount':3,'real':0.25},{'month':'2024-03','times':1}]}");
}

static void a_sum_that_overflows_is_refused(void **state)
{
    struct fold *fold = *state;
    apply(fold, SPENT, "{'person':'ann','amount':2147483647,'at':{'seconds':1}}");
    refuse(fold, PARK_OVERFLOW, SPENT, "{'person':'ann','amount':1,'at':{'seconds':1}}",
           "Purse.on[2] (shop.v1.Spent): all: the sum doesn't fit");
    refuse(fold, PARK_OVERFLOW, REFUNDED, "{'person':'ann','natural':1,'at':{'seconds':1}}",
           "Purse.on[1] (shop.v1.Refunded): natural: the sum doesn't fit");
    fold_expect(fold, "purse", "ann",
                "{'person':'ann','all':2147483647,'months':[{'month':'1969-12','amount':2147483647,'times':1}]}");
}

static void a_path_may_end_in_a_message_inside_an_element(void **state)
{
    apply(*state, PLACED, "{'person':'ann','title':'code','place':{'city':'Seoul'}}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'code','score':1}");
    fold_expect(*state, "diary", "ann",
                "{'person':'ann','book':{'lines':[{'code':'code','score':1,'place':{'city':'Seoul'}}],'count':1}}");
}

static void replace_of_a_message_clears_the_rest_of_it(void **state)
{
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'a'}");
    apply(*state, SPENT, "{'person':'ann','amount':5,'real':1.5,'at':{'seconds':1}}"); /* MERGE into the book */
    fold_expect(*state, "diary", "ann",
                "{'person':'ann','book':{'lines':[{'code':'a'}],'count':1,'amount':5,'real':1.5}}");
    apply(*state, REFUNDED, "{'person':'ann','real':2.5,'at':{'seconds':1}}");
    fold_expect(*state, "diary", "ann", "{'person':'ann','book':{'real':2.5}}");
}

/* --- sources and types ------------------------------------------------------------------------------------------- */

static void every_kind_of_source_gives_its_value(void **state)
{
    struct fold *fold = *state;
    fold->time_ms = -1;
    apply(fold, PLACED,
          "{'person':'ann','title':'t','amount':12,'state':'SHIPPED','place':{'city':'Seoul','floor':2,'door':'x'},"
          "'at':{'seconds':1700000000}}");
    fold_expect(fold, "converted", "ann",
                "{'person':'ann','small':12,'natural':12,'opposite':-12,'real':12.0,'single':12.0,'text':'12',"
                "'state_name':'SHIPPED','city':'Seoul','door':'x','literal':'it\\u0027s','number':-7,'yes':true,"
                "'fixed':'PAID','seen':{'seconds':-1,'nanos':999000000},'day':'2023-11-15','month':'2023-11',"
                "'state':'SHIPPED','place':{'city':'Seoul','floor':2,'door':'x'}}");
}

static void a_path_through_an_unset_message_gives_no_value(void **state)
{
    apply(*state, PLACED, "{'person':'ann','place':{'city':'Seoul','door':'x'},'at':{'seconds':0}}");
    apply(*state, PLACED, "{'person':'ann'}");
    fold_expect(*state, "converted", "ann",
                "{'person':'ann','text':'0','state_name':'UNKNOWN','city':'Seoul','door':'x','literal':'it\\u0027s',"
                "'number':-7,'yes':true,'fixed':'PAID','seen':{'seconds':1700000000},'day':'1970-01-01',"
                "'month':'1970-01','place':{'city':'Seoul','door':'x'}}");
}

static void a_value_that_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *json;
        const char *field;
    } cases[] = {
        {"{'person':'ann','amount':2147483648}", "small: the value doesn't fit"},
        {"{'person':'ann','amount':-1}", "natural: the value doesn't fit"},
        {"{'person':'ann','place':{'floor':1,'city':'s'},'at':{'seconds':253402300800}}",
         "day: day() of a Timestamp outside of the years 1 to 9999"},
        {"{'person':'ann','at':{'seconds':253402300799}}", /* the time zone moves it into the year 10000 */
         "day: day() of a Timestamp outside of the years 1 to 9999"},
    };
    char text[200];

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        snprintf(text, sizeof(text), "Converted.on[0] (shop.v1.Placed): %s", cases[i].field);
        refuse(*state, PARK_OVERFLOW, PLACED, cases[i].json, text);
        fold_expect(*state, "order", "ann", NULL); /* nor is any other view changed */
    }
}

static void enums_go_by_name_then_by_number(void **state)
{
    apply(*state, PLACED, "{'person':'ann','state':'SHIPPED'}"); /* 3 there, 5 here */
    apply(*state, PLACED, "{'person':'ann','state':77}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0,'state':77}");
    apply(*state, PLACED, "{'person':'ann','state':'SHIPPED'}");
    fold_expect(*state, "order", "ann", "{'person':'ann','amount':0,'state':'SHIPPED'}");
}

static void an_enum_becomes_its_name_or_else_its_number(void **state)
{
    apply(*state, "shop.v1.Stocked", "{'person':'ann','state':'SHIPPED'}");
    fold_expect(*state, "shelf", "ann", "{'person':'ann','state_text':'SHIPPED'}");
    apply(*state, "shop.v1.Stocked", "{'person':'ann','state':-77}");
    fold_expect(*state, "shelf", "ann", "{'person':'ann','state_text':'-77'}");
}

static void a_closed_enum_takes_no_number_without_a_name(void **state)
{
    struct fold fold;

    (void)state;
    fold_open(&fold, "fold_closed");
    apply(&fold, "closed.Chosen", "{'person':'ann','color':'ONE'}"); /* by name */
    fold_expect(&fold, "choice", "ann", "{'person':'ann','color':'ONE'}");
    apply(&fold, "closed.Chosen", "{'person':'ann','color':'THREE'}"); /* by number */
    fold_expect(&fold, "choice", "ann", "{'person':'ann','color':'THREE_AND_MORE'}");
    refuse(&fold, PARK_OVERFLOW, "closed.Chosen", "{'person':'ann','color':'TWO'}",
           "Choice.on[0] (closed.Chosen): color: the value doesn't fit");
    fold_close(&fold);
}

static void a_message_of_another_type_goes_by_name_and_its_rules_hold(void **state)
{
    /* "count" follows a rule here: what the event says of it is of no account, and its type neither. */
    apply(*state, "shop.v1.Stocked",
          "{'person':'ann','book':{'count':'many','lines':[{'code':'b','score':2,'place':{'city':'S','floor':3}},"
          "{'code':'a','score':1,'group':'g'},{'code':'d','score':4},{'code':'c','score':3}]}}");
    fold_expect(*state, "shelf", "ann",
                "{'person':'ann','state_text':'UNKNOWN','book':{'lines':[{'code':'a','score':1},"
                "{'code':'b','score':2,'place':{'city':'S','floor':3}},{'code':'c','score':3}],'count':3}}");
}

static void upsert_takes_the_first_match_and_remove_takes_all(void **state)
{
    apply(*state, "shop.v1.Stocked",
          "{'person':'ann','book':{'lines':[{'code':'a','score':1},{'code':'b','score':2},{'code':'a','score':3}]}}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'a','score':0}");
    fold_expect(*state, "shelf", "ann",
                "{'person':'ann','state_text':'UNKNOWN','book':{'lines':[{'code':'a','score':0},{'code':'b','score':2},"
                "{'code':'a','score':3}],'count':3}}");
    apply(*state, "shop.v1.LinesDropped", "{'person':'ann','code':'a'}");
    fold_expect(*state, "shelf", "ann",
                "{'person':'ann','state_text':'UNKNOWN','book':{'lines':[{'code':'b','score':2}],'count':1}}");
}

/* --- rules ------------------------------------------------------------------------------------------------------- */

static void derived_fields_follow_their_list(void **state)
{
    apply(*state, LISTED,
          "{'person':'ann','lines':["
          "{'group':'g','code':'a','score':11,'state':'PAID','amount':5,'weight':0.5,'at':{'seconds':1}},"
          "{'group':'g','code':'b','score':30,'state':'OPEN','amount':-2,'weight':0.25,'at':{'seconds':3},'place':{'"
          "city':'S'}},"
          "{'group':'g','code':'c','score':20,'state':'PAID','amount':1,'at':{'seconds':2}},"
          "{'group':'g','code':'d','state':'PAID'}]}");
    apply(*state, DROPPED, "{'person':'ann','group':'g','code':'nothing'}");
    fold_expect(
        *state, "board", "ann",
        "{'person':'ann','group_count':1,'total':4,'groups':[{'group':'g','lines':["
        "{'code':'b','score':30,'state':'OPEN','amount':-2,'weight':0.25,'at':{'seconds':3},'place':{'city':'S'}},"
        "{'code':'c','score':20,'state':'PAID','amount':1,'at':{'seconds':2}},"
        "{'code':'a','score':11,'state':'PAID','amount':5,'weight':0.5,'at':{'seconds':1}},"
        "{'code':'d','state':'PAID'}],"
        "'count':4,'paid':2,'total':4,'least':11,'most':30,"
        "'first':{'code':'c','score':20,'state':'PAID','amount':1,'at':{'seconds':2}},"
        "'first_code':'b','weight':0.75,'newest':{'seconds':3},'first_city':'S'}],"
        "'top':{'group':'g','lines':["
        "{'code':'b','score':30,'state':'OPEN','amount':-2,'weight':0.25,'at':{'seconds':3},'place':{'city':'S'}},"
        "{'code':'c','score':20,'state':'PAID','amount':1,'at':{'seconds':2}},"
        "{'code':'a','score':11,'state':'PAID','amount':5,'weight':0.5,'at':{'seconds':1}},"
        "{'code':'d','state':'PAID'}],"
        "'count':4,'paid':2,'total':4,'least':11,'most':30,"
        "'first':{'code':'c','score':20,'state':'PAID','amount':1,'at':{'seconds':2}},"
        "'first_code':'b','weight':0.75,'newest':{'seconds':3},'first_city':'S'}}");
}

static void of_an_empty_list_count_and_sum_are_zero_and_the_rest_is_cleared(void **state)
{
    apply(*state, LISTED, "{'person':'ann','lines':[{'group':'g','code':'a','score':11,'state':'PAID','amount':5}]}");
    apply(*state, DROPPED, "{'person':'ann','group':'g','code':'a'}");
    fold_expect(*state, "board", "ann",
                "{'person':'ann','group_count':1,'groups':[{'group':'g'}],'top':{'group':'g'}}");
    apply(*state, LISTED, "{'person':'ann'}");
    fold_expect(*state, "board", "ann", "{'person':'ann','group_count':0}");
}

static void a_derived_sum_that_overflows_is_refused(void **state)
{
    struct fold *fold = *state;
    apply(fold, CHANGED, "{'person':'ann','group':'g','code':'a','amount':9223372036854775807}");
    refuse(fold, PARK_OVERFLOW, CHANGED, "{'person':'ann','group':'g','code':'b','amount':1}",
           "Board.on[2] (shop.v1.LineChanged): Group.total: the sum doesn't fit");
    refuse(fold, PARK_OVERFLOW, CHANGED, "{'person':'ann','group':'h','code':'b','amount':1}",
           "Board.on[2] (shop.v1.LineChanged): Board.total: the sum doesn't fit");
}

static void ties_go_by_bracket_fields_and_unset_sorts_before_set(void **state)
{
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'c','score':1}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'b'}");
    apply(*state, CHANGED, "{'person':'ann','group':'g','code':'a','score':1}");
    fold_expect(*state, "diary", "ann", /* ascending */
                "{'person':'ann','book':{'lines':[{'code':'b'},{'code':'a','score':1},{'code':'c','score':1}],"
                "'count':3}}");
    fold_expect(*state, "board", "ann", /* descending: turned round, ties not */
                "{'person':'ann','group_count':1,'groups':[{'group':'g','lines':[{'code':'a','score':1},"
                "{'code':'c','score':1},{'code':'b'}],'count':3,'least':1,'most':1,'first_code':'a'}],"
                "'top':{'group':'g','lines':[{'code':'a','score':1},"
                "{'code':'c','score':1},{'code':'b'}],'count':3,'least':1,'most':1,'first_code':'a'}}");
}

/* --- limits and faults ------------------------------------------------------------------------------------------- */

static void the_size_limit_is_on_the_part_of_the_event_s_stream(void **state)
{
    struct fold *fold = *state;
    apply(fold, REVISED, "{'person':'ann','title':'0123456789'}"); /* a field of 12 bytes */
    fold->limits.max_view_bytes = 12;
    apply(fold, REVISED, "{'person':'ann','title':'abcdefghij'}");
    apply(fold, RENAMED, "{'person':'ann','name':'0123456789'}"); /* another stream has a limit of its own */
    refuse(fold, PARK_TOO_LARGE, REVISED, "{'person':'ann','title':'0123456789a'}",
           "Order (shop.v1.Revised): the part of stream shop would have more than 12 bytes");
    fold->limits.max_view_bytes = 5;
    apply(fold, REVISED, "{'person':'ann','title':'abc'}"); /* it may shrink below, whatever the others hold */
}

static void nesting_that_the_view_cannot_hold_is_refused(void **state)
{
    struct fold *fold = *state;
    struct buf json = BUF_INIT;
    for (int levels = 98; levels <= 100; levels++) {
        buf_clear(&json);
        buf_add_text(&json, "{'person':'ann','deep':");
        for (int i = 0; i < levels; i++)
            buf_add_text(&json, i + 1 < levels ? "{'inner':" : "{'name':'x'");
        for (int i = 0; i < levels; i++)
            buf_add_text(&json, "}");
        buf_add_text(&json, "}");
        int rc = fold_event(fold, "ann", PLACED, buf_text(&json));
        assert_int_equal(rc, levels < 100 ? 0 : ERR_INPUT); /* the view is one level itself */
    }
    assert_int_equal(fold->reason, PARK_UNPARSEABLE);
    buf_release(&json);
}

static void an_event_of_too_many_elements_is_refused_in_time(void **state)
{
    struct fold *fold = *state;
    struct buf json = BUF_INIT;
    fold->limits.max_view_bytes = 1 << 30;
    buf_add_text(&json, "{'person':'ann','lines':[");
    for (int i = 0; i < 8500; i++)
        buf_add_format(&json, "%s{'group':'g','code':'%d','state':'PAID'}", i ? "," : "", i);
    buf_add_text(&json, "]}");
    refuse(fold, PARK_TOO_LARGE, LISTED, buf_text(&json),
           "Board.on[1] (shop.v1.Listed): the event asks for too much work: too many elements");
    buf_release(&json);
}

static void a_fault_of_the_store_is_passed_on(void **state)
{
    struct fold *fold = *state;
    fold->find_failure = ERR_BROKEN;
    assert_int_equal(fold_event(fold, "ann", REVISED, "{'person':'ann'}"), ERR_BROKEN);
    assert_string_equal(fold->err.text, "Order.on[1] (shop.v1.Revised): the store");
}

static void a_view_is_looked_up_once_for_all_handlers_of_an_event(void **state)
{
    struct fold *fold = *state;
    apply(fold, LISTED,
          "{'person':'ann','lines':[{'group':'a','code':'x','state':'OPEN'},{'group':'b','code':'x','state':'OPEN'}]}");
    assert_int_equal(fold->finds, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_fold, close_fold)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(merge_copies_fields_of_the_same_name),
        T(merge_leaves_what_an_event_with_presence_does_not_set),
        T(an_implicit_zero_sets_even_an_optional_target),
        T(an_explicit_empty_value_is_a_value),
        T(lists_and_maps_are_replaced_whole),
        T(a_map_has_one_order_and_the_last_of_equal_keys),
        T(a_message_is_replaced_whole_when_it_is_set),
        T(a_set_oneof_clears_the_other_member_and_an_empty_one_leaves_it),
        T(replace_clears_what_its_stream_owns_and_the_event_does_not_give),
        T(what_a_foreign_stream_brings_first_is_kept_unseen),
        T(a_home_event_that_copies_nothing_makes_the_view),
        T(delete_clears_the_home_part_and_leaves_the_others_unseen),
        T(a_view_with_nothing_left_is_gone),
        T(an_unseen_view_goes_when_a_foreign_stream_leaves_nothing),
        T(a_view_that_holds_nothing_new_does_not_change),
        T(a_null_value_deletes_where_the_handler_says_tombstone),
        T(a_null_value_erases_where_the_handler_says_tombstone),
        T(an_erased_view_never_comes_back),
        T(an_event_skips_erased_views_and_feeds_the_others),
        T(erasing_by_leading_fields_takes_all_views_below),
        T(erasures_alone_and_all_but_erasures_make_up_the_whole),
        T(a_bad_event_for_an_erased_view_is_dropped),
        T(the_record_key_must_equal_the_owner),
        T(an_empty_text_is_no_key),
        T(a_key_that_is_too_long_is_refused),
        T(each_may_supply_later_key_fields),
        T(one_bad_element_refuses_the_whole_event),
        T(elements_of_other_owners_are_foreign),
        T(hundreds_of_views_of_one_event_are_told_apart),
        T(owners_that_are_integers_are_canonical_decimals),
        T(upsert_finds_or_adds_elements_at_every_level),
        T(a_bracket_field_without_a_value_is_refused),
        T(an_empty_text_in_brackets_is_a_value),
        T(remove_takes_all_that_match_and_makes_nothing),
        T(several_handlers_of_an_event_run_in_the_order_written),
        T(when_is_asked_for_each_element),
        T(each_without_elements_asks_for_no_key),
        T(a_failing_when_asks_for_no_key),
        T(append_adds_and_keep_forgets),
        T(what_keep_cut_is_made_anew),
        T(add_grows_and_shrinks),
        T(a_sum_that_overflows_is_refused),
        T(a_path_may_end_in_a_message_inside_an_element),
        T(replace_of_a_message_clears_the_rest_of_it),
        T(every_kind_of_source_gives_its_value),
        T(a_path_through_an_unset_message_gives_no_value),
        T(a_value_that_does_not_fit_is_refused),
        T(enums_go_by_name_then_by_number),
        T(an_enum_becomes_its_name_or_else_its_number),
        T(a_closed_enum_takes_no_number_without_a_name),
        T(a_message_of_another_type_goes_by_name_and_its_rules_hold),
        T(upsert_takes_the_first_match_and_remove_takes_all),
        T(derived_fields_follow_their_list),
        T(of_an_empty_list_count_and_sum_are_zero_and_the_rest_is_cleared),
        T(a_derived_sum_that_overflows_is_refused),
        T(ties_go_by_bracket_fields_and_unset_sorts_before_set),
        T(the_size_limit_is_on_the_part_of_the_event_s_stream),
        T(nesting_that_the_view_cannot_hold_is_refused),
        T(an_event_of_too_many_elements_is_refused_in_time),
        T(a_fault_of_the_store_is_passed_on),
        T(a_view_is_looked_up_once_for_all_handlers_of_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
