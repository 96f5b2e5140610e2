/*
 * listener.c - the addresses this node listens at, and what knocks there.
 *
 * An accepted connection holds one slot of options.max_unauthenticated until its handshake is done; when
 * all are taken the oldest makes way, so that silent strangers can't keep peers out.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/internal.h"

#define BACKLOG 64
#define ACCEPTS_PER_EVENT 16

void listener_init(struct listener *l, const char *address)
{
	memset(l, 0, sizeof(*l));
	l->source = SOURCE_LISTENER;
	snprintf(l->address, sizeof(l->address), "%s", address);
}

void listener_close(struct listener *l)
{
	for (uint32_t i = 0; i < l->n_fds; i++)
		close(l->fds[i]);
	l->n_fds = 0;
	l->bound = false;
}

static void failed(struct transport *t, struct listener *l, const char *why)
{
	listener_close(l);
	l->retry_at_ms = t->now_ms + LISTEN_RETRY_MS;
	snprintf(l->error, sizeof(l->error), "could not listen at %.150s: %.70s", l->address, why);
	transport_log_limited(t, &l->limit, "%s", l->error);
}

/* NULL, or why not. */
static const char *bind_one(struct transport *t, struct listener *l, const struct socket_address *address)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
	int one = 1;
	int fd;

	errno = 0;
	if (t->self.secret == NULL && !address_is_loopback(address))
		return "beyond loopback a secret is needed (paxoskv.secret_file)";
	fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return strerror(errno);
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* "*" gives an address of each family, which must not contend for the port. */
	if (address->storage.ss_family == AF_INET6)
		(void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *) &address->storage, address->length) != 0 ||
		listen(fd, BACKLOG) != 0 || epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
	{
		int error = errno;

		close(fd);
		errno = error;
		return strerror(error);
	}
	l->fds[l->n_fds++] = fd;
	return NULL;
}

static void add_bound(char *text, size_t size, size_t *used, const struct socket_address *address)
{
	char one[64];
	int length;

	address_text(address, one, sizeof(one));
	length = snprintf(text + *used, size - *used, "%s%s", *used > 0 ? ", " : "", one);
	*used = length > 0 && (size_t) length < size - *used ? *used + (size_t) length : size - 1;
}

/*
 * Binds all that can be bound; at least one must be, and no address may be taken by someone else.  (A name or
 * "*" may give an address of a family that this machine doesn't have.)
 */
static void bind_all(struct transport *t, struct listener *l, const struct address_list *list)
{
	const char *why = "no address";
	char bound[TRANSPORT_ERROR_MAX / 2] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < list->n; i++)
	{
		const char *reason = bind_one(t, l, &list->addresses[i]);

		if (reason == NULL)
			add_bound(bound, sizeof(bound), &used, &list->addresses[i]);
		else
			why = reason;
		if (reason != NULL && errno == EADDRINUSE)
		{
			failed(t, l, reason);
			return;
		}
	}
	if (l->n_fds == 0)
	{
		failed(t, l, why);
		return;
	}
	l->bound = true;
	l->error[0] = '\0';
	/* The addresses, because a name may lead to loopback on its own machine. */
	transport_log(t, TRANSPORT_LOG, "listening for other nodes at %s (%s)", l->address, bound);
}

void listener_tick(struct transport *t, struct listener *l)
{
	struct address_parts parts;
	struct address_list list;

	if (l->bound || l->resolving || t->now_ms < l->retry_at_ms)
		return;
	if (!address_split(l->address, &parts))
	{
		failed(t, l, "not host:port");
		return;
	}
	if (address_numeric(&parts, &list))
	{
		bind_all(t, l, &list);
		return;
	}
	l->resolve_token = t->next_token++;
	l->resolving = resolver_ask(t->resolver, &parts, l->resolve_token);
	if (!l->resolving)
		failed(t, l, "the name could not be asked for");
}

void listener_answer(struct transport *t, struct listener *l, const struct resolver_answer *answer)
{
	if (!l->resolving || l->resolve_token != answer->token)
		return;
	l->resolving = false;
	if (answer->error != 0)
		failed(t, l, gai_strerror(answer->error));
	else
		bind_all(t, l, &answer->list);
}

/* ---------------------------------------------------------------- accepting */

static void evict_oldest(struct transport *t)
{
	struct connection *oldest = NULL;

	for (struct connection *c = t->connections; c != NULL; c = c->next)
	{
		/* New ones are put in front, so of equals the last is the oldest. */
		if (c->limited && (oldest == NULL || c->began_ms <= oldest->began_ms))
			oldest = c;
	}
	if (oldest == NULL)
		return;
	t->refused++;
	transport_log_limited(t, &t->strangers, "too many connections without a handshake; closed that of %s",
						  oldest->where);
	connection_close(oldest, false, NULL);
}

static void accept_one(struct transport *t, int fd, const struct socket_address *from)
{
	struct connection *c;
	char where[64];

	if (t->unauthenticated >= t->options.max_unauthenticated)
		evict_oldest(t);
	address_text(from, where, sizeof(where));
	c = connection_new(t, fd, false, where);
	if (c == NULL)
		return;
	c->limited = true;
	t->unauthenticated++;
}

void listener_accept(struct transport *t, struct listener *l)
{
	for (uint32_t i = 0; i < l->n_fds; i++)
	{
		for (int n = 0; n < ACCEPTS_PER_EVENT; n++)
		{
			struct socket_address from = {.length = sizeof(from.storage)};
			int fd = accept4(l->fds[i], (struct sockaddr *) &from.storage, &from.length,
							 SOCK_NONBLOCK | SOCK_CLOEXEC);

			if (fd >= 0)
				accept_one(t, fd, &from);
			else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			{
				/* The queue would keep the epoll descriptor readable; listen again when there may be room. */
				failed(t, l, strerror(errno));
				return;
			}
			else if (errno == EAGAIN || errno == EWOULDBLOCK)
				break;
		}
	}
}
