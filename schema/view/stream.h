/* schema/view/stream.h - streams: which family of events a handler's event belongs to. */
#ifndef TARN_VIEW_STREAM_H
#define TARN_VIEW_STREAM_H

#include "schema/view/compiler.h"

/* `genetics.v1` -> `genetics`, `bank.card.v1` -> `bank.card`, `users` -> `users`. Borrowed from the package. */
struct span stream_default_name(const char *package);

/* Sets draft->stream_name. Its event is known. */
void stream_name(struct compiler *compiler, struct handler_draft *draft);

/* Makes the set's streams, sorted by name, and points handlers and views at theirs. */
void streams_make(struct compiler *compiler, struct view_draft *drafts, size_t count, struct view_set *set);

#endif
