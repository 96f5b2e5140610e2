/*
 * node.c - a node of the real core as a value: put into its place in memory, given one input, drained, made
 * canonical, and taken out again as bytes.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

struct pool *values, *messages, *nodes, *faces, *texts;

/* Ticks: a round is 1 ms, an election timeout 5, and what waits is asked for again after at most 2. */
#define SHORT_MS 2
#define LONG_MS 6

#define COMMAND_BYTES (ENTRY_HEADER_BYTES + 8)
#define UNCHOSEN_KEPT SLOTS
#define COMMANDS_KEPT 8

/* A part of the core's memory that is kept; the rest is constant, or empty whenever an input has been drained. */
struct range
{
	uint32_t offset;
	uint32_t length;
};

static struct range ranges[48];
static uint32_t n_ranges;
static uint32_t core_bytes;

/* A place for each node, so that pointers into its own memory stay right. */
static uint8_t *place[NODES + 1];
static size_t place_bytes;
static struct paxos_config config;

/* The operation under way. */
static struct
{
	struct node node;
	uint32_t id;
	struct paxos *p;
	struct result result;
	jmp_buf failed;
	bool tells; /* heartbeats made now tell whether this node is a ready leader */
	const char *violation;
	char text[256];
} now;

/* ---------------------------------------------------------------- what is kept of a core's memory */

static void skip(uint32_t *at, size_t from, size_t length)
{
	if (from < *at)
		die("the core's memory is not laid out as was thought");
	if (from > *at)
		ranges[n_ranges++] = (struct range){*at, (uint32_t) from - *at};
	*at = (uint32_t) (from + length);
}

#define SKIP(at, member) skip(at, offsetof(struct paxos, member), sizeof(((struct paxos *) 0)->member))

/* Rings begin at 0 (canon.c): of each only so much is kept as is ever used. */
static void skip_tail(uint32_t *at, size_t from, size_t item, uint32_t used, uint32_t n)
{
	if (n > used)
		skip(at, from + item * used, item * (n - used));
}

static void choose_ranges(const struct paxos *p)
{
	uint32_t at = 0;
	size_t peers = offsetof(struct paxos, peers);

	SKIP(&at, config);
	SKIP(&at, host);
	skip_tail(&at, offsetof(struct paxos, pending), sizeof(struct pending_write), PENDING, PENDING_MAX);
	SKIP(&at, marks);
	SKIP(&at, writes);
	SKIP(&at, write_entries);
	SKIP(&at, message_entries);
	for (uint32_t i = 0; i < NODES; i++)
	{
		size_t peer = peers + i * sizeof(struct peer);

		skip(&at, peer + offsetof(struct peer, member), sizeof(struct paxos_member));
		skip(&at, peer + offsetof(struct peer, follower.flights), sizeof(struct flight) * FLIGHT_MAX);
	}
	skip_tail(&at, peers, sizeof(struct peer), NODES, PAXOS_MAX_MEMBERS);
	skip_tail(&at, (size_t) ((const uint8_t *) p->unchosen - (const uint8_t *) p), sizeof(struct unchosen),
			  UNCHOSEN_KEPT, p->unchosen_capacity);
	skip_tail(&at, (size_t) ((const uint8_t *) p->proposer.commands - (const uint8_t *) p),
			  sizeof(struct command), COMMANDS_KEPT, p->proposer.capacity);
	skip(&at, place_bytes, 0);
	for (uint32_t i = 0; i < n_ranges; i++)
		core_bytes += ranges[i].length;
}

static uint32_t save(void)
{
	static uint8_t bytes[1 << 16];
	uint32_t length = sizeof(now.node);

	if (length + core_bytes > sizeof(bytes))
		die("a core of %u bytes", core_bytes);
	memcpy(bytes, &now.node, length);
	for (uint32_t i = 0; i < n_ranges; i++)
	{
		memcpy(bytes + length, place[now.id] + ranges[i].offset, ranges[i].length);
		length += ranges[i].length;
	}
	return pool_intern(nodes, bytes, length);
}

