/*
 * net.c - connections between nodes, and what becomes of the messages on them.
 *
 * A connection of a pair has a generation; each end believes in one or in none, and learns of a loss at
 * its own time.  Within a connection messages come in order, and once one is lost nothing behind it comes;
 * in a lossy world they are dropped, doubled and reordered one by one besides.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

const char *message_name(enum paxos_message_type type)
{
	static const char *const names[PAXOS_MESSAGE_TYPES] = {
		"NONE",          "HEARTBEAT",  "HEARTBEAT_REPLY", "PREPARE",
		"PROMISE",       "PULL",       "CHUNK",           "SYNC",
		"SYNC_PROGRESS", "ACCEPT",     "ACCEPTED",        "GAP",
		"CHOSEN",        "REFUSE",     "FORWARD",         "FORWARD_REPLY",
		"READ_REQUEST",  "READ_REPLY", "READ_ROUND",      "READ_ROUND_REPLY",
		"FENCE",         "TRIMMED",    "REPAIR_ASK",      "REPAIR",
	};

	return (unsigned) type < PAXOS_MESSAGE_TYPES ? names[type] : "UNKNOWN";
}

/* ---------------------------------------------------------------- packets */

static struct packet *copy_message(const struct paxos_message *message)
{
	size_t bytes = 0;
	struct packet *packet;
	uint8_t *next;

	for (uint32_t i = 0; i < message->n_entries; i++)
		bytes += message->entries[i].length;
	packet = calloc(1, sizeof(*packet) + message->n_entries * sizeof(struct paxos_entry) + bytes);
	packet->message = *message;
	packet->message.entries = packet->entries;
	next = (uint8_t *) (packet->entries + message->n_entries);
	for (uint32_t i = 0; i < message->n_entries; i++)
	{
		memcpy(next, message->entries[i].bytes, message->entries[i].length);
		packet->entries[i].bytes = next;
		packet->entries[i].length = message->entries[i].length;
		next += message->entries[i].length;
	}
	return packet;
}

static struct packet *copy_formation(const struct formation_message *message)
{
	struct packet *packet = calloc(1, sizeof(*packet));

	packet->formation = true;
	packet->formation_message = malloc(sizeof(*message));
	*packet->formation_message = *message;
	return packet;
}

void net_free_packet(struct packet *packet)
{
	free(packet->formation_message);
	free(packet);
}

/* ---------------------------------------------------------------- sending */

static void drop(struct world *w, struct packet *packet, struct direction *direction, const char *why)
{
	if (!packet->formation && packet->message.type > PAXOS_HEARTBEAT_REPLY)
		TRACE(&w->trace, "net n%u > n%u %s lost: %s", packet->from, packet->to,
			  TRACE_STRING(message_name(packet->message.type)), TRACE_STRING(why));
	if (direction != NULL && direction->poisoned != packet->generation)
	{
		direction->poisoned = packet->generation;
		/* The ends find out by and by. */
		net_reset_pair(w, packet->from, packet->to);
	}
	net_free_packet(packet);
}

static sim_time delivery_delay(struct world *w)
{
	struct network *net = &w->network;
	sim_time delay = rng_skewed(&net->rng, 20, w->config.delay_us + 20) + net->slow_us;

	if (w->config.lossy && w->phase <= PHASE_CHAOS && rng_chance(&net->rng, w->config.late))
		delay += rng_below(&net->rng, w->config.election_timeout_ms * SIM_MS * 2);
	return delay;
}

/* As the transport: one lane for what is large, one for all else. */
static enum lane lane_of(const struct packet *packet)
{
	enum paxos_message_type type = packet->message.type;

	if (packet->formation)
		return LANE_CONTROL;
	return type == PAXOS_ACCEPT || type == PAXOS_SYNC || type == PAXOS_CHUNK || type == PAXOS_FORWARD ||
				   type == PAXOS_REPAIR
			   ? LANE_BULK
			   : LANE_CONTROL;
}

/* What was sent earlier in its lane comes earlier; what is small overtakes what is large, never the reverse. */
static sim_time in_order(struct world *w, const struct packet *packet, struct direction *direction,
						 sim_time delay)
{
	enum lane lane = lane_of(packet);
	sim_time after = direction->last_delivery[LANE_CONTROL];

	if (lane == LANE_BULK && direction->last_delivery[LANE_BULK] > after)
		after = direction->last_delivery[LANE_BULK];
	if (w->now + delay <= after)
		delay = after - w->now + 1;
	direction->last_delivery[lane] = w->now + delay;
	return delay;
}

