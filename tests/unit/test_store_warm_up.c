/* Whether the kernel has a file's pages is asked of the kernel. On a file system that lives in memory they can't be
 * dropped, and there is nothing to be seen. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/store/store_warm_up.h"
#include "store_world.h"
#include "tests/unit/assert_ok.h"

enum { STORE_BYTES = 24 << 20, WAIT_MS_MAX = 20000 };

static void fill(struct store_world *world)
{
    static const char bytes[1 << 20];
    struct store_writer *writer = NULL;
    struct err err = {0};

    assert_ok(store_write_begin(world->store, &writer, &err));
    for (unsigned i = 0; i < STORE_BYTES / sizeof(bytes); i++) {
        store_world_make_view(world, i, 0, bytes, sizeof(bytes));
        assert_ok(store_put(writer, TABLE_VIEWS, buf_span(&world->key), buf_span(&world->value), &err));
    }
    assert_ok(store_commit(&writer, &err));
}

static int open_data(const struct store_world *world)
{
    char *path = mem_format("%s/data.mdb", world->folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    free(path);
    return fd;
}

/* How much of the file is in memory. */
static size_t resident_bytes(int fd)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), resident = 0;
    struct stat file;

    assert_int_equal(fstat(fd, &file), 0);
    size_t pages = ((size_t)file.st_size + page - 1) / page;
    unsigned char *is_there = mem_alloc(pages);
    void *map = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, (size_t)file.st_size, is_there), 0);
    for (size_t i = 0; i < pages; i++)
        resident += is_there[i] & 1 ? page : 0;
    munmap(map, (size_t)file.st_size);
    free(is_there);
    return resident;
}

/* Its process had the pages mapped: they can be dropped once the store is closed. */
static size_t make_cold(struct store_world *world, int fd)
{
    struct err err = {0};

    store_reader_close(&world->reader);
    store_close(&world->store);
    assert_int_equal(fdatasync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    assert_ok(store_open(world->folder, &store_world_read_write, &world->store, &err));
    return resident_bytes(fd);
}

/* The kernel may still be reading when it has been told of the last piece. */
static void wait_for_resident(int fd, size_t bytes)
{
    for (int ms = 0; resident_bytes(fd) < bytes; ms++) {
        assert_true(ms < WAIT_MS_MAX);
        usleep(1000);
    }
}

static void a_cold_store_is_read_up_to_a_limit(void **state)
{
    enum { LIMIT = 8 << 20, SLACK = 2 << 20 };
    struct store_world *world = *state;

    fill(world);
    int fd = open_data(world);
    if (make_cold(world, fd) > SLACK) {
        close(fd);
        skip(); /* it lives in memory */
    }
    struct warm_up *warm_up = warm_up_start(world->store, LIMIT);
    assert_non_null(warm_up);
    wait_for_resident(fd, LIMIT);
    while (!warm_up_is_done(warm_up))
        usleep(1000);
    assert_true(resident_bytes(fd) <= LIMIT + SLACK);
    warm_up_end(&warm_up);
    assert_null(warm_up);

    warm_up = warm_up_start(world->store, UINT64_MAX);
    wait_for_resident(fd, STORE_BYTES);
    warm_up_end(&warm_up);
    close(fd);
}

static void nothing_is_read_when_nothing_is_wanted(void **state)
{
    struct store_world *world = *state;
    struct warm_up *warm_up = warm_up_start(world->store, 0);

    assert_null(warm_up);
    warm_up_end(&warm_up);
}

static void a_store_that_is_being_read_goes_on_being_written(void **state)
{
    struct store_world *world = *state;
    struct err err = {0};

    fill(world);
    struct warm_up *warm_up = warm_up_start(world->store, UINT64_MAX);
    store_world_put_mark(world, "a", "1");
    warm_up_end(&warm_up); /* wherever it is */
    assert_ok(store_read_begin(world->reader, &err));
    store_world_assert_mark(world, "a", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(a_cold_store_is_read_up_to_a_limit),
        with_store(nothing_is_read_when_nothing_is_wanted),
        with_store(a_store_that_is_being_read_goes_on_being_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
