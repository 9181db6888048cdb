/* The figures are judged over the whole watch and over its last stretch: what goes wrong in the ninth minute of ten must
 * not be thinned out by eight good ones. A server that doesn't answer is asked again; when none has for BLIND_MS, nobody
 * watches any more, and the candidate is taken back. */
#include "projector/guard_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ops/runtime/http_fetch.h"
#include "ops/runtime/log.h"
#include "schema/base/mem.h"

enum {
    LOOK_MS = 1000,
    STRETCH_MS = 15000,
    BLIND_MS = 30000,
    TELL_MS = 10000,
    FETCH_MS = 5000,
    RERUN_LEAST_MS = 10000, /* a watch that was taken up late sees at least so much, or all of --for */
    PAGE_BYTES_MAX = 8 << 20,
};

enum { CANDIDATE, INCUMBENT, SIDES };

/* One query server as it was last seen. */
struct server {
    const char *url;
    bool is_known;
    struct guard_figures last[SIDES];
};

struct watching {
    const struct guard_watch *watch;
    const struct guard_world *world;
    char incumbent[GENERATION_NAME_MAX];
    struct serving_shares shares; /* as they were given */
    struct server *servers;
    size_t server_count;
    struct guard_figures whole[SIDES];
    struct guard_figures stretch[SIDES];
    int64_t end_ms, stretch_since_ms, seen_ms, told_ms;
};

static int fetch(void *self, const char *url, struct buf *page, struct err *err)
{
    (void)self;
    return http_fetch(url, FETCH_MS, PAGE_BYTES_MAX, page, err);
}

