/* Small and strict: a line that isn't understood might be the one that counts. The file is read word by word, and a line
 * of each kind has one parser and one writer beside it. */
#include "schema/store/serving.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/span.h"
#include "schema/store/durable.h"
#include "schema/store/generation.h"

#define SERVING_HEAD "tarn-serving 2\n"

enum { SERVING_BYTES_MAX = 64 * 1024 };

static int parse(const char *directory, char *text, struct serving *ret_serving, struct err *err);
static void write_shares(const struct serving_shares *shares, const char *separator, struct buf *text);

int serving_read(const char *directory, struct serving *ret_serving, struct err *err)
{
    struct buf text = BUF_INIT;

    int rc = store_directory_check(directory, err);
    if (rc == 0)
        rc = durable_read(directory, "serving", SERVING_BYTES_MAX, &text, err);
    if (rc == 0) {
        buf_text(&text);
        rc = parse(directory, (char *)text.at, ret_serving, err);
    }
    buf_release(&text);
    return rc;
}

int serving_write(const char *directory, const struct serving *serving, struct err *err)
{
    struct buf text = BUF_INIT;

    buf_add_format(&text, SERVING_HEAD "since %" PRId64 "\n", serving->now.since_ms);
    write_shares(&serving->now, "\n", &text);
    for (size_t i = 0; i < serving->past_count; i++) {
        buf_add_format(&text, "%s %" PRId64 " ", serving->past[i].is_undone ? "undone" : "was",
                       serving->past[i].served.since_ms);
        write_shares(&serving->past[i].served, " ", &text);
        text.at[text.len - 1] = '\n';
    }
    for (size_t i = 0; i < serving->retained_count; i++)
        buf_add_format(&text, "retain %" PRId64 " %s\n", serving->retained[i].until_ms, serving->retained[i].name);
    int rc = durable_write(directory, "serving", buf_span(&text), err);
    buf_release(&text);
    return rc;
}

unsigned serving_percent(const struct serving *serving, const char *name)
{
    for (size_t i = 0; i < serving->now.count; i++)
        if (strcmp(serving->now.shares[i].name, name) == 0)
            return serving->now.shares[i].percent;
    return 0;
}

const struct serving_retained *serving_find_retained(const struct serving *serving, const char *name)
{
    for (size_t i = 0; i < serving->retained_count; i++)
        if (strcmp(serving->retained[i].name, name) == 0)
            return &serving->retained[i];
    return NULL;
}

/* The high bits: the low ones choose the owner's range, and a share should cut across ranges. */
size_t serving_side(const struct serving_shares *shares, uint64_t owner_hash)
{
    uint64_t hundredth = ((owner_hash >> 32) * 100) >> 32;

    return shares->count > 1 && hundredth < shares->shares[1].percent ? 1 : 0;
}

/* --- changes --- */

static void name_it(char *ret_name, const char *name)
{
    size_t length = strnlen(name, GENERATION_NAME_MAX - 1);
    memcpy(ret_name, name, length);
    ret_name[length] = '\0';
}

static void stop_retaining(struct serving *serving, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < serving->retained_count; i++)
        if (strcmp(serving->retained[i].name, name) != 0)
            serving->retained[kept++] = serving->retained[i];
    serving->retained_count = kept;
}

/* Full: the oldest entry goes; what it named is fed until somebody drops it all the same. */
static void retain(struct serving *serving, const char *name, int64_t until_ms)
{
    stop_retaining(serving, name);
    if (serving->retained_count == SERVING_RETAINED_MAX)
        memmove(serving->retained, serving->retained + 1, --serving->retained_count * sizeof(serving->retained[0]));
    struct serving_retained *added = &serving->retained[serving->retained_count++];
    name_it(added->name, name);
    added->until_ms = until_ms;
}

static void push_past(struct serving *serving, const struct serving_shares *served, bool is_undone)
{
    size_t kept = serving->past_count < SERVING_PAST_MAX ? serving->past_count : SERVING_PAST_MAX - 1;
    memmove(serving->past + 1, serving->past, kept * sizeof(serving->past[0]));
    serving->past[0] = (struct serving_past){*served, is_undone};
    serving->past_count = kept + 1;
}

static void change(struct serving *serving, const struct serving_shares *to, bool is_undone, int64_t retain_until_ms)
{
    struct serving_shares from = serving->now;

    push_past(serving, &from, is_undone);
    serving->now = *to;
    for (size_t i = 0; i < from.count; i++)
        if (serving_percent(serving, from.shares[i].name) == 0)
            retain(serving, from.shares[i].name, retain_until_ms);
    for (size_t i = 0; i < to->count; i++)
        stop_retaining(serving, to->shares[i].name);
}

