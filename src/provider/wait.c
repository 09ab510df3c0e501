/*
 * Durations follow Go's writing, which OpenAI and Groq use: [Nh][Nm][N.Ns][N.Nms], the longest
 * unit first, so that the `m` of `ms` is never taken for minutes. A number alone is seconds, and
 * one that would be more than thirty years is a time since 1970. No exponents and no signs: nobody
 * writes them but by mistake.
 */
#include "provider/wait.h"

#include <strings.h>

#include "base/num.h"

#define EPOCH_S_LEAST  INT64_C(1000000000)    /* from here on a number is a time in seconds … */
#define EPOCH_MS_LEAST INT64_C(1000000000000) /* … and from here on in milliseconds */
#define DIGITS_MAX     15

static struct text trim(struct text t)
{
    while (t.len && (t.at[0] == ' ' || t.at[0] == '\t')) {
        t = (struct text){t.at + 1, t.len - 1};
    }
    while (t.len && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t')) {
        t.len--;
    }
    return t;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct text skip(struct text t, size_t n)
{
    return n ? (struct text){t.at + n, t.len - n} : t; /* an empty text may be at NULL */
}

/* Takes up to `max` digits from the front, at least one. */
static bool take_digits(struct text *t, size_t max, int64_t *n)
{
    size_t len = 0;
    int64_t found = 0;
    while (len < t->len && is_digit(t->at[len])) {
        if (len == max) {
            return false;
        }
        found = found * 10 + (t->at[len++] - '0');
    }
    if (len == 0) {
        return false;
    }
    *t = skip(*t, len);
    *n = found;
    return true;
}

/* A decimal number in millionths. Digits behind the sixth decimal are dropped. */
struct decimal {
    int64_t whole;
    int64_t millionths;
};

static bool take_decimal(struct text *t, struct decimal *d)
{
    struct text rest = *t;
    *d = (struct decimal){0};
    if (!take_digits(&rest, DIGITS_MAX, &d->whole)) {
        return false;
    }
    if (rest.len > 1 && rest.at[0] == '.' && is_digit(rest.at[1])) {
        int64_t scale = 100000;
        for (rest = skip(rest, 1); rest.len && is_digit(rest.at[0]); rest = skip(rest, 1)) {
            d->millionths += (rest.at[0] - '0') * scale;
            scale /= 10;
        }
    }
    *t = rest;
    return true;
}

/* The decimal times a unit of microseconds. */
static int64_t times(struct decimal d, int64_t unit_us)
{
    int64_t us =
        add_sat(mul_sat(d.whole, unit_us), mul_div_sat(d.millionths, unit_us, INT64_C(1000000)));
    return min_i64(us, WAIT_LONGEST_US);
}

/* --- Durations --- */

/* Longer spellings first, so that "ms" is not "m" with a rest. */
static const struct {
    struct text word;
    int64_t us;
} units[] = {
    {{"ms", 2}, US_PER_MS}, {{"us", 2}, 1},       {{"\xc2\xb5s", 3}, 1},  {{"ns", 2}, 0},
    {{"d", 1}, US_PER_DAY}, {{"h", 1}, US_PER_H}, {{"m", 1}, US_PER_MIN}, {{"s", 1}, US_PER_S},
};

static bool take_unit(struct text *t, int64_t *us)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct text word = units[i].word;
        if (t->len >= word.len && memcmp(t->at, word.at, word.len) == 0) {
            *t = skip(*t, word.len);
            *us = units[i].us;
            return true;
        }
    }
    return false;
}

/* Pieces of number and unit, as many as there are; at least one. */
static bool take_duration(struct text *t, int64_t *wait_us)
{
    struct text rest = *t;
    int64_t sum = 0;
    bool any = false;
    while (rest.len && is_digit(rest.at[0])) {
        struct text piece = rest;
        struct decimal d;
        int64_t unit_us;
        if (!take_decimal(&piece, &d) || !take_unit(&piece, &unit_us)) {
            break;
        }
        sum = min_i64(add_sat(sum, times(d, unit_us)), WAIT_LONGEST_US);
        rest = piece;
        any = true;
    }
    if (!any) {
        return false;
    }
    *t = rest;
    *wait_us = sum;
    return true;
}

