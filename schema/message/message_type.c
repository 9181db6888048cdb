/* One message type from its descriptor: its fields by number, where each stands in the message struct, and protobuf-c's
 * descriptor of the same. The struct is laid out as protoc-c's generated ones are: behind ProtobufCMessage the values
 * and, beside them, has, count or the case of the oneof, whose members share one place. */
#include <stdlib.h>
#include <string.h>

#include "schema/message/type_set.h"
#include "schema/message/wire.h"

enum { FIELDS_MAX = 20000, NUMBER_MAX = 536870911, BY_NUMBER_MAX = 512, FIELD_OPTION = 50702 };

/* What a kind is to protobuf-c. Strings are bytes to it: see type.h. */
static const struct {
    ProtobufCType pb;
    size_t size;
    bool is_packable;
} kinds[] = {
    [KIND_DOUBLE] = {PROTOBUF_C_TYPE_DOUBLE, sizeof(double), true},
    [KIND_FLOAT] = {PROTOBUF_C_TYPE_FLOAT, sizeof(float), true},
    [KIND_INT64] = {PROTOBUF_C_TYPE_INT64, sizeof(int64_t), true},
    [KIND_UINT64] = {PROTOBUF_C_TYPE_UINT64, sizeof(uint64_t), true},
    [KIND_INT32] = {PROTOBUF_C_TYPE_INT32, sizeof(int32_t), true},
    [KIND_FIXED64] = {PROTOBUF_C_TYPE_FIXED64, sizeof(uint64_t), true},
    [KIND_FIXED32] = {PROTOBUF_C_TYPE_FIXED32, sizeof(uint32_t), true},
    [KIND_BOOL] = {PROTOBUF_C_TYPE_BOOL, sizeof(protobuf_c_boolean), true},
    [KIND_STRING] = {PROTOBUF_C_TYPE_BYTES, sizeof(ProtobufCBinaryData), false},
    [KIND_GROUP] = {PROTOBUF_C_TYPE_MESSAGE, sizeof(ProtobufCMessage *), false},
    [KIND_MESSAGE] = {PROTOBUF_C_TYPE_MESSAGE, sizeof(ProtobufCMessage *), false},
    [KIND_BYTES] = {PROTOBUF_C_TYPE_BYTES, sizeof(ProtobufCBinaryData), false},
    [KIND_UINT32] = {PROTOBUF_C_TYPE_UINT32, sizeof(uint32_t), true},
    [KIND_ENUM] = {PROTOBUF_C_TYPE_ENUM, sizeof(int32_t), true},
    [KIND_SFIXED32] = {PROTOBUF_C_TYPE_SFIXED32, sizeof(int32_t), true},
    [KIND_SFIXED64] = {PROTOBUF_C_TYPE_SFIXED64, sizeof(int64_t), true},
    [KIND_SINT32] = {PROTOBUF_C_TYPE_SINT32, sizeof(int32_t), true},
    [KIND_SINT64] = {PROTOBUF_C_TYPE_SINT64, sizeof(int64_t), true},
};

struct message_build {
    struct type_set *set;
    struct message_type *type;
    const MessageDescriptor *descriptor;
    bool is_proto3;
    struct field_type *fields;          /* mutable view of type->fields */
    const FieldDescriptor **descriptors; /* beside fields */
};

static int build_field(struct message_build *build, struct field_type *field, const FieldDescriptor *descriptor,
                       struct err *err);
static int resolve(struct message_build *build, struct field_type *field, const FieldDescriptor *descriptor,
                   struct err *err);
static int check_map_entry(const struct message_type *type, struct err *err);
static void lay_out(struct message_build *build, struct arena *scratch);
static void describe(struct message_build *build);
static void index_numbers(struct message_build *build);

static int compare_descriptors(const void *left, const void *right)
{
    const FieldDescriptor *a = *(const FieldDescriptor *const *)left;
    const FieldDescriptor *b = *(const FieldDescriptor *const *)right;

    return (a->number > b->number) - (a->number < b->number);
}

