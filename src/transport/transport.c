/*
 * transport.c - the transport's life, its poll, and messages in and out.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "transport/transport.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "transport/internal.h"

#define EVENTS_PER_POLL 64

/* ---------------------------------------------------------------- small help */

void transport_log(struct transport *t, enum transport_level level, const char *format, ...)
{
	char text[TRANSPORT_ERROR_MAX * 2];
	va_list arguments;

	if (t->options.log == NULL)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	t->options.log(t->options.log_context, level, text);
}

void transport_log_limited(struct transport *t, struct log_limit *limit, const char *format, ...)
{
	char text[TRANSPORT_ERROR_MAX * 2];
	uint32_t suppressed;
	va_list arguments;

	if (!log_limit_pass(limit, t->now_ms, &suppressed))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (suppressed > 0)
		transport_log(t, TRANSPORT_LOG, "%s (%u similar since the last such line)", text, suppressed);
	else
		transport_log(t, TRANSPORT_LOG, "%s", text);
}

uint64_t transport_random(struct transport *t, uint64_t bound)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random % bound;
}

bool transport_chance(struct transport *t, double rate)
{
	return rate > 0 && (double) transport_random(t, 1u << 30) < rate * (double) (1u << 30);
}

bool transport_address_valid(const char *address, bool any_host)
{
	struct address_parts parts;

	return address_split(address, &parts) && (any_host || strcmp(parts.host, "*") != 0);
}

bool transport_is_loopback(const char *address)
{
	struct address_parts parts;
	struct address_list list;

	if (!address_split(address, &parts))
		return false;
	if (strcmp(parts.host, "localhost") == 0)
		return true;
	return address_numeric(&parts, &list) && address_is_loopback(&list.addresses[0]);
}

/* ---------------------------------------------------------------- life */

static void default_options(struct transport_options *o)
{
	if (o->connect_timeout_ms == 0)
		o->connect_timeout_ms = 2000;
	if (o->handshake_timeout_ms == 0)
		o->handshake_timeout_ms = 5000;
	if (o->idle_timeout_ms == 0)
		o->idle_timeout_ms = 10000;
	if (o->max_unauthenticated == 0)
		o->max_unauthenticated = 32;
	if (o->max_queue_bytes == 0)
		o->max_queue_bytes = 64u << 20;
}

/* NULL, or what is wrong. */
static const char *check_options(const struct transport_options *o)
{
	if (o->node_id == 0 || wire_id_is_zero(&o->store_id))
		return "a node id and a store id are needed";
	if (memchr(o->cluster_name, '\0', sizeof(o->cluster_name)) == NULL)
		return "the cluster name is too long";
	if (o->secret != NULL && o->secret_length == 0)
		return "the secret is empty";
	if (o->secret != NULL && o->secret_length > TRANSPORT_SECRET_MAX)
		return "the secret is too long";
	if (o->n_peers > TRANSPORT_MAX_PEERS || o->n_listen > TRANSPORT_MAX_LISTEN)
		return "too many peers or addresses";
	for (uint32_t i = 0; i < o->n_listen; i++)
	{
		if (!transport_address_valid(o->listen[i], true))
			return "an address to listen at is not host:port";
		/* What localhost turns out to be is looked at when it is bound. */
		if (o->secret == NULL && !transport_is_loopback(o->listen[i]))
			return "listening beyond loopback needs a secret";
	}
	for (uint32_t i = 0; i < o->n_peers; i++)
	{
		if (!transport_address_valid(o->peers[i].address, false))
			return "a peer's address is not host:port";
	}
	return NULL;
}

static bool copy_secret(struct transport *t)
{
	uint8_t *secret;

	if (t->options.secret == NULL)
		return true;
	secret = malloc(t->options.secret_length);
	if (secret == NULL)
	{
		t->options.secret = NULL;
		return false;
	}
	memcpy(secret, t->options.secret, t->options.secret_length);
	t->options.secret = secret;
	t->self.secret = secret;
	t->self.secret_length = t->options.secret_length;
	return true;
}

static bool open_descriptors(struct transport *t)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = &t->resolver_source};

	t->resolver_source = SOURCE_RESOLVER;
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd < 0)
		return false;
	t->resolver = resolver_create();
	return t->resolver != NULL &&
		   epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, resolver_fd(t->resolver), &event) == 0;
}

struct transport *transport_create(const struct transport_options *options, char error[TRANSPORT_ERROR_MAX])
{
	const char *wrong = check_options(options);
	struct transport *t = wrong == NULL ? calloc(1, sizeof(*t)) : NULL;