/* --- Dates --- */

struct civil {
    int64_t year, month, day, hour, minute, second, us;
};

/* Days since 1970-01-01 in the Gregorian calendar, counted from a March, so that the leap day is
 * the last of its year (Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_of(const struct civil *c)
{
    int64_t year = c->year - (c->month <= 2);
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (c->month + (c->month > 2 ? -3 : 9)) + 2) / 5 + c->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool civil_us(const struct civil *c, int64_t *at_us)
{
    if (c->year < 1970 || c->year > 9999 || c->month < 1 || c->month > 12 || c->day < 1 ||
        c->day > 31 || c->hour > 24 || c->minute > 59 || c->second > 60) {
        return false;
    }
    *at_us = days_of(c) * US_PER_DAY + c->hour * US_PER_H + c->minute * US_PER_MIN +
             c->second * US_PER_S + c->us;
    return true;
}

static bool take_char(struct text *t, char c)
{
    if (t->len == 0 || t->at[0] != c) {
        return false;
    }
    *t = skip(*t, 1);
    return true;
}

static void take_spaces(struct text *t)
{
    while (take_char(t, ' ')) {
    }
}

/* "hh:mm:ss" */
static bool take_clock(struct text *t, struct civil *c)
{
    return take_digits(t, 2, &c->hour) && take_char(t, ':') && take_digits(t, 2, &c->minute) &&
           take_char(t, ':') && take_digits(t, 2, &c->second);
}

/* "Z", "+01:00": what to take off to come to UTC. */
static bool take_offset(struct text *t, int64_t *offset_us)
{
    *offset_us = 0;
    if (take_char(t, 'Z') || take_char(t, 'z')) {
        return true;
    }
    bool behind = take_char(t, '-');
    int64_t hours, minutes;
    if ((!behind && !take_char(t, '+')) || !take_digits(t, 2, &hours) || !take_char(t, ':') ||
        !take_digits(t, 2, &minutes)) {
        return false;
    }
    *offset_us = (hours * US_PER_H + minutes * US_PER_MIN) * (behind ? -1 : 1);
    return true;
}

/* "2026-11-22T04:00:00Z", with a fraction and an offset if there are any. */
static bool read_rfc3339(struct text t, int64_t *at_us)
{
    struct civil c = {0};
    struct decimal seconds;
    int64_t offset_us, us;
    bool read = take_digits(&t, 4, &c.year) && take_char(&t, '-') && take_digits(&t, 2, &c.month) &&
                take_char(&t, '-') && take_digits(&t, 2, &c.day) &&
                (take_char(&t, 'T') || take_char(&t, 't') || take_char(&t, ' ')) &&
                take_digits(&t, 2, &c.hour) && take_char(&t, ':') &&
                take_digits(&t, 2, &c.minute) && take_char(&t, ':') && take_decimal(&t, &seconds) &&
                take_offset(&t, &offset_us) && t.len == 0;
    if (!read) {
        return false;
    }
    c.second = seconds.whole;
    c.us = seconds.millionths;
    if (!civil_us(&c, &us)) {
        return false;
    }
    *at_us = us - offset_us;
    return true;
}

static bool take_month(struct text *t, int64_t *month)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int i = 0; t->len >= 3 && i < 12; i++) {
        if (strncasecmp(t->at, names + 3 * (size_t)i, 3) == 0) {
            *t = skip(*t, 3);
            *month = i + 1;
            return true;
        }
    }
    return false;
}

/* Two digits of a year mean the century in which it is least far away. */
static int64_t whole_year(int64_t year)
{
    if (year >= 100) {
        return year;
    }
    return year + (year < 70 ? 2000 : 1900);
}

/* The three forms of RFC 9110: "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"
 * and "Sun Nov  6 08:49:37 1994". */