/* A thin link: a message takes its time, and so has what comes behind it in its lane. */
static sim_time transmission(struct world *w, const struct packet *packet, struct direction *direction)
{
	sim_time *busy_until = &direction->busy_until[lane_of(packet)];
	uint64_t bytes = 100;

	if (direction->byte_ns == 0)
		return 0;
	for (uint32_t i = 0; i < packet->message.n_entries; i++)
		bytes += packet->message.entries[i].length;
	if (*busy_until < w->now)
		*busy_until = w->now;
	*busy_until += bytes * direction->byte_ns / 1000;
	return *busy_until - w->now;
}

static void send_once(struct world *w, struct packet *packet, struct direction *direction)
{
	sim_time delay = delivery_delay(w) + direction->slow_us + transmission(w, packet, direction);

	if (!w->config.lossy)
		delay = in_order(w, packet, direction, delay);
	world_schedule(w, delay, (struct event){.kind = EVENT_DELIVER, .node = packet->to, .data = packet});
}

/* The machine that a node id means to this one: the one it is connected with. */
static uint32_t machine_of(const struct world *w, uint32_t from, uint32_t node_id)
{
	for (uint32_t i = w->config.n_nodes + 1; i <= w->n_machines; i++)
		if (w->nodes[i].node_id == node_id && w->network.directions[from][i].generation != 0)
			return i;
	return node_id;
}

static void send_packet(struct world *w, uint32_t from, uint32_t to, struct packet *packet)
{
	struct network *net = &w->network;
	bool chaos = w->phase == PHASE_CHAOS;
	struct direction *direction;

	packet->from = from;
	packet->to = machine_of(w, from, to);
	direction = &net->directions[packet->from][packet->to];

	net->sent++;
	packet->generation = direction->generation;
	if (direction->generation == 0)
		drop(w, packet, NULL, "not connected");
	else if (direction->poisoned == direction->generation)
		drop(w, packet, NULL, "connection broken");
	else if (direction->cut)
		drop(w, packet, w->config.lossy ? NULL : direction, "link cut");
	else if (chaos && rng_chance(&net->rng, w->config.drop))
		drop(w, packet, NULL, "dropped");
	else
	{
		if (!packet->formation && rng_chance(&net->rng, w->config.duplicate))
		{
			struct packet *copy = copy_message(&packet->message);

			copy->from = packet->from;
			copy->to = packet->to;
			copy->generation = packet->generation;
			send_once(w, copy, direction);
		}
		send_once(w, packet, direction);
	}
}

void net_send_message(struct world *w, uint32_t from, const struct paxos_message *m)
{
	if (m->type > PAXOS_HEARTBEAT_REPLY)
		TRACE(&w->trace, "n%u > n%u %s ballot %b slot %u +%u end %u chosen %u seq %u", from, m->to,
			  TRACE_STRING(message_name(m->type)), TRACE_BALLOT(m->ballot), m->slot, m->n_entries, m->end,
			  m->chosen, m->sequence);
	else
		TRACE(&w->trace, "n%u > n%u %s own %b follows %b content %u accepting %u ready %u seq %u", from,
			  m->to, TRACE_STRING(message_name(m->type)), TRACE_BALLOT(m->ballot), TRACE_BALLOT(m->followed),
			  m->content, m->accepting, m->ready, m->sequence);
	send_packet(w, from, m->to, copy_message(m));
	if (m->type == PAXOS_PULL)
		faults_pulled(w, m->to);
}

void net_send_formation(struct world *w, uint32_t from, const struct formation_message *message)
{
	TRACE(&w->trace, "n%u > n%u formation message %u, %u acknowledgements", from, message->to, message->type,
		  message->n_acks);
	send_packet(w, from, message->to, copy_formation(message));
}

void net_deliver(struct world *w, struct packet *packet)
{
	struct network *net = &w->network;
	struct direction *direction = &net->directions[packet->from][packet->to];
	struct node *n = &w->nodes[packet->to];

	if (net->directions[packet->to][packet->from].generation != packet->generation ||
		n->state < NODE_FORMING || n->state == NODE_BROKEN)
		drop(w, packet, NULL, "connection gone");
	else if (direction->poisoned == packet->generation)
		drop(w, packet, NULL, "connection broken");
	else if (direction->cut && rng_chance(&net->rng, 500)) /* else it was past the cut already */
		drop(w, packet, w->config.lossy ? NULL : direction, "link cut");
	else
	{
		net->delivered++;
		node_receive(w, n, packet);
		net_free_packet(packet);
	}
}

/* ---------------------------------------------------------------- connections */

