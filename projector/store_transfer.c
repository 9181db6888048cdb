/* Order: TO is prepared and locked, what a former try left is dropped, decisions are copied, the generation's folder is
 * made (whole or not at all), its views are read and summed up, what it is is noted, and `serving` comes last: without it
 * nobody reads TO, and no projector that is started there goes on with half of it. */
#include "projector/store_transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "projector/opened_store.h"
#include "projector/positions.h"
#include "schema/base/clock.h"
#include "schema/base/mem.h"
#include "schema/store/building.h"
#include "schema/store/digest.h"
#include "schema/store/durable.h"
#include "schema/store/lock.h"
#include "schema/store/store_copy.h"

#define COPIED_HEAD "tarn-copy 1\n"

enum { SMALL_FILE_MAX = 1 << 20, DECISIONS_BYTES_MAX = 1 << 30 };

void store_transferred_release(struct store_transferred *transferred)
{
    buf_release(&transferred->digests);
    buf_release(&transferred->positions);
}

/* --- what a store holds --- */

static int add_digests(const struct opened_store *opened, struct buf *out, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < opened->views->view_count; i++) {
        struct digest digest;
        rc = digest_of_view(opened->reader, opened->views->views[i].number, &digest, err);
        if (rc == 0)
            digest_line(opened->views->views[i].name, &digest, out);
    }
    return rc;
}

static int add_positions(const struct opened_store *opened, struct buf *out, struct err *err)
{
    struct positions positions;

    positions_init(&positions, opened->generation->settings.topic_count);
    int rc = positions_load(&positions, opened->reader, err);
    for (size_t i = 0; rc == 0 && i < positions.count; i++)
        buf_add_format(out, "%s%s/%" PRId32 "@%" PRId64, i > 0 ? ", " : "",
                       opened->generation->settings.topics[positions.partitions[i]->topic],
                       positions.partitions[i]->number, positions.partitions[i]->cursor.next_offset - 1);
    positions_release(&positions);
    return rc;
}

/* --- TO --- */

static int copy_file(const char *from, const char *to, const char *name, struct err *err)
{
    char *from_control = mem_format("%s/control", from), *to_control = mem_format("%s/control", to);
    struct buf bytes = BUF_INIT;

    int rc = durable_read(from_control, name, DECISIONS_BYTES_MAX, &bytes, err);
    if (rc == 0)
        rc = durable_write(to_control, name, buf_span(&bytes), err);
    buf_release(&bytes);
    free(from_control);
    free(to_control);
    return rc == ERR_ABSENT ? 0 : rc;
}

/* So that the copy gets the name that it has. */
static int reserve_name(const char *to, const char *name, struct err *err)
{
    char *control = mem_format("%s/control", to);
    const char *dash = strchr(name, '-');
    unsigned long ordinal = strtoul(dash + 1, NULL, 10);
    char *line = mem_format("%.*s %lu\n", (int)(dash - name), name, ordinal - 1);

    int rc = durable_write(control, "ordinals", span_of_text(line), err);
    free(line);
    free(control);
    return rc;
}

/* What a transfer left that was killed. Anything else isn't ours to clear. */
static int clear_begun(const char *to, struct err *err)
{
    char *control = mem_format("%s/control", to);
    struct buf mark = BUF_INIT;
    char **names = NULL;
    size_t count = 0;

    int rc = generation_list(to, &names, &count, err);
    int marked = durable_read(control, "copying", SMALL_FILE_MAX, &mark, err);
    if (rc == 0 && count > 0 && marked != 0)
        rc = err_set(err, ERR_INPUT, "%s holds generations already: name another directory", to);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = generation_drop(to, names[i], err);
    if (rc == 0)
        rc = generation_clear_trash(to, err);
    if (rc == 0)
        rc = durable_write(control, "copying", SPAN_LITERAL("begun\n"), err);
    durable_free_names(names, count);
    buf_release(&mark);
    free(control);
    return rc;
}

static int prepare_target(const struct store_transfer *transfer, struct lock **lock, struct err *err)
{
    struct serving serving;

    int rc = store_directory_prepare(transfer->to, err);
    if (rc == 0)
        rc = lock_take(transfer->to, transfer->command, lock, err);
    if (rc < 0)
        return rc;
    rc = serving_read(transfer->to, &serving, err);
    if (rc == 0)
        return err_set(err, ERR_INPUT, "%s is a store already: name another directory", transfer->to);
    return rc == ERR_ABSENT ? clear_begun(transfer->to, err) : rc;
}

static int copy_store(void *self, const char *folder, struct err *err)
{
    const struct opened_store *from = self;

    return store_copy(from->store, folder, err);
}

static int make_copy(const struct store_transfer *transfer, struct opened_store *from, struct err *err)
{
    const struct generation_preparation preparation = {copy_store, from};
    struct generation *made = NULL;

    int rc = reserve_name(transfer->to, from->generation->name, err);
    if (rc == 0)
        rc = copy_file(transfer->from, transfer->to, "dropped", err);
    if (rc == 0)
        rc = generation_make_prepared(transfer->to, buf_span(&from->generation->schema), &from->generation->settings,
                                      &preparation, &made, err);
    if (rc == 0 && strcmp(made->name, from->generation->name) != 0)
        rc = err_set(err, ERR_BROKEN, "the copy of %s is called %s", from->generation->name, made->name);
    generation_close(&made);
    return rc;
}

