/* Edit distance, a third of the name's length at most. A type is also meant when its last name is the same: people
 * leave out packages. The number of names compared is bounded over a whole schema, because a hostile one could ask
 * for the product of its mistakes and its types. */
#include "schema/view/suggestion.h"

#include <stdio.h>

enum { NAME_BYTES_MAX = 100 };

struct nearest {
    struct span wanted;
    const char *name;
    size_t distance;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t edit_distance(struct span a, struct span b)
{
    const uint8_t *left = span_bytes(a);
    const uint8_t *right = span_bytes(b);
    size_t row[NAME_BYTES_MAX + 1];

    for (size_t k = 0; k <= b.len; k++)
        row[k] = k;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t replaced = diagonal + (left[i - 1] != right[k - 1]);
            diagonal = row[k];
            row[k] = smaller(replaced, smaller(row[k], row[k - 1]) + 1);
        }
    }
    return row[b.len];
}

static void consider(struct compiler *compiler, struct nearest *nearest, const char *name)
{
    struct span candidate = span_of_text(name);
    size_t longer = nearest->wanted.len > candidate.len ? nearest->wanted.len : candidate.len;
    size_t shorter = smaller(nearest->wanted.len, candidate.len);

    if (longer > NAME_BYTES_MAX || longer - shorter >= nearest->distance ||
        compiler->suggestion_count == SUGGESTION_NAMES_MAX)
        return;
    compiler->suggestion_count++;
    size_t distance = edit_distance(nearest->wanted, candidate);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->name = name;
    }
}

static const char *suggest(struct compiler *compiler, const char *name)
{
    char text[400];

    if (name == NULL)
        return "";
    int length = snprintf(text, sizeof(text), "; did you mean \"%.300s\"?", name);
    return arena_copy(&compiler->scratch, text, (size_t)length + 1);
}

const char *suggestion_field(struct compiler *compiler, const struct message_type *type, struct span name)
{
    struct nearest nearest = {name, NULL, 1 + (name.len + 1) / 3};

    for (size_t i = 0; i < type->field_count; i++)
        consider(compiler, &nearest, type->fields[i].name);
    return suggest(compiler, nearest.name);
}

static struct span last_name(struct span full_name)
{
    const char *text = full_name.at;
    size_t from = full_name.len;

    while (from > 0 && text[from - 1] != '.')
        from--;
    return span_of(full_name.len ? text + from : text, full_name.len - from);
}

const char *suggestion_type(struct compiler *compiler, struct span full_name)
{
    struct nearest nearest = {full_name, NULL, 1 + (full_name.len + 1) / 3};
    size_t count = type_set_count(compiler->types);

    for (size_t i = 0; i < count && compiler->suggestion_count < SUGGESTION_NAMES_MAX; i++) {
        const struct message_type *type = type_set_at(compiler->types, i);
        compiler->suggestion_count++;
        if (full_name.len > 0 && span_equal_text(last_name(full_name), type->name))
            return suggest(compiler, type->full_name);
        consider(compiler, &nearest, type->full_name);
    }
    return suggest(compiler, nearest.name);
}
