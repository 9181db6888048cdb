/* projector/relay_admin.h - /healthz, /readyz and /metrics of the relay.
 *
 * Ready is who leads, or stands by for another who does, with nothing in its way. */
#ifndef TARN_PROJECTOR_RELAY_ADMIN_H
#define TARN_PROJECTOR_RELAY_ADMIN_H

#include "projector/relay.h"

struct relay_admin;

/* Starts listening; relay's figures and breakers are read until close. ERR_INPUT: the address. */
MUST_CHECK int relay_admin_open(const char *listen, struct relay *relay, struct relay_admin **ret_admin,
                                struct err *err);
void relay_admin_close(struct relay_admin **admin);
const char *relay_admin_address(const struct relay_admin *admin);

/* From the loop, each turn. problem NULL: all is well. */
void relay_admin_tell(struct relay_admin *admin, enum relay_outcome outcome, const char *problem);

#endif
