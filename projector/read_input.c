#include "projector/read_input.h"

#include <errno.h>
#include <stdio.h>

int read_input(const char *path, size_t max_bytes, struct buf *bytes, struct err *err)
{
    enum { STEP = 64 << 10 };
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t got, total = 0;

    if (file == NULL)
        return err_set_errno(err, ERR_INPUT, errno, "%s", path);
    do {
        got = fread(buf_reserve(bytes, STEP), 1, STEP, file);
        bytes->len += got;
        total += got;
    } while (got > 0 && total <= max_bytes);
    int fault = ferror(file) ? errno : 0;
    if (file != stdin)
        fclose(file);
    if (fault != 0)
        return err_set_errno(err, ERR_INPUT, fault, "%s", path);
    return total > max_bytes ? err_set(err, ERR_INPUT, "%s: larger than %zu MiB", path, max_bytes >> 20) : 0;
}
