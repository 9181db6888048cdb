#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "projector/flusher.h"
#include "projector/rows.h"
#include "schema/base/mem.h"
#include "tests/unit/power_cut.h"
#include "tests/unit/scratch_folder.h"

struct bench {
    char *folder;
    struct store *store;
    struct flusher *flusher;
    struct cache *cache;
    struct cache *caches[RANGE_COUNT]; /* the same for each range */
    struct positions positions;
    struct partition *partition;
    struct job job;
};

static void use_cache(struct bench *bench, struct cache *cache)
{
    bench->cache = cache;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        bench->caches[range] = cache;
}

static void open_bench(struct bench *bench)
{
    struct store_options options = {.access = STORE_READ_WRITE};
    struct err err = {0};

    *bench = (struct bench){.folder = scratch_folder_make()};
    if (store_open(bench->folder, &options, &bench->store, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(flusher_open(bench->store, NULL, &clock_system, &bench->flusher, &err), 0);
    use_cache(bench, cache_new(1 << 20, NULL, 0));
    positions_init(&bench->positions, 1);
    assert_int_equal(positions_add(&bench->positions, 0, 0, 0, PARTITION_FOLLOWING, &bench->partition, &err), 0);
}

static void close_bench(struct bench *bench)
{
    flusher_close(&bench->flusher);
    job_release(&bench->job, bench->caches);
    cache_free(&bench->cache);
    positions_release(&bench->positions);
    store_close(&bench->store);
    scratch_folder_remove(&bench->folder);
}

static void put_mark(struct bench *bench, uint64_t owner, const char *key)
{
    struct buf row_key = BUF_INIT;

    layout_view_key(owner * 0x9e3779b97f4a7c15u, 0, span_of_text(key), &row_key);
    cache_put(bench->cache, TABLE_MARKS, buf_span(&row_key), SPAN_LITERAL("12345678"));
    buf_release(&row_key);
}

/* The job, when it has ended: the event fd tells. */
static struct job *wait_for_job(struct bench *bench)
{
    struct pollfd ended = {.fd = flusher_event_fd(bench->flusher), .events = POLLIN};

    assert_int_equal(poll(&ended, 1, 10000), 1);
    struct job *job = flusher_finished(bench->flusher);
    assert_int_equal(poll(&ended, 1, 0), 0); /* until it was taken back */
    assert_ptr_equal(job, &bench->job);
    return job;
}

static size_t count_rows(struct bench *bench, enum store_table table)
{
    const struct span all = {NULL, 0};
    struct store_reader *reader = NULL;
    struct store_cursor *cursor = NULL;
    struct span key, value;
    struct err err = {0};
    size_t count = 0;

    assert_int_equal(store_reader_open(bench->store, &reader, &err), 0);
    assert_int_equal(store_read_begin(reader, &err), 0);
    assert_int_equal(store_cursor_open(reader, table, all, all, &cursor, &err), 0);
    while (store_cursor_next(cursor, &key, &value, &err) == 0)
        count++;
    store_cursor_close(&cursor);
    store_read_end(reader);
    store_reader_close(&reader);
    return count;
}

static void rows_and_positions_are_one_transaction(void **state)
{
    struct bench bench;

    (void)state;
    open_bench(&bench);
    for (unsigned i = 0; i < 1000; i++)
        put_mark(&bench, i * 7919, "k");
    positions_advance_to(&bench.positions, bench.partition, 500);
    job_freeze(&bench.job, ALL_RANGES, bench.caches, &bench.positions);
    assert_int_equal(job_row_count(&bench.job), 1000);
    flusher_start(bench.flusher, &bench.job);
    assert_int_equal(wait_for_job(&bench)->rc, 0);
    job_finish(&bench.job, bench.caches, &bench.positions);
    assert_int_equal(count_rows(&bench, TABLE_MARKS), 1000);
    assert_int_equal(count_rows(&bench, TABLE_POSITIONS), RANGE_COUNT);
    assert_int_equal(count_rows(&bench, TABLE_PARTITIONS), 1);
    assert_false(bench.positions.has_moved);
    close_bench(&bench);
}

static void a_job_of_one_range_brings_the_rows_and_the_position_of_that_range(void **state)
{
    struct bench bench;

    (void)state;
    open_bench(&bench);
    job_freeze(&bench.job, ALL_RANGES, bench.caches, &bench.positions);
    flusher_start(bench.flusher, &bench.job);
    wait_for_job(&bench);
    job_finish(&bench.job, bench.caches, &bench.positions);

    for (unsigned i = 0; i < 1000; i++)
        put_mark(&bench, i, "k");
    positions_advance_to(&bench.positions, bench.partition, 500);
    job_freeze(&bench.job, 1u << 4, bench.caches, &bench.positions);
    assert_in_range(bench.job.rows[4].count, 1, 200);
    assert_int_equal(bench.job.position_count, 1);
    size_t rows = job_row_count(&bench.job);
    assert_int_equal(rows, bench.job.rows[4].count);
    flusher_start(bench.flusher, &bench.job);
    assert_int_equal(wait_for_job(&bench)->rc, 0);
    job_finish(&bench.job, bench.caches, &bench.positions);
    assert_int_equal(count_rows(&bench, TABLE_MARKS), rows);
    assert_int_equal(bench.partition->stored[4].next_offset, 500);
    assert_int_equal(bench.partition->stored[5].next_offset, 0);
    assert_true(bench.positions.has_moved);
    close_bench(&bench);
}

static void a_row_that_isn_t_in_the_cache_any_more_is_found_in_the_store(void **state)
{
    struct bench bench;
    struct err err = {0};
    struct cache_row *row = NULL;
    struct buf key = BUF_INIT;

    (void)state;
    open_bench(&bench);
    cache_free(&bench.cache);
    use_cache(&bench, cache_new(0, NULL, 0)); /* evicts whatever it may */
    struct rows rows = {.cache = bench.cache};
    assert_int_equal(store_reader_open(bench.store, &rows.reader, &err), 0);
    layout_view_key(0x9e3779b97f4a7c15u, 0, span_of_text("k"), &key);

    assert_int_equal(rows_find(&rows, TABLE_MARKS, buf_span(&key), &row, &err), 0);
    assert_null(row->value);
    put_mark(&bench, 1, "k");
    job_freeze(&bench.job, ALL_RANGES, bench.caches, &bench.positions);
    flusher_start(bench.flusher, &bench.job);
    wait_for_job(&bench);
    cache_trim(bench.cache);
    assert_int_equal(cache_row_count(bench.cache), 1); /* not before the job is taken in */
    rows_end_snapshot(&rows);
    job_finish(&bench.job, bench.caches, &bench.positions);
    cache_trim(bench.cache);
    assert_int_equal(cache_row_count(bench.cache), 0);
    assert_int_equal(rows_find(&rows, TABLE_MARKS, buf_span(&key), &row, &err), 0);
    assert_non_null(row->value);

    rows_end_snapshot(&rows);
    store_reader_close(&rows.reader);
    buf_release(&key);
    close_bench(&bench);
}

static void a_stop_gives_up_the_job_or_lets_its_commit_end(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct bench bench;
        open_bench(&bench);
        for (unsigned i = 0; i < 2000; i++)
            put_mark(&bench, i, "k");
        job_freeze(&bench.job, ALL_RANGES, bench.caches, &bench.positions);
        flusher_start(bench.flusher, &bench.job);
        if (round % 2 == 0)
            poll(NULL, 0, (int)round / 2);
        flusher_close(&bench.flusher);
        size_t count = count_rows(&bench, TABLE_MARKS);
        assert_true(count == 0 || count == 2000);
        close_bench(&bench);
    }
}

/* --- a power cut --- */

struct disk {
    atomic_bool takes_something; /* a cut would */
    atomic_uint syncs;           /* after which it wouldn't */
    int synced_fd;
};

static void note_disk(void *self)
{
    struct disk *disk = self;
    bool takes_something = power_cut_takes_something();
    uint64_t one = 1;

    bool did = atomic_exchange(&disk->takes_something, takes_something);
    if (!did || takes_something)
        return;
    atomic_fetch_add(&disk->syncs, 1);
    assert_int_equal(write(disk->synced_fd, &one, sizeof(one)), sizeof(one));
}

static void open_disk(struct bench *bench, struct disk *disk)
{
    *disk = (struct disk){.synced_fd = eventfd(0, EFD_CLOEXEC)};
    power_cut_watch(bench->folder);
    power_cut_at_each_call(note_disk, disk);
}

static void run_job(struct bench *bench, bool is_durable)
{
    put_mark(bench, 1, "k");
    job_freeze(&bench->job, ALL_RANGES, bench->caches, &bench->positions);
    bench->job.is_durable = is_durable;
    flusher_start(bench->flusher, &bench->job);
    assert_int_equal(wait_for_job(bench)->rc, 0);
}

static void a_durable_job_is_on_the_disk_when_it_ends(void **state)
{
    struct bench bench;
    struct disk disk;

    (void)state;
    open_bench(&bench);
    open_disk(&bench, &disk);
    run_job(&bench, true);
    assert_false(disk.takes_something);
    close_bench(&bench);
    power_cut_end();
    close(disk.synced_fd);
}

static void another_job_is_brought_to_the_disk_when_it_has_ended(void **state)
{
    struct bench bench;
    struct disk disk;
    uint64_t ignored;

    (void)state;
    open_bench(&bench);
    open_disk(&bench, &disk);
    run_job(&bench, false);
    for (unsigned syncs = 0; syncs < 2; syncs++) { /* of its pages, and of the checkpoint's record */
        struct pollfd synced = {.fd = disk.synced_fd, .events = POLLIN};
        while (atomic_load(&disk.syncs) <= syncs) {
            assert_int_equal(poll(&synced, 1, 10000), 1);
            assert_int_equal(read(disk.synced_fd, &ignored, sizeof(ignored)), sizeof(ignored));
        }
    }
    assert_false(disk.takes_something);
    close_bench(&bench);
    power_cut_end();
    close(disk.synced_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_positions_are_one_transaction),
        cmocka_unit_test(a_job_of_one_range_brings_the_rows_and_the_position_of_that_range),
        cmocka_unit_test(a_row_that_isn_t_in_the_cache_any_more_is_found_in_the_store),
        cmocka_unit_test(a_stop_gives_up_the_job_or_lets_its_commit_end),
        cmocka_unit_test(a_durable_job_is_on_the_disk_when_it_ends),
        cmocka_unit_test(another_job_is_brought_to_the_disk_when_it_has_ended),
    };

    return cmocka_run_group_tests_name("flusher", tests, NULL, NULL);
}
