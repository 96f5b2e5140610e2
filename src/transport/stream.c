/*
 * stream.c - the connections that carry a table from one member to another (T5), beside the peers' own.
 *
 * A stream is dialed by who wants the table, with the handshake of any connection and a purpose in its hello; the
 * dialed side's hello says that it knows what that is.  From then on each frame's payload is bytes for the host.
 * Where the host has no room nothing more is read, so that TCP holds the sender back; what is queued to be sent is
 * bounded.  A stream belongs to no peer: its end is nobody's loss of connection, and a peer's loss does not end it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/internal.h"

/* Queued, beyond what the kernel has; the host gives more when there is less. */
#define STREAM_QUEUE_BYTES (256u << 10)
/* How long a receiver that is busy may let the sender's bytes wait, before the kernel gives up. */
#define STREAM_USER_TIMEOUT_MS 120000u

static struct stream *stream_of(const struct transport *t, enum transport_stream which)
{
	return (struct stream *) &t->streams[which];
}

static enum transport_stream which_is(const struct transport *t, const struct stream *s)
{
	return (enum transport_stream)(s - t->streams);
}

static bool is_open(const struct stream *s)
{
	return s->connection != NULL && s->connection->state == CONNECTION_OPEN;
}

static void end(struct stream *s, const char *reason)
{
	s->connection = NULL;
	s->resolving = s->opened = s->resume = false;
	s->ended = true;
	snprintf(s->reason, sizeof(s->reason), "%s", reason != NULL ? reason : "it was refused");
}

void stream_lost(struct connection *c, const char *reason)
{
	struct stream *s = c->stream;

	c->stream = NULL;
	if (s->connection == c)
		end(s, reason);
}

/* ---------------------------------------------------------------- coming */

enum handshake_refusal stream_admit(struct connection *c, struct peer *p)
{
	struct transport *t = c->t;
	struct stream *s = stream_of(t, STREAM_ACCEPTED);

	if (c->dialed)
		return REFUSE_NOT;
	if (t->callbacks == NULL || t->callbacks->on_stream_open == NULL)
		return REFUSE_NO_STREAM;
	if (s->connection != NULL && s->node_id != p->node_id)
		return REFUSE_BUSY;
	/* It came back sooner than the old one's end was noticed. */
	if (s->connection != NULL)
		connection_close(s->connection, false, "the other side began anew");
	streams_announce(t);
	if (s->ended) /* the host is yet to hear of the last one */
		return REFUSE_BUSY;
	memset(s, 0, sizeof(*s));
	s->node_id = p->node_id;
	s->connection = c;
	c->stream = s;
	return REFUSE_NOT;
}

void stream_opened(struct connection *c)
{
	unsigned int timeout = STREAM_USER_TIMEOUT_MS;

	(void) setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	c->stream->opened = true;
	streams_announce(c->t);
}

bool stream_take(struct connection *c, const uint8_t *bytes, uint32_t length)
{
	struct transport *t = c->t;
	enum transport_stream which = which_is(t, c->stream);
	bool taken;

	/* What comes before its opening is told, or outside of a poll, waits. */
	if (t->callbacks == NULL || t->in_callback || c->stream->opened)
		return false;
	t->in_callback = true;
	taken = t->callbacks->on_stream_bytes(t->callbacks->context, which, bytes, length);
	t->in_callback = false;
	return taken;
}

/* ---------------------------------------------------------------- dialing */

static void dial(struct transport *t, struct stream *s, const struct socket_address *address)
{
	struct connection *c;
	char where[64];
	char reason[TRANSPORT_ERROR_MAX];
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address_text(address, where, sizeof(where));
	if (fd < 0 || (connect(fd, (const struct sockaddr *) &address->storage, address->length) != 0 &&
				   errno != EINPROGRESS))
	{
		snprintf(reason, sizeof(reason), "could not connect to %s: %s", where, strerror(errno));
		if (fd >= 0)
			close(fd);
		end(s, reason);
		return;
	}
	c = connection_new(t, fd, true, where);
	if (c == NULL)
	{
		end(s, "out of memory for its connection");
		return;
	}
	c->stream = s;
	s->connection = c;
}