	if (t == NULL)
	{
		snprintf(error, TRANSPORT_ERROR_MAX, "%s", wrong != NULL ? wrong : "out of memory");
		return NULL;
	}
	t->options = *options;
	default_options(&t->options);
	t->self.node_id = options->node_id;
	t->self.store_id = options->store_id;
	memcpy(t->self.cluster_name, options->cluster_name, sizeof(t->self.cluster_name));
	t->self.run = options->run;
	t->self.nonce = options->nonce;
	t->random = options->seed | 1;
	t->next_token = 1;
	t->epoll_fd = -1;
	if (!copy_secret(t) || !open_descriptors(t))
	{
		snprintf(error, TRANSPORT_ERROR_MAX, "could not set up the transport: %s", strerror(errno));
		transport_destroy(t);
		return NULL;
	}
	for (uint32_t i = 0; i < options->n_listen; i++)
		listener_init(&t->listeners[t->n_listeners++], options->listen[i]);
	transport_set_peers(t, options->peers, options->n_peers);
	return t;
}

void transport_destroy(struct transport *t)
{
	if (t == NULL)
		return;
	t->callbacks = NULL;
	for (struct connection *c = t->connections; c != NULL; c = c->next)
		connection_close(c, false, NULL);
	connections_reap(t);
	for (uint32_t i = 0; i < t->n_listeners; i++)
		listener_close(&t->listeners[i]);
	resolver_destroy(t->resolver);
	if (t->epoll_fd >= 0)
		close(t->epoll_fd);
	if (t->options.secret != NULL)
	{
		OPENSSL_cleanse((uint8_t *) t->options.secret, t->options.secret_length);
		free((uint8_t *) t->options.secret);
	}
	free(t);
}

void transport_set_faults(struct transport *t, const struct transport_faults *faults)
{
	t->options.faults = *faults;
}

/* ---------------------------------------------------------------- poll */

int transport_fd(const struct transport *t)
{
	return t->epoll_fd;
}

static void take_answers(struct transport *t)
{
	struct resolver_answer answer;

	while (resolver_next(t->resolver, &answer))
	{
		peers_answer(t, &answer);
		streams_answer(t, &answer);
		for (uint32_t i = 0; i < t->n_listeners; i++)
			listener_answer(t, &t->listeners[i], &answer);
	}
}

static void take_event(struct transport *t, const struct epoll_event *event)
{
	switch (*(enum source *) event->data.ptr)
	{
		case SOURCE_RESOLVER:
			take_answers(t);
			break;
		case SOURCE_LISTENER:
			listener_accept(t, event->data.ptr);
			break;
		case SOURCE_CONNECTION:
			connection_event(event->data.ptr, event->events);
			break;
	}
}

static void tick(struct transport *t)
{
	for (uint32_t i = 0; i < t->n_listeners; i++)
		listener_tick(t, &t->listeners[i]);
	peers_tick(t);
	streams_tick(t);
	for (struct connection *c = t->connections; c != NULL; c = c->next)
		connection_tick(c);
}

/* Until the first poll the clock stood at zero. */
static void start_clock(struct transport *t, uint64_t now_ms)
{
	t->started = true;
	for (int i = 0; i < PEER_SLOTS; i++)
	{
		t->peers[i].dial_at_ms += now_ms;
		t->peers[i].away_since_ms += now_ms;
	}
}

