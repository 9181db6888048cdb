#include "schema/store/unsynced.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/file_system.h"

enum { MARK_BYTES_MAX = 256 };

bool unsynced_is_marked(const char *folder)
{
    char *path = mem_format("%s/unsynced", folder);
    bool is_marked = access(path, F_OK) == 0;

    free(path);
    return is_marked;
}

int unsynced_mark(const struct store_platform *platform, const char *folder, struct err *err)
{
    char id[STORE_BOOT_ID_SIZE];

    if (unsynced_is_marked(folder))
        return 0;
    int rc = file_system_boot_id(platform, id, err);
    return rc == 0 ? durable_write(folder, "unsynced", span_of_text(id), err) : rc;
}

int unsynced_clear(const char *folder, struct err *err)
{
    char *path = mem_format("%s/unsynced", folder);
    int rc = 0;

    if (unlink(path) != 0 && errno != ENOENT)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s: can't remove", path);
    free(path);
    return rc == 0 ? durable_sync_folder(folder, err) : rc;
}

int unsynced_spoil(const char *folder, struct err *err)
{
    return durable_write(folder, "unsynced", SPAN_LITERAL("a sync failed"), err);
}

int unsynced_check(const struct store_platform *platform, const char *folder, struct err *err)
{
    struct buf marked = BUF_INIT;
    char id[STORE_BOOT_ID_SIZE];

    int rc = durable_read(folder, "unsynced", MARK_BYTES_MAX, &marked, err);
    if (rc == 0)
        rc = file_system_boot_id(platform, id, err);
    if (rc == 0 && !span_equal_text(buf_span(&marked), id))
        rc = err_set(err, ERR_BROKEN,
                     "%s was being filled without syncing when the machine went down or the disk failed: what is left "
                     "of it can't be trusted; the projector's next start makes it anew",
                     folder);
    buf_release(&marked);
    return rc == ERR_ABSENT ? 0 : rc;
}
