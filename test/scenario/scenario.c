/*
 * scenario.c - plays a story on real cores over a small world, and compares what happens with what the
 * story says.
 *
 *	 scenario FILE ...			plays and compares
 *	 scenario --write FILE ...	plays and writes down what happened
 *
 * A story is a text file: lines that begin with a letter are commands, lines indented by two blanks are what
 * came of them, "#" begins a comment.  Time stands still but for "run".  Messages wait in one queue a
 * direction until "run" or "deliver" takes them.  Commands:
 *
 *	 cluster N			N fresh nodes, all connected
 *	 settle MS			"run", and nothing is said
 *	 run MS				lets time pass; messages arrive in the same millisecond they are sent, syncs likewise
 *	 deliver [A>B]		delivers what waits (of one direction), with nothing else happening
 *	 drop A>B			throws away what waits
 *	 cut A B | A>B		messages from now on are lost, both ways or one way
 *	 heal A B | A>B | all
 *	 disconnect A B		both sides are told that the connection is gone; reconnect A B
 *	 hold N				its disk syncs nothing more until "sync N"
 *	 put N TEXT			a command of node N's client
 *	 give-up N NUMBER	the client of that command leaves
 *	 read N | leader-read N
 *	 crash N			what was not synced is lost
 *	 restart N [damaged INTACT_END NAMED_ROUND NAMED_SLOT LOWEST [doubtful]]
 *	 accepting N yes|no
 *	 show N				role and log
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "paxos/command.h"
#include "paxos/paxos.h"

#define MAX_NODES 7
#define MAX_SLOTS 4096
#define MAX_QUEUE 4096

static const char *const type_names[PAXOS_MESSAGE_TYPES] = {
	"",          "Heartbeat",      "HeartbeatReply", "Prepare",      "Promise",     "Pull",
	"Chunk",     "Sync",           "SyncProgress",   "Accept",       "Accepted",    "Gap",
	"Chosen",    "Refuse",         "Forward",        "ForwardReply", "ReadRequest", "ReadReply",
	"ReadRound", "ReadRoundReply", "Fence",          "Trimmed",      "RepairAsk",   "Repair"};

struct blob
{
	uint8_t *bytes;
	uint32_t length;
};

struct log
{
	struct paxos_ballot promise;
	struct paxos_ballot accepted;
	uint64_t end;
	struct blob slots[MAX_SLOTS];
	struct blob staged[MAX_SLOTS];
};

struct node
{
	bool up;
	void *memory;
	struct paxos *core;
	uint64_t run;
	uint64_t durable_id;
	uint64_t last_id;
	bool held;
	struct log log;     /* handed to the disk */
	struct log durable; /* on it */
	uint64_t chosen;
	uint64_t applied;
};

struct queued
{
	struct paxos_message message;
	struct paxos_entry entries[PAXOS_MAX_BATCH];
	uint8_t *bytes;
};

static struct node nodes[MAX_NODES + 1];
static uint32_t n_nodes;
static uint64_t now_ms;
static struct queued *queues[MAX_NODES + 1][MAX_NODES + 1][MAX_QUEUE];
static int n_queued[MAX_NODES + 1][MAX_NODES + 1];
static bool cut[MAX_NODES + 1][MAX_NODES + 1];
static bool connected[MAX_NODES + 1][MAX_NODES + 1];
static char *output;
static size_t output_length;

static void say(const char *format, ...)
{
	char line[512];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	output = realloc(output, output_length + (size_t) length + 4);
	output_length += (size_t) sprintf(output + output_length, "  %s\n", line);
}

static const char *ballot_text(struct paxos_ballot b)
{
	static char text[4][48];
	static int next;
	char *t = text[next++ % 4];

	if (b.round == 0 && b.node_id == 0)
		return "-";
	snprintf(t, sizeof(text[0]), "%" PRIu64 ".%u", b.round, b.node_id);
	return t;
}

static void assert_failed(void *context, const char *condition, const char *file, int line)
{
	fprintf(stderr, "assertion failed: %s (%s:%d)\n", condition, file, line);
	abort();
}

/* ---------------------------------------------------------------- log */

