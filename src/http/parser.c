#include "http/parser.h"

#ifdef SLUICE_LLHTTP
#include <llhttp.h>
typedef llhttp_t parser_state;
typedef llhttp_settings_t parser_settings;
#define PARSER_HAS_LENGTH F_CONTENT_LENGTH
#else
#include <http_parser.h>
typedef http_parser parser_state;
typedef http_parser_settings parser_settings;
#define PARSER_HAS_LENGTH F_CONTENTLENGTH
#endif

struct judging {
    struct parser_opinion opinion;
    bool complete;
};

#ifdef SLUICE_LLHTTP
static void parser_run(parser_state *p, const parser_settings *settings, struct text head,
                       struct judging *j)
{
    llhttp_init(p, HTTP_REQUEST, settings);
    p->data = j;
    llhttp_execute(p, head.at, head.len);
}

static bool parser_keeps_alive(const parser_state *p)
{
    return llhttp_should_keep_alive(p) != 0;
}

static int parser_error(const parser_state *p)
{
    return (int)llhttp_get_errno(p);
}

static const char *parser_reason(const parser_state *p)
{
    const char *reason = llhttp_get_error_reason(p);
    return reason ? reason : "the request is malformed";
}

static int parser_status(const parser_state *p)
{
    return parser_error(p) == HPE_INVALID_METHOD ? 501 : 400;
}
#else
static void parser_run(parser_state *p, const parser_settings *settings, struct text head,
                       struct judging *j)
{
    http_parser_init(p, HTTP_REQUEST);
    p->data = j;
    http_parser_execute(p, settings, head.at, head.len);
}

static bool parser_keeps_alive(const parser_state *p)
{
    return http_should_keep_alive(p) != 0;
}

static int parser_error(const parser_state *p)
{
    return (int)HTTP_PARSER_ERRNO(p);
}

static const char *parser_reason(const parser_state *p)
{
    return http_errno_description(HTTP_PARSER_ERRNO(p));
}

static int parser_status(const parser_state *p)
{
    if (parser_error(p) == HPE_HEADER_OVERFLOW) {
        return 431; /* beyond the library's own cap of 80 KiB */
    }
    return parser_error(p) == HPE_INVALID_METHOD ? 501 : 400;
}
#endif

static int on_headers_complete(parser_state *p)
{
    struct judging *j = p->data;
    /* No other protocol is spoken here: an offer to upgrade is ignored, as RFC 9110 allows. */
    p->upgrade = 0;
    j->complete = true;
    j->opinion.keep_alive = parser_keeps_alive(p);
    j->opinion.chunked = (p->flags & F_CHUNKED) != 0;
    j->opinion.length = (p->flags & PARSER_HAS_LENGTH) ? p->content_length : 0;
    return 0;
}

int parser_judge(struct text head, struct parser_opinion *opinion, const char **reason)
{
    static const parser_settings settings = {.on_headers_complete = on_headers_complete};
    struct judging j = {.complete = false};
    parser_state p;
    parser_run(&p, &settings, head, &j);
    if (j.complete && parser_error(&p) == HPE_OK) {
        *opinion = j.opinion;
        return 0;
    }
    *reason = parser_error(&p) == HPE_OK ? "the head is not complete" : parser_reason(&p);
    return parser_status(&p);
}