void serving_start(struct serving *serving, const char *name, int64_t now_ms)
{
    *serving = (struct serving){.now = {.since_ms = now_ms, .count = 1}};
    name_it(serving->now.shares[0].name, name);
    serving->now.shares[0].percent = 100;
}

/* Those that the last change left behind, and that nobody has dropped since. */
static void retain_former(struct serving *serving, int64_t until_ms)
{
    for (size_t i = 0; serving->past_count > 0 && i < serving->past[0].served.count; i++)
        for (size_t j = 0; j < serving->retained_count; j++)
            if (strcmp(serving->retained[j].name, serving->past[0].served.shares[i].name) == 0)
                serving->retained[j].until_ms = until_ms;
}

int serving_promote(struct serving *serving, const char *name, unsigned percent, int64_t now_ms,
                    int64_t retain_until_ms, struct err *err)
{
    struct serving_shares to = {.since_ms = now_ms, .count = 1};
    bool is_incumbent = strcmp(name, serving_incumbent(serving)) == 0;

    if (percent > 100)
        return err_set(err, ERR_INPUT, "a share of %u%%: from 0 to 100", percent);
    if (is_incumbent && percent < 100)
        return err_set(err, ERR_INPUT, "%s is the generation that has what the others leave: promote the other one",
                       name);
    if (percent > 0 && percent < 100 && serving->now.count > 1 && strcmp(name, serving->now.shares[1].name) != 0)
        return err_set(err, ERR_INPUT,
                       "%s already has a share of %u%% beside %s: a third has to wait; promote it to 100, or take its "
                       "share back with --traffic 0",
                       serving->now.shares[1].name, serving->now.shares[1].percent, serving_incumbent(serving));
    if (serving_percent(serving, name) == percent) {
        if (retain_until_ms != 0)
            retain_former(serving, retain_until_ms);
        return 0;
    }

    to.shares[0] = serving->now.shares[0];
    to.shares[0].percent = 100 - percent;
    if (percent == 100)
        name_it(to.shares[0].name, name);
    if (percent == 100 || percent == 0)
        to.shares[0].percent = 100;
    else {
        name_it(to.shares[1].name, name);
        to.shares[1].percent = percent;
        to.count = 2;
    }
    change(serving, &to, percent == 0, retain_until_ms); /* a share that is given back was taken back */
    return 0;
}

/* Not another state than that of now: the same, or a share that the newest generation had on its way to it. */
static bool is_on_the_way(const struct serving_shares *past, const struct serving_shares *now)
{
    bool is_same = past->count == now->count;

    for (size_t i = 0; is_same && i < now->count; i++)
        is_same =
            strcmp(past->shares[i].name, now->shares[i].name) == 0 && past->shares[i].percent == now->shares[i].percent;
    return is_same || (past->count > 1 && strcmp(past->shares[1].name, now->shares[now->count - 1].name) == 0);
}

int serving_roll_back(struct serving *serving, int64_t now_ms, struct err *err)
{
    for (size_t i = 0; i < serving->past_count; i++) {
        struct serving_past *past = &serving->past[i];
        if (past->is_undone)
            continue;
        struct serving_shares to = past->served;
        if (is_on_the_way(&to, &serving->now)) {
            past->is_undone = true;
            continue;
        }
        memmove(past, past + 1, (serving->past_count - i - 1) * sizeof(*past));
        serving->past_count--;
        to.since_ms = now_ms;
        change(serving, &to, true, 0);
        return 0;
    }
    return err_set(err, ERR_ABSENT, "nothing was served before %s: there is no way back", serving_incumbent(serving));
}

static bool names(const struct serving_shares *shares, const char *name)
{
    for (size_t i = 0; i < shares->count; i++)
        if (strcmp(shares->shares[i].name, name) == 0)
            return true;
    return false;
}

int serving_forget(struct serving *serving, const char *name, struct err *err)
{
    size_t kept = 0;

    if (names(&serving->now, name))
        return err_set(err, ERR_INPUT, "%s is served: promote another one first", name);
    stop_retaining(serving, name);
    for (size_t i = 0; i < serving->past_count; i++)
        if (!names(&serving->past[i].served, name))
            serving->past[kept++] = serving->past[i];
    serving->past_count = kept;
    return 0;
}

/* --- the file --- */

