/* projector/verify.h - the views of a store against the write database that they are of.
 *
 * One walk finds suspects: rows whose event would change the stored view, and stored views without a row. Most are changes
 * on their way. So each suspect is looked at again, until it is settled: its rows and the outbox are read, then the ends
 * of the logs, then the store once it has passed them, then the rows again. A difference counts when the rows are the same
 * both times and the outbox has nothing of the key either time. */
#ifndef TARN_PROJECTOR_VERIFY_H
#define TARN_PROJECTOR_VERIFY_H

#include "ops/runtime/config.h"
#include "projector/database.h"
#include "projector/kafka_ends.h"
#include "projector/opened_store.h"
#include "projector/outbox.h"

struct verify;

struct verify_options {
    const struct database *database;
    const struct outbox *outbox;
    struct opened_store *opened;
    struct kafka_ends *ends;
    const struct config_list *names; /* of views; none: all that have a first_load */
    unsigned sample_per_10000;       /* of owners, by their hash */
    uint64_t sample_salt;            /* another sample for another one */
    size_t chunk_rows;
    int64_t settle_ms;   /* at least so long between the two looks at a row: over a replica's lag */
    int64_t patience_ms; /* for the store to pass the ends */
    size_t suspects_max;
};

/* One view of one owner that isn't what the write database says. */
struct drift {
    const struct view *view;
    char *key;         /* as `get` takes it, joined by '/' */
    char *fields;      /* "name, accounts.balance_krw"; "" when the view is missing, or one too many */
    struct span owner; /* the record's key; lives as long as the verify */
    bool is_missing;   /* the store lacks it */
    bool is_extra;     /* the write database lacks it */
};

void drift_release(struct drift *drift);

struct verify_result {
    struct drift *drifts;
    size_t drift_count, drift_capacity;
    int64_t rows, suspects, settled, unsettled;
    bool is_cut; /* more suspects than suspects_max: the walk was ended */
};
void verify_result_release(struct verify_result *result);

/* ERR_INPUT: a view's name, a query, a row that can't be an event. ERR_AGAIN: database, Kafka or a store that doesn't move. */
MUST_CHECK int verify_run(const struct verify_options *options, struct verify **ret_verify,
                          struct verify_result *ret_result, struct err *err);
void verify_free(struct verify **verify);

/* Publishes the rows of a drifted key again: adds them to the outbox, in a transaction that holds the rows' locks, as a
 * writer would. The relay brings them. *ret_rows: how many; 0: the write database has none, nothing can be told. */
MUST_CHECK int verify_repair(struct verify *verify, const struct drift *drift, size_t *ret_rows, struct err *err);

#endif
