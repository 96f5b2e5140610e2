/*
 * test_transport.c - nodes over real loopback sockets: connecting, lanes, membership, refusals, faults.
 *
 * The clock is the real one; nothing waits longer than it must, and each wait has a limit.
 */
#include "transport/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "free_port.h"
#include "transport/frame.h"
#include "unit.h"

#define MAX_NODES 4
#define LOG_LINES 64

/* What one node's host saw. */
struct host
{
	struct transport *t;
	struct transport_callbacks callbacks;
	unsigned messages;
	unsigned by_type[PAXOS_MESSAGE_TYPES];
	unsigned heartbeats_before_accept;
	unsigned formations;
	unsigned states;
	unsigned connects;
	unsigned disconnects;
	unsigned resets;
	uint64_t last_slot;
	bool in_order;
	uint32_t last_length;
	uint32_t last_sum;
	uint64_t fenced_run;
	unsigned streams_open[TRANSPORT_STREAMS];
	unsigned streams_ended[TRANSPORT_STREAMS];
	char stream_reason[TRANSPORT_ERROR_MAX];
	uint64_t stream_room; /* bytes that it still takes */
	uint64_t stream_bytes;
	bool stream_in_order;
	bool answer;        /* what on_message says */
	bool forms;         /* on_formation makes it a member */
	unsigned too_early; /* messages before their sender was announced */
	unsigned n_lines;
	char lines[LOG_LINES][600];
};

static struct host hosts[MAX_NODES];
static uint16_t ports[MAX_NODES];

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

static uint32_t sum(const uint8_t *bytes, uint32_t length)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i < length; i++)
		s = s * 31 + bytes[i];
	return s;
}

static bool on_message(void *context, const struct paxos_message *m)
{
	struct host *h = context;

	h->messages++;
	h->too_early += h->connects == h->disconnects;
	h->by_type[m->type]++;
	if (m->type == PAXOS_ACCEPT)
	{
		h->in_order = h->in_order && m->slot > h->last_slot;
		h->last_slot = m->slot;
		h->heartbeats_before_accept = h->by_type[PAXOS_HEARTBEAT];
	}
	if (m->n_entries > 0)
	{
		h->last_length = m->entries[m->n_entries - 1].length;
		h->last_sum = sum(m->entries[m->n_entries - 1].bytes, h->last_length);
	}
	if (m->type == PAXOS_FENCE)
		h->fenced_run = m->named_run;
	return h->answer;
}

static struct paxos_config config_of(uint32_t n_nodes);

static bool on_formation(void *context, const struct formation_message *m)
{
	struct host *h = context;
	struct paxos_config config = config_of(2);

	h->formations++;
	if (h->forms)
		transport_set_members(h->t, &config);
	return true;
}

static void on_state(void *context, const struct state_message *m)
{
	((struct host *) context)->states += m->asked == 7;
}

static void on_connected(void *context, uint32_t node_id)
{
	((struct host *) context)->connects++;
}

static void on_disconnected(void *context, uint32_t node_id, bool reset)
{
	((struct host *) context)->disconnects++;
	((struct host *) context)->resets += reset;
}

static uint8_t stream_byte(uint64_t at)
{
	return (uint8_t) (at * 31 + (at >> 13));
}

static void on_stream_open(void *context, enum transport_stream which, uint32_t node_id)
{
	((struct host *) context)->streams_open[which]++;
}

static bool on_stream_bytes(void *context, enum transport_stream which, const uint8_t *bytes, uint32_t length)
{
	struct host *h = context;

	if (length > h->stream_room)
		return false;
	h->stream_room -= length;
	for (uint32_t i = 0; i < length; i++)
		h->stream_in_order = h->stream_in_order && bytes[i] == stream_byte(h->stream_bytes + i);
	h->stream_bytes += length;
	return true;
}

static void on_stream_end(void *context, enum transport_stream which, const char *reason)
{
	struct host *h = context;

	h->streams_ended[which]++;
	snprintf(h->stream_reason, sizeof(h->stream_reason), "%s", reason);
}

static void on_log(void *context, enum transport_level level, const char *text)
{
	struct host *h = context;

	if (h->n_lines < LOG_LINES)
		snprintf(h->lines[h->n_lines++], sizeof(h->lines[0]), "%s", text);
	printf("# node %d: %s\n", (int) (h - hosts) + 1, text);
}

static unsigned lines_with(const struct host *h, const char *words)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->n_lines; i++)
		n += strstr(h->lines[i], words) != NULL;
	return n;
}

/* ---------------------------------------------------------------- the nodes */

static struct paxos_id store_of(uint32_t node_id)
{
	struct paxos_id id = {{0}};

	id.bytes[0] = (uint8_t) node_id;
	return id;
}

static struct transport_options options_of(uint32_t node_id, uint32_t n_nodes)
{
	struct transport_options o = {
		.node_id = node_id, .cluster_name = "fruit", .run = 1, .seed = node_id * 77};