static void restore(uint32_t index)
{
	const uint8_t *bytes = pool_get(nodes, index, NULL);

	memcpy(&now.node, bytes, sizeof(now.node));
	bytes += sizeof(now.node);
	now.id = ((const struct node *) pool_get(nodes, index, NULL))->id;
	now.p = (struct paxos *) place[now.id];
	for (uint32_t i = 0; i < n_ranges; i++)
	{
		memcpy(place[now.id] + ranges[i].offset, bytes, ranges[i].length);
		bytes += ranges[i].length;
	}
}

uint32_t node_core_bytes(void)
{
	return core_bytes;
}

const struct node *node_get(uint32_t index)
{
	return pool_get(nodes, index, NULL);
}

const struct flying *message_get(uint32_t message_id)
{
	return pool_get(messages, message_id, NULL);
}

/* ---------------------------------------------------------------- the host's half */

static void violate(const char *what)
{
	now.violation = what;
	longjmp(now.failed, 1);
}

static void assert_failed(void *context, const char *condition, const char *file, int line)
{
	const char *base = strrchr(file, '/');

	snprintf(now.text, sizeof(now.text), "assertion of the core: %s at %s:%d", condition,
			 base == NULL ? file : base + 1, line);
	violate(now.text);
}

static bool read_entry(void *context, uint64_t slot, struct paxos_entry *entry)
{
	if (slot == 0 || slot > now.node.taken.end)
		return false;
	entry->bytes = pool_get(values, now.node.taken.log[slot], &entry->length);
	return true;
}

static uint8_t value_id(const struct paxos_entry *entry)
{
	uint32_t id = pool_intern(values, entry->bytes, entry->length);

	if (id > UINT8_MAX)
		die("more than 255 values");
	return (uint8_t) id;
}

static void check(const char *wrong)
{
	if (wrong != NULL)
		violate(wrong);
}

static void take_write(const struct paxos_write *write)
{
	struct node *n = &now.node;
	struct write *w = &n->pending[n->n_pending];

	if (n->n_pending == PENDING || write->n_entries > WRITE_ENTRIES ||
		write->first_slot + write->n_entries > SLOTS || write->end >= SLOTS)
		die("a write does not fit");
	memset(w, 0, sizeof(*w));
	w->type = (uint8_t) write->type;
	w->ballot = ballot_pack(write->ballot);
	w->first = (uint8_t) write->first_slot;
	w->base = (uint8_t) write->base;
	w->end = (uint8_t) write->end;
	w->n = (uint8_t) write->n_entries;
	for (uint32_t i = 0; i < write->n_entries; i++)
		w->values[i] = value_id(&write->entries[i]);
	n->n_pending++;
	check(image_apply(&n->taken, w));
	check(judge_write(n, now.id, w));
}

static void send(const struct paxos_message *m)
{
	static struct flying flying;

	check(judge_message(&now.node, now.id, m));
	if (m->n_entries > WRITE_ENTRIES || now.result.n_out == OUTPUTS)
		die("a message does not fit");
	memset(&flying, 0, sizeof(flying));
	memcpy(&flying.m, m, sizeof(*m)); /* made over zeroes (begin_message()), padding among it */
	flying.m.entries = NULL;
	memset(&flying.m.damage, 0, sizeof(flying.m.damage)); /* none is damaged; padding */
	for (uint32_t i = 0; i < m->n_entries; i++)
		flying.entries[i] = value_id(&m->entries[i]);
	if (m->type == PAXOS_HEARTBEAT)
		return; /* the explorer asks for them: OP_BEAT */
	if (m->type == PAXOS_HEARTBEAT_REPLY)
	{
		flying.m.content = false; /* README, "Elections" */
		flying.m.ready &= now.tells;
		now.result.reply = pool_intern(messages, &flying, sizeof(flying));
		return;
	}
	now.result.out[now.result.n_out++] = pool_intern(messages, &flying, sizeof(flying));
}

