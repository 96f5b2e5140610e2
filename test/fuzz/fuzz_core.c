/*
 * fuzz_core.c - three or five real cores; one of them lies.
 *
 * The input is a sequence of steps: time, deliveries, losses, syncs, crashes, restarts, proposals, reads, and
 * the lies: messages of node LIAR altered on their way, or made up from nothing, with fields near those of the
 * truth.  No core may ever fail an assertion, ask for a slot that it has not got, or write or send what S4, B1,
 * B2, B3 and A5 forbid it, whatever the others tell it.  As long as nobody lied, nodes agree on what is chosen
 * (S1) as well.
 */
#include "core_node.h"
#include "fuzz.h"

#define LIAR 3
#define STEPS_MAX 150

static struct fuzz_world world;

/* ---------------------------------------------------------------- lies */

/* A ballot near one that somebody believes in. */
static struct paxos_ballot pick_ballot(struct input *in, const struct core_node *victim)
{
	const struct core_node *liar = &world.nodes[LIAR];
	uint8_t choice = take_u8(in);
	struct paxos_ballot ballots[8] = {
		{0, 0, 0},
		victim->taken.promise,
		victim->taken.accepted,
		victim->status.ballot,
		liar->status.ballot,
		liar->taken.promise,
		{UINT64_MAX / 2 - 1, 0, LIAR},
		{UINT64_MAX, UINT32_MAX, LIAR},
	};
	struct paxos_ballot ballot = ballots[choice % 8];

	if (choice & 8)
		ballot.round++;
	if (choice & 16)
		ballot.node_id = LIAR;
	if (choice & 32)
		ballot.node_id = victim->id;
	if (choice & 64 && ballot.round > 0)
		ballot.round--;
	if (choice & 128)
		ballot.priority++;
	return ballot;
}

/* A slot, or any other number, near one that somebody believes in. */
static uint64_t pick_slot(struct input *in, const struct core_node *victim)
{
	const struct core_node *liar = &world.nodes[LIAR];
	uint8_t choice = take_u8(in);
	const uint64_t slots[16] = {
		0,
		1,
		victim->status.first_slot,
		victim->status.chosen,
		victim->status.durable_end,
		victim->taken.end,
		liar->taken.end,
		liar->status.chosen,
		victim->start_end,
		UINT64_MAX / 2,
		UINT64_MAX,
		victim->run,
		liar->run,
		take_u8(in),
		victim->status.session,
		liar->last_sequence,
	};
	static const int64_t off[] = {0, 1, -1, 2, 3, -2, 8, 300};

	return slots[choice % 16] + (uint64_t) off[choice / 16 % 8];
}

/* Bytes of an entry of the lie: sound, forged in a victim's name, short, or the victim's own. */
static void pick_entry(struct input *in, struct carried *c, const struct core_node *victim, uint64_t slot)
{
	struct entry_header header = {.version = 1, .kind = ENTRY_COMMAND, .node_id = LIAR};
	uint32_t length = ENTRY_HEADER_BYTES;
	uint8_t choice = take_u8(in);
	const struct log_entry *own = log_find(&victim->taken, slot);

	if (choice % 8 == 0 && own != NULL)
	{
		carry_entry(c, own->bytes, own->length);
		return;
	}
	if (choice % 8 == 1)
		length = take_u8(in);
	if (choice % 8 == 2)
		length = 4000;
	header.body_length = length - ENTRY_HEADER_BYTES + (choice % 8 == 3);
	if (choice & 8)
		header.node_id = victim->id;
	if (choice & 16)
		header.kind = 1 + take_u8(in) % 6;
	if (choice & 32)
		header.session = pick_slot(in, victim);
	if (choice & 64)
		header.number = take_u8(in) % 8;
	carry_made(c, &header, length, victim, take_u8(in));
}

static void alter_entries(struct input *in, struct carried *c, const struct core_node *victim)
{
	uint32_t n = take_u8(in) % 5;

	carried_drop_entries(c);
	for (uint32_t i = 0; i < n; i++)
		pick_entry(in, c, victim, c->message.slot + 1 + i);
}

static void alter_damage(struct input *in, struct paxos_damage *d, const struct core_node *victim)
{
	uint8_t bits = take_u8(in);

	d->damaged = bits & 1;
	d->doubtful = bits & 2;
	if (bits & 4)
		d->named_ballot = pick_ballot(in, victim);
	if (bits & 8)
		d->named_slot = pick_slot(in, victim);
	if (bits & 16)
		d->lowest_written = pick_slot(in, victim);
}

static void alter_flags(struct input *in, struct paxos_message *m)
{
	uint8_t bits = take_u8(in);

	m->content = bits & 1;
	m->accepting = bits & 2;
	m->ready = bits & 4;
	m->leader_only = bits & 8;
	m->all_voters = bits & 16;
}

/* One field becomes another's. */
static void alter(struct input *in, struct carried *c, const struct core_node *victim)
{
	struct paxos_message *m = &c->message;
	uint64_t *const numbers[] = {&m->sequence, &m->slot,  &m->base,      &m->end, &m->first_slot, &m->chosen,
								 &m->applied,  &m->bytes, &m->named_run, &m->run, &m->epoch};
	uint32_t field = take_below(in, 18);

	if (field < 11)
		*numbers[field] = pick_slot(in, victim);
	else if (field == 11)
		m->ballot = pick_ballot(in, victim);
	else if (field == 12)
		m->followed = pick_ballot(in, victim);
	else if (field == 13)
		m->accepted = pick_ballot(in, victim);
	else if (field == 14)
		alter_flags(in, m);
	else if (field == 15)
		alter_damage(in, &m->damage, victim);
	else if (field == 16)
		alter_entries(in, c, victim);
	else
		m->type = (enum paxos_message_type)(take_u8(in) % (PAXOS_MESSAGE_TYPES + 2));
}

