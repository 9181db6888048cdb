/* `digest`: the sums that each commit keeps up to date, a line for each view. */
#include <stdlib.h>

#include "projector/command.h"
#include "projector/opened_store.h"
#include "schema/json/json_text.h"
#include "schema/store/digest.h"

struct digest_settings {
    struct command_common common;
    const char *store;
    bool is_json;
    bool is_checked;
};

static const struct config_option options[] = {
    COMMAND_COMMON_OPTIONS(struct digest_settings),
    COMMAND_STORE_OPTION(struct digest_settings),
    COMMAND_JSON_OPTION(struct digest_settings),
    {.name = "check",
     .kind = CONFIG_FLAG,
     .offset = offsetof(struct digest_settings, is_checked),
     .help = "Walks all views and compares the sums with what is there: exit code 3 when they differ. Takes as long as "
             "reading the store does."},
};

static void add_json(struct buf *out, const struct view *view, const struct digest *digest, const char *hex)
{
    buf_add_text(out, out->len > 1 ? ",{\"view\":" : "{\"view\":");
    if (!json_add_string(out, span_of_text(view->name)))
        buf_add_literal(out, "null");
    buf_add_format(out, ",\"keys\":%llu,\"digest\":\"%s\"}", (unsigned long long)digest->count, hex);
}

static int print_digests(const struct opened_store *opened, bool is_json, struct err *err)
{
    struct buf out = BUF_INIT;
    int rc = 0;

    if (is_json)
        buf_add_byte(&out, '[');
    for (size_t i = 0; rc == 0 && i < opened->views->view_count; i++) {
        const struct view *view = &opened->views->views[i];
        char hex[DIGEST_HEX_SIZE];
        struct digest digest;
        rc = digest_of_view(opened->reader, view->number, &digest, err);
        if (rc < 0)
            break;
        digest_hex(&digest, hex);
        if (is_json)
            add_json(&out, view, &digest, hex);
        else
            digest_line(view->name, &digest, &out);
    }
    if (is_json)
        buf_add_literal(&out, "]\n");
    if (rc == 0)
        fputs(buf_text(&out), stdout);
    buf_release(&out);
    return rc;
}

static int run(void *settings_at, const struct config_list *arguments, struct err *err)
{
    const struct digest_settings *settings = settings_at;
    struct opened_store opened = {0};
    bool is_different = false;

    int rc = arguments->count <= 1 ? 0 : err_set(err, ERR_INPUT, "digest takes one generation at most");
    if (rc == 0)
        rc = opened_store_open(settings->store, arguments->count == 1 ? arguments->items[0] : NULL, STORE_READ_ONLY,
                               &opened, err);
    if (rc == 0 && settings->is_checked) {
        rc = digest_check(opened.reader, err);
        is_different = rc == ERR_BROKEN;
    }
    if (rc == 0)
        rc = print_digests(&opened, settings->is_json, err);
    opened_store_close(&opened);
    if (is_different)
        return EXIT_DIFFERENT;
    return rc < 0 ? command_exit_of(err) : EXIT_DONE;
}

const struct command command_digest = {
    .config = {.program = "tarn-projector",
               .name = "digest",
               .arguments = "[GENERATION]",
               .summary = "a line for each view: name, keys, digest",
               .help = "Equal contents give equal lines, whatever the order, batches and restarts they came through. "
                       "Works beside a running projector.\n\n"
                       "  tarn-projector digest --store /var/lib/tarn",
               .options = options,
               .option_count = ARRAY_COUNT(options)},
    .settings_size = sizeof(struct digest_settings),
    .run = run,
};