	o.store_id = store_of(node_id);
	o.nonce = node_id;
	o.n_listen = 1;
	snprintf(o.listen[0], sizeof(o.listen[0]), "127.0.0.1:%u", ports[node_id - 1]);
	for (uint32_t i = 1; i <= n_nodes; i++)
	{
		o.peers[o.n_peers].node_id = i;
		snprintf(o.peers[o.n_peers++].address, sizeof(o.peers[0].address), "127.0.0.1:%u", ports[i - 1]);
	}
	o.log = on_log;
	o.log_context = &hosts[node_id - 1];
	return o;
}

static void start(int slot, const struct transport_options *options)
{
	struct host *h = &hosts[slot];
	char error[TRANSPORT_ERROR_MAX] = "";

	memset(h, 0, sizeof(*h));
	h->in_order = h->answer = h->stream_in_order = true;
	h->callbacks =
		(struct transport_callbacks){h,        on_message,     on_formation,    on_connected, on_disconnected,
									 on_state, on_stream_open, on_stream_bytes, on_stream_end};
	h->t = transport_create(options, error);
	if (h->t == NULL)
		printf("# %s\n", error);
}

static void stop(int slot)
{
	transport_destroy(hosts[slot].t);
	hosts[slot].t = NULL;
}

static void stop_all(void)
{
	for (int i = 0; i < MAX_NODES; i++)
		stop(i);
}

static void fresh_ports(void)
{
	for (int i = 0; i < MAX_NODES; i++)
		ports[i] = free_port();
}

static struct paxos_config config_of(uint32_t n_nodes)
{
	struct paxos_config c = {.epoch = 5, .n_members = n_nodes};

	memset(&c.cluster_id, 0x33, sizeof(c.cluster_id));
	for (uint32_t i = 0; i < n_nodes; i++)
	{
		c.members[i].node_id = i + 1;
		c.members[i].store_id = store_of(i + 1);
		snprintf(c.members[i].address, sizeof(c.members[i].address), "127.0.0.1:%u", ports[i]);
	}
	return c;
}

/* Lets all nodes do what they can, once, waiting for at most so long. */
static void turn(uint64_t wait_ms)
{
	struct pollfd fds[MAX_NODES];
	nfds_t n = 0;
	uint64_t until = now_ms() + wait_ms;

	for (int i = 0; i < MAX_NODES; i++)
	{
		if (hosts[i].t == NULL)
			continue;
		fds[n++] = (struct pollfd){.fd = transport_fd(hosts[i].t), .events = POLLIN};
		if (transport_next_deadline(hosts[i].t) < until)
			until = transport_next_deadline(hosts[i].t);
	}
	poll(fds, n, until > now_ms() ? (int) (until - now_ms()) : 0);
	for (int i = 0; i < MAX_NODES; i++)
	{
		if (hosts[i].t != NULL)
			transport_poll(hosts[i].t, now_ms(), &hosts[i].callbacks);
	}
}

static void run_for(uint64_t ms)
{
	uint64_t until = now_ms() + ms;

	while (now_ms() < until)
		turn(until - now_ms());
}

/* Turns until the condition holds; false after ten seconds. */
#define UNTIL(condition)                                                                                     \
	({                                                                                                       \
		uint64_t until_limit = now_ms() + 10000;                                                             \
		while (!(condition) && now_ms() < until_limit)                                                       \
			turn(20);                                                                                        \
		(condition);                                                                                         \
	})

static bool all_connected(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
	{
		for (uint32_t k = 1; k <= n; k++)
		{
			if (k != i + 1 && !transport_connected(hosts[i].t, k))
				return false;
		}
	}
	return true;
}

/* Nodes 1 .. n, connected and formed. */
static void form(uint32_t n, const char *secret)
{
	struct paxos_config config;

	fresh_ports();
	for (uint32_t i = 1; i <= n; i++)
	{
		struct transport_options o = options_of(i, n);

		o.secret = (const uint8_t *) secret;
		o.secret_length = secret != NULL ? (uint32_t) strlen(secret) : 0;
		start((int) i - 1, &o);
	}
	config = config_of(n);
	UNTIL(all_connected(n));
	for (uint32_t i = 0; i < n; i++)
		transport_set_members(hosts[i].t, &config);
	for (uint32_t i = 0; i < n; i++)
		UNTIL(hosts[i].connects == n - 1);
}

static struct paxos_message message_to(uint32_t from, uint32_t to, enum paxos_message_type type)
{
	return (struct paxos_message){.type = type, .from = from, .to = to, .epoch = 5, .run = 1};
}

static bool send_accept(uint32_t from, uint32_t to, uint64_t slot, const uint8_t *bytes, uint32_t length)
{
	struct paxos_message m = message_to(from, to, PAXOS_ACCEPT);
	struct paxos_entry entry = {bytes, length};

	m.slot = slot;
	m.n_entries = 1;
	m.entries = &entry;
	return transport_send(hosts[from - 1].t, &m);
}

static struct transport_peer_status status_of(int slot, uint32_t node_id)
{
	struct transport_status s;

	transport_status(hosts[slot].t, &s);
	for (uint32_t i = 0; i < s.n_peers; i++)
	{
		if (s.peers[i].node_id == node_id)
			return s.peers[i];
	}
	return (struct transport_peer_status){0};
}

