#include "server/names.h"

static const char digits[] = "0123456789abcdef";

static struct public_name name_write(const char *prefix, uint64_t number)
{
    struct public_name name;
    memcpy(name.at, prefix, 3);
    for (int i = PUBLIC_NAME_LEN - 1; i >= 3; i--) {
        name.at[i] = digits[number & 15];
        number >>= 4;
    }
    name.at[PUBLIC_NAME_LEN] = '\0';
    return name;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool name_read(const char *prefix, struct text name, uint64_t *number)
{
    if (name.len != PUBLIC_NAME_LEN || memcmp(name.at, prefix, 3) != 0) {
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 3; i < PUBLIC_NAME_LEN; i++) {
        int value = digit_value(name.at[i]);
        if (value < 0) {
            return false;
        }
        sum = sum << 4 | (uint64_t)value;
    }
    if (sum == 0) {
        return false;
    }
    *number = sum;
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
