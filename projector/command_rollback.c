/* `rollback`: what was served before is served again. */
#include <stdio.h>
#include <stdlib.h>

#include "projector/carry_out.h"
#include "projector/command.h"
#include "projector/generation_change.h"
#include "projector/shares_report.h"

struct rollback_settings {
    struct command_common common;
    const char *store;
    bool is_json;
    int64_t wait_ms;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct rollback_settings),
    COMMAND_STORE_OPTION(struct rollback_settings),
    COMMAND_JSON_OPTION(struct rollback_settings),
    COMMAND_WAIT_OPTION(struct rollback_settings),
};

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct rollback_settings *settings = settings_at;
    json_t *outcome = NULL;
    char id[CONTROL_ID_SIZE];

    int rc = arguments->count == 0 ? 0 : err_set(err, ERR_INPUT, "rollback takes no arguments: it goes back one step");
    if (rc == 0)
        rc = carry_out_new_id(id, err);
    if (rc == 0) {
        json_t *request = json_pack("{s:s}", "request", id);
        rc = carry_out_change(settings->store, "tarn-projector rollback", REQUEST_ROLLBACK, settings->wait_ms, request,
                              &outcome, err);
        json_decref(request);
    }
    if (rc == 0)
        shares_report_print(outcome, settings->is_json);
    if (rc == 0 && json_array_size(json_object_get(outcome, "shares")) > 1 && !settings->is_json)
        printf("two still share the readers: another rollback takes that back too\n");
    json_decref(outcome);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_rollback = {
    .config = {.program = "tarn-projector",
               .name = "rollback",
               .summary = "what was served before is served again",
               .help = "Goes back to the newest of what was served before, as `generations` lists it, past the shares that "
                       "led to what is served now. Marks what is taken back as undone, so that a second rollback goes "
                       "back one step more. What was served before is kept up to date until it is dropped, so nobody "
                       "sees old screens. tarn-query follows within a fraction of a second, without a restart.\n\n"
                       "  tarn-projector rollback --store /var/lib/tarn",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct rollback_settings),
    .run = run,
};
