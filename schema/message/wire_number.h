/* schema/message/wire_number.h - numbers of a field's kind off the wire. Internal to this folder. */
#ifndef TARN_MESSAGE_WIRE_NUMBER_H
#define TARN_MESSAGE_WIRE_NUMBER_H

#include "schema/message/wire.h"

/* One number off the wire, as its bits stand in memory. */
static inline bool wire_read_number(const struct field_type *field, const uint8_t **at, const uint8_t *end,
                               uint64_t *ret_bits)
{
    uint64_t bits = 0;
    uint32_t four = 0;

    if (wire_of(field) == WIRE_VARINT) {
        if (!wire_read_varint(at, end, &bits))
            return false;
        if (field->kind == KIND_BOOL)
            bits = bits != 0;
        else if (field->kind == KIND_SINT32)
            bits = (uint64_t)wire_unzigzag((uint32_t)bits);
        else if (field->kind == KIND_SINT64)
            bits = (uint64_t)wire_unzigzag(bits);
    } else if (wire_of(field) == WIRE_64BIT) {
        if (!wire_read_fixed64(at, end, &bits))
            return false;
    } else {
        if (wire_of(field) != WIRE_32BIT || !wire_read_fixed32(at, end, &four))
            return false;
        bits = four;
    }
    *ret_bits = bits;
    return true;
}

static inline void wire_put_number(const struct field_type *field, uint64_t bits, void *to)
{
    uint32_t four = (uint32_t)bits;

    if (field->element_size == sizeof(four))
        memcpy(to, &four, sizeof(four));
    else
        memcpy(to, &bits, sizeof(bits));
}

#endif