int message_type_build(struct type_set *set, struct message_type *type, const MessageDescriptor *descriptor,
                       bool is_proto3, struct err *err)
{
    size_t count = descriptor->n_field;
    struct arena scratch = ARENA_INIT;
    struct message_build build = {set, type, descriptor, is_proto3, NULL, NULL};
    int rc = 0;

    if (count > FIELDS_MAX)
        return err_set(err, ERR_INPUT, "%.500s: %zu fields: a message has at most %d", type->full_name, count,
                       FIELDS_MAX);
    if (descriptor->options != NULL && descriptor->options->message_set_wire_format)
        return err_set(err, ERR_INPUT, "%.500s: message_set_wire_format isn't supported", type->full_name);

    build.descriptors = arena_alloc(&scratch, count * sizeof(*build.descriptors));
    for (size_t i = 0; i < count; i++)
        build.descriptors[i] = descriptor->field[i];
    if (count > 0)
        qsort(build.descriptors, count, sizeof(*build.descriptors), compare_descriptors);

    build.fields = arena_zero(&set->arena, (count + 1) * sizeof(*build.fields));
    build.fields[count].tag = UINT32_MAX;
    type->fields = build.fields;
    type->field_count = count;
    for (size_t i = 0; i < count && rc == 0; i++) {
        build.fields[i].index = (uint32_t)i;
        rc = build_field(&build, &build.fields[i], build.descriptors[i], err);
        if (rc == 0 && i > 0 && build.fields[i - 1].number == build.fields[i].number)
            rc = err_set(err, ERR_INPUT, "%.500s: the field number %u is there twice", type->full_name,
                         build.fields[i].number);
    }
    if (rc == 0 && type->is_map_entry)
        rc = check_map_entry(type, err);
    if (rc == 0) {
        lay_out(&build, &scratch);
        describe(&build);
        index_numbers(&build);
        for (size_t i = 1; i < count && rc == 0; i++) {
            const char *name = type->fields[type->pb.fields_sorted_by_name[i]].name;
            if (strcmp(type->fields[type->pb.fields_sorted_by_name[i - 1]].name, name) == 0)
                rc = err_set(err, ERR_INPUT, "%.500s: the field %.200s is there twice", type->full_name, name);
        }
    }
    arena_release(&scratch);
    return rc;
}

/* As protoc makes it, for a descriptor set that comes without: the_name -> theName. */
static const char *json_name_of(struct arena *arena, const FieldDescriptor *descriptor)
{
    if (descriptor->json_name != NULL && descriptor->json_name[0] != '\0')
        return arena_copy(arena, descriptor->json_name, strlen(descriptor->json_name) + 1);

    char *json_name = arena_zero(arena, strlen(descriptor->name) + 1);
    size_t length = 0;
    bool is_upper = false;
    for (const char *at = descriptor->name; *at != '\0'; at++) {
        if (*at == '_') {
            is_upper = true;
            continue;
        }
        json_name[length++] = is_upper && *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        is_upper = false;
    }
    return json_name;
}

static int build_field(struct message_build *build, struct field_type *field, const FieldDescriptor *descriptor,
                       struct err *err)
{
    const struct message_type *type = build->type;
    const FieldDescriptor *d = descriptor;

    if (!is_identifier(d->name))
        return err_set(err, ERR_INPUT, "%.500s: a field without a proper name", type->full_name);
    if (!d->has_number || d->number < 1 || d->number > NUMBER_MAX)
        return err_set(err, ERR_INPUT, "%.500s.%.200s: not a field number", type->full_name, d->name);
    if (!d->has_type || (int)d->type < KIND_DOUBLE || (int)d->type > KIND_SINT64 || !d->has_label)
        return err_set(err, ERR_INPUT, "%.500s.%.200s: a field without a type", type->full_name, d->name);

    bool is_repeated = d->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
    bool is_in_oneof = d->has_oneof_index && !(d->has_proto3_optional && d->proto3_optional);
    if (d->has_oneof_index &&
        (d->oneof_index < 0 || (size_t)d->oneof_index >= build->descriptor->n_oneof_decl || is_repeated))
        return err_set(err, ERR_INPUT, "%.500s.%.200s: not a member of a oneof", type->full_name, d->name);

