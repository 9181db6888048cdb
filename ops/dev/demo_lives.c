/* A scene is something that happens to a person: a function that publishes what it takes, and a weight. */
#include "ops/dev/demo_lives.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "schema/base/compiler.h"

static void publish(struct demo_lives *lives, const char *key, const char *type, json_t *event)
{
    lives->publish(lives->self, key, type, event);
}

/* --- chance ------------------------------------------------------------------------------------------------------- */

static unsigned roll(struct demo_lives *lives, unsigned sides)
{
    lives->random ^= lives->random << 13; /* xorshift64: the same life in every run */
    lives->random ^= lives->random >> 7;
    lives->random ^= lives->random << 17;
    return (unsigned)(lives->random >> 33) % sides;
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

typedef void scene_fn(struct demo_lives *lives, const char *user);

static void rename_user(struct demo_lives *lives, const char *user)
{
    char name[64];
    snprintf(name, sizeof(name), "%s %s", family_names[roll(lives, ARRAY_COUNT(family_names))],
             given_names[roll(lives, ARRAY_COUNT(given_names))]);
    publish(lives, user, "identity.v1.UserRenamed", json_pack("{s:s, s:s}", "user_id", user, "name", name));
}

static json_t *make_marker(struct demo_lives *lives, size_t i)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:{s:s, s:s}}", "category", markers[i].category, "code",
                     markers[i].code, "trait", markers[i].trait, "risk", risks[roll(lives, 4)], "score",
                     roll(lives, 1000) / 10.0, "advice", "상담사와 이야기해 보세요", "gene", "symbol", markers[i].gene,
                     "chromosome", markers[i].chromosome);
}

static void analyse(struct demo_lives *lives, const char *user)
{
    char report[32];
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_COUNT(markers); i++)
        json_array_append_new(list, make_marker(lives, i));
    snprintf(report, sizeof(report), "report-%u", ++lives->serial);
    publish(lives, user, "genetics.v1.AnalysisCompleted",
            json_pack("{s:s, s:s, s:I, s:{s:s, s:s, s:s}, s:o, s:{s:s, s:s}}", "user_id", user, "report_id", report,
                      "completed_at", (json_int_t)now_s(), "laboratory", "id", "lab-7", "name", "Seoul Genome",
                      "licence", "L-99", "markers", list, "notices", "ko", "의료 진단이 아닙니다", "en",
                      "Not a diagnosis"));
}

static void reinterpret(struct demo_lives *lives, const char *user)
{
    size_t i = roll(lives, ARRAY_COUNT(markers));
    publish(lives, user, "genetics.v1.MarkerReinterpreted",
            json_pack("{s:s, s:s, s:s, s:s}", "user_id", user, "category", markers[i].category, "code", markers[i].code,
                      "risk", risks[roll(lives, 4)]));
}

static void compare_loans(struct demo_lives *lives, const char *user)
{
    char application[32];
    int first = (int)roll(lives, 3);
    snprintf(application, sizeof(application), "app-%s", user);
    publish(lives, user, "loan.v1.ComparisonRequested",
            json_pack("{s:s, s:s, s:I, s:s, s:I}", "user_id", user, "application_id", application, "amount_krw",
                      (json_int_t)(1 + roll(lives, 9)) * 10000000, "purpose", "HOUSING", "requested_at",
                      (json_int_t)now_s()));
    for (size_t i = (size_t)first; i < ARRAY_COUNT(lenders); i++) {
        publish(lives, user, "loan.v1.OfferReceived",
                json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I}", "user_id", user, "application_id", application,
                          "lender_id", lenders[i].id, "lender_name", lenders[i].name, "rate_bp",
                          (int)(350 + roll(lives, 400)), "limit_krw", (json_int_t)(1 + roll(lives, 90)) * 1000000,
                          "valid_until", (json_int_t)now_s() + 7 * 86400));
    }
}

static void offer(struct demo_lives *lives, const char *user)
{
    char application[32];
    size_t i = roll(lives, ARRAY_COUNT(lenders));
    snprintf(application, sizeof(application), "app-%s", user);
    publish(lives, user, "loan.v1.OfferReceived",
            json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I}", "user_id", user, "application_id", application,
                      "lender_id", lenders[i].id, "lender_name", lenders[i].name, "rate_bp",
                      (int)(300 + roll(lives, 400)), "limit_krw", (json_int_t)(1 + roll(lives, 90)) * 1000000,
                      "valid_until", (json_int_t)now_s() + 7 * 86400));
}

