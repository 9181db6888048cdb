/* A topic's name may hold neither '/' nor '@' nor ',', so a list is cut at those. */
#include "schema/store/generation_start.h"

#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"

static bool read_number(struct span text, int64_t max, int64_t *ret_number)
{
    const uint8_t *digits = text.at;
    int64_t number = 0;

    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        number = number * 10 + (digits[i] - '0');
    }
    *ret_number = number;
    return number <= max;
}

/* topic/partition@offset */
static bool read_offset(struct span item, struct start_offset *ret_offset)
{
    const uint8_t *bytes = item.at;
    const uint8_t *slash = memchr(bytes, '/', item.len);
    const uint8_t *at = memchr(bytes, '@', item.len);
    int64_t partition, offset;

    if (slash == NULL || at == NULL || slash == bytes || at < slash)
        return false;
    if (!read_number(span_of(slash + 1, (size_t)(at - slash - 1)), INT32_MAX, &partition) ||
        !read_number(span_of(at + 1, item.len - (size_t)(at - bytes) - 1), INT64_MAX, &offset))
        return false;
    *ret_offset = (struct start_offset){mem_text_of(span_of(bytes, (size_t)(slash - bytes))), (int32_t)partition, offset};
    return true;
}

static bool read_offsets(const char *list, struct generation_start *start)
{
    for (const char *item = list;; item++) {
        size_t length = strcspn(item, ",");
        start->offsets = mem_resize(start->offsets, start->offset_count + 1, sizeof(*start->offsets));
        if (!read_offset(span_of(item, length), &start->offsets[start->offset_count]))
            return false;
        start->offset_count++;
        item += length;
        if (*item == '\0')
            return true;
    }
}

int generation_start_read(const char *text, struct generation_start *ret_start, struct err *err)
{
    struct generation_start start = {.kind = START_BEGINNING};
    bool is_known = strcmp(text, "beginning") == 0;

    if (strncmp(text, "time ", 5) == 0) {
        start.kind = START_TIME;
        is_known = read_number(span_of_text(text + 5), INT64_MAX, &start.time_ms);
    } else if (strncmp(text, "offsets ", 8) == 0) {
        start.kind = START_OFFSETS;
        is_known = read_offsets(text + 8, &start);
    }
    if (!is_known) {
        generation_start_release(&start);
        return err_set(err, ERR_INPUT,
                       "a start is `beginning`, `time MS` or `offsets TOPIC/PARTITION@OFFSET,...`, not \"%.200s\"", text);
    }
    *ret_start = start;
    return 0;
}

void generation_start_release(struct generation_start *start)
{
    for (size_t i = 0; i < start->offset_count; i++)
        free(start->offsets[i].topic);
    free(start->offsets);
    *start = (struct generation_start){.kind = START_BEGINNING};
}

int64_t generation_start_offset(const struct generation_start *start, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < start->offset_count; i++)
        if (start->offsets[i].partition == partition && strcmp(start->offsets[i].topic, topic) == 0)
            return start->offsets[i].offset;
    return -1;
}
