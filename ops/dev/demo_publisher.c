/* Publishes the life of some hundred people, over all example domains: reports and what science makes of them later,
 * loan offers that come one by one, payments, policies, balances, scores; now and then somebody is renamed, and once
 * in a while somebody is forgotten and a new person comes.
 *
 *     demo_publisher BROKERS EXAMPLES.binpb [EVENTS_PER_SECOND]
 *
 * First every person's beginning (a line "ready" on stdout when it is all acknowledged), then about that many events a
 * second until SIGTERM or the parent's end. An event is written down as JSON and turned into a message of the example
 * schema at run time; its topic is its stream's name with ".events" behind it. */
#include <errno.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "schema/base/mem.h"
#include "schema/view/plan.h"

enum { PEOPLE = 60, FIRST_PERSON = 1001 };

struct publisher {
    rd_kafka_t *client;
    struct view_set *views;
    struct arena arena;
    struct buf value;
    uint64_t random;
    unsigned serial; /* numbers applications, reports, policies */
    int people[PEOPLE];
    int next_person;
};

/* --- JSON into messages ------------------------------------------------------------------------------------------- */

static void fill(ProtobufCMessage *message, json_t *object, struct arena *arena);

static void die(const char *what, const char *which)
{
    fprintf(stderr, "demo_publisher: %s: %s\n", what, which);
    exit(1);
}

static struct value value_of(const struct field_type *field, json_t *json, struct arena *arena)
{
    struct value value = {.kind = value_kind_of(field->kind)};
    int32_t number = 0;

    switch (value.kind) {
    case VALUE_BOOL:
        value.boolean = json_is_true(json);
        break;
    case VALUE_INT:
        value.integer = json_integer_value(json);
        break;
    case VALUE_UINT:
        value.natural = (uint64_t)json_integer_value(json);
        break;
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        value.number = json_number_value(json);
        break;
    case VALUE_ENUM:
        if (!json_is_string(json) ||
            !enum_type_number(field->enumeration, span_of_text(json_string_value(json)), &number))
            die("no such enum value", field->name);
        value.enumeration = field->enumeration;
        value.integer = number;
        break;
    case VALUE_STRING:
    case VALUE_BYTES:
        value.text =
            span_of(arena_copy(arena, json_string_value(json), json_string_length(json)), json_string_length(json));
        break;
    case VALUE_MESSAGE:
        value.message = message_new(field->message, arena);
        fill(value.message, json, arena);
        break;
    case VALUE_ABSENT:
        break;
    }
    return value;
}

static void fill_map(ProtobufCMessage *message, const struct field_type *field, json_t *object, struct arena *arena)
{
    const char *key;
    json_t *item;
    json_object_foreach(object, key, item)
    {
        ProtobufCMessage *entry = message_new(field->message, arena);
        message_set(
            entry, &field->message->fields[0],
            (struct value){.kind = VALUE_STRING, .text = span_of(arena_copy(arena, key, strlen(key)), strlen(key))});
        message_set(entry, &field->message->fields[1], value_of(&field->message->fields[1], item, arena));
        *(ProtobufCMessage **)message_list_append(message, field, arena) = entry;
    }
}

