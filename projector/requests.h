/* projector/requests.h - requests that commands leave in DIR/control/ for the running projector: served between two turns
 * of its loop, answered once their effects are committed. */
#ifndef TARN_PROJECTOR_REQUESTS_H
#define TARN_PROJECTOR_REQUESTS_H

#include "projector/materializer.h"

struct requests;

struct requests *requests_new(const char *directory, const char *generation, struct materializer *materializer,
                              const struct generation_settings *settings, const struct clock_port *clock);
void requests_free(struct requests **requests);

/* Looks for requests a few times a second, runs them, answers those whose commit has been made. Call once per turn. */
MUST_CHECK int requests_serve(struct requests *requests, struct err *err);

#endif