static void take_event(const struct paxos_event *e)
{
	switch (e->type)
	{
		case PAXOS_EVENT_CHOSEN:
			check(judge_chosen(&now.node, e->slot));
			break;
		case PAXOS_EVENT_READ:
			if (e->number == now.p->reader.last_token) /* that of the last read */
				now.result.read_index = (int16_t) e->slot;
			break;
		case PAXOS_EVENT_FENCED:
			violate("X1: a node fences itself though it is the only one of its id");
			break;
		case PAXOS_EVENT_UNRECOVERABLE:
			violate("D8: a log is called unrecoverable though none is damaged");
			break;
		default:
			break;
	}
}

/* All that the core has to say, until it is silent. */
static void drain(void)
{
	bool again = true;

	while (again)
	{
		struct paxos_write write;
		struct paxos_message message;
		struct paxos_event event;

		again = false;
		while (paxos_next_write(now.p, &write))
			take_write(&write);
		while (paxos_next_message(now.p, &message))
		{
			send(&message);
			again = true;
			while (paxos_next_write(now.p, &write)) /* the leader's own read may cause one */
				take_write(&write);
		}
		while (paxos_next_event(now.p, &event))
		{
			take_event(&event);
			again = true;
		}
	}
}

/* ---------------------------------------------------------------- operations */

static void receive(uint32_t message_id)
{
	struct flying flying = *message_get(message_id);
	struct paxos_entry entries[WRITE_ENTRIES];

	for (uint32_t i = 0; i < flying.m.n_entries; i++)
		entries[i].bytes = pool_get(values, flying.entries[i], &entries[i].length);
	flying.m.entries = entries;
	if (flying.m.type == PAXOS_HEARTBEAT_REPLY) /* an answer to the round of now (E1) */
		flying.m.sequence = now.p->round;
	if (!paxos_recv(now.p, &flying.m))
		violate("a node refuses an honest peer");
	drain();
}

static void make_durable(uint32_t n_writes)
{
	struct node *n = &now.node;

	for (uint32_t i = 0; i < n_writes; i++)
	{
		check(image_apply(&n->durable, &n->pending[i]));
		check(judge_durable(n));
	}
	n->n_pending -= (uint8_t) n_writes;
	memmove(n->pending, n->pending + n_writes, n->n_pending * sizeof(n->pending[0]));
	memset(n->pending + n->n_pending, 0, (PENDING - n->n_pending) * sizeof(n->pending[0]));
	paxos_durable(now.p, now.p->durable.id + n_writes);
	drain();
}

static struct paxos_options node_options(uint32_t id, uint32_t run)
{
	/* a round is 1 ms and has no jitter; probes wait 2 ms */
	return (struct paxos_options){.node_id = id,
								  .run = run,
								  .nonce = run * 16 + id,
								  .election_timeout_ms = 5,
								  .heartbeat_interval_ms = 1,
								  .window_bytes = 4096,
								  .unapplied_bytes_max = 1u << 30};
}

static void create(uint32_t connected)
{
	struct node *n = &now.node;
	struct paxos_options options = node_options(now.id, n->run);
	struct paxos_host host = {NULL, read_entry, assert_failed};
	struct paxos_durable_state state = {.promise = ballot_unpack(n->durable.promise),
										.accepted = ballot_unpack(n->durable.accepted),
										.first_slot = 1,
										.end = n->durable.end,
										.applied = n->face.applied_end};

	memset(place[now.id], 0, place_bytes);
	now.p = paxos_create(place[now.id], &config, &options, &host, &state, 1000);
	drain();
	for (uint32_t peer = 1; peer <= NODES; peer++)
		if (connected & (1u << peer))
			paxos_connected(now.p, peer);
	drain();
}

