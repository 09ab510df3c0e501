#include "http/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "http/http.h"

#define HOST_BYTES_MAX 255
#define UNIX_PREFIX    "unix:"

/* "HOST:PORT" taken apart; the brackets of a V6 address are dropped. */
struct host_port {
    char host[HOST_BYTES_MAX + 1];
    char port[6];
};

static bool is_port(const char *s)
{
    size_t len = strlen(s);
    return len > 0 && len <= 5 && strspn(s, "0123456789") == len && strtol(s, NULL, 10) <= 65535;
}

static bool split_host_port(const char *text, struct host_port *parts)
{
    const char *host = text;
    const char *end = strrchr(text, ':');
    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');
        if (!bracket || bracket + 1 != end) {
            return false;
        }
        host++;
    } else if (end != strchr(text, ':')) {
        return false; /* a V6 address without brackets is ambiguous */
    }
    if (!end || !is_port(end + 1)) {
        return false;
    }
    size_t len = (size_t)(end - host) - (text[0] == '[' ? 1 : 0);
    if (len == 0 || len > HOST_BYTES_MAX) {
        return false;
    }
    memcpy(parts->host, host, len);
    parts->host[len] = '\0';
    memcpy(parts->port, end + 1, strlen(end + 1) + 1);
    return true;
}

static int parse_path(const char *path, struct address *address, struct buf *why)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(address->path)) {
        buf_addf(why, "a unix socket's path has 1 to %zu bytes", sizeof(address->path) - 1);
        return ERR_INVALID_REQUEST;
    }
    memcpy(address->path, path, len + 1);
    return 0;
}

int address_parse(const char *text, struct address *address, struct buf *why)
{
    struct host_port parts;
    *address = (struct address){.path = ""};
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        return parse_path(text + strlen(UNIX_PREFIX), address, why);
    }
    if (!split_host_port(text, &parts)) {
        buf_addf(why, "\"%s\" is not HOST:PORT, [V6]:PORT or unix:PATH", text);
        return ERR_INVALID_REQUEST;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(parts.host, parts.port, &hints, &found);
    if (rc) {
        buf_addf(why, "\"%s\" is no address of this machine: %s", parts.host, gai_strerror(rc));
        return ERR_INVALID_REQUEST;
    }
    memcpy(&address->socket, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

int address_port(const struct sockaddr_storage *socket)
{
    if (socket->ss_family == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)(const void *)socket)->sin6_port);
    }
    return ntohs(((const struct sockaddr_in *)(const void *)socket)->sin_port);
}

int http_address_check(const char *text, struct buf *why)
{
    struct address address;
    return address_parse(text, &address, why);
}

bool http_address_is_loopback(const char *address)
{
    struct host_port parts;
    struct in_addr v4;
    struct in6_addr v6;
    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        return true;
    }
    if (!split_host_port(address, &parts)) {
        return false;
    }
    if (inet_pton(AF_INET, parts.host, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, parts.host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6);
    }
    return strcmp(parts.host, "localhost") == 0;
}