static struct blob copy_blob(const uint8_t *bytes, uint32_t length)
{
	struct blob blob = {malloc(length), length};

	memcpy(blob.bytes, bytes, length);
	return blob; /* a story is short: nothing is freed */
}

static bool read_entry(void *context, uint64_t slot, struct paxos_entry *entry)
{
	const struct node *node = context;

	if (slot == 0 || slot > node->log.end)
		return false;
	*entry = (struct paxos_entry){node->log.slots[slot].bytes, node->log.slots[slot].length};
	return true;
}

static void log_write(struct node *node, const struct paxos_write *w)
{
	struct log *log = &node->log;

	node->last_id = w->id;
	switch (w->type)
	{
		case PAXOS_WRITE_PROMISE:
			log->promise = w->ballot;
			break;
		case PAXOS_WRITE_APPEND:
		case PAXOS_WRITE_STAGE:
			for (uint32_t i = 0; i < w->n_entries; i++)
			{
				struct blob blob = copy_blob(w->entries[i].bytes, w->entries[i].length);

				(w->type == PAXOS_WRITE_APPEND ? log->slots : log->staged)[w->first_slot + i] = blob;
			}
			if (w->type == PAXOS_WRITE_APPEND)
			{
				log->end = w->first_slot + w->n_entries - 1;
				log->accepted = w->ballot;
			}
			break;
		case PAXOS_WRITE_INSTALL:
			for (uint64_t slot = w->base + 1; slot <= w->end; slot++)
				log->slots[slot] = log->staged[slot];
			log->accepted = w->ballot;
			log->end = w->end;
			break;
		case PAXOS_WRITE_REPAIR: /* no log rots here */
			break;
	}
}

/* ---------------------------------------------------------------- pumping */

static void enqueue(const struct paxos_message *m)
{
	struct queued *q;
	size_t size = 0;
	int *n = &n_queued[m->from][m->to];

	if (cut[m->from][m->to] || *n == MAX_QUEUE)
		return;
	q = calloc(1, sizeof(*q));
	for (uint32_t i = 0; i < m->n_entries; i++)
		size += m->entries[i].length;
	q->bytes = malloc(size + 1);
	q->message = *m;
	q->message.entries = q->entries;
	size = 0;
	for (uint32_t i = 0; i < m->n_entries; i++)
	{
		memcpy(q->bytes + size, m->entries[i].bytes, m->entries[i].length);
		q->entries[i] = (struct paxos_entry){q->bytes + size, m->entries[i].length};
		size += m->entries[i].length;
	}
	queues[m->from][m->to][(*n)++] = q;
}

static const char *entry_text(const struct paxos_entry *e)
{
	static char text[64];
	struct command_reader reader;
	struct operation operation;
	struct entry_header header;

	if (!entry_decode_header(e, &header))
		return "?";
	if (header.kind == ENTRY_NOOP)
		return "no-op";
	if (header.kind == ENTRY_OPEN_SESSION)
	{
		snprintf(text, sizeof(text), "open(%u)", header.node_id);
		return text;
	}
	if (command_open(&reader, e) != DECODE_OK || command_next(&reader, &operation) != DECODE_OK)
		return "?";
	snprintf(text, sizeof(text), "%.*s", (int) operation.value_length, operation.value);
	return text;
}

static const char *role_names[] = {"", "follows", "prepares", "leads", "is fenced"};

static void say_event(uint32_t id, const struct paxos_event *e)
{
	struct paxos_status status;

	paxos_status(nodes[id].core, &status);
	switch (e->type)
	{
		case PAXOS_EVENT_CHOSEN:
			nodes[id].chosen = e->slot;
			nodes[id].applied = e->slot;
			say("node %u: chosen through %" PRIu64, id, e->slot);
			paxos_applied(nodes[id].core, e->slot);
			break;
		case PAXOS_EVENT_READ:
			say("node %u: reads through %" PRIu64 " at index %" PRIu64, id, e->number, e->slot);
			break;
		case PAXOS_EVENT_SESSION:
			say("node %u: session %" PRIu64, id, e->number);
			break;
		case PAXOS_EVENT_RESOLVED:
			say("node %u: command %" PRIu64 " is in slot %" PRIu64, id, e->number, e->slot);
			break;
		case PAXOS_EVENT_ROLE:
			say("node %u %s, ballot %s, leader %u", id, role_names[status.role], ballot_text(status.ballot),
				status.leader_id);
			break;
		case PAXOS_EVENT_FENCED:
			say("node %u is fenced: another run of it is alive", id);
			break;
		case PAXOS_EVENT_BEHIND:
			say("node %u needs a table as of slot %" PRIu64, id, e->slot);
			break;
		case PAXOS_EVENT_UNRECOVERABLE:
			say("node %u: slot %" PRIu64 " can't be recovered", id, e->slot);
			break;
	}
}

