/*
 * test_core_limits.c - a core at its limits: a host that never syncs, more bytes unapplied than it may hold (A6),
 * windows that are full.
 */
#include <string.h>

#include "lone_core.h"
#include "unit.h"

/* More writes wait for the disk than the core remembers one by one: later ones are credited together. */
static void test_many_writes_wait(void)
{
	struct paxos_message m;
	uint64_t newest;

	make_node(&fresh);
	for (uint64_t round = 1; round <= 1500; round++)
	{
		m = message(PAXOS_PREPARE, 2, round);
		receive(&m);
	}
	newest = disk.last_id;
	is_u64(newest, 1500, "fifteen hundred promises are written, none of them synced");
	paxos_durable(core, 1000);
	is_u64(status().promise.round, 1000, "what is credited one by one is exact");
	paxos_durable(core, 1400);
	ok(status().promise.round >= 1000 && status().promise.round <= 1400,
	   "what is credited together never more than is durable (B3)");
	ok(!next(PAXOS_PROMISE, &m), "the Promise for the last waits");
	paxos_durable(core, newest);
	ok(status().promise.round == 1500 && next(PAXOS_PROMISE, &m) && m.ballot.round == 1500,
	   "until the last write is durable");
	m = message(PAXOS_PREPARE, 2, 1501);
	receive(&m);
	sync_disk();
	is_u64(status().promise.round, 1501, "and then it goes on one by one");
}

/* ---------------------------------------------------------------- a host that does not drain */

static struct paxos_entry many[PAXOS_MAX_BATCH];

static const struct paxos_entry *full_batch(void)
{
	for (uint32_t i = 0; i < PAXOS_MAX_BATCH; i++)
		many[i] = noop();
	return many;
}

/* What finds no room in the outbox is as if lost: not taken in part, and asked for again. */
static void test_accepts_without_room(void)
{
	struct paxos_message m;

	follow_leader();
	for (uint64_t slot = 1; slot < 900; slot += PAXOS_MAX_BATCH)
	{
		m = accept_of(slot, full_batch(), PAXOS_MAX_BATCH);
		if (!paxos_recv(core, &m))
			break;
	}
	is_u64(status().end, 1 + 2 * PAXOS_MAX_BATCH, "two full Accepts find room, the third is as if lost");
	drain();
	m = accept_of(status().end, full_batch(), PAXOS_MAX_BATCH);
	ok(receive(&m) && status().end == 1 + 3 * PAXOS_MAX_BATCH, "drained, it is taken when it comes again");
}

static void test_sync_without_room(void)
{
	struct paxos_message m = message(PAXOS_PREPARE, 2, 3);
	struct paxos_message answer;

	make_node(&fresh);
	receive(&m);
	sync_all();
	m = message(PAXOS_SYNC, 2, 3);
	m.end = 4 * PAXOS_MAX_BATCH;
	m.entries = full_batch();
	m.n_entries = PAXOS_MAX_BATCH;
	for (int i = 0; i < 3; i++, m.slot += PAXOS_MAX_BATCH)
		paxos_recv(core, &m);
	drain();
	ok(next(PAXOS_SYNC_PROGRESS, &answer) && answer.slot == 2 * PAXOS_MAX_BATCH && !answer.ready,
	   "two chunks of a Sync find room; from the third on it is asked for again");
}

/* What the log has no space for would wait in memory, all of a Sync. */
static void test_sync_on_a_full_disk(void)
{
	struct paxos_message m = message(PAXOS_PREPARE, 2, 3);
	struct paxos_message answer;
	int n_writes;

	make_node(&fresh);
	receive(&m);
	sync_all();
	drop_messages();
	paxos_set_accepting(core, false);
	n_writes = disk.n_writes;
	m = message(PAXOS_SYNC, 2, 3);
	m.end = 2 * PAXOS_MAX_BATCH;
	m.entries = full_batch();
	m.n_entries = PAXOS_MAX_BATCH;
	ok(receive(&m) && disk.n_writes == n_writes, "a full disk: a chunk of a Sync is as if lost");
	ok(!next(PAXOS_SYNC_PROGRESS, &answer), "and is not asked for again at once");
	m.slot = PAXOS_MAX_BATCH;
	m.n_entries = 0;
	receive(&m);
	ok(next(PAXOS_SYNC_PROGRESS, &answer) && answer.slot == 0 && !answer.ready,
	   "a probe hears how far the Sync has come");
	paxos_set_accepting(core, true);
	m.slot = 0;
	m.n_entries = PAXOS_MAX_BATCH;
	ok(receive(&m) && disk.n_writes == n_writes + 1, "with space again it is taken when it comes again");
}

static void test_chunk_without_room(void)
{
	struct paxos_ballot ballot = pull_from_two(4 * PAXOS_MAX_BATCH);
	struct paxos_message m = from_follower(PAXOS_CHUNK, 2, ballot, 0);

	m.accepted = (struct paxos_ballot){2, 0, 2};
	m.entries = full_batch();
	m.n_entries = PAXOS_MAX_BATCH;
	for (int i = 0; i < 3; i++, m.slot += PAXOS_MAX_BATCH)
		paxos_recv(core, &m);
	drain();
	ok(next(PAXOS_PULL, &m) && m.slot == 2 * PAXOS_MAX_BATCH,
	   "two chunks of a pulled log find room; from the third on it is pulled again");
}

static void test_chunk_on_a_full_disk(void)
{
	struct paxos_ballot ballot = pull_from_two(PAXOS_MAX_BATCH + 1);
	struct paxos_message m = from_follower(PAXOS_CHUNK, 2, ballot, 0);
	int n_writes;

	paxos_set_accepting(core, false);
	n_writes = disk.n_writes;
	m.accepted = (struct paxos_ballot){2, 0, 2};
	m.entries = full_batch();
	m.n_entries = PAXOS_MAX_BATCH;
	ok(receive(&m) && disk.n_writes == n_writes, "a full disk: a chunk of a pulled log is as if lost");
	paxos_set_accepting(core, true);
	ok(receive(&m) && disk.n_writes == n_writes + 1, "with space again it is taken when it comes again");
}