static void schedule_connect(struct world *w, uint32_t a, uint32_t b, sim_time delay)
{
	uint32_t low = a < b ? a : b;
	uint32_t high = a < b ? b : a;

	if (w->network.connect_scheduled[low][high])
		return;
	w->network.connect_scheduled[low][high] = true;
	world_schedule(w, delay, (struct event){.kind = EVENT_CONNECT, .a = low, .b = high});
}

static bool reachable(const struct world *w, const struct node *n)
{
	return (n->state == NODE_FORMING || n->state == NODE_RUNNING) && n->frozen_until <= w->now;
}

/* F1: whether the machine belongs to the configuration that this one knows; before that all are equal. */
static bool is_stranger(const struct world *w, uint32_t node, uint32_t peer)
{
	const struct node *n = &w->nodes[node];
	const struct node *p = &w->nodes[peer];
	int place;

	if (n->state != NODE_RUNNING)
		return false;
	place = config_find(&n->config, p->node_id);
	return place < 0 ||
		   memcmp(&n->config.members[place].store_id, &p->log_state.store_id, sizeof(struct paxos_id)) != 0;
}

/* One end gives up the connection it believes in. */
static void end_down(struct world *w, uint32_t node, uint32_t peer, bool reset)
{
	struct direction *direction = &w->network.directions[node][peer];

	if (direction->generation == 0)
		return;
	direction->generation = 0;
	w->disturbed_at = w->now;
	TRACE(&w->trace, "net n%u loses its connection to n%u", node, peer);
	if (direction->told)
		node_peer_down(w, &w->nodes[node], w->nodes[peer].node_id, reset);
}

bool net_connected(const struct world *w, uint32_t node, uint32_t peer_id)
{
	uint32_t peer = machine_of(w, node, peer_id);

	return w->network.directions[node][peer].generation != 0 && !is_stranger(w, node, peer);
}

static struct hello make_hello(struct world *w, uint32_t machine)
{
	const struct node *n = &w->nodes[machine];

	return (struct hello){.machine = machine,
						  .node_id = n->node_id,
						  .life = n->life,
						  .store_id = n->log_state.store_id,
						  .run = n->log_state.run,
						  .nonce = n->nonce,
						  .serial = ++w->network.serials};
}

/* Both ends ask; what they answer is judged some time later, whatever became of them meanwhile. */
void net_try_connect(struct world *w, uint32_t a, uint32_t b)
{
	struct network *net = &w->network;
	struct direction *ab = &net->directions[a][b];
	struct direction *ba = &net->directions[b][a];
	struct handshake *handshake;

	net->connect_scheduled[a][b] = false;
	if (ab->generation != 0 && ab->generation == ba->generation)
		return;
	if (w->nodes[a].state == NODE_BROKEN || w->nodes[b].state == NODE_BROKEN)
		return;
	if (ab->cut || ba->cut || !reachable(w, &w->nodes[a]) || !reachable(w, &w->nodes[b]))
	{
		schedule_connect(w, a, b, rng_between(&net->rng, 20 * SIM_MS, 80 * SIM_MS));
		return;
	}
	handshake = malloc(sizeof(*handshake));
	handshake->ends[0] = make_hello(w, a);
	handshake->ends[1] = make_hello(w, b);
	net->connect_scheduled[a][b] = true;
	world_schedule(w,
				   rng_skewed(&net->rng, 50, 3 * w->config.delay_us + 50) + 2 * (ab->slow_us + ba->slow_us),
				   (struct event){.kind = EVENT_HANDSHAKE, .data = handshake});
}

/* X1: that very run is told that it is one of two. */
static void send_fence(struct world *w, uint32_t from, uint32_t to, uint64_t life, uint64_t run)
{
	TRACE(&w->trace, "net n%u tells n%u that its run %u is one of two", from, to, run);
	world_schedule(w, delivery_delay(w),
				   (struct event){.kind = EVENT_FENCE,
								  .node = to,
								  .life = life,
								  .a = from,
								  .b = run,
								  .c = w->nodes[from].log_state.run});
}

