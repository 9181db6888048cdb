#include "schema/store/write_back.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* 8 ms of a disk that writes 125 MB/s, which is what clouds give without being asked for more. */
enum { PIECE_BYTES = 1 << 20 };

int write_back_piece(int fd, uint64_t *at)
{
    const unsigned flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    struct stat file;

    if (fstat(fd, &file) != 0)
        return errno;
    if (sync_file_range(fd, (off64_t)*at, PIECE_BYTES, flags) != 0) {
        int failure = errno;
        *at = 0;
        return failure == EINVAL || failure == ENOSYS || failure == ESPIPE ? 0 : failure;
    }
    *at = *at + PIECE_BYTES < (uint64_t)file.st_size ? *at + PIECE_BYTES : 0;
    return 0;
}