static void take_loan(struct demo_lives *lives, const char *user)
{
    publish(lives, user, "loan.v1.LoanTaken",
            json_pack("{s:{s:s, s:b}, s:s, s:s, s:i, s:I}", "borrower", "user_id", user, "is_primary", 1, "loan_id",
                      "loan-1", "lender_name", lenders[roll(lives, 5)].name, "rate_bp", (int)(400 + roll(lives, 300)),
                      "balance_krw", (json_int_t)(1 + roll(lives, 50)) * 1000000));
}

static void watch_rates(struct demo_lives *lives, const char *user)
{
    publish(lives, user, "rate.v1.WatchStarted",
            json_pack("{s:s, s:i, s:I}", "user_id", user, "below_bp", 450, "started_at", (json_int_t)now_s()));
}

static void pay(struct demo_lives *lives, const char *user)
{
    char payment[32];
    size_t i = roll(lives, ARRAY_COUNT(shops));
    snprintf(payment, sizeof(payment), "pay-%u", ++lives->serial);
    int64_t amount = 1000 + 100 * (int64_t)roll(lives, 2000);
    int64_t at = now_s() - roll(lives, 60 * 86400);
    publish(lives, user, "card.v1.PaymentApproved",
            json_pack("{s:s, s:s, s:I, s:s, s:I, s:{s:s, s:s}}", "user_id", user, "payment_id", payment, "amount_krw",
                      (json_int_t)amount, "category", categories[i], "approved_at", (json_int_t)at, "merchant", "id",
                      "m-1", "name", shops[i].merchant));
    if (roll(lives, 20) == 0)
        publish(lives, user, "card.v1.PaymentCancelled",
                json_pack("{s:s, s:s, s:I, s:s, s:I}", "user_id", user, "payment_id", payment, "amount_krw",
                          (json_int_t)amount, "category", categories[i], "approved_at", (json_int_t)at));
}

static void recommend_cards(struct demo_lives *lives, const char *user)
{
    publish(lives, user, "scoring.v1.CardsRecommended",
            json_pack("{s:s, s:[{s:s, s:i, s:s}, {s:s, s:i, s:s}], s:I}", "customer_id", user, "picks", "card_id",
                      "travel-plus", "benefit_krw", (int)roll(lives, 500000), "reason", "여행 지출이 많아요", "card_id",
                      "everyday", "benefit_krw", (int)roll(lives, 200000), "reason", "Groceries every week",
                      "scored_at", (json_int_t)now_s()));
}

static void add_policy(struct demo_lives *lives, const char *user)
{
    char id[17];
    char number[32];
    unsigned serial = ++lives->serial;
    snprintf(id, sizeof(id), "policy-%09u", serial);
    snprintf(number, sizeof(number), "P-%u", serial);
    publish(lives, user, "coverage.v1.PolicyAdded",
            json_pack("{s:s, s:{s:s, s:i, s:s, s:s, s:s, s:i, s:{s:s, s:i}, s:I}}", "user_id", user, "policy",
                      "policy_id", id, "insurer_code", (int)(1 + roll(lives, 3)), "policy_no", number, "name",
                      "암보험 (cancer cover)", "kind", "CANCER", "premium_krw", (int)(20000 + roll(lives, 80000)),
                      "benefit", "name", "진단비", "amount_krw", 30000000, "starts_at", (json_int_t)now_s()));
}

static void report_balance(struct demo_lives *lives, const char *user)
{
    size_t i = roll(lives, ARRAY_COUNT(institutions));
    publish(lives, user, "balance.v1.BalanceReported",
            json_pack("{s:s, s:i, s:s, s:f, s:I}", "user_id", user, "institution_code", institutions[i].code,
                      "account_no", "110-1", "amount", (double)roll(lives, 50000000), "as_of", (json_int_t)now_s()));
}

static void link_accounts(struct demo_lives *lives, const char *user)
{
    for (size_t i = 0; i < ARRAY_COUNT(institutions); i++) {
        publish(lives, user, "balance.v1.ConsentGiven",
                json_pack("{s:s, s:i, s:s, s:I}", "user_id", user, "institution_code", institutions[i].code,
                          "institution_name", institutions[i].name, "until", (json_int_t)now_s() + 365 * 86400));
        publish(lives, user, "balance.v1.AccountLinked",
                json_pack("{s:s, s:i, s:s, s:s, s:s}", "user_id", user, "institution_code", institutions[i].code,
                          "account_no", "110-1", "name", "급여통장 (salary)", "kind", "DEPOSIT"));
    }
    report_balance(lives, user);
}

