/*
 * core_node.c - see core_node.h.
 */
#include "core_node.h"

#include "fuzz.h"

/* No input is answered with more than this. */
#define MESSAGES_MAX 4000
#define EVENTS_MAX 20000
/* The core keeps 1,024 writes apart; here there are never so many. */
#define WRITES_WAITING_MAX 800

const struct rot no_rot = {0, false, 0};
static const struct paxos_ballot none = {0, 0, 0};

static bool same(struct paxos_ballot a, struct paxos_ballot b)
{
	return paxos_ballot_compare(a, b) == 0;
}

static bool above(struct paxos_ballot a, struct paxos_ballot b)
{
	return paxos_ballot_compare(a, b) > 0;
}

static void *allocate(void *old, size_t size)
{
	void *memory = realloc(old, size > 0 ? size : 1);

	MUST(memory != NULL);
	return memory;
}

/* ---------------------------------------------------------------- logs */

const struct log_entry *log_find(const struct node_log *log, uint64_t slot)
{
	return slot >= log->first_slot && slot <= log->end ? &log->entries[slot - log->first_slot] : NULL;
}

static void log_append(struct node_log *log, const struct paxos_entry *entry, struct paxos_ballot ballot)
{
	size_t at = (size_t) (log->end + 1 - log->first_slot);

	if (at >= log->capacity)
	{
		log->capacity = 2 * at + 64;
		log->entries = allocate(log->entries, log->capacity * sizeof(*log->entries));
	}
	log->entries[at] = (struct log_entry){(uint8_t *) entry->bytes, entry->length, ballot};
	log->end++;
}

/* The log begins at first_slot, and what was before is in the table. */
static void log_begin(struct node_log *log, uint64_t first_slot)
{
	uint64_t gone = first_slot - log->first_slot;
	uint64_t n = log->end + 1 - log->first_slot;

	gone = gone < n ? gone : n;
	if (n > gone)
		memmove(log->entries, log->entries + gone, (size_t) (n - gone) * sizeof(*log->entries));
	log->first_slot = first_slot;
	if (log->end + 1 < first_slot)
		log->end = first_slot - 1;
}

static void log_copy(struct node_log *to, const struct node_log *from)
{
	struct log_entry *entries = to->entries;
	size_t n = (size_t) (from->end + 1 - from->first_slot);

	entries = allocate(entries, n * sizeof(*entries));
	if (n > 0)
		memcpy(entries, from->entries, n * sizeof(*entries));
	*to = *from;
	to->entries = entries;
	to->capacity = n;
}

/* The staged entries that an INSTALL takes over are in the writes before it. */
static const struct paxos_entry *find_staged(const struct core_node *n, const struct paxos_write *install,
											 uint64_t slot)
{
	for (const struct kept_write *k = n->writes; k != NULL; k = k->next)
	{
		const struct paxos_write *w = &k->write;

		if (w->type == PAXOS_WRITE_STAGE && w->id < install->id && same(w->ballot, install->ballot) &&
			w->base == install->base && slot >= w->first_slot && slot - w->first_slot < w->n_entries)
			return &k->entries[slot - w->first_slot];
	}
	return NULL;
}

static void log_apply(struct node_log *log, const struct core_node *n, const struct paxos_write *w)
{
	switch (w->type)
	{
		case PAXOS_WRITE_PROMISE:
			log->promise = w->ballot;
			break;
		case PAXOS_WRITE_APPEND:
			for (uint32_t i = 0; i < w->n_entries; i++)
				log_append(log, &w->entries[i], w->ballot);
			break;
		case PAXOS_WRITE_STAGE:
			break;
		case PAXOS_WRITE_INSTALL:
			log->end = w->base;
			if (w->base + 1 < log->first_slot) /* where damage hid what was before it */
				log->first_slot = w->base + 1;
			for (uint64_t slot = w->base + 1; slot <= w->end; slot++)
			{
				const struct paxos_entry *entry = find_staged(n, w, slot);

				MUST(entry != NULL); /* Y1: all that is installed was staged */
				log_append(log, entry, w->ballot);
			}
			log->accepted = w->ballot;
			log->damaged = false;
			break;
		case PAXOS_WRITE_REPAIR:
			break;
	}
}

