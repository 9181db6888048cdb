/* schema/json/json_number.h - numbers as JSON text. Each function writes to `to`, where JSON_NUMBER_MAX bytes are free,
 * and returns where it ended. */
#ifndef TARN_JSON_JSON_NUMBER_H
#define TARN_JSON_JSON_NUMBER_H

#include "schema/base/decimal.h"

enum { JSON_NUMBER_MAX = 40 };

/* Shortest text that reads back as the same double, or the same float. NaN and infinities as protobuf's strings. */
uint8_t *json_put_double(uint8_t *to, double value);
uint8_t *json_put_float(uint8_t *to, float value);

#endif
