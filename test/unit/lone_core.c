/*
 * lone_core.c - see lone_core.h.
 */
#include "lone_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host_log disk;
struct paxos *core;

static void *memory;
static uint64_t clock_ms;
static uint64_t unapplied_max;

const struct paxos_durable_state fresh = {.first_slot = 1};

static bool read_entry(void *context, uint64_t slot, struct paxos_entry *entry)
{
	if (disk.unreadable || slot == 0 || slot > disk.end || disk.slots[slot].bytes == NULL)
		return false;
	*entry = disk.slots[slot];
	return true;
}

static void assert_failed(void *context, const char *condition, const char *file, int line)
{
	printf("not ok - assertion %s at %s:%d\n", condition, file, line);
	exit(1);
}

static struct paxos_entry keep(const struct paxos_entry *entry)
{
	struct paxos_entry kept = {disk.bytes[disk.n_bytes], entry->length};

	if (disk.n_bytes + 1 == LONE_SLOTS * 2 || entry->length > LONE_ENTRY_MAX)
		abort();
	memcpy(disk.bytes[disk.n_bytes++], entry->bytes, entry->length);
	return kept;
}

void drain(void)
{
	struct paxos_write w;

	while (paxos_next_write(core, &w))
	{
		disk.last = w;
		disk.last_id = w.id;
		disk.n_writes++;
		for (uint32_t i = 0; i < w.n_entries; i++)
			(w.type == PAXOS_WRITE_APPEND ? disk.slots : disk.staged)[w.first_slot + i] = keep(&w.entries[i]);
		if (w.type == PAXOS_WRITE_APPEND)
			disk.end = w.first_slot + w.n_entries - 1;
		if (w.type == PAXOS_WRITE_INSTALL)
		{
			for (uint64_t slot = w.base + 1; slot <= w.end; slot++)
				disk.slots[slot] = disk.staged[slot];
			disk.end = w.end;
		}
	}
}

void sync_disk(void)
{
	paxos_durable(core, disk.last_id);
	drain();
}

void sync_all(void)
{
	uint64_t synced;

	do
	{
		synced = disk.last_id;
		sync_disk();
	} while (disk.last_id != synced);
}

static void create(struct paxos_config *config, const struct paxos_durable_state *state)
{
	struct paxos_options options = {.node_id = 1,
									.run = LONE_RUN,
									.nonce = LONE_NONCE,
									.election_timeout_ms = 1000,
									.heartbeat_interval_ms = 100,
									.window_bytes = 4096,
									.unapplied_bytes_max = unapplied_max > 0 ? unapplied_max : 1 << 20};
	struct paxos_host host = {NULL, read_entry, assert_failed};

	config->epoch = 1;
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		config->members[i].node_id = i + 1;
		config->members[i].store_id.bytes[0] = (uint8_t) (i + 1);
	}
	free(memory);
	memset(&disk, 0, sizeof(disk));
	disk.end = state->end;
	clock_ms = 1000;
	memory = malloc(paxos_memory_size(config, &options));
	core = paxos_create(memory, config, &options, &host, state, clock_ms);
	for (uint32_t i = 1; i < config->n_members; i++)
		paxos_connected(core, i + 1);
	drain();
}

void make_node(const struct paxos_durable_state *state)
{
	struct paxos_config config = {.n_members = 3};

	create(&config, state);
}

void make_node_with_learner(const struct paxos_durable_state *state)
{
	struct paxos_config config = {.n_members = 4};

	config.members[3].learner = true;
	create(&config, state);
}

void make_learner(const struct paxos_durable_state *state)
{
	struct paxos_config config = {.n_members = 4};

	config.members[0].learner = true;
	create(&config, state);
}

void free_node(void)
{
	free(memory);
	memory = NULL;
}

void limit_unapplied(uint64_t bytes)
{
	unapplied_max = bytes;
}

struct paxos_message message(enum paxos_message_type type, uint32_t from, uint64_t round)
{
	return (struct paxos_message){
		.type = type, .from = from, .to = 1, .epoch = 1, .run = 1, .ballot = {round, 0, from}};
}

bool receive(const struct paxos_message *m)
{
	bool fine = paxos_recv(core, m);

	drain();
	return fine;
}

bool refused(const struct paxos_message *m)
{
	int writes = disk.n_writes;
	uint64_t before = status().messages_refused;
	struct paxos_message answer;

	drop_messages();
	return !receive(m) && disk.n_writes == writes && status().messages_refused == before + 1 &&
		   !paxos_next_message(core, &answer);
}

bool passed_over(const struct paxos_message *m)
{
	int writes = disk.n_writes;
	struct paxos_message answer;

	drop_messages();
	return receive(m) && disk.n_writes == writes && !paxos_next_message(core, &answer);
}

void tick(uint64_t at_ms)
{
	clock_ms = at_ms;
	paxos_tick(core, at_ms);
	drain();
}

uint64_t now_ms(void)
{
	return clock_ms;
}

bool next(enum paxos_message_type type, struct paxos_message *m)
{
	while (paxos_next_message(core, m))
		if (m->type == type)
			return true;
	return false;
}

