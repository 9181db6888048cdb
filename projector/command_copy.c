/* `copy`: a generation as a store of its own. */
#include <stdlib.h>

#include "projector/command.h"
#include "projector/transfer_report.h"
#include "schema/store/generation.h"

struct copy_settings {
    struct command_common common;
    const char *store;
    const char *to;
    bool is_json;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct copy_settings),
    COMMAND_STORE_OPTION(struct copy_settings),
    {.name = "to",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct copy_settings, to),
     .placeholder = "DIR",
     .is_required = true,
     .help = "Where the copy goes: a directory that isn't there or is empty."},
    COMMAND_JSON_OPTION(struct copy_settings),
};

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct copy_settings *settings = settings_at;
    const char *generation = arguments->count > 0 ? arguments->items[0] : NULL;
    const struct store_transfer transfer = {settings->store, generation, settings->to, "tarn-projector copy"};
    struct store_transferred transferred;

    int rc = arguments->count <= 1 ? 0 : err_set(err, ERR_INPUT, "copy takes one generation at most");
    if (rc == 0)
        rc = store_transfer(&transfer, &transferred, err);
    if (rc < 0)
        return command_exit_of(err);
    transfer_report_print(settings->to, &transferred, settings->is_json);
    store_transferred_release(&transferred);
    return EXIT_DONE;
}

const struct command command_copy = {
    .config = {.program = "tarn-projector",
               .name = "copy",
               .arguments = "[GENERATION]",
               .summary = "a generation as a store of its own: a backup, a new machine",
               .help = "Copies a generation (the served one) as of one commit, while the projector goes on, without the "
                       "pages that are free. Every view of the copy is read again and summed up before it counts. The "
                       "copy is a store: a projector started on it goes on from its positions, as long as Kafka still "
                       "has them. Killed, the same command begins anew.\n\n"
                       "  tarn-projector copy --store /var/lib/tarn --to /backup/tarn-2026-11-22",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct copy_settings),
    .run = run,
};
