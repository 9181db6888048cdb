#include "schema/store/building.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/generation.h"

enum { BUILDING_BYTES_MAX = 4096 };

/* A line of the file that this version doesn't know says nothing, like one whose value isn't one. */
static void read_line(struct span line, struct building *building)
{
    const struct span rate = SPAN_LITERAL("rate "), beside = SPAN_LITERAL("beside ");
    char value[GENERATION_NAME_MAX] = "";
    char *end;

    if (span_equal_text(line, "syncs"))
        building->syncs = true;
    const struct span *name = span_starts_with(line, rate) ? &rate : span_starts_with(line, beside) ? &beside : NULL;
    if (name == NULL || line.len - name->len >= sizeof(value))
        return;
    memcpy(value, span_bytes(line) + name->len, line.len - name->len);
    if (name == &beside && generation_is_name(value))
        memcpy(building->beside, value, sizeof(value));
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (name == &rate && errno == 0 && end != value && *end == '\0' && number >= 0)
        building->rate = number;
}

int building_read(const char *folder, struct building *ret_building, struct err *err)
{
    struct building building = {.rate = 0};
    struct buf text = BUF_INIT;

    int rc = durable_read(folder, "building", BUILDING_BYTES_MAX, &text, err);
    for (const char *line = rc == 0 ? buf_text(&text) : ""; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        read_line(span_of(line, length), &building);
        line += length + (line[length] == '\n');
    }
    buf_release(&text);
    if (rc == 0)
        *ret_building = building;
    return rc;
}

int building_write(const char *folder, const struct building *building, struct err *err)
{
    char *text = mem_format("rate %" PRId64 "\n%s%s%s%s", building->rate, building->beside[0] ? "beside " : "",
                            building->beside, building->beside[0] ? "\n" : "", building->syncs ? "syncs\n" : "");

    int rc = durable_write(folder, "building", span_of_text(text), err);
    free(text);
    return rc;
}

int building_end(const char *folder, struct err *err)
{
    char *path = mem_format("%s/building", folder);
    int rc = 0;

    if (unlink(path) != 0 && errno != ENOENT)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s: can't remove", path);
    free(path);
    return rc == 0 ? durable_sync_folder(folder, err) : rc;
}

bool building_is_there(const char *folder)
{
    char *path = mem_format("%s/building", folder);
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

int made_by_write(const char *folder, const char *id, struct err *err)
{
    return durable_write(folder, "made_by", span_of_text(id), err);
}

void made_by_read(const char *folder, char ret_id[MADE_BY_SIZE])
{
    struct buf text = BUF_INIT;
    struct err ignored;

    ret_id[0] = '\0';
    if (durable_read(folder, "made_by", MADE_BY_SIZE - 1, &text, &ignored) == 0)
        snprintf(ret_id, MADE_BY_SIZE, "%s", buf_text(&text));
    buf_release(&text);
}