static bool same_store(const struct paxos_id *a, const struct paxos_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/*
 * X1, as src/transport/admission.c has it: the machine lets nobody in who shows a lower run than the highest
 * it has met, or that run with another nonce; and if its own question left after it met the higher one, two
 * are alive, and both are told.
 */
static bool check_run(struct world *w, const struct hello *own, const struct hello *other)
{
	struct met *met = &w->network.met[own->machine][other->node_id];
	struct direction *highest;

	if (w->config.core_checks_runs)
		return true;
	if (!same_store(&met->store_id, &other->store_id) || other->run > met->run)
	{
		met->store_id = other->store_id;
		met->run = other->run;
		met->nonce = other->nonce;
		met->serial = ++w->network.serials;
		met->fence_pending = false;
		return true;
	}
	if (other->run == met->run && other->nonce == met->nonce)
		return true;
	TRACE(&w->trace, "net n%u refuses n%u: run %u, it has met %u", own->machine, other->machine, other->run,
		  met->run);
	if (own->serial <= met->serial)
		return false;
	send_fence(w, own->machine, other->machine, other->life, other->run);
	met->fence_pending = true;
	for (uint32_t i = 1; i <= w->n_machines; i++)
	{
		highest = &w->network.directions[own->machine][i];
		if (w->nodes[i].node_id != other->node_id || highest->generation == 0 ||
			w->nodes[i].nonce != met->nonce || w->nodes[i].log_state.run != met->run)
			continue;
		send_fence(w, own->machine, i, w->nodes[i].life, met->run);
		met->fence_pending = false;
	}
	return false;
}

static void schedule_lose(struct world *w, uint32_t node, uint32_t peer, sim_time delay, bool reset)
{
	uint64_t generation = w->network.directions[node][peer].generation;

	if (generation == 0)
		return;
	world_schedule(w, delay,
				   (struct event){.kind = EVENT_LOSE, .node = node, .a = peer, .b = generation, .c = reset});
}

/* This end opens; a newer connection with a node replaces an older one. */
static void end_up(struct world *w, uint32_t node, uint32_t peer)
{
	struct met *met = &w->network.met[node][w->nodes[peer].node_id];

	w->network.directions[node][peer].told = !is_stranger(w, node, peer);
	if (w->network.directions[node][peer].told)
		node_peer_up(w, &w->nodes[node], w->nodes[peer].node_id);
	if (met->fence_pending && met->nonce == w->nodes[peer].nonce)
	{
		send_fence(w, node, peer, w->nodes[peer].life, met->run);
		met->fence_pending = false;
	}
}

static void replace_others(struct world *w, uint32_t node, uint32_t peer)
{
	end_down(w, node, peer, true);
	for (uint32_t i = 1; i <= w->n_machines; i++)
	{
		if (i == peer || w->nodes[i].node_id != w->nodes[peer].node_id ||
			w->network.directions[node][i].generation == 0)
			continue;
		end_down(w, node, i, true);
		schedule_lose(w, i, node, rng_between(&w->network.rng, 50, 5 * SIM_MS), true);
		schedule_connect(w, i, node, rng_between(&w->network.rng, SIM_MS, 100 * SIM_MS));
	}
}

static void open_both(struct world *w, uint32_t a, uint32_t b)
{
	struct network *net = &w->network;
	struct direction *ab = &net->directions[a][b];
	struct direction *ba = &net->directions[b][a];

	replace_others(w, a, b);
	replace_others(w, b, a);
	/* Being told of a loss can end a life. */
	if (!reachable(w, &w->nodes[a]) || !reachable(w, &w->nodes[b]))
	{
		schedule_connect(w, a, b, 50 * SIM_MS);
		return;
	}
	ab->generation = ba->generation = ++net->generations;
	for (int lane = 0; lane < LANES; lane++)
		ab->last_delivery[lane] = ba->last_delivery[lane] = w->now;
	w->disturbed_at = w->now;
	TRACE(&w->trace, "net n%u and n%u are connected", a, b);
	end_up(w, a, b);
	end_up(w, b, a);
}

void net_handshake(struct world *w, struct handshake *handshake)
{
	struct network *net = &w->network;
	const struct hello *ends = handshake->ends;
	uint32_t a = ends[0].machine;
	uint32_t b = ends[1].machine;
	bool there[2];
	bool admitted = true;

	net->connect_scheduled[a][b] = false;
	for (int i = 0; i < 2; i++)
		there[i] = w->nodes[ends[i].machine].life == ends[i].life && reachable(w, &w->nodes[ends[i].machine]);
	/* What the other said is judged even if it is gone since. */
	for (int i = 0; i < 2; i++)
		if (there[i] && !is_stranger(w, ends[i].machine, ends[1 - i].machine))
			admitted &= check_run(w, &ends[i], &ends[1 - i]);
	if (there[0] && there[1] && admitted && !net->directions[a][b].cut && !net->directions[b][a].cut)
		open_both(w, a, b);
	else
		schedule_connect(w, a, b, rng_between(&net->rng, 20 * SIM_MS, 80 * SIM_MS));
	free(handshake);
}

void net_forget(struct world *w, uint32_t machine)
{
	memset(w->network.met[machine], 0, sizeof(w->network.met[machine]));
}

void net_lose(struct world *w, uint32_t node, uint32_t peer, uint64_t generation, bool reset)
{
	if (w->network.directions[node][peer].generation != generation)
		return;
	end_down(w, node, peer, reset);
	schedule_connect(w, node, peer, rng_between(&w->network.rng, SIM_MS, 100 * SIM_MS));
}

void net_reset_pair(struct world *w, uint32_t a, uint32_t b)
{
	sim_time longest = w->config.election_timeout_ms * SIM_MS;
	bool reset = rng_chance(&w->network.rng, 500);

	w->network.directions[a][b].poisoned = w->network.directions[a][b].generation;
	w->network.directions[b][a].poisoned = w->network.directions[b][a].generation;
	schedule_lose(w, a, b, rng_skewed(&w->network.rng, 0, longest), reset);
	schedule_lose(w, b, a, rng_skewed(&w->network.rng, 0, longest), reset);
	schedule_connect(w, a, b, longest);
}

/* A dead process' kernel resets its connections; a dead machine leaves its peers to find out. */
void net_node_died(struct world *w, uint32_t node, bool power)
{
	sim_time longest = (power ? 3 * w->config.election_timeout_ms : 2) * SIM_MS;

	for (uint32_t peer = 1; peer <= w->n_machines; peer++)
	{
		if (w->nodes[peer].node_id == w->nodes[node].node_id)
			continue;
		w->network.directions[node][peer].generation = 0;
		schedule_lose(w, peer, node, rng_between(&w->network.rng, 50, longest), !power);
		schedule_connect(w, node, peer, rng_between(&w->network.rng, SIM_MS, 60 * SIM_MS));
	}
}

void net_cut(struct world *w, uint32_t from, uint32_t to, bool cut)
{
	if (w->network.directions[from][to].cut == cut)
		return;
	w->network.directions[from][to].cut = cut;
	w->disturbed_at = w->now;
	TRACE(&w->trace, "net link n%u > n%u %s", from, to, TRACE_STRING(cut ? "is cut" : "heals"));
}

void net_heal_all(struct world *w, bool at_once)
{
	w->network.slow_us = 0;
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = 1; b <= w->config.n_nodes; b++)
		{
			struct direction *direction = &w->network.directions[a][b];

			direction->slow_us = 0;
			if (at_once)
				direction->held_until = direction->flap_until = 0;
			if (direction->held_until <= w->now && direction->flap_until <= w->now)
				net_cut(w, a, b, false);
		}
}

