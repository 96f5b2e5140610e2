/*
 * connection.c - one socket: what waits to leave, what came in.
 *
 * Queued messages are laid out as frames once; a flush hands all that may leave to one sendmsg().  A
 * message of the bulk lane that is half sent is left at the end of its present frame when control messages
 * wait.  The kernel is kept from taking much more than it can send (TCP_NOTSENT_LOWAT), or a heartbeat
 * would stand behind megabytes there.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/internal.h"

#define IN_FIRST_BYTES (128u << 10)
#define NOTSENT_BYTES (128u << 10)
#define MAX_IOVECS 64
/* What one flush sends and one event reads at most, for the other peers' sake. */
#define FLUSH_BYTES (1u << 20)
#define READ_BYTES (1u << 20)
/* A stream's, which has time. */
#define STREAM_READ_BYTES (256u << 10)

static void set_options(int fd, uint32_t idle_timeout_ms)
{
	int one = 1;
	unsigned int lowat = NOTSENT_BYTES;
	unsigned int timeout = idle_timeout_ms;

	/* Each only makes things faster or sooner; none is needed. */
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat));
	(void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

static bool watch(struct connection *c, int operation, bool write)
{
	struct epoll_event event = {.events = (c->paused ? 0u : EPOLLIN) | (write ? EPOLLOUT : 0u),
								.data.ptr = c};

	c->wants_write = write;
	return epoll_ctl(c->t->epoll_fd, operation, c->fd, &event) == 0;
}

struct connection *connection_new(struct transport *t, int fd, bool dialed, const char *where)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL)
	{
		close(fd);
		return NULL;
	}
	c->source = SOURCE_CONNECTION;
	c->state = dialed ? CONNECTION_CONNECTING : CONNECTION_HELLO;
	c->t = t;
	c->fd = fd;
	c->dialed = dialed;
	c->began_ms = c->received_ms = c->sent_ms = t->now_ms;
	c->deadline_ms = t->now_ms + (dialed ? t->options.connect_timeout_ms : t->options.handshake_timeout_ms);
	c->in = c->small;
	c->in_capacity = sizeof(c->small);
	snprintf(c->where, sizeof(c->where), "%s", where);
	set_options(fd, t->options.idle_timeout_ms);
	if (!watch(c, EPOLL_CTL_ADD, dialed))
	{
		close(fd);
		free(c);
		return NULL;
	}
	c->next = t->connections;
	t->connections = c;
	return c;
}

static void queue_clear(struct out_queue *q)
{
	while (q->head != NULL)
	{
		struct out_message *next = q->head->next;

		free(q->head);
		q->head = next;
	}
	*q = (struct out_queue){0};
}

/* It no longer belongs to its peer. */
static void detach(struct connection *c, bool reset)
{
	struct peer *p = c->peer;

	c->peer = NULL;
	if (p != NULL)
		peer_lost(p, c, reset);
}

void connection_close(struct connection *c, bool reset, const char *reason)
{
	if (c->state == CONNECTION_DEAD)
		return;
	if (c->peer != NULL && reason != NULL && c->peer->open == c)
		peer_says_lost(c->t, c->peer, reason);
	else if (c->peer != NULL && reason != NULL)
		peer_error(c->t, c->peer, "%s", reason);
	c->state = CONNECTION_DEAD;
	close(c->fd);
	c->fd = -1;
	for (int lane = 0; lane < N_LANES; lane++)
		queue_clear(&c->lanes[lane]);
	if (c->limited)
		c->t->unauthenticated--;
	c->limited = false;
	if (c->stream != NULL)
		stream_lost(c, reason);
	detach(c, reset);
}

void connection_linger(struct connection *c)
{
	c->state = CONNECTION_CLOSING;
	c->deadline_ms = c->t->now_ms + LINGER_MS;
	c->in_length = 0;
	queue_clear(&c->lanes[LANE_BULK]);
	if (c->stream != NULL)
		stream_lost(c, NULL);
	detach(c, false);
	connection_flush(c);
}

void connections_reap(struct transport *t)
{
	struct connection **at = &t->connections;

	while (*at != NULL)
	{
		struct connection *c = *at;

		if (c->state != CONNECTION_DEAD)
		{
			at = &c->next;
			continue;
		}
		*at = c->next;
		if (c->in != c->small)
			free(c->in);
		frame_assembly_clear(&c->assembly);
		free(c);
	}
}

/* ---------------------------------------------------------------- out */