static void drain_writes(struct node *node)
{
	struct paxos_write w;

	while (paxos_next_write(node->core, &w))
		log_write(node, &w);
}

/* Everything a node gives out; syncs unless held. */
static bool pump(uint32_t id)
{
	struct node *node = &nodes[id];
	struct paxos_message m;
	struct paxos_event e;
	bool busy = false;

	if (!node->up)
		return false;
	drain_writes(node);
	while (paxos_next_message(node->core, &m))
	{
		enqueue(&m);
		busy = true;
	}
	while (paxos_next_event(node->core, &e))
	{
		say_event(id, &e);
		drain_writes(node);
		busy = true;
	}
	if (!node->held && node->durable_id < node->last_id)
	{
		node->durable = node->log;
		node->durable_id = node->last_id;
		paxos_durable(node->core, node->durable_id);
		drain_writes(node);
		busy = true;
	}
	return busy;
}

static void pump_all(void)
{
	for (bool busy = true; busy;)
	{
		busy = false;
		for (uint32_t id = 1; id <= n_nodes; id++)
			busy |= pump(id);
	}
}

static void say_message(const struct paxos_message *m)
{
	char entries[256] = "";
	size_t used = 0;

	if (m->type == PAXOS_HEARTBEAT || m->type == PAXOS_HEARTBEAT_REPLY)
		return;
	for (uint32_t i = 0; i < m->n_entries && used < 200; i++)
		used += (size_t) snprintf(entries + used, sizeof(entries) - used, " %s", entry_text(&m->entries[i]));
	switch (m->type)
	{
		case PAXOS_PROMISE:
			say("%u>%u Promise %s: accepted %s through %" PRIu64 "%s", m->from, m->to, ballot_text(m->ballot),
				ballot_text(m->accepted), m->end, m->damage.damaged ? ", damaged" : "");
			break;
		case PAXOS_SYNC:
			say("%u>%u Sync %s: base %" PRIu64 ", end %" PRIu64 ", after %" PRIu64 ":%s", m->from, m->to,
				ballot_text(m->ballot), m->base, m->end, m->slot, entries);
			break;
		case PAXOS_ACCEPT:
		case PAXOS_CHUNK:
			say("%u>%u %s %s: after %" PRIu64 ":%s (chosen %" PRIu64 ")", m->from, m->to, type_names[m->type],
				ballot_text(m->ballot), m->slot, entries, m->chosen);
			break;
		case PAXOS_ACCEPTED:
		case PAXOS_GAP:
		case PAXOS_PULL:
		case PAXOS_SYNC_PROGRESS:
			say("%u>%u %s %s: through %" PRIu64, m->from, m->to, type_names[m->type], ballot_text(m->ballot),
				m->slot);
			break;
		case PAXOS_CHOSEN:
			say("%u>%u Chosen %s: %" PRIu64, m->from, m->to, ballot_text(m->ballot), m->chosen);
			break;
		case PAXOS_REFUSE:
			say("%u>%u Refuse %s: promised %s", m->from, m->to, ballot_text(m->ballot),
				ballot_text(m->followed));
			break;
		case PAXOS_FORWARD:
			say("%u>%u Forward %s:%s", m->from, m->to, ballot_text(m->ballot), entries);
			break;
		case PAXOS_READ_REPLY:
			say("%u>%u ReadReply: index %" PRIu64, m->from, m->to, m->slot);
			break;
		default:
			say("%u>%u %s %s", m->from, m->to, type_names[m->type], ballot_text(m->ballot));
			break;
	}
}