static struct core_node *pick_node(struct input *in)
{
	return &world.nodes[1 + take_below(in, world.n_nodes)];
}

static struct core_node *pick_victim(struct input *in)
{
	struct core_node *victim = pick_node(in);

	return victim->id == LIAR ? &world.nodes[1] : victim;
}

/* The next message on the way from the liar to a victim, with some fields altered. */
static void lie_altering(struct input *in)
{
	struct core_node *victim = pick_victim(in);
	struct carried *c = link_peek(&world.links[LIAR][victim->id]);
	uint32_t n = 1 + take_below(in, 3);

	if (c == NULL)
		return;
	world.lied = true;
	while (n-- > 0)
		alter(in, c, victim);
	world_deliver(&world, LIAR, victim->id);
}

/* A message made up: what an honest one would say, and then some. */
static void lie_forging(struct input *in)
{
	struct core_node *victim = pick_victim(in);
	const struct core_node *liar = &world.nodes[LIAR];
	struct carried c = {0};
	struct paxos_message *m = &c.message;
	uint32_t n;

	world.lied = true;
	*m = (struct paxos_message){.type = 1 + take_below(in, PAXOS_MESSAGE_TYPES - 1),
								.from = LIAR,
								.to = victim->id,
								.epoch = 1,
								.run = liar->run,
								.first_slot = 1,
								.accepting = true};
	m->ballot = pick_ballot(in, victim);
	m->slot = m->base = m->end = pick_slot(in, victim);
	m->named_run = liar->run;
	m->sequence = victim->last_sequence;
	for (n = take_below(in, 6); n > 0; n--)
		alter(in, &c, victim);
	carried_point(&c);
	world_give(&world, victim, &c);
	carried_free(&c);
}

/* The liar's message goes to its victim once more, now or, by a restart of the victim, in another life. */
static void lie_repeating(struct input *in)
{
	struct core_node *victim = pick_victim(in);
	struct carried *c = &world.links[LIAR][victim->id].last;

	if (c->message.type == 0)
		return;
	world.lied = true;
	carried_point(c);
	world_give(&world, victim, c);
}

/* ---------------------------------------------------------------- honest steps */

/* Time and messages for a while, everybody quick and reachable. */
static void run_quietly(struct input *in)
{
	uint32_t rounds = 1 + take_below(in, 8);

	for (uint32_t i = 0; i < rounds; i++)
	{
		world_tick_all(&world, WORLD_ROUND_MS);
		for (int pass = 0; pass < 3; pass++)
		{
			world_deliver_all(&world, 0);
			world_durable_all(&world);
		}
	}
}

static void step_links(struct input *in, uint32_t what)
{
	uint32_t from = pick_node(in)->id;
	uint32_t to = pick_node(in)->id;

	if (from == to)
		return;
	if (what == 0)
		world_deliver(&world, from, to);
	else if (what == 1)
		link_drop(&world.links[from][to]);
	else
		world_connect(&world, from, to, take_u8(in));
}

static void step_node(struct input *in, uint32_t what)
{
	struct core_node *n = pick_node(in);

	switch (what)
	{
		case 0:
			node_tick(&world, n, take_u8(in) % 40);
			break;
		case 1:
			node_durable(&world, n, take_u8(in));
			break;
		case 2:
			node_propose(&world, n, take_u8(in) * 8u);
			break;
		case 3:
			node_read(&world, n, take_u8(in) & 1);
			break;
		case 4:
			node_apply(&world, n, take_u8(in));
			break;
		case 5:
			node_restart(&world, n, take_u8(in), no_rot);
			break;
		case 6:
			n->accepting = !n->accepting;
			paxos_set_accepting(n->core, n->accepting);
			break;
		default:
			n->read_fails = 1 + take_u8(in) % 4;
			break;
	}
}

/* The table of one node moves on to another, or a log gets shorter at its begin. */
static void step_table(struct input *in)
{
	struct core_node *n = pick_node(in);
	uint8_t how = take_u8(in);

	if (how & 1)
		node_trim(&world, n, how / 2u);
	else
		node_restore(&world, n, pick_node(in));
}

/* A disk that lost an end of its log and says so (D7): the oracle of agreement is off from here on. */
static void restart_damaged(struct input *in)
{
	struct core_node *n = pick_node(in);
	struct rot rot = {.cut = 1 + take_u8(in) % 8u, .doubtful = take_u8(in) & 1};

	rot.lowest_written = pick_slot(in, n);
	world.lied = true;
	node_restart(&world, n, 255, rot);
}

static void step(struct input *in)
{
	uint32_t what = take_below(in, 35);

	if (what >= 32)
		step_table(in);
	else if (what < 6)
		run_quietly(in);
	else if (what < 11)
		step_links(in, what < 8 ? 0 : what - 8);
	else if (what < 19)
		step_node(in, what - 11);
	else if (what == 19)
		restart_damaged(in);
	else if (what == 20)
		world_deliver_all(&world, take_u8(in));
	else if (what == 21)
		lie_repeating(in);
	else if (what < 26)
		lie_altering(in);
	else
		lie_forging(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	world_begin(&world, take_u8(&in), take_u8(&in));
	for (int i = 0; i < STEPS_MAX && !input_ended(&in); i++)
	{
		step(&in);
		world_check(&world);
	}
	world_end(&world);
	return 0;
}
