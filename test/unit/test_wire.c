/*
 * test_wire.c - messages as bytes and back: every field, every limit, what later versions may send.
 */
#include "transport/wire.h"

#include <stdlib.h>
#include <string.h>

#include "paxos/bytes.h"
#include "transport/paxoskv.pb-c.h"
#include "unit.h"

static struct wire_encoded encoded;
static struct wire_decoded decoded;

/* The whole message: head and entries. */
static uint8_t *flatten(const struct paxos_entry *entries, uint32_t n_entries)
{
	uint8_t *bytes = malloc(encoded.length + 1);
	uint64_t at = encoded.head_length;

	memcpy(bytes, encoded.head, at);
	for (uint32_t i = 0; i < n_entries; i++)
	{
		memcpy(bytes + at, entries[i].bytes, entries[i].length);
		at += entries[i].length;
	}
	return bytes;
}

/* A message with something of its own in each field. */
static struct paxos_message full_message(void)
{
	struct paxos_message m;

	memset(&m, 0, sizeof(m));
	m.type = PAXOS_ACCEPT;
	m.from = 1, m.to = 2, m.epoch = 3, m.run = UINT64_MAX;
	m.ballot = (struct paxos_ballot){4, 5, 6};
	m.followed = (struct paxos_ballot){0, 0, 7};
	m.accepted = (struct paxos_ballot){UINT64_MAX, UINT32_MAX, UINT32_MAX};
	m.sequence = 8, m.slot = 9, m.base = 10, m.end = 11, m.first_slot = 12, m.chosen = 13, m.applied = 14;
	m.bytes = 15, m.named_run = 16;
	m.content = m.accepting = m.ready = m.leader_only = m.all_voters = true;
	m.damage.damaged = m.damage.doubtful = true;
	m.damage.named_ballot = (struct paxos_ballot){17, 18, 19};
	m.damage.named_slot = 20;
	m.damage.lowest_written = 21;
	return m;
}

static bool ballot_same(struct paxos_ballot a, struct paxos_ballot b)
{
	return a.round == b.round && a.priority == b.priority && a.node_id == b.node_id;
}

static bool same(const struct paxos_message *a, const struct paxos_message *b)
{
	return a->type == b->type && a->from == b->from && a->to == b->to && a->epoch == b->epoch &&
		   a->run == b->run && ballot_same(a->ballot, b->ballot) && ballot_same(a->followed, b->followed) &&
		   ballot_same(a->accepted, b->accepted) && a->sequence == b->sequence && a->slot == b->slot &&
		   a->base == b->base && a->end == b->end && a->first_slot == b->first_slot &&
		   a->chosen == b->chosen && a->applied == b->applied && a->bytes == b->bytes &&
		   a->named_run == b->named_run && a->content == b->content && a->accepting == b->accepting &&
		   a->ready == b->ready && a->leader_only == b->leader_only && a->all_voters == b->all_voters &&
		   a->damage.damaged == b->damage.damaged && a->damage.doubtful == b->damage.doubtful &&
		   ballot_same(a->damage.named_ballot, b->damage.named_ballot) &&
		   a->damage.named_slot == b->damage.named_slot &&
		   a->damage.lowest_written == b->damage.lowest_written && a->n_entries == b->n_entries;
}

static void every_type(void)
{
	struct paxos_id cluster = {{1, 2, 3}};

	for (int type = PAXOS_HEARTBEAT; type < PAXOS_MESSAGE_TYPES; type++)
	{
		struct paxos_message m = full_message();
		struct paxos_message empty = {.type = (enum paxos_message_type) type};
		uint8_t *bytes;

		m.type = (enum paxos_message_type) type;
		wire_encode_message(&m, &cluster, &encoded);
		bytes = flatten(NULL, 0);
		ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_OK && same(&m, &decoded.message) &&
			   wire_id_equal(&cluster, &decoded.cluster_id),
		   "type %d, all fields", type);
		free(bytes);
		wire_encode_message(&empty, &(struct paxos_id){{0}}, &encoded);
		bytes = flatten(NULL, 0);
		ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_OK && same(&empty, &decoded.message) &&
			   wire_id_is_zero(&decoded.cluster_id),
		   "type %d, no field", type);
		free(bytes);
	}
}

