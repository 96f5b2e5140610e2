/*
 * consensus_report.c - what the server's log is told of the cluster: who leads, whether a majority is there,
 * and why a cluster does not form.
 *
 * Each is said when it changes; what goes on is said again ever more rarely, and what changes all the time
 * is summed up (transport/log_limit.h).
 */
#include "postgres.h"

#include "transport/log_limit.h"
#include "worker/consensus.h"
#include "worker/settings.h"

/* Changes that are said one by one, until they are summed up. */
#define CHANGES_BURST 4
/* A cluster that forms within this is no news. */
#define FORMING_MS 10000

/* What keeps the cluster from forming, without what changes from attempt to attempt. */
struct formation_key
{
	uint32 outsider;
	uint32 troubles[PAXOS_MAX_MEMBERS];
};

static struct
{
	struct paxos_ballot leader_ballot; /* of the leader last met */
	bool leader_is_news;
	uint32 leader_changes; /* since the last line */
	struct log_limit leader;

	bool majority_said_lost;
	uint64 majority_lost_ms;
	struct log_limit majority;
	struct log_limit majority_reminder;

	struct formation_key unformed;
	struct formation_key unformed_said;
	uint64 unformed_since_ms; /* it is as "unformed" says; 0: not looked at yet */
	struct log_limit forming;
	struct log_limit forming_reminder;
} report;

/* ---------------------------------------------------------------- the leader */

static void say_leader(void)
{
	char who[64] = "this node";
	char changes[64] = "";

	if (consensus.status.leader_id != (uint32) paxoskv_node_id)
		snprintf(who, sizeof(who), "node %u", consensus.status.leader_id);
	if (report.leader_changes > 1)
		snprintf(changes, sizeof(changes), "; %u changes since the last such line", report.leader_changes);
	ereport(LOG, (errmsg("paxoskv: the leader is %s now (ballot %llu.%u.%u%s)", who,
						 (unsigned long long) report.leader_ballot.round, report.leader_ballot.priority,
						 report.leader_ballot.node_id, changes)));
	report.leader_changes = 0;
	report.leader_is_news = false;
}

static void report_leader(void)
{
	const struct paxos_status *status = &consensus.status;

	report.leader.burst = CHANGES_BURST;
	if (status->leader_id != 0 && paxos_ballot_compare(status->ballot, report.leader_ballot) != 0)
	{
		report.leader_ballot = status->ballot;
		report.leader_is_news = true;
		report.leader_changes++;
	}
	if (report.leader_is_news && status->leader_id != 0 &&
		log_limit_pass(&report.leader, consensus.now_ms, NULL))
		say_leader();
}

/* ---------------------------------------------------------------- the majority */

static void say_majority_lost(void)
{
	char duration[LOG_LIMIT_TEXT_MAX];

	log_limit_duration(consensus.now_ms - report.majority_lost_ms, duration);
	ereport(
		LOG,
		(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
		 errmsg("paxoskv: this node has not reached a majority of the nodes for %s", duration),
		 errdetail("Writes and reads are refused here, but for reads with consistency \"local\"."),
		 errhint("View paxoskv.nodes shows which nodes are connected, and what is wrong with the others.")));
}

static void report_majority(bool lost)
{
	char duration[LOG_LIMIT_TEXT_MAX];

	report.majority.burst = CHANGES_BURST;
	if (!lost)
	{
		log_limit_duration(consensus.now_ms - report.majority_lost_ms, duration);
		if (report.majority_said_lost)
			ereport(LOG,
					(errmsg("paxoskv: this node reaches a majority of the nodes again, after %s", duration)));
		report.majority_said_lost = false;
		report.majority_lost_ms = 0;
		return;
	}
	if (report.majority_lost_ms == 0)
		report.majority_lost_ms = consensus.no_quorum_since_ms;
	if (consensus.now_ms - report.majority_lost_ms < (uint64) paxoskv_election_timeout)
		return;
	if (report.majority_said_lost)
	{
		if (log_limit_pass(&report.majority_reminder, consensus.now_ms, NULL))
			say_majority_lost();
	}
	else if (log_limit_pass(&report.majority, consensus.now_ms, NULL))
	{
		report.majority_said_lost = true;
		log_limit_begin(&report.majority_reminder, consensus.now_ms);
		say_majority_lost();
	}
}

/* ---------------------------------------------------------------- formation */

static struct formation_key formation_key(void)
{
	const struct formation *formation = &consensus.formation;
	struct formation_key key = {.outsider = formation->state == FORMATION_OUTSIDER};

	for (uint32 i = 0; i < formation->options.n_peers; i++)
		key.troubles[i] = formation->peers[i].trouble;
	return key;
}

/* Whether it is time to say what keeps the cluster from forming: when it has been so for a while. */
static bool unformed_is_due(void)
{
	struct formation_key key = formation_key();

	report.forming.burst = CHANGES_BURST;
	if (report.unformed_since_ms == 0 || memcmp(&key, &report.unformed, sizeof(key)) != 0)
	{
		report.unformed = key;
		report.unformed_since_ms = consensus.now_ms;
	}
	if (consensus.now_ms - report.unformed_since_ms < FORMING_MS)
		return false;
	if (report.forming.pause_ms != 0 && memcmp(&key, &report.unformed_said, sizeof(key)) == 0)
		return log_limit_pass(&report.forming_reminder, consensus.now_ms, NULL);
	if (!log_limit_pass(&report.forming, consensus.now_ms, NULL))
		return false;
	report.unformed_said = key;
	log_limit_begin(&report.forming_reminder, consensus.now_ms);
	return true;
}

static void report_unformed(void)
{
	char detail[512];

	if (!unformed_is_due())
		return;
	formation_describe(detail, sizeof(detail));
	if (detail[0] == '\0')
		strlcpy(detail, "All nodes have been heard, and not all have agreed yet.", sizeof(detail));
	if (report.unformed.outsider)
		ereport(LOG, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					  errmsg("paxoskv: this server is not a member of the cluster"), errdetail("%s", detail),
					  errhint("Put its old log directory back.")));
	else
		ereport(
			LOG,
			(errmsg("paxoskv: the cluster has not formed yet"), errdetail("%s", detail),
			 errhint("A cluster forms once all nodes of paxoskv.peers are up, with the same list on each.")));
}

void report_member(void)
{
	const struct paxos_config *config = &consensus.config;
	char nodes[PAXOS_MAX_MEMBERS * 16] = "";
	size_t used = 0;

	for (uint32 i = 0; i < config->n_members && used < sizeof(nodes); i++)
		used += snprintf(nodes + used, sizeof(nodes) - used, "%s%u", i > 0 ? ", " : "",
						 config->members[i].node_id);
	ereport(LOG, (errmsg("paxoskv: this is node %d of cluster \"%s\" (nodes %s); its log ends at slot %llu",
						 paxoskv_node_id, paxoskv_cluster_name, nodes,
						 (unsigned long long) consensus.state.paxos.end)));
}

void report_cluster(bool majority_lost)
{
	if (consensus.core != NULL)
	{
		report_leader();
		report_majority(majority_lost);
	}
	else if (!formation_alone())
		report_unformed();
}
