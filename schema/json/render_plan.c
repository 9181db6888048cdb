/* Every message type that can be reached gets one table, made before its fields are filled in, so that recursive types
 * end. A table belongs to a type under the view's rules for it. */
#include "schema/json/render_plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/base/mem.h"
#include "schema/json/json_text.h"

enum { ENUM_TEXTS_MAX = 64 };

struct plan_build {
    struct render_plan *plan;
    const struct message_type *first_type; /* of the set */
    struct render_type **by_type;          /* beside the set's types */
    struct render_type **queue;            /* made, not filled in */
    size_t queued;
    size_t capacity;
};

static struct render_plan *make_plan(const struct message_type *type, const struct message_rules *rules);
static const struct render_type *intern(struct plan_build *build, const struct message_type *type,
                                        const struct message_rules *rules);
static void fill(struct plan_build *build, struct render_type *type);

struct render_plan *render_plan_new(const struct view *view)
{
    return make_plan(view->type, view->rules);
}

struct render_plan *render_plan_new_message(const struct message_type *type)
{
    return make_plan(type, NULL);
}

void render_plan_free(struct render_plan **plan)
{
    if (*plan == NULL)
        return;
    struct arena arena = (*plan)->arena;
    arena_release(&arena);
    free(*plan);
    *plan = NULL;
}

bool render_is_identity(const struct render_plan *plan)
{
    return plan->is_identity;
}

static struct render_plan *make_plan(const struct message_type *type, const struct message_rules *rules)
{
    struct render_plan *plan = mem_zero(1, sizeof(*plan));
    struct plan_build build = {
        .plan = plan,
        .first_type = type_set_at(type->set, 0),
        .by_type = mem_zero(type_set_count(type->set), sizeof(struct render_type *)),
    };

    plan->is_identity = rules == NULL || !rules->alters_serving;
    plan->root = intern(&build, type, rules);
    while (build.queued > 0)
        fill(&build, build.queue[--build.queued]);
    free(build.queue);
    free(build.by_type);
    return plan;
}

/* Rules that alter nothing are as good as none. */
static const struct render_type *intern(struct plan_build *build, const struct message_type *type,
                                        const struct message_rules *rules)
{
    struct render_type **first = &build->by_type[type - build->first_type];

    if (rules != NULL && !rules->alters_serving)
        rules = NULL;
    for (struct render_type *known = *first; known != NULL; known = known->next) {
        if (known->rules == rules)
            return known;
    }
    struct render_type *made = arena_zero(&build->plan->arena, sizeof(*made));
    made->type = type;
    made->rules = rules;
    made->fields = arena_zero(&build->plan->arena, (type->field_count + 1) * sizeof(*made->fields));
    made->fields[type->field_count].tag = made->fields[type->field_count].tag_byte = UINT32_MAX;
    made->next = *first;
    *first = made;
    build->queue = mem_grow(build->queue, build->queued, &build->capacity, sizeof(struct render_type *));
    build->queue[build->queued++] = made;
    return made;
}

static const struct message_rules *rules_inside(const struct message_rules *rules, const struct field_type *field)
{
    for (size_t i = 0; rules != NULL && i < rules->child_count; i++) {
        if (rules->children[i] == field)
            return rules->child_rules[i];
    }
    return NULL;
}

/* A copy with room to be read in steps. */
static struct span padded(struct render_plan *plan, struct span text)
{
    uint8_t *copy = arena_zero(&plan->arena, text.len + RENDER_COPY_STEP);

    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    return span_of(copy, text.len);
}

static struct span quoted(struct render_plan *plan, const char *name)
{
    size_t length = strlen(name);
    uint8_t *text = arena_zero(&plan->arena, length + 2 + RENDER_COPY_STEP);

    text[0] = '"';
    memcpy(text + 1, name, length);
    text[length + 1] = '"';
    return span_of(text, length + 2);
}

static bool is_null_value(const struct field_type *type)
{
    return type->enumeration != NULL && strcmp(type->enumeration->full_name, "google.protobuf.NullValue") == 0;
}

static enum render_form form_of(const struct field_type *type)
{
    static const uint8_t forms[] = {
        [KIND_DOUBLE] = FORM_DOUBLE,     [KIND_FLOAT] = FORM_FLOAT,       [KIND_INT64] = FORM_INT64,
        [KIND_UINT64] = FORM_UINT64,     [KIND_INT32] = FORM_INT32,       [KIND_FIXED64] = FORM_FIXED64,
        [KIND_FIXED32] = FORM_FIXED32,   [KIND_BOOL] = FORM_BOOL,         [KIND_STRING] = FORM_STRING,
        [KIND_BYTES] = FORM_BYTES,       [KIND_UINT32] = FORM_UINT32,     [KIND_ENUM] = FORM_ENUM,
        [KIND_SFIXED32] = FORM_SFIXED32, [KIND_SFIXED64] = FORM_SFIXED64, [KIND_SINT32] = FORM_SINT32,
        [KIND_SINT64] = FORM_SINT64,     [KIND_MESSAGE] = FORM_OBJECT,    [KIND_GROUP] = FORM_HIDDEN,
    };

    if (is_null_value(type))
        return FORM_NULL;
    if (type->message != NULL && type->message->well_known != WELL_KNOWN_NONE &&
        type->message->well_known != WELL_KNOWN_EMPTY)
        return FORM_WELL_KNOWN;
    return (enum render_form)forms[type->kind];
}