static bool deliver_one(uint32_t from, uint32_t to)
{
	struct queued *q;

	if (n_queued[from][to] == 0)
		return false;
	q = queues[from][to][0];
	n_queued[from][to]--;
	memmove(&queues[from][to][0], &queues[from][to][1], sizeof(q) * (size_t) n_queued[from][to]);
	if (nodes[to].up && connected[from][to])
	{
		say_message(&q->message);
		if (!paxos_recv(nodes[to].core, &q->message))
			say("node %u refuses it", to);
		drain_writes(&nodes[to]);
	}
	free(q->bytes);
	free(q);
	return true;
}

static void deliver_all(void)
{
	for (bool busy = true; busy;)
	{
		busy = false;
		pump_all();
		for (uint32_t from = 1; from <= n_nodes; from++)
			for (uint32_t to = 1; to <= n_nodes; to++)
				busy |= deliver_one(from, to);
	}
}

static void run(uint64_t ms)
{
	uint64_t until = now_ms + ms;

	deliver_all();
	for (; now_ms < until; now_ms += 5)
	{
		for (uint32_t id = 1; id <= n_nodes; id++)
			if (nodes[id].up)
			{
				paxos_tick(nodes[id].core, now_ms + 5);
				drain_writes(&nodes[id]);
			}
		deliver_all();
	}
}

/* ---------------------------------------------------------------- commands */

static struct paxos_id store_of(uint32_t id)
{
	struct paxos_id store = {{(uint8_t) id, 7}};

	return store;
}

static void start(uint32_t id, const struct paxos_damage *damage)
{
	struct node *node = &nodes[id];
	struct paxos_config config = {.epoch = 1, .n_members = n_nodes};
	struct paxos_options options = {.node_id = id,
									.run = ++node->run,
									.nonce = id * 1000 + node->run,
									.seed = id,
									.election_timeout_ms = 1000,
									.heartbeat_interval_ms = 100,
									.window_bytes = 1 << 20,
									.unapplied_bytes_max = 64 << 20};
	struct paxos_host host = {node, read_entry, assert_failed};
	struct paxos_durable_state state;

	for (uint32_t i = 0; i < n_nodes; i++)
	{
		config.members[i].node_id = i + 1;
		config.members[i].store_id = store_of(i + 1);
	}
	if (damage != NULL && damage->damaged)
		node->durable.end = damage->named_slot; /* set below */
	node->log = node->durable;
	node->durable_id = node->last_id = 0;
	state = (struct paxos_durable_state){.promise = node->log.promise,
										 .accepted = node->log.accepted,
										 .first_slot = 1,
										 .end = node->log.end,
										 .applied =
											 node->applied < node->log.end ? node->applied : node->log.end};
	if (damage != NULL)
		state.damage = *damage;
	node->memory = malloc(paxos_memory_size(&config, &options));
	node->core = paxos_create(node->memory, &config, &options, &host, &state, now_ms);
	node->up = true;
	node->held = false;
	for (uint32_t other = 1; other <= n_nodes; other++)
		if (other != id && nodes[other].up)
		{
			connected[id][other] = connected[other][id] = true;
			paxos_connected(node->core, other);
			paxos_connected(nodes[other].core, id);
		}
}

static void disconnect(uint32_t a, uint32_t b, bool reset)
{
	if (!connected[a][b])
		return;
	connected[a][b] = connected[b][a] = false;
	n_queued[a][b] = n_queued[b][a] = 0;
	if (nodes[a].up)
		paxos_disconnected(nodes[a].core, b, reset);
	if (nodes[b].up)
		paxos_disconnected(nodes[b].core, a, reset);
}

static void crash(uint32_t id)
{
	nodes[id].up = false;
	free(nodes[id].memory);
	for (uint32_t other = 1; other <= n_nodes; other++)
		disconnect(id, other, true);
}

