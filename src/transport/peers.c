/*
 * peers.c - the table of peers: whom to dial and when, who is a member, what the host was told.
 *
 * The node with the higher id dials at once, with a backoff of 50 ms to 1 s and jitter; the lower one only
 * after two seconds without a connection, so that two dials rarely cross.  Names are resolved again for
 * each round of attempts; while that takes long or fails, the addresses of the last time are tried.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/internal.h"

/* A connection that lasted so long ends the backoff. */
#define STABLE_MS 1000
/* ... and so long makes the next trouble a new one for the log. */
#define LONG_MS 10000
/* Lines about a peer that comes and goes, until they become rarer. */
#define CHANGES_BURST 9

struct peer *peer_find(const struct transport *t, uint32_t node_id)
{
	for (int i = 0; i < PEER_SLOTS; i++)
	{
		const struct peer *p = &t->peers[i];

		if (p->used && p->node_id == node_id)
			return (struct peer *) p;
	}
	return NULL;
}

/* F1: connected, and at the configuration's store id. */
bool peer_is_member(const struct peer *p, const struct transport *t)
{
	return p->open != NULL && t->have_members &&
		   wire_id_equal(&p->open->handshake.hello.store_id, &p->member_store);
}

__attribute__((format(printf, 3, 0))) static void set_error(struct transport *t, struct peer *p,
															const char *format, va_list arguments)
{
	vsnprintf(p->status.last_error, sizeof(p->status.last_error), format, arguments);
	p->status.last_error_ms = t->now_ms;
}