static void entries(void)
{
	static uint8_t contents[PAXOS_MAX_BATCH][300];
	struct paxos_entry list[PAXOS_MAX_BATCH];
	struct paxos_message m = full_message();
	uint8_t *bytes;
	unsigned wrong = 0;
	unsigned taken = 0;

	for (uint32_t i = 0; i < PAXOS_MAX_BATCH; i++)
	{
		memset(contents[i], (int) i, sizeof(contents[i]));
		list[i] = (struct paxos_entry){contents[i], i};
	}
	m.n_entries = PAXOS_MAX_BATCH;
	m.entries = list;
	ok(wire_encode_message(&m, &(struct paxos_id){{9}}, &encoded), "a full batch is encoded");
	bytes = flatten(list, m.n_entries);
	ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_OK && same(&m, &decoded.message), "and decoded");
	for (uint32_t i = 0; i < PAXOS_MAX_BATCH; i++)
		wrong += decoded.entries[i].length != i || memcmp(decoded.entries[i].bytes, contents[i], i) != 0;
	is_u64(wrong, 0, "every entry is as it was");
	ok(decoded.message.entries[1].bytes > bytes && decoded.message.entries[1].bytes < bytes + encoded.length,
	   "and lies in the message itself");
	for (uint64_t length = 0; length < encoded.length; length++)
		taken += wire_decode(bytes, length, &decoded) == WIRE_OK;
	is_u64(taken, 0, "cut off anywhere it is refused");
	ok(wire_decode(bytes, encoded.length + 1, &decoded) == WIRE_MALFORMED, "with a byte too many, too");
	put_u16(bytes + 2, PAXOS_MAX_BATCH + 1);
	ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_MALFORMED, "with an entry too many, too");
	free(bytes);
	m.n_entries = PAXOS_MAX_BATCH + 1;
	ok(!wire_encode_message(&m, &(struct paxos_id){{9}}, &encoded), "which isn't encoded either");
	list[0].length = PAXOS_MAX_ENTRY_BYTES + 1;
	m.n_entries = 1;
	ok(!wire_encode_message(&m, &(struct paxos_id){{9}}, &encoded), "nor is an entry above the limit");
	list[0].length = 4;
	m.type = PAXOS_HEARTBEAT;
	wire_encode_message(&m, &(struct paxos_id){{9}}, &encoded);
	bytes = flatten(list, 1);
	ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_MALFORMED, "a heartbeat carries no entries");
	free(bytes);
}

/* An entry's length that would overflow sums, or lies about what follows. */
static void lengths(void)
{
	static const uint32_t lies[] = {5,         3,         PAXOS_MAX_ENTRY_BYTES, PAXOS_MAX_ENTRY_BYTES + 1,
									INT32_MAX, UINT32_MAX};
	uint8_t content[4] = {1, 2, 3, 4};
	struct paxos_entry entry = {content, 4};
	struct paxos_message m = full_message();

	m.n_entries = 1;
	m.entries = &entry;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
	{
		uint8_t *bytes;

		wire_encode_message(&m, &(struct paxos_id){{9}}, &encoded);
		bytes = flatten(&entry, 1);
		put_u32(bytes + encoded.head_length - 4, lies[i]);
		ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_MALFORMED, "an entry of 4 bytes that says %u",
		   lies[i]);
		put_u32(bytes + encoded.head_length - 4, 4);
		put_u32(bytes + 4, lies[i] + 2000);
		ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_MALFORMED, "a protobuf part that says %u",
		   lies[i] + 2000);
		free(bytes);
	}
}

/* What a later version may send. */
static void later_versions(void)
{
	Paxoskv__Head head = PAXOSKV__HEAD__INIT;
	uint8_t bytes[256] = {WIRE_MESSAGE};
	uint8_t *many = calloc(1, WIRE_FIXED_BYTES + WIRE_PROTOBUF_MAX);
	size_t packed;

	head.type = PAXOS_CHOSEN;
	head.from = 3;
	packed = paxoskv__head__pack(&head, bytes + WIRE_FIXED_BYTES);
	/* Field 1000, a varint. */
	memcpy(bytes + WIRE_FIXED_BYTES + packed, "\xC0\x3E\x05", 3);
	put_u32(bytes + 4, (uint32_t) packed + 3);
	ok(wire_decode(bytes, WIRE_FIXED_BYTES + packed + 3, &decoded) == WIRE_OK && decoded.message.from == 3,
	   "an unknown field is harmless");
	head.type = PAXOS_MESSAGE_TYPES;
	packed = paxoskv__head__pack(&head, bytes + WIRE_FIXED_BYTES);
	put_u32(bytes + 4, (uint32_t) packed);
	ok(wire_decode(bytes, WIRE_FIXED_BYTES + packed, &decoded) == WIRE_UNKNOWN,
	   "an unknown type is told from a mistake");
	bytes[0] = 77;
	ok(wire_decode(bytes, WIRE_FIXED_BYTES + packed, &decoded) == WIRE_UNKNOWN, "an unknown kind too");
	many[0] = WIRE_MESSAGE;
	put_u32(many + 4, WIRE_PROTOBUF_MAX);
	for (uint32_t i = 0; i < WIRE_PROTOBUF_MAX; i += 2)
		memcpy(many + WIRE_FIXED_BYTES + i, "\x78\x01", 2); /* field 15, again and again */
	many[WIRE_FIXED_BYTES] = 0x08;                          /* and a type */
	ok(wire_decode(many, WIRE_FIXED_BYTES + WIRE_PROTOBUF_MAX, &decoded) != WIRE_OK,
	   "more fields than memory is set aside for are refused");
	free(many);
}

