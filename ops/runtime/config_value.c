/* Parsing is strict: what is left over behind a number, an unknown unit or a value out of range is refused with what was
 * expected, because a setting that is half understood is worse than none. Texts are copied, so that a settings struct
 * has one owner whatever its values came from. */
#include "ops/runtime/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "schema/base/mem.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", (int64_t)1 << 10},
    {"MiB", (int64_t)1 << 20},
    {"GiB", (int64_t)1 << 30},
    {"TiB", (int64_t)1 << 40},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
};

/* A bare number is seconds: what most people mean, and what the documents say of every flag in SECONDS. */
static const struct unit time_units[] = {
    {"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

static int parse_with_unit(const char *text, const struct unit *units, size_t count, const char *expected,
                           int64_t *ret_number, struct err *err);
static int check_range(const struct config_option *option, int64_t number, struct err *err);
static int set_choice(const struct config_option *option, const char *text, const char **choice, struct err *err);
static void add_item(struct config_list *list, const char *text, size_t len);
static int add_list(struct config_list *list, const char *text, struct err *err);

int config_parse_bytes(const char *text, int64_t *ret_bytes, struct err *err)
{
    return parse_with_unit(text, byte_units, ARRAY_COUNT(byte_units), "a size such as 512, 64KiB, 256MiB or 4GiB",
                           ret_bytes, err);
}

int config_parse_time_ms(const char *text, int64_t *ret_ms, struct err *err)
{
    return parse_with_unit(text, time_units, ARRAY_COUNT(time_units),
                           "a time such as 250ms, 5s, 10m, 2h or 7d (a bare number is seconds)", ret_ms, err);
}

int config_parse_integer(const char *text, int64_t *ret_number, struct err *err)
{
    const char *digits = *text == '-' ? text + 1 : text;
    char *end;

    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*digits) || *end != '\0' || errno != 0)
        return err_set(err, ERR_INPUT, "expected a whole number");
    *ret_number = number;
    return 0;
}

int config_parse_flag(const char *text, bool *ret_flag, struct err *err)
{
    static const struct {
        const char *text;
        bool flag;
    } words[] = {{"true", true},   {"yes", true}, {"on", true},   {"1", true},
                 {"false", false}, {"no", false}, {"off", false}, {"0", false}};

    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcasecmp(text, words[i].text) == 0) {
            *ret_flag = words[i].flag;
            return 0;
        }
    }
    return err_set(err, ERR_INPUT, "expected true or false");
}

int config_value_set(const struct config_option *option, const char *text, void *settings, struct err *err)
{
    void *at = (char *)settings + option->offset;
    int64_t number = 0;
    bool flag = false;
    int rc = 0;

    switch (option->kind) {
    case CONFIG_TEXT:
        free(*(char **)at);
        *(char **)at = mem_text(text);
        break;
    case CONFIG_CHOICE:
        rc = set_choice(option, text, at, err);
        break;
    case CONFIG_LIST:
        rc = add_list(at, text, err);
        break;
    case CONFIG_PAIRS:
        if (strchr(text, '=') == NULL || *text == '=')
            rc = err_set(err, ERR_INPUT, "expected NAME=VALUE");
        else
            add_item(at, text, strlen(text));
        break;
    case CONFIG_FLAG:
        rc = config_parse_flag(text, &flag, err);
        if (rc == 0)
            *(bool *)at = flag;
        break;
    case CONFIG_INTEGER:
        rc = config_parse_integer(text, &number, err);
        break;
    case CONFIG_BYTES:
        rc = config_parse_bytes(text, &number, err);
        break;
    case CONFIG_TIME_MS:
        rc = config_parse_time_ms(text, &number, err);
        break;
    }
    if (rc == 0 && (option->kind == CONFIG_INTEGER || option->kind == CONFIG_BYTES || option->kind == CONFIG_TIME_MS)) {
        rc = check_range(option, number, err);
        if (rc == 0)
            *(int64_t *)at = number;
    }
    if (rc < 0 && !option->is_secret)
        return err_prefix(err, "\"%s\"", text);
    return rc;
}