bool connection_queue(struct connection *c, uint8_t flags, const struct frame_part *parts, uint32_t n_parts,
					  uint64_t release_ms)
{
	struct out_queue *q = &c->lanes[flags & FRAME_BULK ? LANE_BULK : LANE_CONTROL];
	struct out_message *m;
	uint64_t length = 0;

	for (uint32_t i = 0; i < n_parts; i++)
		length += parts[i].length;
	m = malloc(sizeof(*m) + frame_total_bytes(length));
	if (m == NULL)
		return false;
	m->next = NULL;
	m->release_ms = release_ms;
	m->total = frame_total_bytes(length);
	m->sent = 0;
	frame_build(m->bytes, flags, parts, n_parts);
	if (q->tail != NULL)
		q->tail->next = m;
	else
		q->head = m;
	q->tail = m;
	q->bytes += m->total;
	return true;
}

/* What one sendmsg() is given: pieces of the lanes' messages, each lane's in its queue's order. */
struct batch
{
	uint32_t n;
	uint64_t bytes;
	struct iovec iov[MAX_IOVECS];
	struct out_queue *queues[MAX_IOVECS];
};

static void batch_add(struct batch *b, struct out_queue *q, struct out_message *m, uint64_t from, uint64_t to)
{
	b->iov[b->n].iov_base = m->bytes + from;
	b->iov[b->n].iov_len = to - from;
	b->queues[b->n] = q;
	b->bytes += to - from;
	b->n++;
}

/* Adds what may leave of a lane; "skip" bytes of its head are in the batch already. */
static void batch_add_lane(struct batch *b, struct out_queue *q, uint64_t skip, uint64_t now_ms)
{
	for (struct out_message *m = q->head; m != NULL; m = m->next)
	{
		uint64_t from = m->sent + skip;
		uint64_t to = m->total;

		skip = 0;
		if (b->n == MAX_IOVECS || b->bytes >= FLUSH_BYTES || m->release_ms > now_ms)
			return;
		if (to - from > FLUSH_BYTES)
			to = from + FLUSH_BYTES;
		if (to > from)
			batch_add(b, q, m, from, to);
		if (to < m->total)
			return;
	}
}

static void batch_fill(struct batch *b, struct connection *c)
{
	struct out_queue *bulk = &c->lanes[LANE_BULK];
	struct out_message *m = bulk->head;
	uint64_t skip = 0;

	b->n = 0;
	b->bytes = 0;
	/* A frame that is begun is ended first. */
	if (m != NULL && m->sent > 0)
	{
		uint64_t end = frame_end_at(m->total, m->sent - 1);

		skip = end - m->sent;
		if (skip > 0)
			batch_add(b, bulk, m, m->sent, end);
	}
	batch_add_lane(b, &c->lanes[LANE_CONTROL], 0, c->t->now_ms);
	batch_add_lane(b, bulk, skip, c->t->now_ms);
}

/* So many bytes of the batch are sent. */
static void batch_advance(struct batch *b, uint64_t sent)
{
	for (uint32_t i = 0; i < b->n && sent > 0; i++)
	{
		struct out_queue *q = b->queues[i];
		struct out_message *m = q->head;
		uint64_t took = b->iov[i].iov_len < sent ? b->iov[i].iov_len : sent;

		sent -= took;
		m->sent += took;
		q->bytes -= took;
		if (m->sent < m->total)
			continue;
		q->head = m->next;
		if (q->head == NULL)
			q->tail = NULL;
		free(m);
	}
}

static void close_by_errno(struct connection *c, int error)
{
	bool reset = error == ECONNRESET || error == EPIPE;
	char reason[TRANSPORT_ERROR_MAX];

	snprintf(reason, sizeof(reason), "%s %s: %s",
			 c->state == CONNECTION_CONNECTING ? "could not connect to" : "the connection with", c->where,
			 strerror(error));
	connection_close(c, reset, reason);
}

/* A refused connection has said all: the other side reads it, then an end. */
static void finish_lingering(struct connection *c)
{
	if (c->state == CONNECTION_CLOSING && c->lanes[LANE_CONTROL].head == NULL)
		(void) shutdown(c->fd, SHUT_WR);
}