static bool read_http_date(struct text t, int64_t *at_us)
{
    struct civil c = {0};
    size_t name = 0;
    while (name < t.len && ((t.at[name] | 0x20) >= 'a' && (t.at[name] | 0x20) <= 'z')) {
        name++;
    }
    t = skip(t, name);
    bool asctime = !take_char(&t, ',');
    take_spaces(&t);
    if (asctime) {
        bool read = take_month(&t, &c.month);
        take_spaces(&t);
        read = read && take_digits(&t, 2, &c.day) && take_char(&t, ' ') && take_clock(&t, &c) &&
               take_char(&t, ' ') && take_digits(&t, 4, &c.year) && t.len == 0;
        return name >= 3 && read && civil_us(&c, at_us);
    }
    bool read = take_digits(&t, 2, &c.day) && (take_char(&t, ' ') || take_char(&t, '-')) &&
                take_month(&t, &c.month) && (take_char(&t, ' ') || take_char(&t, '-')) &&
                take_digits(&t, 4, &c.year) && take_char(&t, ' ') && take_clock(&t, &c);
    c.year = whole_year(c.year);
    return name >= 3 && read && text_equal(t, TEXT(" GMT")) && civil_us(&c, at_us);
}

bool wait_read_date(struct text value, int64_t *at_us)
{
    value = trim(value);
    return value.len <= WAIT_TEXT_MAX &&
           (read_rfc3339(value, at_us) || read_http_date(value, at_us));
}

/* --- All of them --- */

static bool until(int64_t at_us, int64_t now_us, int64_t *wait_us)
{
    if (at_us < now_us) {
        return false;
    }
    *wait_us = min_i64(sub_sat(at_us, now_us), WAIT_LONGEST_US);
    return true;
}

static bool read_number(struct text value, int64_t now_us, int64_t *wait_us)
{
    struct decimal d;
    if (!take_decimal(&value, &d) || value.len) {
        return false;
    }
    if (d.whole >= EPOCH_MS_LEAST) {
        return until(mul_sat(d.whole, US_PER_MS), now_us, wait_us);
    }
    if (d.whole >= EPOCH_S_LEAST) {
        return until(mul_sat(d.whole, US_PER_S), now_us, wait_us);
    }
    *wait_us = times(d, US_PER_S);
    return true;
}

bool wait_read(struct text value, int64_t now_us, int64_t *wait_us)
{
    value = trim(value);
    if (value.len == 0 || value.len > WAIT_TEXT_MAX) {
        return false;
    }
    int64_t found;
    struct text rest = value;
    if (read_number(value, now_us, &found) || (take_duration(&rest, &found) && rest.len == 0)) {
        *wait_us = found;
        return true;
    }
    int64_t at_us;
    return wait_read_date(value, &at_us) && until(at_us, now_us, wait_us);
}

bool wait_read_ms(struct text value, int64_t *wait_us)
{
    struct decimal d;
    value = trim(value);
    if (value.len > WAIT_TEXT_MAX || !take_decimal(&value, &d) || value.len) {
        return false;
    }
    *wait_us = times(d, US_PER_MS);
    return true;
}

/* --- Sentences --- */

/* Behind a number: " seconds", " minutes" …, as far as they have a unit of ours. */
static int64_t unit_in_words(struct text t)
{
    static const struct {
        struct text word;
        int64_t us;
    } words[] = {{{"millisecond", 11}, US_PER_MS},
                 {{"minute", 6}, US_PER_MIN},
                 {{"hour", 4}, US_PER_H},
                 {{"day", 3}, US_PER_DAY}};
    take_spaces(&t);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct text word = words[i].word;
        if (t.len >= word.len && strncasecmp(t.at, word.at, word.len) == 0) {
            return words[i].us;
        }
    }
    return US_PER_S;
}

static bool wait_at(struct text t, int64_t *wait_us)
{
    struct decimal d;
    take_spaces(&t);
    if (take_duration(&t, wait_us)) {
        return true;
    }
    if (!take_decimal(&t, &d)) {
        return false;
    }
    *wait_us = times(d, unit_in_words(t));
    return true;
}

bool wait_in_words(struct text sentence, int64_t *wait_us)
{
    static const struct text leads[] = {
        {"again in ", 9}, {"retry in ", 9}, {"retry after ", 12}, {"again after ", 12}};
    for (size_t at = 0; at < sentence.len; at++) {
        struct text rest = skip(sentence, at);
        for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
            if (rest.len > leads[i].len && strncasecmp(rest.at, leads[i].at, leads[i].len) == 0 &&
                wait_at(skip(rest, leads[i].len), wait_us)) {
                return true;
            }
        }
    }
    return false;
}
