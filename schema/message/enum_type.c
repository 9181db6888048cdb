/* Enums: their values as declared, and protobuf-c's descriptor of them, which is sorted by number and by name. */
#include <stdlib.h>
#include <string.h>

#include "schema/message/type_set.h"

/* Not protobuf_c_enum_descriptor_get_value(): its range arithmetic overflows at INT32_MAX. */
const char *enum_type_name(const struct enum_type *type, int32_t number)
{
    size_t low = 0;
    size_t high = type->pb.n_values;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const ProtobufCEnumValue *value = &type->pb.values[middle];
        if (value->value == number)
            return value->name;
        if (number < value->value)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool enum_type_number(const struct enum_type *type, struct span name, int32_t *ret_number)
{
    size_t low = 0;
    size_t high = type->pb.n_value_names;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const ProtobufCEnumValueIndex *entry = &type->pb.values_by_name[middle];
        int order = span_compare(name, span_of_text(entry->name));
        if (order == 0) {
            *ret_number = type->pb.values[entry->index].value;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* By number, then as declared: the first of each number gives its name. */
static int compare_values(const void *left, const void *right)
{
    const struct enum_value *a = *(const struct enum_value *const *)left;
    const struct enum_value *b = *(const struct enum_value *const *)right;

    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return (a > b) - (a < b);
}

static int compare_value_names(const void *left, const void *right)
{
    const ProtobufCEnumValueIndex *a = left;
    const ProtobufCEnumValueIndex *b = right;

    return strcmp(a->name, b->name);
}

static void describe(struct type_set *set, struct enum_type *type, const char *package)
{
    const struct enum_value **sorted = arena_alloc(&set->arena, type->value_count * sizeof(*sorted));
    ProtobufCEnumValue *values = arena_zero(&set->arena, type->value_count * sizeof(*values));
    ProtobufCEnumValueIndex *names = arena_zero(&set->arena, type->value_count * sizeof(*names));
    ProtobufCIntRange *ranges = arena_zero(&set->arena, (type->value_count + 1) * sizeof(*ranges));
    unsigned value_count = 0;
    unsigned range_count = 0;

    for (size_t i = 0; i < type->value_count; i++)
        sorted[i] = &type->values[i];
    qsort(sorted, type->value_count, sizeof(*sorted), compare_values);

    for (size_t i = 0; i < type->value_count; i++) {
        int32_t number = sorted[i]->number;
        if (i == 0 || sorted[i - 1]->number != number) {
            if (i == 0 || (int64_t)sorted[i - 1]->number + 1 != number)
                ranges[range_count++] = (ProtobufCIntRange){.start_value = number, .orig_index = value_count};
            values[value_count++] =
                (ProtobufCEnumValue){.name = sorted[i]->name, .c_name = sorted[i]->name, .value = number};
        }
        names[i] = (ProtobufCEnumValueIndex){.name = sorted[i]->name, .index = value_count - 1};
    }
    ranges[range_count].orig_index = value_count;
    qsort(names, type->value_count, sizeof(*names), compare_value_names);

    const char *dot = strrchr(type->full_name, '.');
    type->pb = (ProtobufCEnumDescriptor){
        .magic = PROTOBUF_C__ENUM_DESCRIPTOR_MAGIC,
        .name = type->full_name,
        .short_name = dot != NULL ? dot + 1 : type->full_name,
        .c_name = type->full_name,
        .package_name = package,
        .n_values = value_count,
        .values = values,
        .n_value_names = (unsigned)type->value_count,
        .values_by_name = names,
        .n_value_ranges = range_count,
        .value_ranges = ranges,
    };
}

int enum_type_build(struct type_set *set, struct enum_type *type, const EnumDescriptor *descriptor,
                    const char *package, struct err *err)
{
    struct enum_value *values = arena_zero(&set->arena, descriptor->n_value * sizeof(*values));

    if (descriptor->n_value == 0)
        return err_set(err, ERR_INPUT, "%.500s: an enum has at least one value", type->full_name);
    for (size_t i = 0; i < descriptor->n_value; i++) {
        const char *name = descriptor->value[i]->name;
        if (!is_identifier(name) || !descriptor->value[i]->has_number)
            return err_set(err, ERR_INPUT, "%.500s: a value without a name or a number", type->full_name);
        values[i].name = arena_copy(&set->arena, name, strlen(name) + 1);
        values[i].number = descriptor->value[i]->number;
    }
    if (!type->is_closed && values[0].number != 0)
        return err_set(err, ERR_INPUT, "%.500s: the first value of a proto3 enum is 0", type->full_name);
    type->values = values;
    type->value_count = descriptor->n_value;
    describe(set, type, package);

    for (size_t i = 1; i < type->value_count; i++) {
        if (strcmp(type->pb.values_by_name[i - 1].name, type->pb.values_by_name[i].name) == 0)
            return err_set(err, ERR_INPUT, "%.500s: the value %.200s is there twice", type->full_name,
                           type->pb.values_by_name[i].name);
    }
    return 0;
}