static void write_shares(const struct serving_shares *shares, const char *separator, struct buf *text)
{
    for (size_t i = 0; i < shares->count; i++)
        buf_add_format(text, "%s %u%s", shares->shares[i].name, shares->shares[i].percent, separator);
}

/* The next word of a line, NULL at its end; the line is cut up. Exactly one blank stands between two words. */
static char *next_word(char **line)
{
    char *word = *line;

    if (word == NULL)
        return NULL;
    char *blank = strchr(word, ' ');
    if (blank != NULL)
        *blank = '\0';
    *line = blank != NULL ? blank + 1 : NULL;
    return word;
}

static bool parse_number(const char *word, int64_t max, int64_t *ret_number)
{
    size_t length = word != NULL ? strlen(word) : 0;

    if (length == 0 || length > 18 || strspn(word, "0123456789") != length || (length > 1 && word[0] == '0'))
        return false;
    *ret_number = strtoll(word, NULL, 10);
    return *ret_number <= max;
}

static bool parse_name(const char *word, char *ret_name)
{
    if (word == NULL || strlen(word) >= GENERATION_NAME_MAX || !generation_is_name(word))
        return false;
    name_it(ret_name, word);
    return true;
}

static bool parse_share(char *name, char **rest, struct serving_shares *shares)
{
    int64_t percent = 0;

    if (shares->count == SERVING_SHARES_MAX || !parse_name(name, shares->shares[shares->count].name) ||
        !parse_number(next_word(rest), 100, &percent) || percent == 0)
        return false;
    shares->shares[shares->count++].percent = (unsigned)percent;
    return true;
}

static bool is_whole(const struct serving_shares *shares)
{
    unsigned sum = 0;
    for (size_t i = 0; i < shares->count; i++)
        sum += shares->shares[i].percent;
    return sum == 100 && !(shares->count == 2 && strcmp(shares->shares[0].name, shares->shares[1].name) == 0);
}

static bool parse_past(char *rest, bool is_undone, struct serving *serving)
{
    struct serving_past past = {.is_undone = is_undone};

    if (serving->past_count == SERVING_PAST_MAX || !parse_number(next_word(&rest), INT64_MAX, &past.served.since_ms))
        return false;
    while (rest != NULL) {
        char *name = next_word(&rest);
        if (!parse_share(name, &rest, &past.served))
            return false;
    }
    serving->past[serving->past_count++] = past;
    return is_whole(&past.served);
}

static bool parse_retained(char *rest, struct serving *serving)
{
    struct serving_retained *retained = &serving->retained[serving->retained_count];

    if (serving->retained_count == SERVING_RETAINED_MAX ||
        !parse_number(next_word(&rest), INT64_MAX, &retained->until_ms) ||
        !parse_name(next_word(&rest), retained->name) || rest != NULL)
        return false;
    serving->retained_count++;
    return true;
}

static bool parse_line(char *line, struct serving *serving)
{
    char *rest = line;
    char *first = next_word(&rest);

    if (strcmp(first, "since") == 0)
        return parse_number(next_word(&rest), INT64_MAX, &serving->now.since_ms) && rest == NULL;
    if (strcmp(first, "was") == 0 || strcmp(first, "undone") == 0)
        return parse_past(rest, first[0] == 'u', serving);
    if (strcmp(first, "retain") == 0)
        return parse_retained(rest, serving);
    return parse_share(first, &rest, &serving->now) && rest == NULL;
}

static int parse(const char *directory, char *text, struct serving *ret_serving, struct err *err)
{
    struct serving serving = {.now = {.since_ms = 0}};
    unsigned number = 2;

    if (strncmp(text, SERVING_HEAD, strlen(SERVING_HEAD)) != 0)
        return err_set(err, ERR_INPUT, "%s/serving is not of a version that this program knows", directory);
    for (char *line = text + strlen(SERVING_HEAD); *line != '\0'; number++) {
        char *end = strchr(line, '\n');
        if (end == NULL)
            return err_set(err, ERR_INPUT, "%s/serving:%u: the line has no end", directory, number);
        *end = '\0';
        if (!parse_line(line, &serving))
            return err_set(err, ERR_INPUT, "%s/serving:%u: this version doesn't understand the line", directory,
                           number);
        line = end + 1;
    }
    if (serving.now.count == 0)
        return ERR_ABSENT;
    if (!is_whole(&serving.now))
        return err_set(err, ERR_INPUT, "%s/serving: the shares aren't 100%% together", directory);
    *ret_serving = serving;
    return 0;
}