/* ---------------------------------------------------------------- stories */

static void three_nodes_speak(void)
{
	static const uint8_t bytes[100] = {1, 2, 3};
	struct state_message state = {.from = 3, .to = 2, .asked = 7};
	uint64_t began = now_ms();

	form(3, "pear");
	ok(all_connected(3), "three nodes with a secret connect");
	ok(now_ms() - began < 1500, "... without waiting for the lower ids to dial");
	ok(hosts[0].connects == 2 && hosts[1].connects == 2 && hosts[2].connects == 2,
	   "each is told of both others, once");
	ok(status_of(0, 3).member && !status_of(0, 3).dialed && status_of(2, 1).dialed, "the higher id dialed");
	ok(send_accept(1, 2, 1, bytes, 100) && send_accept(1, 3, 1, bytes, 100), "an Accept to each");
	transport_flush(hosts[0].t);
	ok(UNTIL(hosts[1].messages == 1 && hosts[2].messages == 1), "arrives");
	ok(hosts[1].last_length == 100 && hosts[1].last_sum == sum(bytes, 100), "as it left");
	for (uint64_t slot = 2; slot <= 5000; slot++)
	{
		send_accept(1, 2, slot, bytes, 100);
		if (slot % 100 == 0)
			transport_flush(hosts[0].t);
	}
	ok(UNTIL(hosts[1].by_type[PAXOS_ACCEPT] == 5000) && hosts[1].in_order, "5,000 arrive in order");
	ok(!send_accept(1, 4, 1, bytes, 100), "a message to a stranger isn't sent");
	ok(transport_send_state(hosts[2].t, &state) && UNTIL(hosts[1].states == 1), "a state message arrives");
	state.from = 1;
	ok(transport_send_state(hosts[2].t, &state) && UNTIL(status_of(1, 3).messages_refused == 1) &&
		   hosts[1].states == 1,
	   "one in another's name is refused");
	stop(2);
	ok(UNTIL(hosts[0].resets == 1 && hosts[1].resets == 1), "the others learn at once that a node died");
	stop_all();
}

/* 64 MB to node 2, heartbeats among it. */
static void large_values(void)
{
	uint8_t *value = malloc(PAXOS_MAX_ENTRY_BYTES);
	struct paxos_message m = message_to(1, 2, PAXOS_HEARTBEAT);

	for (uint32_t i = 0; i < PAXOS_MAX_ENTRY_BYTES; i++)
		value[i] = (uint8_t) (i ^ i >> 8 ^ i >> 16);
	form(2, NULL);
	ok(send_accept(1, 2, 1, value, PAXOS_MAX_ENTRY_BYTES), "the largest entry is sent");
	transport_flush(hosts[0].t);
	/* A heartbeat with each turn until the value is there; all are counted when it arrives. */
	for (int i = 0; i < 100000 && hosts[1].by_type[PAXOS_ACCEPT] == 0; i++)
	{
		transport_send(hosts[0].t, &m);
		turn(1);
	}
	ok(hosts[1].by_type[PAXOS_ACCEPT] == 1 && hosts[1].last_length == PAXOS_MAX_ENTRY_BYTES &&
		   hosts[1].last_sum == sum(value, PAXOS_MAX_ENTRY_BYTES),
	   "and arrives whole");
	printf("# %u heartbeats overtook it\n", hosts[1].heartbeats_before_accept);
	ok(hosts[1].heartbeats_before_accept >= 3, "heartbeats overtake it");
	stop_all();
	free(value);
}

/* Node 2 doesn't read: what is queued for it stays bounded. */
static void bounded_queue(void)
{
	uint8_t *value = calloc(1, 8 << 20);
	unsigned sent = 0;
	unsigned heartbeats = 0;
	struct paxos_message m = message_to(1, 2, PAXOS_HEARTBEAT);

	form(2, NULL);
	for (uint64_t slot = 1; slot <= 20; slot++)
	{
		sent += send_accept(1, 2, slot, value, 8 << 20);
		transport_flush(hosts[0].t);
	}
	ok(sent >= 8 && sent <= 12, "%u messages of 8 MB find room", sent);
	while (heartbeats < 100000 && transport_send(hosts[0].t, &m))
		heartbeats++;
	ok(heartbeats > 100 && heartbeats < 100000, "%u heartbeats find room", heartbeats);
	ok(status_of(0, 2).messages_dropped == 20 - sent + 1 && status_of(0, 2).bytes_queued < 110u << 20,
	   "the rest is dropped and counted");
	ok(UNTIL(hosts[1].by_type[PAXOS_ACCEPT] == sent) && hosts[1].in_order,
	   "what found room arrives, in order");
	stop_all();
	free(value);
}

