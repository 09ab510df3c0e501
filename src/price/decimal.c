#include "price/decimal.h"

#include "base/num.h"

#define DIGITS_MAX   15
#define EXPONENT_MAX 99 /* beyond this a number is 0 or out of range, whatever its digits are */

struct decimal {
    int64_t digits; /* at most DIGITS_MAX of them */
    int exponent;   /* times 10 to this */
    int digits_n;   /* significant ones, from the first that is not 0 */
    bool up;        /* the first digit that was not taken rounds up */
};

static bool is_digit(struct text t, size_t i)
{
    return i < t.len && t.at[i] >= '0' && t.at[i] <= '9';
}

static void add_digit(struct decimal *d, char c, bool fraction)
{
    if (d->digits_n > 0 || c != '0') {
        d->digits_n++;
    }
    if (d->digits_n <= DIGITS_MAX) {
        d->digits = d->digits * 10 + (c - '0');
        d->exponent -= fraction;
        return;
    }
    d->up = d->digits_n == DIGITS_MAX + 1 ? c >= '5' : d->up;
    d->exponent += !fraction;
}

/* The digits before and behind the point; where they end. 0 where there are none. */
static size_t read_digits(struct text t, struct decimal *d)
{
    size_t i = 0;
    for (; is_digit(t, i); i++) {
        add_digit(d, t.at[i], false);
    }
    if (i == 0 || i == t.len || t.at[i] != '.') {
        return i;
    }
    size_t point = i++;
    for (; is_digit(t, i); i++) {
        add_digit(d, t.at[i], true);
    }
    return i == point + 1 ? 0 : i;
}

static bool read_exponent(struct text t, size_t i, struct decimal *d)
{
    bool negative = i < t.len && t.at[i] == '-';
    i += i < t.len && (t.at[i] == '-' || t.at[i] == '+');
    int n = 0;
    size_t first = i;
    for (; is_digit(t, i); i++) {
        n = n > EXPONENT_MAX ? n : n * 10 + (t.at[i] - '0');
    }
    d->exponent += negative ? -n : n;
    return i > first && i == t.len;
}

static bool read(struct text t, struct decimal *d)
{
    size_t i = read_digits(t, d);
    d->digits += d->up;
    if (i == 0 || i == t.len) {
        return i != 0;
    }
    return (t.at[i] == 'e' || t.at[i] == 'E') && read_exponent(t, i + 1, d);
}

bool decimal_read(struct text t, int shift, int64_t max, int64_t *out, bool *exact)
{
    struct decimal d = {.digits = 0};
    if (!read(t, &d)) {
        return false;
    }
    int128 n = d.digits;
    bool rest = false;
    int power = d.exponent + shift;
    for (; power > 0 && n != 0 && n <= max; power--) {
        n *= 10;
    }
    for (; power < 0 && n != 0; power++) {
        rest = rest || n % 10 != 0;
        n /= 10;
    }
    n += rest;
    if (n > max) {
        return false;
    }
    *out = (int64_t)n;
    *exact = !rest;
    return true;
}
