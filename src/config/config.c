#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "config/file.h"
#include "config/zone.h"

/* The core's own check last: what it would not take is a problem of the file, too. */
static void check_policy(struct problems *p, const struct config *config)
{
    struct policy_error error = {0};
    if (problems_none(p) && policy_check(&config->policy, &error)) {
        problem_add(p, 0, "%s%s%s%s%s", error.resource ? error.resource : "",
                    error.limit ? "." : "", error.limit ? error.limit : "",
                    error.resource ? ": " : "", error.problem);
    }
}

static void build(struct problems *p, struct text yaml, struct config *config)
{
    struct tree t;
    bool whole = tree_read(yaml, &t, p);
    if (whole && t.root) {
        file_read(p, t.root, config);
    } else if (whole) {
        problem_add(p, 0, "the file holds nothing; at least \"resources\" is needed");
    }
    tree_free(&t);
    check_policy(p, config);
}

static int finish(struct problems *p, const char *name, struct config **config,
                  struct config *built, struct buf *why)
{
    int error = 0;
    if (p->no_memory || !built) {
        error = ERR_NO_MEMORY;
    } else if (p->found) {
        problems_write(p, name, why);
        error = ERR_INVALID_REQUEST;
    }
    problems_release(p);
    if (error) {
        config_free(built);
        *config = NULL;
        return error;
    }
    *config = built;
    return 0;
}

int config_parse(struct text yaml, const char *name, struct config **config, struct buf *why)
{
    struct problems p;
    problems_init(&p);
    struct config *built = calloc(1, sizeof(*built));
    if (built) {
        built->owned = calloc(1, sizeof(struct owned));
        p.no_memory = !built->owned;
    }
    if (built && !p.no_memory) {
        build(&p, yaml, built);
    }
    return finish(&p, name, config, built, why);
}

/* Reads one byte more than is allowed, so that a file that is too large shows. */
static int read_bytes(FILE *file, struct buf *bytes)
{
    char piece[16384];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
        if (n > bytes->cap - bytes->len) {
            n = bytes->cap - bytes->len;
        }
        buf_add(bytes, piece, n);
        if (bytes->failed) {
            return ERR_NO_MEMORY;
        }
        if (bytes->len == bytes->cap) {
            break;
        }
    }
    return ferror(file) ? ERR_NOT_FOUND : 0;
}

static int load_file(const char *path, struct buf *bytes, struct buf *why)
{
    FILE *file = fopen(path, "re");
    int error = file ? read_bytes(file, bytes) : ERR_NOT_FOUND;
    if (error == ERR_NOT_FOUND) {
        buf_addf(why, "%s: cannot be read: %s\n", path, strerror(errno));
    }
    if (file) {
        fclose(file);
    }
    return error;
}

int config_load(const char *path, struct config **config, struct buf *why)
{
    *config = NULL;
    struct buf bytes;
    buf_init(&bytes, TREE_BYTES_MAX + 1);
    int error = load_file(path, &bytes, why);
    if (error == 0) {
        error = config_parse(buf_text(&bytes), path, config, why);
    }
    buf_release(&bytes);
    return error;
}

void config_free(struct config *config)
{
    if (!config) {
        return;
    }
    struct owned *owned = config->owned;
    for (size_t i = 0; owned && i < owned->zones_n; i++) {
        zone_free(owned->zones[i].zone);
    }
    if (owned) {
        price_table_free(owned->prices);
        free(owned->prices_path);
        for (size_t i = 0; owned->answers && i < owned->routes_n; i++) {
            free(owned->answers[i]);
        }
        free(owned->answers);
        free(owned->routes);
    }
    for (size_t i = 0; i < config->listens_n; i++) {
        free(config->listens[i]);
    }
    free(owned);
    free(config->listens);
    free(config->store);
    free(config->alerts.webhook);
    free(config->keys);
    free(config->policy.resources);
    free(config->policy.weights);
    free(config);
}
