/* projector/requests.h - requests that commands leave in DIR/control/ for the running projector: taken between two turns
 * of the supervisor, carried out by it (generation_change.h) or by the followers, and answered when the commits that
 * hold their effects are made.
 *
 *     rebuild, promote, rollback, drop    generation_change.h
 *     parked-retry, parked-drop           {..., generation?}  every generation's, or one's; the outcome is summed
 *     hold     {generations: [A, B], lease_ms?}  both stand still at the same next offset of every partition that they
 *              share, with everything committed: {hold: ID, positions: [{topic, partition, offset}]}, offset being the
 *              next one to be read. ERR_AGAIN: one of them is too far behind
 *     release  {hold: ID}                 they go on; they do so by themselves when the lease (2 s) ends */
#ifndef TARN_PROJECTOR_REQUESTS_H
#define TARN_PROJECTOR_REQUESTS_H

#include "projector/follower_set.h"

struct requests;

/* The followers are borrowed, and used by the thread that calls. */
struct requests *requests_new(struct follower_set *followers);
/* After the followers have ended. Those that aren't answered come again after the next start. */
void requests_free(struct requests **requests);

/* Never waits. ERR_BROKEN and others: the process can't go on. */
MUST_CHECK int requests_serve(struct requests *requests, struct err *err);

#endif
