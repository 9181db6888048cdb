/* schema/message/utf8.h - is it UTF-8, as protobuf and JSON ask? */
#ifndef TARN_MESSAGE_UTF8_H
#define TARN_MESSAGE_UTF8_H

#include "schema/base/span.h"

/* RFC 3629: shortest forms only, no surrogates, nothing over U+10FFFF. */
bool utf8_is_valid(struct span text);

#endif
