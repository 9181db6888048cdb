/* Told from the outcome and not from `serving`: by now somebody else may have changed that again. */
#include "projector/shares_report.h"

#include <stdio.h>
#include <stdlib.h>

void shares_text(const struct serving_shares *shares, struct buf *out)
{
    for (size_t i = 0; i < shares->count; i++)
        buf_add_format(out, "%s%s %u%%", i > 0 ? ", " : "", shares->shares[i].name, shares->shares[i].percent);
}

static void print_shares(const char *word, const json_t *shares)
{
    size_t index;
    json_t *share;

    printf("%s", word);
    json_array_foreach(shares, index, share) {
        const char *name = json_string_value(json_array_get(share, 0));
        printf("%s %s %d%%", index > 0 ? "," : "", name != NULL ? name : "?",
               (int)json_integer_value(json_array_get(share, 1)));
    }
    printf("\n");
}

void shares_report_print(const json_t *outcome, bool is_json)
{
    if (is_json) {
        char *text = json_dumps(outcome, JSON_COMPACT | JSON_SORT_KEYS);
        puts(text != NULL ? text : "{}");
        free(text);
        return;
    }
    print_shares("served:", json_object_get(outcome, "shares"));
    print_shares("before:", json_object_get(outcome, "was"));
}
