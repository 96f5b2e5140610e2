/*
 * wire.c - struct paxos_message and its protobuf part, and the entries behind it.
 *
 * Layout: kind (1 byte), zero (1), entries (2), length of the protobuf part (4), that part, the entries'
 * lengths (4 each), the entries' bytes.  Every count and length is checked before it is used.
 */
#include "transport/wire.h"

#include <string.h>

#include "transport/arena.h"
#include "paxos/bytes.h"
#include "transport/paxoskv.pb-c.h"
#include "transport/wire_formation.h"
#include "transport/wire_state.h"

bool wire_id_is_zero(const struct paxos_id *id)
{
	static const struct paxos_id zero;

	return memcmp(id, &zero, sizeof(zero)) == 0;
}

bool wire_id_equal(const struct paxos_id *a, const struct paxos_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

ProtobufCBinaryData wire_put_id(const struct paxos_id *id)
{
	ProtobufCBinaryData data = {0, NULL};

	if (!wire_id_is_zero(id))
	{
		data.len = sizeof(id->bytes);
		data.data = (uint8_t *) id->bytes;
	}
	return data;
}

bool wire_get_id(struct paxos_id *id, const ProtobufCBinaryData *data)
{
	*id = (struct paxos_id){{0}};
	if (data->len == 0)
		return true;
	if (data->len != sizeof(id->bytes))
		return false;
	memcpy(id->bytes, data->data, sizeof(id->bytes));
	return true;
}

bool wire_put_fixed(struct wire_encoded *out, enum wire_kind kind, uint32_t n_entries, size_t packed)
{
	if (packed > WIRE_PROTOBUF_MAX)
		return false;
	out->head[0] = (uint8_t) kind;
	out->head[1] = 0;
	put_u16(out->head + 2, (uint16_t) n_entries);
	put_u32(out->head + 4, (uint32_t) packed);
	out->head_length = WIRE_FIXED_BYTES + (uint32_t) packed;
	out->length = out->head_length;
	return true;
}

/* ---------------------------------------------------------------- encode */

/* A ballot of zeros is left out. */
static Paxoskv__Ballot *put_ballot(Paxoskv__Ballot *to, const struct paxos_ballot *from)
{
	if (from->round == 0 && from->priority == 0 && from->node_id == 0)
		return NULL;
	paxoskv__ballot__init(to);
	to->round = from->round;
	to->priority = from->priority;
	to->node_id = from->node_id;
	return to;
}

static Paxoskv__Damage *put_damage(Paxoskv__Damage *to, Paxoskv__Ballot *named,
								   const struct paxos_damage *from)
{
	paxoskv__damage__init(to);
	to->damaged = from->damaged;
	to->doubtful = from->doubtful;
	to->named_ballot = put_ballot(named, &from->named_ballot);
	to->named_slot = from->named_slot;
	to->lowest_written = from->lowest_written;
	to->repairing = from->repairing;
	to->lost_slot = from->lost_slot;
	return protobuf_c_message_get_packed_size(&to->base) == 0 ? NULL : to;
}

static void put_scalars(Paxoskv__Head *head, const struct paxos_message *m)
{
	head->type = (uint32_t) m->type;
	head->from = m->from;
	head->to = m->to;
	head->epoch = m->epoch;
	head->run = m->run;
	head->sequence = m->sequence;
	head->slot = m->slot;
	head->base_slot = m->base;
	head->end = m->end;
	head->first_slot = m->first_slot;
	head->chosen = m->chosen;
	head->applied = m->applied;
	head->bytes = m->bytes;
	head->named_run = m->named_run;
	head->content = m->content;
	head->accepting = m->accepting;
	head->ready = m->ready;
	head->leader_only = m->leader_only;
	head->all_voters = m->all_voters;
}

bool wire_encode_message(const struct paxos_message *message, const struct paxos_id *cluster_id,
						 struct wire_encoded *out)
{
	Paxoskv__Head head = PAXOSKV__HEAD__INIT;
	Paxoskv__Damage damage;
	Paxoskv__Ballot ballots[4];

	if (message->type < PAXOS_HEARTBEAT || message->type >= PAXOS_MESSAGE_TYPES ||
		message->n_entries > PAXOS_MAX_BATCH)
		return false;
	put_scalars(&head, message);
	head.cluster_id = wire_put_id(cluster_id);
	head.ballot = put_ballot(&ballots[0], &message->ballot);
	head.followed = put_ballot(&ballots[1], &message->followed);
	head.accepted = put_ballot(&ballots[2], &message->accepted);
	head.damage = put_damage(&damage, &ballots[3], &message->damage);
	if (!wire_put_fixed(out, WIRE_MESSAGE, message->n_entries, paxoskv__head__get_packed_size(&head)))
		return false;
	paxoskv__head__pack(&head, out->head + WIRE_FIXED_BYTES);
	for (uint32_t i = 0; i < message->n_entries; i++)
	{
		if (message->entries[i].length > PAXOS_MAX_ENTRY_BYTES)
			return false;
		put_u32(out->head + out->head_length, message->entries[i].length);
		out->head_length += 4;
		out->length += 4 + (uint64_t) message->entries[i].length;
	}
	return true;
}

/* ---------------------------------------------------------------- decode */

static struct paxos_ballot get_ballot(const Paxoskv__Ballot *from)
{
	struct paxos_ballot ballot = {0};

	if (from != NULL)
	{
		ballot.round = from->round;
		ballot.priority = from->priority;
		ballot.node_id = from->node_id;
	}
	return ballot;
}

static void get_damage(struct paxos_damage *to, const Paxoskv__Damage *from)
{
	if (from == NULL)
		return;
	to->damaged = from->damaged;
	to->doubtful = from->doubtful;
	to->named_ballot = get_ballot(from->named_ballot);
	to->named_slot = from->named_slot;
	to->lowest_written = from->lowest_written;
	to->repairing = from->repairing;
	to->lost_slot = from->lost_slot;
}

static void get_scalars(struct paxos_message *m, const Paxoskv__Head *head)
{
	m->type = (enum paxos_message_type) head->type;
	m->from = head->from;
	m->to = head->to;
	m->epoch = head->epoch;
	m->run = head->run;
	m->sequence = head->sequence;
	m->slot = head->slot;
	m->base = head->base_slot;
	m->end = head->end;
	m->first_slot = head->first_slot;
	m->chosen = head->chosen;
	m->applied = head->applied;
	m->bytes = head->bytes;
	m->named_run = head->named_run;
	m->content = head->content;
	m->accepting = head->accepting;
	m->ready = head->ready;
	m->leader_only = head->leader_only;
	m->all_voters = head->all_voters;
}

static enum wire_result get_head(struct wire_decoded *d, const uint8_t *bytes, uint32_t length)
{
	struct arena arena;
	Paxoskv__Head *head;

	arena_init(&arena, d->arena, sizeof(d->arena));
	head = paxoskv__head__unpack(&arena.allocator, length, bytes);
	if (head == NULL || !wire_get_id(&d->cluster_id, &head->cluster_id))
		return WIRE_MALFORMED;
	if (head->type < PAXOS_HEARTBEAT || head->type >= PAXOS_MESSAGE_TYPES)
		return WIRE_UNKNOWN;
	memset(&d->message, 0, sizeof(d->message));
	get_scalars(&d->message, head);
	d->message.ballot = get_ballot(head->ballot);
	d->message.followed = get_ballot(head->followed);
	d->message.accepted = get_ballot(head->accepted);
	get_damage(&d->message.damage, head->damage);
	return WIRE_OK;
}

static bool carries_entries(enum paxos_message_type type)
{
	return type == PAXOS_ACCEPT || type == PAXOS_SYNC || type == PAXOS_CHUNK || type == PAXOS_FORWARD ||
		   type == PAXOS_REPAIR;
}

/* The tail: lengths, then bytes, and nothing behind them. */
static bool get_entries(struct wire_decoded *d, const uint8_t *tail, uint64_t left, uint32_t n_entries)
{
	const uint8_t *bytes;

	if (n_entries > 0 && !carries_entries(d->message.type))
		return false;
	if ((uint64_t) n_entries * 4 > left)
		return false;
	left -= (uint64_t) n_entries * 4;
	bytes = tail + (uint64_t) n_entries * 4;
	for (uint32_t i = 0; i < n_entries; i++)
	{
		uint32_t length = get_u32(tail + (uint64_t) i * 4);

		if (length > PAXOS_MAX_ENTRY_BYTES || length > left)
			return false;
		d->entries[i].bytes = bytes;
		d->entries[i].length = length;
		bytes += length;
		left -= length;
	}
	d->message.n_entries = n_entries;
	d->message.entries = n_entries > 0 ? d->entries : NULL;
	return left == 0;
}

enum wire_result wire_decode(const uint8_t *bytes, uint64_t length, struct wire_decoded *d)
{
	uint32_t n_entries;
	uint32_t packed;
	const uint8_t *tail;
	enum wire_result result;

	if (length < WIRE_FIXED_BYTES)
		return WIRE_MALFORMED;
	if (bytes[0] < WIRE_MESSAGE || bytes[0] > WIRE_STATE)
		return WIRE_UNKNOWN;
	n_entries = get_u16(bytes + 2);
	packed = get_u32(bytes + 4);
	if (bytes[1] != 0 || n_entries > PAXOS_MAX_BATCH || packed > WIRE_PROTOBUF_MAX ||
		packed > length - WIRE_FIXED_BYTES)
		return WIRE_MALFORMED;
	d->kind = (enum wire_kind) bytes[0];
	tail = bytes + WIRE_FIXED_BYTES + packed;
	if (d->kind != WIRE_MESSAGE && (n_entries != 0 || packed != length - WIRE_FIXED_BYTES))
		return WIRE_MALFORMED;
	if (d->kind == WIRE_FORMATION)
		return wire_decode_formation(bytes + WIRE_FIXED_BYTES, packed, d);
	if (d->kind == WIRE_STATE)
		return wire_decode_state(bytes + WIRE_FIXED_BYTES, packed, d);
	result = get_head(d, bytes + WIRE_FIXED_BYTES, packed);
	if (result != WIRE_OK)
		return result;
	return get_entries(d, tail, length - WIRE_FIXED_BYTES - packed, n_entries) ? WIRE_OK : WIRE_MALFORMED;
}
