/* The well-known types, by name and shape: whoever reads their fields by number relies on what is checked here. */
#include <string.h>

#include "schema/message/type_set.h"

struct known_field {
    uint32_t number;
    enum field_kind kind;
    bool is_repeated;
};

static const struct {
    const char *full_name;
    enum well_known well_known;
    struct known_field fields[7];
} known_types[] = {
    {"google.protobuf.Timestamp", WELL_KNOWN_TIMESTAMP, {{1, KIND_INT64, false}, {2, KIND_INT32, false}}},
    {"google.protobuf.Duration", WELL_KNOWN_DURATION, {{1, KIND_INT64, false}, {2, KIND_INT32, false}}},
    {"google.protobuf.DoubleValue", WELL_KNOWN_WRAPPER, {{1, KIND_DOUBLE, false}}},
    {"google.protobuf.FloatValue", WELL_KNOWN_WRAPPER, {{1, KIND_FLOAT, false}}},
    {"google.protobuf.Int64Value", WELL_KNOWN_WRAPPER, {{1, KIND_INT64, false}}},
    {"google.protobuf.UInt64Value", WELL_KNOWN_WRAPPER, {{1, KIND_UINT64, false}}},
    {"google.protobuf.Int32Value", WELL_KNOWN_WRAPPER, {{1, KIND_INT32, false}}},
    {"google.protobuf.UInt32Value", WELL_KNOWN_WRAPPER, {{1, KIND_UINT32, false}}},
    {"google.protobuf.BoolValue", WELL_KNOWN_WRAPPER, {{1, KIND_BOOL, false}}},
    {"google.protobuf.StringValue", WELL_KNOWN_WRAPPER, {{1, KIND_STRING, false}}},
    {"google.protobuf.BytesValue", WELL_KNOWN_WRAPPER, {{1, KIND_BYTES, false}}},
    {"google.protobuf.Struct", WELL_KNOWN_STRUCT, {{1, KIND_MESSAGE, true}}},
    {"google.protobuf.Value",
     WELL_KNOWN_VALUE,
     {{1, KIND_ENUM, false},
      {2, KIND_DOUBLE, false},
      {3, KIND_STRING, false},
      {4, KIND_BOOL, false},
      {5, KIND_MESSAGE, false},
      {6, KIND_MESSAGE, false}}},
    {"google.protobuf.ListValue", WELL_KNOWN_LIST_VALUE, {{1, KIND_MESSAGE, true}}},
    {"google.protobuf.FieldMask", WELL_KNOWN_FIELD_MASK, {{1, KIND_STRING, true}}},
    {"google.protobuf.Empty", WELL_KNOWN_EMPTY, {{0, KIND_DOUBLE, false}}},
    {"google.protobuf.Any", WELL_KNOWN_ANY, {{1, KIND_STRING, false}, {2, KIND_BYTES, false}}},
};

int well_known_of(const struct message_type *type, enum well_known *ret_well_known, struct err *err)
{
    for (size_t i = 0; i < ARRAY_COUNT(known_types); i++) {
        if (strcmp(known_types[i].full_name, type->full_name) != 0)
            continue;
        size_t count = 0;
        for (; known_types[i].fields[count].number != 0; count++) {
            const struct known_field *known = &known_types[i].fields[count];
            if (count >= type->field_count || type->fields[count].number != known->number ||
                type->fields[count].kind != known->kind ||
                (type->fields[count].presence == PRESENCE_REPEATED) != known->is_repeated)
                return err_set(err, ERR_INPUT, "%s isn't the type that comes with protobuf", type->full_name);
        }
        if (count != type->field_count)
            return err_set(err, ERR_INPUT, "%s isn't the type that comes with protobuf", type->full_name);
        *ret_well_known = known_types[i].well_known;
        return 0;
    }
    *ret_well_known = WELL_KNOWN_NONE;
    return 0;
}
