/* Columns are matched with fields once for a result; a row is then a walk over its cells. What a cell's text becomes is
 * one function for each kind of field. */
#include "projector/first_load_rows.h"

#include <math.h>
#include <stdlib.h>

#include "schema/base/mem.h"
#include "schema/message/utf8.h"
#include "schema/view/key.h"

enum {
    PATH_MAX_FIELDS = 8,
    NUMBER_TEXT_MAX = 400, /* a double's decimal digits, all of them */
    YEAR_MAX = 9999,
};

struct mapped_column {
    struct field_path path; /* empty: the key column alone, no field */
    const struct field_type *fields[PATH_MAX_FIELDS];
};

struct row_mapping {
    const struct first_load *load;
    struct mapped_column *columns;
    size_t column_count;
    size_t key_column;
};

/* --- columns and fields ------------------------------------------------------------------------------------------- */

static bool is_single(const struct field_type *field)
{
    return field->presence != PRESENCE_REPEATED;
}

/* What one cell can hold: a scalar, a Timestamp, a wrapper of a scalar. */
static bool takes_a_cell(const struct field_type *field)
{
    if (!is_single(field) || field->kind == KIND_GROUP)
        return false;
    return field->kind != KIND_MESSAGE || field->message->well_known == WELL_KNOWN_TIMESTAMP ||
           field->message->well_known == WELL_KNOWN_WRAPPER;
}

/* NULL: the path is good; else what is wrong. */
static const char *find_path(const struct message_type *event, const char *name, struct mapped_column *column)
{
    const struct message_type *type = event;
    const char *at = name;
    size_t count = 0;

    for (;;) {
        const char *dot = strchr(at, '.');
        struct span step = dot != NULL ? span_of(at, (size_t)(dot - at)) : span_of_text(at);
        const struct field_type *field = type != NULL ? message_type_field(type, step) : NULL;
        if (field == NULL)
            return "is no field of the event";
        if (count == PATH_MAX_FIELDS)
            return "lies too deep";
        column->fields[count++] = field;
        if (dot == NULL) {
            column->path = (struct field_path){column->fields, count};
            return takes_a_cell(field) ? NULL : "is a list, a map or a message: no column holds one";
        }
        if (!is_single(field))
            return "lies inside a list";
        type = field->message;
        at = dot + 1;
    }
}

static void complain(struct buf *complaints, const char *what, const char *name, const char *why)
{
    buf_add_format(complaints, "%s%s \"%s\" %s", complaints->len > 0 ? "; " : "", what, name, why);
}

static void find_missing(const struct row_mapping *mapping, struct buf *complaints)
{
    const struct message_type *event = mapping->load->handler->event;

    for (size_t i = 0; i < event->field_count; i++) {
        const struct field_type *field = &event->fields[i];
        bool is_given = field->presence != PRESENCE_IMPLICIT;
        for (size_t k = 0; !is_given && k < mapping->column_count; k++)
            is_given = mapping->columns[k].path.count == 1 && mapping->columns[k].fields[0] == field;
        if (!is_given)
            complain(complaints, "field", field->name, "has no column");
    }
}

int row_mapping_new(const struct first_load *load, const struct database_row *row, struct row_mapping **ret_mapping,
                    struct err *err)
{
    struct row_mapping *mapping = mem_zero(1, sizeof(*mapping));
    struct buf complaints = BUF_INIT;
    int rc = 0;

    mapping->load = load;
    mapping->column_count = row->column_count;
    mapping->columns = mem_zero(row->column_count, sizeof(*mapping->columns));
    mapping->key_column = SIZE_MAX;
    for (size_t i = 0; i < row->column_count; i++) {
        const char *name = row->columns[i].name;
        bool is_key = strcmp(name, load->key_column) == 0;
        if (is_key)
            mapping->key_column = i;
        const char *why = find_path(load->handler->event, name, &mapping->columns[i]);
        if (why != NULL && !is_key)
            complain(&complaints, "column", name, why);
        if (why != NULL)
            mapping->columns[i].path.count = 0;
    }
    if (mapping->key_column == SIZE_MAX)
        complain(&complaints, "key_column", load->key_column, "is no column of the query");
    find_missing(mapping, &complaints);
    if (complaints.len > 0) {
        rc = err_set(err, ERR_INPUT, "%s: %s", load->handler->event->full_name, buf_text(&complaints));
        row_mapping_free(&mapping);
    } else {
        *ret_mapping = mapping;
    }
    buf_release(&complaints);
    return rc;
}