static void report_score(struct demo_lives *lives, const char *user)
{
    char report[32];
    snprintf(report, sizeof(report), "score-%u", ++lives->serial);
    publish(lives, user, "credit.v1.ScoreReported",
            json_pack("{s:s, s:s, s:i, s:i, s:I, s:{s:i, s:i}, s:[s], s:s, s:s}", "user_id", user, "bureau",
                      roll(lives, 2) ? "NICE" : "KCB", "score", (int)(600 + roll(lives, 400)), "change",
                      (int)roll(lives, 41) - 20, "at", (json_int_t)now_s(), "factors", "history", 12, "inquiries", -3,
                      "reasons", "꾸준한 상환", "trend", "UP", "report_id", report));
}

static void ask_file(struct demo_lives *lives, const char *user)
{
    char inquiry[32];
    snprintf(inquiry, sizeof(inquiry), "inquiry-%u", ++lives->serial);
    publish(lives, user, "credit.v1.InquiryMade",
            json_pack("{s:s, s:s, s:s, s:s, s:I}", "user_id", user, "bureau", "NICE", "inquiry_id", inquiry, "by",
                      lenders[roll(lives, 5)].name, "at", (json_int_t)now_s()));
}

static void book_consultation(struct demo_lives *lives, const char *user)
{
    publish(lives, user, "consultation.v1.ConsultationBooked",
            json_pack("{s:s, s:s, s:I, s:s}", "user_id", user, "counsellor", "박 선생님", "starts_at",
                      (json_int_t)now_s() + 3 * 86400, "video_url", "https://talk.example/1"));
}

/* Forgotten for good: their place is taken by a new person. Half of them by a null value, as compacted topics do. */
static void erase(struct demo_lives *lives, const char *user)
{
    int index = atoi(user + 1) - DEMO_FIRST_PERSON;
    if (index < DEMO_PEOPLE / 2)
        return; /* the first ones stay: their addresses were printed */
    if (roll(lives, 2))
        publish(lives, user, "identity.v1.UserErased",
                json_pack("{s:s, s:I}", "user_id", user, "requested_at", (json_int_t)now_s()));
    else
        publish(lives, user, "identity", NULL);
    for (int i = 0; i < DEMO_PEOPLE; i++) {
        if (lives->people[i] == atoi(user + 1))
            lives->people[i] = lives->next_person++;
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

static void begin_life(struct demo_lives *lives, int person)
{
    char user[16];
    snprintf(user, sizeof(user), "u%d", person);
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++) {
        if (scenes[i].at_beginning)
            scenes[i].scene(lives, user);
    }
}

static void publish_catalogues(struct demo_lives *lives)
{
    char key[16];
    for (size_t i = 0; i < ARRAY_COUNT(lenders); i++) {
        publish(lives, lenders[i].id, "lender.v1.LenderChanged",
                json_pack("{s:s, s:s, s:b}", "lender_id", lenders[i].id, "name", lenders[i].name, "is_open", 1));
    }
    for (size_t i = 0; i < ARRAY_COUNT(institutions); i++) {
        snprintf(key, sizeof(key), "%d", institutions[i].code);
        publish(lives, key, "institution.v1.InstitutionChanged",
                json_pack("{s:i, s:s, s:s}", "code", institutions[i].code, "name", institutions[i].name, "logo_url",
                          "https://img.example/logo.png"));
    }
}

void demo_lives_begin(struct demo_lives *lives, demo_publish_fn *publish_event, void *self)
{
    *lives = (struct demo_lives){
        .publish = publish_event,
        .self = self,
        .random = 88172645463325252u,
        .next_person = DEMO_FIRST_PERSON,
    };
    publish_catalogues(lives);
    for (int i = 0; i < DEMO_PEOPLE; i++) {
        lives->people[i] = lives->next_person++;
        begin_life(lives, lives->people[i]);
    }
}

void demo_lives_go_on(struct demo_lives *lives)
{
    char user[16];
    unsigned total = 0;
    for (size_t i = 0; i < ARRAY_COUNT(scenes); i++)
        total += scenes[i].weight;
    unsigned choice = roll(lives, total);
    size_t scene = 0;
    while (choice >= scenes[scene].weight)
        choice -= scenes[scene++].weight;

    int place = (int)roll(lives, DEMO_PEOPLE);
    int before = lives->people[place];
    snprintf(user, sizeof(user), "u%d", before);
    scenes[scene].scene(lives, user);
    if (lives->people[place] != before)
        begin_life(lives, lives->people[place]);
}
