/* The prefix that the keys of a ring have in common, owner hash and view number, is compared in full: two owners whose
 * hashes of it are the same have rings of their own. */
#include "projector/cache_owners.h"

#include <assert.h>
#include <string.h>

#include "schema/base/hash.h"

enum { PREFIX_BYTES = VIEW_KEY_PREFIX_BYTES };

static uint64_t hash_of(const uint8_t *key)
{
    return hash64(span_of(key, PREFIX_BYTES));
}

static struct slot *find_head(const struct owners *owners, uint64_t hash, const uint8_t *key)
{
    for (size_t i = hash & owners->heads.mask;; i = (i + 1) & owners->heads.mask) {
        struct slot *slot = &owners->heads.at[i];
        if (slot->row == NULL)
            return NULL;
        if (slot->hash == hash && memcmp(slot->row->key, key, PREFIX_BYTES) == 0)
            return slot;
    }
}

void owners_init(struct owners *owners)
{
    slots_init(&owners->heads);
}

void owners_release(struct owners *owners)
{
    slots_release(&owners->heads);
}

size_t owners_bytes(const struct owners *owners)
{
    return slots_bytes(&owners->heads);
}

void owners_add(struct owners *owners, struct cache_row *row)
{
    uint64_t hash = hash_of(row->key);
    struct slot *slot = find_head(owners, hash, row->key);

    if (slot == NULL) {
        *owner_link_of(row) = (struct owner_link){row, row};
        slots_insert(&owners->heads, hash, row);
        return;
    }
    struct cache_row *head = slot->row;
    *owner_link_of(row) = (struct owner_link){head, owner_link_of(head)->next};
    owner_link_of(owner_link_of(head)->next)->previous = row;
    owner_link_of(head)->next = row;
}

void owners_remove(struct owners *owners, struct cache_row *row)
{
    uint64_t hash = hash_of(row->key);
    struct slot *slot = find_head(owners, hash, row->key);
    struct owner_link *link = owner_link_of(row);

    assert(slot != NULL);
    if (link->next == row) {
        slots_remove(&owners->heads, hash, row);
        return;
    }
    if (slot->row == row)
        slot->row = link->next;
    owner_link_of(link->previous)->next = link->next;
    owner_link_of(link->next)->previous = link->previous;
}

void owners_walk(const struct owners *owners, struct span prefix, void (*visit)(void *self, struct cache_row *row),
                 void *self)
{
    const struct slot *slot = find_head(owners, hash_of(prefix.at), prefix.at);
    if (slot == NULL)
        return;
    struct cache_row *head = slot->row;
    struct cache_row *row = head;
    do {
        if (span_starts_with(cache_row_key(row), prefix))
            visit(self, row);
        row = owner_link_of(row)->next;
    } while (row != head);
}