/* ---------------------------------------------------------------- what may be written */

static void check_write(const struct core_node *n, const struct paxos_write *w)
{
	const struct node_log *log = &n->taken;

	MUST(w->id == n->last_id + 1);
	MUST(w->epoch == 1 && w->n_entries <= PAXOS_MAX_BATCH);
	switch (w->type)
	{
		case PAXOS_WRITE_PROMISE: /* S4 */
			MUST(above(w->ballot, log->promise));
			break;
		case PAXOS_WRITE_APPEND:
			MUST(same(w->ballot, log->accepted) && same(w->ballot, log->promise));
			MUST(w->first_slot == log->end + 1 && w->n_entries > 0 && !log->damaged);
			break;
		case PAXOS_WRITE_STAGE:
			MUST(same(w->ballot, log->promise) && w->n_entries > 0 && w->first_slot > w->base);
			if (!same(n->staged, w->ballot) || n->staged_base != w->base ||
				w->first_slot != n->staged_end + 1)
				MUST(w->first_slot == w->base + 1); /* begins anew */
			break;
		case PAXOS_WRITE_INSTALL:
			MUST(same(w->ballot, log->promise));
			MUST(above(w->ballot, log->accepted) || log->damaged);
			MUST(w->base <= log->end && w->base <= w->end);
			MUST(w->base + 1 >= log->first_slot || log->damaged);
			MUST(w->base == w->end || (same(n->staged, w->ballot) && n->staged_base == w->base));
			MUST(w->base == w->end || n->staged_end >= w->end);
			MUST(w->end >= n->chosen); /* what is chosen is never cut off */
			break;
		case PAXOS_WRITE_REPAIR: /* nothing here is missing */
			MUST(false);
			break;
	}
}

static void keep_write(struct core_node *n, const struct paxos_write *w)
{
	struct kept_write *k = allocate(NULL, sizeof(*k) + w->n_entries * sizeof(k->entries[0]));

	k->write = *w;
	k->write.entries = k->entries;
	k->next_queued = NULL;
	for (uint32_t i = 0; i < w->n_entries; i++)
	{
		uint8_t *bytes = allocate(NULL, w->entries[i].length);

		memcpy(bytes, w->entries[i].bytes, w->entries[i].length);
		k->entries[i] = (struct paxos_entry){bytes, w->entries[i].length};
	}
	k->next = n->writes;
	n->writes = k;
	if (n->queue == NULL)
		n->queue = k;
	else
		n->queue_end->next_queued = k;
	n->queue_end = k;
	n->last_id = w->id;
	if (w->type == PAXOS_WRITE_STAGE)
	{
		n->staged = w->ballot;
		n->staged_base = w->base;
		n->staged_end = w->first_slot + w->n_entries - 1;
	}
	log_apply(&n->taken, n, &k->write);
}

static void drain_writes(struct core_node *n)
{
	struct paxos_write write;
	uint32_t count = 0;

	while (paxos_next_write(n->core, &write))
	{
		MUST(++count <= 16);
		check_write(n, &write);
		keep_write(n, &write);
	}
}

/* ---------------------------------------------------------------- the core's host */

static bool host_read_entry(void *context, uint64_t slot, struct paxos_entry *entry)
{
	struct core_node *n = context;
	const struct log_entry *found = log_find(&n->taken, slot);

	MUST(found != NULL); /* first_slot <= slot <= end */
	if (n->read_fails > 0 && --n->read_fails == 0)
	{
		n->must_restart = true;
		return false;
	}
	*entry = (struct paxos_entry){found->bytes, found->length};
	return true;
}

static void host_assert_failed(void *context, const char *condition, const char *file, int line)
{
	must_failed(condition, file, line);
}

/* ---------------------------------------------------------------- what may be sent */

static void check_entries(const struct node_log *log, const struct paxos_message *m)
{
	MUST(m->n_entries <= PAXOS_MAX_BATCH);
	for (uint32_t i = 0; i < m->n_entries; i++)
	{
		const struct log_entry *own = log_find(log, m->slot + 1 + i);

		MUST(own != NULL && own->length == m->entries[i].length);
		MUST(memcmp(own->bytes, m->entries[i].bytes, own->length) == 0);
	}
}

