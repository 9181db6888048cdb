/* The table's optional columns are found out once, and the statements put together from what is there.
 *
 * The time is asked for as microseconds since 1970 by TIMESTAMPDIFF: UNIX_TIMESTAMP() knows no dates behind 2038 on
 * MariaDB, and gives 0 for those that it doesn't know.
 *
 * A read is bounded in rows by LIMIT, in bytes by no longer keeping what comes: the rest of the answer is still read from
 * the connection and thrown away, so whoever reads adapts rows_max to what a read held (relay.c does).
 *
 * A delete looks each id up by the primary key, whatever the optimizer thinks: it joins the ids, as a table made of JSON,
 * with the outbox. Given `id IN (...)` MariaDB scans the table when it is small, and waits for the rows that open
 * transactions have just inserted; it doesn't listen to FORCE INDEX there. */
#include "projector/outbox.h"

#include <inttypes.h>
#include <stdlib.h>

#include "projector/sql_text.h"
#include "schema/base/mem.h"

enum { DELETE_IDS_MAX = 1000 }; /* a statement: long lists of ids are optimized worse */

struct outbox {
    char *table;
    const char *time_column; /* NULL: none */
    bool has_owner;
    bool has_binary_key; /* of the column that the key is in */
    bool has_binary_payload;
    struct buf select; /* up to WHERE */
};

static const char *const time_columns[] = {"created_at", "timestamp", "time"};

/* --- the batch ---------------------------------------------------------------------------------------------------- */

void outbox_batch_clear(struct outbox_batch *batch)
{
    batch->count = 0;
    batch->payload_bytes = 0;
    batch->is_all = false;
    batch->db_now_ms = -1;
    arena_reset(&batch->arena);
}

