/* A job carries copies of positions, so that the cursor may move on while it is written. */
#include "projector/job.h"

#include <stdlib.h>

#include "schema/base/mem.h"

static void add_position(struct job *job, struct partition *partition, unsigned range, const struct position *position)
{
    job->positions = mem_grow(job->positions, job->position_count, &job->position_capacity, sizeof(*job->positions));
    job->positions[job->position_count++] =
        (struct job_position){partition, partition->topic, partition->number, range, *position};
}

static void add_partition(struct job *job, struct partition *partition)
{
    job->partitions =
        mem_grow(job->partitions, job->partition_count, &job->partition_capacity, sizeof(*job->partitions));
    job->partitions[job->partition_count++] =
        (struct job_partition){partition, partition->topic, partition->number, partition->row};
}

void job_freeze(struct job *job, uint32_t ranges, struct cache *const caches[RANGE_COUNT],
                struct positions *positions)
{
    positions_end_batch(positions);
    job->ranges = ranges;
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        if (ranges >> range & 1)
            cache_freeze(caches[range], range, &job->rows[range]);
    for (size_t i = 0; i < positions->count; i++) {
        struct partition *partition = positions->partitions[i];
        struct position position;
        for (unsigned range = 0; range < RANGE_COUNT; range++)
            if (positions_must_write(partition, range, ranges, &position))
                add_position(job, partition, range, &position);
        if (positions_row_differs(partition))
            add_partition(job, partition);
    }
}

void job_finish(struct job *job, struct cache *const caches[RANGE_COUNT], struct positions *positions)
{
    for (unsigned range = 0; range < RANGE_COUNT; range++)
        cache_thaw(caches[range], &job->rows[range]);
    for (size_t i = 0; i < job->position_count; i++)
        positions_stored(job->positions[i].partition, job->positions[i].range, &job->positions[i].position);
    for (size_t i = 0; i < job->partition_count; i++)
        positions_row_stored(job->partitions[i].partition, &job->partitions[i].row);
    positions_look(positions);
    job->position_count = 0;
    job->partition_count = 0;
    job->ranges = 0;
    job->is_sorted = false;
}

void job_release(struct job *job, struct cache *const caches[RANGE_COUNT])
{
    for (unsigned range = 0; range < RANGE_COUNT; range++) {
        cache_thaw(caches[range], &job->rows[range]);
        free(job->rows[range].items);
    }
    free(job->positions);
    free(job->partitions);
    *job = (struct job){0};
}

size_t job_row_count(const struct job *job)
{
    size_t count = 0;

    for (unsigned range = 0; range < RANGE_COUNT; range++)
        count += job->rows[range].count;
    return count;
}