bool transport_stream_dial(struct transport *t, uint32_t node_id)
{
	struct stream *s = stream_of(t, STREAM_DIALED);
	struct peer *p = peer_find(t, node_id);
	struct address_parts parts;
	struct address_list list;

	if (p == NULL || !peer_is_member(p, t) || s->connection != NULL || s->resolving || s->ended)
		return false;
	memset(s, 0, sizeof(*s));
	s->node_id = node_id;
	if (!address_split(p->address, &parts))
		return false;
	if (address_numeric(&parts, &list))
	{
		dial(t, s, &list.addresses[0]);
		return true;
	}
	s->resolve_token = t->next_token++;
	s->resolving = resolver_ask(t->resolver, &parts, s->resolve_token);
	s->resolve_deadline_ms = t->now_ms + t->options.connect_timeout_ms;
	return s->resolving;
}

void streams_answer(struct transport *t, const struct resolver_answer *answer)
{
	struct stream *s = stream_of(t, STREAM_DIALED);

	if (!s->resolving || s->resolve_token != answer->token)
		return;
	s->resolving = false;
	if (answer->error != 0 || answer->list.n == 0)
		end(s, "its name could not be resolved");
	else
		dial(t, s, &answer->list.addresses[0]);
}

void streams_tick(struct transport *t)
{
	struct stream *s = stream_of(t, STREAM_DIALED);

	if (s->resolving && t->now_ms >= s->resolve_deadline_ms)
		end(s, "its name could not be resolved in time");
}

uint64_t streams_deadline(const struct transport *t)
{
	uint64_t deadline = TRANSPORT_NEVER;

	for (int i = 0; i < TRANSPORT_STREAMS; i++)
	{
		const struct stream *s = &t->streams[i];

		if (s->ended || s->opened || s->resume)
			return t->now_ms;
		if (s->resolving)
			deadline = s->resolve_deadline_ms;
	}
	return deadline;
}

/* ---------------------------------------------------------------- the host */

void streams_announce(struct transport *t)
{
	const struct transport_callbacks *to = t->callbacks;

	if (to == NULL || t->in_callback || to->on_stream_open == NULL)
		return;
	t->in_callback = true;
	for (int i = 0; i < TRANSPORT_STREAMS; i++)
	{
		struct stream *s = &t->streams[i];

		if (s->opened)
		{
			s->opened = false;
			s->resume = true;
			to->on_stream_open(to->context, (enum transport_stream) i, s->node_id);
		}
		if (s->ended)
		{
			s->ended = false;
			to->on_stream_end(to->context, (enum transport_stream) i, s->reason);
		}
	}
	t->in_callback = false;
	for (int i = 0; i < TRANSPORT_STREAMS; i++)
	{
		struct stream *s = &t->streams[i];

		if (!s->resume)
			continue;
		s->resume = false;
		if (is_open(s))
			connection_resume(s->connection);
	}
}

bool transport_stream_has_room(const struct transport *t, enum transport_stream which)
{
	const struct stream *s = stream_of(t, which);

	return is_open(s) && s->connection->lanes[LANE_BULK].bytes < STREAM_QUEUE_BYTES;
}

bool transport_stream_is_sent(const struct transport *t, enum transport_stream which)
{
	const struct stream *s = stream_of(t, which);

	return !is_open(s) || s->connection->lanes[LANE_BULK].head == NULL;
}

bool transport_stream_send(struct transport *t, enum transport_stream which, const uint8_t *bytes,
						   uint32_t length)
{
	struct stream *s = stream_of(t, which);
	struct frame_part part = {bytes, length};

	if (length > TRANSPORT_STREAM_PIECE || !transport_stream_has_room(t, which))
		return false;
	return connection_queue(s->connection, FRAME_BULK, &part, 1, 0);
}

void transport_stream_resume(struct transport *t, enum transport_stream which)
{
	struct stream *s = stream_of(t, which);

	/* Bytes are given to the host inside a poll only: the next one begins with them. */
	if (is_open(s) && s->connection->paused)
		s->resume = true;
}

void transport_stream_close(struct transport *t, enum transport_stream which)
{
	struct stream *s = stream_of(t, which);
	struct connection *c = s->connection;

	if (c != NULL)
	{
		c->stream = NULL;
		connection_close(c, false, NULL);
	}
	memset(s, 0, sizeof(*s));
}