/* Timestamps and durations are written as seconds. */
static void fill(ProtobufCMessage *message, json_t *object, struct arena *arena)
{
    const struct message_type *type = message_type_of(message);
    const char *name;
    json_t *member;

    if (json_is_integer(object)) {
        message_set(message, &type->fields[0], value_of(&type->fields[0], object, arena));
        return;
    }
    json_object_foreach(object, name, member)
    {
        const struct field_type *field = message_type_field(type, span_of_text(name));
        if (!field)
            die("no such field", name);
        if (field->is_map) {
            fill_map(message, field, member, arena);
        } else if (field->presence == PRESENCE_REPEATED) {
            for (size_t i = 0; i < json_array_size(member); i++) {
                struct value value = value_of(field, json_array_get(member, i), arena);
                message_set_item(field, message_list_append(message, field, arena), value);
            }
        } else {
            message_set(message, field, value_of(field, member, arena));
        }
    }
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

static void produce(struct publisher *publisher, const char *stream, const char *key, const char *type,
                    struct span value)
{
    char topic[100];
    rd_kafka_resp_err_t code;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);

    snprintf(topic, sizeof(topic), "%s.events", stream);
    if (type)
        rd_kafka_header_add(headers, "type", -1, type, -1);
    do {
        code = rd_kafka_producev(publisher->client, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, strlen(key)),
                                 RD_KAFKA_V_VALUE((void *)(uintptr_t)value.at, value.len),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
        rd_kafka_poll(publisher->client, code ? 100 : 0);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    if (code)
        die(topic, rd_kafka_err2str(code));
}

/* Takes the event over. */
static void publish(struct publisher *publisher, const char *key, const char *type, json_t *event)
{
    const struct event_plan *plan = view_set_event(publisher->views, span_of_text(type));
    if (!plan || !event)
        die("no such event, or a malformed one", type);
    arena_reset(&publisher->arena);
    buf_clear(&publisher->value);
    ProtobufCMessage *message = message_new(plan->event, &publisher->arena);
    fill(message, event, &publisher->arena);
    message_encode(message, &publisher->value);
    produce(publisher, plan->stream->name, key, type, buf_span(&publisher->value));
    json_decref(event);
}

/* --- chance ------------------------------------------------------------------------------------------------------- */

static unsigned roll(struct publisher *publisher, unsigned sides)
{
    publisher->random ^= publisher->random << 13; /* xorshift64: the same life in every run */
    publisher->random ^= publisher->random >> 7;
    publisher->random ^= publisher->random << 17;
    return (unsigned)(publisher->random >> 33) % sides;
}

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

static const struct {
    const char *category, *code, *trait, *gene, *chromosome;
} markers[] = {
    {"nutrition", "rs762551", "카페인 대사 (caffeine)", "CYP1A2", "15"},
    {"nutrition", "rs1801133", "엽산 (folate)", "MTHFR", "1"},
    {"nutrition", "rs4988235", "유당 소화 (lactose)", "LCT", "2"},
    {"skin", "rs12913832", "색소 침착 (pigment)", "HERC2", "15"},
    {"skin", "rs1805007", "자외선 민감도 (sun)", "MC1R", "16"},
    {"sleep", "rs57875989", "아침형 인간 (chronotype)", "PER2", "2"},
};
static const char *const risks[] = {"NORMAL", "NORMAL", "CAUTION", "HIGH"};
static const char *const family_names[] = {"김", "이", "박", "최", "정", "Kim", "Lee", "Park"};
static const char *const given_names[] = {"민준", "서연", "지우", "하준", "예은", "Mina", "Jisoo", "Daniel"};
static const struct {
    const char *id, *name;
} lenders[] = {{"kb", "KB국민은행"},
               {"shinhan", "신한은행"},
               {"kakao", "카카오뱅크"},
               {"toss", "Toss Bank"},
               {"sc", "SC제일은행"}};
static const char *const categories[] = {"GROCERIES", "TRANSPORT", "DINING", "TRAVEL"};
static const struct {
    const char *category, *merchant;
} shops[] = {
    {"GROCERIES", "이마트"}, {"TRANSPORT", "서울교통공사"}, {"DINING", "스타벅스 강남"}, {"TRAVEL", "Korean Air"}};
static const struct {
    int code;
    const char *name;
} institutions[] = {{4, "KB국민은행"}, {88, "신한은행"}, {90, "카카오뱅크"}};

/* --- lives -------------------------------------------------------------------------------------------------------- */

typedef void scene_fn(struct publisher *publisher, const char *user);

static void rename_user(struct publisher *publisher, const char *user)
{
    char name[64];
    snprintf(name, sizeof(name), "%s %s", family_names[roll(publisher, ARRAY_COUNT(family_names))],
             given_names[roll(publisher, ARRAY_COUNT(given_names))]);
    publish(publisher, user, "identity.v1.UserRenamed", json_pack("{s:s, s:s}", "user_id", user, "name", name));
}

static json_t *make_marker(struct publisher *publisher, size_t i)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:{s:s, s:s}}", "category", markers[i].category, "code",
                     markers[i].code, "trait", markers[i].trait, "risk", risks[roll(publisher, 4)], "score",
                     roll(publisher, 1000) / 10.0, "advice", "상담사와 이야기해 보세요", "gene", "symbol",
                     markers[i].gene, "chromosome", markers[i].chromosome);
}

static void analyse(struct publisher *publisher, const char *user)
{
    char report[32];
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_COUNT(markers); i++)
        json_array_append_new(list, make_marker(publisher, i));
    snprintf(report, sizeof(report), "report-%u", ++publisher->serial);
    publish(publisher, user, "genetics.v1.AnalysisCompleted",
            json_pack("{s:s, s:s, s:I, s:{s:s, s:s, s:s}, s:o, s:{s:s, s:s}}", "user_id", user, "report_id", report,
                      "completed_at", (json_int_t)now_s(), "laboratory", "id", "lab-7", "name", "Seoul Genome",
                      "licence", "L-99", "markers", list, "notices", "ko", "의료 진단이 아닙니다", "en",
                      "Not a diagnosis"));
}

