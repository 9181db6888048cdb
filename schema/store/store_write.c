/* The writer: one transaction, with one cursor a table, so that puts in key order find the place where the last one
 * was. A value is looked at before it is replaced: for the digest, whose buckets are written at the commit, and because
 * what doesn't change needn't be written. */
#include "schema/store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"
#include "schema/store/checkpoint.h"
#include "schema/store/environment.h"
#include "schema/store/file_room.h"
#include "schema/store/layout.h"

struct store_writer {
    struct store *store;
    MDB_txn *txn;
    MDB_cursor *cursors[TABLE_COUNT];
    bool has_failed;
    bool knows_last_view; /* of TABLE_VIEWS, for appending */
    size_t last_view_len; /* 0: the table is empty */
    uint8_t last_view[ENVIRONMENT_KEY_BYTES_MAX];
};

/* With the writer's lock, before it writes: nobody else does, and nothing of the transaction lies behind the last page yet. */
static void keep_room(struct store *store)
{
    MDB_envinfo info;
    MDB_stat stat;
    int fd;

    if (mdb_env_info(store->env, &info) == 0 && mdb_env_stat(store->env, &stat) == 0 &&
        mdb_env_get_fd(store->env, &fd) == 0)
        file_room_keep(fd, ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize);
}

int store_write_begin(struct store *store, struct store_writer **ret_writer, struct err *err)
{
    MDB_txn *txn;

    assert(store->access == STORE_READ_WRITE && !store->has_writer);
    int rc = checkpoint_check(store->checkpoint, err);
    if (rc < 0)
        return rc;
    rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0)
        return environment_failed(store, rc, "can't write", err);
    if (!store->skips_syncs)
        keep_room(store);
    struct store_writer *writer = mem_zero(1, sizeof(*writer));
    writer->store = store;
    writer->txn = txn;
    store->has_writer = true;
    *ret_writer = writer;
    return 0;
}

static int write_failed(struct store_writer *writer, int rc, enum store_table table, struct err *err)
{
    writer->has_failed = true;
    return environment_failed(writer->store, rc, environment_table_names[table], err);
}

/* Moves the table's cursor to the key. MDB_NOTFOUND: there is none. */
static int seek(struct store_writer *writer, enum store_table table, MDB_val *key, MDB_val *ret_value)
{
    int rc = 0;

    if (writer->cursors[table] == NULL)
        rc = mdb_cursor_open(writer->txn, writer->store->tables[table], &writer->cursors[table]);
    return rc != 0 ? rc : mdb_cursor_get(writer->cursors[table], key, ret_value, MDB_SET);
}

/* Views that are new and behind all others (a store's first filling) are appended: pages fill to the brim instead of
 * being split in halves. Asking for the last key moves the cursor, so it is asked once a transaction. */
static int is_behind_all_views(struct store_writer *writer, struct span key, bool *ret_is_behind)
{
    MDB_cursor *cursor;
    MDB_val last, value;

    if (!writer->knows_last_view) {
        int rc = mdb_cursor_open(writer->txn, writer->store->tables[TABLE_VIEWS], &cursor);
        if (rc != 0)
            return rc;
        rc = mdb_cursor_get(cursor, &last, &value, MDB_LAST);
        if (rc == 0) {
            memcpy(writer->last_view, last.mv_data, last.mv_size);
            writer->last_view_len = last.mv_size;
        }
        mdb_cursor_close(cursor);
        if (rc != 0 && rc != MDB_NOTFOUND)
            return rc;
        writer->knows_last_view = true;
    }
    *ret_is_behind = span_compare(key, span_of(writer->last_view, writer->last_view_len)) > 0;
    return 0;
}

static int put_new(struct store_writer *writer, enum store_table table, MDB_val *key, MDB_val *value)
{
    bool is_behind = false;

    if (table == TABLE_VIEWS) {
        int rc = is_behind_all_views(writer, span_of_val(*key), &is_behind);
        if (rc != 0)
            return rc;
        if (is_behind) {
            memcpy(writer->last_view, key->mv_data, key->mv_size);
            writer->last_view_len = key->mv_size;
        }
    }
    return mdb_cursor_put(writer->cursors[table], key, value, is_behind ? MDB_APPEND : 0);
}

/* The store's own writing, to tables that callers may not write to as well. */
static int put(struct store_writer *writer, enum store_table table, struct span key, struct span value, struct err *err)
{
    MDB_val lmdb_key = val_of(key);
    MDB_val new_value = val_of(value);
    MDB_val old_value;

    assert(!writer->has_failed && key.len > 0 && key.len <= ENVIRONMENT_KEY_BYTES_MAX);
    int rc = seek(writer, table, &lmdb_key, &old_value);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return write_failed(writer, rc, table, err);
    bool is_there = rc == 0;
    if (is_there && span_equal(span_of_val(old_value), value))
        return 0;

    rc = 0;
    if (table == TABLE_VIEWS && is_there)
        rc = bucket_sums_take(&writer->store->sums, key, span_of_val(old_value), err);
    if (table == TABLE_VIEWS && rc == 0)
        rc = bucket_sums_add(&writer->store->sums, key, value, err);
    if (rc < 0) {
        writer->has_failed = true;
        return err_prefix(err, "%s", writer->store->folder);
    }
    lmdb_key = val_of(key);
    if (is_there)
        rc = mdb_cursor_put(writer->cursors[table], &lmdb_key, &new_value, MDB_CURRENT);
    else
        rc = put_new(writer, table, &lmdb_key, &new_value);
    return rc != 0 ? write_failed(writer, rc, table, err) : 0;
}