static void put(uint32_t id, const char *text)
{
	struct operation op = {.kind = OPERATION_PUT,
						   .value_kind = VALUE_TEXT,
						   .partition = "default",
						   .partition_length = 7,
						   .key = "k",
						   .key_length = 1,
						   .value = text,
						   .value_length = (uint32_t) strlen(text)};
	size_t size = command_size(0, &op, 1);
	uint8_t *bytes = malloc(size); /* X2: kept until resolved; here for good */

	command_encode(bytes, id, 0, 0, NULL, 0, &op, 1);
	if (!paxos_can_propose(nodes[id].core, (uint32_t) size))
	{
		say("node %u can't take it now: certainly not applied", id);
		return;
	}
	say("node %u: \"%s\" is command %" PRIu64, id, text,
		paxos_propose(nodes[id].core, bytes, (uint32_t) size));
	drain_writes(&nodes[id]);
}

static void show(uint32_t id)
{
	struct paxos_status s;
	char line[400];
	size_t used = 0;

	paxos_status(nodes[id].core, &s);
	for (uint64_t slot = 1; slot <= nodes[id].log.end && used < 300; slot++)
	{
		struct paxos_entry e = {nodes[id].log.slots[slot].bytes, nodes[id].log.slots[slot].length};

		used += (size_t) snprintf(line + used, sizeof(line) - used, " %s", entry_text(&e));
	}
	line[used] = 0;
	say("node %u %s, promise %s, accepted %s, chosen %" PRIu64 ":%s", id, role_names[s.role],
		ballot_text(nodes[id].log.promise), ballot_text(nodes[id].log.accepted), s.chosen, line);
}

static void set_cut(const char *arguments, bool value)
{
	unsigned a, b;

	if (sscanf(arguments, "%u>%u", &a, &b) == 2)
		cut[a][b] = value;
	else if (sscanf(arguments, "%u %u", &a, &b) == 2)
		cut[a][b] = cut[b][a] = value;
	else
		memset(cut, 0, sizeof(cut));
}

static void restart(const char *arguments)
{
	unsigned id;
	unsigned long long intact = 0, round = 0, slot = 0, lowest = 0;
	char doubtful[16] = "";
	int n = sscanf(arguments, "%u damaged %llu %llu %llu %llu %15s", &id, &intact, &round, &slot, &lowest,
				   doubtful);
	struct paxos_damage damage = {0};

	if (n >= 5)
	{
		damage = (struct paxos_damage){.damaged = true,
									   .doubtful = n == 6,
									   .named_ballot = {round, 0, nodes[id].durable.accepted.node_id},
									   .named_slot = intact,
									   .lowest_written = lowest};
		start(id, &damage);
		return;
	}
	start(id, NULL);
}

static void cluster(uint32_t n)
{
	memset(nodes, 0, sizeof(nodes));
	memset(n_queued, 0, sizeof(n_queued));
	memset(cut, 0, sizeof(cut));
	memset(connected, 0, sizeof(connected));
	now_ms = 1000;
	n_nodes = n;
	for (uint32_t id = 1; id <= n; id++)
		start(id, NULL);
}

static bool command_with_node(const char *word, uint32_t a, const char *arguments)
{
	const char *rest = strchr(arguments, ' ');

	rest = rest == NULL ? "" : rest + 1;
	if (strcmp(word, "hold") == 0)
		nodes[a].held = true;
	else if (strcmp(word, "sync") == 0)
	{
		nodes[a].held = false;
		pump(a);
	}
	else if (strcmp(word, "put") == 0)
		put(a, rest);
	else if (strcmp(word, "give-up") == 0)
		paxos_abandon(nodes[a].core, strtoull(rest, NULL, 10));
	else if (strcmp(word, "read") == 0 || strcmp(word, "leader-read") == 0)
		paxos_read(nodes[a].core, word[0] == 'l');
	else if (strcmp(word, "crash") == 0)
		crash(a);
	else if (strcmp(word, "restart") == 0)
		restart(arguments);
	else if (strcmp(word, "accepting") == 0)
		paxos_set_accepting(nodes[a].core, strcmp(rest, "yes") == 0);
	else if (strcmp(word, "show") == 0)
		show(a);
	else
		return false;
	return true;
}