/* A prefix of the writes under way survives; so may the promises among the rest (B4: files of their own). */
static void crash(uint32_t n_writes, bool promises, uint32_t connected)
{
	struct node *n = &now.node;

	for (uint32_t i = 0; i < n->n_pending; i++)
		if (i < n_writes || (promises && n->pending[i].type == PAXOS_WRITE_PROMISE))
		{
			check(image_apply(&n->durable, &n->pending[i]));
			check(judge_durable(n));
		}
	if (n->durable.promise < n->durable.accepted) /* B4 */
		n->durable.promise = n->durable.accepted;
	n->durable.staged_ballot = 0; /* a new run stages anew */
	memset(n->durable.staged, 0, sizeof(n->durable.staged));
	n->taken = n->durable;
	n->n_pending = 0;
	memset(n->pending, 0, sizeof(n->pending));
	n->run++;
	create(connected);
}

/*
 * The node finds itself discontent with a quorum that is, too: it takes over (E5).  One that proposes already has
 * heard nothing for an election timeout, and stepped down (E6, E7).
 */
static bool elect(uint32_t answer_a, uint32_t answer_b)
{
	struct paxos_ballot before = now.p->own;

	if (is_proposing(now.p))
	{
		paxos_tick(now.p, now.p->now_ms + LONG_MS);
		drain();
	}
	for (int rounds = 0; rounds < 5; rounds++)
	{
		if (answer_a != 0)
			receive(answer_a);
		if (answer_b != 0)
			receive(answer_b);
		paxos_tick(now.p, now.p->now_ms + 1);
		drain();
		if (now.p->role == PAXOS_CANDIDATE && ballot_above(now.p->own, before))
			return true;
	}
	return false;
}

static bool propose(uint32_t proposal)
{
	static uint8_t bytes[COMMAND_BYTES];
	struct entry_header header = {.version = ENTRY_VERSION,
								  .kind = ENTRY_COMMAND,
								  .body_length = COMMAND_BYTES - ENTRY_HEADER_BYTES,
								  .node_id = now.id};
	struct paxos_entry entry = {bytes, COMMAND_BYTES};
	uint64_t number;

	if (!paxos_can_propose(now.p, COMMAND_BYTES))
		return false;
	memset(bytes, 0, sizeof(bytes));
	entry_encode_header(bytes, &header);
	bytes[ENTRY_HEADER_BYTES] = (uint8_t) proposal;
	number = paxos_propose(now.p, bytes, COMMAND_BYTES);
	if (number >= COMMANDS_KEPT)
		die("more commands of one node than are kept");
	/* the bytes stay for ever, and the same ones have one place */
	now.p->proposer.commands[number].bytes = pool_get(values, value_id(&entry), NULL);
	drain();
	return true;
}

static bool can_read(const struct paxos *p)
{
	return p->proposer.usable;
}

static void beat(uint32_t peer)
{
	struct paxos_message m = {.from = now.id, .to = peer, .epoch = 1, .run = now.p->options.run};
	static struct flying flying;

	send_heartbeat(now.p, find_peer(now.p, peer), false, &m);
	memset(&flying, 0, sizeof(flying));
	memcpy(&flying.m, &m, sizeof(m));
	memset(&flying.m.damage, 0, sizeof(flying.m.damage));
	flying.m.content = false;
	flying.m.ready &= now.tells;
	now.result.out[now.result.n_out++] = pool_intern(messages, &flying, sizeof(flying));
}