static void refused_pair(const struct transport_options *a, const struct transport_options *b,
						 const char *words_a, const char *words_b, const char *what)
{
	bool told;

	start(0, a);
	start(1, b);
	told = UNTIL(lines_with(&hosts[0], words_a) > 0 && lines_with(&hosts[1], words_b) > 0);
	ok(told, "%s: both sides say why", what);
	ok(!transport_connected(hosts[0].t, 2) && !transport_connected(hosts[1].t, 1), "... and don't connect");
	run_for(200);
	ok(lines_with(&hosts[0], words_a) == 1 && lines_with(&hosts[1], words_b) == 1, "... and say it once");
	stop_all();
}

static void refusals(void)
{
	struct transport_options a;
	struct transport_options b;

	fresh_ports();
	a = options_of(1, 2);
	b = options_of(2, 2);
	a.secret = b.secret = (const uint8_t *) "pear";
	a.secret_length = 4, b.secret_length = 3;
	refused_pair(&a, &b, "has another secret", "the secrets differ", "wrong secret");
	b.secret = NULL;
	refused_pair(&a, &b, "has no secret", "a secret is required", "a secret on one side");
	a.secret = NULL;
	strcpy(b.cluster_name, "vegetables");
	refused_pair(&a, &b, "another paxoskv.cluster_name", "cluster names differ", "another cluster's name");
	b = options_of(2, 2);
	a.n_peers = 1;
	start(0, &a);
	start(1, &b);
	ok(UNTIL(lines_with(&hosts[0], "not among this node's peers") > 0 &&
			 lines_with(&hosts[1], "not among the peers") > 0),
	   "a node that isn't among the peers is told so");
	stop_all();
	/* Node 3 answers where node 1 should be. */
	a = options_of(1, 3);
	a.node_id = 3;
	b = options_of(2, 3);
	start(0, &a);
	start(1, &b);
	ok(UNTIL(lines_with(&hosts[1], "another node was expected") + lines_with(&hosts[1], "is not the node") >
			 0),
	   "another node at the address is told from the right one");
	stop_all();
}

/* F1 */
static void outsiders(void)
{
	struct paxos_config config;
	struct paxos_message m = message_to(1, 2, PAXOS_HEARTBEAT);
	struct formation_message f = {.type = FORMATION_HELLO, .from = 1, .to = 2};
	struct state_message state = {.from = 2, .to = 1, .asked = 7};
	struct transport_options b;

	form(2, NULL);
	config = config_of(2);
	f.store_id = store_of(1);
	stop(1);
	b = options_of(2, 2);
	memset(&b.store_id, 0x77, sizeof(b.store_id));
	start(1, &b);
	ok(UNTIL(transport_connected(hosts[0].t, 2) && transport_connected(hosts[1].t, 1)),
	   "a wiped node connects");
	ok(hosts[0].connects == 1 && hosts[0].disconnects == 1, "... but not as a member");
	ok(!transport_send(hosts[0].t, &m), "it gets no messages");
	ok(transport_send_formation(hosts[0].t, &f) && UNTIL(hosts[1].formations == 1),
	   "it gets formation's, which tell it");
	ok(strstr(status_of(0, 2).last_error, "outsider") != NULL && lines_with(&hosts[0], "outsider") == 1,
	   "status and log say that it is an outsider");
	f.from = 2, f.to = 1;
	memset(&f.store_id, 0x77, sizeof(f.store_id));
	ok(transport_send_formation(hosts[1].t, &f) && UNTIL(hosts[0].formations == 1),
	   "its own formation messages arrive");
	/* It claims to be a member. */
	transport_set_members(hosts[1].t, &config);
	run_for(50);
	m = message_to(2, 1, PAXOS_HEARTBEAT);
	transport_send(hosts[1].t, &m);
	ok(UNTIL(status_of(0, 2).messages_refused == 1) && hosts[0].messages == 0,
	   "its other messages are refused");
	transport_send_state(hosts[1].t, &state);
	ok(UNTIL(status_of(0, 2).messages_refused == 2) && hosts[0].states == 0, "those of its state too");
	/* The member comes back while the outsider is connected: it takes its place. */
	b.store_id = store_of(2);
	b.run = 2;
	start(2, &b);
	ok(UNTIL(hosts[0].connects == 2), "the member takes the outsider's place");
	run_for(300);
	ok(hosts[0].disconnects == 1 && status_of(0, 2).member, "which the outsider doesn't take back");
	stop_all();
}

/* A message of the cluster right behind the formation message that makes its reader a member. */
static void formed_by_a_callback(void)
{
	struct transport_options o;
	struct paxos_config config;
	struct paxos_message m = message_to(1, 2, PAXOS_HEARTBEAT);
	struct formation_message f = {.type = FORMATION_ACTIVE, .from = 1, .to = 2};

	fresh_ports();
	for (uint32_t i = 1; i <= 2; i++)
	{
		o = options_of(i, 2);
		start((int) i - 1, &o);
	}
	f.store_id = store_of(1);
	config = config_of(2);
	UNTIL(all_connected(2));
	hosts[1].forms = true;
	transport_set_members(hosts[0].t, &config);
	ok(transport_send_formation(hosts[0].t, &f) && transport_send(hosts[0].t, &m),
	   "a formation message and another");
	transport_flush(hosts[0].t);
	ok(UNTIL(hosts[1].messages == 1), "both are taken");
	is_u64(hosts[1].too_early, 0, "the sender was announced in between");
	stop_all();
}