void net_hold_cut(struct world *w, uint32_t from, uint32_t to, sim_time until)
{
	net_cut(w, from, to, true);
	w->network.directions[from][to].held_until = until;
}

void net_flap_event(struct world *w, uint32_t from, uint32_t to, bool both)
{
	struct direction *direction = &w->network.directions[from][to];
	bool cut = direction->flap_until > w->now && !direction->cut;

	if (direction->held_until > w->now)
		return;
	net_cut(w, from, to, cut);
	if (both)
		net_cut(w, to, from, cut);
	if (direction->flap_until > w->now)
		world_schedule(w, rng_between(&w->network.rng, SIM_MS, direction->flap_us),
					   (struct event){.kind = EVENT_FLAP, .a = from, .b = to, .c = both});
}

void net_flap(struct world *w, uint32_t from, uint32_t to, bool both, sim_time every, sim_time until)
{
	struct direction *direction = &w->network.directions[from][to];

	if (direction->flap_until > w->now || direction->held_until > w->now)
		return;
	TRACE(&w->trace, "net link n%u > n%u flaps until %u us, both ways %u", from, to, until, both);
	direction->flap_until = until;
	direction->flap_us = every > SIM_MS ? every : SIM_MS;
	net_flap_event(w, from, to, both);
}

void net_add_machine(struct world *w, uint32_t machine)
{
	for (uint32_t i = 1; i < machine; i++)
		if (w->nodes[i].node_id != w->nodes[machine].node_id)
			schedule_connect(w, i, machine, rng_between(&w->network.rng, SIM_MS, 30 * SIM_MS));
}

void net_init(struct world *w)
{
	rng_seed(&w->network.rng, w->draws, 2);
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = a + 1; b <= w->config.n_nodes; b++)
			schedule_connect(w, a, b, rng_between(&w->network.rng, SIM_MS, 30 * SIM_MS));
}
