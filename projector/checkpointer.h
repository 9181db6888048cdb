/* projector/checkpointer.h - a thread that brings live commits to the disk, so that nobody who waits for an event waits for
 * the disk (store_sync()).
 *
 * A failure is for the next commit to tell: the store begins none behind it. */
#ifndef TARN_PROJECTOR_CHECKPOINTER_H
#define TARN_PROJECTOR_CHECKPOINTER_H

#include "schema/store/store.h"

struct checkpointer;

/* The store is borrowed. */
MUST_CHECK int checkpointer_open(struct store *store, struct checkpointer **ret_checkpointer, struct err *err);

/* What was committed is on the disk then, if the disk takes it. */
void checkpointer_close(struct checkpointer **checkpointer);

/* There was a relaxed commit: it is brought to the disk within CHECKPOINT_EVERY_MS and what the disk takes. From any thread. */
void checkpointer_note_commit(struct checkpointer *checkpointer);

/* Between two of them; what a power cut makes Kafka give again. While one is made, whoever shares the machine waits: with
 * 50 ms it was felt by more than one read in a hundred (ops/docs/decisions/relaxed-commits.md). For as long no page that became
 * free is used again, which is what a much larger number would cost. */
enum { CHECKPOINT_EVERY_MS = 400 };

#endif