void row_mapping_free(struct row_mapping **mapping)
{
    if (*mapping == NULL)
        return;
    free((*mapping)->columns);
    free(*mapping);
    *mapping = NULL;
}

struct span row_mapping_key(const struct row_mapping *mapping, const struct database_row *row,
                            enum column_kind *ret_kind)
{
    *ret_kind = row->columns[mapping->key_column].kind;
    return row->cells[mapping->key_column];
}

/* --- cells -------------------------------------------------------------------------------------------------------- */

/* Integers as MySQL writes them; of a DECIMAL a fraction of zeros only; of a BIT its bytes. */
static bool parse_integer(struct span cell, enum column_kind kind, bool *ret_is_negative, uint64_t *ret_magnitude)
{
    const uint8_t *at = span_bytes(cell);
    const uint8_t *end = at + cell.len;
    uint64_t magnitude = 0;

    *ret_is_negative = false;
    if (kind == COLUMN_BYTES) {
        if (cell.len == 0 || cell.len > 8)
            return false;
        for (; at < end; at++)
            magnitude = magnitude << 8 | *at;
        *ret_magnitude = magnitude;
        return true;
    }
    if (at < end && *at == '-') {
        *ret_is_negative = true;
        at++;
    }
    if (at == end)
        return false;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(magnitude, 10, &magnitude) ||
            __builtin_add_overflow(magnitude, (uint64_t)(*at - '0'), &magnitude))
            return false;
    if (at < end && *at == '.')
        for (at++; at < end && *at == '0'; at++)
            ;
    *ret_magnitude = magnitude;
    return at == end;
}

static bool to_signed(bool is_negative, uint64_t magnitude, int64_t min, int64_t max, int64_t *ret_value)
{
    if (is_negative ? magnitude > (uint64_t)INT64_MAX + 1 : magnitude > (uint64_t)INT64_MAX)
        return false;
    *ret_value = is_negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return *ret_value >= min && *ret_value <= max;
}

static bool is_number(enum column_kind kind)
{
    return kind == COLUMN_INTEGER || kind == COLUMN_DECIMAL;
}

static const char *const unfit_type = "is of a type that the field doesn't take";
static const char *const out_of_range = "is out of the field's range";

static const char *integer_value(const struct field_type *field, struct span cell, enum column_kind kind,
                                 struct value *ret_value)
{
    bool is_32 = field->kind == KIND_INT32 || field->kind == KIND_SINT32 || field->kind == KIND_SFIXED32 ||
                 field->kind == KIND_UINT32 || field->kind == KIND_FIXED32;
    bool is_negative;
    uint64_t magnitude;

    if (!is_number(kind) && kind != COLUMN_BYTES)
        return unfit_type;
    if (!parse_integer(cell, kind, &is_negative, &magnitude))
        return "is no whole number that fits";
    *ret_value = (struct value){.kind = value_kind_of(field->kind)};
    if (ret_value->kind == VALUE_BOOL) {
        if (is_negative || magnitude > 1)
            return "is neither 0 nor 1";
        ret_value->boolean = magnitude == 1;
    } else if (ret_value->kind == VALUE_UINT) {
        if ((is_negative && magnitude > 0) || (is_32 && magnitude > UINT32_MAX))
            return out_of_range;
        ret_value->natural = magnitude;
    } else if (!to_signed(is_negative, magnitude, is_32 ? INT32_MIN : INT64_MIN, is_32 ? INT32_MAX : INT64_MAX,
                          &ret_value->integer)) {
        return out_of_range;
    }
    return NULL;
}