static void reinterpret(struct publisher *publisher, const char *user)
{
    size_t i = roll(publisher, ARRAY_COUNT(markers));
    publish(publisher, user, "genetics.v1.MarkerReinterpreted",
            json_pack("{s:s, s:s, s:s, s:s}", "user_id", user, "category", markers[i].category, "code", markers[i].code,
                      "risk", risks[roll(publisher, 4)]));
}

static void compare_loans(struct publisher *publisher, const char *user)
{
    char application[32];
    int first = (int)roll(publisher, 3);
    snprintf(application, sizeof(application), "app-%s", user);
    publish(publisher, user, "loan.v1.ComparisonRequested",
            json_pack("{s:s, s:s, s:I, s:s, s:I}", "user_id", user, "application_id", application, "amount_krw",
                      (json_int_t)(1 + roll(publisher, 9)) * 10000000, "purpose", "HOUSING", "requested_at",
                      (json_int_t)now_s()));
    for (size_t i = (size_t)first; i < ARRAY_COUNT(lenders); i++) {
        publish(publisher, user, "loan.v1.OfferReceived",
                json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I}", "user_id", user, "application_id", application,
                          "lender_id", lenders[i].id, "lender_name", lenders[i].name, "rate_bp",
                          (int)(350 + roll(publisher, 400)), "limit_krw",
                          (json_int_t)(1 + roll(publisher, 90)) * 1000000, "valid_until",
                          (json_int_t)now_s() + 7 * 86400));
    }
}

static void offer(struct publisher *publisher, const char *user)
{
    char application[32];
    size_t i = roll(publisher, ARRAY_COUNT(lenders));
    snprintf(application, sizeof(application), "app-%s", user);
    publish(publisher, user, "loan.v1.OfferReceived",
            json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I}", "user_id", user, "application_id", application,
                      "lender_id", lenders[i].id, "lender_name", lenders[i].name, "rate_bp",
                      (int)(300 + roll(publisher, 400)), "limit_krw", (json_int_t)(1 + roll(publisher, 90)) * 1000000,
                      "valid_until", (json_int_t)now_s() + 7 * 86400));
}

static void take_loan(struct publisher *publisher, const char *user)
{
    publish(publisher, user, "loan.v1.LoanTaken",
            json_pack("{s:{s:s, s:b}, s:s, s:s, s:i, s:I}", "borrower", "user_id", user, "is_primary", 1, "loan_id",
                      "loan-1", "lender_name", lenders[roll(publisher, 5)].name, "rate_bp",
                      (int)(400 + roll(publisher, 300)), "balance_krw",
                      (json_int_t)(1 + roll(publisher, 50)) * 1000000));
}

static void watch_rates(struct publisher *publisher, const char *user)
{
    publish(publisher, user, "rate.v1.WatchStarted",
            json_pack("{s:s, s:i, s:I}", "user_id", user, "below_bp", 450, "started_at", (json_int_t)now_s()));
}

static void pay(struct publisher *publisher, const char *user)
{
    char payment[32];
    size_t i = roll(publisher, ARRAY_COUNT(shops));
    snprintf(payment, sizeof(payment), "pay-%u", ++publisher->serial);
    int64_t amount = 1000 + 100 * (int64_t)roll(publisher, 2000);
    int64_t at = now_s() - roll(publisher, 60 * 86400);
    publish(publisher, user, "card.v1.PaymentApproved",
            json_pack("{s:s, s:s, s:I, s:s, s:I, s:{s:s, s:s}}", "user_id", user, "payment_id", payment, "amount_krw",
                      (json_int_t)amount, "category", categories[i], "approved_at", (json_int_t)at, "merchant", "id",
                      "m-1", "name", shops[i].merchant));
    if (roll(publisher, 20) == 0)
        publish(publisher, user, "card.v1.PaymentCancelled",
                json_pack("{s:s, s:s, s:I, s:s, s:I}", "user_id", user, "payment_id", payment, "amount_krw",
                          (json_int_t)amount, "category", categories[i], "approved_at", (json_int_t)at));
}

static void recommend_cards(struct publisher *publisher, const char *user)
{
    publish(publisher, user, "scoring.v1.CardsRecommended",
            json_pack("{s:s, s:[{s:s, s:i, s:s}, {s:s, s:i, s:s}], s:I}", "customer_id", user, "picks", "card_id",
                      "travel-plus", "benefit_krw", (int)roll(publisher, 500000), "reason", "여행 지출이 많아요",
                      "card_id", "everyday", "benefit_krw", (int)roll(publisher, 200000), "reason",
                      "Groceries every week", "scored_at", (json_int_t)now_s()));
}

