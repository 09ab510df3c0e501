#include "cmd/coordinator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "cmd/cmd.h"

#define ANSWER_BYTES_MAX (64u << 20)
#define WHY_BYTES_MAX    4096

static int complain(const struct coordinator *c, const struct buf *why, int code)
{
    fprintf(stderr, "%s: %s\n", c->command, why->len ? why->at : "out of memory");
    return code;
}

int coordinator_open(struct coordinator *c, const char *command, const char *url)
{
    struct buf why;
    const char *from = url ? url : getenv("SLUICE_URL");
    *c = (struct coordinator){.command = command};
    buf_init(&c->answer, ANSWER_BYTES_MAX);
    buf_init(&why, WHY_BYTES_MAX);
    int err = client_new(from && *from ? from : CLIENT_URL_DEFAULT, getenv("SLUICE_API_KEY"),
                         &c->client, &why);
    int code = err ? complain(c, &why, err == ERR_INVALID_REQUEST ? EXIT_USAGE : 1) : 0;
    buf_release(&why);
    return code;
}

void coordinator_close(struct coordinator *c)
{
    client_free(c->client);
    buf_release(&c->answer);
}

static void add_member(struct buf *to, const json_value *object, const char *key,
                       const char *behind)
{
    struct text t;
    const json_value *v = json_get(object, key);
    if (v && json_read_text(v, &t)) {
        buf_add_text(to, t);
        buf_add_str(to, behind);
    }
}

void coordinator_explain(const struct buf *answer, int status, struct buf *why)
{
    json_value *document = NULL;
    struct buf ignored;
    size_t before = why->len;
    buf_init(&ignored, WHY_BYTES_MAX);
    if (json_parse(buf_text(answer), &document, &ignored) == 0 && json_is_object(document)) {
        const json_value *error = json_get(document, "error");
        if (error && json_is_object(error)) {
            add_member(why, error, "code", ": ");
            add_member(why, error, "message", "");
        }
    }
    if (why->len == before) {
        buf_addf(why, "the coordinator answered %d", status);
    }
    if (status == 401) {
        buf_add_str(why, "; the key is taken from $SLUICE_API_KEY");
    }
    json_free(document);
    buf_release(&ignored);
}

/* What follows from the outcome of a question. */
static int judge(struct coordinator *c, int err, int status, struct buf *why)
{
    if (err && err != ERR_NO_MEMORY && why->len) {
        buf_add_str(why, "; --url or $SLUICE_URL says where `sluice serve` listens");
    } else if (!err && status != 200) {
        coordinator_explain(&c->answer, status, why);
    }
    int code = err || status != 200 ? complain(c, why, 1) : 0;
    buf_release(why);
    return code;
}

int coordinator_get(struct coordinator *c, const char *path)
{
    struct buf why;
    int status = 0;
    buf_init(&why, WHY_BYTES_MAX);
    int err = client_get(c->client, path, COORDINATOR_TIMEOUT_US, &status, &c->answer, &why);
    return judge(c, err, status, &why);
}

int coordinator_post(struct coordinator *c, const char *path, struct text body)
{
    struct buf why;
    int status = 0;
    buf_init(&why, WHY_BYTES_MAX);
    int err = client_post(c->client, path, body, COORDINATOR_TIMEOUT_US, &status, &c->answer, &why);
    return judge(c, err, status, &why);
}

json_value *coordinator_json(struct coordinator *c)
{
    json_value *document = NULL;
    struct buf why;
    buf_init(&why, WHY_BYTES_MAX);
    if (json_parse(buf_text(&c->answer), &document, &why) != 0) {
        fprintf(stderr, "%s: the answer is not JSON: %s\n", c->command, why.len ? why.at : "");
        document = NULL;
    }
    buf_release(&why);
    return document;
}

void coordinator_add_escaped(struct buf *to, struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        unsigned char byte = (unsigned char)t.at[i];
        bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                     (byte >= '0' && byte <= '9') || (byte && strchr("-._~", byte));
        if (plain) {
            buf_add_char(to, (char)byte);
        } else {
            buf_addf(to, "%%%02X", byte);
        }
    }
}
