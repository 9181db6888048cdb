#include "schema/store/file_room.h"

#include <sys/stat.h>
#include <unistd.h>

void file_room_keep(int fd, uint64_t used_bytes)
{
    static const uint8_t zeros[FILE_ROOM_STEP_BYTES];
    struct stat file;

    if (fstat(fd, &file) != 0 || (uint64_t)file.st_size >= used_bytes + FILE_ROOM_LEAST_BYTES)
        return;
    off_t at = file.st_size;
    if ((uint64_t)at < used_bytes) /* pages that were given out and never written: theirs is the file's end, too */
        at = (off_t)used_bytes;
    ssize_t written = pwrite(fd, zeros, sizeof(zeros), at);
    (void)written;
}
