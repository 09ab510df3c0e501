/*
 * Numbers as people write them. All are exact: digits go straight into integers, a fraction that
 * the integer cannot hold is refused rather than rounded, and nothing passes through a double.
 */
#include "config/config.h"

#include "base/num.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes "123.45" off the front of t, times `scale`. False where there is no number, where it
 * overflows, or where its fraction times the scale is not whole. */
static bool take_number(struct text *t, int64_t scale, int64_t *out)
{
    size_t i = 0;
    int64_t whole = 0;
    for (; i < t->len && is_digit(t->at[i]); i++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, t->at[i] - '0', &whole)) {
            return false;
        }
    }
    if (i == 0 || __builtin_mul_overflow(whole, scale, &whole)) {
        return false;
    }
    if (i < t->len && t->at[i] == '.') {
        size_t point = i++;
        int128 digits = 0;
        int128 power = 1;
        for (; i < t->len && is_digit(t->at[i]); i++) {
            if (i - point > 18) {
                return false;
            }
            digits = digits * 10 + (t->at[i] - '0');
            power *= 10;
        }
        if (i == point + 1 || digits * scale % power != 0 ||
            __builtin_add_overflow(whole, (int64_t)(digits * scale / power), &whole)) {
            return false;
        }
    }
    *t = (struct text){t->at + i, t->len - i};
    *out = whole;
    return true;
}

/* How many bytes of a number stand at the front, to see the suffix that scales it. */
static size_t number_len(struct text t)
{
    size_t i = 0;
    while (i < t.len && (is_digit(t.at[i]) || t.at[i] == '.')) {
        i++;
    }
    return i;
}

bool config_read_amount(struct text t, int64_t max, int64_t *out)
{
    size_t len = number_len(t);
    struct text suffix = {t.at + len, t.len - len};
    int64_t scale = 1;
    if (text_equal(suffix, TEXT("k"))) {
        scale = 1000;
    } else if (text_equal(suffix, TEXT("M"))) {
        scale = 1000000;
    } else if (suffix.len) {
        return false;
    }
    int64_t n;
    struct text number = {t.at, len};
    if (!take_number(&number, scale, &n) || number.len || n > max) {
        return false;
    }
    *out = n;
    return true;
}

struct duration_unit {
    const char *name;
    int64_t us;
};

static const struct duration_unit units[] = {
    {"d", US_PER_DAY}, {"h", US_PER_H}, {"m", US_PER_MIN}, {"s", US_PER_S}, {"ms", US_PER_MS},
};

static const struct duration_unit words[] = {
    {"second", US_PER_S},
    {"minute", US_PER_MIN},
    {"hour", US_PER_H},
    {"day", US_PER_DAY},
};

/* Takes the letters of a unit off the front of t. */
static struct text take_letters(struct text *t)
{
    size_t i = 0;
    while (i < t->len && t->at[i] >= 'a' && t->at[i] <= 'z') {
        i++;
    }
    struct text letters = {t->at, i};
    *t = (struct text){t->at + i, t->len - i};
    return letters;
}

bool config_read_duration(struct text t, int64_t *us)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (text_equal(t, text_of(words[i].name))) {
            *us = words[i].us;
            return true;
        }
    }
    int64_t sum = 0;
    size_t next = 0; /* units come largest first, each once */
    while (t.len) {
        struct text number = {t.at, number_len(t)};
        t = (struct text){t.at + number.len, t.len - number.len};
        struct text letters = take_letters(&t);
        while (next < sizeof(units) / sizeof(units[0]) &&
               !text_equal(letters, text_of(units[next].name))) {
            next++;
        }
        int64_t part;
        if (next == sizeof(units) / sizeof(units[0]) ||
            !take_number(&number, units[next].us, &part) || number.len ||
            __builtin_add_overflow(sum, part, &sum)) {
            return false;
        }
        next++;
    }
    if (next == 0) {
        return false;
    }
    *us = sum;
    return true;
}

bool config_read_picousd(struct text t, int64_t *picousd)
{
    int64_t n;
    if (!take_number(&t, PICOUSD_PER_USD, &n) || t.len || n > USD_AMOUNT_MAX) {
        return false;
    }
    *picousd = n;
    return true;
}

bool config_read_share(struct text t, int32_t *ppm)
{
    bool percent = t.len > 0 && t.at[t.len - 1] == '%';
    t.len -= percent;
    int64_t n;
    if (!take_number(&t, percent ? 10000 : 1000000, &n) || t.len || n > 1000000) {
        return false;
    }
    *ppm = (int32_t)n;
    return true;
}