/* What a field reads as that isn't there; the first value of an enum, which is 0 in proto3. */
static struct span empty_of(struct render_plan *plan, const struct render_field *field)
{
    const struct field_type *type = field->type;
    const char *name = NULL;

    if (type->is_map)
        return SPAN_LITERAL("{}");
    if (type->presence == PRESENCE_REPEATED)
        return SPAN_LITERAL("[]");
    switch (type->kind) {
    case KIND_BOOL:
        return SPAN_LITERAL("false");
    case KIND_STRING:
    case KIND_BYTES:
        return SPAN_LITERAL("\"\"");
    case KIND_INT64:
    case KIND_UINT64:
    case KIND_SINT64:
    case KIND_FIXED64:
    case KIND_SFIXED64:
        return SPAN_LITERAL("\"0\"");
    case KIND_ENUM:
        if (field->item_form == FORM_NULL)
            return SPAN_LITERAL("null");
        name = type->enumeration->values[0].name;
        break;
    case KIND_MESSAGE:
    case KIND_GROUP:
        return span_of(NULL, 0); /* made of its own fields */
    case KIND_DOUBLE:
    case KIND_FLOAT:
    case KIND_INT32:
    case KIND_UINT32:
    case KIND_SINT32:
    case KIND_FIXED32:
    case KIND_SFIXED32:
        return SPAN_LITERAL("0");
    }
    return quoted(plan, name);
}

/* Nearly all enums count from 0. */
static void prepare_enum(struct render_plan *plan, struct render_field *field)
{
    uint32_t count = 0;

    while (count < ENUM_TEXTS_MAX && enum_type_name(field->type->enumeration, (int32_t)count) != NULL)
        count++;
    struct span *texts = arena_alloc(&plan->arena, count * sizeof(*texts));
    for (uint32_t i = 0; i < count; i++)
        texts[i] = quoted(plan, enum_type_name(field->type->enumeration, (int32_t)i));
    field->enum_texts = texts;
    field->enum_text_count = count;
}

static uint32_t item_room_of(const struct render_field *field)
{
    size_t longest = RENDER_VALUE_ROOM;

    for (uint32_t i = 0; i < field->enum_text_count; i++)
        longest = field->enum_texts[i].len > longest ? field->enum_texts[i].len : longest;
    return (uint32_t)(longest + RENDER_COPY_STEP + RENDER_ROOM);
}

/* Each field comes once, as its empty or with a value. */
static size_t room_of(const struct render_type *type)
{
    size_t room = RENDER_ROOM;

    for (size_t i = 0; i < type->type->field_count; i++) {
        const struct render_field *field = &type->fields[i];
        room += field->key_and_empty.len + field->key.len + 2 * RENDER_COPY_STEP + field->item_room;
    }
    return room;
}

static void fill(struct plan_build *build, struct render_type *type)
{
    struct render_plan *plan = build->plan;
    struct buf text = BUF_INIT;

    for (size_t i = 0; i < type->type->field_count; i++) {
        struct render_field *field = &type->fields[i];
        field->type = &type->type->fields[i];
        field->tag = field->type->is_packed ? field->type->number << 3 | WIRE_LENGTH : field->type->tag;
        field->tag_byte = field->tag < 0x80 ? field->tag : UINT32_MAX;
        field->item_form = (uint8_t)form_of(field->type);
        field->form = field->item_form;
        if (field->type->presence == PRESENCE_REPEATED)
            field->form = field->type->is_map ? FORM_MAP : FORM_LIST;
        if (field->type->message != NULL)
            field->inner = intern(build, field->type->message, rules_inside(type->rules, field->type));
        field->empty = padded(plan, empty_of(plan, field));
        if (field->item_form == FORM_ENUM)
            prepare_enum(plan, field);
        field->item_room = item_room_of(field);

        /* A JSON name that isn't UTF-8 can't come from protoc; the field's own name is always ASCII. */
        buf_clear(&text);
        bool is_named = json_add_string(&text, span_of_text(field->type->json_name)) ||
                        json_add_string(&text, span_of_text(field->type->name));
        assert(is_named);
        buf_add_byte(&text, ':');
        size_t key_len = text.len;
        buf_add_span(&text, field->empty);
        buf_add_byte(&text, ',');
        const uint8_t *copy = padded(plan, buf_span(&text)).at;
        field->key = span_of(copy, key_len);
        if (field->type->presence == PRESENCE_IMPLICIT || field->type->presence == PRESENCE_REPEATED)
            field->key_and_empty = span_of(copy, text.len);
    }
    for (size_t i = 0; type->rules != NULL && i < type->rules->hidden_count; i++)
        type->fields[type->rules->hidden[i]->index].form = FORM_HIDDEN;
    for (size_t i = 0; type->rules != NULL && i < type->rules->list_count; i++)
        type->fields[type->rules->lists[i].list->index].limit = type->rules->lists[i].limit;
    buf_clear(&text);
    for (size_t i = 0; i < type->type->field_count; i++) {
        type->fields[i].empties_at = text.len;
        if (type->fields[i].form != FORM_HIDDEN)
            buf_add_span(&text, type->fields[i].key_and_empty);
    }
    type->fields[type->type->field_count].empties_at = text.len;
    type->empties = padded(plan, buf_span(&text)).at;
    type->room = room_of(type);
    buf_release(&text);
}

int render_broken(struct err *err, const struct message_type *type, const char *what)
{
    return err_set(err, ERR_BROKEN, "%s: %s", type->full_name, what);
}
