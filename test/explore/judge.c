/*
 * judge.c - S1 to S7 and S9, from what nodes handed to their logs, what is durable there and what they sent.
 *
 * What a judge must remember travels with the node (struct face), so that it is part of the state: two paths
 * that differ only in what was once durable are two states.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

/* ---------------------------------------------------------------- one node */

static struct held *find_held(struct face *face, ballot b)
{
	uint32_t i = 0;

	while (i < face->n_held && face->held[i].ballot < b)
		i++;
	if (i < face->n_held && face->held[i].ballot == b)
		return &face->held[i];
	if (face->n_held == BALLOTS)
		die("a log held more than %d ballots", BALLOTS);
	memmove(&face->held[i + 1], &face->held[i], (face->n_held - i) * sizeof(face->held[0]));
	memset(&face->held[i], 0, sizeof(face->held[0]));
	face->held[i].ballot = b;
	face->n_held++;
	return &face->held[i];
}

/* S2 at this node: what its log is at its accepted ballot. */
static const char *note_taken(struct node *n, bool adopts)
{
	struct held *held = find_held(&n->face, n->taken.accepted);

	for (uint32_t slot = 1; slot <= n->taken.end; slot++)
	{
		if (slot <= held->taken_end && held->values[slot] != n->taken.log[slot])
			return "S2: the node held another value for the slot at the same ballot";
		held->values[slot] = n->taken.log[slot];
	}
	if (n->taken.end > held->taken_end)
		held->taken_end = n->taken.end;
	held->adopted |= adopts;
	return NULL;
}

static struct own_ballot *find_own(struct node *n, ballot b)
{
	for (uint32_t i = 0; i < n->n_own; i++)
		if (n->own[i].ballot == b)
			return &n->own[i];
	return NULL;
}

/* S3, B2: each ballot of a node is above those that it used before; one never used may be lost in a crash. */
static const char *take_ballot(struct node *n, ballot b)
{
	struct own_ballot *own = find_own(n, b);

	for (uint32_t i = 0; i < n->n_own; i++)
		if (n->own[i].used && n->own[i].ballot >= b)
			return "S3: a ballot is taken that is not above those used before";
	if (own == NULL)
	{
		if (n->n_own == BALLOTS)
			die("a node took more than %d ballots", BALLOTS);
		own = &n->own[n->n_own++];
		own->ballot = b;
	}
	own->run = n->run;
	return NULL;
}

const char *judge_write(struct node *n, uint32_t id, const struct write *w)
{
	if (w->type == PAXOS_WRITE_PROMISE)
		return BALLOT_NODE(w->ballot) == id ? take_ballot(n, w->ballot) : NULL;
	if (w->ballot < n->taken.promise)
		return "S4: something is accepted below the promise";
	if (w->type == PAXOS_WRITE_STAGE)
		return NULL;
	return note_taken(n, w->type == PAXOS_WRITE_INSTALL && BALLOT_NODE(w->ballot) == id);
}

const char *judge_durable(struct node *n)
{
	struct held *held;

	n->face.end = n->durable.end;
	memcpy(n->face.log, n->durable.log, sizeof(n->face.log));
	if (n->durable.accepted == 0)
		return NULL;
	held = find_held(&n->face, n->durable.accepted);
	if (n->durable.end > held->durable_end)
		held->durable_end = n->durable.end;
	return NULL;
}

/* S3: what only the owner of a ballot may send, and only in the run that took it. */
static const char *use_ballot(struct node *n, uint32_t id, ballot b)
{
	struct own_ballot *own = find_own(n, b);

	if (BALLOT_NODE(b) != id || own == NULL || own->run != n->run)
		return "S3: a message at a ballot that the node did not take in this run";
	own->used = true;
	return NULL;
}

/* S2, S4: a Promise tells of all that was taken before it, and all that it tells is durable. */
static const char *judge_promise(const struct node *n, const struct paxos_message *m)
{
	ballot b = ballot_pack(m->ballot);

	if (n->durable.promise != b)
		return "S4: a Promise leaves before it is durable";
	for (uint32_t i = 0; i < n->n_pending; i++)
		if (n->pending[i].ballot < b)
			return "S4: a Promise leaves while a write taken before it is not durable (B3)";
	if (ballot_pack(m->accepted) != n->durable.accepted || m->end != n->durable.end)
		return "S4: a Promise does not tell what the log holds";
	return NULL;
}

static const char *judge_accepted(const struct node *n, const struct paxos_message *m)
{
	ballot b = ballot_pack(m->ballot);

	if (n->durable.accepted != b || n->durable.end < m->slot)
		return "S4: an Accepted leaves before its entries are durable";
	if (n->taken.promise > b)
		return "S4: an Accepted leaves below a promise that was taken (B3)";
	return NULL;
}

const char *judge_message(struct node *n, uint32_t id, const struct paxos_message *m)
{
	const char *wrong = NULL;

	switch (m->type)
	{
		case PAXOS_PREPARE:
			if (n->durable.promise < ballot_pack(m->ballot))
				return "S4: a Prepare leaves before its own promise is durable (B1)";
			return use_ballot(n, id, ballot_pack(m->ballot));
		case PAXOS_PULL:
		case PAXOS_READ_ROUND:
			return use_ballot(n, id, ballot_pack(m->ballot));
		case PAXOS_SYNC:
		case PAXOS_ACCEPT:
		case PAXOS_CHOSEN:
			wrong = use_ballot(n, id, ballot_pack(m->ballot));
			if (m->chosen > n->face.claimed)
				n->face.claimed = (uint8_t) m->chosen;
			return wrong;
		case PAXOS_PROMISE:
			return judge_promise(n, m);
		case PAXOS_ACCEPTED:
			return judge_accepted(n, m);
		case PAXOS_REFUSE:
			if (n->durable.promise < ballot_pack(m->followed))
				return "S4: a Refuse names a promise that is not durable";
			return NULL;
		default:
			return NULL;
	}
}

