/*
 * wire_formation.c - struct formation_message as protobuf, and back (PROTOCOL F).
 */
#include "transport/wire_formation.h"

#include <string.h>

#include "transport/arena.h"
#include "transport/paxoskv.pb-c.h"

/* The protobuf structs of one message, so that making it needs no allocation. */
struct formation_parts
{
	Paxoskv__Formation formation;
	Paxoskv__Config config;
	Paxoskv__Base base, config_base;
	Paxoskv__Peer peers[PAXOS_MAX_MEMBERS], *peer_list[PAXOS_MAX_MEMBERS];
	Paxoskv__Member members[PAXOS_MAX_MEMBERS], *member_list[PAXOS_MAX_MEMBERS];
	Paxoskv__Ack acks[PAXOS_MAX_MEMBERS], *ack_list[PAXOS_MAX_MEMBERS];
};

static bool is_terminated(const char address[PAXOS_ADDRESS_MAX + 1])
{
	return memchr(address, '\0', PAXOS_ADDRESS_MAX + 1) != NULL;
}

static bool get_address(char to[PAXOS_ADDRESS_MAX + 1], const char *from)
{
	size_t length = strlen(from);

	if (length > PAXOS_ADDRESS_MAX)
		return false;
	memcpy(to, from, length + 1);
	return true;
}

/* ---------------------------------------------------------------- encode */

static bool put_peers(struct formation_parts *parts, const struct formation_message *m)
{
	for (uint32_t i = 0; i < m->n_peers; i++)
	{
		if (!is_terminated(m->peers[i].address))
			return false;
		paxoskv__peer__init(&parts->peers[i]);
		parts->peers[i].node_id = m->peers[i].node_id;
		parts->peers[i].address = (char *) m->peers[i].address;
		parts->peer_list[i] = &parts->peers[i];
	}
	parts->formation.n_peers = m->n_peers;
	parts->formation.peers = parts->peer_list;
	return true;
}

/* NULL: of an empty table nothing is said. */
static Paxoskv__Base *put_base(Paxoskv__Base *to, const struct paxos_base *base)
{
	if (base->slot == 0)
		return NULL;
	paxoskv__base__init(to);
	to->slot = base->slot;
	to->hash = wire_put_id(&base->hash);
	return to;
}

static bool put_config(struct formation_parts *parts, const struct paxos_config *config)
{
	Paxoskv__Config *to = &parts->config;

	if (config->n_members == 0)
		return true;
	paxoskv__config__init(to);
	to->epoch = config->epoch;
	to->cluster_id = wire_put_id(&config->cluster_id);
	to->request_ids_kept = config->request_ids_kept;
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		const struct paxos_member *from = &config->members[i];
		Paxoskv__Member *member = &parts->members[i];

		if (!is_terminated(from->address))
			return false;
		paxoskv__member__init(member);
		member->node_id = from->node_id;
		member->learner = from->learner;
		member->store_id = wire_put_id(&from->store_id);
		member->features = from->features;
		member->address = (char *) from->address;
		parts->member_list[i] = member;
	}
	to->begins_with = put_base(&parts->config_base, &config->base);
	to->n_members = config->n_members;
	to->members = parts->member_list;
	parts->formation.proposal = to;
	return true;
}

static void put_acks(struct formation_parts *parts, const struct formation_message *m)
{
	for (uint32_t i = 0; i < m->n_acks; i++)
	{
		paxoskv__ack__init(&parts->acks[i]);
		parts->acks[i].node_id = m->acks[i].node_id;
		parts->acks[i].store_id = wire_put_id(&m->acks[i].store_id);
		parts->acks[i].proposal_hash = wire_put_id(&m->acks[i].proposal_hash);
		parts->ack_list[i] = &parts->acks[i];
	}
	parts->formation.n_acks = m->n_acks;
	parts->formation.acks = parts->ack_list;
}