void config_value_clear(const struct config_option *option, void *settings)
{
    void *at = (char *)settings + option->offset;
    struct config_list *list = at;

    switch (option->kind) {
    case CONFIG_TEXT:
        free(*(char **)at);
        *(char **)at = NULL;
        break;
    case CONFIG_CHOICE:
        *(const char **)at = NULL;
        break;
    case CONFIG_LIST:
    case CONFIG_PAIRS:
        for (size_t i = 0; i < list->count; i++)
            free(list->items[i]);
        free(list->items);
        *list = (struct config_list){NULL, 0};
        break;
    case CONFIG_FLAG:
        *(bool *)at = false;
        break;
    case CONFIG_INTEGER:
    case CONFIG_BYTES:
    case CONFIG_TIME_MS:
        *(int64_t *)at = 0;
        break;
    }
}

const char *config_format_number(enum config_kind kind, int64_t number, char *text, size_t size)
{
    const struct unit *units = kind == CONFIG_BYTES ? byte_units : time_units;
    size_t count = kind == CONFIG_BYTES ? 6 : kind == CONFIG_TIME_MS ? ARRAY_COUNT(time_units) : 0;
    const struct unit *best = NULL;

    for (size_t i = 1; i < count; i++)
        if (number != 0 && number % units[i].factor == 0 && (best == NULL || units[i].factor > best->factor))
            best = &units[i];
    if (best != NULL && best->factor == 1 && kind == CONFIG_BYTES)
        best = NULL;
    snprintf(text, size, "%" PRId64 "%s", best != NULL ? number / best->factor : number,
             best != NULL ? best->name : "");
    return text;
}

static int parse_with_unit(const char *text, const struct unit *units, size_t count, const char *expected,
                           int64_t *ret_number, struct err *err)
{
    char *end;
    int64_t number;

    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*text) || errno != 0)
        return err_set(err, ERR_INPUT, "expected %s", expected);
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(end, units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow((int64_t)parsed, units[i].factor, &number))
            return err_set(err, ERR_INPUT, "too large");
        *ret_number = number;
        return 0;
    }
    return err_set(err, ERR_INPUT, "expected %s", expected);
}

static int check_range(const struct config_option *option, int64_t number, struct err *err)
{
    char min[32], max[32];

    if (option->min == 0 && option->max == 0) {
        if (number < 0)
            return err_set(err, ERR_INPUT, "must not be negative");
        return 0;
    }
    if (number >= option->min && number <= option->max)
        return 0;
    return err_set(err, ERR_INPUT, "must be %s to %s",
                   config_format_number(option->kind, option->min, min, sizeof(min)),
                   config_format_number(option->kind, option->max, max, sizeof(max)));
}

static int set_choice(const struct config_option *option, const char *text, const char **choice, struct err *err)
{
    char known[256] = "";

    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *choice = option->choices[i];
            return 0;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "", option->choices[i]);
    }
    return err_set(err, ERR_INPUT, "expected one of %s", known);
}

static void add_item(struct config_list *list, const char *text, size_t len)
{
    list->items = mem_resize(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count++] = mem_text_of(span_of(text, len));
}

/* "a, b": blanks around an item don't count; an empty item is a slip of the pen. */
static int add_list(struct config_list *list, const char *text, struct err *err)
{
    for (const char *at = text;; at++) {
        at += strspn(at, " \t");
        size_t len = strcspn(at, ",");
        const char *comma = at + len;
        while (len > 0 && (at[len - 1] == ' ' || at[len - 1] == '\t'))
            len--;
        if (len == 0)
            return err_set(err, ERR_INPUT, "an empty item in the list");
        add_item(list, at, len);
        if (*comma == '\0')
            return 0;
        at = comma;
    }
}
