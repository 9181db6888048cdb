#include "scratch_folder.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schema/base/mem.h"

char *scratch_folder_make(void)
{
    const char *root = getenv("TMPDIR");
    char *path = mem_format("%s/tarn-test-XXXXXX", root ? root : "/tmp");

    assert_non_null(mkdtemp(path));
    return path;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

void scratch_folder_remove(char **path)
{
    if (*path == NULL)
        return;
    nftw(*path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(*path);
    *path = NULL;
}
