/* Entries are made under the lock and found again through pointers, so that offsets may be read and moved without it by
 * those who handle each record. The text that is on the disk is kept: an unchanged table isn't written again. */
#include "schema/store/announced.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/buf.h"
#include "schema/base/mem.h"
#include "schema/store/durable.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static const char head[] = "tarn-announced 1\n";

struct entry {
    char *topic;
    int32_t partition;
    struct announced_partition at;
};

struct announced {
    pthread_mutex_t lock;  /* of the list */
    pthread_mutex_t write; /* of the file, and its text */
    char *folder;
    struct entry **entries;
    size_t count, capacity;
    struct buf text; /* as it is on the disk */
};

static struct entry *find(struct announced *announced, struct span topic, int32_t partition)
{
    for (size_t i = 0; i < announced->count; i++)
        if (announced->entries[i]->partition == partition && span_equal_text(topic, announced->entries[i]->topic))
            return announced->entries[i];
    struct entry *entry = mem_zero(1, sizeof(*entry));
    entry->topic = mem_text_of(topic);
    entry->partition = partition;
    atomic_init(&entry->at.next_offset, ANNOUNCED_NOT_YET);
    atomic_init(&entry->at.sent_offset, ANNOUNCED_NOT_YET);
    announced->entries =
        mem_grow(announced->entries, announced->count, &announced->capacity, sizeof(*announced->entries));
    announced->entries[announced->count++] = entry;
    return entry;
}

/* Digits up to `end`; false: something else, or too many. */
static bool read_number(struct span text, int64_t max, int64_t *ret_number)
{
    const uint8_t *at = span_bytes(text);
    int64_t number = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (at[i] < '0' || at[i] > '9' || number > (max - (at[i] - '0')) / 10)
            return false;
        number = number * 10 + (at[i] - '0');
    }
    *ret_number = number;
    return text.len > 0;
}

static bool read_line(struct announced *announced, struct span line)
{
    const uint8_t *at = span_bytes(line);
    const uint8_t *space = memchr(at, ' ', line.len);
    const uint8_t *slash = space != NULL ? memrchr(at, '/', (size_t)(space - at)) : NULL;
    int64_t partition, offset;

    if (slash == NULL || slash == at ||
        !read_number(span_of(slash + 1, (size_t)(space - slash) - 1), INT32_MAX, &partition) ||
        !read_number(span_of(space + 1, line.len - (size_t)(space - at) - 1), INT64_MAX, &offset))
        return false;
    struct entry *entry = find(announced, span_of(at, (size_t)(slash - at)), (int32_t)partition);
    atomic_init(&entry->at.next_offset, offset);
    atomic_init(&entry->at.sent_offset, offset);
    return true;
}

static int load(struct announced *announced, struct err *err)
{
    struct span text = buf_span(&announced->text);
    const uint8_t *at = span_bytes(text);

    if (!span_starts_with(text, span_of_text(head)))
        return err_set(err, ERR_INPUT, "%s/announced is of a version that this program doesn't know", announced->folder);
    for (size_t begin = strlen(head), number = 2; begin < text.len; number++) {
        const uint8_t *newline = memchr(at + begin, '\n', text.len - begin);
        size_t end = newline != NULL ? (size_t)(newline - at) : text.len;
        if (newline == NULL || !read_line(announced, span_of(at + begin, end - begin)))
            return err_set(err, ERR_INPUT, "%s/announced: line %zu is not topic/partition offset", announced->folder,
                           number);
        begin = end + 1;
    }
    return 0;
}

int announced_open(const char *directory, struct announced **ret_announced, struct err *err)
{
    struct announced *announced = mem_zero(1, sizeof(*announced));

    pthread_mutex_init(&announced->lock, NULL);
    pthread_mutex_init(&announced->write, NULL);
    announced->folder = mem_format("%s/control", directory);
    int rc = durable_read(announced->folder, "announced", FILE_BYTES_MAX, &announced->text, err);
    if (rc == 0)
        rc = load(announced, err);
    if (rc < 0 && rc != ERR_ABSENT) {
        announced_close(&announced);
        return rc;
    }
    *ret_announced = announced;
    return 0;
}

void announced_close(struct announced **announced)
{
    struct announced *closed = *announced;

    if (closed == NULL)
        return;
    for (size_t i = 0; i < closed->count; i++) {
        free(closed->entries[i]->topic);
        free(closed->entries[i]);
    }
    free(closed->entries);
    free(closed->folder);
    buf_release(&closed->text);
    pthread_mutex_destroy(&closed->write);
    pthread_mutex_destroy(&closed->lock);
    free(closed);
    *announced = NULL;
}

struct announced_partition *announced_at(struct announced *announced, const char *topic, int32_t partition)
{
    pthread_mutex_lock(&announced->lock);
    struct entry *entry = find(announced, span_of_text(topic), partition);
    pthread_mutex_unlock(&announced->lock);
    return &entry->at;
}

void announced_walk(struct announced *announced,
                    void (*visit)(void *self, const char *topic, int32_t partition, struct announced_partition *entry),
                    void *self)
{
    pthread_mutex_lock(&announced->lock);
    for (size_t i = 0; i < announced->count; i++)
        visit(self, announced->entries[i]->topic, announced->entries[i]->partition, &announced->entries[i]->at);
    pthread_mutex_unlock(&announced->lock);
}

static void add_line(void *self, const char *topic, int32_t partition, struct announced_partition *entry)
{
    int64_t next_offset = atomic_load(&entry->next_offset);

    if (next_offset >= 0)
        buf_add_format(self, "%s/%" PRId32 " %" PRId64 "\n", topic, partition, next_offset);
}

int announced_write(struct announced *announced, struct err *err)
{
    struct buf text = BUF_INIT;
    int rc = 0;

    pthread_mutex_lock(&announced->write);
    buf_add_literal(&text, head);
    announced_walk(announced, add_line, &text);
    bool is_first = announced->text.len == 0 && text.len == strlen(head);
    if (!is_first && !span_equal(buf_span(&text), buf_span(&announced->text))) {
        rc = durable_write(announced->folder, "announced", buf_span(&text), err);
        if (rc == 0) {
            buf_clear(&announced->text);
            buf_add_span(&announced->text, buf_span(&text));
        }
    }
    pthread_mutex_unlock(&announced->write);
    buf_release(&text);
    return rc;
}
