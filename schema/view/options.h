/* schema/view/options.h - the bytes of (tarn.view) and (tarn.field), decoded.
 *
 * What this version doesn't know or doesn't support yet is named, never skipped. */
#ifndef TARN_VIEW_OPTIONS_H
#define TARN_VIEW_OPTIONS_H

#include <tarn/view.pb-c.h>

#include "schema/view/mistakes.h"

/* NULL when they can't be read, which is a mistake of that place. The caller frees with tarn__view__free_unpacked(). */
Tarn__View *options_read_view(struct span bytes, const char *place, struct mistakes *mistakes);
Tarn__Field *options_read_field(struct span bytes, const char *place, struct mistakes *mistakes);

/* The same without a word about mistakes. */
Tarn__Field *options_peek_field(struct span bytes);

#endif
