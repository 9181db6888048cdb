/* ops/runtime/http_chunks.h - a request's body in chunked encoding. Pure and incremental, as http_parser.h. */
#ifndef TARN_RUNTIME_HTTP_CHUNKS_H
#define TARN_RUNTIME_HTTP_CHUNKS_H

#include "ops/runtime/http_parser.h"

/* A chunked body. Zeroed at its begin. */
struct http_chunk_scan {
    uint32_t looked;    /* bytes of the encoded body */
    uint32_t remaining; /* of the data of the current chunk */
    uint32_t body_bytes;
    uint32_t overhead; /* bytes that aren't data: bounded, so that a body of one-byte chunks is no weapon */
    bool in_trailer;
    bool is_whole;
};

/* bytes begin where the body does. DONE: *ret_encoded_bytes is its length on the wire; http_chunks_join() makes it one
 * piece. */
enum http_parse http_parse_chunks(struct http_chunk_scan *scan, struct span bytes, const struct http_limits *limits,
                                  size_t *ret_encoded_bytes, struct http_refusal *ret_refusal);

/* Moves the data of a whole chunked body together, in place. Returns its length. */
size_t http_chunks_join(uint8_t *encoded, size_t encoded_bytes);

#endif
