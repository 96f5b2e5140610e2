/*
 * admission.c - the handshake of a connection, step by step, and who is let in.
 *
 * dialer: hello -> hello -> proof -> proof: each side checks the other's hello before it goes on, and
 * admits the other once its proof holds.  Runs are looked at only then (X1): before, anyone could claim
 * one.  A challenge that left after a higher run was met, and is answered by a lower one, shows that two
 * runs of that node are alive: both are told, and fence themselves.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#include <sys/random.h>

#include "transport/internal.h"

/* Two dials that crossed: the lower id's is turned away for so long. */
#define DUPLICATE_MS 2000

static bool queue_payload(struct connection *c, const uint8_t *payload, uint32_t length)
{
	struct frame_part part = {payload, length};

	return connection_queue(c, FRAME_HANDSHAKE, &part, 1, 0);
}

static void say_hello(struct connection *c, uint32_t node_id, enum handshake_purpose purpose)
{
	uint8_t challenge[HANDSHAKE_CHALLENGE_BYTES];

	if (getrandom(challenge, sizeof(challenge), GRND_NONBLOCK) != (ssize_t) sizeof(challenge))
	{
		connection_close(c, false, "no random bytes for the handshake");
		return;
	}
	handshake_begin(&c->handshake, &c->t->self, node_id, purpose, challenge);
}

static bool send_hello(struct connection *c)
{
	c->serial = ++c->t->serial;
	if (!queue_payload(c, c->handshake.mine, c->handshake.mine_length))
	{
		connection_close(c, false, "out of memory for the handshake");
		return false;
	}
	connection_flush(c);
	return c->state != CONNECTION_DEAD;
}

void admission_begin(struct connection *c)
{
	if (c->stream != NULL)
		say_hello(c, c->stream->node_id, PURPOSE_STREAM);
	else
		say_hello(c, c->peer->node_id, PURPOSE_MESSAGES);
	if (c->state != CONNECTION_DEAD)
		send_hello(c);
}

/* Whom a refusal is about: the peer dialed, or the one that a hello names. */
static struct peer *refused_peer(struct connection *c)
{
	if (c->peer != NULL)
		return c->peer;
	if (c->stream != NULL)
		return peer_find(c->t, c->stream->node_id);
	return c->handshake.theirs_length > 0 ? peer_find(c->t, c->handshake.hello.node_id) : NULL;
}

static void refuse(struct connection *c, enum handshake_refusal refusal)
{
	struct transport *t = c->t;
	struct peer *p = refused_peer(c);
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX];

	if (!c->dialed)
		t->refused++;
	if (p != NULL)
	{
		if (c->dialed && c->stream == NULL)
			p->backoff_ms = BACKOFF_LAST_MS;
		if (refusal != REFUSE_DUPLICATE && refusal != REFUSE_NO_STREAM && refusal != REFUSE_BUSY)
			peer_refusal(t, p, refusal, "refused the node at %s: it %s", c->where,
						 handshake_refusal_text(refusal));
	}
	else
		transport_log_limited(t, &t->strangers, "refused node %u at %s: it %s", c->handshake.hello.node_id,
							  c->where, handshake_refusal_text(refusal));
	if (!queue_payload(c, payload, handshake_make_reject(refusal, payload)))
		connection_close(c, false, NULL);
	else
		connection_linger(c);
}

/* ---------------------------------------------------------------- X1, F1 */

/* Notes a run of the peer's.  REFUSE_OLDER_RUN: it is not the highest met; *proven: the two are alive. */
static enum handshake_refusal check_run(struct connection *c, struct peer *p, bool *proven)
{
	const struct handshake_hello *hello = &c->handshake.hello;
	bool same_store = wire_id_equal(&p->run_store, &hello->store_id);

	*proven = false;
	if (same_store &&
		(hello->run < p->highest_run || (hello->run == p->highest_run && hello->nonce != p->highest_nonce)))
	{
		*proven = c->serial > p->met_serial;
		return REFUSE_OLDER_RUN;
	}
	if (!same_store || hello->run > p->highest_run)
	{
		p->run_store = hello->store_id;
		p->highest_run = hello->run;
		p->highest_nonce = hello->nonce;
		p->met_serial = ++c->t->serial;
		p->fence_pending = false;
	}
	return REFUSE_NOT;
}

static enum handshake_refusal check_peer(struct connection *c, struct peer *p, bool stream, bool *proven)
{
	struct transport *t = c->t;
	const struct handshake_hello *hello = &c->handshake.hello;
	bool outsider = t->have_members && !wire_id_equal(&hello->store_id, &p->member_store);

	*proven = false;
	if (stream)
		return outsider || !t->have_members ? REFUSE_NO_STREAM : check_run(c, p, proven);
	if (outsider)
	{
		/* It is spoken with only so that it learns what it is (F1), and takes no member's place. */
		return peer_is_member(p, t) ? REFUSE_OTHER_STORE : REFUSE_NOT;
	}
	if (!c->dialed && t->options.node_id > p->node_id && p->open != NULL && p->open->dialed &&
		p->open->handshake.hello.run == hello->run && p->open->handshake.hello.nonce == hello->nonce &&
		t->now_ms < p->status.connected_since_ms + DUPLICATE_MS)
		return REFUSE_DUPLICATE;
	return check_run(c, p, proven);
}

