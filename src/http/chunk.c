/*
 * body    = chunk* last trailer* CR LF
 * chunk   = size [extension] CR LF payload CR LF
 * last    = "0"+ [extension] CR LF
 * trailer = line CR LF
 *
 * The parser library is not used here: as Debian builds it, it takes any two bytes for the line
 * end after a chunk, and bare LF inside an extension.
 */
#include "http/chunk.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

#define SIZE_DIGITS_MAX 15
/* Framing allowed to each byte of payload, and to the body on top. */
#define FRAMING_RATIO 8
#define FRAMING_BASE  4096

enum chunk_state {
    CHUNK_SIZE,       /* in the digits of a size */
    CHUNK_EXTENSION,  /* behind them, up to CR */
    CHUNK_SIZE_LF,    /* after that CR */
    CHUNK_PAYLOAD,    /* `left` bytes to go */
    CHUNK_PAYLOAD_CR, /* after the payload */
    CHUNK_PAYLOAD_LF,
    CHUNK_TRAILER,      /* at the beginning of a trailer's line */
    CHUNK_TRAILER_LINE, /* inside one */
    CHUNK_TRAILER_LF,   /* after its CR */
    CHUNK_END_LF,       /* after the CR of the empty line */
    CHUNK_DONE,
    CHUNK_BAD
};

void chunk_init(struct chunk_decoder *d)
{
    *d = (struct chunk_decoder){.state = CHUNK_SIZE};
}

static enum chunk_state after_digit(struct chunk_decoder *d, char c)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (d->size_digits == SIZE_DIGITS_MAX) {
            return CHUNK_BAD;
        }
        d->size_digits++;
        d->left = d->left * 16 + (uint64_t)digit;
        return CHUNK_SIZE;
    }
    if (d->size_digits == 0) {
        return CHUNK_BAD;
    }
    if (c == '\r') {
        return CHUNK_SIZE_LF;
    }
    return c == ';' || c == ' ' || c == '\t' ? CHUNK_EXTENSION : CHUNK_BAD;
}

/* Within a line that is dropped: control characters are refused there as everywhere. */
static enum chunk_state after_dropped(char c, enum chunk_state same, enum chunk_state at_cr)
{
    unsigned char u = (unsigned char)c;
    if (c == '\r') {
        return at_cr;
    }
    return (u < ' ' && c != '\t') || u == 0x7f ? CHUNK_BAD : same;
}

static enum chunk_state after_size_line(struct chunk_decoder *d)
{
    d->size_digits = 0;
    return d->left ? CHUNK_PAYLOAD : CHUNK_TRAILER;
}

/* The state after one byte of framing. */
static enum chunk_state after_framing(struct chunk_decoder *d, char c)
{
    switch ((enum chunk_state)d->state) {
    case CHUNK_SIZE: return after_digit(d, c);
    case CHUNK_EXTENSION: return after_dropped(c, CHUNK_EXTENSION, CHUNK_SIZE_LF);
    case CHUNK_SIZE_LF: return c == '\n' ? after_size_line(d) : CHUNK_BAD;
    case CHUNK_PAYLOAD_CR: return c == '\r' ? CHUNK_PAYLOAD_LF : CHUNK_BAD;
    case CHUNK_PAYLOAD_LF: return c == '\n' ? CHUNK_SIZE : CHUNK_BAD;
    case CHUNK_TRAILER: return after_dropped(c, CHUNK_TRAILER_LINE, CHUNK_END_LF);
    case CHUNK_TRAILER_LINE: return after_dropped(c, CHUNK_TRAILER_LINE, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER_LF: return c == '\n' ? CHUNK_TRAILER : CHUNK_BAD;
    case CHUNK_END_LF: return c == '\n' ? CHUNK_DONE : CHUNK_BAD;
    default: return CHUNK_BAD;
    }
}

/* Moves as much of the chunk at hand as has arrived. */
static size_t move_payload(struct chunk_decoder *d, char *to, const char *from, size_t len)
{
    size_t n = d->left < len ? (size_t)d->left : len;
    memmove(to, from, n);
    d->left -= n;
    d->payload += n;
    if (d->left == 0) {
        d->state = CHUNK_PAYLOAD_CR;
    }
    return n;
}

static int chunk_verdict(const struct chunk_decoder *d, uint64_t payload_max)
{
    if (d->state == CHUNK_BAD) {
        return 400;
    }
    if (d->state == CHUNK_PAYLOAD && d->left > payload_max - d->payload) {
        return 413;
    }
    return d->framing > FRAMING_BASE + FRAMING_RATIO * d->payload ? 413 : 0;
}

int chunk_decode(struct chunk_decoder *d, char *to, const char *bytes, size_t len,
                 uint64_t payload_max, size_t *taken, size_t *put)
{
    assert(d->state != CHUNK_DONE && d->payload <= payload_max);
    *taken = 0;
    *put = 0;
    while (*taken < len) {
        if (d->state == CHUNK_PAYLOAD) {
            size_t n = move_payload(d, to + *put, bytes + *taken, len - *taken);
            *taken += n;
            *put += n;
            continue;
        }
        d->state = (uint8_t)after_framing(d, bytes[(*taken)++]);
        d->framing++;
        int status = chunk_verdict(d, payload_max);
        if (status) {
            return status;
        }
        if (d->state == CHUNK_DONE) {
            return 200;
        }
    }
    return 0;
}
