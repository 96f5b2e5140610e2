/*
 * seed_wire.c - writes the inputs that fuzz_wire begins with: every message of the core, of formation and of state
 * comparison, valid, and frames around them.  A fuzzer can't guess a protobuf head.
 *
 *	 seed_wire DIRECTORY
 */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "transport/frame.h"
#include "transport/wire.h"

/* The target's first byte: a stream whose CRCs it mends; one message. */
#define MODE_STREAM 1
#define MODE_MESSAGE 2

static void write_input(const char *directory, const char *name, uint8_t mode, const uint8_t *bytes,
						size_t length)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	MUST(file != NULL);
	MUST(fputc(mode, file) == mode && fwrite(bytes, 1, length, file) == length);
	MUST(fclose(file) == 0);
}

static void write_both(const char *directory, const char *name, const uint8_t *message, uint32_t length)
{
	uint8_t frame[8192] = {FRAME_MAGIC, FRAME_VERSION, FRAME_FIRST | FRAME_LAST};
	char framed[64];

	write_input(directory, name, MODE_MESSAGE, message, length);
	for (int i = 0; i < 4; i++)
		frame[4 + i] = (uint8_t) (length >> (8 * i));
	memcpy(frame + FRAME_HEADER_BYTES, message, length);
	snprintf(framed, sizeof(framed), "%s-framed", name);
	write_input(directory, framed, MODE_STREAM, frame, FRAME_HEADER_BYTES + length);
}

static void write_encoded(const char *directory, const char *name, const struct wire_encoded *encoded,
						  const struct paxos_entry *entries, uint32_t n_entries)
{
	uint8_t bytes[4096];
	uint32_t length = (uint32_t) encoded->head_length;

	memcpy(bytes, encoded->head, length);
	for (uint32_t i = 0; i < n_entries; i++)
	{
		memcpy(bytes + length, entries[i].bytes, entries[i].length);
		length += entries[i].length;
	}
	MUST(length == encoded->length);
	write_both(directory, name, bytes, length);
}

/* Different in every field, so that a mutation of one shows which it is. */
static struct paxos_message message_of(enum paxos_message_type type)
{
	struct paxos_message m = {
		.type = type,
		.from = 1,
		.to = 2,
		.epoch = 1,
		.run = 3,
		.ballot = {4, 1, 1},
		.followed = {5, 0, 2},
		.accepted = {3, 0, 3},
		.sequence = 6,
		.slot = 7,
		.base = 8,
		.end = 300,
		.first_slot = 1,
		.chosen = 9,
		.applied = 10,
		.bytes = 70000,
		.named_run = 3,
		.content = true,
		.accepting = true,
		.ready = true,
	};

	if (type == PAXOS_PROMISE)
		m.damage = (struct paxos_damage){true, true, {2, 0, 1}, 11, 12, true, 13};
	return m;
}

static struct wire_encoded encoded;

static void write_messages(const char *directory)
{
	static const uint8_t first[60] = {1, 1};
	static const uint8_t second[100] = {1, 2};
	const struct paxos_entry entries[] = {{first, sizeof(first)}, {second, sizeof(second)}};
	struct paxos_id cluster = {{0xab, 0xcd}};

	for (int type = PAXOS_HEARTBEAT; type < PAXOS_MESSAGE_TYPES; type++)
	{
		struct paxos_message m = message_of((enum paxos_message_type) type);
		bool carries = type == PAXOS_ACCEPT || type == PAXOS_SYNC || type == PAXOS_CHUNK ||
					   type == PAXOS_FORWARD || type == PAXOS_REPAIR;
		char name[32];

		m.n_entries = carries ? 2 : 0;
		m.entries = carries ? entries : NULL;
		MUST(wire_encode_message(&m, &cluster, &encoded));
		snprintf(name, sizeof(name), "message-%02d", type);
		write_encoded(directory, name, &encoded, entries, m.n_entries);
	}
}

static void write_formation(const char *directory)
{
	for (int type = FORMATION_HELLO; type <= FORMATION_ACTIVE; type++)
	{
		struct formation_message f = {.type = (enum formation_message_type) type, .from = 1, .to = 2};
		char name[32];

		f.store_id.bytes[0] = 1;
		f.n_peers = 2;
		f.peers[0] = (struct formation_peer){.node_id = 1, .address = "a:1"};
		f.peers[1] = (struct formation_peer){.node_id = 2, .address = "b:2"};
		f.proposal.epoch = 1;
		f.proposal.n_members = 2;
		for (uint32_t i = 0; i < 2; i++)
		{
			f.proposal.members[i].node_id = i + 1;
			f.proposal.members[i].store_id.bytes[0] = (uint8_t) (i + 1);
			memcpy(f.proposal.members[i].address, i == 0 ? "a:1" : "b:2", 4);
		}
		f.n_acks = 1;
		f.acks[0].node_id = 1;
		f.acks[0].store_id.bytes[0] = 1;
		MUST(wire_encode_formation(&f, &encoded));
		snprintf(name, sizeof(name), "formation-%d", type);
		write_encoded(directory, name, &encoded, NULL, 0);
	}
}

static void write_state(const char *directory)
{
	struct paxos_id cluster = {{0xab, 0xcd}};
	struct state_message m = {.from = 1, .to = 2, .epoch = 1, .asked = 3, .asked_slot = 4, .answered = 5};

	for (uint64_t slot = 62; slot <= 65; slot++)
		state_points_add(&m.points, (struct state_point){slot, slot * 2, {slot * 3, slot * 4}});
	m.recount.kept = m.points.points[0];
	m.recount.found = m.points.points[1];
	MUST(wire_encode_state(&m, &cluster, &encoded));
	write_encoded(directory, "state", &encoded, NULL, 0);
}

int main(int argc, char **argv)
{
	MUST(argc == 2);
	write_messages(argv[1]);
	write_formation(argv[1]);
	write_state(argv[1]);
	return 0;
}