static void wait_ms(void *self, int64_t ms)
{
    (void)self;
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

const struct guard_world guard_world_system = {&clock_system, fetch, wait_ms, NULL};

static const char *name_of(const struct watching *watching, int side)
{
    return side == CANDIDATE ? watching->watch->generation : watching->incumbent;
}

/* True: it answered. */
static bool look_at(struct watching *watching, struct server *server)
{
    struct buf page = BUF_INIT;
    struct err err = {0};

    bool is_seen = watching->world->fetch(watching->world->self, server->url, &page, &err) == 0;
    if (!is_seen)
        log_warn("the guard sees nothing of %s", err.text);
    for (int side = 0; is_seen && side < SIDES; side++) {
        struct guard_figures now;
        guard_figures_read(buf_span(&page), name_of(watching, side), &now);
        if (server->is_known) {
            guard_figures_add_growth(&watching->whole[side], &server->last[side], &now);
            guard_figures_add_growth(&watching->stretch[side], &server->last[side], &now);
        }
        server->last[side] = now;
    }
    server->is_known |= is_seen;
    buf_release(&page);
    return is_seen;
}

static bool has_same_shares(const struct serving_shares *a, const struct serving_shares *b)
{
    bool is_same = a->since_ms == b->since_ms && a->count == b->count;

    for (size_t i = 0; is_same && i < a->count; i++)
        is_same = strcmp(a->shares[i].name, b->shares[i].name) == 0 && a->shares[i].percent == b->shares[i].percent;
    return is_same;
}

static int check_shares(const struct watching *watching, struct err *err)
{
    struct serving serving;

    int rc = serving_read(watching->watch->directory, &serving, err);
    if (rc == 0 && !has_same_shares(&serving.now, &watching->shares))
        rc = err_set(err, ERR_INPUT, "the shares were changed meanwhile: the guard of %s leaves them as they are",
                     watching->watch->generation);
    return rc;
}

static void tell(struct watching *watching, int64_t now_ms)
{
    const struct guard_figures *own = &watching->whole[CANDIDATE], *other = &watching->whole[INCUMBENT];

    if (now_ms - watching->told_ms < TELL_MS)
        return;
    watching->told_ms = now_ms;
    log_info("%s: %.0f answers, errors %.3g%%, p99 %.3g ms; %s: %.0f answers, p99 %.3g ms; %" PRId64 " s left",
             name_of(watching, CANDIDATE), own->answers, guard_error_rate(own, other) * 100,
             guard_figures_quantile(own, 0.99) * 1000, watching->incumbent, other->answers,
             guard_figures_quantile(other, 0.99) * 1000,
             watching->end_ms > now_ms ? (watching->end_ms - now_ms) / 1000 : 0);
}

/* False: not yet decided. */
static bool decide(struct watching *watching, int64_t now_ms, bool *ret_is_well, struct buf *why)
{
    const struct guard_limits *limits = &watching->watch->limits;
    const struct guard_figures *whole = watching->whole, *stretch = watching->stretch;
    bool is_over = now_ms >= watching->end_ms;

    *ret_is_well = false;
    if (now_ms - watching->seen_ms >= BLIND_MS || (is_over && watching->seen_ms == 0)) {
        buf_add_literal(why, "no query server tells its figures, so nobody can say how it answers");
        return true;
    }
    if ((is_over || stretch[CANDIDATE].answers >= GUARD_ANSWERS_LEAST) &&
        !guard_is_well(limits, &stretch[CANDIDATE], &stretch[INCUMBENT], why))
        return true;
    if ((is_over || whole[CANDIDATE].answers >= GUARD_ANSWERS_LEAST) &&
        !guard_is_well(limits, &whole[CANDIDATE], &whole[INCUMBENT], why))
        return true;
    if (!is_over)
        return false;
    if (whole[CANDIDATE].answers < 1) {
        buf_add_literal(why, "it answered nobody, so nothing speaks for it");
        return true;
    }
    buf_add_format(why, "%.0f answers, error rate %.3g%%, p99 %.3g ms (the incumbent's: %.3g ms)",
                   whole[CANDIDATE].answers, guard_error_rate(&whole[CANDIDATE], &whole[INCUMBENT]) * 100,
                   guard_figures_quantile(&whole[CANDIDATE], 0.99) * 1000,
                   guard_figures_quantile(&whole[INCUMBENT], 0.99) * 1000);
    *ret_is_well = true;
    return true;
}

static int begin(struct watching *watching, struct err *err)
{
    const struct guard_watch *watch = watching->watch;
    int64_t now_ms = clock_wall_ms(watching->world->clock);
    int64_t least_ms = watch->for_ms < RERUN_LEAST_MS ? watch->for_ms : RERUN_LEAST_MS;
    struct serving serving;

    int rc = serving_read(watch->directory, &serving, err);
    if (rc < 0)
        return rc;
    if (serving.now.count < 2 || strcmp(serving.now.shares[1].name, watch->generation) != 0)
        return err_set(err, ERR_INPUT, "%s has no share that a guard could watch", watch->generation);
    watching->shares = serving.now;
    memcpy(watching->incumbent, serving_incumbent(&serving), sizeof(watching->incumbent));
    watching->end_ms = serving.now.since_ms + watch->for_ms;
    if (watching->end_ms < now_ms + least_ms)
        watching->end_ms = now_ms + least_ms;
    watching->seen_ms = watching->stretch_since_ms = watching->told_ms = now_ms;
    watching->server_count = watch->urls->count;
    watching->servers = mem_zero(watch->urls->count, sizeof(*watching->servers));
    for (size_t i = 0; i < watch->urls->count; i++)
        watching->servers[i].url = watch->urls->items[i];
    return 0;
}

int guard_watch(const struct guard_watch *watch, const struct guard_world *world, bool *ret_is_well, struct buf *why,
                struct err *err)
{
    struct watching watching = {.watch = watch, .world = world};
    int64_t look_ms = watch->for_ms / 10 < LOOK_MS ? watch->for_ms / 10 + 1 : LOOK_MS;
    bool is_decided = false;

    int rc = begin(&watching, err);
    while (rc == 0 && !is_decided) {
        for (size_t i = 0; i < watching.server_count; i++)
            if (look_at(&watching, &watching.servers[i]))
                watching.seen_ms = clock_wall_ms(world->clock);
        int64_t now_ms = clock_wall_ms(world->clock);
        rc = check_shares(&watching, err);
        if (rc == 0)
            is_decided = decide(&watching, now_ms, ret_is_well, why);
        if (now_ms - watching.stretch_since_ms >= STRETCH_MS &&
            watching.stretch[CANDIDATE].answers >= GUARD_ANSWERS_LEAST) {
            memset(watching.stretch, 0, sizeof(watching.stretch));
            watching.stretch_since_ms = now_ms;
        }
        tell(&watching, now_ms);
        if (rc == 0 && !is_decided)
            world->wait_ms(world->self, look_ms);
    }
    free(watching.servers);
    return rc;
}
