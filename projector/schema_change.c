/* Two trees of message types are walked side by side, from a list of pairs that are still to be compared and not by
 * recursion: a type may hold itself. Each pair of types is looked at once for each view, so a change is told at the first
 * place where a reader meets it. */
#include "projector/schema_change.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "projector/table.h"
#include "schema/base/mem.h"
#include "schema/json/json_text.h"

/* One side of a message type: what it is, and what its view hides of it. */
struct side {
    const struct message_type *type;
    const struct message_rules *rules; /* NULL: none here or below */
};

struct pair {
    struct side before, after;
    size_t parent;                  /* the pair that it was met in; its own index for the view */
    const struct field_type *field; /* of the parent, as it was before */
};

struct walk {
    struct schema_changes *changes;
    const char *view;
    struct pair *pairs;
    size_t count, capacity;
};

static void compare_views(const struct view *before, const struct view *after, struct schema_changes *changes);
static void compare_types(struct walk *walk, size_t at);

void schema_changes_release(struct schema_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        free(changes->items[i].view);
        free(changes->items[i].field);
        free(changes->items[i].what);
    }
    free(changes->items);
    *changes = (struct schema_changes){NULL, 0, 0, 0};
}

/* Takes what over. */
static void add(struct schema_changes *changes, bool is_breaking, const char *view, char *field, char *what)
{
    changes->items = mem_grow(changes->items, changes->count, &changes->capacity, sizeof(*changes->items));
    changes->items[changes->count++] = (struct schema_change){is_breaking, mem_text(view), field, what};
    changes->breaking_count += is_breaking;
}

void schema_changes_find(const struct view_set *before, const struct view_set *after, struct schema_changes *changes)
{
    for (size_t i = 0; i < before->view_count; i++) {
        const struct view *old = &before->views[i];
        const struct view *now = view_set_find(after, span_of_text(old->name));
        if (now == NULL)
            add(changes, true, old->name, mem_text(""), mem_text("the view is gone"));
        else
            compare_views(old, now, changes);
    }
    for (size_t i = 0; i < after->view_count; i++)
        if (view_set_find(before, span_of_text(after->views[i].name)) == NULL)
            add(changes, false, after->views[i].name, mem_text(""), mem_text("the view is new"));
}

/* --- views --- */

static const char *kind_name(enum field_kind kind)
{
    static const char *const names[] = {
        [KIND_DOUBLE] = "double",     [KIND_FLOAT] = "float",       [KIND_INT64] = "int64",
        [KIND_UINT64] = "uint64",     [KIND_INT32] = "int32",       [KIND_FIXED64] = "fixed64",
        [KIND_FIXED32] = "fixed32",   [KIND_BOOL] = "bool",         [KIND_STRING] = "string",
        [KIND_GROUP] = "group",       [KIND_MESSAGE] = "message",   [KIND_BYTES] = "bytes",
        [KIND_UINT32] = "uint32",     [KIND_ENUM] = "enum",         [KIND_SFIXED32] = "sfixed32",
        [KIND_SFIXED64] = "sfixed64", [KIND_SINT32] = "sint32",     [KIND_SINT64] = "sint64",
    };

    return names[kind];
}

static const char *type_name(const struct field_type *field)
{
    if (field->kind == KIND_MESSAGE)
        return field->is_map ? "map" : field->message->full_name;
    return field->kind == KIND_ENUM ? field->enumeration->full_name : kind_name(field->kind);
}

static void key_of(const struct view *view, struct buf *text)
{
    for (size_t i = 0; i < view->key_count; i++)
        buf_add_format(text, "%s%s %s", i > 0 ? ", " : "", type_name(view->keys[i]), view->keys[i]->name);
}

static void compare_keys(const struct view *before, const struct view *after, struct schema_changes *changes)
{
    struct buf was = BUF_INIT, is = BUF_INIT;

    key_of(before, &was);
    key_of(after, &is);
    if (!span_equal(buf_span(&was), buf_span(&is)))
        add(changes, true, before->name, mem_text(""),
            mem_format("the key was (%s), is (%s)", buf_text(&was), buf_text(&is)));
    buf_release(&was);
    buf_release(&is);
}

static void compare_views(const struct view *before, const struct view *after, struct schema_changes *changes)
{
    struct walk walk = {.changes = changes, .view = before->name};

    compare_keys(before, after, changes);
    walk.pairs = mem_grow(NULL, 0, &walk.capacity, sizeof(*walk.pairs));
    walk.pairs[walk.count++] = (struct pair){{before->type, before->rules}, {after->type, after->rules}, 0, NULL};
    for (size_t i = 0; i < walk.count; i++)
        compare_types(&walk, i);
    free(walk.pairs);
}

/* --- fields --- */

