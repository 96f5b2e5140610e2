/*
 * address.c - parsing, resolving and printing addresses.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "transport/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_valid(const char *port)
{
	size_t length = strlen(port);

	if (length == 0 || length > ADDRESS_PORT_MAX || strspn(port, "0123456789") != length)
		return false;
	return atoi(port) >= 1 && atoi(port) <= 65535;
}

static bool host_valid(const char *host)
{
	/* Names and numbers; what a name may hold in earnest is the resolver's business. */
	return host[0] != '\0' && strcspn(host, " \t\r\n:,=/[]") == strlen(host);
}

bool address_split(const char *text, struct address_parts *parts)
{
	const char *host = text;
	const char *colon = strrchr(text, ':');
	size_t length;
	bool brackets = text[0] == '[';

	if (colon == NULL || strlen(text) > PAXOS_ADDRESS_MAX || !port_valid(colon + 1))
		return false;
	length = (size_t) (colon - text);
	if (brackets)
	{
		if (length < 3 || text[length - 1] != ']')
			return false;
		host++;
		length -= 2;
	}
	memcpy(parts->host, host, length);
	parts->host[length] = '\0';
	memcpy(parts->port, colon + 1, strlen(colon + 1) + 1);
	if (brackets)
	{
		struct address_list list;

		return strchr(parts->host, ':') != NULL && address_numeric(parts, &list);
	}
	return host_valid(parts->host);
}

static int resolve(const struct address_parts *parts, struct address_list *list, int flags)
{
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	bool any = strcmp(parts->host, "*") == 0;
	int rc;

	if (any)
		hints.ai_flags |= AI_PASSIVE;
	list->n = 0;
	rc = getaddrinfo(any ? NULL : parts->host, parts->port, &hints, &found);
	if (rc != 0)
		return rc;
	for (const struct addrinfo *a = found; a != NULL && list->n < ADDRESS_LIST_MAX; a = a->ai_next)
	{
		struct socket_address *to = &list->addresses[list->n];

		if (a->ai_addrlen > sizeof(to->storage))
			continue;
		memset(&to->storage, 0, sizeof(to->storage));
		memcpy(&to->storage, a->ai_addr, a->ai_addrlen);
		to->length = a->ai_addrlen;
		list->n++;
	}
	freeaddrinfo(found);
	return list->n > 0 ? 0 : EAI_NONAME;
}

bool address_numeric(const struct address_parts *parts, struct address_list *list)
{
	return resolve(parts, list, AI_NUMERICHOST) == 0;
}

int address_resolve(const struct address_parts *parts, struct address_list *list)
{
	return resolve(parts, list, 0);
}

bool address_is_loopback(const struct socket_address *address)
{
	if (address->storage.ss_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) &address->storage;

		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (address->storage.ss_family == AF_INET6)
	{
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) &address->storage;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
			return in6->sin6_addr.s6_addr[12] == 127;
		return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

void address_text(const struct socket_address *address, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (address->storage.ss_family == AF_INET)
	{
		const struct sockaddr_in *in = (const struct sockaddr_in *) &address->storage;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%u", host, (unsigned) ntohs(in->sin_port));
	}
	else if (address->storage.ss_family == AF_INET6)
	{
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) &address->storage;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, (unsigned) ntohs(in6->sin6_port));
	}
	else
		snprintf(text, size, "unknown address");
}
