/*
 * sluice reopen: tells a coordinator that a resource is well again.
 */
#include <getopt.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/coordinator.h"

#define PATH_BYTES_MAX 1024

static const char help[] =
    "Usage: sluice reopen [--url U] RESOURCE\n"
    "\n"
    "Tells the coordinator that a resource is well again: one that was closed by what its "
    "provider\n"
    "answered is granted at once, at its full rate. If the provider still refuses, it closes "
    "again.\n"
    "\n"
    "  -u, --url U           the coordinator ($SLUICE_URL, or " CLIENT_URL_DEFAULT ")\n"
    "\n"
    "Where the coordinator has keys, $SLUICE_API_KEY must have the right `admin`.\n"
    "\n"
    "Exit code: 0 done, 1 it could not be done, 2 wrong arguments.\n"
    "\n"
    "Examples:\n"
    "  sluice reopen gpt-4o\n";

static int usage(void)
{
    fputs(help, stderr);
    return EXIT_USAGE;
}

/* Says what the resource's state is now, as the coordinator answered. */
static int report(struct coordinator *c)
{
    struct text name;
    json_value *document = coordinator_json(c);
    const json_value *state = document ? json_get(document, "state") : NULL;
    const json_value *v = state ? json_get(state, "name") : NULL;
    bool read = v && json_read_text(v, &name);
    if (read) {
        printf("%.*s\n", (int)name.len, name.at);
    }
    json_free(document);
    return read ? 0 : 1;
}

static int reopen(const char *url, const char *resource)
{
    struct coordinator c;
    struct buf path;
    int code = coordinator_open(&c, "sluice reopen", url);
    buf_init(&path, PATH_BYTES_MAX);
    buf_add_str(&path, "/v1/resources/");
    coordinator_add_escaped(&path, text_of(resource));
    buf_add_str(&path, "/reopen");
    if (!code && path.failed) {
        fputs("sluice reopen: no resource has such a long name\n", stderr);
        code = 1;
    }
    if (!code) {
        code = coordinator_post(&c, path.at, TEXT_NONE);
    }
    if (!code) {
        code = report(&c);
    }
    buf_release(&path);
    coordinator_close(&c);
    return code;
}

int cmd_reopen(int argc, char **argv)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"url", required_argument, NULL, 'u'},
        {0},
    };
    const char *url = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "hu:", options, NULL)) != -1) {
        switch (option) {
        case 'h': fputs(help, stdout); return 0;
        case 'u': url = optarg; break;
        default: return usage();
        }
    }
    return optind + 1 == argc ? reopen(url, argv[optind]) : usage();
}
