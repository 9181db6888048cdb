/* tests/model/store_rows.c - every live row of a store, for tests that look for what must not be there.
 *
 *     store_rows DIR
 *
 * One line for each row of the served generation: the table's name, key and value in hexadecimal. What lies in pages
 * that no longer belong to a row isn't shown. */
#include <stdio.h>
#include <stdlib.h>

#include "projector/opened_store.h"

static const char *const table_names[TABLE_COUNT] = {
    [TABLE_META] = "meta",       [TABLE_VIEWS] = "views",         [TABLE_MARKS] = "marks",
    [TABLE_PARKED] = "parked",   [TABLE_POSITIONS] = "positions", [TABLE_PARTITIONS] = "partitions",
    [TABLE_BUCKETS] = "buckets", [TABLE_ANNOUNCEMENTS] = "announcements", [TABLE_IDS] = "ids",
};

static void print_hex(struct span bytes)
{
    const uint8_t *at = bytes.at;

    for (size_t i = 0; i < bytes.len; i++)
        printf("%02x", at[i]);
}

static int print_table(struct store_reader *reader, enum store_table table, struct err *err)
{
    const struct span all = {NULL, 0};
    struct store_cursor *cursor = NULL;
    struct span key, value;

    int rc = store_cursor_open(reader, table, all, all, &cursor, err);
    while (rc == 0 && (rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        printf("%s ", table_names[table]);
        print_hex(key);
        putchar(' ');
        print_hex(value);
        putchar('\n');
    }
    store_cursor_close(&cursor);
    return rc == ERR_ABSENT ? 0 : rc;
}

int main(int argc, char **argv)
{
    struct opened_store opened = {0};
    struct err err = {0};

    if (argc != 2) {
        fputs("usage: store_rows DIR\n", stderr);
        return 2;
    }
    int rc = opened_store_open(argv[1], NULL, STORE_READ_ONLY, &opened, &err);
    for (int table = 0; rc == 0 && table < TABLE_COUNT; table++)
        rc = print_table(opened.reader, (enum store_table)table, &err);
    if (rc < 0)
        fprintf(stderr, "store_rows: %s\n", err.text);
    opened_store_close(&opened);
    return rc < 0;
}