void transport_poll(struct transport *t, uint64_t now_ms, const struct transport_callbacks *callbacks)
{
	struct epoll_event events[EVENTS_PER_POLL];
	int n;

	if (!t->started)
		start_clock(t, now_ms);
	t->now_ms = now_ms;
	t->callbacks = callbacks;
	if (t->announce)
		peers_announce(t);
	n = epoll_wait(t->epoll_fd, events, EVENTS_PER_POLL, 0);
	for (int i = 0; i < n; i++)
		take_event(t, &events[i]);
	tick(t);
	transport_flush(t);
	if (t->announce)
		peers_announce(t);
	streams_announce(t);
	connections_reap(t);
	t->callbacks = NULL;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t transport_next_deadline(const struct transport *t)
{
	uint64_t deadline = TRANSPORT_NEVER;

	if (t->announce || !t->started)
		return t->now_ms;
	for (uint32_t i = 0; i < t->n_listeners; i++)
	{
		if (!t->listeners[i].bound && !t->listeners[i].resolving)
			deadline = earlier(deadline, t->listeners[i].retry_at_ms);
	}
	deadline = earlier(deadline, streams_deadline(t));
	for (int i = 0; i < PEER_SLOTS; i++)
		deadline = earlier(deadline, peer_deadline(&t->peers[i]));
	for (const struct connection *c = t->connections; c != NULL; c = c->next)
		deadline = earlier(deadline, connection_deadline(c));
	return deadline;
}

/* ---------------------------------------------------------------- out */

bool transport_queue_encoded(struct connection *c, uint8_t flags, const struct paxos_entry *entries,
							 uint32_t n_entries)
{
	struct transport *t = c->t;
	struct frame_part parts[1 + PAXOS_MAX_BATCH];
	const struct out_queue *q = &c->lanes[flags & FRAME_BULK ? LANE_BULK : LANE_CONTROL];
	uint64_t limit = flags & FRAME_BULK ? t->options.max_queue_bytes : CONTROL_QUEUE_BYTES;
	uint64_t release_ms = 0;

	if (t->encoded.length > TRANSPORT_MAX_MESSAGE_BYTES || q->bytes > limit)
		return false;
	parts[0] = (struct frame_part){t->encoded.head, t->encoded.head_length};
	for (uint32_t i = 0; i < n_entries; i++)
		parts[1 + i] = (struct frame_part){entries[i].bytes, entries[i].length};
	if (t->options.faults.delay_ms > 0)
		release_ms = t->now_ms + t->options.faults.delay_ms;
	return connection_queue(c, flags, parts, 1 + n_entries, release_ms);
}

void transport_send_fence(struct connection *c, uint32_t node_id)
{
	struct transport *t = c->t;
	struct paxos_message fence = {.type = PAXOS_FENCE,
								  .from = t->options.node_id,
								  .to = node_id,
								  .epoch = t->epoch,
								  .run = t->options.run,
								  .named_run = c->handshake.hello.run};

	if (t->have_members && wire_encode_message(&fence, &t->self.cluster_id, &t->encoded))
		(void) transport_queue_encoded(c, 0, NULL, 0);
}

static bool is_bulk(enum paxos_message_type type)
{
	return type == PAXOS_ACCEPT || type == PAXOS_SYNC || type == PAXOS_CHUNK || type == PAXOS_FORWARD ||
		   type == PAXOS_REPAIR;
}

/* Counts what was sent, or dropped. */
static bool count_send(struct peer *p, bool sent)
{
	if (sent)
		p->status.messages_sent++;
	else
		p->status.messages_dropped++;
	return sent;
}

bool transport_send(struct transport *t, const struct paxos_message *message)
{
	struct peer *p = peer_find(t, message->to);

	if (p == NULL)
		return false;
	if (!peer_is_member(p, t) || transport_chance(t, t->options.faults.drop_rate) ||
		!wire_encode_message(message, &t->self.cluster_id, &t->encoded))
		return count_send(p, false);
	return count_send(p, transport_queue_encoded(p->open, is_bulk(message->type) ? FRAME_BULK : 0,
												 message->entries, message->n_entries));
}

bool transport_send_formation(struct transport *t, const struct formation_message *message)
{
	struct peer *p = peer_find(t, message->to);

	if (p == NULL)
		return false;
	if (p->open == NULL || !wire_encode_formation(message, &t->encoded))
		return count_send(p, false);
	return count_send(p, transport_queue_encoded(p->open, 0, NULL, 0));
}

bool transport_send_state(struct transport *t, const struct state_message *message)
{
	struct peer *p = peer_find(t, message->to);

	if (p == NULL)
		return false;
	if (!peer_is_member(p, t) || transport_chance(t, t->options.faults.drop_rate) ||
		!wire_encode_state(message, &t->self.cluster_id, &t->encoded))
		return count_send(p, false);
	return count_send(p, transport_queue_encoded(p->open, 0, NULL, 0));
}

void transport_flush(struct transport *t)
{
	for (struct connection *c = t->connections; c != NULL; c = c->next)
	{
		/* One that waits for its socket is flushed when that is writable. */
		if (!c->wants_write && (c->lanes[LANE_CONTROL].head != NULL || c->lanes[LANE_BULK].head != NULL))
			connection_flush(c);
	}
}

/* ---------------------------------------------------------------- in */

/* Whether a message names its sender, this node and the cluster truly. */
static bool message_belongs(struct connection *c, const struct wire_decoded *d)
{
	const struct transport *t = c->t;

	if (d->kind == WIRE_FORMATION)
		return d->formation.from == c->peer->node_id && d->formation.to == t->options.node_id &&
			   wire_id_equal(&d->formation.store_id, &c->handshake.hello.store_id);
	if (!peer_is_member(c->peer, t) || !wire_id_equal(&d->cluster_id, &t->self.cluster_id))
		return false;
	if (d->kind == WIRE_STATE)
		return d->state.from == c->peer->node_id && d->state.to == t->options.node_id;
	return d->message.from == c->peer->node_id && d->message.to == t->options.node_id;
}

/* The fault: this acceptor seems to have failed. */
static bool acceptor_fails(struct transport *t, const struct wire_decoded *d)
{
	enum paxos_message_type type = d->message.type;

	if (d->kind != WIRE_MESSAGE ||
		(type != PAXOS_PREPARE && type != PAXOS_PULL && type != PAXOS_SYNC && type != PAXOS_ACCEPT))
		return false;
	return transport_chance(t, t->options.faults.fail_rate);
}

/* False: the host says that the message is impossible. */
static bool deliver(struct transport *t, const struct wire_decoded *d)
{
	const struct transport_callbacks *callbacks = t->callbacks;

	if (d->kind == WIRE_FORMATION)
		return callbacks->on_formation(callbacks->context, &d->formation);
	if (d->kind == WIRE_MESSAGE)
		return callbacks->on_message(callbacks->context, &d->message);
	if (callbacks->on_state != NULL)
		callbacks->on_state(callbacks->context, &d->state);
	return true;
}

void transport_dispatch(struct connection *c, const uint8_t *bytes, uint64_t length)
{
	struct transport *t = c->t;
	struct wire_decoded *d = &t->decoded;
	struct peer *p = c->peer;
	enum wire_result result = wire_decode(bytes, length, d);
	bool good;

	p->status.messages_received++;
	if (result == WIRE_MALFORMED)
	{
		p->status.messages_refused++;
		connection_close(c, false, "sent a malformed message");
		return;
	}
	/* Who has just become a member is announced before it is heard. */
	if (t->announce)
		peers_announce(t);
	if (c->state != CONNECTION_OPEN)
		return;
	if (result == WIRE_UNKNOWN || !message_belongs(c, d))
	{
		p->status.messages_refused++;
		return;
	}
	if (acceptor_fails(t, d))
		return;
	t->in_callback = true;
	good = deliver(t, d);
	t->in_callback = false;
	if (good)
		return;
	p->status.messages_refused++;
	connection_close(c, false, "sent an impossible message");
}

/* ---------------------------------------------------------------- status */

bool transport_connected(const struct transport *t, uint32_t node_id)
{
	const struct peer *p = peer_find(t, node_id);

	return p != NULL && p->open != NULL;
}

bool transport_peer_error(const struct transport *t, uint32_t node_id, char error[TRANSPORT_ERROR_MAX])
{
	const struct peer *p = peer_find(t, node_id);

	if (p == NULL || p->open != NULL || p->status.last_error[0] == '\0')
		return false;
	memcpy(error, p->status.last_error, TRANSPORT_ERROR_MAX);
	return true;
}

bool transport_peer_store(const struct transport *t, uint32_t node_id, struct paxos_id *store_id)
{
	const struct peer *p = peer_find(t, node_id);

	if (p == NULL || wire_id_is_zero(&p->status.store_id))
		return false;
	*store_id = p->status.store_id;
	return true;
}

static void peer_status(const struct transport *t, const struct peer *p, struct transport_peer_status *to)
{
	*to = p->status;
	to->node_id = p->node_id;
	memcpy(to->address, p->address, sizeof(to->address));
	to->connected = p->open != NULL;
	to->member = peer_is_member(p, t);
	if (p->open != NULL)
		to->bytes_queued = p->open->lanes[LANE_CONTROL].bytes + p->open->lanes[LANE_BULK].bytes;
}

void transport_status(const struct transport *t, struct transport_status *status)
{
	memset(status, 0, sizeof(*status));
	status->unauthenticated = t->unauthenticated;
	status->refused = t->refused;
	for (uint32_t i = 0; i < t->n_listeners; i++)
	{
		status->n_listening += t->listeners[i].n_fds;
		if (t->listeners[i].error[0] != '\0')
			memcpy(status->listen_error, t->listeners[i].error, sizeof(status->listen_error));
	}
	for (int i = 0; i < PEER_SLOTS; i++)
	{
		if (t->peers[i].used && status->n_peers < TRANSPORT_MAX_PEERS)
			peer_status(t, &t->peers[i], &status->peers[status->n_peers++]);
	}
}
