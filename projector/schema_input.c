#include "projector/schema_input.h"

#include "projector/read_input.h"

enum { SCHEMA_BYTES_MAX = 64 << 20 };

int schema_input_load(const char *path, struct view_set **ret_views, struct err *err)
{
    struct buf bytes = BUF_INIT;
    struct mistakes mistakes = {NULL, 0, 0};

    int rc = read_input(path, SCHEMA_BYTES_MAX, &bytes, err);
    if (rc == 0)
        rc = view_set_load(buf_span(&bytes), ret_views, &mistakes, err);
    mistakes_release(&mistakes);
    buf_release(&bytes);
    return rc < 0 ? err_prefix(err, "--schema %s", path) : 0;
}