const char *judge_chosen(struct node *n, uint64_t slot)
{
	struct face *face = &n->face;

	if (slot > n->durable.end)
		return "S7: apply is told to run past what is durable here (A5)";
	for (uint32_t s = face->applied_end + 1u; s <= slot; s++)
		face->applied[s] = n->durable.log[s];
	if (slot > face->applied_end)
		face->applied_end = (uint8_t) slot;
	return NULL;
}

/* ---------------------------------------------------------------- all nodes */

#define QUORUM (NODES / 2 + 1)

struct chosen
{
	uint8_t through;
	uint8_t value[SLOTS];
	ballot at[SLOTS]; /* the lowest ballot at which it is chosen */
};

static const struct held *held_at(const struct face *face, ballot b)
{
	for (uint32_t i = 0; i < face->n_held; i++)
		if (face->held[i].ballot == b)
			return &face->held[i];
	return NULL;
}

/* S1, S2 of one ballot: the nodes' logs at it agree; what a quorum held is chosen. */
static const char *count_ballot(const struct face *const *face, const struct held *held,
								struct chosen *chosen)
{
	for (uint32_t slot = 1; slot <= held->taken_end; slot++)
	{
		uint32_t n = 0;

		for (uint32_t i = 0; i < NODES; i++)
		{
			const struct held *other = held_at(face[i], held->ballot);

			if (other == NULL || slot > other->taken_end)
				continue;
			if (other->values[slot] != held->values[slot])
				return "S2: two nodes hold two values for one slot at one ballot";
			n += slot <= other->durable_end;
		}
		if (n < QUORUM)
			continue;
		if (chosen->value[slot] != 0 && chosen->value[slot] != held->values[slot])
			return "S1: two values are chosen for one slot";
		if (chosen->value[slot] == 0 || chosen->at[slot] > held->ballot)
			chosen->at[slot] = held->ballot;
		chosen->value[slot] = held->values[slot];
	}
	return NULL;
}

/* S5, S6: the log that a leader adopted holds what was chosen below its ballot. */
static const char *judge_adopted(const struct held *held, const struct chosen *chosen)
{
	if (!held->adopted)
		return NULL;
	for (uint32_t slot = 1; slot <= chosen->through; slot++)
		if (chosen->at[slot] < held->ballot &&
			(slot > held->taken_end || held->values[slot] != chosen->value[slot]))
			return "S6: the log that a leader adopted lacks what was chosen below its ballot";
	return NULL;
}

/* S9: a log that held a slot as it was chosen, or later, holds it for good. */
static const char *judge_kept(const struct face *face, const struct chosen *chosen)
{
	for (uint32_t i = 0; i < face->n_held; i++)
	{
		const struct held *held = &face->held[i];

		for (uint32_t slot = 1; slot <= chosen->through && slot <= held->durable_end; slot++)
			if (chosen->at[slot] <= held->ballot &&
				(slot > face->end || face->log[slot] != chosen->value[slot]))
				return "S9: a chosen entry is gone from a log that held it";
	}
	return NULL;
}

/* S7 */
static const char *judge_claims(const struct face *face, const struct chosen *chosen)
{
	if (face->applied_end > chosen->through)
		return "S7: a slot is called chosen that is not";
	if (face->claimed > chosen->through)
		return "S7: a leader's chosen index names a slot that is not chosen";
	for (uint32_t slot = 1; slot <= face->applied_end; slot++)
		if (face->applied[slot] != chosen->value[slot])
			return "S1: a node applied another value than the chosen one";
	return NULL;
}

static const char *judge_faces(const struct face *const *face)
{
	struct chosen chosen = {0};
	const char *wrong;

	for (uint32_t i = 0; i < NODES; i++)
		for (uint32_t j = 0; j < face[i]->n_held; j++)
			if ((wrong = count_ballot(face, &face[i]->held[j], &chosen)) != NULL)
				return wrong;
	while (chosen.through + 1 < SLOTS && chosen.value[chosen.through + 1] != 0)
		chosen.through++;
	for (uint32_t i = 0; i < NODES; i++)
	{
		for (uint32_t j = 0; j < face[i]->n_held; j++)
			if ((wrong = judge_adopted(&face[i]->held[j], &chosen)) != NULL)
				return wrong;
		if ((wrong = judge_claims(face[i], &chosen)) != NULL ||
			(wrong = judge_kept(face[i], &chosen)) != NULL)
			return wrong;
	}
	return NULL;
}

/* Faces change seldom: those judged already are remembered, all three by their exact ids. */
#define JUDGED_BITS 22
static struct
{
	uint32_t id[NODES];
} judged[1u << JUDGED_BITS];

void judge_start(void)
{
	memset(judged, 0, sizeof(judged));
}

const char *judge_world(const uint32_t *ids)
{
	const struct face *face[NODES];
	uint64_t at = hash_bytes(ids, sizeof(judged[0].id)) >> (64 - JUDGED_BITS);
	const char *wrong;

	if (memcmp(judged[at].id, ids, sizeof(judged[at].id)) == 0)
		return NULL;
	for (uint32_t i = 0; i < NODES; i++)
		face[i] = pool_get(faces, ids[i], NULL);
	wrong = judge_faces(face);
	if (wrong == NULL)
		memcpy(judged[at].id, ids, sizeof(judged[at].id));
	return wrong;
}
