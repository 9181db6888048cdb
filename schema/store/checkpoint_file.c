#include "schema/store/checkpoint_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"

#define NAME "checkpoint"

enum {
    SLOT_STEP_BYTES = 4096,
    FILE_BYTES_MAX = 1 << 20, /* pages of 64 KiB, which are the largest that LMDB takes, and room */
};

struct header {
    char magic[8];
    uint64_t sequence;
    uint64_t page_bytes;
    uint64_t sum;
    char boot_id[STORE_BOOT_ID_SIZE];
};

static const char magic[8] = {'T', 'a', 'r', 'n', 'C', 'h', 'k', '1'};

static size_t slot_bytes_of(size_t page_bytes)
{
    return (sizeof(struct header) + page_bytes + SLOT_STEP_BYTES - 1) / SLOT_STEP_BYTES * SLOT_STEP_BYTES;
}

static uint64_t sum_of(struct header header, struct span pages)
{
    header.sum = 0;
    return hash128_pair(span_of(&header, sizeof(header)), pages).low;
}

static void add_zeros(struct buf *bytes, size_t count)
{
    memset(buf_reserve(bytes, count), 0, count);
    bytes->len += count;
}

static void add_slot(const struct checkpoint_record *record, struct buf *bytes)
{
    struct header header = {.sequence = record->sequence, .page_bytes = record->pages.len};
    size_t end = bytes->len + slot_bytes_of(record->pages.len);

    memcpy(header.magic, magic, sizeof(magic));
    memcpy(header.boot_id, record->boot_id, sizeof(header.boot_id));
    header.sum = sum_of(header, record->pages);
    buf_add(bytes, &header, sizeof(header));
    buf_add_span(bytes, record->pages);
    add_zeros(bytes, end - bytes->len);
}

static bool parse_slot(struct span slot, struct checkpoint_record *ret_record)
{
    struct header header;

    if (slot.len < sizeof(header))
        return false;
    memcpy(&header, slot.at, sizeof(header));
    if (memcmp(header.magic, magic, sizeof(magic)) != 0 || header.page_bytes > slot.len - sizeof(header))
        return false;
    struct span pages = span_of(span_bytes(slot) + sizeof(header), header.page_bytes);
    if (header.sum != sum_of(header, pages) || header.boot_id[sizeof(header.boot_id) - 1] != '\0')
        return false;
    ret_record->sequence = header.sequence;
    memcpy(ret_record->boot_id, header.boot_id, sizeof(header.boot_id));
    ret_record->pages = pages;
    return true;
}

int checkpoint_file_make(const char *folder, const struct checkpoint_record *record, int *ret_fd, struct err *err)
{
    struct buf bytes = BUF_INIT;
    char *path = mem_format("%s/" NAME, folder);

    add_slot(record, &bytes);
    add_zeros(&bytes, bytes.len);
    int rc = durable_write(folder, NAME, buf_span(&bytes), err);
    int fd = rc == 0 ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (rc == 0 && fd < 0)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s", path);
    if (rc < 0) {
        /* One that stayed would take the commits behind it at the next power cut. */
        struct err stays;
        if (checkpoint_file_remove(folder, &stays) < 0)
            rc = err_set(err, ERR_BROKEN, "%s is to be removed before anything else is stored: %s", path, stays.text);
    }
    free(path);
    buf_release(&bytes);
    *ret_fd = fd;
    return rc;
}

int checkpoint_file_put(int fd, const struct checkpoint_record *record)
{
    struct buf bytes = BUF_INIT;
    int failure = 0;

    add_slot(record, &bytes);
    ssize_t written = pwrite(fd, bytes.at, bytes.len, (off_t)(record->sequence % 2 * bytes.len));
    if (written < 0)
        failure = errno;
    else if ((size_t)written < bytes.len)
        failure = ENOSPC;
    buf_release(&bytes);
    return failure;
}

int checkpoint_file_read(const char *folder, struct buf *bytes, struct checkpoint_record *ret_record, struct err *err)
{
    struct checkpoint_record record;
    bool is_found = false;

    buf_clear(bytes);
    int rc = durable_read(folder, NAME, FILE_BYTES_MAX, bytes, err);
    if (rc < 0)
        return rc;
    size_t slot_bytes = bytes->len / 2;
    for (size_t i = 0; i < 2; i++) {
        if (!parse_slot(span_of(bytes->at + i * slot_bytes, slot_bytes), &record))
            continue;
        if (!is_found || record.sequence > ret_record->sequence)
            *ret_record = record;
        is_found = true;
    }
    return is_found ? 0
                    : err_set(err, ERR_BROKEN,
                              "%s/" NAME " is damaged, and what lies beside it was in use: rebuild the store from Kafka",
                              folder);
}

void checkpoint_file_spoil(int fd, struct checkpoint_record record)
{
    record.sequence++;
    memset(record.boot_id, 0, sizeof(record.boot_id));
    int failure = checkpoint_file_put(fd, &record);
    if (failure == 0)
        failure = fdatasync(fd) == 0 ? 0 : errno;
    (void)failure; /* the disk may have failed for this file, too: what it says then is what it said before */
}

int checkpoint_file_remove(const char *folder, struct err *err)
{
    char *path = mem_format("%s/" NAME, folder);
    int rc = 0;

    if (unlink(path) != 0 && errno != ENOENT)
        rc = err_set_errno(err, ERR_BROKEN, errno, "%s: can't remove", path);
    free(path);
    return rc == 0 ? durable_sync_folder(folder, err) : rc;
}
