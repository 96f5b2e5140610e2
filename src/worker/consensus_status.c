/*
 * consensus_status.c - what everybody else may see of the consensus worker: whether requests are admitted
 * now, and the status that client_status() copies.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "worker/consensus.h"
#include "worker/settings.h"

#define REFRESH_MS 20
#define PUBLISH_MS 100
/* Where nothing happens: when the others were last heard, and why they can't be reached. */
#define PUBLISH_IDLE_MS 1000
/* T2: chosen and unapplied, in slots or in bytes of the log, beyond which this node's own clients are refused. */
#define UNAPPLIED_SLOTS_MAX 50000
#define UNAPPLIED_BYTES_MAX (UINT64CONST(64) << 20)

/* ---------------------------------------------------------------- admission */

/* Whether the last two rounds (E1) of a node that has seen one found no quorum. */
static bool quorum_is_lost(void)
{
	uint64 two_rounds = 2 * (uint64) paxoskv_election_timeout / 5;

	if (consensus.status.quorum || consensus.status.forming_view)
	{
		consensus.no_quorum_since_ms = 0;
		return false;
	}
	if (consensus.no_quorum_since_ms == 0)
		consensus.no_quorum_since_ms = consensus.now_ms;
	return consensus.now_ms - consensus.no_quorum_since_ms >= two_rounds;
}

static bool is_apply_far_behind(void)
{
	uint64 applied = pg_atomic_read_u64(&paxos_shared->applied_slot);

	if (consensus.chosen <= applied)
		return false;
	return consensus.chosen - applied > UNAPPLIED_SLOTS_MAX ||
		   plog_bytes_from(consensus.log, applied + 1) > UNAPPLIED_BYTES_MAX;
}

static Admission unformed_admission(void)
{
	if (consensus.formation.state == FORMATION_OUTSIDER)
		return ADMIT_OUTSIDER;
	return formation_alone() ? ADMIT : ADMIT_UNFORMED;
}

static Admission compute_admission(bool lost)
{
	PaxosShared *shared = paxos_shared;
	DatabaseState database;
	bool stopped;

	LWLockAcquire(shared->status_lock, LW_SHARED);
	database = shared->report.database;
	stopped = shared->report.stopped;
	LWLockRelease(shared->status_lock);
	if (consensus.core == NULL && unformed_admission() != ADMIT)
		return unformed_admission();
	if (pg_atomic_read_u32(&shared->state.diverged) != 0)
		return ADMIT_DIVERGED;
	if (stopped)
		return ADMIT_APPLY_STOPPED;
	if (consensus.log_full)
		return ADMIT_DISK_FULL;
	if (lost)
		return ADMIT_NO_QUORUM;
	if (database != DATABASE_READY)
		return ADMIT_STARTING;
	/* What is chosen meanwhile would be applied here when its clients have long been told that nobody knows. */
	if (consensus.status.behind != 0 || snapshot_loads())
		return ADMIT_APPLY_BEHIND;
	if (is_apply_far_behind())
		return ADMIT_APPLY_BEHIND;
	return ADMIT;
}

/* E1: an answer that comes after its round has ended never counts. */
static void warn_of_slow_rounds(void)
{
	uint64 round_ms = (uint64) paxoskv_election_timeout / 5;

	if (consensus.status.round_trip_max_ms <= round_ms ||
		!log_limit_pass(&consensus.slow_rounds, consensus.now_ms, NULL))
		return;
	ereport(WARNING, (errmsg("paxoskv: a heartbeat to another node took %llu ms",
							 (unsigned long long) consensus.status.round_trip_max_ms),
					  errdetail("A fifth of paxoskv.election_timeout, %llu ms, is all that it may take.",
								(unsigned long long) round_ms),
					  errhint("If this goes on, set a longer paxoskv.election_timeout on all nodes.")));
}

static void report_healed(void)
{
	if (!consensus.damage_reported || consensus.status.damage.damaged)
		return;
	consensus.damage_reported = false;
	ereport(LOG, (errmsg("paxoskv log is whole again through slot %llu",
						 (unsigned long long) consensus.status.end)));
}

void status_refresh(bool now)
{
	bool had_quorum = consensus.status.quorum;
	Admission admission;
	bool lost;

	consensus.refresh_skipped = !now && consensus.now_ms < consensus.admission_checked_ms + REFRESH_MS;
	if (consensus.refresh_skipped)
		return;
	consensus.admission_checked_ms = consensus.now_ms;
	if (consensus.core != NULL)
	{
		paxos_status(consensus.core, &consensus.status);
		warn_of_slow_rounds();
		report_healed();
	}
	lost = consensus.core != NULL && quorum_is_lost();
	admission = compute_admission(lost);
	if (admission != consensus.admission || (consensus.status.quorum && !had_quorum))
		consensus.status_due = true;
	consensus.admission = admission;
	pg_atomic_write_u32(&paxos_shared->admission, admission);
	report_cluster(lost);
	requests_refuse_waiting();
	requests_advance();
}

/* ---------------------------------------------------------------- status */

static const char *role_name(void)
{
	if (consensus.core == NULL)
		return consensus.formation.state == FORMATION_OUTSIDER ? "outsider" : "unformed";
	if (consensus.status.role == PAXOS_FENCED)
		return "fenced";
	if (consensus.status.damage.damaged)
		return "damaged";
	if (consensus.status.role == PAXOS_LEADER)
		return "leader";
	return consensus.status.role == PAXOS_CANDIDATE ? "candidate" : "follower";
}

