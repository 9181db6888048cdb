/* Generated code does the decoding. Unknown fields are what a newer view.proto, or a typo in a hand-made descriptor
 * set, leaves behind: protobuf would keep silent about them, and the screen would be wrong without anybody knowing
 * why. */
#include "schema/view/options.h"

static const char unsupported[] = "not yet supported by this version";

static void refuse_unknown(const ProtobufCMessage *message, const char *option, const char *place,
                           struct mistakes *mistakes)
{
    for (size_t i = 0; i < message->n_unknown_fields; i++)
        mistakes_add(mistakes, place, NULL,
                     "field %u of %s is not known to this version: the schema was made with a newer tarn/view.proto",
                     (unsigned)message->unknown_fields[i].tag, option);
}

Tarn__View *options_read_view(struct span bytes, const char *place, struct mistakes *mistakes)
{
    Tarn__View *view = tarn__view__unpack(NULL, bytes.len, bytes.at);

    if (view == NULL) {
        mistakes_add(mistakes, place, NULL, "the bytes of (tarn.view) can't be read");
        return NULL;
    }
    refuse_unknown(&view->base, "(tarn.view)", place, mistakes);
    for (size_t i = 0; i < view->n_on; i++) {
        refuse_unknown(&view->on[i]->base, "`on`", place, mistakes);
        for (size_t k = 0; k < view->on[i]->n_from; k++)
            refuse_unknown(&view->on[i]->from[k]->base, "`from`", place, mistakes);
    }
    for (size_t i = 0; i < view->n_announce; i++)
        refuse_unknown(&view->announce[i]->base, "`announce`", place, mistakes);
    for (size_t i = 0; i < view->n_first_load; i++)
        refuse_unknown(&view->first_load[i]->base, "`first_load`", place, mistakes);
    if (view->ttl != NULL)
        mistakes_add(mistakes, place, "ttl", "%s", unsupported);
    return view;
}

Tarn__Field *options_read_field(struct span bytes, const char *place, struct mistakes *mistakes)
{
    Tarn__Field *field = tarn__field__unpack(NULL, bytes.len, bytes.at);

    if (field == NULL) {
        mistakes_add(mistakes, place, NULL, "the bytes of (tarn.field) can't be read");
        return NULL;
    }
    refuse_unknown(&field->base, "(tarn.field)", place, mistakes);
    if (field->expires != NULL)
        mistakes_add(mistakes, place, "expires", "%s", unsupported);
    if (field->lookup != NULL)
        mistakes_add(mistakes, place, "lookup", "%s", unsupported);
    if (field->by != NULL)
        mistakes_add(mistakes, place, "by", "%s", unsupported);
    if (field->has_index)
        mistakes_add(mistakes, place, "index", "%s", unsupported);
    return field;
}

Tarn__Field *options_peek_field(struct span bytes)
{
    return tarn__field__unpack(NULL, bytes.len, bytes.at);
}