static void add_policy(struct publisher *publisher, const char *user)
{
    char id[17];
    char number[32];
    unsigned serial = ++publisher->serial;
    snprintf(id, sizeof(id), "policy-%09u", serial);
    snprintf(number, sizeof(number), "P-%u", serial);
    publish(publisher, user, "coverage.v1.PolicyAdded",
            json_pack("{s:s, s:{s:s, s:i, s:s, s:s, s:s, s:i, s:{s:s, s:i}, s:I}}", "user_id", user, "policy",
                      "policy_id", id, "insurer_code", (int)(1 + roll(publisher, 3)), "policy_no", number, "name",
                      "암보험 (cancer cover)", "kind", "CANCER", "premium_krw", (int)(20000 + roll(publisher, 80000)),
                      "benefit", "name", "진단비", "amount_krw", 30000000, "starts_at", (json_int_t)now_s()));
}

static void report_balance(struct publisher *publisher, const char *user)
{
    size_t i = roll(publisher, ARRAY_COUNT(institutions));
    publish(publisher, user, "balance.v1.BalanceReported",
            json_pack("{s:s, s:i, s:s, s:f, s:I}", "user_id", user, "institution_code", institutions[i].code,
                      "account_no", "110-1", "amount", (double)roll(publisher, 50000000), "as_of",
                      (json_int_t)now_s()));
}

static void link_accounts(struct publisher *publisher, const char *user)
{
    for (size_t i = 0; i < ARRAY_COUNT(institutions); i++) {
        publish(publisher, user, "balance.v1.ConsentGiven",
                json_pack("{s:s, s:i, s:s, s:I}", "user_id", user, "institution_code", institutions[i].code,
                          "institution_name", institutions[i].name, "until", (json_int_t)now_s() + 365 * 86400));
        publish(publisher, user, "balance.v1.AccountLinked",
                json_pack("{s:s, s:i, s:s, s:s, s:s}", "user_id", user, "institution_code", institutions[i].code,
                          "account_no", "110-1", "name", "급여통장 (salary)", "kind", "DEPOSIT"));
    }
    report_balance(publisher, user);
}

static void report_score(struct publisher *publisher, const char *user)
{
    char report[32];
    snprintf(report, sizeof(report), "score-%u", ++publisher->serial);
    publish(publisher, user, "credit.v1.ScoreReported",
            json_pack("{s:s, s:s, s:i, s:i, s:I, s:{s:i, s:i}, s:[s], s:s, s:s}", "user_id", user, "bureau",
                      roll(publisher, 2) ? "NICE" : "KCB", "score", (int)(600 + roll(publisher, 400)), "change",
                      (int)roll(publisher, 41) - 20, "at", (json_int_t)now_s(), "factors", "history", 12, "inquiries",
                      -3, "reasons", "꾸준한 상환", "trend", "UP", "report_id", report));
}

static void ask_file(struct publisher *publisher, const char *user)
{
    char inquiry[32];
    snprintf(inquiry, sizeof(inquiry), "inquiry-%u", ++publisher->serial);
    publish(publisher, user, "credit.v1.InquiryMade",
            json_pack("{s:s, s:s, s:s, s:s, s:I}", "user_id", user, "bureau", "NICE", "inquiry_id", inquiry, "by",
                      lenders[roll(publisher, 5)].name, "at", (json_int_t)now_s()));
}

static void book_consultation(struct publisher *publisher, const char *user)
{
    publish(publisher, user, "consultation.v1.ConsultationBooked",
            json_pack("{s:s, s:s, s:I, s:s}", "user_id", user, "counsellor", "박 선생님", "starts_at",
                      (json_int_t)now_s() + 3 * 86400, "video_url", "https://talk.example/1"));
}

/* Forgotten for good: their place is taken by a new person. Half of them by a null value, as compacted topics do. */
static void erase(struct publisher *publisher, const char *user)
{
    int index = atoi(user + 1) - FIRST_PERSON;
    if (index < PEOPLE / 2)
        return; /* the first ones stay: their addresses were printed */
    if (roll(publisher, 2))
        publish(publisher, user, "identity.v1.UserErased",
                json_pack("{s:s, s:I}", "user_id", user, "requested_at", (json_int_t)now_s()));
    else
        produce(publisher, "identity", user, NULL, span_of(NULL, 0));
    for (int i = 0; i < PEOPLE; i++) {
        if (publisher->people[i] == atoi(user + 1))
            publisher->people[i] = publisher->next_person++;
    }
}

