/* Each option by itself; nothing here looks at handlers. */
#include "schema/view/view_options.h"

#include "schema/view/convert.h"
#include "schema/view/field_rules.h"
#include "schema/view/resolve.h"
#include "schema/view/view_name.h"

void view_options_name(struct compiler *compiler, struct view_draft *draft)
{
    struct buf name = BUF_INIT;

    if (draft->options != NULL && draft->options->name != NULL) {
        buf_add_text(&name, draft->options->name);
        if (!view_name_is_good(buf_span(&name)))
            mistakes_add(compiler->mistakes, draft->place, "name",
                         "\"%.*s\" can't stand in a URL: letters, digits, \"-\" and \"_\", %d at most",
                         QUOTE_ARGS(buf_span(&name)), VIEW_NAME_MAX);
    } else {
        view_name_default(draft->view->type->name, &name);
        if (!view_name_is_good(buf_span(&name)))
            mistakes_add(compiler->mistakes, draft->place, "name",
                         "\"%.*s\", made of the message's name, can't stand in a URL: give it a `name`",
                         QUOTE_ARGS(buf_span(&name)));
    }
    draft->view->name = arena_copy(compiler->arena, buf_text(&name), name.len + 1);
    buf_release(&name);
}

static bool can_be_key(struct compiler *compiler, const struct view_draft *draft, const struct field_type *field)
{
    const char *why = NULL;

    if (!field_is_single(field) || !(field->kind == KIND_STRING || field->kind == KIND_BYTES ||
                                     field->kind == KIND_ENUM || field_is_integer(field))) {
        mistakes_add(compiler->mistakes, draft->place, "key",
                     "\"%s\" is %s: a key is made of strings, bytes, integers and enums", field->name,
                     field_kind_text(compiler, field));
        return false;
    }
    if (field->presence == PRESENCE_ONEOF)
        why = "is in a oneof, where another field may clear it";
    else if (field_is_derived(compiler, field))
        why = "follows a rule";
    if (why != NULL)
        mistakes_add(compiler->mistakes, draft->place, "key", "\"%s\" %s: it can't be a key", field->name, why);
    return why == NULL;
}

static bool is_among(const struct field_type *const *fields, size_t count, const struct field_type *field)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i] == field)
            return true;
    return false;
}

bool view_options_keys(struct compiler *compiler, struct view_draft *draft)
{
    const Tarn__View *options = draft->options;
    const struct field_type **keys = arena_alloc(compiler->arena, KEY_FIELDS_MAX * sizeof(const struct field_type *));
    size_t count = 0;
    bool is_good = options->n_key > 0 && options->n_key <= KEY_FIELDS_MAX;

    if (options->n_key == 0)
        mistakes_add(compiler->mistakes, draft->place, "key",
                     "is missing: the fields that identify a view, the owner first, as in key: \"user_id\"");
    else if (!is_good)
        mistakes_add(compiler->mistakes, draft->place, "key", "%zu fields: at most %d are allowed", options->n_key,
                     KEY_FIELDS_MAX);
    for (size_t i = 0; i < options->n_key && options->n_key <= KEY_FIELDS_MAX; i++) {
        const struct field_type *field =
            resolve_field(compiler, draft->view->type, span_of_text(options->key[i]), draft->place, "key");
        if (field == NULL || !can_be_key(compiler, draft, field)) {
            is_good = false;
            continue;
        }
        if (is_among(keys, count, field)) {
            mistakes_add(compiler->mistakes, draft->place, "key", "\"%s\" is named twice", field->name);
            is_good = false;
        } else {
            keys[count++] = field;
        }
    }
    draft->view->keys = keys;
    draft->view->key_count = count;
    return is_good;
}

void view_options_time_zone(struct compiler *compiler, struct view_draft *draft)
{
    const char *text = draft->options->time_zone;

    if (text == NULL)
        return;
    bool has_form = strlen(text) == 6 && (text[0] == '+' || text[0] == '-') && text[3] == ':';
    for (size_t i = 1; has_form && i < 6; i++)
        has_form = i == 3 || (text[i] >= '0' && text[i] <= '9');
    int hours = has_form ? (text[1] - '0') * 10 + (text[2] - '0') : 0;
    int minutes = has_form ? (text[4] - '0') * 10 + (text[5] - '0') : 0;
    if (!has_form || minutes > 59 || hours * 60 + minutes > 14 * 60) {
        mistakes_add(compiler->mistakes, draft->place, "time_zone",
                     "\"%.*s\" is not a fixed offset between -14:00 and +14:00, as in \"+09:00\"",
                     QUOTE_ARGS(span_of_text(text)));
        return;
    }
    int32_t offset_s = (hours * 60 + minutes) * 60;
    draft->view->utc_offset_s = text[0] == '-' ? -offset_s : offset_s;
}
