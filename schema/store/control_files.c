/* Files appear whole: durable.h. What another version wrote is told from what is broken by its version alone. */
#include "schema/store/control_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/base/mem.h"
#include "schema/store/durable.h"

enum { FILE_BYTES_MAX = 1 << 20 };

char *control_subfolder(const char *directory, const char *name)
{
    return mem_format("%s/control/%s", directory, name);
}

int control_make_subfolders(const char *directory, struct err *err)
{
    static const char *const names[] = {"requests", "taken", "outcomes"};
    char *control = mem_format("%s/control", directory);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(names); i++)
        rc = durable_make_folder(control, names[i], err);
    free(control);
    return rc;
}

int control_write(const char *folder, const char *id, json_t *content, struct err *err)
{
    char *name = mem_format("%s.json", id);
    char *text = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);

    int rc = text == NULL ? err_set(err, ERR_INPUT, "%s: what it says can't be written as JSON", id)
                          : durable_write(folder, name, span_of_text(text), err);
    free(text);
    free(name);
    return rc;
}

int control_read(const char *folder, const char *id, json_t **ret_content, struct err *err)
{
    char *name = mem_format("%s.json", id);
    struct buf text = BUF_INIT;
    json_t *content = NULL;
    json_int_t version = 0;

    int rc = durable_read(folder, name, FILE_BYTES_MAX, &text, err);
    if (rc == 0) {
        content = json_loadb(text.len ? (const char *)text.at : "", text.len, JSON_REJECT_DUPLICATES, NULL);
        if (json_unpack(content, "{s:I}", "version", &version) != 0 || version != CONTROL_VERSION)
            rc = err_set(err, ERR_INPUT, "%s/%s is not understood by this version", folder, name);
    }
    if (rc == 0)
        *ret_content = content;
    else
        json_decref(content);
    buf_release(&text);
    free(name);
    return rc;
}

int control_remove(const char *folder, const char *id, struct err *err)
{
    char *path = mem_format("%s/%s.json", folder, id);
    int rc = 0;

    if (unlink(path) != 0)
        rc = errno == ENOENT ? ERR_ABSENT : err_set_errno(err, ERR_BROKEN, errno, "%s: can't remove", path);
    free(path);
    return rc;
}

bool control_is_there(const char *folder, const char *id)
{
    char *path = mem_format("%s/%s.json", folder, id);
    bool is_there = access(path, F_OK) == 0;

    free(path);
    return is_there;
}

/* "0000019a...-1f2e3d4c5b6a7988" */
static bool is_id(const char *text)
{
    size_t digits = strspn(text, "0123456789abcdef-");

    return digits > 0 && digits < CONTROL_ID_SIZE && text[digits] == '\0';
}

bool control_id_of_name(char *name)
{
    size_t length = strlen(name);

    if (length < 5 || strcmp(name + length - 5, ".json") != 0)
        return false;
    name[length - 5] = '\0';
    return is_id(name);
}
