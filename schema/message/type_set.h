/* schema/message/type_set.h - how a type_set is made. Internal to this folder. */
#ifndef TARN_MESSAGE_TYPE_SET_H
#define TARN_MESSAGE_TYPE_SET_H

#include "schema/message/descriptor_set.h"
#include "schema/message/type.h"

/* A message or an enum by its full name. */
struct named_type {
    const char *full_name;
    struct message_type *message;
    struct enum_type *enumeration;
};

struct type_set {
    struct arena arena; /* everything below */
    struct message_type *messages; /* one array, in the order of type_set_at() */
    size_t message_count;
    struct enum_type *enums;
    size_t enum_count;
    struct named_type *names; /* by full name */
    size_t name_count;
};

const struct named_type *type_set_find_name(const struct type_set *set, struct span full_name);

/* Fills in everything of *type that comes from its descriptor: fields, layout, protobuf-c's descriptor. Its names and
 * those of all other types of the set are in place. */
MUST_CHECK int message_type_build(struct type_set *set, struct message_type *type, const MessageDescriptor *descriptor,
                                  bool is_proto3, struct err *err);

/* Likewise of an enum: values and protobuf-c's descriptor. */
MUST_CHECK int enum_type_build(struct type_set *set, struct enum_type *type, const EnumDescriptor *descriptor,
                               const char *package, struct err *err);

/* WELL_KNOWN_NONE for a type that isn't one. ERR_INPUT: it has the name of one but not its fields. */
MUST_CHECK int well_known_of(const struct message_type *type, enum well_known *ret_well_known, struct err *err);

/* Identifiers as protoc takes them: names reach error texts and JSON as they are. */
bool is_identifier(const char *name);

#endif
