/* A name is the same source wherever it is needed (key, brackets, target), but each place converts it to its own type:
 * so entries are parsed once and bound as often as they are asked for. */
#include "schema/view/from.h"

#include <stdio.h>

static bool is_named_before(const struct from_table *table, struct span name)
{
    for (size_t i = 0; i < table->count; i++)
        if (span_equal(table->entries[i].name, name))
            return true;
    return false;
}

void from_read(struct compiler *compiler, const Tarn__Handler *options, const char *place,
               struct from_table *ret_table)
{
    struct from_table table = {arena_zero(&compiler->scratch, options->n_from * sizeof(*table.entries)), 0};
    struct err err;

    if (options->n_from > FROM_MAX)
        mistakes_add(compiler->mistakes, place, "from", "%zu entries: at most %d are allowed", options->n_from,
                     FROM_MAX);
    for (size_t i = 0; i < options->n_from && i < FROM_MAX; i++) {
        const Tarn__Handler__FromEntry *given = options->from[i];
        struct from_entry entry = {.name = span_of_text(given->key != NULL ? given->key : "")};
        struct span text = span_of_text(given->value != NULL ? given->value : "");
        if (is_named_before(&table, entry.name)) {
            mistakes_add(compiler->mistakes, place, "from", "\"%.*s\" is named twice", QUOTE_ARGS(entry.name));
            continue;
        }
        if (expression_parse_source(text, &compiler->scratch, &entry.source, &err) < 0) {
            mistakes_add(compiler->mistakes, place, "from", "\"%.*s\": \"%.*s\": %s", QUOTE_ARGS(entry.name),
                         QUOTE_ARGS(text), err.text);
            entry.is_bad = true;
        }
        table.entries[table.count++] = entry;
    }
    *ret_table = table;
}

static struct from_entry *find(const struct from_table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (span_equal_text(table->entries[i].name, name))
            return &table->entries[i];
    return NULL;
}

static enum from_result bind_entry(struct from_entry *entry, const struct scope *scope, const struct field_type *target,
                                   bool is_added, struct source *ret_source)
{
    char option[200];

    entry->is_used = true;
    if (entry->is_bad)
        return FROM_MISTAKE;
    if (entry->source.kind == EXPRESSION_NONE)
        return FROM_NONE;
    snprintf(option, sizeof(option), "from: \"%.*s\"", QUOTE_ARGS(entry->name));
    if (resolve_source(scope, &entry->source, target, is_added, option, ret_source))
        return FROM_BOUND;
    entry->is_bad = true;
    return FROM_MISTAKE;
}

static enum from_result bind_same_name(const struct scope *scope, const struct field_type *target, bool is_added,
                                       struct source *ret_source)
{
    struct span *name = arena_alloc(&scope->compiler->scratch, sizeof(*name));
    struct source_text text = {.kind = EXPRESSION_PATH};
    struct scope advised = *scope;
    char option[200];
    char advice[400];

    *name = span_of_text(target->name);
    text.path = (struct path_text){name, 1, *name};
    if ((scope->element == NULL || message_type_field(scope->element, *name) == NULL) &&
        message_type_field(scope->message, *name) == NULL)
        return FROM_NONE;
    snprintf(option, sizeof(option), "the event's \"%.*s\"", QUOTE_ARGS(*name));
    snprintf(advice, sizeof(advice), "; if it means something else, leave it out: from { key: \"%.*s\" value: \"\" }",
             QUOTE_ARGS(*name));
    advised.advice = advice;
    return resolve_source(&advised, &text, target, is_added, option, ret_source) ? FROM_BOUND : FROM_MISTAKE;
}

enum from_result from_bind(struct from_table *from, const struct scope *scope, const struct field_type *target,
                           bool is_added, struct source *ret_source)
{
    struct from_entry *entry = find(from, target->name);

    if (entry != NULL)
        return bind_entry(entry, scope, target, is_added, ret_source);
    return bind_same_name(scope, target, is_added, ret_source);
}
