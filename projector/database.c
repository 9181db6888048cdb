/* What all users of the port would write again. */
#include "projector/database.h"

#include <errno.h>
#include <stdlib.h>

int database_do(const struct database *database, const char *sql, struct err *err)
{
    return database->run(database->self, span_of_text(sql), NULL, NULL, NULL, err);
}

struct wanted_integer {
    bool is_there;
    int64_t value;
};

static int take_integer(void *self, const struct database_row *row, struct err *err)
{
    struct wanted_integer *wanted = self;
    char text[32];

    if (row->column_count == 0 || row->cells[0].at == NULL)
        return DATABASE_ENOUGH;
    if (row->cells[0].len >= sizeof(text))
        return err_set(err, ERR_BROKEN, "the database gives no integer for %s", row->columns[0].name);
    memcpy(text, row->cells[0].at, row->cells[0].len);
    text[row->cells[0].len] = '\0';
    wanted->value = strtoll(text, NULL, 10);
    wanted->is_there = true;
    return DATABASE_ENOUGH;
}

int database_integer(const struct database *database, struct span sql, int64_t *ret_value, struct err *err)
{
    struct wanted_integer wanted = {false, 0};

    int rc = database->run(database->self, sql, take_integer, &wanted, NULL, err);
    if (rc < 0)
        return rc;
    if (!wanted.is_there)
        return ERR_ABSENT;
    *ret_value = wanted.value;
    return 0;
}