/* The field's names from the view on; last may be NULL. */
static char *path_of(const struct walk *walk, size_t at, const char *last)
{
    struct buf path = BUF_INIT;
    size_t depth = 0;

    for (size_t pair = at; pair != 0; pair = walk->pairs[pair].parent)
        depth++;
    const struct field_type **fields = mem_alloc((depth + 1) * sizeof(const struct field_type *));
    for (size_t pair = at, i = depth; pair != 0; pair = walk->pairs[pair].parent)
        fields[--i] = walk->pairs[pair].field;
    for (size_t i = 0; i < depth; i++)
        buf_add_format(&path, "%s%s", i > 0 ? "." : "", fields[i]->name);
    if (last != NULL)
        buf_add_format(&path, "%s%s", depth > 0 ? "." : "", last);
    char *text = mem_text(buf_text(&path));
    free(fields);
    buf_release(&path);
    return text;
}

static void tell(struct walk *walk, size_t at, bool is_breaking, const char *field, char *what)
{
    add(walk->changes, is_breaking, walk->view, path_of(walk, at, field), what);
}

static bool is_served(struct side side, const struct field_type *field)
{
    for (size_t i = 0; side.rules != NULL && i < side.rules->hidden_count; i++)
        if (side.rules->hidden[i] == field)
            return false;
    return true;
}

static const struct message_rules *rules_inside(struct side side, const struct field_type *field)
{
    for (size_t i = 0; side.rules != NULL && i < side.rules->child_count; i++)
        if (side.rules->children[i] == field)
            return side.rules->child_rules[i];
    return NULL;
}

static const struct field_type *served_by_number(struct side side, uint32_t number)
{
    const struct field_type *field = message_type_field_number(side.type, number);

    return field != NULL && is_served(side, field) ? field : NULL;
}

static const struct field_type *served_by_name(struct side side, const char *name)
{
    const struct field_type *field = message_type_field(side.type, span_of_text(name));

    return field != NULL && is_served(side, field) ? field : NULL;
}

static const char *cardinality_of(const struct field_type *field)
{
    static const char *const names[] = {
        [PRESENCE_IMPLICIT] = "a single value that is always there",
        [PRESENCE_EXPLICIT] = "a single value that may be missing",
        [PRESENCE_ONEOF] = "one of a oneof",
        [PRESENCE_REPEATED] = "a list",
    };

    return field->is_map ? "a map" : names[field->presence];
}

static void compare_enums(struct walk *walk, size_t at, const struct field_type *before, const struct field_type *after)
{
    const struct enum_type *was = before->enumeration, *is = after->enumeration;

    for (size_t i = 0; i < was->value_count; i++) {
        const char *name = enum_type_name(is, was->values[i].number);
        int32_t number;
        if (enum_type_number(is, span_of_text(was->values[i].name), &number) && number == was->values[i].number)
            continue;
        if (name != NULL)
            tell(walk, at, true, before->name,
                 mem_format("the enum's value %" PRId32 " was %s, is %s", was->values[i].number, was->values[i].name,
                            name));
        else
            tell(walk, at, true, before->name,
                 mem_format("the enum's value %s = %" PRId32 " is gone", was->values[i].name, was->values[i].number));
    }
    for (size_t i = 0; i < is->value_count; i++)
        if (enum_type_name(was, is->values[i].number) == NULL)
            tell(walk, at, false, before->name,
                 mem_format("the enum's value %s = %" PRId32 " is new", is->values[i].name, is->values[i].number));
}

/* The pair is compared later, unless it was met before. */
static void look_inside(struct walk *walk, size_t at, const struct field_type *before, const struct field_type *after)
{
    struct pair inside = {{before->message, rules_inside(walk->pairs[at].before, before)},
                          {after->message, rules_inside(walk->pairs[at].after, after)},
                          at,
                          before};

    for (size_t i = 0; i < walk->count; i++)
        if (walk->pairs[i].before.type == inside.before.type && walk->pairs[i].after.type == inside.after.type)
            return;
    walk->pairs = mem_grow(walk->pairs, walk->count, &walk->capacity, sizeof(*walk->pairs));
    walk->pairs[walk->count++] = inside;
}

/* An entry's name follows the map field's; any other message or enum is known to readers by its own. */
static bool is_same_type(const struct field_type *before, const struct field_type *after)
{
    if (before->kind != after->kind || before->is_map != after->is_map)
        return false;
    return before->is_map || strcmp(type_name(before), type_name(after)) == 0;
}