bool wire_encode_formation(const struct formation_message *message, struct wire_encoded *out)
{
	struct formation_parts parts;
	Paxoskv__Formation *to = &parts.formation;

	if (message->type < FORMATION_HELLO || message->type > FORMATION_ACTIVE ||
		message->n_peers > PAXOS_MAX_MEMBERS || message->n_acks > PAXOS_MAX_MEMBERS ||
		message->proposal.n_members > PAXOS_MAX_MEMBERS)
		return false;
	paxoskv__formation__init(to);
	to->type = (uint32_t) message->type;
	to->from = message->from;
	to->to = message->to;
	to->store_id = wire_put_id(&message->store_id);
	to->activated = message->activated;
	to->features = message->features;
	to->not_ready = message->not_ready;
	to->begins_with = put_base(&parts.base, &message->base);
	if (!put_peers(&parts, message) || !put_config(&parts, &message->proposal))
		return false;
	put_acks(&parts, message);
	if (!wire_put_fixed(out, WIRE_FORMATION, 0, paxoskv__formation__get_packed_size(to)))
		return false;
	paxoskv__formation__pack(to, out->head + WIRE_FIXED_BYTES);
	return true;
}

/* ---------------------------------------------------------------- decode */

static bool get_peers(struct formation_message *m, const Paxoskv__Formation *from)
{
	if (from->n_peers > PAXOS_MAX_MEMBERS)
		return false;
	m->n_peers = (uint32_t) from->n_peers;
	for (uint32_t i = 0; i < m->n_peers; i++)
	{
		m->peers[i].node_id = from->peers[i]->node_id;
		if (!get_address(m->peers[i].address, from->peers[i]->address))
			return false;
	}
	return true;
}

static bool get_base(struct paxos_base *base, const Paxoskv__Base *from)
{
	if (from == NULL)
		return true;
	base->slot = from->slot;
	/* One of slot 0 is none, and is not sent. */
	return from->slot > 0 && wire_get_id(&base->hash, &from->hash);
}

static bool get_config(struct paxos_config *config, const Paxoskv__Config *from)
{
	if (from == NULL)
		return true;
	/* One without members is none, and is not sent. */
	if (from->n_members == 0 || from->n_members > PAXOS_MAX_MEMBERS ||
		!wire_get_id(&config->cluster_id, &from->cluster_id) || !get_base(&config->base, from->begins_with))
		return false;
	config->epoch = from->epoch;
	config->request_ids_kept = from->request_ids_kept;
	config->n_members = (uint32_t) from->n_members;
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		struct paxos_member *member = &config->members[i];

		member->node_id = from->members[i]->node_id;
		member->learner = from->members[i]->learner;
		member->features = from->members[i]->features;
		if (!wire_get_id(&member->store_id, &from->members[i]->store_id) ||
			!get_address(member->address, from->members[i]->address))
			return false;
	}
	return true;
}

static bool get_acks(struct formation_message *m, const Paxoskv__Formation *from)
{
	if (from->n_acks > PAXOS_MAX_MEMBERS)
		return false;
	m->n_acks = (uint32_t) from->n_acks;
	for (uint32_t i = 0; i < m->n_acks; i++)
	{
		m->acks[i].node_id = from->acks[i]->node_id;
		if (!wire_get_id(&m->acks[i].store_id, &from->acks[i]->store_id) ||
			!wire_get_id(&m->acks[i].proposal_hash, &from->acks[i]->proposal_hash))
			return false;
	}
	return true;
}

enum wire_result wire_decode_formation(const uint8_t *bytes, uint32_t length, struct wire_decoded *d)
{
	struct formation_message *m = &d->formation;
	struct arena arena;
	Paxoskv__Formation *from;

	arena_init(&arena, d->arena, sizeof(d->arena));
	from = paxoskv__formation__unpack(&arena.allocator, length, bytes);
	if (from == NULL)
		return WIRE_MALFORMED;
	if (from->type < FORMATION_HELLO || from->type > FORMATION_ACTIVE)
		return WIRE_UNKNOWN;
	memset(m, 0, sizeof(*m));
	m->type = (enum formation_message_type) from->type;
	m->from = from->from;
	m->to = from->to;
	m->activated = from->activated;
	m->features = from->features;
	m->not_ready = from->not_ready;
	if (!get_base(&m->base, from->begins_with))
		return WIRE_MALFORMED;
	if (!wire_get_id(&m->store_id, &from->store_id) || !get_peers(m, from) ||
		!get_config(&m->proposal, from->proposal) || !get_acks(m, from))
		return WIRE_MALFORMED;
	return WIRE_OK;
}
