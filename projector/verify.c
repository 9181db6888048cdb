/* What a verification holds: the plan by which views are compared, the scope, and the suspects, whose owners drifts point
 * to. The walk finds them, settling judges them, repairing tells their rows again. */
#include "projector/verify.h"

#include <stdlib.h>

#include "projector/verify_rows.h"
#include "projector/verify_settle.h"
#include "projector/verify_view.h"
#include "projector/verify_walk.h"
#include "schema/base/mem.h"

struct verify {
    struct verify_options options;
    struct comparison_plan plan;
    struct verify_view view_check;
    struct verify_scope scope;
    struct suspects suspects;
};

static int run(struct verify *verify, struct verify_result *result, struct err *err)
{
    struct verify_walk walk = {.database = verify->options.database,
                               .opened = verify->options.opened,
                               .scope = &verify->scope,
                               .view_check = &verify->view_check,
                               .chunk_rows = verify->options.chunk_rows};

    int rc = verify_scope_choose(&verify->scope, verify->options.opened->views, verify->options.names, err);
    if (rc == 0)
        rc = verify_walk(&walk, &verify->suspects, &result->rows, err);
    result->suspects = (int64_t)verify->suspects.count;
    result->is_cut = verify->suspects.is_cut;
    return rc == 0 ? verify_settle(&verify->options, &verify->view_check, &verify->suspects, result, err) : rc;
}

int verify_run(const struct verify_options *options, struct verify **ret_verify, struct verify_result *ret_result,
               struct err *err)
{
    struct verify *verify = mem_zero(1, sizeof(*verify));
    struct verify_result result = {0};

    verify->options = *options;
    verify->scope.sample_per_10000 = options->sample_per_10000;
    verify->scope.sample_salt = options->sample_salt;
    verify->suspects.count_max = options->suspects_max;
    comparison_plan_make(options->opened->views, options->opened->views, &verify->plan);
    verify->view_check =
        (struct verify_view){.reader = options->opened->reader, .views = options->opened->views, .plan = &verify->plan};
    int rc = run(verify, &result, err);
    if (rc < 0) {
        verify_result_release(&result);
        verify_free(&verify);
        return rc;
    }
    *ret_verify = verify;
    *ret_result = result;
    return 0;
}

void verify_free(struct verify **verify)
{
    if (*verify == NULL)
        return;
    suspects_release(&(*verify)->suspects);
    verify_scope_release(&(*verify)->scope);
    verify_view_release(&(*verify)->view_check);
    comparison_plan_release(&(*verify)->plan);
    free(*verify);
    *verify = NULL;
}

void drift_release(struct drift *drift)
{
    free(drift->key);
    free(drift->fields);
}

void verify_result_release(struct verify_result *result)
{
    for (size_t i = 0; i < result->drift_count; i++)
        drift_release(&result->drifts[i]);
    free(result->drifts);
    *result = (struct verify_result){0};
}

/* SERIALIZABLE makes plain reads take shared locks, inside the user's query too: no writer comes between what is read and
 * its row in the outbox. */
int verify_repair(struct verify *verify, const struct drift *drift, size_t *ret_rows, struct err *err)
{
    const struct database *database = verify->options.database;
    struct err ignored = {0};
    struct buf rows = BUF_INIT;
    size_t count = 0;

    int rc = database_do(database, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", err);
    if (rc == 0)
        rc = database_do(database, "START TRANSACTION", err);
    if (rc == 0)
        rc = verify_rows_read(database, drift->view, drift->owner, &rows, err);
    struct span left = buf_span(&rows), event;
    const struct first_load *load;
    while (rc == 0 && verify_rows_next(&left, drift->view, &load, &event)) {
        rc = outbox_add(verify->options.outbox, database, SPAN_LITERAL(OUTBOX_STATE_AGAIN), drift->owner,
                        span_of_text(load->handler->event->full_name), event, err);
        count++;
    }
    if (rc == 0)
        rc = database_do(database, "COMMIT", err);
    else if (database->is_open(database->self) && database_do(database, "ROLLBACK", &ignored) < 0)
        database->close(database->self);
    buf_release(&rows);
    if (rc == 0)
        *ret_rows = count;
    return rc;
}