/* The connection is replaced by one of a later run without an end of the first being seen. */
static void replaced(void)
{
	struct transport *lost;
	struct transport_options b;
	struct paxos_config config;

	form(2, NULL);
	config = config_of(2);
	lost = hosts[1].t;
	b = options_of(2, 2);
	b.n_listen = 0;
	b.run = 2;
	start(1, &b);
	transport_set_members(hosts[1].t, &config);
	ok(UNTIL(hosts[0].connects == 2) && hosts[0].disconnects == 1 && hosts[0].resets == 1,
	   "a later run's connection takes the old one's place, which is told as a reset");
	transport_destroy(lost);
	run_for(100);
	ok(hosts[0].disconnects == 1, "the old one's end changes nothing");
	stop_all();
}

/* X1 */
static void runs(void)
{
	struct transport_options b;
	struct paxos_config config;

	form(2, "pear");
	config = config_of(2);
	b = options_of(2, 2);
	b.secret = (const uint8_t *) "pear";
	b.secret_length = 4;
	b.run = 2;
	stop(1);
	start(1, &b);
	transport_set_members(hosts[1].t, &config);
	ok(UNTIL(hosts[0].connects == 2 && hosts[1].connects == 1), "a node comes back with a later run");
	is_u64(status_of(0, 2).run, 2, "which is the one met");
	/* The same directory's copy, at the run before. */
	b.run = 1;
	start(2, &b);
	transport_set_members(hosts[2].t, &config);
	ok(UNTIL(hosts[2].by_type[PAXOS_FENCE] > 0 && hosts[1].by_type[PAXOS_FENCE] > 0),
	   "two copies are both fenced");
	ok(hosts[1].fenced_run == 2 && hosts[2].fenced_run == 1, "each by its own run");
	ok(status_of(0, 2).connected && status_of(0, 2).run == 2, "the lower run does not replace the higher");
	stop(2);
	b.run = 2;
	b.nonce = 99;
	hosts[1].by_type[PAXOS_FENCE] = 0;
	start(2, &b);
	transport_set_members(hosts[2].t, &config);
	ok(UNTIL(hosts[2].by_type[PAXOS_FENCE] > 0 && hosts[1].by_type[PAXOS_FENCE] > 0),
	   "and so are two of one run");
	stop_all();
}

static void faults(void)
{
	struct transport_faults f = {.drop_rate = 1.0};
	static const uint8_t bytes[100];
	uint64_t began;

	form(2, NULL);
	transport_set_faults(hosts[0].t, &f);
	ok(!send_accept(1, 2, 1, bytes, 100), "drop_rate 1 drops");
	f = (struct transport_faults){.drop_rate = 0.5};
	transport_set_faults(hosts[0].t, &f);
	for (uint64_t slot = 1; slot <= 1000; slot++)
		send_accept(1, 2, slot, bytes, 100);
	transport_flush(hosts[0].t);
	run_for(100);
	ok(hosts[1].messages > 400 && hosts[1].messages < 600, "drop_rate 0.5 drops about half: %u",
	   hosts[1].messages);
	f = (struct transport_faults){.delay_ms = 200};
	transport_set_faults(hosts[0].t, &f);
	hosts[1].messages = 0;
	transport_poll(hosts[0].t, now_ms(), &hosts[0].callbacks);
	began = now_ms();
	for (uint64_t slot = 1001; slot <= 1010; slot++)
		send_accept(1, 2, slot, bytes, 100);
	transport_flush(hosts[0].t);
	ok(UNTIL(hosts[1].messages == 10) && now_ms() - began >= 195 && now_ms() - began < 2000 &&
		   hosts[1].in_order,
	   "delay delays, in order");
	f = (struct transport_faults){.fail_rate = 1.0};
	transport_set_faults(hosts[0].t, &(struct transport_faults){0});
	transport_set_faults(hosts[1].t, &f);
	send_accept(1, 2, 1011, bytes, 100);
	transport_flush(hosts[0].t);
	run_for(50);
	is_u64(hosts[1].messages, 10, "fail_rate 1 ignores Accepts");
	stop_all();
}

static int dial_raw(uint16_t port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (connect(fd, (struct sockaddr *) &in, sizeof(in)) != 0 && errno != EINPROGRESS)
		abort();
	return fd;
}

