/* The digests are the lines of `digest`, so that they can be compared with those of any other store. */
#include "projector/transfer_report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* {"view": "5 0123.."} of "view  5  0123.." lines. */
static json_t *digests_json(const struct store_transferred *transferred)
{
    const char *text = transferred->digests.len > 0 ? (const char *)transferred->digests.at : "";
    const char *end = text + transferred->digests.len;
    json_t *list = json_array();

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t length = newline != NULL ? (size_t)(newline - text) : (size_t)(end - text);
        char line[400], *rest = NULL;
        snprintf(line, sizeof(line), "%.*s", (int)length, text);
        const char *view = strtok_r(line, " ", &rest);
        const char *keys = strtok_r(NULL, " ", &rest);
        const char *digest = strtok_r(NULL, " ", &rest);
        if (digest != NULL)
            json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "view", view, "keys",
                                                  (json_int_t)strtoull(keys, NULL, 10), "digest", digest));
        text += length + 1;
    }
    return list;
}

void transfer_report_print(const char *directory, const struct store_transferred *transferred, bool is_json)
{
    struct span positions = buf_span(&transferred->positions), digests = buf_span(&transferred->digests);

    if (is_json) {
        json_t *answer = json_pack("{s:s, s:s, s:s%, s:I, s:o}", "directory", directory, "generation",
                                   transferred->name, "positions", positions.len ? positions.at : "", positions.len,
                                   "file_bytes", (json_int_t)transferred->file_bytes, "digests",
                                   digests_json(transferred));
        char *text = json_dumps(answer, JSON_COMPACT);
        puts(text != NULL ? text : "{}");
        free(text);
        json_decref(answer);
        return;
    }
    printf("%s holds generation %s, %.1f MiB, as of %.*s\n%.*s", directory, transferred->name,
           (double)transferred->file_bytes / (1 << 20), SPAN_ARGS(positions), SPAN_ARGS(digests));
}