bool next_to(enum paxos_message_type type, uint32_t to, struct paxos_message *m)
{
	while (next(type, m))
		if (m->to == to)
			return true;
	return false;
}

bool next_event(enum paxos_event_type type, struct paxos_event *event)
{
	while (paxos_next_event(core, event))
		if (event->type == type)
			return true;
	return false;
}

void drop_messages(void)
{
	struct paxos_message m;

	while (paxos_next_message(core, &m))
		;
}

struct paxos_entry noop(void)
{
	static uint8_t bytes[ENTRY_HEADER_BYTES];

	noop_encode(bytes, 2);
	return (struct paxos_entry){bytes, sizeof(bytes)};
}

struct paxos_entry command_of(uint32_t node_id, uint64_t session, uint64_t number)
{
	static uint8_t bytes[4][LONE_ENTRY_MAX];
	static unsigned calls;
	uint8_t *at = bytes[calls++ % 4];
	struct operation put = {.kind = OPERATION_PUT,
							.value_kind = VALUE_TEXT,
							.key_length = 1,
							.value_length = 1,
							.partition = "",
							.key = "k",
							.value = "v"};

	command_encode(at, node_id, 0, 0, NULL, 0, &put, 1);
	entry_set_number(at, session, number);
	return (struct paxos_entry){at, (uint32_t) command_size(0, &put, 1)};
}

void follow_leader(void)
{
	struct paxos_message m = message(PAXOS_PREPARE, 2, 3);
	struct paxos_entry e = noop();

	make_node(&fresh);
	receive(&m);
	sync_disk();
	m = message(PAXOS_SYNC, 2, 3);
	m.end = 1;
	m.n_entries = 1;
	m.entries = &e;
	receive(&m);
	sync_all();
	drop_messages();
}

struct paxos_message accept_of(uint64_t slot, const struct paxos_entry *entries, uint32_t n_entries)
{
	struct paxos_message m = message(PAXOS_ACCEPT, 2, 3);

	m.slot = slot;
	m.entries = entries;
	m.n_entries = n_entries;
	return m;
}

/* from: who answers; 0: all. */
static void answer_round(uint32_t from)
{
	struct paxos_message question;

	while (next(PAXOS_HEARTBEAT, &question))
	{
		struct paxos_message m = message(PAXOS_HEARTBEAT_REPLY, question.to, 0);

		m.ballot = (struct paxos_ballot){0};
		m.sequence = question.sequence;
		m.accepting = true;
		if (from == 0 || question.to == from)
			receive(&m);
	}
	tick(clock_ms + 300);
}

void end_round(void)
{
	answer_round(0);
}

void end_round_alone(uint32_t node_id)
{
	answer_round(node_id);
}

struct paxos_ballot stand(void)
{
	for (int rounds = 0; rounds < 4 && status().role == PAXOS_FOLLOWER; rounds++)
		end_round();
	sync_all();
	if (status().role != PAXOS_CANDIDATE)
		abort();
	return status().ballot;
}

struct paxos_message promise_of(uint32_t from, struct paxos_ballot ballot)
{
	struct paxos_message m = message(PAXOS_PROMISE, from, 0);

	m.ballot = ballot;
	m.first_slot = 1;
	m.named_run = 1;
	return m;
}

struct paxos_ballot pull_from_two(uint64_t end)
{
	static const struct paxos_durable_state met_five = {.promise = {5, 0, 3}, .first_slot = 1};
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&met_five);
	ballot = stand();
	m = promise_of(2, ballot);
	m.accepted = (struct paxos_ballot){2, 0, 2};
	m.end = end;
	receive(&m);
	return ballot;
}

struct paxos_ballot lead(void)
{
	struct paxos_ballot ballot = stand();
	struct paxos_message m = promise_of(2, ballot);

	receive(&m);
	sync_all();
	drop_messages();
	if (status().role != PAXOS_LEADER)
		abort();
	return ballot;
}

struct paxos_ballot lead_with(const struct paxos_durable_state *state, struct paxos_entry entry,
							  uint32_t from)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(state);
	for (uint64_t slot = state->first_slot; slot <= state->end; slot++)
		disk.slots[slot] = entry;
	ballot = stand();
	m = promise_of(from, ballot);
	m.accepted = state->accepted;
	m.first_slot = state->first_slot;
	m.end = state->end;
	receive(&m);
	sync_all();
	return ballot;
}

struct paxos_message from_follower(enum paxos_message_type type, uint32_t from, struct paxos_ballot ballot,
								   uint64_t slot)
{
	struct paxos_message m = message(type, from, 0);

	m.ballot = ballot;
	m.slot = slot;
	return m;
}

void accepted(uint32_t from, struct paxos_ballot ballot, uint64_t slot)
{
	struct paxos_message m = from_follower(PAXOS_ACCEPTED, from, ballot, slot);

	receive(&m);
}

struct paxos_status status(void)
{
	struct paxos_status s;

	paxos_status(core, &s);
	return s;
}
