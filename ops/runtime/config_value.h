/* ops/runtime/config_value.h - one setting's text turned into its value: numbers, sizes, times, lists, choices. */
#ifndef TARN_RUNTIME_CONFIG_VALUE_H
#define TARN_RUNTIME_CONFIG_VALUE_H

#include "ops/runtime/config.h"

/* Sizes and times as people write them: "512", "64KiB", "4GB"; "250ms", "5s", "10m", "2h", "7d", a bare number being
 * seconds. ERR_INPUT says what was expected, without the name. */
MUST_CHECK int config_parse_bytes(const char *text, int64_t *ret_bytes, struct err *err);
MUST_CHECK int config_parse_time_ms(const char *text, int64_t *ret_ms, struct err *err);
MUST_CHECK int config_parse_integer(const char *text, int64_t *ret_number, struct err *err);
MUST_CHECK int config_parse_flag(const char *text, bool *ret_flag, struct err *err);

/* Sets the option's value in settings; lists and pairs grow. A secret's text is in no error. */
MUST_CHECK int config_value_set(const struct config_option *option, const char *text, void *settings, struct err *err);
/* Back to zero, what was allocated freed. */
void config_value_clear(const struct config_option *option, void *settings);

/* Bounds as one would write them: "64KiB", "5s", "3". Returns text. */
const char *config_format_number(enum config_kind kind, int64_t number, char *text, size_t size);

#endif
