/*
 * The addresses a server listens on: "HOST:PORT", "[V6]:PORT", "unix:PATH".
 *
 * May depend on src/base and the system's resolver, which is asked at start only.
 */
#ifndef SLUICE_HTTP_ADDRESS_H
#define SLUICE_HTTP_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"

struct address {
    struct sockaddr_storage socket;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* empty unless a unix socket */
};

/* 0, or ERR_INVALID_REQUEST with a clause in `why`. */
int address_parse(const char *text, struct address *address, struct buf *why);

int address_port(const struct sockaddr_storage *socket);

#endif
