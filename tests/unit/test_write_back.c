/* A file's pages, brought to the disk a piece at a time. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "schema/base/mem.h"
#include "schema/store/write_back.h"
#include "scratch_folder.h"

enum { PIECE = 1 << 20 };

static void a_file_is_written_back_piece_by_piece_to_its_end(void **state)
{
    enum { PIECES = 5 };
    char *folder = scratch_folder_make();
    char *path = mem_format("%s/file", folder);
    uint64_t at = 0;
    unsigned pieces = 0;

    (void)state;
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (PIECES - 1) * PIECE + 1), 0);
    do {
        assert_int_equal(write_back_piece(fd, &at), 0);
        pieces++;
    } while (at > 0);
    assert_int_equal(pieces, PIECES);
    close(fd);
    free(path);
    scratch_folder_remove(&folder);
}

static void a_file_that_can_not_be_asked_is_told_of(void **state)
{
    uint64_t at = PIECE;

    (void)state;
    assert_int_equal(write_back_piece(-1, &at), EBADF);
}

static void what_knows_no_such_writing_is_at_its_end(void **state)
{
    uint64_t at = PIECE;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write_back_piece(ends[1], &at), 0);
    assert_int_equal(at, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_written_back_piece_by_piece_to_its_end),
        cmocka_unit_test(a_file_that_can_not_be_asked_is_told_of),
        cmocka_unit_test(what_knows_no_such_writing_is_at_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