static TimestampTz wall_clock(uint64 heard_ms)
{
	if (heard_ms == 0 || heard_ms > consensus.now_ms)
		return 0;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), -(int64) (consensus.now_ms - heard_ms));
}

static void fill_peer(ClientNode *node, const struct paxos_peer_status *peer)
{
	node->connected = peer->connected;
	node->applied_known = peer->last_heard_ms != 0;
	node->applied_slot = peer->applied;
	node->end_slot = peer->end;
	node->bytes_behind = consensus.status.role == PAXOS_LEADER ? (int64) peer->bytes_behind : -1;
	node->last_heard_at = wall_clock(peer->last_heard_ms);
	if (peer->damaged)
		strlcpy(node->trouble, "its log is damaged", sizeof(node->trouble));
	else if (!peer->connected && consensus.transport != NULL)
		(void) transport_peer_error(consensus.transport, peer->node_id, node->trouble);
}

static void fill_self(ClientNode *node)
{
	node->self = node->connected = node->applied_known = true;
	node->applied_slot = pg_atomic_read_u64(&paxos_shared->applied_slot);
	node->end_slot = consensus.status.end;
	node->bytes_behind = consensus.status.role == PAXOS_LEADER ? 0 : -1;
	node->last_heard_at = GetCurrentTimestamp();
}

static void fill_members(ClientStatus *status)
{
	const struct paxos_config *config = &consensus.config;

	status->n_nodes = (int) config->n_members;
	for (uint32 i = 0; i < config->n_members; i++)
	{
		ClientNode *node = &status->nodes[i];

		node->node_id = config->members[i].node_id;
		strlcpy(node->address, config->members[i].address, sizeof(node->address));
		node->voter = !config->members[i].learner;
		node->leader = node->node_id == consensus.status.leader_id;
		node->bytes_behind = -1;
		if (node->node_id == (uint32) paxoskv_node_id)
			fill_self(node);
		for (uint32 k = 0; k < consensus.status.n_peers; k++)
			if (consensus.status.peers[k].node_id == node->node_id && !node->self)
				fill_peer(node, &consensus.status.peers[k]);
		if (state_diverged(node->node_id))
			strlcpy(node->trouble, "its rows are not the cluster's", sizeof(node->trouble));
	}
}

static void fill_unformed_peers(ClientStatus *status)
{
	const struct formation *formation = &consensus.formation;

	status->n_nodes = (int) formation->options.n_peers;
	for (int i = 0; i < status->n_nodes; i++)
	{
		ClientNode *node = &status->nodes[i];

		node->node_id = formation->options.peers[i].node_id;
		strlcpy(node->address, formation->options.peers[i].address, sizeof(node->address));
		node->bytes_behind = -1;
		node->self = node->node_id == (uint32) paxoskv_node_id;
		node->connected = node->self || (consensus.transport != NULL &&
										 transport_connected(consensus.transport, node->node_id));
		if (!node->self)
			formation_describe_peer(node->trouble, sizeof(node->trouble), (uint32) i);
	}
}

/* Why something is not as it should be, for paxos_status() and for errors. */
static void fill_detail(ClientStatus *status)
{
	formation_describe(status->detail, sizeof(status->detail));
	if (status->detail[0] == '\0' && consensus.log_full)
		strlcpy(status->detail, "The log's disk is full.", sizeof(status->detail));
	if (status->detail[0] == '\0' && trim_is_prevented())
		strlcpy(status->detail, "The log is not trimmed, because fsync is or was off.",
				sizeof(status->detail));
	if (status->detail[0] == '\0')
		snapshot_describe(status->detail, sizeof(status->detail));
	if (status->detail[0] == '\0' && consensus.transport != NULL)
	{
		struct transport_status transport;

		transport_status(consensus.transport, &transport);
		strlcpy(status->detail, transport.listen_error, sizeof(status->detail));
	}
}

static void fill(ClientStatus *status)
{
	const struct paxos_status *core = &consensus.status;

	memset(status, 0, sizeof(*status));
	status->node_id = (uint32) paxoskv_node_id;
	strlcpy(status->cluster_name, paxoskv_cluster_name, sizeof(status->cluster_name));
	status->cluster_id = consensus.config.cluster_id;
	status->store_id = consensus.state.store_id;
	strlcpy(status->role, role_name(), sizeof(status->role));
	status->leader_id = core->leader_id;
	status->ballot = core->ballot;
	status->epoch = core->epoch;
	status->session = core->session;
	status->run = consensus.state.run;
	status->quorum = core->quorum;
	status->first_slot = core->first_slot;
	status->last_slot = core->end;
	status->log_bytes = plog_bytes(consensus.log);
	scrub_describe(status);
	status->elections = core->elections;
	fill_detail(status);
	if (consensus.core != NULL)
		fill_members(status);
	else
		fill_unformed_peers(status);
}

void status_publish(bool now)
{
	PaxosShared *shared = paxos_shared;
	static ClientStatus status;

	if (consensus.transport != NULL && consensus.now_ms >= consensus.status_published_ms + PUBLISH_IDLE_MS)
		consensus.status_due = true;
	/* Without a fresh look what is due would be published as it was before. */
	if (!now && (!consensus.status_due || consensus.refresh_skipped ||
				 consensus.now_ms < consensus.status_published_ms + PUBLISH_MS))
		return;
	consensus.status_due = false;
	consensus.status_published_ms = consensus.now_ms;
	fill(&status);
	pg_atomic_write_u64(&shared->log_bytes, status.log_bytes);
	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->status = status;
	LWLockRelease(shared->status_lock);
}
