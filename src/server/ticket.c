#include "server/ticket.h"

#include <assert.h>
#include <stdlib.h>

#include "base/num.h"

struct ticket {
    struct map_node by_ticket; /* the core numbers them one by one, so the number is the hash */
    struct heap_node by_time;
    uint64_t ticket;
    struct client *client;
    int64_t ends_us;
};

void tickets_init(struct tickets *tickets)
{
    map_init(&tickets->by_ticket);
    heap_init(&tickets->by_time);
}

static struct ticket *first_over(const struct tickets *tickets)
{
    struct heap_node *node = heap_first(&tickets->by_time);
    return node ? CONTAINER_OF(node, struct ticket, by_time) : NULL;
}

static struct ticket *find(const struct tickets *tickets, uint64_t ticket)
{
    struct map_node *node = map_find(&tickets->by_ticket, ticket);
    return node ? CONTAINER_OF(node, struct ticket, by_ticket) : NULL;
}

static void forget(struct tickets *tickets, struct ticket *t)
{
    assert(t->client->away > 0);
    t->client->away--;
    map_remove(&tickets->by_ticket, &t->by_ticket);
    heap_remove(&tickets->by_time, &t->by_time);
    free(t);
}

void tickets_release(struct tickets *tickets)
{
    struct ticket *t;
    while ((t = first_over(tickets)) != NULL) {
        forget(tickets, t);
    }
    map_release(&tickets->by_ticket);
    heap_release(&tickets->by_time);
}

void tickets_give(struct tickets *tickets, uint64_t ticket, struct client *client, int64_t at_us)
{
    tickets_take(tickets, ticket);
    struct ticket *t = calloc(1, sizeof(*t));
    if (!t || map_reserve(&tickets->by_ticket) != 0 || heap_reserve(&tickets->by_time, 1) != 0) {
        free(t);
        return;
    }
    t->ticket = ticket;
    t->client = client;
    t->ends_us = add_sat(at_us, TICKET_KEPT_US);
    client->away++;
    map_insert(&tickets->by_ticket, &t->by_ticket, ticket);
    heap_push(&tickets->by_time, &t->by_time, (uint64_t)t->ends_us, ticket);
}

void tickets_take(struct tickets *tickets, uint64_t ticket)
{
    struct ticket *t = find(tickets, ticket);
    if (t) {
        forget(tickets, t);
    }
}

void tickets_expire(struct tickets *tickets, int64_t now_us)
{
    struct ticket *t;
    while ((t = first_over(tickets)) != NULL && t->ends_us <= now_us) {
        forget(tickets, t);
    }
}

const struct client *tickets_holder(const struct tickets *tickets, uint64_t ticket)
{
    const struct ticket *t = find(tickets, ticket);
    return t ? t->client : NULL;
}
