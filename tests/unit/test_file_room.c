#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/store/file_room.h"
#include "schema/store/store.h"
#include "tests/unit/assert_ok.h"
#include "tests/unit/scratch_folder.h"

static uint64_t size_of(int fd)
{
    struct stat file;

    assert_int_equal(fstat(fd, &file), 0);
    return (uint64_t)file.st_size;
}

static int open_file(const char *folder)
{
    char *path = mem_format("%s/file", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    free(path);
    return fd;
}

static void a_file_gets_longer_only_when_little_room_is_left_and_keeps_what_it_holds(void **state)
{
    char *folder = scratch_folder_make();
    int fd = open_file(folder);
    char bytes[8];

    (void)state;
    assert_int_equal(write(fd, "contents", 8), 8);
    file_room_keep(fd, 8);
    assert_int_equal(size_of(fd), 8 + FILE_ROOM_STEP_BYTES);
    file_room_keep(fd, 8 + FILE_ROOM_STEP_BYTES - FILE_ROOM_LEAST_BYTES);
    assert_int_equal(size_of(fd), 8 + FILE_ROOM_STEP_BYTES);
    file_room_keep(fd, 8 + FILE_ROOM_STEP_BYTES - FILE_ROOM_LEAST_BYTES + 1);
    assert_int_equal(size_of(fd), 8 + 2 * FILE_ROOM_STEP_BYTES);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), 8);
    assert_memory_equal(bytes, "contents", 8);
    struct stat file;
    assert_int_equal(fstat(fd, &file), 0);
    assert_true((uint64_t)file.st_blocks * 512 >= size_of(fd)); /* written, not a hole */
    close(fd);
    scratch_folder_remove(&folder);
}

static void a_disk_without_the_space_is_no_error(void **state)
{
    char *folder = scratch_folder_make();
    int fd = open_file(folder);
    struct rlimit limit;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    file_room_keep(fd, 100);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_true(size_of(fd) <= 4096);
    close(fd);
    scratch_folder_remove(&folder);
}

static void a_store_that_grows_by_small_commits_makes_its_file_longer_once_in_many(void **state)
{
    enum { COMMITS = 200 };
    static const struct store_options read_write = {.access = STORE_READ_WRITE};
    char *folder = scratch_folder_make();
    struct store *store = NULL;
    struct store_writer *writer = NULL;
    struct err err;
    const uint8_t value[1000] = {0};
    unsigned times = 0;

    (void)state;
    assert_ok(store_open(folder, &read_write, &store, &err));
    char *path = mem_format("%s/data.mdb", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t first = size_of(fd), before = first;
    for (unsigned commit = 0; commit < COMMITS; commit++) {
        assert_ok(store_write_begin(store, &writer, &err));
        for (unsigned i = 0; i < 8; i++) {
            const unsigned key[] = {commit, i};
            assert_ok(store_put(writer, TABLE_MARKS, span_of(key, sizeof(key)), span_of(value, sizeof(value)), &err));
        }
        assert_ok(store_commit(&writer, &err));
        times += size_of(fd) != before;
        before = size_of(fd);
    }
    assert_true(before > first + COMMITS * sizeof(value) * 8);
    assert_in_range(times, 1, COMMITS / 10);
    close(fd);
    store_close(&store);
    free(path);
    scratch_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_gets_longer_only_when_little_room_is_left_and_keeps_what_it_holds),
        cmocka_unit_test(a_disk_without_the_space_is_no_error),
        cmocka_unit_test(a_store_that_grows_by_small_commits_makes_its_file_longer_once_in_many),
    };

    return cmocka_run_group_tests_name("room at a file's end", tests, NULL, NULL);
}
