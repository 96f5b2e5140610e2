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
	test_unapplied_limit();
	test_applying_gives_room();
	free_node();
	return done();
}