/* Whether the other side has closed it. */
static bool closed(int fd)
{
	char bytes[1024];
	ssize_t got;

	do
		got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (got > 0);
	return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* Garbage, half-open and oversized bytes at the port, while two nodes speak. */
static void strangers(void)
{
	uint8_t header[FRAME_HEADER_BYTES] = {
		FRAME_MAGIC, FRAME_VERSION, FRAME_BULK | FRAME_FIRST, 0, 255, 255, 255, 127};
	int fds[100];
	unsigned alive = 0;
	struct transport_status s;
	struct paxos_message m = message_to(1, 2, PAXOS_HEARTBEAT);

	form(2, NULL);
	fds[0] = dial_raw(ports[0]);
	run_for(20);
	ok(send(fds[0], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18 && UNTIL(closed(fds[0])),
	   "garbage is cut off");
	close(fds[0]);
	fds[0] = dial_raw(ports[0]);
	run_for(20);
	ok(send(fds[0], header, sizeof(header), MSG_NOSIGNAL) == sizeof(header) && UNTIL(closed(fds[0])),
	   "a frame of 2 GB is cut off at its header");
	close(fds[0]);
	ok(lines_with(&hosts[0], "no handshake of a node") == 1, "one line in the log for both");
	for (int i = 0; i < 100; i++)
	{
		fds[i] = dial_raw(ports[0]);
		turn(5);
		if (send(fds[i], header, 1, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			printf("# %s\n", strerror(errno));
	}
	run_for(50);
	transport_status(hosts[0].t, &s);
	ok(s.unauthenticated <= 32, "of 100 half-open connections %u are kept", s.unauthenticated);
	for (int i = 0; i < 100; i++)
		alive += !closed(fds[i]);
	ok(alive == s.unauthenticated, "the others are closed");
	transport_send(hosts[0].t, &m);
	transport_flush(hosts[0].t);
	ok(UNTIL(hosts[1].messages == 1), "a heartbeat passes all the while");
	stop(1);
	m = message_to(1, 2, PAXOS_HEARTBEAT);
	struct transport_options b = options_of(2, 2);

	b.run = 2;
	start(1, &b);
	ok(UNTIL(transport_connected(hosts[0].t, 2)), "and a peer gets in");
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	stop_all();
}

static void timeouts(void)
{
	struct transport_options a;
	struct transport_options b;
	struct transport_status s;
	int fd;

	fresh_ports();
	a = options_of(1, 2);
	b = options_of(2, 2);
	a.handshake_timeout_ms = 200;
	a.idle_timeout_ms = 400;
	b.idle_timeout_ms = 400;
	start(0, &a);
	run_for(20);
	fd = dial_raw(ports[0]);
	ok(UNTIL(closed(fd)), "a silent stranger is closed");
	close(fd);
	transport_status(hosts[0].t, &s);
	is_u64(s.unauthenticated, 0, "and not counted any longer");
	start(1, &b);
	ok(UNTIL(transport_connected(hosts[0].t, 2) && transport_connected(hosts[1].t, 1)), "a peer connects");
	run_for(1000);
	ok(transport_connected(hosts[0].t, 2) && status_of(0, 2).connections == 1,
	   "pings keep an idle connection");
	/* Node 2 stands still: only node 1 turns. */
	struct transport *frozen = hosts[1].t;

	hosts[1].t = NULL;
	ok(UNTIL(!transport_connected(hosts[0].t, 2)), "a peer that is silent for too long is given up");
	ok(strstr(status_of(0, 2).last_error, "silent") != NULL, "status says why: %s",
	   status_of(0, 2).last_error);
	hosts[1].t = frozen;
	ok(UNTIL(transport_connected(hosts[0].t, 2) && transport_connected(hosts[1].t, 1)),
	   "and comes back when it wakes");
	stop_all();
}

/* Only the lower id knows the other's address. */
static void lower_dials(void)
{
	struct transport_options a;
	struct transport_options b;

	fresh_ports();
	a = options_of(1, 2);
	b = options_of(2, 2);
	snprintf(b.peers[0].address, sizeof(b.peers[0].address), "127.0.0.1:%u", free_port());
	start(0, &a);
	start(1, &b);
	ok(UNTIL(transport_connected(hosts[0].t, 2) && transport_connected(hosts[1].t, 1)),
	   "the lower id dials when the higher one can't");
	ok(strstr(status_of(1, 1).last_error, "could not connect") != NULL, "status keeps why: %s",
	   status_of(1, 1).last_error);
	run_for(500);
	is_u64(status_of(0, 2).connections, 1, "and that connection stays");
	stop_all();
}

static void names(void)
{
	struct transport_options a;
	struct transport_options b;
	struct transport_status s;

	fresh_ports();
	a = options_of(1, 2);
	b = options_of(2, 2);
	snprintf(a.listen[0], sizeof(a.listen[0]), "localhost:%u", ports[0]);
	snprintf(b.peers[0].address, sizeof(b.peers[0].address), "localhost:%u", ports[0]);
	snprintf(a.peers[1].address, sizeof(a.peers[1].address), "no-such-host.invalid:%u", ports[1]);
	start(0, &a);
	start(1, &b);
	ok(UNTIL(transport_connected(hosts[0].t, 2) && transport_connected(hosts[1].t, 1)), "names are resolved");
	stop(1);
	ok(UNTIL(strstr(status_of(0, 2).last_error, "could not resolve") != NULL),
	   "one that isn't known is said");
	printf("# %s\n", status_of(0, 2).last_error);
	transport_status(hosts[0].t, &s);
	ok(s.n_listening >= 1 && s.listen_error[0] == '\0', "listening at a name");
	stop_all();
}

static void listening(void)
{
	struct transport_options a;
	char error[TRANSPORT_ERROR_MAX];
	struct transport_status s;
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool v6 = fd >= 0 && bind(fd, (struct sockaddr *) &in6, sizeof(in6)) == 0;

	fresh_ports();
	a = options_of(1, 1);
	snprintf(a.listen[0], sizeof(a.listen[0]), "0.0.0.0:%u", ports[0]);
	ok(transport_create(&a, error) == NULL && strstr(error, "secret") != NULL,
	   "beyond loopback a secret is needed");
	a.secret = (const uint8_t *) "pear";
	a.secret_length = 4;
	snprintf(a.listen[0], sizeof(a.listen[0]), "*:%u", ports[0]);
	start(0, &a);
	ok(UNTIL((transport_status(hosts[0].t, &s), s.n_listening >= 1)), "with one, everywhere");
	a = options_of(2, 1);
	snprintf(a.listen[0], sizeof(a.listen[0]), "127.0.0.1:%u", ports[0]);
	start(1, &a);
	ok(UNTIL(lines_with(&hosts[1], "could not listen") == 1), "a taken port is said");
	stop(0);
	ok(UNTIL((transport_status(hosts[1].t, &s), s.n_listening == 1 && s.listen_error[0] == 0)),
	   "and taken once it is free");
	stop_all();
	if (v6)
	{
		struct transport_options b = options_of(2, 2);

		a = options_of(1, 2);
		snprintf(a.listen[0], sizeof(a.listen[0]), "[::1]:%u", ports[0]);
		snprintf(b.peers[0].address, sizeof(b.peers[0].address), "[::1]:%u", ports[0]);
		start(0, &a);
		start(1, &b);
		ok(UNTIL(transport_connected(hosts[0].t, 2)), "IPv6");
		stop_all();
	}
	else
		ok(true, "IPv6 # SKIP this machine has none");
	close(fd);
}

static void impossible_messages(void)
{
	struct paxos_message m = message_to(1, 2, PAXOS_PROMISE);
	struct paxos_config other;

	form(2, NULL);
	hosts[1].answer = false;
	transport_send(hosts[0].t, &m);
	transport_flush(hosts[0].t);
	ok(UNTIL(hosts[1].disconnects == 1 && hosts[0].disconnects == 1),
	   "who sends the impossible is disconnected");
	hosts[1].answer = true;
	ok(UNTIL(hosts[1].connects == 2 && hosts[0].connects == 2), "and may try again");
	m.from = 3;
	transport_send(hosts[0].t, &m);
	transport_flush(hosts[0].t);
	ok(UNTIL(status_of(1, 1).messages_refused == 2) && hosts[1].messages == 1, "a false sender is refused");
	other = config_of(2);
	memset(&other.cluster_id, 0x44, sizeof(other.cluster_id));
	transport_set_members(hosts[0].t, &other);
	m.from = 1;
	transport_send(hosts[0].t, &m);
	run_for(100);
	ok(hosts[1].messages == 1, "a message of another cluster is refused");
	transport_set_peers(hosts[1].t, NULL, 0);
	ok(UNTIL(hosts[1].disconnects == 2) && !transport_connected(hosts[1].t, 1),
	   "who is no peer any longer is disconnected");
	stop_all();
}

static void addresses(void)
{
	static const char *const good[] = {"a:1", "127.0.0.1:65535", "[::1]:7001", "node-1.example:5"};
	static const char *const bad[] = {"",      "a",     "a:",     ":1",    "a:0",   "a:65536",
									  "a:1x",  "[::1]", "[::1]7", "::1:7", "[a]:1", "a b:1",
									  "a,b:1", "*:1",   "[]:1",   "a:-1",  "a: 1"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(transport_address_valid(good[i], false), "%s is an address", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!transport_address_valid(bad[i], false), "\"%s\" is none", bad[i]);
	ok(transport_address_valid("*:1", true), "\"*:1\" is one to listen at");
	ok(transport_is_loopback("127.0.0.1:1") && transport_is_loopback("127.9.9.9:1") &&
		   transport_is_loopback("[::1]:1") && transport_is_loopback("localhost:1") &&
		   transport_is_loopback("[::ffff:127.0.0.1]:1"),
	   "loopback");
	ok(!transport_is_loopback("0.0.0.0:1") && !transport_is_loopback("*:1") &&
		   !transport_is_loopback("[::]:1") && !transport_is_loopback("10.0.0.1:1") &&
		   !transport_is_loopback("localhost.example:1"),
	   "not loopback");
}

/* ---------------------------------------------------------------- streams */

/* Gives node "from" as many bytes as its stream takes.  Returns where the next ones begin. */
static uint64_t feed(int from, uint64_t at, uint64_t end)
{
	static uint8_t piece[TRANSPORT_STREAM_PIECE];

	while (at < end && transport_stream_has_room(hosts[from].t, STREAM_ACCEPTED))
	{
		uint32_t n = end - at < sizeof(piece) ? (uint32_t) (end - at) : (uint32_t) sizeof(piece);

		for (uint32_t i = 0; i < n; i++)
			piece[i] = stream_byte(at + i);
		if (!transport_stream_send(hosts[from].t, STREAM_ACCEPTED, piece, n))
			break;
		at += n;
	}
	transport_flush(hosts[from].t);
	return at;
}

/* Node 3 takes eight megabytes of node 1, a little at a time; what is queued at node 1 stays bounded. */
static void stream_bytes(void)
{
	const uint64_t end = 8u << 20;
	uint64_t at = 0;
	uint64_t stalled;

	ok(transport_stream_dial(hosts[2].t, 1), "node 3 dials a stream to node 1");
	ok(!transport_stream_dial(hosts[2].t, 2), "and no second one");
	ok(UNTIL(hosts[2].streams_open[STREAM_DIALED] == 1 && hosts[0].streams_open[STREAM_ACCEPTED] == 1),
	   "both sides have it");
	for (int i = 0; i < 200; i++)
	{
		at = feed(0, at, end);
		turn(1);
	}
	stalled = at;
	is_u64(hosts[2].stream_bytes, 0, "a host without room is given nothing");
	ok(stalled < end, "so that the sender is held back");
	ok(send_accept(1, 3, 900, (const uint8_t *) "m", 1) && UNTIL(hosts[2].last_slot == 900),
	   "messages pass meanwhile");
	while (hosts[2].stream_bytes < end && hosts[2].stream_in_order)
	{
		uint64_t before = hosts[2].stream_bytes;

		hosts[2].stream_room = 100000;
		transport_stream_resume(hosts[2].t, STREAM_DIALED);
		if (!UNTIL((at = feed(0, at, end), hosts[2].stream_bytes > before)))
			break;
	}
	is_u64(hosts[2].stream_bytes, end, "all of it comes");
	ok(hosts[2].stream_in_order, "as it was sent");
	ok(transport_stream_is_sent(hosts[0].t, STREAM_ACCEPTED), "nothing is left");
}

/* A node sends one stream, and receives one, at a time. */
static void stream_ends(void)
{
	unsigned connects = hosts[0].connects;

	ok(transport_stream_dial(hosts[1].t, 1) && UNTIL(hosts[1].streams_ended[STREAM_DIALED] == 1),
	   "a second receiver is turned away");
	ok(strstr(hosts[1].stream_reason, "being sent to another node") != NULL, "and told why");
	transport_stream_close(hosts[2].t, STREAM_DIALED);
	ok(UNTIL(hosts[0].streams_ended[STREAM_ACCEPTED] == 1), "the sender hears of the end");
	is_u64(hosts[2].streams_ended[STREAM_DIALED], 0, "who ended it does not");
	ok(transport_stream_dial(hosts[1].t, 1) && UNTIL(hosts[1].streams_open[STREAM_DIALED] == 1),
	   "then another may have one");
	ok(transport_stream_dial(hosts[0].t, 2) && UNTIL(hosts[1].streams_open[STREAM_ACCEPTED] == 1),
	   "also each of the other");
	transport_stream_close(hosts[0].t, STREAM_ACCEPTED);
	ok(UNTIL(hosts[1].streams_ended[STREAM_DIALED] == 2), "the receiver hears of the sender's end");
	is_u64(hosts[0].connects, connects, "no connection of messages came");
	is_u64(hosts[0].disconnects + hosts[1].disconnects + hosts[2].disconnects, 0, "or went");
}

static void streams(void)
{
	form(3, "pear");
	ok(!transport_stream_dial(hosts[0].t, 7), "nobody is dialed who is no member");
	stream_bytes();
	stream_ends();
	transport_stream_close(hosts[0].t, STREAM_DIALED);
	ok(UNTIL(hosts[1].streams_ended[STREAM_ACCEPTED] == 1), "node 2 sends no more");
	ok(transport_stream_dial(hosts[2].t, 2) && UNTIL(hosts[1].streams_open[STREAM_ACCEPTED] == 2), "dialed");
	stop(2);
	ok(UNTIL(hosts[1].streams_ended[STREAM_ACCEPTED] == 2), "a process that dies ends its stream");
	hosts[1].callbacks.on_stream_open = NULL;
	ok(transport_stream_dial(hosts[0].t, 2) && UNTIL(hosts[0].streams_ended[STREAM_DIALED] == 1),
	   "a host that knows of none accepts none");
	stop_all();
	/* Not yet members. */
	fresh_ports();
	for (uint32_t i = 1; i <= 2; i++)
	{
		struct transport_options o = options_of(i, 2);

		start((int) i - 1, &o);
	}
	ok(UNTIL(all_connected(2)), "connected");
	ok(!transport_stream_dial(hosts[0].t, 2), "before formation there are no streams");
	stop_all();
}

int main(void)
{
	addresses();
	three_nodes_speak();
	large_values();
	bounded_queue();
	refusals();
	outsiders();
	formed_by_a_callback();
	replaced();
	runs();
	faults();
	strangers();
	timeouts();
	lower_dials();
	names();
	listening();
	impossible_messages();
	streams();
	return done();
}
