/*
 * resolver.h - host names to addresses, without blocking the caller.
 *
 * Each question gets a detached thread of its own, so that one dead name server holds up no other
 * question.  The threads block all signals, call getaddrinfo() and nothing else, and keep no process from
 * exiting.
 */
#ifndef TRANSPORT_RESOLVER_H
#define TRANSPORT_RESOLVER_H

#include "transport/address.h"

struct resolver_answer
{
	uint64_t token;
	int error; /* 0, or for gai_strerror() */
	struct address_list list;
};

struct resolver;

/* NULL: no memory or descriptors. */
struct resolver *resolver_create(void);

/* Does not wait for threads: what they still hold they free themselves. */
void resolver_destroy(struct resolver *r);

/* Readable when answers wait. */
int resolver_fd(const struct resolver *r);

/* Asks.  False: too many questions are open, or no thread could be made; ask again later. */
bool resolver_ask(struct resolver *r, const struct address_parts *parts, uint64_t token);

/* Takes an answer.  False: there is none now. */
bool resolver_next(struct resolver *r, struct resolver_answer *answer);

#endif /* TRANSPORT_RESOLVER_H */