/* Reads all of the copy. */
static int prove(const struct store_transfer *transfer, struct store_transferred *transferred, struct err *err)
{
    struct opened_store copy = {0};
    struct store_size size;

    int rc = opened_store_open(transfer->to, transferred->name, STORE_READ_ONLY, &copy, err);
    if (rc == 0)
        rc = digest_check(copy.reader, err);
    if (rc == 0)
        rc = add_digests(&copy, &transferred->digests, err);
    if (rc == 0)
        rc = add_positions(&copy, &transferred->positions, err);
    if (rc == 0 && (rc = store_size(copy.store, &size, err)) == 0)
        transferred->file_bytes = size.file_bytes;
    opened_store_close(&copy);
    return rc < 0 ? err_prefix(err, "the copy") : 0;
}

static int finish(const struct store_transfer *transfer, const struct store_transferred *transferred, struct err *err)
{
    char *control = mem_format("%s/control", transfer->to);
    struct buf note = BUF_INIT;
    struct serving serving;

    buf_add_format(&note, COPIED_HEAD "%s\n%.*s\n", transferred->name, SPAN_ARGS(buf_span(&transferred->positions)));
    buf_add_span(&note, buf_span(&transferred->digests));
    int rc = durable_write(control, "copied", buf_span(&note), err);
    memset(&serving, 0, sizeof(serving));
    serving_start(&serving, transferred->name, clock_wall_ms(&clock_system));
    if (rc == 0)
        rc = serving_write(transfer->to, &serving, err);
    if (rc == 0) {
        char *mark = mem_format("%s/copying", control);
        unlink(mark); /* one that stays says nothing beside `serving` */
        free(mark);
    }
    buf_release(&note);
    free(control);
    return rc;
}

static int check_source(const struct store_transfer *transfer, const struct opened_store *from, struct err *err)
{
    const char *name = from->generation->name;

    if (building_is_there(from->generation->folder))
        return err_set(err, ERR_INPUT, "%s is under construction: wait until it has caught up", name);
    if (from->generation->settings.sample_percent > 0)
        return err_set(err, ERR_INPUT, "%s holds a sample of the people: a store that is served can't", name);
    if (strcmp(transfer->from, transfer->to) == 0)
        return err_set(err, ERR_INPUT, "a store can't be copied onto itself");
    return 0;
}

int store_transfer(const struct store_transfer *transfer, struct store_transferred *ret_transferred, struct err *err)
{
    struct store_transferred transferred = {.digests = BUF_INIT, .positions = BUF_INIT};
    struct opened_store from = {0};
    struct lock *lock = NULL;

    int rc = opened_store_open(transfer->from, transfer->generation, STORE_READ_ONLY, &from, err);
    if (rc == 0)
        rc = check_source(transfer, &from, err);
    if (rc == 0) {
        memcpy(transferred.name, from.generation->name, sizeof(transferred.name));
        rc = prepare_target(transfer, &lock, err);
    }
    if (rc == 0)
        rc = make_copy(transfer, &from, err);
    if (rc == 0)
        rc = prove(transfer, &transferred, err);
    if (rc == 0)
        rc = finish(transfer, &transferred, err);
    lock_release(&lock);
    opened_store_close(&from);
    if (rc == 0)
        *ret_transferred = transferred;
    else
        store_transferred_release(&transferred);
    return rc;
}

/* --- is it still what it was --- */

int store_transfer_verify(const char *directory, struct err *err)
{
    char *control = mem_format("%s/control", directory);
    struct buf note = BUF_INIT, digests = BUF_INIT;
    struct opened_store opened = {0};
    char name[GENERATION_NAME_MAX];

    int rc = durable_read(control, "copied", SMALL_FILE_MAX, &note, err);
    const char *text = buf_text(&note);
    const char *line = text + strlen(COPIED_HEAD);
    if (rc == 0 && (strncmp(text, COPIED_HEAD, strlen(COPIED_HEAD)) != 0 || strcspn(line, "\n") >= sizeof(name)))
        rc = err_set(err, ERR_INPUT, "%s/copied is not understood by this version", control);
    if (rc == 0) {
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(line, "\n"), line);
        rc = opened_store_open(directory, name, STORE_READ_ONLY, &opened, err);
    }
    if (rc == 0)
        rc = digest_check(opened.reader, err);
    if (rc == 0)
        rc = add_digests(&opened, &digests, err);
    if (rc == 0) {
        const char *noted = strchr(line, '\n');
        noted = noted != NULL ? strchr(noted + 1, '\n') : NULL;
        if (noted == NULL || strcmp(noted + 1, buf_text(&digests)) != 0)
            rc = err_set(err, ERR_BROKEN, "%s isn't what was copied there: its digests are others than those noted then",
                         directory);
    }
    opened_store_close(&opened);
    buf_release(&note);
    buf_release(&digests);
    free(control);
    return rc;
}