/* B1, B2: a ballot of its own, taken in this life, promised. */
static void check_own_ballot(const struct core_node *n, struct paxos_ballot ballot)
{
	MUST(ballot.node_id == n->id);
	MUST(same(ballot, n->durable.promise) && above(ballot, n->start_promise));
}

static void check_promise(const struct core_node *n, const struct paxos_message *m)
{
	MUST(same(m->ballot, n->durable.promise) && same(m->ballot, n->taken.promise));
	MUST(m->ballot.node_id == m->to);
	MUST(same(m->accepted, n->durable.accepted) && m->end == n->durable.end);
	MUST(m->first_slot == n->durable.first_slot && m->damage.damaged == n->durable.damaged);
	MUST(n->durable_id == n->last_id || !above(n->taken.accepted, n->durable.accepted)); /* B3 */
}

static void check_accepted(const struct core_node *n, const struct paxos_message *m)
{
	MUST(same(m->ballot, n->durable.accepted) && same(m->ballot, n->taken.promise)); /* B3 */
	MUST(m->slot <= n->durable.end && !n->durable.damaged);
	MUST(m->ballot.node_id == m->to);
}

static void check_message(const struct core_node *n, const struct paxos_message *m)
{
	MUST(m->from == n->id && m->to != n->id && m->run == n->run && m->epoch == 1);
	switch (m->type)
	{
		case PAXOS_HEARTBEAT:
		case PAXOS_HEARTBEAT_REPLY:
			if (m->ballot.round != 0)
				check_own_ballot(n, m->ballot);
			MUST(same(m->accepted, n->durable.accepted) && m->end == n->durable.end);
			break;
		case PAXOS_PROMISE:
			check_promise(n, m);
			break;
		case PAXOS_ACCEPTED:
			check_accepted(n, m);
			break;
		case PAXOS_PREPARE:
		case PAXOS_PULL:
			check_own_ballot(n, m->ballot);
			break;
		case PAXOS_SYNC:
		case PAXOS_ACCEPT:
			check_own_ballot(n, m->ballot);
			check_entries(&n->taken, m);
			MUST(m->chosen <= n->taken.end); /* A4: counted, not heard of others */
			break;
		case PAXOS_CHUNK:
			check_entries(&n->durable, m);
			MUST(m->ballot.node_id == m->to);
			break;
		case PAXOS_REFUSE: /* B5 */
			MUST(same(m->followed, n->durable.promise));
			break;
		default:
			break;
	}
}

/* ---------------------------------------------------------------- links */

void carry_entry(struct carried *c, const uint8_t *bytes, uint32_t length)
{
	uint8_t *copy;

	if (c->n_entries == PAXOS_MAX_BATCH)
		return;
	copy = allocate(NULL, length);
	if (length > 0)
		memcpy(copy, bytes, length);
	c->entries = allocate(c->entries, (c->n_entries + 1) * sizeof(*c->entries));
	c->entries[c->n_entries++] = (struct paxos_entry){copy, length};
}

void carry_made(struct carried *c, const struct entry_header *header, uint32_t length,
				const struct core_node *victim, uint8_t salt)
{
	uint8_t bytes[4096] = {0};
	struct open_session open = {
		.node_id = header->node_id, .store_id = {{(uint8_t) header->node_id}}, .run = victim->run + salt % 3};

	if (header->kind == ENTRY_OPEN_SESSION && length == ENTRY_HEADER_BYTES)
	{
		open.run -= salt & 4 ? 1 : 0;
		open_session_encode(bytes, &open, 0);
		length = OPEN_SESSION_ENTRY_BYTES;
	}
	else
	{
		entry_encode_header(bytes, header);
		memset(bytes + ENTRY_HEADER_BYTES, salt, sizeof(bytes) - ENTRY_HEADER_BYTES);
	}
	carry_entry(c, bytes, length);
}

void carried_drop_entries(struct carried *c)
{
	for (uint32_t i = 0; i < c->n_entries; i++)
		free((void *) c->entries[i].bytes);
	c->n_entries = 0;
}

void carried_point(struct carried *c)
{
	c->message.entries = c->entries;
	c->message.n_entries = c->n_entries;
}

void carried_free(struct carried *c)
{
	carried_drop_entries(c);
	free(c->entries);
	*c = (struct carried){0};
}

