/* `promote`: gives a generation the readers, or a share of them; with a guard it stays to see how that goes, and then gives
 * it all of them or none. */
#include <stdio.h>
#include <stdlib.h>

#include "ops/runtime/http_fetch.h"
#include "projector/carry_out.h"
#include "projector/command.h"
#include "projector/generation_change.h"
#include "projector/guard_watch.h"
#include "projector/shares_report.h"

struct promote_settings {
    struct command_common common;
    const char *store;
    int64_t traffic;
    int64_t retain_ms;
    bool is_forced;
    struct config_list guard;
    int64_t for_ms;
    struct config_list metrics;
    bool is_json;
    int64_t wait_ms;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct promote_settings),
    COMMAND_STORE_OPTION(struct promote_settings),
    {.name = "traffic",
     .kind = CONFIG_INTEGER,
     .offset = offsetof(struct promote_settings, traffic),
     .placeholder = "PERCENT",
     .fallback = "100",
     .min = 0,
     .max = 100,
     .help = "Which part of the people read it. Below 100 the generation that is served stays for the others; 0 gives a "
             "share back."},
    {.name = "retain",
     .kind = CONFIG_TIME_MS,
     .offset = offsetof(struct promote_settings, retain_ms),
     .placeholder = "TIME",
     .fallback = "0",
     .min = 0,
     .max = INT64_C(3650) * 24 * 3600 * 1000,
     .help = "For how long what was served before is kept up to date, so that rollback can go back to it; then it is "
             "dropped. 0: until somebody drops it."},
    {.name = "force",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct promote_settings, is_forced),
     .help = "Takes a generation that hasn't caught up yet, or doesn't begin at the beginning. Never a sample."},
    {.name = "guard",
     .kind = CONFIG_LIST,
     .offset = offsetof(struct promote_settings, guard),
     .placeholder = "LIMIT,...",
     .help = "Watches the share: error-rate=PERCENT%, p99=FACTORx (of the incumbent's) or p99=TIMEms. All limits kept "
             "for the time of --for: it gets everything. One passed: its share is taken back, and exit code 3."},
    {.name = "for",
     .kind = CONFIG_TIME_MS,
     .offset = offsetof(struct promote_settings, for_ms),
     .placeholder = "TIME",
     .fallback = "10m",
     .min = 100,
     .max = INT64_C(30) * 24 * 3600 * 1000,
     .help = "With --guard: for how long, from when the share was given."},
    {.name = "metrics",
     .kind = CONFIG_LIST,
     .offset = offsetof(struct promote_settings, metrics),
     .placeholder = "URL",
     .help = "With --guard: /metrics of each tarn-query, http://127.0.0.1:9465/metrics."},
    COMMAND_JSON_OPTION(struct promote_settings),
    COMMAND_WAIT_OPTION(struct promote_settings),
};

static int check(const struct promote_settings *settings, const struct config_list *arguments,
                 struct guard_limits *ret_limits, struct err *err)
{
    bool is_guarded = settings->guard.count > 0;

    if (arguments->count != 1 || !generation_is_name(arguments->items[0]))
        return err_set(err, ERR_INPUT, "promote takes one generation's name: promote 7f3a9c-2");
    if (is_guarded != (settings->metrics.count > 0))
        return err_set(err, ERR_INPUT, "--guard and --metrics go together");
    if (is_guarded && (settings->traffic == 0 || settings->traffic == 100))
        return err_set(err, ERR_INPUT, "--guard watches a share: --traffic 1 to 99");
    for (size_t i = 0; i < settings->metrics.count; i++) {
        int rc = http_fetch_check(settings->metrics.items[i], err);
        if (rc < 0)
            return rc;
    }
    return guard_limits_parse(&settings->guard, ret_limits, err);
}

static int give(const struct promote_settings *settings, const char *generation, int64_t percent, json_t **ret_outcome,
                struct err *err)
{
    json_t *request = json_pack("{s:s, s:I, s:b}", "generation", generation, "percent", (json_int_t)percent, "force",
                                settings->is_forced);

    if (settings->retain_ms > 0)
        json_object_set_new(request, "retain_ms", json_integer(settings->retain_ms));
    int rc = carry_out_change(settings->store, "tarn-projector promote", REQUEST_PROMOTE, settings->wait_ms, request,
                              ret_outcome, err);
    json_decref(request);
    return rc;
}

/* *outcome becomes that of the last change. */
static int guard(const struct promote_settings *settings, const struct guard_limits *limits, const char *generation,
                 json_t **outcome, bool *ret_is_well, struct err *err)
{
    const struct guard_watch watch = {settings->store, generation, &settings->metrics, *limits, settings->for_ms};
    struct buf why = BUF_INIT;
    json_t *last = NULL;

    int rc = guard_watch(&watch, &guard_world_system, ret_is_well, &why, err);
    if (rc == 0)
        rc = give(settings, generation, *ret_is_well ? 100 : 0, &last, err);
    if (rc == 0) {
        json_object_set_new(last, "raised", json_boolean(*ret_is_well));
        json_object_set_new(last, "why", json_string(buf_text(&why)));
        json_decref(*outcome);
        *outcome = last;
        if (!settings->is_json)
            printf("%s: %s\n", *ret_is_well ? "raised to 100%" : "taken back", buf_text(&why));
    }
    buf_release(&why);
    return rc;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct promote_settings *settings = settings_at;
    struct guard_limits limits;
    json_t *outcome = NULL;
    bool is_well = true;

    int rc = check(settings, arguments, &limits, err);
    if (rc == 0)
        rc = give(settings, arguments->items[0], settings->traffic, &outcome, err);
    if (rc == 0 && settings->guard.count > 0)
        rc = guard(settings, &limits, arguments->items[0], &outcome, &is_well, err);
    if (rc == 0)
        shares_report_print(outcome, settings->is_json);
    json_decref(outcome);
    if (rc < 0)
        return command_exit_of(err);
    return is_well ? EXIT_DONE : EXIT_DIFFERENT;
}

const struct command command_promote = {
    .config = {.program = "tarn-projector",
               .name = "promote",
               .arguments = "GENERATION",
               .summary = "gives a generation the readers, or a share of them",
               .help = "tarn-query follows within a fraction of a second, without a restart and without a failed answer. "
                       "Who is on which side of a share follows from a hash of the person, so everybody stays there, and "
                       "whoever has the new generation keeps it while its share grows. One that hasn't caught up, or "
                       "begins later than the log does, is refused without --force. What was served before is kept up to "
                       "date for `rollback`.\n\n"
                       "  tarn-projector promote 7f3a9c-2 --store /var/lib/tarn\n"
                       "  tarn-projector promote 7f3a9c-2 --store /var/lib/tarn --traffic 10 \\\n"
                       "      --guard error-rate=0.1%,p99=2x --for 10m --metrics http://127.0.0.1:9465/metrics\n\n"
                       "The guard compares the two generations by what the query servers count: errors are answers of "
                       "5xx, and answers of 4xx beyond what the other generation gives. Killed, it leaves the share as "
                       "it is; the same command goes on watching.",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct promote_settings),
    .run = run,
};
