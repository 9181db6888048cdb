#include "projector/sql_text.h"

static void add_name(struct buf *sql, struct span name)
{
    buf_add_byte(sql, '`');
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = span_bytes(name)[i];
        if (byte == '`')
            buf_add_byte(sql, '`');
        buf_add_byte(sql, byte);
    }
    buf_add_byte(sql, '`');
}

void sql_add_name(struct buf *sql, const char *name)
{
    add_name(sql, span_of_text(name));
}

void sql_add_table(struct buf *sql, const char *name)
{
    const char *dot = strchr(name, '.');

    if (dot != NULL) {
        add_name(sql, span_of(name, (size_t)(dot - name)));
        buf_add_byte(sql, '.');
        name = dot + 1;
    }
    add_name(sql, span_of_text(name));
}

void sql_add_bytes(struct buf *sql, struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *to = buf_reserve(sql, bytes.len * 2 + 3);

    *to++ = 'X';
    *to++ = '\'';
    for (size_t i = 0; i < bytes.len; i++) {
        *to++ = (uint8_t)digits[span_bytes(bytes)[i] >> 4];
        *to++ = (uint8_t)digits[span_bytes(bytes)[i] & 15];
    }
    *to = '\'';
    sql->len += bytes.len * 2 + 3;
}

void sql_add_text(struct buf *sql, struct span utf8)
{
    buf_add_literal(sql, "_utf8mb4 ");
    sql_add_bytes(sql, utf8);
}