    field->name = arena_copy(&build->set->arena, d->name, strlen(d->name) + 1);
    field->json_name = json_name_of(&build->set->arena, d);
    field->number = (uint32_t)d->number;
    field->kind = (enum field_kind)d->type;
    field->parent = type;
    field->element_size = kinds[field->kind].size;
    field->wire = (uint8_t)wire_type_of(field->kind);
    field->tag = field->number << 3 | field->wire;
    field->is_required = d->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REQUIRED;
    field->tarn_options = descriptor_set_option(d->options != NULL ? &d->options->base : NULL, FIELD_OPTION,
                                                &build->set->arena);
    if (is_repeated)
        field->presence = PRESENCE_REPEATED;
    else if (is_in_oneof)
        field->presence = PRESENCE_ONEOF;
    else if (build->is_proto3 && !d->proto3_optional && !type->is_map_entry && field->kind != KIND_MESSAGE &&
             field->kind != KIND_GROUP)
        field->presence = PRESENCE_IMPLICIT;
    else
        field->presence = PRESENCE_EXPLICIT;

    bool is_packed = d->options != NULL && d->options->has_packed ? d->options->packed : build->is_proto3;
    field->is_packed = is_repeated && kinds[field->kind].is_packable && is_packed;
    if (field->kind == KIND_GROUP)
        build->type->has_group = true;
    if (field->is_required)
        build->type->needs_required = true;

    int rc = resolve(build, field, d, err);
    field->is_deep = is_repeated || field->kind == KIND_MESSAGE || field->kind == KIND_ENUM;
    if (rc == 0 && field->message != NULL && field->message->is_map_entry) {
        if (!is_repeated)
            return err_set(err, ERR_INPUT, "%.500s.%.200s: not a map", type->full_name, field->name);
        field->is_map = true;
    }
    return rc;
}

/* Finds what type_name means. A group's message is needed by nobody: the field is only there to be refused. */
static int resolve(struct message_build *build, struct field_type *field, const FieldDescriptor *descriptor,
                   struct err *err)
{
    bool wants_message = field->kind == KIND_MESSAGE || field->kind == KIND_GROUP;
    const char *name = descriptor->type_name;

    if (!wants_message && field->kind != KIND_ENUM)
        return 0;
    const struct named_type *named =
        name != NULL && name[0] == '.' ? type_set_find_name(build->set, span_of_text(name + 1)) : NULL;
    if (named == NULL || (wants_message ? named->message == NULL : named->enumeration == NULL))
        return err_set(err, ERR_INPUT, "%.400s.%.100s: its type %.400s isn't in the descriptor set",
                       field->parent->full_name, field->name, name != NULL ? name : "");
    if (field->kind == KIND_MESSAGE)
        field->message = named->message;
    field->enumeration = named->enumeration;
    return 0;
}

static int check_map_entry(const struct message_type *type, struct err *err)
{
    static const bool is_key[] = {
        [KIND_INT64] = true,    [KIND_UINT64] = true,   [KIND_INT32] = true,  [KIND_FIXED64] = true,
        [KIND_FIXED32] = true,  [KIND_BOOL] = true,     [KIND_STRING] = true, [KIND_UINT32] = true,
        [KIND_SFIXED32] = true, [KIND_SFIXED64] = true, [KIND_SINT32] = true, [KIND_SINT64] = true,
    };
    const struct field_type *fields = type->fields;

    if (type->field_count != 2 || fields[0].number != 1 || fields[1].number != 2 ||
        fields[0].presence != PRESENCE_EXPLICIT || fields[1].presence != PRESENCE_EXPLICIT || fields[0].is_required ||
        fields[1].is_required || fields[1].kind == KIND_GROUP || !is_key[fields[0].kind])
        return err_set(err, ERR_INPUT, "%.500s: not the entry of a map", type->full_name);
    return 0;
}

static size_t align(size_t offset, size_t to)
{
    return (offset + to - 1) & ~(to - 1);
}