static const char *float_value(const struct field_type *field, struct span cell, enum column_kind kind,
                               struct value *ret_value)
{
    char text[NUMBER_TEXT_MAX];

    if (!is_number(kind) && kind != COLUMN_FLOAT)
        return unfit_type;
    if (cell.len == 0 || cell.len >= sizeof(text))
        return out_of_range;
    memcpy(text, cell.at, cell.len);
    text[cell.len] = '\0';
    *ret_value = (struct value){.kind = value_kind_of(field->kind)};
    ret_value->number = field->kind == KIND_FLOAT ? (double)strtof(text, NULL) : strtod(text, NULL);
    return isfinite(ret_value->number) ? NULL : out_of_range;
}

static const char *enum_value(const struct field_type *field, struct span cell, enum column_kind kind,
                              struct value *ret_value)
{
    int32_t number;
    bool is_negative;
    uint64_t magnitude;

    *ret_value = (struct value){.kind = VALUE_ENUM, .enumeration = field->enumeration};
    if (kind == COLUMN_INTEGER) {
        if (!parse_integer(cell, kind, &is_negative, &magnitude) ||
            !to_signed(is_negative, magnitude, INT32_MIN, INT32_MAX, &ret_value->integer))
            return out_of_range;
        return NULL;
    }
    if (kind != COLUMN_TEXT)
        return unfit_type;
    if (!enum_type_number(field->enumeration, cell, &number))
        return "is no name of the field's enum";
    ret_value->integer = number;
    return NULL;
}

static const char *text_value(const struct field_type *field, struct span cell, enum column_kind kind,
                              struct arena *arena, struct value *ret_value)
{
    bool is_string = field->kind == KIND_STRING;

    if (is_string ? kind == COLUMN_BYTES || kind == COLUMN_INSTANT || kind == COLUMN_FLOAT || kind == COLUMN_OTHER
                  : kind != COLUMN_BYTES && kind != COLUMN_TEXT)
        return unfit_type;
    if (is_string && !utf8_is_valid(cell))
        return "is no UTF-8";
    *ret_value = (struct value){.kind = value_kind_of(field->kind),
                                .text = span_of(arena_copy(arena, cell.at, cell.len), cell.len)};
    return NULL;
}

