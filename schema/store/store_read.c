/* Readers and cursors: a reader is a read-only transaction that is reset and renewed, so that it keeps its slot and a
 * snapshot costs no system call; a cursor walks the keys of one prefix. */
#include "schema/store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"
#include "schema/store/environment.h"

struct store_reader {
    struct store *store;
    MDB_txn *txn;
    bool has_snapshot;
};

struct store_cursor {
    MDB_cursor *cursor;
    struct span prefix;
    MDB_val from;
    bool is_started;
    bool is_done;
    uint8_t bytes[2 * ENVIRONMENT_KEY_BYTES_MAX]; /* what prefix and from point to */
};

int store_reader_open(struct store *store, struct store_reader **ret_reader, struct err *err)
{
    MDB_txn *txn;

    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc == MDB_READERS_FULL && store_clear_stale_readers(store) > 0)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return environment_failed(store, rc, "can't read", err);
    mdb_txn_reset(txn); /* keeps the slot, lets go of the snapshot */

    struct store_reader *reader = mem_zero(1, sizeof(*reader));
    reader->store = store;
    reader->txn = txn;
    *ret_reader = reader;
    return 0;
}

void store_reader_close(struct store_reader **reader)
{
    if (*reader == NULL)
        return;
    mdb_txn_abort((*reader)->txn);
    free(*reader);
    *reader = NULL;
}

int store_read_begin(struct store_reader *reader, struct err *err)
{
    MDB_envinfo info;

    if (reader->has_snapshot) {
        if (mdb_env_info(reader->store->env, &info) == 0 && info.me_last_txnid == mdb_txn_id(reader->txn))
            return 0;
        store_read_end(reader);
    }
    int rc = mdb_txn_renew(reader->txn);
    if (rc != 0)
        return environment_failed(reader->store, rc, "can't read", err);
    reader->has_snapshot = true;
    return 0;
}

void store_read_end(struct store_reader *reader)
{
    if (reader->has_snapshot)
        mdb_txn_reset(reader->txn);
    reader->has_snapshot = false;
}

uint64_t store_read_version(const struct store_reader *reader)
{
    assert(reader->has_snapshot);
    return mdb_txn_id(reader->txn);
}

int store_find(struct store_reader *reader, enum store_table table, struct span key, struct span *ret_value,
               struct err *err)
{
    assert(reader->has_snapshot);
    return environment_find(reader->store, reader->txn, table, key, ret_value, err);
}

size_t store_read_count(struct store_reader *reader, enum store_table table)
{
    MDB_stat stat;

    assert(reader->has_snapshot);
    return mdb_stat(reader->txn, reader->store->tables[table], &stat) == 0 ? stat.ms_entries : 0;
}

int store_cursor_open(struct store_reader *reader, enum store_table table, struct span prefix, struct span from,
                      struct store_cursor **ret_cursor, struct err *err)
{
    MDB_cursor *lmdb_cursor;

    assert(reader->has_snapshot);
    if (span_compare(from, prefix) < 0)
        from = prefix;
    int rc = mdb_cursor_open(reader->txn, reader->store->tables[table], &lmdb_cursor);
    if (rc != 0)
        return environment_failed(reader->store, rc, environment_table_names[table], err);

    struct store_cursor *cursor = mem_zero(1, sizeof(*cursor));
    cursor->cursor = lmdb_cursor;
    /* No key is longer than LMDB takes: nothing begins with a longer prefix, and cutting a longer start (it is beyond
     * its own beginning) would only find keys that begin with that too. */
    cursor->is_done = prefix.len > ENVIRONMENT_KEY_BYTES_MAX || from.len > ENVIRONMENT_KEY_BYTES_MAX;
    if (!cursor->is_done) {
        if (prefix.len)
            memcpy(cursor->bytes, prefix.at, prefix.len);
        if (from.len)
            memcpy(cursor->bytes + ENVIRONMENT_KEY_BYTES_MAX, from.at, from.len);
        cursor->prefix = span_of(cursor->bytes, prefix.len);
        cursor->from = (MDB_val){from.len, cursor->bytes + ENVIRONMENT_KEY_BYTES_MAX};
    }
    *ret_cursor = cursor;
    return 0;
}

int store_cursor_next(struct store_cursor *cursor, struct span *ret_key, struct span *ret_value, struct err *err)
{
    MDB_val key = cursor->from;
    MDB_val value;
    int rc;

    if (cursor->is_done)
        return ERR_ABSENT;
    if (cursor->is_started)
        rc = mdb_cursor_get(cursor->cursor, &key, &value, MDB_NEXT);
    else
        rc = mdb_cursor_get(cursor->cursor, &key, &value, key.mv_size ? MDB_SET_RANGE : MDB_FIRST);
    cursor->is_started = true;
    if (rc != 0 && rc != MDB_NOTFOUND) {
        cursor->is_done = true;
        return err_set(err, ERR_BROKEN, "can't walk the store: %s", mdb_strerror(rc));
    }
    if (rc == MDB_NOTFOUND || !span_starts_with(span_of_val(key), cursor->prefix)) {
        cursor->is_done = true;
        return ERR_ABSENT;
    }
    *ret_key = span_of_val(key);
    *ret_value = span_of_val(value);
    return 0;
}

void store_cursor_close(struct store_cursor **cursor)
{
    if (*cursor == NULL)
        return;
    mdb_cursor_close((*cursor)->cursor);
    free(*cursor);
    *cursor = NULL;
}
