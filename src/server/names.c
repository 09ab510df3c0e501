#include "server/names.h"

#include <endian.h>

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Writes eight hexadecimal digits: each moves to a byte of its own, and those beyond nine are moved
 * on to the letters. */
static char *put_hex(char *to, uint32_t n)
{
    uint64_t x = n;
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & EACH_BYTE(0x0f);
    uint64_t letters = (x + EACH_BYTE(16 - 10)) >> 4 & EACH_BYTE(1);
    uint64_t digits = htobe64(x + EACH_BYTE('0') + letters * ('a' - '0' - 10));
    memcpy(to, &digits, sizeof(digits));
    return to + sizeof(digits);
}

static struct public_name name_write(const char *prefix, uint64_t number)
{
    struct public_name name;
    memcpy(name.at, prefix, 3);
    put_hex(put_hex(name.at + 3, (uint32_t)(number >> 32)), (uint32_t)number);
    name.at[PUBLIC_NAME_LEN] = '\0';
    return name;
}

/* What eight hexadecimal digits say, and anything where they are none. */
static uint32_t read_hex(const char *from)
{
    uint64_t digits;
    memcpy(&digits, from, sizeof(digits));
    digits = be64toh(digits);
    uint64_t x = (digits & EACH_BYTE(0x0f)) + 9 * (digits >> 6 & EACH_BYTE(1));
    x = (x | x >> 4) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(x | x >> 16);
}

/* A text is the name of the number in it if that number's name is this text. */
static bool name_read(const char *prefix, struct text name, uint64_t *number)
{
    if (name.len != PUBLIC_NAME_LEN) {
        return false;
    }
    uint64_t read = (uint64_t)read_hex(name.at + 3) << 32 | read_hex(name.at + 3 + 8);
    struct public_name same = name_write(prefix, read);
    if (read == 0 || !text_equal(public_name_text(&same), name)) {
        return false;
    }
    *number = read;
    return true;
}

struct public_name lease_name(uint64_t lease)
{
    return name_write("ls_", lease);
}

struct public_name ticket_name(uint64_t ticket)
{
    return name_write("tk_", ticket);
}

bool lease_name_read(struct text name, uint64_t *lease)
{
    return name_read("ls_", name, lease);
}

bool ticket_name_read(struct text name, uint64_t *ticket)
{
    return name_read("tk_", name, ticket);
}
