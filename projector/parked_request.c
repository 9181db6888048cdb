/* {"all": true} or {"topic": NAME, "key": HEX}: keys are any bytes, and JSON's strings aren't. */
#include "projector/parked_request.h"

static json_t *hex_of(struct span bytes)
{
    static const char digits[] = "0123456789abcdef";
    struct buf text = BUF_INIT;

    for (size_t i = 0; i < bytes.len; i++) {
        buf_add_byte(&text, (uint8_t)digits[span_bytes(bytes)[i] >> 4]);
        buf_add_byte(&text, (uint8_t)digits[span_bytes(bytes)[i] & 15]);
    }
    json_t *json = json_string(buf_text(&text));
    buf_release(&text);
    return json;
}

static bool read_hex_digit(char digit, uint8_t *ret_value)
{
    if (digit >= '0' && digit <= '9')
        *ret_value = (uint8_t)(digit - '0');
    else if (digit >= 'a' && digit <= 'f')
        *ret_value = (uint8_t)(digit - 'a' + 10);
    else
        return false;
    return true;
}

static bool read_hex(const char *text, struct arena *arena, struct span *ret_bytes)
{
    size_t len = strlen(text) / 2;
    uint8_t *bytes = arena_alloc(arena, len);

    if (strlen(text) % 2 != 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint8_t high = 0, low = 0;
        if (!read_hex_digit(text[2 * i], &high) || !read_hex_digit(text[2 * i + 1], &low))
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_bytes = span_of(bytes, len);
    return true;
}

json_t *parked_request_write(const struct parked_selection *selection, const struct generation_settings *settings)
{
    if (selection->is_all)
        return json_pack("{s:b}", "all", 1);
    return json_pack("{s:s,s:o}", "topic", settings->topics[selection->topic], "key", hex_of(selection->key));
}

int parked_request_read(const json_t *arguments, const struct generation_settings *settings, struct arena *arena,
                        struct parked_selection *ret_selection, struct err *err)
{
    const char *topic_name = json_string_value(json_object_get(arguments, "topic"));
    const char *key_text = json_string_value(json_object_get(arguments, "key"));
    struct span key;

    if (json_is_true(json_object_get(arguments, "all"))) {
        *ret_selection = (struct parked_selection){.is_all = true};
        return 0;
    }
    if (topic_name == NULL || key_text == NULL || !read_hex(key_text, arena, &key))
        return err_set(err, ERR_INPUT, "a request about parked events names neither all nor topic and key");
    int topic = generation_topic_number(settings, span_of_text(topic_name));
    if (topic < 0)
        return err_set(err, ERR_INPUT, "topic %s isn't one of the generation's", topic_name);
    *ret_selection = (struct parked_selection){.topic = (uint16_t)topic, .key = key};
    return 0;
}

json_t *parked_outcome_write(const struct parked_outcome *outcome)
{
    return json_pack("{s:I,s:I,s:I}", "applied", (json_int_t)outcome->applied, "dropped", (json_int_t)outcome->dropped,
                     "left", (json_int_t)outcome->left);
}

int parked_outcome_read(const json_t *answer, struct parked_outcome *ret_outcome, struct err *err)
{
    json_t *applied = json_object_get(answer, "applied");
    json_t *dropped = json_object_get(answer, "dropped");
    json_t *left = json_object_get(answer, "left");

    if (!json_is_integer(applied) || !json_is_integer(dropped) || !json_is_integer(left))
        return err_set(err, ERR_BROKEN, "the projector's answer isn't understood");
    *ret_outcome = (struct parked_outcome){(size_t)json_integer_value(applied), (size_t)json_integer_value(dropped),
                                           (size_t)json_integer_value(left)};
    return 0;
}
