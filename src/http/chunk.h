/*
 * A chunked body, taken apart in place.
 *
 * A decoder lives as long as its body and remembers where it stands between pieces. Chunk
 * extensions and trailers are read and dropped; every line ends in CR LF; framing that is out of
 * proportion to what it carries is refused.
 *
 * May depend on src/base.
 */
#ifndef SLUICE_HTTP_CHUNK_H
#define SLUICE_HTTP_CHUNK_H

#include <stddef.h>
#include <stdint.h>

struct chunk_decoder {
    uint8_t state;
    uint8_t size_digits;
    uint64_t left;    /* of the chunk at hand */
    uint64_t framing; /* bytes that were not payload */
    uint64_t payload;
};

void chunk_init(struct chunk_decoder *d);

/* Decodes `len` bytes at `bytes`, moving the payload to `to` (which may be `bytes` or stand before
 * it), at most payload_max in all. *taken says how much was read, *put how much was moved. Returns
 * 0 when more is needed, 200 when the body is complete, or a status to refuse with. */
int chunk_decode(struct chunk_decoder *d, char *to, const char *bytes, size_t len,
                 uint64_t payload_max, size_t *taken, size_t *put);

#endif
