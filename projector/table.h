/* projector/table.h - columns for people: cells padded to the widest of their column. */
#ifndef TARN_PROJECTOR_TABLE_H
#define TARN_PROJECTOR_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "schema/base/compiler.h"

enum { TABLE_COLUMNS_MAX = 10 };

struct table {
    size_t columns;
    bool is_right[TABLE_COLUMNS_MAX]; /* numbers */
    char **cells;                     /* row by row */
    size_t count, capacity;
};

/* The first row is the heading; one that begins with '>' is aligned to the right, the sign left out. */
void table_init(struct table *table, const char *const *headings, size_t columns);
void table_release(struct table *table);

/* The next cell, left to right. */
void table_add(struct table *table, const char *format, ...) PRINTF_LIKE(2, 3);

void table_print(const struct table *table, FILE *to);

#endif