struct carried *link_peek(struct link *link)
{
	return link->n > 0 ? &link->queue[link->head] : NULL;
}

void link_drop(struct link *link)
{
	if (link->n == 0)
		return;
	carried_free(&link->queue[link->head]);
	link->head = (link->head + 1) % LINK_MAX;
	link->n--;
}

static void link_put(struct link *link, const struct paxos_message *m)
{
	struct carried *c;

	if (!link->up || link->n == LINK_MAX)
		return;
	c = &link->queue[(link->head + link->n++) % LINK_MAX];
	*c = (struct carried){.message = *m};
	for (uint32_t i = 0; i < m->n_entries; i++)
		carry_entry(c, m->entries[i].bytes, m->entries[i].length);
	carried_point(c);
}

/* ---------------------------------------------------------------- after an input */

static void check_agreement(struct fuzz_world *w, const struct core_node *n, uint64_t slot)
{
	const struct log_entry *entry = log_find(&n->taken, slot);
	struct log_entry *chosen;

	while (w->n_chosen < slot)
	{
		if (w->n_chosen == w->chosen_capacity)
		{
			w->chosen_capacity = 2 * w->n_chosen + 64;
			w->chosen = allocate(w->chosen, w->chosen_capacity * sizeof(*w->chosen));
		}
		w->chosen[w->n_chosen++] = (struct log_entry){0};
	}
	chosen = &w->chosen[slot - 1];
	if (entry == NULL || w->lied)
		return;
	if (chosen->bytes != NULL) /* S1 */
		MUST(chosen->length == entry->length && memcmp(chosen->bytes, entry->bytes, entry->length) == 0);
	else
		*chosen = *entry;
}

static void take_event(struct fuzz_world *w, struct core_node *n, const struct paxos_event *event)
{
	if (event->type == PAXOS_EVENT_CHOSEN)
	{
		MUST(event->slot > n->chosen && event->slot <= n->durable.end); /* A5 */
		for (uint64_t slot = n->chosen + 1; slot <= event->slot; slot++)
			check_agreement(w, n, slot);
		n->chosen = event->slot;
	}
	else if (event->type == PAXOS_EVENT_FENCED || event->type == PAXOS_EVENT_UNRECOVERABLE)
		MUST(w->lied);
}

static void pump(struct fuzz_world *w, struct core_node *n)
{
	struct paxos_event event;
	struct paxos_message message;
	uint32_t count = 0;

	drain_writes(n);
	while (!n->must_restart && paxos_next_event(n->core, &event))
	{
		MUST(++count < EVENTS_MAX);
		take_event(w, n, &event);
		drain_writes(n);
	}
	count = 0;
	while (!n->must_restart && paxos_next_message(n->core, &message))
	{
		MUST(++count < MESSAGES_MAX);
		check_message(n, &message);
		MUST(message.to >= 1 && message.to <= w->n_nodes && w->links[n->id][message.to].up);
		n->last_sequence = message.sequence;
		link_put(&w->links[n->id][message.to], &message);
	}
	drain_writes(n);
	if (n->last_id - n->durable_id > WRITES_WAITING_MAX)
		node_durable(w, n, WRITES_WAITING_MAX);
	if (n->must_restart)
		node_restart(w, n, 0, no_rot);
}

/* The bytes are its own only until the writes are drained. */
void world_give(struct fuzz_world *w, struct core_node *n, struct carried *c)
{
	struct carried copy = {.message = c->message};

	for (uint32_t i = 0; i < c->n_entries; i++)
		carry_entry(&copy, c->entries[i].bytes, c->entries[i].length);
	carried_point(&copy);
	paxos_tick(n->core, n->now_ms);
	drain_writes(n);
	paxos_recv(n->core, &copy.message);
	drain_writes(n);
	carried_free(&copy);
	pump(w, n);
}

void world_deliver(struct fuzz_world *w, uint32_t from, uint32_t to)
{
	struct link *link = &w->links[from][to];

	if (link->n == 0)
		return;
	carried_free(&link->last);
	link->last = link->queue[link->head];
	link->queue[link->head] = (struct carried){0};
	link->head = (link->head + 1) % LINK_MAX;
	link->n--;
	carried_point(&link->last);
	world_give(w, &w->nodes[to], &link->last);
}