static void test_rounds_without_room(void)
{
	struct paxos_message m;
	uint64_t elections;

	make_node(&fresh);
	for (uint64_t round = 1; round < 10; round++)
	{
		m = message(PAXOS_PREPARE, 2, round);
		paxos_recv(core, &m);
	}
	elections = status().elections;
	paxos_tick(core, now_ms() + 5000);
	ok(status().elections == elections && status().forming_view,
	   "no round ends while nothing can be written");
	drain();
	paxos_tick(core, now_ms() + 5001);
	ok(!status().forming_view, "then it does");
}

/* ---------------------------------------------------------------- windows */

/* An origin that sends more than it was granted: what there is no place for is as if lost. */
static void test_too_many_commands(void)
{
	static uint8_t bytes[PAXOS_MAX_BATCH][LONE_ENTRY_MAX];
	struct paxos_entry entries[PAXOS_MAX_BATCH];
	struct paxos_message m;
	struct paxos_ballot ballot;
	uint64_t end;
	int taken = 0;

	make_node(&fresh);
	ballot = lead();
	for (uint32_t i = 0; i < PAXOS_MAX_BATCH; i++)
	{
		entries[i] = command_of(2, 7, i + 1);
		memcpy(bytes[i], entries[i].bytes, entries[i].length);
		entries[i].bytes = bytes[i];
	}
	m = message(PAXOS_FORWARD, 2, 0);
	m.ballot = ballot;
	m.sequence = 1;
	m.entries = entries;
	m.n_entries = PAXOS_MAX_BATCH;
	do
	{
		end = status().end;
		if (!receive(&m))
			break;
		m.bytes += 1 << 20;
	} while (status().end > end && ++taken < 10);
	ok(taken > 0 && taken < 10 && status().end == 2 + (uint64_t) taken * PAXOS_MAX_BATCH,
	   "after %d batches that are not chosen the next is as if lost, whole", taken);
	m = from_follower(PAXOS_ACCEPTED, 2, ballot, status().end);
	sync_all();
	receive(&m);
	m = message(PAXOS_FORWARD, 2, 0);
	m.ballot = ballot;
	m.sequence = 2;
	m.entries = entries;
	m.n_entries = 1;
	end = status().end;
	ok(receive(&m) && status().end == end + 1, "when they are chosen there is place again");
}

/* ---------------------------------------------------------------- A6 */

static struct paxos_entry entry_of(uint32_t length)
{
	static uint8_t bytes[LONE_ENTRY_MAX];

	memset(bytes, 0, sizeof(bytes));
	entry_encode_header(bytes, &(struct entry_header){.version = ENTRY_VERSION,
													  .kind = ENTRY_NOOP,
													  .body_length = length - ENTRY_HEADER_BYTES,
													  .node_id = 2});
	return (struct paxos_entry){bytes, length};
}

/* One Accept of one entry behind the log's end; all before it chosen if asked.  Whether it was taken. */
static bool accept_one(uint32_t length, uint64_t chosen)
{
	struct paxos_entry e = entry_of(length);
	struct paxos_message m = accept_of(disk.end, &e, 1);
	uint64_t end = disk.end;

	m.chosen = chosen;
	receive(&m);
	sync_all();
	return disk.end == end + 1;
}

/* Under leader 2 with a limit of 1,000 bytes unapplied. */
static void follow_with_limit(void)
{
	limit_unapplied(1000);
	follow_leader();
	limit_unapplied(0);
}

static void test_unapplied_limit(void)
{
	struct paxos_message m;
	int taken = 0;

	follow_with_limit();
	while (taken < 30 && accept_one(100, 1))
		taken++;
	is_u64((uint64_t) taken, 30, "what is not known chosen does not count for the limit (A6)");
	follow_with_limit();
	for (taken = 0; taken < 30 && accept_one(100, disk.end); taken++)
		;
	ok(taken >= 11 && taken <= 12, "chosen and unapplied, a thousand bytes are the limit (%d entries of 100)",
	   taken);
	tick(now_ms() + 300);
	ok(next(PAXOS_HEARTBEAT, &m) && !m.accepting, "the node then says that it takes no Accepts (E2)");
	m = message(PAXOS_PREPARE, 3, 4);
	receive(&m);
	sync_all();
	ok(next(PAXOS_PROMISE, &m), "but it promises");
	m = message(PAXOS_SYNC, 3, 4);
	m.base = m.slot = disk.end;
	m.end = disk.end;
	receive(&m);
	sync_all();
	ok(status().accepted.round == 4, "and takes a Sync, whose bytes don't count");
}

static void test_applying_gives_room(void)
{
	int taken;

	follow_with_limit();
	while (accept_one(100, disk.end))
		;
	paxos_applied(core, status().chosen - 3);
	ok(accept_one(100, disk.end), "what is applied makes room");
	for (taken = 0; taken < 30 && accept_one(100, disk.end); taken++)
		paxos_applied(core, status().chosen);
	is_u64((uint64_t) taken, 30, "and a node that keeps up never reaches the limit");
}

int main(void)
{
	test_many_writes_wait();
	test_accepts_without_room();
	test_sync_without_room();
	test_sync_on_a_full_disk();
	test_chunk_without_room();
	test_chunk_on_a_full_disk();
	test_rounds_without_room();
	test_too_many_commands();
	test_unapplied_limit();
	test_applying_gives_room();
	free_node();
	return done();
}