static bool digits(const uint8_t *at, size_t count, unsigned *ret_number)
{
    unsigned number = 0;

    for (size_t i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        number = number * 10 + at[i] - '0';
    }
    *ret_number = number;
    return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar: the inverse of what JSON's timestamps are written with. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    int64_t shifted = (int64_t)year - (month <= 2);
    int64_t era = shifted / 400;
    int64_t of_era = shifted - era * 400;
    int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "2026-11-22", "2026-11-22 09:30:00", "2026-11-22 09:30:00.123456". False for 0000-00-00 and what is no date. */
static bool parse_instant(struct span cell, int64_t *ret_seconds, int32_t *ret_nanos)
{
    static const unsigned month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const uint8_t *at = span_bytes(cell);
    unsigned year, month, day, hour = 0, minute = 0, second = 0, fraction = 0;
    size_t fraction_digits = cell.len > 20 ? cell.len - 20 : 0;

    if ((cell.len != 10 && cell.len != 19 && cell.len < 21) || fraction_digits > 6 || !digits(at, 4, &year) ||
        !digits(at + 5, 2, &month) || !digits(at + 8, 2, &day))
        return false;
    if (cell.len > 10 && (!digits(at + 11, 2, &hour) || !digits(at + 14, 2, &minute) || !digits(at + 17, 2, &second) ||
                          (fraction_digits > 0 && !digits(at + 20, fraction_digits, &fraction))))
        return false;
    if (year < 1 || year > YEAR_MAX || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    for (size_t i = fraction_digits; i < 9; i++)
        fraction *= 10;
    *ret_seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    *ret_nanos = (int32_t)fraction;
    return true;
}

static const char *set_timestamp(ProtobufCMessage *message, const struct field_type *field, struct span cell,
                                 enum column_kind kind, struct arena *arena)
{
    int64_t seconds;
    int32_t nanos;

    if (kind != COLUMN_DATE && kind != COLUMN_INSTANT)
        return unfit_type;
    if (!parse_instant(cell, &seconds, &nanos))
        return "is no date from year 1 to 9999";
    ProtobufCMessage *timestamp = message_make_message(message, field, arena);
    message_set(timestamp, message_type_field_number(field->message, 1),
                (struct value){.kind = VALUE_INT, .integer = seconds});
    message_set(timestamp, message_type_field_number(field->message, 2),
                (struct value){.kind = VALUE_INT, .integer = nanos});
    return NULL;
}

static const char *scalar_value(const struct field_type *field, struct span cell, enum column_kind kind,
                                struct arena *arena, struct value *ret_value)
{
    switch (value_kind_of(field->kind)) {
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_UINT:
        return integer_value(field, cell, kind, ret_value);
    case VALUE_FLOAT:
    case VALUE_DOUBLE:
        return float_value(field, cell, kind, ret_value);
    case VALUE_ENUM:
        return enum_value(field, cell, kind, ret_value);
    case VALUE_STRING:
    case VALUE_BYTES:
        return text_value(field, cell, kind, arena, ret_value);
    case VALUE_ABSENT:
    case VALUE_MESSAGE:
        break;
    }
    return unfit_type;
}

/* NULL: done; else what is wrong with the cell. */
static const char *set_field(ProtobufCMessage *message, const struct field_type *field, struct span cell,
                             enum column_kind kind, struct arena *arena)
{
    struct value value;

    if (field->kind == KIND_MESSAGE && field->message->well_known == WELL_KNOWN_TIMESTAMP)
        return set_timestamp(message, field, cell, kind, arena);
    if (field->kind == KIND_MESSAGE) {
        message = message_make_message(message, field, arena);
        field = &field->message->fields[0];
    }
    const char *why = scalar_value(field, cell, kind, arena, &value);
    if (why == NULL)
        message_set(message, field, value);
    return why;
}

/* --- rows --------------------------------------------------------------------------------------------------------- */

static int add_owner(const struct row_mapping *mapping, ProtobufCMessage *event, struct buf *owner, struct err *err)
{
    const struct field_path *path = &mapping->load->handler->keys[0].source.path;
    const ProtobufCMessage *message = event;

    for (size_t i = 0; message != NULL && i + 1 < path->count; i++)
        message = message_get_message(message, path->fields[i]);
    const struct field_type *field = path->fields[path->count - 1];
    struct value value = message != NULL ? message_get(message, field) : (struct value){.kind = VALUE_ABSENT};
    bool is_text = value.kind == VALUE_STRING || value.kind == VALUE_BYTES;
    if (value.kind == VALUE_ABSENT || (is_text && value.text.len == 0))
        return err_set(err, ERR_INPUT, "field %s, the owner, has no value", field->name);
    key_owner_text(field, value, owner);
    return 0;
}

int row_mapping_event(const struct row_mapping *mapping, const struct database_row *row, struct arena *arena,
                      ProtobufCMessage **ret_event, struct buf *owner, struct err *err)
{
    ProtobufCMessage *event = message_new(mapping->load->handler->event, arena);

    for (size_t i = 0; i < mapping->column_count; i++) {
        const struct mapped_column *column = &mapping->columns[i];
        if (column->path.count == 0 || row->cells[i].at == NULL)
            continue;
        ProtobufCMessage *message = event;
        for (size_t k = 0; k + 1 < column->path.count; k++)
            message = message_make_message(message, column->fields[k], arena);
        const char *why =
            set_field(message, column->fields[column->path.count - 1], row->cells[i], row->columns[i].kind, arena);
        if (why != NULL)
            return err_set(err, ERR_INPUT, "column %s (%s) %s", row->columns[i].name, row->columns[i].type_name, why);
    }
    int rc = add_owner(mapping, event, owner, err);
    if (rc == 0)
        *ret_event = event;
    return rc;
}
