/* schema/view/key.h - keys: from record keys, URLs and values to the store's order, and back.
 *
 * Encoding of one key field, such that bytes compare as values do (memcmp, LMDB's order):
 *   string, bytes   the bytes, each 00 followed by FF, ended by 00 01
 *   (u)int32, enum  4 bytes, big-endian, the sign bit flipped for signed types
 *   (u)int64        8 bytes likewise
 * Each field's bytes tell where it ends, so that no key is the beginning of another of the same number of fields.
 * A key is its fields one behind the other, at most KEY_BYTES_MAX. A prefix of fields is a prefix of bytes.
 *
 * The owner's text is what a Kafka record's key must hold: the string or bytes as they are, an integer in canonical
 * decimal (no plus sign, no leading zeros, no -0), an enum's first declared name or else its number. Its hash64() cuts
 * owners into ranges. */
#ifndef TARN_VIEW_KEY_H
#define TARN_VIEW_KEY_H

#include "schema/view/plan.h"

enum { KEY_BYTES_MAX = 255 };

/* Appends the encoding of one field's value. The kinds match, and *key holds the fields before it and nothing else.
 * ERR_INPUT: an empty string or empty bytes ("no key"), or the key would be longer than KEY_BYTES_MAX. */
MUST_CHECK int key_encode_value(const struct field_type *field, struct value value, struct buf *key, struct err *err);

/* Reads one field back; *at moves on. Strings are unescaped into the arena. ERR_BROKEN: not what key_encode wrote. */
MUST_CHECK int key_decode_value(const struct field_type *field, struct span *at, struct arena *arena,
                                struct value *ret_value, struct err *err);

/* The owner's text of a value of the first key field (appended). */
void key_owner_text(const struct field_type *field, struct value value, struct buf *text);

/* The value that an owner's text stands for; ERR_INPUT when it isn't one (not canonical, not UTF-8, out of range). */
MUST_CHECK int key_parse_owner(const struct field_type *field, struct span text, struct value *ret_value,
                               struct err *err);

/* The value of one percent-decoded URL segment or command-line argument: strings as they are, bytes as unpadded
 * base64url (into the arena), enums by name or number, integers in decimal. ERR_INPUT names the field. */
MUST_CHECK int key_parse_segment(const struct field_type *field, struct span segment, struct arena *arena,
                                 struct value *ret_value, struct err *err);

/* Appends the segment that key_parse_segment() reads, not percent-encoded. */
void key_segment_text(const struct field_type *field, struct value value, struct buf *text);

/* A whole key from command-line arguments or URL segments (count may be less than the view's key fields: a prefix, but
 * not 0). Appends the encoding to *key, which is empty, and the owner's text to *owner. */
MUST_CHECK int key_parse(const struct view *view, const struct span *segments, size_t count, struct arena *arena,
                         struct buf *key, struct buf *owner, struct err *err);

/* What people read: segments joined by '/', percent-encoded where they must be. A prefix of a key is read as far as it
 * goes. ERR_BROKEN: not what key_encode_value() wrote. */
MUST_CHECK int key_text(const struct view *view, struct span key, struct buf *text, struct err *err);

#endif