void peer_error(struct transport *t, struct peer *p, const char *format, ...)
{
	char away[LOG_LIMIT_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	set_error(t, p, format, arguments);
	va_end(arguments);
	log_limit_duration(t->now_ms - p->away_since_ms, away);
	if (p->open != NULL) /* another attempt ended */
		transport_log_limited(t, &p->errors, "node %u: %s", p->node_id, p->status.last_error);
	else if (p->status.connections == 0)
		transport_log_limited(t, &p->errors, "node %u has not been reached yet: %s", p->node_id,
							  p->status.last_error);
	else
		transport_log_limited(t, &p->errors, "node %u has been out of reach for %s: %s", p->node_id, away,
							  p->status.last_error);
}

void peer_says_lost(struct transport *t, struct peer *p, const char *reason)
{
	snprintf(p->status.last_error, sizeof(p->status.last_error), "%s", reason);
	p->status.last_error_ms = t->now_ms;
	transport_log_limited(t, &p->changes, "lost node %u: %s", p->node_id, reason);
	/* That it stays so is said in a minute. */
	log_limit_begin(&p->errors, t->now_ms);
}

void peer_refusal(struct transport *t, struct peer *p, uint32_t code, const char *format, ...)
{
	uint32_t bit = 1u << (code & 31);
	va_list arguments;

	p->status.refusals++;
	va_start(arguments, format);
	set_error(t, p, format, arguments);
	va_end(arguments);
	/* Another reason is said at once: somebody may have just mended the first one. */
	if (!(p->refusals_said & bit))
		p->refusals = (struct log_limit){0};
	p->refusals_said |= bit;
	transport_log_limited(t, &p->refusals, "node %u: %s", p->node_id, p->status.last_error);
}

/* ---------------------------------------------------------------- coming and going */

/* When to dial after a failure or a loss. */
static void schedule_dial(struct transport *t, struct peer *p)
{
	uint64_t wait;

	if (p->backoff_ms < BACKOFF_FIRST_MS)
		p->backoff_ms = BACKOFF_FIRST_MS;
	wait = p->backoff_ms - p->backoff_ms / 4 + transport_random(t, p->backoff_ms / 2 + 1);
	p->backoff_ms = p->backoff_ms * 2 < BACKOFF_LAST_MS ? p->backoff_ms * 2 : BACKOFF_LAST_MS;
	p->dial_at_ms = t->now_ms + wait;
	p->resolved = false;
}

static void say_connected(struct transport *t, struct peer *p, const struct connection *c)
{
	char away[LOG_LIMIT_TEXT_MAX];

	log_limit_duration(t->now_ms - p->away_since_ms, away);
	p->changes.burst = CHANGES_BURST;
	if (p->status.connections == 1)
		transport_log_limited(t, &p->changes, "connected to node %u (%s)", p->node_id, c->where);
	else
		transport_log_limited(t, &p->changes, "connected to node %u (%s) again, after %s without it",
							  p->node_id, c->where, away);
}

void peer_opened(struct peer *p, struct connection *c)
{
	struct transport *t = c->t;

	if (p->dialing == c)
		p->dialing = NULL;
	/* The lower id dialed only for want of this one. */
	else if (p->dialing != NULL && t->options.node_id < p->node_id)
		connection_close(p->dialing, false, NULL);
	if (p->open != NULL)
	{
		/* Another run: its process died (E7). */
		bool reset = p->open->handshake.hello.run != c->handshake.hello.run;

		connection_close(p->open, reset, NULL);
		peers_announce(t);
	}
	p->open = c;
	c->peer = p;
	p->status.connections++;
	p->status.connected_since_ms = t->now_ms;
	p->status.dialed = c->dialed;
	p->status.store_id = c->handshake.hello.store_id;
	p->status.run = c->handshake.hello.run;
	say_connected(t, p, c);
	if (t->have_members && !peer_is_member(p, t))
		peer_refusal(t, p, REFUSE_OTHER_STORE,
					 "it is an outsider: its log directory is not the one that the cluster knows as node %u",
					 p->node_id);
	peers_announce(t);
}

void peer_lost(struct peer *p, struct connection *c, bool reset)
{
	struct transport *t = c->t;

	if (p->dialing == c)
	{
		p->dialing = NULL;
		/* Another address of the same name may answer. */
		if (p->resolved && p->next_address < p->addresses.n && c->state == CONNECTION_DEAD)
			p->dial_at_ms = t->now_ms;
		else
			schedule_dial(t, p);
		return;
	}
	if (p->open != c)
		return;
	p->open = NULL;
	p->reset = reset;
	p->lost = p->announced;
	p->away_since_ms = t->now_ms;
	if (t->now_ms >= p->status.connected_since_ms + STABLE_MS)
		p->backoff_ms = 0;
	if (t->now_ms >= p->status.connected_since_ms + LONG_MS)
		p->refusals_said = 0;
	schedule_dial(t, p);
	if (t->options.node_id < p->node_id && p->dial_at_ms < t->now_ms + LOWER_DIALS_AFTER_MS)
		p->dial_at_ms = t->now_ms + LOWER_DIALS_AFTER_MS + transport_random(t, 500);
	peers_announce(t);
}

/* Whether the host believes in a connection that is gone, or was replaced. */
static bool is_gone(const struct transport *t, const struct peer *p)
{
	return p->announced && (p->lost || !p->used || !peer_is_member(p, t));
}

void peers_announce(struct transport *t)
{
	const struct transport_callbacks *to = t->callbacks;

	t->announce = true;
	if (to == NULL || t->in_callback)
		return;
	t->in_callback = true;
	/* A callback may change it all again; what is left then is for the end of the poll, or the next one. */
	t->announce = false;
	for (struct peer *p = t->peers; p < t->peers + PEER_SLOTS; p++)
	{
		if (!is_gone(t, p))
			continue;
		p->announced = p->lost = false;
		to->on_disconnected(to->context, p->node_id, p->reset);
	}
	for (struct peer *p = t->peers; p < t->peers + PEER_SLOTS; p++)
	{
		if (p->announced || !p->used || !peer_is_member(p, t))
			continue;
		p->announced = true;
		to->on_connected(to->context, p->node_id);
	}
	t->in_callback = false;
}

/* ---------------------------------------------------------------- dialing */

static void dial_failed(struct transport *t, struct peer *p, const char *what, const char *why)
{
	peer_error(t, p, "%s %s: %s", what, p->address, why);
	if (p->resolved && p->next_address < p->addresses.n)
		p->dial_at_ms = t->now_ms;
	else
		schedule_dial(t, p);
}

static void dial_address(struct transport *t, struct peer *p, const struct socket_address *address)
{
	struct connection *c;
	char where[64];
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
	{
		dial_failed(t, p, "could not make a socket for", strerror(errno));
		return;
	}
	if (connect(fd, (const struct sockaddr *) &address->storage, address->length) != 0 &&
		errno != EINPROGRESS)
	{
		int error = errno;

		close(fd);
		dial_failed(t, p, "could not connect to", strerror(error));
		return;
	}
	address_text(address, where, sizeof(where));
	c = connection_new(t, fd, true, where);
	if (c == NULL)
	{
		dial_failed(t, p, "could not connect to", "out of memory");
		return;
	}
	c->peer = p;
	p->dialing = c;
}

/* Begins a round of attempts.  False: it waits for the resolver, or failed. */
static bool begin_resolving(struct transport *t, struct peer *p)
{
	struct address_parts parts;
	struct address_list list;

	p->next_address = 0;
	if (!address_split(p->address, &parts))
	{
		dial_failed(t, p, "can't use the address", "not host:port");
		return false;
	}
	if (address_numeric(&parts, &list))
	{
		p->addresses = list;
		p->resolved = true;
		return true;
	}
	p->resolve_token = t->next_token++;
	p->resolving = resolver_ask(t->resolver, &parts, p->resolve_token);
	p->resolve_patience_ms = t->now_ms + RESOLVE_PATIENCE_MS;
	if (!p->resolving)
		dial_failed(t, p, "could not ask for the name in", "no thread");
	return false;
}

static void peer_tick(struct transport *t, struct peer *p)
{
	if (p->open != NULL || p->dialing != NULL || t->now_ms < p->dial_at_ms)
		return;
	if (!p->resolved)
	{
		if (p->resolving)
		{
			/* The answer may take minutes: what was known may still be true. */
			if (p->addresses.n == 0 || t->now_ms < p->resolve_patience_ms)
				return;
			p->resolve_patience_ms = t->now_ms + RESOLVE_PATIENCE_MS;
			p->resolved = true;
			p->next_address = 0;
		}
		else if (!begin_resolving(t, p))
			return;
	}
	if (p->next_address >= p->addresses.n)
	{
		schedule_dial(t, p);
		return;
	}
	dial_address(t, p, &p->addresses.addresses[p->next_address++]);
}

void peers_tick(struct transport *t)
{
	for (int i = 0; i < PEER_SLOTS; i++)
	{
		if (t->peers[i].used)
			peer_tick(t, &t->peers[i]);
	}
}

void peers_answer(struct transport *t, const struct resolver_answer *answer)
{
	for (int i = 0; i < PEER_SLOTS; i++)
	{
		struct peer *p = &t->peers[i];

		if (!p->used || !p->resolving || p->resolve_token != answer->token)
			continue;
		p->resolving = false;
		if (answer->error != 0)
		{
			p->next_address = p->resolved ? p->next_address : 0;
			p->resolved = p->addresses.n > 0;
			dial_failed(t, p, "could not resolve", gai_strerror(answer->error));
			return;
		}
		p->addresses = answer->list;
		p->next_address = 0;
		p->resolved = true;
		return;
	}
}

uint64_t peer_deadline(const struct peer *p)
{
	if (!p->used || p->open != NULL || p->dialing != NULL)
		return TRANSPORT_NEVER;
	if (p->resolving && !p->resolved)
	{
		if (p->addresses.n == 0)
			return TRANSPORT_NEVER;
		return p->resolve_patience_ms > p->dial_at_ms ? p->resolve_patience_ms : p->dial_at_ms;
	}
	return p->dial_at_ms;
}

/* ---------------------------------------------------------------- who the peers are */

static void remove_peer(struct transport *t, struct peer *p)
{
	if (p->dialing != NULL)
		connection_close(p->dialing, false, NULL);
	if (p->open != NULL)
		connection_close(p->open, false, NULL);
	p->used = false;
	peers_announce(t);
}

static void add_peer(struct transport *t, const struct transport_peer *from)
{
	struct peer *p = peer_find(t, from->node_id);

	for (int i = 0; p == NULL && i < PEER_SLOTS; i++)
	{
		/* A slot whose node the host still thinks connected is kept until it was told. */
		if (t->peers[i].used || t->peers[i].announced)
			continue;
		p = &t->peers[i];
		memset(p, 0, sizeof(*p));
		p->used = true;
		p->node_id = from->node_id;
		p->away_since_ms = t->now_ms;
		p->dial_at_ms = t->now_ms + (t->options.node_id < p->node_id ? LOWER_DIALS_AFTER_MS : 0);
	}
	if (p == NULL || strcmp(p->address, from->address) == 0)
		return;
	snprintf(p->address, sizeof(p->address), "%s", from->address);
	p->resolved = p->resolving = false;
	p->addresses.n = 0;
}

void transport_set_peers(struct transport *t, const struct transport_peer *peers, uint32_t n_peers)
{
	for (int i = 0; i < PEER_SLOTS; i++)
	{
		struct peer *p = &t->peers[i];
		bool keep = false;

		for (uint32_t k = 0; k < n_peers; k++)
			keep = keep || peers[k].node_id == p->node_id;
		if (p->used && !keep)
			remove_peer(t, p);
	}
	for (uint32_t k = 0; k < n_peers; k++)
	{
		if (peers[k].node_id != t->options.node_id && peers[k].node_id != 0)
			add_peer(t, &peers[k]);
	}
}

/* A peer that is connected already must belong to the cluster that now is. */
static void check_membership(struct transport *t, struct peer *p, const struct paxos_config *config)
{
	for (uint32_t k = 0; k < config->n_members; k++)
	{
		if (config->members[k].node_id == p->node_id)
			p->member_store = config->members[k].store_id;
	}
	if (p->open != NULL && !wire_id_is_zero(&p->open->handshake.hello.cluster_id) &&
		!wire_id_equal(&p->open->handshake.hello.cluster_id, &config->cluster_id))
		connection_close(p->open, false, handshake_refusal_text(REFUSE_CLUSTER_ID));
}

void transport_set_members(struct transport *t, const struct paxos_config *config)
{
	struct transport_peer peers[PAXOS_MAX_MEMBERS];

	for (uint32_t k = 0; k < config->n_members; k++)
	{
		peers[k].node_id = config->members[k].node_id;
		memcpy(peers[k].address, config->members[k].address, sizeof(peers[k].address));
	}
	transport_set_peers(t, peers, config->n_members);
	t->self.cluster_id = config->cluster_id;
	t->epoch = config->epoch;
	t->have_members = true;
	for (int i = 0; i < PEER_SLOTS; i++)
	{
		if (t->peers[i].used)
			check_membership(t, &t->peers[i], config);
	}
	/* Who becomes a member is announced by the next poll, also when this is called by a callback. */
	t->announce = true;
}