void connection_flush(struct connection *c)
{
	uint64_t budget = FLUSH_BYTES;
	struct batch b;

	if (c->state == CONNECTION_DEAD || c->state == CONNECTION_CONNECTING)
		return;
	for (;;)
	{
		struct msghdr header = {.msg_iov = b.iov};
		ssize_t sent;

		batch_fill(&b, c);
		header.msg_iovlen = b.n;
		if (b.n == 0)
			break;
		sent = sendmsg(c->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		{
			close_by_errno(c, errno);
			return;
		}
		if (sent > 0)
		{
			batch_advance(&b, (uint64_t) sent);
			c->sent_ms = c->t->now_ms;
			if (c->peer != NULL)
				c->peer->status.bytes_sent += (uint64_t) sent;
		}
		if (sent < (ssize_t) b.bytes || (uint64_t) sent >= budget)
		{
			if (!c->wants_write && !watch(c, EPOLL_CTL_MOD, true))
				close_by_errno(c, errno);
			return;
		}
		budget -= (uint64_t) sent;
	}
	if (c->wants_write && !watch(c, EPOLL_CTL_MOD, false))
		close_by_errno(c, errno);
	finish_lingering(c);
}

/* ---------------------------------------------------------------- in */

bool connection_grow(struct connection *c)
{
	uint8_t *in = malloc(IN_FIRST_BYTES);

	if (in == NULL)
		return false;
	memcpy(in, c->in, c->in_length);
	c->in = in;
	c->in_capacity = IN_FIRST_BYTES;
	return true;
}

/* A stream's frames are its bytes, each by itself.  False: the frame must wait. */
static bool take_stream_frame(struct connection *c, const struct frame *frame)
{
	if (frame->flags != (FRAME_BULK | FRAME_WHOLE))
	{
		connection_close(c, false, "sent what is no part of a stream");
		return true;
	}
	if (stream_take(c, frame->payload, frame->length))
		return true;
	c->paused = true;
	if (!watch(c, EPOLL_CTL_MOD, c->wants_write))
		close_by_errno(c, errno);
	return false;
}

/* False: a stream's frame that must wait. */
static bool take_frame(struct connection *c, const struct frame *frame)
{
	const uint8_t *message;
	uint64_t length;

	if (frame->flags & FRAME_HANDSHAKE)
	{
		admission_frame(c, frame);
		return true;
	}
	if (c->state != CONNECTION_OPEN)
	{
		connection_close(c, false, "sent a message before the handshake was done");
		return true;
	}
	if (frame->flags & FRAME_PING)
		return true;
	if (c->stream != NULL)
		return take_stream_frame(c, frame);
	if (!(frame->flags & FRAME_BULK))
	{
		transport_dispatch(c, frame->payload, frame->length);
		return true;
	}
	switch (frame_assemble(&c->assembly, frame, TRANSPORT_MAX_MESSAGE_BYTES, &message, &length))
	{
		case FRAME_OK:
			transport_dispatch(c, message, length);
			/* A large message is rare; its memory isn't kept. */
			if (c->assembly.capacity > IN_FIRST_BYTES * 8)
				frame_assembly_clear(&c->assembly);
			break;
		case FRAME_INCOMPLETE:
			break;
		case FRAME_BAD:
			connection_close(c, false, "sent frames out of turn, or a message above the limit");
			break;
		case FRAME_MEMORY:
			connection_close(c, false, "out of memory for its message");
			break;
	}
	return true;
}

static uint32_t max_payload(const struct connection *c)
{
	return c->state == CONNECTION_OPEN ? FRAME_PAYLOAD_MAX : HANDSHAKE_PAYLOAD_MAX;
}

/* Takes all whole frames that have come.  *needed: what the next one takes. */
static void take_frames(struct connection *c, size_t *needed)
{
	size_t at = 0;

	*needed = 0;
	while (c->state != CONNECTION_DEAD && c->state != CONNECTION_CLOSING)
	{
		struct frame frame;
		enum frame_result result = frame_parse(c->in + at, c->in_length - at, max_payload(c), &frame, needed);

		if (result == FRAME_INCOMPLETE)
			break;
		if (result == FRAME_BAD)
		{
			if (c->state != CONNECTION_OPEN && !c->dialed)
			{
				c->t->refused++;
				transport_log_limited(c->t, &c->t->strangers,
									  "refused a connection from %s: no handshake of a node", c->where);
			}
			connection_close(c, false, "sent bytes that are no frame, or a damaged one");
			return;
		}
		if (!take_frame(c, &frame))
			break;
		at += *needed;
	}
	if (at > c->in_length)
		at = c->in_length; /* lingering: what came is thrown away */
	memmove(c->in, c->in + at, c->in_length - at);
	c->in_length -= at;
}

/* Reads once.  False: nothing more is to be read now. */
static bool read_once(struct connection *c, uint64_t *budget)
{
	size_t room = c->in_capacity - c->in_length;
	ssize_t got = recv(c->fd, c->in + c->in_length, room, MSG_DONTWAIT);

	if (got < 0)
	{
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			close_by_errno(c, errno);
		return false;
	}
	if (got == 0)
	{
		char reason[TRANSPORT_ERROR_MAX];

		snprintf(reason, sizeof(reason), "%s closed the connection", c->where);
		connection_close(c, true, reason);
		return false;
	}
	c->received_ms = c->t->now_ms;
	if (c->peer != NULL)
		c->peer->status.bytes_received += (uint64_t) got;
	if (c->state != CONNECTION_CLOSING)
		c->in_length += (size_t) got;
	*budget -= *budget < (uint64_t) got ? *budget : (uint64_t) got;
	return (size_t) got == room && *budget > 0;
}

static void read_all(struct connection *c)
{
	uint64_t budget = READ_BYTES;
	bool more = true;

	if (c->stream != NULL)
		budget = STREAM_READ_BYTES;
	while (more && c->state != CONNECTION_DEAD)
	{
		size_t needed;

		more = read_once(c, &budget);
		if (c->state == CONNECTION_DEAD)
			return;
		take_frames(c, &needed);
		if (c->paused)
			return;
		if (c->state != CONNECTION_OPEN || needed <= c->in_capacity)
			continue;
		/* A frame above what buffers begin with: at most FRAME_PAYLOAD_MAX, frame_parse() saw to it. */
		uint8_t *in = realloc(c->in, needed);

		if (in == NULL)
		{
			connection_close(c, false, "out of memory for its frame");
			return;
		}
		c->in = in;
		c->in_capacity = needed;
	}
}

void connection_resume(struct connection *c)
{
	size_t needed;

	if (!c->paused)
		return;
	c->paused = false;
	c->received_ms = c->t->now_ms;
	take_frames(c, &needed);
	if (!c->paused && c->state != CONNECTION_DEAD && !watch(c, EPOLL_CTL_MOD, c->wants_write))
		close_by_errno(c, errno);
}

/* The dialed socket is connected, or failed to be. */
static void finish_connecting(struct connection *c)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
		error = errno;
	if (error != 0)
	{
		close_by_errno(c, error);
		return;
	}
	c->state = CONNECTION_HELLO;
	c->deadline_ms = c->t->now_ms + c->t->options.handshake_timeout_ms;
	admission_begin(c);
}