static bool operate(const struct input *op)
{
	switch (op->type)
	{
		case OP_DELIVER:
			receive(op->a);
			return true;
		case OP_DURABLE:
			if (op->a > now.node.n_pending)
				return false;
			make_durable(op->a);
			return true;
		case OP_ELECT:
			return elect(op->a, op->b);
		case OP_BEAT:
			beat(op->a);
			return true;
		case OP_TICK:
		case OP_LONG_TICK:
			paxos_tick(now.p, now.p->now_ms + (op->type == OP_TICK ? SHORT_MS : LONG_MS));
			drain();
			return true;
		case OP_PROPOSE:
			return propose(op->a);
		case OP_READ:
			if (!can_read(now.p))
				return false;
			paxos_read(now.p, false);
			drain();
			return true;
		case OP_CRASH:
			if (op->a > now.node.n_pending)
				return false;
			crash(op->a, op->b & 1, op->b >> 8);
			return true;
		case OP_CONNECT:
			paxos_connected(now.p, op->a);
			drain();
			return true;
		case OP_DISCONNECT:
			paxos_disconnected(now.p, op->a, false);
			drain();
			return true;
	}
	return false;
}

/* What is known of a node without its core. */
static void summarize(void)
{
	struct node *n = &now.node;

	n->role = (uint8_t) now.p->role;
	n->can_propose = paxos_can_propose(now.p, COMMAND_BYTES);
	n->can_read = can_read(now.p);
	n->face_id = pool_intern(faces, &n->face, sizeof(n->face));
}

/* ---------------------------------------------------------------- operations, once each */

struct memo
{
	struct input op;
	uint32_t result;
};

static struct memo *memos;
static uint64_t memo_mask;
static uint64_t n_memos;

uint64_t operations_run(void)
{
	return n_memos;
}

static struct memo *find_memo(const struct input *op)
{
	uint64_t at = hash_bytes(op, sizeof(*op)) & memo_mask;

	while (memos[at].op.type != 0 && memcmp(&memos[at].op, op, sizeof(*op)) != 0)
		at = (at + 1) & memo_mask;
	return &memos[at];
}

static void grow_memos(void)
{
	struct memo *old = memos;
	uint64_t n = memo_mask + 1;

	memo_mask = n * 2 - 1;
	memos = calloc(memo_mask + 1, sizeof(*memos));
	if (memos == NULL)
		die("out of memory");
	for (uint64_t i = 0; i < n; i++)
		if (old[i].op.type != 0)
			*find_memo(&old[i].op) = old[i];
	free(old);
}

static void begin(const struct input *op)
{
	memset(&now.result, 0, sizeof(now.result));
	now.result.read_index = -1;
	now.violation = NULL;
	now.tells = (op->type == OP_BEAT || op->type == OP_DELIVER) && op->b != 0;
}

static void run(uint32_t index, const struct input *op)
{
	begin(op);
	restore(index);
	if (setjmp(now.failed) != 0)
	{
		now.result.violation = pool_intern(texts, now.violation, (uint32_t) strlen(now.violation) + 1);
		now.result.enabled = true;
		now.result.node = index;
		return;
	}
	now.result.enabled = operate(op);
	if (!now.result.enabled)
		return;
	canonicalize(now.p);
	summarize();
	now.result.node = save();
	now.result.unchanged = now.result.node == index && now.result.n_out == 0 && now.result.read_index < 0;
}

/* Results are kept in blocks, so that they stay where they are. */
#define RESULTS_BLOCK 4096
static struct result *result_blocks[1u << 16];

static struct result *result_at(uint32_t i)
{
	struct result **block = &result_blocks[i / RESULTS_BLOCK];

	if (*block == NULL && (*block = malloc(RESULTS_BLOCK * sizeof(struct result))) == NULL)
		die("out of memory");
	return &(*block)[i % RESULTS_BLOCK];
}

static const struct result *compute(uint32_t index, const struct input *op)
{
	struct input key = *op;
	struct memo *memo;

	key.node = index;
	memo = find_memo(&key);
	if (memo->op.type != 0)
		return result_at(memo->result);
	run(index, &key);
	if (n_memos * 2 > memo_mask)
	{
		grow_memos();
		memo = find_memo(&key);
	}
	memo->op = key;
	memo->result = (uint32_t) n_memos++;
	*result_at(memo->result) = now.result;
	return result_at(memo->result);
}

/* ---------------------------------------------------------------- twins */