static struct formation_message full_formation(void)
{
	struct formation_message m;

	memset(&m, 0, sizeof(m));
	m.type = FORMATION_ACTIVE;
	m.from = 1, m.to = 2, m.activated = true, m.features = 99;
	m.not_ready = true;
	m.base.slot = m.proposal.base.slot = UINT64_MAX;
	memset(&m.base.hash, 0x33, sizeof(m.base.hash));
	memset(&m.proposal.base.hash, 0x44, sizeof(m.proposal.base.hash));
	memset(&m.store_id, 0x11, sizeof(m.store_id));
	m.n_peers = m.n_acks = m.proposal.n_members = PAXOS_MAX_MEMBERS;
	m.proposal.epoch = 1;
	m.proposal.request_ids_kept = 100000;
	memset(&m.proposal.cluster_id, 0x22, sizeof(m.proposal.cluster_id));
	for (uint32_t i = 0; i < PAXOS_MAX_MEMBERS; i++)
	{
		m.peers[i].node_id = m.acks[i].node_id = m.proposal.members[i].node_id = i + 1;
		memset(m.peers[i].address, 'a' + (int) i, PAXOS_ADDRESS_MAX);
		memset(m.proposal.members[i].address, 'A' + (int) i, PAXOS_ADDRESS_MAX);
		m.proposal.members[i].learner = i % 2 == 1;
		m.proposal.members[i].features = UINT64_MAX - i;
		memset(&m.proposal.members[i].store_id, (int) i, 16);
		memset(&m.acks[i].store_id, (int) i + 1, 16);
		memset(&m.acks[i].proposal_hash, (int) i + 2, 16);
	}
	return m;
}

static void formation(void)
{
	static struct formation_message m;
	uint8_t *bytes;
	unsigned taken = 0;

	m = full_formation();
	ok(wire_encode_formation(&m, &encoded), "the largest formation message is encoded");
	bytes = flatten(NULL, 0);
	ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_OK && decoded.kind == WIRE_FORMATION,
	   "and decoded");
	ok(memcmp(&m, &decoded.formation, sizeof(m)) == 0, "as it was");
	for (uint64_t length = 0; length < encoded.length; length++)
		taken += wire_decode(bytes, length, &decoded) == WIRE_OK;
	is_u64(taken, 0, "cut off anywhere it is refused");
	free(bytes);
	m.n_peers = PAXOS_MAX_MEMBERS + 1;
	ok(!wire_encode_formation(&m, &encoded), "one peer too many is not encoded");
}

/* A formation message that says what no one may say. */
static void bad_formation(void)
{
	Paxoskv__Formation message = PAXOSKV__FORMATION__INIT;
	Paxoskv__Peer peer = PAXOSKV__PEER__INIT;
	Paxoskv__Peer *peers[PAXOS_MAX_MEMBERS + 1];
	uint8_t bytes[4096] = {WIRE_FORMATION};
	char address[PAXOS_ADDRESS_MAX + 2];
	size_t packed;

	message.type = FORMATION_HELLO;
	for (uint32_t i = 0; i <= PAXOS_MAX_MEMBERS; i++)
		peers[i] = &peer;
	message.peers = peers;
	message.n_peers = PAXOS_MAX_MEMBERS + 1;
	packed = paxoskv__formation__pack(&message, bytes + WIRE_FIXED_BYTES);
	put_u32(bytes + 4, (uint32_t) packed);
	ok(wire_decode(bytes, WIRE_FIXED_BYTES + packed, &decoded) == WIRE_MALFORMED, "one peer too many");
	message.n_peers = 1;
	memset(address, 'x', sizeof(address));
	address[PAXOS_ADDRESS_MAX + 1] = '\0';
	peer.address = address;
	packed = paxoskv__formation__pack(&message, bytes + WIRE_FIXED_BYTES);
	put_u32(bytes + 4, (uint32_t) packed);
	ok(wire_decode(bytes, WIRE_FIXED_BYTES + packed, &decoded) == WIRE_MALFORMED, "an address too long");
	message.n_peers = 0;
	message.store_id.data = (uint8_t *) address;
	message.store_id.len = 15;
	packed = paxoskv__formation__pack(&message, bytes + WIRE_FIXED_BYTES);
	put_u32(bytes + 4, (uint32_t) packed);
	ok(wire_decode(bytes, WIRE_FIXED_BYTES + packed, &decoded) == WIRE_MALFORMED, "an id too short");
}

