#include "projector/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"

static void add_cell(struct table *table, char *cell)
{
    table->cells = mem_grow(table->cells, table->count, &table->capacity, sizeof(char *));
    table->cells[table->count++] = cell;
}

void table_init(struct table *table, const char *const *headings, size_t columns)
{
    *table = (struct table){.columns = columns};
    for (size_t i = 0; i < columns; i++) {
        table->is_right[i] = headings[i][0] == '>';
        add_cell(table, mem_text(headings[i] + table->is_right[i]));
    }
}

void table_release(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

void table_add(struct table *table, const char *format, ...)
{
    va_list arguments;
    char *cell = NULL;

    va_start(arguments, format);
    int len = vasprintf(&cell, format, arguments);
    va_end(arguments);
    add_cell(table, len < 0 ? mem_text("") : cell);
}

/* Columns of the terminal that UTF-8 text takes, as far as a count of its characters tells. */
static size_t text_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void table_print(const struct table *table, FILE *to)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0};

    for (size_t i = 0; i < table->count; i++) {
        size_t width = text_width(table->cells[i]);
        if (width > widths[i % table->columns])
            widths[i % table->columns] = width;
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        bool is_last = column == table->columns - 1;
        int padding = (int)(widths[column] - text_width(table->cells[i]));
        if (table->is_right[column])
            fprintf(to, "%*s%s", padding, "", table->cells[i]);
        else
            fprintf(to, "%s%*s", table->cells[i], is_last ? 0 : padding, "");
        fputs(is_last ? "\n" : "  ", to);
    }
}
