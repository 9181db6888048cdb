/* Commands read what the projector writes: one snapshot for the whole answer. */
#include "projector/opened_store.h"

#include <stdlib.h>

#include "projector/positions.h"
#include "schema/base/mem.h"
#include "schema/store/partitioner.h"

static int find_name(const char *directory, const char *name, struct serving *ret_serving, struct err *err)
{
    int rc;

    if (name != NULL) {
        if (!generation_is_name(name))
            return err_set(err, ERR_INPUT, "%s is not a generation's name", name);
        serving_start(ret_serving, name, 0);
        return 0;
    }
    rc = serving_read(directory, ret_serving, err);
    return rc == ERR_ABSENT ? err_set(err, ERR_ABSENT, "%s holds no generation yet", directory) : rc;
}

int opened_store_open(const char *directory, const char *name, enum store_access access,
                      struct opened_store *ret_opened, struct err *err)
{
    struct opened_store opened = {0};
    struct serving serving;
    struct mistakes mistakes = {NULL, 0, 0};
    struct store_options options = {.access = access};

    int rc = store_directory_check(directory, err);
    if (rc == ERR_ABSENT)
        return err_set(err, ERR_ABSENT, "%s is not a store, or an empty one", directory);
    if (rc == 0)
        rc = find_name(directory, name, &serving, err);
    if (rc == 0)
        rc = generation_open(directory, serving_incumbent(&serving), &opened.generation, err);
    if (rc == ERR_ABSENT)
        rc = err_set(err, ERR_ABSENT, "%s holds no generation %s", directory, name ? name : "that is served");
    if (rc == 0)
        rc = view_set_load(buf_span(&opened.generation->schema), &opened.views, &mistakes, err);
    mistakes_release(&mistakes);
    if (rc == 0) {
        rc = store_open(opened.generation->folder, &options, &opened.store, err);
        if (rc == ERR_ABSENT)
            err_set(err, ERR_ABSENT, "generation %s holds nothing yet", opened.generation->name);
    }
    if (rc == 0)
        rc = store_reader_open(opened.store, &opened.reader, err);
    if (rc == 0)
        rc = store_read_begin(opened.reader, err);
    if (rc < 0) {
        opened_store_close(&opened);
        return rc;
    }
    *ret_opened = opened;
    return 0;
}

void opened_store_close(struct opened_store *opened)
{
    if (opened->reader != NULL)
        store_read_end(opened->reader);
    store_reader_close(&opened->reader);
    store_close(&opened->store);
    view_set_free(&opened->views);
    generation_close(&opened->generation);
}

int opened_store_positions(const struct opened_store *opened, struct span owner, struct shown_position **ret_list,
                           size_t *ret_count, struct err *err)
{
    unsigned range = owner_range(hash64(owner));
    struct positions positions;
    size_t count = 0;

    positions_init(&positions, opened->generation->settings.topic_count);
    int rc = positions_load(&positions, opened->reader, err);
    struct shown_position *list = mem_alloc((positions.count + 1) * sizeof(*list));
    for (size_t i = 0; rc == 0 && i < positions.count; i++) {
        const struct partition *partition = positions.partitions[i];
        const struct partition_row *row = &partition->row;
        int32_t own = partitioner_partition((enum partitioner)row->partitioner, owner, (int32_t)row->partition_count);
        if (own < 0 || own == partition->number)
            list[count++] =
                (struct shown_position){partition->topic, partition->number, partition->stored[range].next_offset - 1};
    }
    positions_release(&positions);
    if (rc < 0) {
        free(list);
        return rc;
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}