void connection_event(struct connection *c, uint32_t events)
{
	if (c->state == CONNECTION_CONNECTING)
	{
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			finish_connecting(c);
		if (c->state == CONNECTION_CONNECTING)
			return;
	}
	if (events & EPOLLOUT)
		connection_flush(c);
	if (c->paused && (events & (EPOLLERR | EPOLLHUP)))
		connection_close(c, true, "its end was closed");
	if (c->state != CONNECTION_DEAD && !c->paused && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		read_all(c);
}

/* ---------------------------------------------------------------- time */

static uint64_t ping_deadline(const struct connection *c)
{
	/* What waits to be sent says by itself that this side lives. */
	if (c->lanes[LANE_CONTROL].head != NULL || c->lanes[LANE_BULK].head != NULL)
		return TRANSPORT_NEVER;
	return c->sent_ms + c->t->options.idle_timeout_ms / 4;
}

void connection_tick(struct connection *c)
{
	uint64_t now = c->t->now_ms;
	char reason[TRANSPORT_ERROR_MAX];

	if (c->state == CONNECTION_DEAD)
		return;
	if (c->state != CONNECTION_OPEN)
	{
		if (now < c->deadline_ms)
			return;
		if (c->state != CONNECTION_CLOSING && !c->dialed)
			c->t->refused++;
		snprintf(reason, sizeof(reason), "%s: no %s in time", c->where,
				 c->state == CONNECTION_CONNECTING ? "connection" : "handshake");
		connection_close(c, false, reason);
		return;
	}
	if (c->paused) /* it is not the other side that is silent */
		c->received_ms = now;
	if (now >= c->received_ms + c->t->options.idle_timeout_ms)
	{
		snprintf(reason, sizeof(reason), "%s was silent for %u ms", c->where, c->t->options.idle_timeout_ms);
		connection_close(c, false, reason);
		return;
	}
	if (now >= ping_deadline(c))
		(void) connection_queue(c, FRAME_PING, NULL, 0, 0);
}

uint64_t connection_deadline(const struct connection *c)
{
	uint64_t deadline;

	if (c->state == CONNECTION_DEAD)
		return TRANSPORT_NEVER;
	if (c->state != CONNECTION_OPEN)
		return c->deadline_ms;
	deadline = c->received_ms + c->t->options.idle_timeout_ms;
	if (ping_deadline(c) < deadline)
		deadline = ping_deadline(c);
	for (int lane = 0; lane < N_LANES; lane++)
	{
		const struct out_message *m = c->lanes[lane].head;

		if (m != NULL && m->release_ms > c->t->now_ms && m->release_ms < deadline)
			deadline = m->release_ms;
	}
	return deadline;
}