static const struct {
    scene_fn *scene;
    unsigned weight; /* of a later event */
    bool at_beginning;
} scenes[] = {
    {rename_user, 4, true},     {analyse, 2, true},    {reinterpret, 12, false},     {compare_loans, 3, true},
    {offer, 20, false},         {take_loan, 1, true},  {watch_rates, 1, true},       {pay, 30, true},
    {recommend_cards, 4, true}, {add_policy, 2, true}, {link_accounts, 1, true},     {report_balance, 15, false},
    {report_score, 4, true},    {ask_file, 6, true},   {book_consultation, 1, true}, {erase, 1, false},
};

static void begin_life(struct publisher *publisher, int person)
{
    char user[16];
    snprintf(user, sizeof(user), "u%d", person);
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++) {
        if (scenes[i].at_beginning)
            scenes[i].scene(publisher, user);
    }
}

static void publish_catalogues(struct publisher *publisher)
{
    char key[16];
    for (size_t i = 0; i < ARRAY_COUNT(lenders); i++) {
        publish(publisher, lenders[i].id, "lender.v1.LenderChanged",
                json_pack("{s:s, s:s, s:b}", "lender_id", lenders[i].id, "name", lenders[i].name, "is_open", 1));
    }
    for (size_t i = 0; i < ARRAY_COUNT(institutions); i++) {
        snprintf(key, sizeof(key), "%d", institutions[i].code);
        publish(publisher, key, "institution.v1.InstitutionChanged",
                json_pack("{s:i, s:s, s:s}", "code", institutions[i].code, "name", institutions[i].name, "logo_url",
                          "https://img.example/logo.png"));
    }
}

static void live_on(struct publisher *publisher)
{
    char user[16];
    unsigned total = 0;
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++)
        total += scenes[i].weight;
    unsigned choice = roll(publisher, total);
    size_t scene = 0;
    while (choice >= scenes[scene].weight)
        choice -= scenes[scene++].weight;

    int place = (int)roll(publisher, PEOPLE);
    int before = publisher->people[place];
    snprintf(user, sizeof(user), "u%d", before);
    scenes[scene].scene(publisher, user);
    if (publisher->people[place] != before)
        begin_life(publisher, publisher->people[place]);
}

/* --- the program -------------------------------------------------------------------------------------------------- */

static struct view_set *load_examples(const char *path)
{
    struct buf bytes = BUF_INIT;
    struct mistakes mistakes = {NULL, 0, 0};
    struct err err = {0};
    struct view_set *views = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        die(path, strerror(errno));
    size_t got;
    while ((got = fread(buf_reserve(&bytes, 65536), 1, 65536, file)) > 0)
        bytes.len += got;
    fclose(file);
    if (view_set_load(buf_span(&bytes), &views, &mistakes, &err) < 0)
        die(path, err.text);
    mistakes_release(&mistakes);
    buf_release(&bytes);
    return views;
}

int main(int argc, char **argv)
{
    struct publisher publisher = {.random = 88172645463325252u, .next_person = FIRST_PERSON};
    char reason[300];
    sigset_t ends;

    if (argc < 3) {
        fprintf(stderr, "usage: demo_publisher BROKERS EXAMPLES.binpb [EVENTS_PER_SECOND]\n");
        return 2;
    }
    int rate = argc > 3 ? atoi(argv[3]) : 20;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);

    publisher.views = load_examples(argv[2]);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], NULL, 0);
    rd_kafka_conf_set(conf, "linger.ms", "2", NULL, 0);
    publisher.client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (!publisher.client)
        die("librdkafka", reason);

    publish_catalogues(&publisher);
    for (int i = 0; i < PEOPLE; i++) {
        publisher.people[i] = publisher.next_person++;
        begin_life(&publisher, publisher.people[i]);
    }
    if (rd_kafka_flush(publisher.client, 30000))
        die(argv[1], "doesn't take the events");
    puts("ready");
    fflush(stdout);

    struct timespec pause = {.tv_sec = rate <= 1, .tv_nsec = rate <= 1 ? 0 : 1000000000 / rate};
    while (sigtimedwait(&ends, NULL, &pause) < 0) {
        live_on(&publisher);
        rd_kafka_poll(publisher.client, 0);
    }
    rd_kafka_flush(publisher.client, 1000);
    rd_kafka_destroy(publisher.client);
    arena_release(&publisher.arena);
    buf_release(&publisher.value);
    view_set_free(&publisher.views);
    return 0;
}
