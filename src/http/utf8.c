#include "http/utf8.h"

#include <stdbool.h>

/* By lead byte: the length, and what the second byte may be (Unicode 15, table 3-7). */
struct utf8_row {
    unsigned char lead_first;
    unsigned char lead_last;
    unsigned char len;
    unsigned char second_first;
    unsigned char second_last;
};

static const struct utf8_row rows[] = {
    {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf},
    {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
    {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static bool row_takes(const struct utf8_row *row, const unsigned char *at, size_t len)
{
    if (len < row->len || at[1] < row->second_first || at[1] > row->second_last) {
        return false;
    }
    for (size_t i = 2; i < row->len; i++) {
        if (at[i] < 0x80 || at[i] > 0xbf) {
            return false;
        }
    }
    return true;
}

size_t utf8_length(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (at[0] >= rows[i].lead_first && at[0] <= rows[i].lead_last) {
            return row_takes(&rows[i], at, len) ? rows[i].len : 0;
        }
    }
    return 0;
}
