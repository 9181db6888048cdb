/* A bucket of records for the rate, refilled by the clock and never holding more than a tenth of a second's worth, so
 * that a pause isn't made up for in one go. For the others' sake the share of time follows their commits like a
 * connection's window follows losses: down by a fifth at a time, up by a little. */
#include "projector/throttle.h"

enum {
    BUCKET_PER_S = 10,
    LOOK_EVERY_US = 100 * 1000,
    UP_PERMILLE = 25,
    HARMLESS_US = 1500, /* commits that are still this fast suffer from nothing, however fast they were */
    REST_MAX_US = 200 * 1000,
    IN_VAIN_US = 5 * 1000 * 1000, /* a smoothed value has long followed by then */
    MEMORY_US = 250 * 1000,
    USUAL_MEMORY_US = 2 * 1000 * 1000,
};

static void smooth(_Atomic int64_t *value, int64_t next, int64_t weight, int64_t of)
{
    int64_t before = *value;
    *value = before == 0 || weight >= of ? next : before + (next - before) * weight / of;
}

/* Live followers may do so at once: a lost update of a smoothed value is no harm. */
void pressure_note(struct pressure *pressure, int64_t now_us, int64_t took_us)
{
    int64_t since_us = now_us - pressure->noted_us;

    pressure->noted_us = now_us;
    smooth(&pressure->commit_us, took_us, since_us, MEMORY_US);
    if (pressure->building == 0)
        smooth(&pressure->usual_us, took_us, since_us, USUAL_MEMORY_US);
}

void throttle_init(struct throttle *throttle, int64_t rate, int64_t cores, int64_t now_us)
{
    *throttle = (struct throttle){.rate = rate,
                                  .refilled_us = now_us,
                                  .share_max = THROTTLE_SHARE_MAX - THROTTLE_SHARE_MAX / (cores > 2 ? cores : 2),
                                  .share_permille = THROTTLE_SHARE_MIN,
                                  .looked_us = now_us};
}

int64_t throttle_admit(struct throttle *throttle, int64_t now_us, int64_t wanted)
{
    if (throttle->rate == 0)
        return wanted;
    int64_t room = throttle->rate / BUCKET_PER_S > 0 ? throttle->rate / BUCKET_PER_S : 1;
    int64_t passed_us = now_us - throttle->refilled_us;
    int64_t earned = passed_us >= 1000 * 1000 ? room : passed_us * throttle->rate / (1000 * 1000);
    if (earned > 0) {
        /* What the division cut off stays in the time that is still to be paid for. */
        throttle->refilled_us =
            passed_us >= 1000 * 1000 ? now_us : throttle->refilled_us + earned * 1000 * 1000 / throttle->rate;
        throttle->tokens = throttle->tokens + earned < room ? throttle->tokens + earned : room;
    }
    int64_t admitted = wanted < throttle->tokens ? wanted : throttle->tokens;
    throttle->tokens -= admitted;
    return admitted;
}

void throttle_return(struct throttle *throttle, int64_t unused)
{
    if (throttle->rate > 0)
        throttle->tokens += unused;
}

/* The least share, for long, and live commits take as long as before: somebody else slows them down. */
static void note_in_vain(struct throttle *throttle, struct pressure *pressure, int64_t now_us, bool is_too_much)
{
    if (!is_too_much || throttle->share_permille > THROTTLE_SHARE_MIN) {
        throttle->least_since_us = 0;
    } else if (throttle->least_since_us == 0) {
        throttle->least_since_us = now_us;
    } else if (now_us - throttle->least_since_us >= IN_VAIN_US) {
        pressure->usual_us = pressure->commit_us;
        throttle->least_since_us = 0;
    }
}

int64_t throttle_rest_us(struct throttle *throttle, struct pressure *pressure, int64_t now_us, int64_t worked_us)
{
    if (now_us - throttle->looked_us >= LOOK_EVERY_US) {
        int64_t usual_us = pressure->usual_us;
        int64_t bearable_us = usual_us * 3 / 2 > HARMLESS_US ? usual_us * 3 / 2 : HARMLESS_US;
        bool is_too_much = usual_us > 0 && pressure->commit_us > bearable_us;
        int64_t share =
            is_too_much ? throttle->share_permille * 4 / 5 : throttle->share_permille + UP_PERMILLE;
        if (share < THROTTLE_SHARE_MIN)
            share = THROTTLE_SHARE_MIN;
        if (share > throttle->share_max)
            share = throttle->share_max;
        throttle->share_permille = usual_us > 0 ? share : THROTTLE_SHARE_MAX;
        throttle->looked_us = now_us;
        note_in_vain(throttle, pressure, now_us, is_too_much);
    }
    int64_t rest_us = worked_us * (1000 - throttle->share_permille) / throttle->share_permille;
    return rest_us < REST_MAX_US ? rest_us : REST_MAX_US;
}
