#include "cmd/shown.h"

const json_value *shown_member(const json_value *object, const char *key)
{
    return object && json_is_object(object) ? json_get(object, key) : NULL;
}

struct text shown_words(const json_value *object, const char *key)
{
    struct text t;
    const json_value *v = shown_member(object, key);
    return v && json_read_text(v, &t) ? t : TEXT_NONE;
}

struct text shown_number(const json_value *object, const char *key)
{
    struct text digits;
    const json_value *v = shown_member(object, key);
    return v && json_read_number(v, &digits) ? digits : TEXT_NONE;
}

static void add(struct table *t, struct text found)
{
    table_add(t, found.len ? found : TEXT("-"));
}

void shown_add_words(struct table *t, const json_value *object, const char *key)
{
    add(t, shown_words(object, key));
}

void shown_add_number(struct table *t, const json_value *object, const char *key)
{
    add(t, shown_number(object, key));
}