static int delete_row(struct store_writer *writer, enum store_table table, struct span key, struct err *err)
{
    MDB_val lmdb_key = val_of(key);
    MDB_val old_value;

    assert(!writer->has_failed);
    if (key.len == 0 || key.len > ENVIRONMENT_KEY_BYTES_MAX)
        return 0; /* such a key can't be stored */
    int rc = seek(writer, table, &lmdb_key, &old_value);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return write_failed(writer, rc, table, err);
    if (table == TABLE_VIEWS) {
        rc = bucket_sums_take(&writer->store->sums, key, span_of_val(old_value), err);
        if (rc < 0) {
            writer->has_failed = true;
            return err_prefix(err, "%s", writer->store->folder);
        }
    }
    rc = mdb_cursor_del(writer->cursors[table], 0);
    return rc != 0 ? write_failed(writer, rc, table, err) : 0;
}

int store_put(struct store_writer *writer, enum store_table table, struct span key, struct span value, struct err *err)
{
    assert(table != TABLE_META && table != TABLE_BUCKETS);
    return put(writer, table, key, value, err);
}

int store_delete(struct store_writer *writer, enum store_table table, struct span key, struct err *err)
{
    assert(table != TABLE_META && table != TABLE_BUCKETS);
    return delete_row(writer, table, key, err);
}

int store_writer_next(struct store_writer *writer, enum store_table table, struct span from, struct span *ret_key,
                      struct span *ret_value, struct err *err)
{
    MDB_val key = val_of(from);
    MDB_val value;
    int rc = 0;

    assert(!writer->has_failed && from.len <= ENVIRONMENT_KEY_BYTES_MAX);
    if (writer->cursors[table] == NULL)
        rc = mdb_cursor_open(writer->txn, writer->store->tables[table], &writer->cursors[table]);
    if (rc == 0)
        rc = mdb_cursor_get(writer->cursors[table], &key, &value, from.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
    if (rc == MDB_NOTFOUND)
        return ERR_ABSENT;
    if (rc != 0)
        return write_failed(writer, rc, table, err);
    *ret_key = span_of_val(key);
    *ret_value = span_of_val(value);
    return 0;
}

size_t store_writer_count(struct store_writer *writer, enum store_table table)
{
    MDB_stat stat;

    return mdb_stat(writer->txn, writer->store->tables[table], &stat) == 0 ? stat.ms_entries : 0;
}

int store_writer_find(struct store_writer *writer, enum store_table table, struct span key, struct span *ret_value,
                      struct err *err)
{
    return environment_find(writer->store, writer->txn, table, key, ret_value, err);
}

static int write_bucket(struct store_writer *writer, uint16_t view_number, unsigned bucket, struct digest change,
                        struct buf *key, struct buf *value, struct err *err)
{
    struct digest digest = {0, {0, 0}};
    struct span stored;

    buf_clear(key);
    buf_clear(value);
    layout_bucket_key(view_number, bucket, key);
    int rc = store_writer_find(writer, TABLE_BUCKETS, buf_span(key), &stored, err);
    if (rc == 0)
        rc = layout_parse_digest(stored, &digest, err);
    if (rc < 0 && rc != ERR_ABSENT)
        return rc;
    digest.count += change.count;
    digest.sum = hash128_plus(digest.sum, change.sum);
    if (digest.count == 0)
        return delete_row(writer, TABLE_BUCKETS, buf_span(key), err);
    layout_digest(&digest, value);
    return put(writer, TABLE_BUCKETS, buf_span(key), buf_span(value), err);
}

static int write_buckets(struct store_writer *writer, struct err *err)
{
    struct buf key = BUF_INIT;
    struct buf value = BUF_INIT;
    struct digest change;
    uint16_t view_number;
    unsigned bucket;
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && bucket_sums_next(&writer->store->sums, &at, &view_number, &bucket, &change))
        rc = write_bucket(writer, view_number, bucket, change, &key, &value, err);
    buf_release(&key);
    buf_release(&value);
    return rc;
}

/* What abort and commit have in common: the transaction itself is gone already. */
static void end_writer(struct store_writer **writer)
{
    bucket_sums_clear(&(*writer)->store->sums);
    (*writer)->store->has_writer = false;
    free(*writer);
    *writer = NULL;
}

static int commit(struct store_writer **writer, bool is_relaxed, struct err *err)
{
    struct store_writer *committed = *writer;
    struct store *store = committed->store;

    assert(!committed->has_failed);
    int rc = write_buckets(committed, err);
    if (rc == 0 && is_relaxed)
        rc = checkpoint_prepare(store->checkpoint, err);
    if (rc < 0) {
        store_abort(writer);
        return rc;
    }
    if (is_relaxed)
        rc = checkpoint_commit_relaxed(store->checkpoint, committed->txn);
    else
        rc = mdb_txn_commit(committed->txn); /* closes the cursors too */
    if (rc != 0)
        rc = environment_failed(store, rc, "can't commit", err);
    end_writer(writer);
    return rc;
}

/* What somebody waits for comes with all that was left to the kernel before it. */
int store_commit(struct store_writer **writer, struct err *err)
{
    struct store *store = (*writer)->store;
    bool is_checkpointed = checkpoint_is_used(store->checkpoint);
    int rc = commit(writer, is_checkpointed, err);

    return rc == 0 && is_checkpointed ? store_sync(store, err) : rc;
}

/* One that skips syncs leaves all of it to the kernel anyway. */
int store_commit_relaxed(struct store_writer **writer, struct err *err)
{
    return commit(writer, !(*writer)->store->skips_syncs, err);
}

void store_abort(struct store_writer **writer)
{
    if (*writer == NULL)
        return;
    mdb_txn_abort((*writer)->txn);
    end_writer(writer);
}