static bool command(const char *line)
{
	char word[32];
	int used = 0;
	unsigned a = 0, b = 0;
	const char *arguments;

	if (sscanf(line, "%31s %n", word, &used) < 1)
		return false;
	arguments = line + used;
	a = (unsigned) strtoul(arguments, NULL, 10);
	if (strcmp(word, "cluster") == 0)
		cluster(a);
	else if (strcmp(word, "run") == 0)
		run(a);
	else if (strcmp(word, "settle") == 0)
	{
		run(a);
		output_length = 0;
	}
	else if (strcmp(word, "deliver") == 0 && sscanf(arguments, "%u>%u", &a, &b) == 2)
	{
		pump_all();
		while (deliver_one(a, b))
			pump(b);
	}
	else if (strcmp(word, "deliver") == 0)
		deliver_all();
	else if (strcmp(word, "drop") == 0 && sscanf(arguments, "%u>%u", &a, &b) == 2)
	{
		pump_all();
		n_queued[a][b] = 0;
	}
	else if (strcmp(word, "cut") == 0 || strcmp(word, "heal") == 0)
		set_cut(arguments, word[0] == 'c');
	else if (strcmp(word, "disconnect") == 0 && sscanf(arguments, "%u %u", &a, &b) == 2)
		disconnect(a, b, false);
	else if (strcmp(word, "reconnect") == 0 && sscanf(arguments, "%u %u", &a, &b) == 2)
	{
		connected[a][b] = connected[b][a] = true;
		paxos_connected(nodes[a].core, b);
		paxos_connected(nodes[b].core, a);
	}
	else
		return a >= 1 && a <= MAX_NODES && command_with_node(word, a, arguments);
	return true;
}

/* ---------------------------------------------------------------- files */

/* Plays a story; gives what it should read, malloc'd, and what it reads. */
static char *play(const char *path, char **original)
{
	FILE *f = fopen(path, "r");
	char line[1024];
	char *text = calloc(1, 1);
	size_t length = 0;
	size_t original_length = 0;

	if (f == NULL)
	{
		perror(path);
		exit(2);
	}
	*original = calloc(1, 1);
	while (fgets(line, sizeof(line), f))
	{
		*original = realloc(*original, original_length + strlen(line) + 1);
		original_length += (size_t) sprintf(*original + original_length, "%s", line);
		if (line[0] == ' ')
			continue;
		output_length = 0;
		if (line[0] >= 'a' && line[0] <= 'z')
		{
			line[strcspn(line, "\n")] = 0;
			if (!command(line))
			{
				fprintf(stderr, "%s: unknown command: %s\n", path, line);
				exit(2);
			}
			strcat(line, "\n");
		}
		text = realloc(text, length + strlen(line) + output_length + 1);
		length += (size_t) sprintf(text + length, "%s", line);
		if (output_length > 0)
		{
			memcpy(text + length, output, output_length);
			length += output_length;
			text[length] = 0;
		}
	}
	fclose(f);
	return text;
}

/* Shows the first line that differs. */
static void show_difference(const char *path, const char *expected, const char *got)
{
	int line = 1;

	while (*expected != 0 && *expected == *got)
	{
		const char *e = strchr(expected, '\n'), *g = strchr(got, '\n');

		if (e == NULL || g == NULL || e - expected != g - got ||
			memcmp(expected, got, (size_t) (e - expected)) != 0)
			break;
		expected = e + 1;
		got = g + 1;
		line++;
	}
	printf("# %s:%d\n#   the story says: %.*s\n#   what happened:  %.*s\n", path, line,
		   (int) strcspn(expected, "\n"), expected, (int) strcspn(got, "\n"), got);
}

int main(int argc, char **argv)
{
	bool write = argc > 1 && strcmp(argv[1], "--write") == 0;
	int failed = 0;

	printf("1..%d\n", argc - 1 - write);
	for (int i = 1 + write; i < argc; i++)
	{
		char *original;
		char *text = play(argv[i], &original);
		bool same = strcmp(text, original) == 0;

		if (write && !same)
		{
			FILE *f = fopen(argv[i], "w");

			fputs(text, f);
			fclose(f);
		}
		printf("%s %d - %s\n", same || write ? "ok" : "not ok", i - write, argv[i]);
		if (!same && !write)
		{
			show_difference(argv[i], original, text);
			failed++;
		}
	}
	return failed > 0;
}
