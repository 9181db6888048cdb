#include "schema/store/store_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/durable.h"
#include "schema/store/environment.h"

static int copy_to(struct store *store, const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set_errno(err, ERR_BROKEN, errno, "%s", path);
    int rc = mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT);
    if (rc == 0 && fsync(fd) != 0)
        rc = errno;
    if (close(fd) != 0 && rc == 0)
        rc = errno;
    if (rc == 0)
        return 0;
    unlink(path);
    return environment_failed(store, rc, "can't be copied", err);
}

int store_copy(struct store *store, const char *folder, struct err *err)
{
    char *path = mem_format("%s/data.mdb", folder);

    int rc = copy_to(store, path, err);
    free(path);
    return rc == 0 ? durable_sync_folder(folder, err) : rc;
}
