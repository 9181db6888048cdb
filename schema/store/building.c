#include "schema/store/building.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/durable.h"

enum { BUILDING_BYTES_MAX = 4096 };

int building_read(const char *folder, struct building *ret_building, struct err *err)
{
    struct building building = {.rate = 0};
    struct buf text = BUF_INIT;

    int rc = durable_read(folder, "building", BUILDING_BYTES_MAX, &text, err);
    for (const char *line = rc == 0 ? buf_text(&text) : ""; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        if (strncmp(line, "syncs\n", 6) == 0)
            building.syncs = true;
        else if (sscanf(line, "rate %" SCNd64, &building.rate) != 1)
            sscanf(line, "beside %31[0-9a-f-]", building.beside);
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
