/*
 * catch_up.c - at what pace a follower that was away is brought up from the log (PROTOCOL A3, Y1).
 *
 * What a quorum has chosen without it is sent in bursts, each answered before the next; after an answer the follower
 * rests for longer than the burst took, so that the disks and processors that both share with the leader's clients are
 * theirs most of the time.  A burst is longer where the log grows faster, so that whoever catches up comes nearer with
 * each.  A follower that the quorum waits for is sent all that the window holds.
 */
#include "paxos/internal.h"

/* Of the window: as much as a disk takes at a moment. */
#define WINDOW_PART 4
/* How many times as much as the log has grown since the burst before. */
#define GROWTH_FACTOR 2
/* How many times as long as its burst a rest is, and at most, which is for links and not disks that take long. */
#define REST_FACTOR 8
#define REST_MAX_MS 100

/* Whether it has all that is chosen, and takes more: who is silent, or accepts nothing, may be connected for long. */
static bool is_up_to_date(const struct paxos *p, uint32_t i)
{
	const struct peer *peer = &p->peers[i];

	return i == p->self ||
		   (peer->connected && peer->accepting && peer->follower.progress == PROGRESS_ACCEPT &&
			peer->follower.match >= p->leader_chosen &&
			p->now_ms - peer->heard_ms < p->options.election_timeout_ms);
}

/* Whether the next entry for it is chosen, and others that are a quorum with this node have all that is. */
static bool is_catching_up(const struct paxos *p, const struct follower *f)
{
	uint32_t n_voters = 0;
	uint32_t n_up_to_date = 0;

	if (f->next > p->leader_chosen)
		return false;
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		if (p->peers[i].member.learner)
			continue;
		n_voters++;
		n_up_to_date += is_up_to_date(p, i);
	}
	return n_up_to_date >= quorum_phase2_size(n_voters);
}

bool catch_up_rests(const struct paxos *p, struct follower *f)
{
	struct burst *burst = &f->burst;

	if (!is_catching_up(p, f))
		*burst = (struct burst){0};
	else if (burst->sent)
	{
		if (f->n_flights == 0 && p->now_ms >= burst->rest_until_ms)
			*burst = (struct burst){.log_bytes = burst->log_bytes};
	}
	else if (burst->bytes >= p->options.window_bytes / WINDOW_PART &&
			 burst->bytes >= GROWTH_FACTOR * (p->bytes_taken - burst->log_bytes))
	{
		burst->sent = true;
		burst->log_bytes = p->bytes_taken;
		catch_up_answered(p, f); /* it may have been meanwhile */
	}
	return burst->sent;
}

void catch_up_sends(const struct paxos *p, struct follower *f, uint32_t bytes)
{
	struct burst *burst = &f->burst;

	if (burst->bytes == 0)
	{
		burst->begun_ms = p->now_ms;
		if (burst->log_bytes == 0)
			burst->log_bytes = p->bytes_taken;
	}
	burst->bytes += bytes;
}

void catch_up_answered(const struct paxos *p, struct follower *f)
{
	struct burst *burst = &f->burst;

	if (burst->sent && f->n_flights == 0 && burst->rest_until_ms == 0)
		burst->rest_until_ms =
			p->now_ms + min_u64(REST_FACTOR * (p->now_ms - burst->begun_ms + 1), REST_MAX_MS);
}

/* When the next rest ends.  One that is over already is no deadline: there may be nothing more to send. */
uint64_t catch_up_deadline(const struct paxos *p)
{
	uint64_t deadline = UINT64_MAX;

	for (uint32_t i = 0; i < p->n_peers && p->role == PAXOS_LEADER; i++)
	{
		const struct follower *f = &p->peers[i].follower;

		if (f->burst.sent && f->burst.rest_until_ms > p->now_ms)
			deadline = min_u64(deadline, f->burst.rest_until_ms);
	}
	return deadline;
}
