/*
 * The bare HTTP ceiling: the daemon's HTTP server answering a constant to any request.
 *
 *     http_ceiling PORT [BODY]
 *
 * What the coordinator does per decision is measured against this.
 */
#include <stdio.h>

#include "http/http.h"

static void answer(void *ctx, struct http_request *req)
{
    const struct text *body = ctx;
    http_reply(req, 200, "application/json", *body);
}

int main(int argc, char **argv)
{
    char address[32];
    struct http_options options;
    struct http_server *server = NULL;
    struct buf why;
    struct text body = TEXT("{\"lease\":\"l-1\",\"waited_ms\":0}\n");
    if (argc != 2 && argc != 3) {
        fprintf(stderr, "usage: http_ceiling PORT [BODY]\n");
        return 2;
    }
    if (argc == 3) {
        body = text_of(argv[2]);
    }
    buf_init(&why, 1024);
    snprintf(address, sizeof(address), "127.0.0.1:%s", argv[1]);
    http_options_default(&options);
    options.handler = answer;
    options.ctx = &body;
    if (http_server_new(uv_default_loop(), &options, &server) ||
        http_server_listen(server, address, &why)) {
        fprintf(stderr, "http_ceiling: %.*s\n", (int)why.len, why.at);
        return 1;
    }
    printf("listening on 127.0.0.1:%d\n", http_server_port(server, 0));
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
