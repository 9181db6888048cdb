/* Small and strict: a line that isn't understood might be the one that counts. */
#include "schema/store/serving.h"

#include <string.h>

#include "schema/store/durable.h"
#include "schema/store/generation.h"

#define SERVING_HEAD "tarn-serving 1\n"

enum { SERVING_BYTES_MAX = 64 * 1024 };

static int parse(const char *directory, const char *text, struct serving *ret_serving, struct err *err)
{
    struct serving serving = {""};

    if (strncmp(text, SERVING_HEAD, strlen(SERVING_HEAD)) != 0)
        return err_set(err, ERR_INPUT, "%s/serving is not of a version that this program knows", directory);
    const char *line = text + strlen(SERVING_HEAD);
    size_t name_length = strcspn(line, " \n");
    if (*line == '\0')
        return ERR_ABSENT;
    if (name_length >= sizeof(serving.name) || strcmp(line + name_length, " 100\n") != 0)
        return err_set(err, ERR_INPUT,
                       "%s/serving says more than this version knows: it serves one generation with a share of 100",
                       directory);
    memcpy(serving.name, line, name_length);
    if (!generation_is_name(serving.name))
        return err_set(err, ERR_INPUT, "%s/serving doesn't name a generation", directory);
    *ret_serving = serving;
    return 0;
}

int serving_read(const char *directory, struct serving *ret_serving, struct err *err)
{
    struct buf text = BUF_INIT;

    int rc = store_directory_check(directory, err);
    if (rc == 0)
        rc = durable_read(directory, "serving", SERVING_BYTES_MAX, &text, err);
    if (rc == 0)
        rc = parse(directory, buf_text(&text), ret_serving, err);
    buf_release(&text);
    return rc;
}

int serving_write(const char *directory, const struct serving *serving, struct err *err)
{
    struct buf text = BUF_INIT;

    buf_add_format(&text, SERVING_HEAD "%s 100\n", serving->name);
    int rc = durable_write(directory, "serving", buf_span(&text), err);
    buf_release(&text);
    return rc;
}
