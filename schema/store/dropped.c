/* The set holds 128-bit hashes of the lines, not the lines: two events with the same hash won't happen. It is asked for
 * each record, and nearly always empty: that much is told without the lock. */
#include "schema/store/dropped.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/base/buf.h"
#include "schema/base/hash.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"

struct dropped {
    pthread_mutex_t lock; /* of all but the folder */
    char *folder;
    int64_t whole_bytes; /* of the file: lines that count */
    struct hash128 *slots; /* open addressing; all zero: free */
    size_t slot_count;     /* a power of two */
    _Atomic size_t count;
};

static bool is_free(struct hash128 hash)
{
    return hash.low == 0 && hash.high == 0;
}

static struct hash128 *find_slot(const struct dropped *dropped, struct hash128 hash)
{
    size_t at = (size_t)hash.low & (dropped->slot_count - 1);

    while (!is_free(dropped->slots[at]) &&
           (dropped->slots[at].low != hash.low || dropped->slots[at].high != hash.high))
        at = (at + 1) & (dropped->slot_count - 1);
    return &dropped->slots[at];
}

static void insert(struct dropped *dropped, struct hash128 hash)
{
    if (dropped->count * 2 >= dropped->slot_count) {
        struct hash128 *old = dropped->slots;
        size_t old_count = dropped->slot_count;
        dropped->slot_count = old_count ? old_count * 2 : 16;
        dropped->slots = mem_zero(dropped->slot_count, sizeof(*dropped->slots));
        for (size_t i = 0; i < old_count; i++) {
            if (!is_free(old[i]))
                *find_slot(dropped, old[i]) = old[i];
        }
        free(old);
    }
    struct hash128 *slot = find_slot(dropped, hash);
    dropped->count += is_free(*slot);
    *slot = hash;
}

/* Without the newline. */
static void write_line(const struct dropped_event *event, struct buf *line)
{
    buf_add_format(line, "%s/%" PRId32 "@%" PRId64, event->topic, event->partition, event->offset);
}

/* Whether `topic/partition@offset` could have been written by write_line(). */
static bool is_line(struct span line)
{
    const uint8_t *at = span_bytes(line);
    size_t end = line.len;

    while (end > 0 && at[end - 1] >= '0' && at[end - 1] <= '9')
        end--;
    if (end == line.len || end == 0 || at[--end] != '@')
        return false;
    size_t partition_end = end;
    while (end > 0 && at[end - 1] >= '0' && at[end - 1] <= '9')
        end--;
    return end != partition_end && end > 1 && at[end - 1] == '/' && memchr(at, '\0', line.len) == NULL;
}

static int load(struct dropped *dropped, struct span text, struct err *err)
{
    const uint8_t *at = span_bytes(text);
    size_t begin = 0;

    for (size_t number = 1; begin < text.len; number++) {
        const uint8_t *newline = memchr(at + begin, '\n', text.len - begin);
        if (newline == NULL)
            break; /* torn: a decision that wasn't made */
        struct span line = span_of(at + begin, (size_t)(newline - at) - begin);
        if (!is_line(line))
            return err_set(err, ERR_BROKEN, "%s/dropped: line %zu is not topic/partition@offset", dropped->folder,
                           number);
        insert(dropped, hash128(line));
        begin += line.len + 1;
    }
    dropped->whole_bytes = (int64_t)begin;
    return 0;
}

int dropped_open(const char *directory, struct dropped **ret_dropped, struct err *err)
{
    struct dropped *dropped = mem_zero(1, sizeof(*dropped));
    struct buf text = BUF_INIT;

    pthread_mutex_init(&dropped->lock, NULL);
    dropped->folder = mem_format("%s/control", directory);
    int rc = durable_read(dropped->folder, "dropped", SIZE_MAX, &text, err);
    if (rc == 0)
        rc = load(dropped, buf_span(&text), err);
    buf_release(&text);
    if (rc < 0 && rc != ERR_ABSENT) {
        dropped_close(&dropped);
        return rc;
    }
    *ret_dropped = dropped;
    return 0;
}

void dropped_close(struct dropped **dropped)
{
    if (*dropped == NULL)
        return;
    pthread_mutex_destroy(&(*dropped)->lock);
    free((*dropped)->slots);
    free((*dropped)->folder);
    free(*dropped);
    *dropped = NULL;
}

static bool contains(const struct dropped *dropped, const struct dropped_event *event)
{
    struct buf line = BUF_INIT;

    if (dropped->count == 0)
        return false;
    write_line(event, &line);
    bool is_there = !is_free(*find_slot(dropped, hash128(buf_span(&line))));
    buf_release(&line);
    return is_there;
}

bool dropped_contains(struct dropped *dropped, const struct dropped_event *event)
{
    if (dropped->count == 0)
        return false;
    pthread_mutex_lock(&dropped->lock);
    bool is_there = contains(dropped, event);
    pthread_mutex_unlock(&dropped->lock);
    return is_there;
}

size_t dropped_count(const struct dropped *dropped)
{
    return dropped->count;
}

/* Behind the last whole line; what a crash left there is cut off. */
static int append(struct dropped *dropped, struct span lines)
{
    char *path = mem_format("%s/dropped", dropped->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int rc = 0;

    free(path);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, dropped->whole_bytes) != 0)
        rc = -errno;
    if (rc == 0) {
        ssize_t written = pwrite(fd, lines.at, lines.len, dropped->whole_bytes);
        if (written != (ssize_t)lines.len)
            rc = written < 0 ? -errno : -ENOSPC;
    }
    if (rc == 0 && fsync(fd) != 0)
        rc = -errno;
    /* A part of the lines mustn't come into force after the caller was told that none has. */
    if (rc < 0 && ftruncate(fd, dropped->whole_bytes) != 0)
        rc = -errno;
    close(fd);
    return rc;
}

int dropped_add(struct dropped *dropped, const struct dropped_event *events, size_t count, struct err *err)
{
    struct buf lines = BUF_INIT;
    struct buf line = BUF_INIT;
    struct hash128 *hashes = mem_alloc(count * sizeof(*hashes));
    size_t new_count = 0;

    pthread_mutex_lock(&dropped->lock);
    for (size_t i = 0; i < count; i++) {
        if (contains(dropped, &events[i]))
            continue;
        buf_clear(&line);
        write_line(&events[i], &line);
        hashes[new_count++] = hash128(buf_span(&line));
        buf_add_span(&lines, buf_span(&line));
        buf_add_byte(&lines, '\n');
    }
    int rc = new_count > 0 ? append(dropped, buf_span(&lines)) : 0;
    if (rc < 0)
        rc = err_set_errno(err, ERR_BROKEN, -rc, "%s/dropped: can't write", dropped->folder);
    else if (new_count > 0)
        rc = durable_sync_folder(dropped->folder, err);
    if (rc == 0) {
        dropped->whole_bytes += (int64_t)lines.len;
        for (size_t i = 0; i < new_count; i++)
            insert(dropped, hashes[i]);
    }
    pthread_mutex_unlock(&dropped->lock);
    free(hashes);
    buf_release(&line);
    buf_release(&lines);
    return rc;
}