void world_deliver_all(struct fuzz_world *w, uint8_t without)
{
	for (uint32_t from = 1; from <= w->n_nodes; from++)
		for (uint32_t to = 1; to <= w->n_nodes; to++)
			for (uint32_t n = w->links[from][to].n; n > 0 && !(without & (1u << from)); n--)
				world_deliver(w, from, to);
}

/* how: bit 0 up, bit 1 a reset. */
void world_connect(struct fuzz_world *w, uint32_t a, uint32_t b, uint8_t how)
{
	uint32_t ends[2] = {a, b};

	for (int i = 0; i < 2; i++)
	{
		struct link *link = &w->links[ends[i]][ends[1 - i]];

		while (link->n > 0)
			link_drop(link);
		link->up = how & 1;
	}
	for (int i = 0; i < 2; i++)
	{
		struct core_node *n = &w->nodes[ends[i]];

		paxos_disconnected(n->core, ends[1 - i], how & 2);
		drain_writes(n);
		if (how & 1)
			paxos_connected(n->core, ends[1 - i]);
	}
	for (int i = 0; i < 2; i++)
		pump(w, &w->nodes[ends[i]]);
}

/* ---------------------------------------------------------------- inputs of one node */

void node_tick(struct fuzz_world *w, struct core_node *n, uint64_t ms)
{
	n->now_ms += ms;
	paxos_tick(n->core, n->now_ms);
	pump(w, n);
}

void world_tick_all(struct fuzz_world *w, uint64_t ms)
{
	for (uint32_t id = 1; id <= w->n_nodes; id++)
		node_tick(w, &w->nodes[id], ms);
}

/* Makes the oldest waiting write durable. */
static void write_durable(struct core_node *n)
{
	struct kept_write *k = n->queue;

	n->queue = k->next_queued;
	n->durable_id = k->write.id;
	log_apply(&n->durable, n, &k->write);
}

void node_durable(struct fuzz_world *w, struct core_node *n, uint64_t ids)
{
	for (; ids > 0 && n->queue != NULL; ids--)
		write_durable(n);
	paxos_durable(n->core, n->durable_id);
	pump(w, n);
}

void world_durable_all(struct fuzz_world *w)
{
	for (uint32_t id = 1; id <= w->n_nodes; id++)
		node_durable(w, &w->nodes[id], UINT64_MAX);
}

void node_propose(struct fuzz_world *w, struct core_node *n, uint32_t body)
{
	uint32_t length = ENTRY_HEADER_BYTES + body;
	struct entry_header header = {.version = 1, .kind = ENTRY_COMMAND, .body_length = body, .node_id = n->id};
	uint8_t *bytes;

	if (!paxos_can_propose(n->core, length))
		return;
	bytes = allocate(NULL, length);
	memset(bytes, (int) (n->n_commands + n->id), length);
	entry_encode_header(bytes, &header);
	n->commands = allocate(n->commands, (n->n_commands + 1) * sizeof(*n->commands));
	n->commands[n->n_commands++] = bytes;
	paxos_propose(n->core, bytes, length);
	pump(w, n);
}

void node_read(struct fuzz_world *w, struct core_node *n, bool leader_only)
{
	paxos_read(n->core, leader_only);
	pump(w, n);
}

void node_apply(struct fuzz_world *w, struct core_node *n, uint64_t slots)
{
	n->applied = n->chosen - n->applied < slots ? n->chosen : n->applied + slots;
	paxos_applied(n->core, n->applied);
	pump(w, n);
}

/* ---------------------------------------------------------------- trimming, and another's table */

void node_trim(struct fuzz_world *w, struct core_node *n, uint64_t slots)
{
	uint64_t first_slot = n->taken.first_slot + slots;

	node_durable(w, n, UINT64_MAX);
	if (first_slot > n->applied + 1)
		first_slot = n->applied + 1;
	if (first_slot <= n->taken.first_slot || n->durable.damaged)
		return;
	log_begin(&n->taken, first_slot);
	log_begin(&n->durable, first_slot);
	paxos_trimmed(n->core, first_slot);
	pump(w, n);
}

