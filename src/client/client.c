#include "client/client.h"

#include <curl/curl.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/num.h"
#include "http/http.h"

#define URL_BYTES_MAX     4096
#define CONNECT_MS_MAX    10000L
#define UNIX_PREFIX       "unix:"
#define UNIX_PREFIX_LEN   (sizeof(UNIX_PREFIX) - 1)
#define PROTOCOLS_ALLOWED "http,https"

struct client {
    CURL *easy;
    struct curl_slist *headers;
    struct buf base;    /* "http://127.0.0.1:7411" */
    const char *called; /* what to say instead of that, or NULL */
};

/* Whether the URL's host is this machine; false also where it cannot be told. */
static bool is_loopback(const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    bool loopback = false;
    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        struct buf address;
        buf_init(&address, URL_BYTES_MAX);
        buf_addf(&address, "%s:0", host);
        loopback = address.at && http_address_is_loopback(address.at);
        buf_release(&address);
    }
    curl_free(host);
    curl_url_cleanup(parts);
    return loopback;
}

/* Checks the URL and notes what requests begin with. */
static int set_url(struct client *c, const char *url, struct buf *why)
{
    if (strncmp(url, UNIX_PREFIX, UNIX_PREFIX_LEN) == 0) {
        curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, url + UNIX_PREFIX_LEN);
        buf_add_str(&c->base, "http://localhost");
        return c->base.failed ? ERR_NO_MEMORY : 0;
    }
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        buf_addf(why, "\"%s\" is not a URL such as %s", url, CLIENT_URL_DEFAULT);
        return ERR_INVALID_REQUEST;
    }
    size_t len = strlen(url);
    while (len && url[len - 1] == '/') {
        len--;
    }
    buf_add(&c->base, url, len);
    if (is_loopback(url)) {
        curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
    }
    return c->base.failed ? ERR_NO_MEMORY : 0;
}

static int add_header(struct client *c, const char *header)
{
    struct curl_slist *longer = curl_slist_append(c->headers, header);
    if (!longer) {
        return ERR_NO_MEMORY;
    }
    c->headers = longer;
    return 0;
}

static int set_headers(struct client *c, const char *key)
{
    int rc = add_header(c, "Content-Type: application/json");
    /* Without this, libcurl asks for a 100 before larger bodies and waits a second for it. */
    rc = rc ? rc : add_header(c, "Expect:");
    if (rc == 0 && key && key[0]) {
        struct buf header;
        buf_init(&header, URL_BYTES_MAX);
        buf_addf(&header, "Authorization: Bearer %s", key);
        rc = header.failed ? ERR_NO_MEMORY : add_header(c, header.at);
        buf_release(&header);
    }
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    return rc;
}

static void set_limits(struct client *c)
{
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, PROTOCOLS_ALLOWED);
    curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS_MAX);
    curl_easy_setopt(c->easy, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
}

int client_new(const char *url, const char *key, struct client **client, struct buf *why)
{
    struct client *c = calloc(1, sizeof(*c));
    if (!c) {
        return ERR_NO_MEMORY;
    }
    buf_init(&c->base, URL_BYTES_MAX);
    c->easy = curl_easy_init();
    int rc = c->easy ? 0 : ERR_NO_MEMORY;
    rc = rc ? rc : set_url(c, url, why);
    rc = rc ? rc : set_headers(c, key);
    if (rc) {
        client_free(c);
        return rc;
    }
    set_limits(c);
    *client = c;
    return 0;
}

void client_free(struct client *client)
{
    if (!client) {
        return;
    }
    curl_easy_cleanup(client->easy);
    curl_slist_free_all(client->headers);
    buf_release(&client->base);
    free(client);
}

void client_call_it(struct client *client, const char *words)
{
    client->called = words;
}

static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                       curl_off_t up)
{
    const atomic_bool *stop = ctx;
    (void)down_all, (void)down, (void)up_all, (void)up;
    return atomic_load(stop);
}

void client_stop_when(struct client *client, const atomic_bool *stop)
{
    union {
        const atomic_bool *in;
        void *out;
    } ctx = {.in = stop};
    curl_easy_setopt(client->easy, CURLOPT_NOPROGRESS, stop ? 0L : 1L);
    curl_easy_setopt(client->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(client->easy, CURLOPT_XFERINFODATA, ctx.out);
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct buf *answer = ctx;
    buf_add(answer, bytes, size * n);
    return answer->failed ? 0 : size * n;
}

/* Asks what the handle is set up to ask. */
static int perform(struct client *client, const char *path, int64_t timeout_us, int *status,
                   struct buf *answer, struct buf *why)
{
    struct buf url;
    long code = 0;
    buf_clear(answer);
    buf_init(&url, URL_BYTES_MAX);
    buf_add_text(&url, buf_text(&client->base));
    buf_add_str(&url, path);
    if (url.failed) {
        buf_release(&url);
        return ERR_NO_MEMORY;
    }
    curl_easy_setopt(client->easy, CURLOPT_URL, url.at);
    curl_easy_setopt(client->easy, CURLOPT_TIMEOUT_MS, (long)(timeout_us / US_PER_MS));
    curl_easy_setopt(client->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(client->easy, CURLOPT_WRITEDATA, answer);
    CURLcode rc = curl_easy_perform(client->easy);
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &code);
    buf_release(&url);
    if (rc != CURLE_OK) {
        buf_addf(why, "%s%s: %s", client->called ? client->called : "the coordinator at ",
                 client->called ? "" : client->base.at, curl_easy_strerror(rc));
        return ERR_INTERNAL;
    }
    *status = (int)code;
    return 0;
}

int client_get(struct client *client, const char *path, int64_t timeout_us, int *status,
               struct buf *answer, struct buf *why)
{
    curl_easy_setopt(client->easy, CURLOPT_HTTPGET, 1L);
    return perform(client, path, timeout_us, status, answer, why);
}

int client_post(struct client *client, const char *path, struct text body, int64_t timeout_us,
                int *status, struct buf *answer, struct buf *why)
{
    curl_easy_setopt(client->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, body.len ? body.at : "");
    return perform(client, path, timeout_us, status, answer, why);
}
