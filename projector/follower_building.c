/* What a follower does only while its generation is under construction: it takes what --rate and the disk's reserve
 * allow, brings what it wrote to the disk, rests for the sake of those that people read, and ends by becoming whole. */
#include <inttypes.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "projector/follower_state.h"

enum {
    DISK_EVERY_US = 500 * 1000,
    WRITE_BACK_EVERY_US = 5 * 1000 * 1000, /* the kernel waits for 30 s, and then writes all at once */
    WRITE_BACK_TURN_US = 20 * 1000,
};

void follower_building_begin(struct follower *follower)
{
    follower->write_back.ended_us = follower->started_us;
    throttle_init(&follower->throttle, follower->building.rate, sysconf(_SC_NPROCESSORS_ONLN), follower->started_us);
}

static void look_at_disk(struct follower *follower)
{
    int64_t reserve = follower->options.settings->disk_reserve_bytes;
    int64_t now = follower_now_us(follower);
    struct statvfs status;

    if (now - follower->disk_looked_us < DISK_EVERY_US || statvfs(follower->generation->folder, &status) != 0)
        return;
    follower->disk_looked_us = now;
    /* Goes on only when there is a little more than the reserve, so that it doesn't stutter. */
    uint64_t wanted = (uint64_t)reserve + (follower->is_short_of_disk ? (uint64_t)reserve / 16 : 0);
    bool is_short = (uint64_t)status.f_bavail * status.f_frsize < wanted;
    if (is_short && !follower->is_short_of_disk)
        follower_say(follower, LOG_WARN,
                     "paused: less than %" PRId64 " MiB are free on the disk (--disk-reserve), which those that are "
                     "served may need",
                     reserve >> 20);
    if (!is_short && follower->is_short_of_disk)
        follower_say(follower, LOG_INFO, "the disk has room again: goes on");
    follower->is_short_of_disk = is_short;
}

size_t follower_building_room(struct follower *follower)
{
    look_at_disk(follower);
    if (follower->is_short_of_disk)
        return 0;
    return (size_t)throttle_admit(&follower->throttle, follower_now_us(follower), FOLLOWER_BATCH);
}

/* A few pieces of what the kernel holds, as part of the turn's work: so it is rested for like any other work. */
static int write_back(struct follower *follower, struct err *err)
{
    struct follower_write_back *walk = &follower->write_back;
    int64_t began_us = follower_now_us(follower);
    int rc;

    if (!walk->is_on && began_us - walk->ended_us < WRITE_BACK_EVERY_US)
        return 0;
    walk->is_on = true;
    do {
        rc = store_write_back(follower->store, &walk->at, err);
        if (walk->at == 0) {
            walk->is_on = false;
            walk->ended_us = follower_now_us(follower);
        }
    } while (rc == 0 && walk->is_on && !follower_must_stop(follower) &&
             follower_now_us(follower) - began_us < WRITE_BACK_TURN_US);
    return rc;
}

int follower_building_turn(struct follower *follower, size_t unused, int64_t began_us, struct err *err)
{
    throttle_return(&follower->throttle, (int64_t)unused);
    int rc = write_back(follower, err);
    if (rc < 0)
        return rc;
    int64_t now_us = follower_now_us(follower);
    int64_t rest_us = throttle_rest_us(&follower->throttle, follower->options.pressure, now_us, now_us - began_us);
    if (rest_us >= 1000)
        follower_wait_ms(follower, rest_us / 1000);
    return 0;
}

/* It has caught up, and nothing is being written at the moment: the moment to sync it and to say that it is whole. Before
 * it the disk takes what it still lacks, in pieces, as those that are read would wait behind such a sync. */
int follower_building_finish(struct follower *follower, bool *ret_is_whole, struct err *err)
{
    struct follower_write_back *walk = &follower->write_back;

    if (follower->hold.is_on || !(follower->is_ready || follower->must_be_whole) ||
        !materializer_is_idle(follower->materializer))
        return 0;
    if (!walk->is_last) {
        walk->is_last = walk->is_on = true;
        walk->at = 0;
    }
    if (walk->is_on)
        return 0;
    int rc = store_make_whole(follower->store, err);
    if (rc == 0)
        rc = building_end(follower->generation->folder, err);
    if (rc == 0) {
        follower_say(follower, LOG_INFO,
                     "built: everything is on the disk, and followed from now on like those that "
                     "are served");
        *ret_is_whole = true;
    }
    return rc;
}
