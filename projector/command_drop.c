/* `drop`: a generation that isn't served is gone for good. */
#include <stdlib.h>

#include "projector/carry_out.h"
#include "projector/command.h"
#include "projector/generation_change.h"

struct drop_settings {
    struct command_common common;
    const char *store;
    bool is_json;
    int64_t wait_ms;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct drop_settings),
    COMMAND_STORE_OPTION(struct drop_settings),
    COMMAND_JSON_OPTION(struct drop_settings),
    COMMAND_WAIT_OPTION(struct drop_settings),
};

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct drop_settings *settings = settings_at;
    json_t *outcome = NULL;

    int rc = arguments->count == 1 && generation_is_name(arguments->items[0])
                 ? 0
                 : err_set(err, ERR_INPUT, "drop takes one generation's name: drop 7f3a9c-2");
    if (rc == 0) {
        json_t *request = json_pack("{s:s}", "generation", arguments->items[0]);
        rc = carry_out_change(settings->store, "tarn-projector drop", REQUEST_DROP, settings->wait_ms, request,
                              &outcome, err);
        json_decref(request);
    }
    if (rc == 0 && settings->is_json)
        printf("{\"dropped\":\"%s\"}\n", arguments->items[0]);
    else if (rc == 0)
        printf("%s is dropped\n", arguments->items[0]);
    json_decref(outcome);
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_drop = {
    .config = {.program = "tarn-projector",
               .name = "drop",
               .arguments = "GENERATION",
               .summary = "a generation that isn't served is deleted",
               .help = "Deletes a generation's folder and forgets that it was served; its name is never given again. "
                       "One that is served, with whatever share, is refused. One that is gone already is no fault, so "
                       "the command may be run again after a kill.\n\n"
                       "  tarn-projector drop 7f3a9c-2 --store /var/lib/tarn",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct drop_settings),
    .run = run,
};
