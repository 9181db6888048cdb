/* `restore`: a copy becomes a store again, if it still is what it was. */
#include <stdlib.h>

#include "projector/command.h"
#include "projector/transfer_report.h"

struct restore_settings {
    struct command_common common;
    const char *store;
    bool is_json;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct restore_settings),
    {.name = "store",
     .kind = CONFIG_TEXT,
     .offset = offsetof(struct restore_settings, store),
     .placeholder = "DIR",
     .is_required = true,
     .help = "The directory that becomes a store: it isn't there or is empty."},
    COMMAND_JSON_OPTION(struct restore_settings),
};

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct restore_settings *settings = settings_at;
    struct store_transferred transferred;
    int rc = arguments->count == 1 ? 0 : err_set(err, ERR_INPUT, "restore takes a copy: restore /backup/tarn-2026-11-22");

    if (rc == 0 && (rc = store_transfer_verify(arguments->items[0], err)) == ERR_ABSENT)
        err_set(err, ERR_ABSENT, "%s is not a copy that `tarn-projector copy` made", arguments->items[0]);
    if (rc == 0) {
        const struct store_transfer transfer = {arguments->items[0], NULL, settings->store, "tarn-projector restore"};
        rc = store_transfer(&transfer, &transferred, err);
    }
    if (rc < 0)
        return command_exit_of(err);
    transfer_report_print(settings->store, &transferred, settings->is_json);
    store_transferred_release(&transferred);
    return EXIT_DONE;
}

const struct command command_restore = {
    .config = {.program = "tarn-projector",
               .name = "restore",
               .arguments = "COPY",
               .summary = "a copy becomes a store again, checked by its digests",
               .help = "Reads every view of the copy, compares the sums with those that were noted when it was made, and "
                       "makes a store of it. Then start the projector: it goes on from the copy's positions.\n\n"
                       "  tarn-projector restore /backup/tarn-2026-11-22 --store /var/lib/tarn",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct restore_settings),
    .run = run,
};