static uint8_t *twin[NODES + 1];
static bool following;
static uint64_t n_compared;

uint64_t twins_compared(void)
{
	return n_compared;
}

void twins_follow(bool follow)
{
	following = follow;
}

/* Twins begin as copies of these nodes. */
void twins_begin(const uint32_t *node_ids)
{
	for (uint32_t i = 0; i < NODES; i++)
	{
		struct paxos *p;
		uint32_t id = i + 1;

		restore(node_ids[i]);
		if (twin[id] == NULL)
			twin[id] = aligned_alloc(64, (place_bytes + 63) / 64 * 64);
		memcpy(twin[id], place[id], place_bytes);
		p = (struct paxos *) twin[id];
		p->unchosen = (struct unchosen *) (twin[id] + ((uint8_t *) now.p->unchosen - place[id]));
		p->proposer.commands =
			(struct command *) (twin[id] + ((uint8_t *) now.p->proposer.commands - place[id]));
	}
}

static void swap_twin(uint32_t id)
{
	uint8_t *other = twin[id];

	twin[id] = place[id];
	place[id] = other;
}

/* The same input to the twin, whose core is never made canonical but for what concerns elections. */
static void follow_twin(uint32_t index, const struct input *op, const struct result *r)
{
	begin(op);
	now.node = *node_get(index);
	now.id = now.node.id;
	swap_twin(now.id);
	now.p = (struct paxos *) place[now.id];
	if (setjmp(now.failed) != 0)
		die("a twin breaks a rule where the canonical core does not: %s", now.violation);
	now.result.enabled = operate(op);
	summarize();
	if (now.result.enabled != r->enabled || now.result.n_out != r->n_out ||
		memcmp(now.result.out, r->out, r->n_out * sizeof(r->out[0])) != 0 || now.result.reply != r->reply ||
		now.result.read_index != r->read_index || memcmp(&now.node, node_get(r->node), sizeof(now.node)) != 0)
		die("a core that is not made canonical does otherwise, at input %u of n%u", op->type, now.id);
	forget_election(now.p);
	swap_twin(now.id);
	n_compared++;
}

const struct result *node_operate(uint32_t index, const struct input *op)
{
	const struct result *r = compute(index, op);

	if (following && r->enabled && r->violation == 0)
		follow_twin(index, op, r);
	return r;
}

/* ---------------------------------------------------------------- the first nodes */

static void forget_pool(struct pool **pool)
{
	pool_free(*pool);
	*pool = pool_new();
}

void nodes_start(void)
{
	struct paxos_options options = node_options(1, 1);

	forget_pool(&values);
	forget_pool(&messages);
	forget_pool(&nodes);
	forget_pool(&faces);
	forget_pool(&texts);
	judge_start();
	free(memos);
	memo_mask = (1u << 16) - 1;
	memos = calloc(memo_mask + 1, sizeof(*memos));
	n_memos = 0; /* blocks of results are used again */
	config = (struct paxos_config){.epoch = 1, .n_members = NODES};
	for (uint32_t i = 0; i < NODES; i++)
		config.members[i] = (struct paxos_member){.node_id = i + 1, .store_id.bytes = {(uint8_t) (i + 1)}};
	place_bytes = paxos_memory_size(&config, &options);
	for (uint32_t i = 1; i <= NODES; i++)
		if (place[i] == NULL)
			place[i] = aligned_alloc(64, (place_bytes + 63) / 64 * 64);
}

uint32_t node_fresh(uint32_t id)
{
	memset(&now.node, 0, sizeof(now.node));
	now.id = now.node.id = (uint8_t) id;
	now.node.run = 1;
	memset(&now.result, 0, sizeof(now.result));
	if (setjmp(now.failed) != 0)
		die("%s", now.violation);
	create((2u << NODES) - 2 - (1u << id));
	if (n_ranges == 0)
		choose_ranges(now.p);
	canonicalize(now.p);
	summarize();
	return save();
}
