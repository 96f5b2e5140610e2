/*
 * address.h - "host:port" in text and as socket addresses.
 */
#ifndef TRANSPORT_ADDRESS_H
#define TRANSPORT_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "paxos/paxos.h"

#define ADDRESS_PORT_MAX 5
/* Socket addresses of one name that are tried, at most. */
#define ADDRESS_LIST_MAX 8

struct address_parts
{
	char host[PAXOS_ADDRESS_MAX + 1]; /* without brackets; "*": any */
	char port[ADDRESS_PORT_MAX + 1];
};

struct socket_address
{
	struct sockaddr_storage storage;
	socklen_t length;
};

struct address_list
{
	uint32_t n;
	struct socket_address addresses[ADDRESS_LIST_MAX];
};

/* Splits "host:port", "[ipv6]:port" or "*:port".  False: it isn't one. */
bool address_split(const char *text, struct address_parts *parts);

/* Fills the list where the host is numeric or "*", without asking anyone.  False: it is a name. */
bool address_numeric(const struct address_parts *parts, struct address_list *list);

/*
 * Asks the system's resolver, which may block for long.  0, or a code for gai_strerror().  Used by the
 * resolver's thread.
 */
int address_resolve(const struct address_parts *parts, struct address_list *list);

bool address_is_loopback(const struct socket_address *address);

/* "1.2.3.4:5" or "[::1]:5", for people. */
void address_text(const struct socket_address *address, char *text, size_t size);

#endif /* TRANSPORT_ADDRESS_H */