/* What the state as of a slot says of a node's present session (X5). */
static struct paxos_restored fold_session(const struct fuzz_world *w, const struct core_node *n,
										  uint64_t slot)
{
	struct paxos_restored restored = {.slot = slot};

	for (uint64_t at = 1; at <= slot && at <= w->n_chosen; at++)
	{
		const struct log_entry *kept = &w->chosen[at - 1];
		struct paxos_entry entry = {kept->bytes, kept->length};
		struct entry_header header;
		struct open_session open;

		if (kept->bytes == NULL || !entry_decode_header(&entry, &header) || header.node_id != n->id)
			continue;
		if (header.kind == ENTRY_OPEN_SESSION && open_session_decode(&entry, &open) == DECODE_OK &&
			open.run == n->run && restored.session == 0)
			restored.session = at;
		if (entry_is_numbered(header.kind) && restored.session != 0 && header.session == restored.session &&
			header.number == restored.last_number + 1)
			restored.last_number++;
	}
	return restored;
}

void node_restore(struct fuzz_world *w, struct core_node *n, const struct core_node *source)
{
	struct paxos_restored restored = fold_session(w, n, source->applied);

	if (source->applied < n->applied || source->applied == 0)
		return;
	node_durable(w, n, UINT64_MAX);
	if (restored.slot + 1 > n->taken.first_slot)
	{
		log_begin(&n->taken, restored.slot + 1);
		log_begin(&n->durable, restored.slot + 1);
	}
	n->applied = restored.slot;
	paxos_restored(n->core, &restored);
	pump(w, n);
}

/* ---------------------------------------------------------------- lives */

static void end_life(struct core_node *n)
{
	for (size_t i = 0; i < n->n_commands; i++)
		free(n->commands[i]);
	free(n->commands);
	n->core = NULL;
	n->commands = NULL;
	n->n_commands = 0;
}

static void begin_life(struct fuzz_world *w, struct core_node *n, const struct paxos_damage *damage)
{
	struct paxos_options options = {.node_id = n->id,
									.priority = n->id % 2,
									.run = ++n->run,
									.nonce = n->run * 7 + n->id,
									.seed = n->run * 31 + n->id,
									.election_timeout_ms = 100,
									.heartbeat_interval_ms = 20,
									.window_bytes = 4096,
									.unapplied_bytes_max = 20000};
	struct paxos_host host = {n, host_read_entry, host_assert_failed};
	struct paxos_durable_state state = {.promise = n->durable.promise,
										.accepted = n->durable.accepted,
										.first_slot = n->durable.first_slot,
										.end = n->durable.end,
										.applied = n->applied,
										.damage = *damage};

	n->last_id = n->durable_id = 0;
	n->accepting = true;
	n->must_restart = false;
	n->staged = none;
	n->read_fails = 0;
	n->start_promise = n->durable.promise;
	n->start_end = n->durable.end;
	n->chosen = n->start_applied = n->applied;
	/* kept from input to input where the size is right: taking it takes longer than most inputs */
	if (n->memory_size != paxos_memory_size(&w->config, &options))
	{
		n->memory_size = paxos_memory_size(&w->config, &options);
		free(n->memory);
		n->memory = allocate(NULL, n->memory_size);
	}
	n->core = paxos_create(n->memory, &w->config, &options, &host, &state, n->now_ms);
	drain_writes(n);
}

/* D7: an end of the log is gone, and recovery says so. */
static void lose_tail(struct core_node *n, const struct rot *rot, struct paxos_damage *damage)
{
	struct node_log *log = &n->durable;
	uint64_t cut = log->end + 1 - log->first_slot;

	damage->named_ballot = log->accepted;
	damage->named_slot = log->end;
	cut = rot->cut < cut ? rot->cut : cut;
	log->end -= cut;
	log->accepted = log->end >= log->first_slot ? log_find(log, log->end)->ballot : none;
	log->damaged = damage->damaged = true;
	damage->doubtful = rot->doubtful;
	damage->lowest_written = 1 + rot->lowest_written % (log->end + 1);
}