void outbox_batch_release(struct outbox_batch *batch)
{
    free(batch->rows);
    arena_release(&batch->arena);
    *batch = (struct outbox_batch){0};
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

void outbox_ddl(const char *table, struct buf *sql)
{
    buf_add_literal(sql, "CREATE TABLE IF NOT EXISTS ");
    sql_add_table(sql, table);
    buf_add_literal(sql, " (\n"
                         "  id            BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,\n"
                         "  aggregatetype VARCHAR(255)    NOT NULL,\n"
                         "  aggregateid   VARCHAR(255)    NOT NULL,\n"
                         "  ownerid       VARCHAR(255)    NULL,\n"
                         "  type          VARCHAR(255)    NOT NULL,\n"
                         "  payload       LONGBLOB        NULL,\n"
                         "  created_at    TIMESTAMP(3)    NOT NULL DEFAULT CURRENT_TIMESTAMP(3)\n"
                         ") ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
}

struct found_columns {
    bool has_id, has_aggregate_type, has_aggregate_id, has_type, has_payload, has_owner;
    bool is_id_primary, is_id_integer, is_id_binary, is_owner_binary, is_payload_binary;
    const char *time_column;
    size_t time_rank;
};

static bool is_binary(struct span type)
{
    return memmem(type.at, type.len, "blob", 4) != NULL || memmem(type.at, type.len, "binary", 6) != NULL;
}

static int note_column(void *self, const struct database_row *row, struct err *err)
{
    struct found_columns *found = self;
    struct span name = row->cells[0];
    struct span type = row->cells[1];
    struct span index = row->cells[2];
    (void)err;

    const struct {
        const char *name;
        bool *is_there;
        bool *is_binary;
    } wanted[] = {
        {"id", &found->has_id, NULL},
        {"aggregatetype", &found->has_aggregate_type, NULL},
        {"aggregateid", &found->has_aggregate_id, &found->is_id_binary},
        {"ownerid", &found->has_owner, &found->is_owner_binary},
        {"type", &found->has_type, NULL},
        {"payload", &found->has_payload, &found->is_payload_binary},
    };
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        if (!span_equal_text(name, wanted[i].name))
            continue;
        *wanted[i].is_there = true;
        if (wanted[i].is_binary != NULL)
            *wanted[i].is_binary = is_binary(type);
    }
    if (span_equal_text(name, "id")) {
        found->is_id_integer = memmem(type.at, type.len, "int", 3) != NULL;
        found->is_id_primary = span_equal_text(index, "pri");
    }
    for (size_t i = 0; i < ARRAY_COUNT(time_columns) && i < found->time_rank; i++) {
        if (span_equal_text(name, time_columns[i])) {
            found->time_rank = i;
            found->time_column = time_columns[i];
        }
    }
    return 0;
}

static int find_columns(const struct database *database, const char *table, struct found_columns *found,
                        struct err *err)
{
    struct buf sql = BUF_INIT;
    const char *dot = strchr(table, '.');

    buf_add_literal(&sql,
                    "SELECT LOWER(column_name), LOWER(data_type), LOWER(column_key) FROM information_schema.columns "
                    "WHERE table_schema = ");
    if (dot != NULL)
        sql_add_text(&sql, span_of(table, (size_t)(dot - table)));
    else
        buf_add_literal(&sql, "DATABASE()");
    buf_add_literal(&sql, " AND table_name = ");
    sql_add_text(&sql, span_of_text(dot != NULL ? dot + 1 : table));
    int rc = database->run(database->self, buf_span(&sql), note_column, found, NULL, err);
    buf_release(&sql);
    return rc;
}

static int check_columns(const char *table, const struct found_columns *found, struct err *err)
{
    const struct {
        const char *name;
        bool is_there;
    } needed[] = {{"id", found->has_id},
                  {"aggregatetype", found->has_aggregate_type},
                  {"aggregateid", found->has_aggregate_id},
                  {"type", found->has_type},
                  {"payload", found->has_payload}};
    struct buf lacking = BUF_INIT;
    size_t count = 0;
    int rc = 0;

    for (size_t i = 0; i < ARRAY_COUNT(needed); i++) {
        if (needed[i].is_there)
            continue;
        buf_add_format(&lacking, "%s%s", count > 0 ? ", " : "", needed[i].name);
        count++;
    }
    if (count == ARRAY_COUNT(needed))
        rc = err_set(err, ERR_INPUT, "there is no table %s, or no right to read it: relay --init makes one", table);
    else if (count > 0)
        rc = err_set(err, ERR_INPUT, "table %s lacks %s", table, buf_text(&lacking));
    else if (!found->is_id_integer || !found->is_id_primary)
        rc = err_set(err, ERR_INPUT,
                     "table %s: id is no integer, or not the primary key; rows are published in its order", table);
    buf_release(&lacking);
    return rc;
}

int outbox_open(const struct database *database, const char *table, struct outbox **ret_outbox, struct err *err)
{
    struct found_columns found = {.time_rank = ARRAY_COUNT(time_columns)};

    int rc = find_columns(database, table, &found, err);
    if (rc == 0)
        rc = check_columns(table, &found, err);
    if (rc < 0)
        return rc;
    struct outbox *outbox = mem_zero(1, sizeof(*outbox));
    outbox->table = mem_text(table);
    outbox->time_column = found.time_column;
    outbox->has_owner = found.has_owner;
    outbox->has_binary_key = found.has_owner ? found.is_owner_binary : found.is_id_binary;
    outbox->has_binary_payload = found.is_payload_binary;
    buf_add_format(&outbox->select, "SELECT id, aggregatetype, aggregateid, %s, type, payload, ",
                   found.has_owner ? "ownerid" : "NULL");
    if (found.time_column != NULL)
        buf_add_format(&outbox->select, "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', `%s`) DIV 1000", found.time_column);
    else
        buf_add_literal(&outbox->select, "NULL");
    buf_add_literal(&outbox->select, ", TIMESTAMPDIFF(MICROSECOND, '1970-01-01', NOW(3)) DIV 1000 FROM ");
    sql_add_table(&outbox->select, table);
    *ret_outbox = outbox;
    return 0;
}

void outbox_close(struct outbox **outbox)
{
    if (*outbox == NULL)
        return;
    free((*outbox)->table);
    buf_release(&(*outbox)->select);
    free(*outbox);
    *outbox = NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

struct reading {
    const struct outbox *outbox;
    struct outbox_batch *batch;
    size_t rows_max;
    size_t bytes_max;
    bool is_cut; /* by bytes */
};

static bool parse_integer(struct span text, int64_t *ret_value)
{
    char copy[24];
    char *end;

    if (text.len == 0 || text.len >= sizeof(copy))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *ret_value = strtoll(copy, &end, 10);
    return *end == '\0';
}

static struct span keep(struct outbox_batch *batch, struct span cell)
{
    return span_of(arena_copy(&batch->arena, cell.at, cell.len), cell.len);
}

static int take_row(void *self, const struct database_row *shown, struct err *err)
{
    struct reading *reading = self;
    struct outbox_batch *batch = reading->batch;
    const struct span *cells = shown->cells;
    struct span id = cells[0], aggregate_type = cells[1], aggregate_id = cells[2], owner = cells[3], type = cells[4],
                payload = cells[5], time = cells[6];
    int64_t number = 0;

    if (batch->count > 0 && batch->payload_bytes + payload.len > reading->bytes_max) {
        reading->is_cut = true;
        return DATABASE_ENOUGH;
    }
    struct outbox_row row = {.time_ms = -1};
    if (id.at == NULL || !parse_integer(id, &number) || number <= 0)
        return err_set(err, ERR_INPUT, "table %s: an id is no positive integer", reading->outbox->table);
    row.id = (uint64_t)number;
    struct span key = owner.at != NULL ? owner : aggregate_id;
    if (key.at == NULL || key.len == 0)
        return err_set(err, ERR_INPUT, "table %s, row %" PRIu64 ": it has no aggregateid and no ownerid: no key",
                       reading->outbox->table, row.id);
    if (type.at == NULL || type.len == 0)
        return err_set(err, ERR_INPUT, "table %s, row %" PRIu64 ": it has no type", reading->outbox->table, row.id);
    if (reading->outbox->time_column != NULL &&
        (time.at == NULL || !parse_integer(time, &row.time_ms) || row.time_ms < 0))
        return err_set(err, ERR_INPUT, "table %s, row %" PRIu64 ": %s is no date from 1970 on", reading->outbox->table,
                       row.id, reading->outbox->time_column);
    if (cells[7].at == NULL || !parse_integer(cells[7], &batch->db_now_ms))
        batch->db_now_ms = -1;
    row.id_text = keep(batch, id);
    row.key = keep(batch, key);
    row.type = keep(batch, type);
    row.aggregate_type = keep(batch, aggregate_type);
    row.has_payload = payload.at != NULL;
    row.payload = keep(batch, payload);
    batch->rows = mem_grow(batch->rows, batch->count, &batch->capacity, sizeof(*batch->rows));
    batch->rows[batch->count++] = row;
    batch->payload_bytes += payload.len;
    return 0;
}

int outbox_read(const struct outbox *outbox, const struct database *database, uint64_t behind, size_t rows_max,
                size_t bytes_max, struct outbox_batch *batch, struct err *err)
{
    struct reading reading = {outbox, batch, rows_max, bytes_max, false};
    struct buf sql = BUF_INIT;

    buf_add_span(&sql, buf_span(&outbox->select));
    buf_add_format(&sql, " WHERE id > %" PRIu64 " ORDER BY id LIMIT %zu", behind, rows_max);
    int rc = database->run(database->self, buf_span(&sql), take_row, &reading, NULL, err);
    buf_release(&sql);
    if (rc < 0)
        return rc;
    batch->is_all = !reading.is_cut && batch->count < rows_max;
    return 0;
}

/* --- changing ----------------------------------------------------------------------------------------------------- */

int outbox_delete(const struct outbox *outbox, const struct database *database, const uint64_t *ids, size_t count,
                  struct err *err)
{
    struct buf sql = BUF_INIT;
    bool is_split = count > DELETE_IDS_MAX;

    int rc = is_split ? database_do(database, "START TRANSACTION", err) : 0;
    for (size_t from = 0; rc == 0 && from < count; from += DELETE_IDS_MAX) {
        buf_clear(&sql);
        buf_add_literal(&sql, "DELETE gone FROM JSON_TABLE('[");
        for (size_t i = from; i < count && i < from + DELETE_IDS_MAX; i++)
            buf_add_format(&sql, "%s%" PRIu64, i > from ? "," : "", ids[i]);
        buf_add_literal(&sql, "]', '$[*]' COLUMNS (id BIGINT UNSIGNED PATH '$')) AS done STRAIGHT_JOIN ");
        sql_add_table(&sql, outbox->table);
        buf_add_literal(&sql, " AS gone ON gone.id = done.id");
        rc = database->run(database->self, buf_span(&sql), NULL, NULL, NULL, err);
    }
    buf_release(&sql);
    if (rc == 0)
        return is_split ? database_do(database, "COMMIT", err) : 0;
    struct err ignored = {0};
    if (is_split && database->is_open(database->self) && database_do(database, "ROLLBACK", &ignored) < 0)
        database->close(database->self);
    return rc;
}

int outbox_count(const struct outbox *outbox, const struct database *database, int64_t *ret_count, struct err *err)
{
    struct buf sql = BUF_INIT;

    buf_add_literal(&sql, "SELECT COUNT(*) FROM (SELECT 1 FROM ");
    sql_add_table(&sql, outbox->table);
    buf_add_format(&sql, " LIMIT %d) AS waiting", OUTBOX_COUNT_MAX);
    int rc = database_integer(database, buf_span(&sql), ret_count, err);
    buf_release(&sql);
    return rc;
}

static void add_key(const struct outbox *outbox, struct buf *sql, struct span key)
{
    if (outbox->has_binary_key)
        sql_add_bytes(sql, key);
    else
        sql_add_text(sql, key);
}

int outbox_has_key(const struct outbox *outbox, const struct database *database, struct span key, bool *ret_has,
                   struct err *err)
{
    struct buf sql = BUF_INIT;
    int64_t found = 0;

    buf_add_literal(&sql, "SELECT EXISTS (SELECT 1 FROM ");
    sql_add_table(&sql, outbox->table);
    buf_add_text(&sql, outbox->has_owner ? " WHERE COALESCE(ownerid, aggregateid) = " : " WHERE aggregateid = ");
    add_key(outbox, &sql, key);
    buf_add_byte(&sql, ')');
    int rc = database_integer(database, buf_span(&sql), &found, err);
    buf_release(&sql);
    if (rc == 0)
        *ret_has = found != 0;
    return rc;
}

int outbox_add(const struct outbox *outbox, const struct database *database, struct span aggregate_type,
               struct span key, struct span type, struct span payload, struct err *err)
{
    struct buf sql = BUF_INIT;

    buf_add_literal(&sql, "INSERT INTO ");
    sql_add_table(&sql, outbox->table);
    buf_add_text(&sql, outbox->has_owner ? " (aggregatetype, aggregateid, ownerid, type, payload) VALUES ("
                                         : " (aggregatetype, aggregateid, type, payload) VALUES (");
    sql_add_text(&sql, aggregate_type);
    for (int i = 0; i < (outbox->has_owner ? 2 : 1); i++) {
        buf_add_literal(&sql, ", ");
        add_key(outbox, &sql, key);
    }
    buf_add_literal(&sql, ", ");
    sql_add_text(&sql, type);
    buf_add_literal(&sql, ", ");
    sql_add_bytes(&sql, payload);
    buf_add_byte(&sql, ')');
    int rc = database->run(database->self, buf_span(&sql), NULL, NULL, NULL, err);
    buf_release(&sql);
    return rc;
}
