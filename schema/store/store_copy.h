/* schema/store/store_copy.h - a store's contents as of one commit, in a file of its own, without the pages that are free. */
#ifndef TARN_STORE_STORE_COPY_H
#define TARN_STORE_STORE_COPY_H

#include "schema/store/store.h"

/* Makes folder/data.mdb, which isn't there yet, and returns when it is on the disk. The store may be in use, by this
 * process and by others; its snapshot is held meanwhile, so that the file that it is copied from grows when much is
 * written to it. ERR_FULL, ERR_BROKEN: what was begun is removed. */
MUST_CHECK int store_copy(struct store *store, const char *folder, struct err *err);

#endif
