/* A chunk ends at a key: the query's chunk_rows-th key from the last one on is asked for first, then all rows up to and
 * with it. So rows of one key, however many, are in one snapshot and one transaction, and keys that the column's collation
 * calls equal are never cut apart.
 *
 * The user's query is a derived table; MySQL and MariaDB merge a plain one into ours, so that the key column's index
 * serves `>` and ORDER BY. */
#include "projector/first_load_query.h"

#include "projector/sql_text.h"

struct boundary {
    bool is_there;
    struct buf key;
    enum column_kind kind;
};

static int add_key(struct buf *sql, enum column_kind kind, struct span key, struct err *err)
{
    switch (kind) {
    case COLUMN_TEXT:
        sql_add_text(sql, key);
        return 0;
    case COLUMN_BYTES:
        sql_add_bytes(sql, key);
        return 0;
    case COLUMN_INTEGER:
    case COLUMN_DECIMAL:
        buf_add_span(sql, key);
        return 0;
    case COLUMN_DATE:
    case COLUMN_INSTANT:
        buf_add_format(sql, "'%.*s'", SPAN_ARGS(key));
        return 0;
    case COLUMN_FLOAT:
    case COLUMN_OTHER:
        break;
    }
    return err_set(err, ERR_INPUT,
                   "key_column is of a type that can't cut chunks: texts, bytes, whole numbers and dates can");
}

static int add_bound(struct buf *sql, const struct first_load *load, const char *operator, enum column_kind kind,
                     const struct buf *key, struct err *err)
{
    buf_add_literal(sql, " AND ");
    sql_add_name(sql, load->key_column);
    buf_add_format(sql, " %s ", operator);
    return add_key(sql, kind, buf_span(key), err);
}

/* The key column alone, or whole rows: behind the cursor, and up to `to` when it is there. */
static int add_select(struct buf *sql, const struct load_cursor *cursor, bool is_key, const struct boundary *to,
                      struct err *err)
{
    int rc = 0;

    buf_clear(sql);
    buf_add_literal(sql, "SELECT ");
    if (is_key)
        sql_add_name(sql, cursor->load->key_column);
    else
        buf_add_byte(sql, '*');
    buf_add_format(sql, " FROM (%s) AS loaded WHERE 1 = 1", cursor->load->sql);
    if (cursor->has_key)
        rc = add_bound(sql, cursor->load, ">", cursor->key_kind, &cursor->last_key, err);
    if (rc == 0 && to->is_there)
        rc = add_bound(sql, cursor->load, "<=", to->kind, &to->key, err);
    buf_add_literal(sql, " ORDER BY ");
    sql_add_name(sql, cursor->load->key_column);
    return rc;
}

static int take_boundary(void *self, const struct database_row *row, struct err *err)
{
    struct boundary *boundary = self;
    (void)err;

    boundary->is_there = true;
    boundary->kind = row->columns[0].kind;
    buf_clear(&boundary->key);
    buf_add_span(&boundary->key, row->cells[0]);
    return DATABASE_ENOUGH;
}

int load_query_chunk(const struct database *database, const struct load_cursor *cursor, size_t chunk_rows,
                     database_row_fn *row, void *row_self, bool *ret_is_last, struct err *err)
{
    struct boundary boundary = {false, BUF_INIT, COLUMN_TEXT};
    struct buf sql = BUF_INIT;

    int rc = add_select(&sql, cursor, true, &boundary, err);
    buf_add_format(&sql, " LIMIT %zu, 1", chunk_rows - 1);
    if (rc == 0)
        rc = database->run(database->self, buf_span(&sql), take_boundary, &boundary, NULL, err);
    if (rc == 0)
        rc = add_select(&sql, cursor, false, &boundary, err);
    if (rc == 0)
        rc = database->run(database->self, buf_span(&sql), row, row_self, NULL, err);
    if (rc == 0)
        *ret_is_last = !boundary.is_there;
    buf_release(&boundary.key);
    buf_release(&sql);
    return rc;
}

int load_query_owner(const struct database *database, const struct first_load *load, struct span owner,
                     database_row_fn *row, void *row_self, struct err *err)
{
    const struct field_path *path = &load->handler->keys[0].source.path;
    struct buf column = BUF_INIT, sql = BUF_INIT;
    enum value_kind kind = value_kind_of(path->fields[path->count - 1]->kind);

    for (size_t i = 0; i < path->count; i++)
        buf_add_format(&column, "%s%s", i > 0 ? "." : "", path->fields[i]->name);
    buf_add_format(&sql, "SELECT * FROM (%s) AS loaded WHERE ", load->sql);
    sql_add_name(&sql, buf_text(&column));
    buf_add_literal(&sql, " = ");
    if (kind == VALUE_BYTES)
        sql_add_bytes(&sql, owner);
    else if (kind == VALUE_INT || kind == VALUE_UINT)
        buf_add_span(&sql,
                     owner); /* canonical decimal: the key of a record that came from a row, or of a stored view */
    else
        sql_add_text(&sql, owner);
    int rc = database->run(database->self, buf_span(&sql), row, row_self, NULL, err);
    buf_release(&column);
    buf_release(&sql);
    return rc;
}