void node_restart(struct fuzz_world *w, struct core_node *n, uint64_t kept, struct rot rot)
{
	struct paxos_damage damage = {0};

	if (n->durable.damaged) /* it healed, or it stays as it was */
		damage = n->status.damage;
	for (; kept > 0 && n->queue != NULL; kept--)
		write_durable(n);
	n->queue = NULL;
	if (!n->durable.damaged)
		damage = (struct paxos_damage){0};
	end_life(n);
	if (rot.cut > 0 && !n->durable.damaged)
		lose_tail(n, &rot, &damage);
	log_copy(&n->taken, &n->durable);
	begin_life(w, n, &damage);
	/* staged entries of an earlier life don't count for this one */
	for (struct kept_write *k = n->writes; k != NULL; k = k->next)
		k->write.base = UINT64_MAX;
	for (uint32_t peer = 1; peer <= w->n_nodes; peer++)
		if (peer != n->id)
			world_connect(w, n->id, peer, w->links[n->id][peer].up ? 3 : 0);
}

/* Its status, against what it wrote. */
static void check_node(struct core_node *n)
{
	struct paxos_status s;

	paxos_status(n->core, &s);
	n->status = s;
	if (s.role == PAXOS_FENCED)
		return;
	MUST(same(s.promise, n->durable.promise) && same(s.accepted, n->durable.accepted));
	MUST(s.end == n->taken.end && s.durable_end == n->durable.end && s.first_slot == n->taken.first_slot);
	MUST(s.damage.damaged == n->durable.damaged);
	MUST(s.chosen >= n->chosen && (s.chosen <= n->durable.end || s.chosen == n->start_applied));
}

void world_check(struct fuzz_world *w)
{
	for (uint32_t id = 1; id <= w->n_nodes; id++)
		check_node(&w->nodes[id]);
}

/* shape: bits 0, 1 the number of nodes; 2 the log begins behind slot 4; 3 the last is a learner; 4 the liar is. */
void world_begin(struct fuzz_world *w, uint8_t shape, uint8_t seed)
{
	static const uint32_t sizes[4] = {3, 5, 4, 3};
	uint64_t trimmed = shape & 4 ? 4 : 0;

	w->n_nodes = sizes[shape & 3];
	w->lied = false;
	w->config = (struct paxos_config){.epoch = 1, .cluster_id = {{1}}, .n_members = w->n_nodes};
	for (uint32_t id = 1; id <= w->n_nodes; id++)
		w->config.members[id - 1] =
			(struct paxos_member){.node_id = id,
								  .learner = (shape & 8 && id == w->n_nodes) || (shape & 16 && id == 3),
								  .store_id = {{(uint8_t) id}}};
	for (uint32_t id = 1; id <= w->n_nodes; id++)
	{
		struct core_node *n = &w->nodes[id];

		n->id = id;
		n->now_ms = 1000 * id + seed;
		n->run = seed % 3;
		n->durable.first_slot = trimmed + 1;
		n->durable.end = n->applied = trimmed;
		if (trimmed > 0)
			n->durable.promise = n->durable.accepted = (struct paxos_ballot){1, 0, 1};
		log_copy(&n->taken, &n->durable);
		begin_life(w, n, &(struct paxos_damage){0});
	}
	for (uint32_t a = 1; a <= w->n_nodes; a++)
		for (uint32_t b = a + 1; b <= w->n_nodes; b++)
			world_connect(w, a, b, 1);
	world_check(w);
}

static void free_writes(struct core_node *n)
{
	while (n->writes != NULL)
	{
		struct kept_write *k = n->writes;

		n->writes = k->next;
		for (uint32_t i = 0; i < k->write.n_entries; i++)
			free((void *) k->entries[i].bytes);
		free(k);
	}
}

void world_end(struct fuzz_world *w)
{
	for (uint32_t id = 1; id <= w->n_nodes; id++)
	{
		struct core_node *n = &w->nodes[id];

		end_life(n);
		free_writes(n);
		free(n->taken.entries);
		free(n->durable.entries);
		*n = (struct core_node){.memory = n->memory, .memory_size = n->memory_size};
		for (uint32_t peer = 1; peer <= w->n_nodes; peer++)
		{
			struct link *link = &w->links[id][peer];

			while (link->n > 0)
				link_drop(link);
			carried_free(&link->last);
			link->up = false;
		}
	}
	free(w->chosen);
	w->chosen = NULL;
	w->n_chosen = w->chosen_capacity = 0;
}