/* An element of a list in another place, or no longer there. */
static void compare_lists(struct walk *walk, size_t at, const struct field_type *before, const struct field_type *after)
{
    const struct message_rules *was = walk->pairs[at].before.rules, *is = walk->pairs[at].after.rules;
    static const struct list_rule none = {.list = NULL};
    const struct list_rule *old = &none, *now = &none;

    for (size_t i = 0; was != NULL && i < was->list_count; i++)
        if (was->lists[i].list == before)
            old = &was->lists[i];
    for (size_t i = 0; is != NULL && i < is->list_count; i++)
        if (is->lists[i].list == after)
            now = &is->lists[i];
    if (old->limit != now->limit)
        tell(walk, at, false, before->name,
             mem_format("the list's limit was %" PRIu32 ", is %" PRIu32 " (0: none)", old->limit, now->limit));
    if (old->is_descending != now->is_descending || (old->order_by == NULL) != (now->order_by == NULL) ||
        (old->order_by != NULL && strcmp(old->order_by->name, now->order_by->name) != 0))
        tell(walk, at, false, before->name, mem_text("the list has another order"));
}

static void compare_fields(struct walk *walk, size_t at, const struct field_type *before,
                           const struct field_type *after)
{
    if (strcmp(before->name, after->name) != 0)
        tell(walk, at, true, before->name,
             mem_format("number %" PRIu32 " is called %s now", before->number, after->name));
    else if (strcmp(before->json_name, after->json_name) != 0)
        tell(walk, at, true, before->name,
             mem_format("its name in JSON was %s, is %s", before->json_name, after->json_name));
    if (before->presence != after->presence || before->is_map != after->is_map)
        tell(walk, at, true, before->name,
             mem_format("was %s, is %s", cardinality_of(before), cardinality_of(after)));
    else if (before->presence == PRESENCE_REPEATED)
        compare_lists(walk, at, before, after);
    if (!is_same_type(before, after)) {
        if (before->is_map == after->is_map)
            tell(walk, at, true, before->name,
                 mem_format("its type was %s, is %s", type_name(before), type_name(after)));
    } else if (before->kind == KIND_ENUM) {
        compare_enums(walk, at, before, after);
    } else if (before->kind == KIND_MESSAGE) {
        look_inside(walk, at, before, after);
    }
}

static void compare_types(struct walk *walk, size_t at)
{
    const struct side before = walk->pairs[at].before, after = walk->pairs[at].after;

    for (size_t i = 0; i < before.type->field_count; i++) {
        const struct field_type *old = &before.type->fields[i];
        const struct field_type *now = served_by_number(after, old->number);
        const struct field_type *moved = served_by_name(after, old->name);
        if (!is_served(before, old))
            continue;
        if (now != NULL)
            compare_fields(walk, at, old, now);
        else if (moved != NULL)
            tell(walk, at, true, old->name,
                 mem_format("its number was %" PRIu32 ", is %" PRIu32, old->number, moved->number));
        else
            tell(walk, at, true, old->name, mem_text("the field is gone"));
    }
    for (size_t i = 0; i < after.type->field_count; i++) {
        const struct field_type *now = &after.type->fields[i];
        if (is_served(after, now) && served_by_number(before, now->number) == NULL &&
            served_by_name(before, now->name) == NULL)
            tell(walk, at, false, now->name, mem_text("the field is new"));
    }
}

/* --- telling --- */

void schema_changes_json(const struct schema_changes *changes, struct buf *out)
{
    buf_add_format(out, "{\"breaking\":%zu,\"changes\":[", changes->breaking_count);
    for (size_t i = 0; i < changes->count; i++) {
        const struct schema_change *change = &changes->items[i];
        const char *const texts[] = {"view", change->view, "field", change->field, "change", change->what};
        buf_add_format(out, "%s{\"breaking\":%s", i > 0 ? "," : "", change->is_breaking ? "true" : "false");
        for (size_t k = 0; k < ARRAY_COUNT(texts); k += 2) {
            buf_add_format(out, ",\"%s\":", texts[k]);
            /* Names of a descriptor set are identifiers, or it wouldn't have loaded. */
            if (!json_add_string(out, span_of_text(texts[k + 1])))
                buf_add_literal(out, "null");
        }
        buf_add_byte(out, '}');
    }
    buf_add_literal(out, "]}");
}

void schema_changes_print(const struct schema_changes *changes)
{
    static const char *const headings[] = {"READERS", "VIEW", "FIELD", "CHANGE"};
    struct table table;

    if (changes->count == 0) {
        printf("nothing changes for readers\n");
        return;
    }
    table_init(&table, headings, ARRAY_COUNT(headings));
    for (int breaking = 1; breaking >= 0; breaking--)
        for (size_t i = 0; i < changes->count; i++) {
            const struct schema_change *change = &changes->items[i];
            if (change->is_breaking != (breaking == 1))
                continue;
            table_add(&table, "%s", breaking ? "break" : "fine");
            table_add(&table, "%s", change->view);
            table_add(&table, "%s", change->field[0] != '\0' ? change->field : "-");
            table_add(&table, "%s", change->what);
        }
    table_print(&table, stdout);
    table_release(&table);
    printf("%zu of %zu changes break readers\n", changes->breaking_count, changes->count);
}