/* No member is larger than ProtobufCBinaryData. */
static void lay_out(struct message_build *build, struct arena *scratch)
{
    struct oneof_place {
        size_t case_offset;
        size_t value_offset;
    } *oneofs = arena_zero(scratch, build->descriptor->n_oneof_decl * sizeof(*oneofs));
    size_t end = sizeof(ProtobufCMessage);

    for (size_t i = 0; i < build->type->field_count; i++) {
        struct field_type *field = &build->fields[i];
        if (field->presence == PRESENCE_ONEOF) {
            struct oneof_place *oneof = &oneofs[build->descriptors[i]->oneof_index];
            if (oneof->case_offset == 0) {
                oneof->case_offset = end;
                oneof->value_offset = align(end + sizeof(uint32_t), 8);
                end = oneof->value_offset + sizeof(ProtobufCBinaryData);
            }
            field->quantifier_offset = oneof->case_offset;
            field->offset = oneof->value_offset;
            continue;
        }
        if (field->presence == PRESENCE_REPEATED) {
            field->quantifier_offset = align(end, 8);
            field->offset = field->quantifier_offset + sizeof(size_t);
            end = field->offset + sizeof(void *);
            continue;
        }
        /* A message is there when its pointer is: it needs no has. */
        if (field->presence == PRESENCE_EXPLICIT && field->kind != KIND_MESSAGE && field->kind != KIND_GROUP) {
            field->quantifier_offset = align(end, sizeof(protobuf_c_boolean));
            end = field->quantifier_offset + sizeof(protobuf_c_boolean);
        }
        field->offset = align(end, field->element_size < 8 ? 4 : 8);
        end = field->offset + field->element_size;
    }
    build->type->pb.sizeof_message = align(end, 8);
}

static ProtobufCLabel label_of(const struct field_type *field)
{
    if (field->presence == PRESENCE_REPEATED)
        return PROTOBUF_C_LABEL_REPEATED;
    return field->presence == PRESENCE_IMPLICIT ? PROTOBUF_C_LABEL_NONE : PROTOBUF_C_LABEL_OPTIONAL;
}

static int compare_names(const void *left, const void *right, void *fields)
{
    const ProtobufCFieldDescriptor *all = fields;

    return strcmp(all[*(const unsigned *)left].name, all[*(const unsigned *)right].name);
}

static void describe(struct message_build *build)
{
    struct message_type *type = build->type;
    struct arena *arena = &build->set->arena;
    ProtobufCFieldDescriptor *fields = arena_zero(arena, type->field_count * sizeof(*fields));
    unsigned *by_name = arena_alloc(arena, type->field_count * sizeof(*by_name));
    ProtobufCIntRange *ranges = arena_zero(arena, (type->field_count + 1) * sizeof(*ranges));
    unsigned range_count = 0;

    for (unsigned i = 0; i < type->field_count; i++) {
        const struct field_type *field = &type->fields[i];

        fields[i] = (ProtobufCFieldDescriptor){
            .name = field->name,
            .id = field->number,
            .label = label_of(field),
            .type = kinds[field->kind].pb,
            .quantifier_offset = (unsigned)field->quantifier_offset,
            .offset = (unsigned)field->offset,
            .flags = (field->is_packed ? (uint32_t)PROTOBUF_C_FIELD_FLAG_PACKED : 0) |
                     (field->presence == PRESENCE_ONEOF ? (uint32_t)PROTOBUF_C_FIELD_FLAG_ONEOF : 0),
        };
        if (field->message != NULL)
            fields[i].descriptor = &field->message->pb;
        else if (field->enumeration != NULL)
            fields[i].descriptor = &field->enumeration->pb;
        by_name[i] = i;
        if (i == 0 || fields[i - 1].id + 1 != field->number)
            ranges[range_count++] = (ProtobufCIntRange){.start_value = (int)field->number, .orig_index = i};
    }
    ranges[range_count].orig_index = (unsigned)type->field_count;
    if (type->field_count > 0)
        qsort_r(by_name, type->field_count, sizeof(*by_name), compare_names, fields);

    type->pb = (ProtobufCMessageDescriptor){
        .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
        .name = type->full_name,
        .short_name = type->name,
        .c_name = type->full_name,
        .package_name = type->package,
        .sizeof_message = type->pb.sizeof_message,
        .n_fields = (unsigned)type->field_count,
        .fields = fields,
        .fields_sorted_by_name = by_name,
        .n_field_ranges = range_count,
        .field_ranges = ranges,
    };
}

/* Nearly all fields have small numbers; the others are found by bisection. */
static void index_numbers(struct message_build *build)
{
    struct message_type *type = build->type;
    uint32_t count = 0;

    for (size_t i = 0; i < type->field_count && type->fields[i].number < BY_NUMBER_MAX; i++)
        count = type->fields[i].number + 1;
    uint16_t *by_number = arena_zero(&build->set->arena, count * sizeof(*by_number));
    for (size_t i = 0; i < type->field_count && type->fields[i].number < count; i++)
        by_number[type->fields[i].number] = (uint16_t)(i + 1);
    type->by_number = by_number;
    type->by_number_count = count;
}