/* X1: the connection's run and the highest one are told of each other. */
static void fence_both(struct connection *c, struct peer *p)
{
	p->fence_pending = true;
	if (peer_is_member(p, c->t) && p->open->handshake.hello.run == p->highest_run &&
		p->open->handshake.hello.nonce == p->highest_nonce)
	{
		transport_send_fence(p->open, p->node_id);
		connection_flush(p->open);
		p->fence_pending = false;
	}
	peer_refusal(c->t, p, REFUSE_OLDER_RUN, "two copies of its log directory are running, one of them at %s",
				 c->where);
	p->backoff_ms = BACKOFF_LAST_MS;
	transport_send_fence(c, p->node_id);
	connection_linger(c);
}

/* ---------------------------------------------------------------- steps */

static void take_hello(struct connection *c, const struct frame *frame)
{
	enum handshake_refusal refusal;

	if (!c->dialed)
	{
		say_hello(c, 0, PURPOSE_MESSAGES);
		if (c->state == CONNECTION_DEAD)
			return;
	}
	refusal = handshake_take_hello(&c->handshake, &c->t->self, frame->payload, frame->length);
	if (refusal == REFUSE_NOT && !c->dialed && peer_find(c->t, c->handshake.hello.node_id) == NULL)
		refusal = REFUSE_UNKNOWN_NODE;
	if (refusal != REFUSE_NOT)
	{
		refuse(c, refusal);
		return;
	}
	c->state = CONNECTION_PROOF;
	if (!c->dialed)
	{
		send_hello(c);
		return;
	}
	uint8_t proof[1 + HANDSHAKE_PROOF_BYTES];

	if (!handshake_make_proof(&c->handshake, &c->t->self, proof) || !queue_payload(c, proof, sizeof(proof)))
		connection_close(c, false, "could not make a proof for the handshake");
	else
		connection_flush(c);
}

/* The dialed side proves itself after the dialer did. */
static bool answer_proof(struct connection *c)
{
	uint8_t proof[1 + HANDSHAKE_PROOF_BYTES];

	if (c->dialed)
		return true;
	if (handshake_make_proof(&c->handshake, &c->t->self, proof) && queue_payload(c, proof, sizeof(proof)))
		return true;
	connection_close(c, false, "could not make a proof for the handshake");
	return false;
}

static void open_connection(struct connection *c, struct peer *p)
{
	if (!answer_proof(c))
		return;
	if (!connection_grow(c))
	{
		connection_close(c, false, "out of memory for its messages");
		return;
	}
	if (c->limited)
		c->t->unauthenticated--;
	c->limited = false;
	c->state = CONNECTION_OPEN;
	c->received_ms = c->t->now_ms;
	connection_flush(c);
	if (c->state != CONNECTION_OPEN)
		return;
	if (c->stream != NULL)
	{
		stream_opened(c);
		return;
	}
	peer_opened(p, c);
	if (p->fence_pending && c->state == CONNECTION_OPEN)
	{
		transport_send_fence(c, p->node_id);
		p->fence_pending = false;
	}
}

static void take_proof(struct connection *c, const struct frame *frame)
{
	enum handshake_refusal refusal;
	struct peer *p;
	bool proven = false;
	bool stream;

	refusal = handshake_take_proof(&c->handshake, &c->t->self, frame->payload, frame->length);
	stream = c->stream != NULL || c->handshake.hello.purpose == PURPOSE_STREAM;
	p = c->peer != NULL ? c->peer : peer_find(c->t, c->handshake.hello.node_id);
	if (refusal == REFUSE_NOT)
		refusal = p == NULL ? REFUSE_UNKNOWN_NODE : check_peer(c, p, stream, &proven);
	if (refusal == REFUSE_NOT && stream)
		refusal = stream_admit(c, p);
	if (refusal == REFUSE_OLDER_RUN && proven)
	{
		/* The refused one must be able to believe it. */
		if (answer_proof(c))
			fence_both(c, p);
	}
	else if (refusal != REFUSE_NOT)
		refuse(c, refusal);
	else
		open_connection(c, p);
}

/* The other side refuses this one. */
static void take_reject(struct connection *c, const struct frame *frame)
{
	struct peer *p = refused_peer(c);
	uint32_t code;
	char text[HANDSHAKE_TEXT_MAX + 1];

	if (c->stream != NULL)
	{
		if (handshake_take_reject(frame->payload, frame->length, &code, text))
			connection_close(c, false, text);
		else
			connection_close(c, false, "refused");
		return;
	}
	if (handshake_take_reject(frame->payload, frame->length, &code, text) && p != NULL)
	{
		if (c->dialed)
			p->backoff_ms = BACKOFF_LAST_MS;
		if (code != REFUSE_DUPLICATE)
			peer_refusal(c->t, p, code, "the node at %s refuses this one: %s", c->where, text);
	}
	/* Other addresses of the name lead to the same node. */
	if (p != NULL && c->dialed)
		p->next_address = p->addresses.n;
	connection_close(c, false, NULL);
}

void admission_frame(struct connection *c, const struct frame *frame)
{
	uint8_t kind = frame->payload[0];

	if (kind == HANDSHAKE_REJECT)
		take_reject(c, frame);
	else if (kind == HANDSHAKE_HELLO && c->state == CONNECTION_HELLO)
		take_hello(c, frame);
	else if (kind == HANDSHAKE_PROOF && c->state == CONNECTION_PROOF)
		take_proof(c, frame);
	else if (c->state != CONNECTION_OPEN)
		refuse(c, REFUSE_MALFORMED);
	else
		connection_close(c, false, "sent a handshake's message a second time");
}