static struct state_message full_state(void)
{
	struct state_message m;

	memset(&m, 0, sizeof(m));
	m.from = 1, m.to = 2, m.epoch = 3, m.diverged = true;
	m.asked = UINT64_MAX, m.asked_slot = 4, m.answered = UINT64_MAX - 1;
	for (uint64_t i = 0; i < STATE_POINTS_MAX; i++)
		m.points.points[i] = (struct state_point){UINT64_MAX - i, UINT64_MAX - 2 * i, {~i, i}};
	m.recount.kept = (struct state_point){5, 6, {7, 8}};
	m.recount.found = (struct state_point){5, 9, {10, 11}};
	m.recount.differs = true;
	return m;
}

static void state(void)
{
	struct paxos_id cluster = {{1, 2, 3}};
	struct paxos_id none = {{0}};
	static struct state_message m;
	uint8_t *bytes;
	unsigned taken = 0;

	m = full_state();
	ok(wire_encode_state(&m, &cluster, &encoded), "the largest state message is encoded");
	bytes = flatten(NULL, 0);
	ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_OK && decoded.kind == WIRE_STATE &&
		   wire_id_equal(&decoded.cluster_id, &cluster),
	   "and decoded, its cluster too");
	ok(memcmp(&m, &decoded.state, sizeof(m)) == 0, "as it was");
	for (uint64_t length = 0; length < encoded.length; length++)
		taken += wire_decode(bytes, length, &decoded) == WIRE_OK;
	is_u64(taken, 0, "cut off anywhere it is refused");
	free(bytes);
	memset(&m, 0, sizeof(m));
	ok(wire_encode_state(&m, &none, &encoded), "one that says nothing is encoded");
	bytes = flatten(NULL, 0);
	ok(wire_decode(bytes, encoded.length, &decoded) == WIRE_OK && memcmp(&m, &decoded.state, sizeof(m)) == 0,
	   "and decoded");
	free(bytes);
}

static bool state_is_malformed(const Paxoskv__State *message)
{
	static uint8_t bytes[WIRE_FIXED_BYTES + WIRE_PROTOBUF_MAX] = {WIRE_STATE};
	size_t packed = paxoskv__state__pack(message, bytes + WIRE_FIXED_BYTES);

	put_u32(bytes + 4, (uint32_t) packed);
	return wire_decode(bytes, WIRE_FIXED_BYTES + packed, &decoded) == WIRE_MALFORMED;
}

/* A state message that says what no one may say. */
static void bad_state(void)
{
	Paxoskv__State message = PAXOSKV__STATE__INIT;
	Paxoskv__StatePoint point = PAXOSKV__STATE_POINT__INIT;
	Paxoskv__StatePoint *points[STATE_POINTS_MAX + 1];
	Paxoskv__StateRecount recount = PAXOSKV__STATE_RECOUNT__INIT;
	uint8_t hash[17] = {0};

	point.slot = 1;
	point.hash = (ProtobufCBinaryData){16, hash};
	for (uint32_t i = 0; i <= STATE_POINTS_MAX; i++)
		points[i] = &point;
	message.points = points;
	message.n_points = STATE_POINTS_MAX;
	ok(!state_is_malformed(&message), "as many points as there may be");
	message.n_points = STATE_POINTS_MAX + 1;
	ok(state_is_malformed(&message), "one point too many");
	message.n_points = 1;
	point.slot = 0;
	ok(state_is_malformed(&message), "a point at no slot");
	point.slot = 1;
	point.hash.len = 15;
	ok(state_is_malformed(&message), "a hash too short");
	point.hash.len = 17;
	ok(state_is_malformed(&message), "a hash too long");
	message.n_points = 0;
	point.hash.len = 16;
	message.answered = 1;
	ok(state_is_malformed(&message), "an answer without its counting");
	message.recount = &recount;
	recount.kept = &point;
	ok(state_is_malformed(&message), "a counting that found nothing");
	recount.found = &point;
	ok(!state_is_malformed(&message), "a whole answer");
	message.cluster_id = (ProtobufCBinaryData){15, hash};
	ok(state_is_malformed(&message), "a cluster's id too short");
}

int main(void)
{
	every_type();
	entries();
	lengths();
	later_versions();
	formation();
	bad_formation();
	state();
	bad_state();
	return done();
}
