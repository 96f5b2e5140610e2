/*
 * client_status.c - what a backend is told of this node without asking anyone, and tells it without waiting.
 */
#include "postgres.h"

#include "access/xlog.h"

#include "worker/client.h"
#include "worker/shmem.h"

bool client_preloaded(void)
{
	return paxos_shared != NULL;
}

/* Either between two lives, or never registered (the server's log has "too many background workers"). */
static void describe_missing_worker(ClientStatus *status)
{
	bool no_consensus = pg_atomic_read_u32(&paxos_shared->consensus_procno) == (uint32) NO_PROC;
	bool no_apply = pg_atomic_read_u32(&paxos_shared->apply_procno) == (uint32) NO_PROC;

	if (!no_consensus && !no_apply)
		return;
	snprintf(status->detail, sizeof(status->detail),
			 "The %s worker is not running; if that goes on, the server's log says why, or "
			 "max_worker_processes is too low.",
			 no_consensus ? "consensus" : "apply");
}

void client_status(ClientStatus *status)
{
	PaxosShared *shared = paxos_shared;

	memset(status, 0, sizeof(*status));
	if (shared == NULL)
	{
		strlcpy(status->role, "dormant", sizeof(status->role));
		strlcpy(status->detail, "paxoskv is not in shared_preload_libraries.", sizeof(status->detail));
		return;
	}
	LWLockAcquire(shared->status_lock, LW_SHARED);
	*status = shared->status;
	if (shared->report.detail[0] != '\0' && (status->detail[0] == '\0' || shared->report.stopped))
		strlcpy(status->detail, shared->report.detail, sizeof(status->detail));
	if (pg_atomic_read_u32(&shared->state.diverged) != 0)
		strlcpy(status->detail, shared->state.divergence, sizeof(status->detail));
	LWLockRelease(shared->status_lock);
	status->chosen_slot = pg_atomic_read_u64(&shared->chosen_slot);
	status->applied_slot = pg_atomic_read_u64(&shared->applied_slot);
	status->last_slot = Max(status->last_slot, status->chosen_slot); /* published less often */
	status->commands = pg_atomic_read_u64(&shared->commands);
	status->syncs = pg_atomic_read_u64(&shared->syncs);
	for (int i = 0; i < status->n_nodes; i++)
		if (status->nodes[i].self)
			status->nodes[i].applied_slot = status->applied_slot;
	if (status->detail[0] == '\0')
		describe_missing_worker(status);
	if (RecoveryInProgress())
	{
		strlcpy(status->role, "dormant", sizeof(status->role));
		strlcpy(status->detail, "This server is a standby; its workers start when it is promoted.",
				sizeof(status->detail));
	}
}

bool client_is_member(void)
{
	bool member;

	if (paxos_shared == NULL)
		return false;
	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	member = paxos_shared->member;
	LWLockRelease(paxos_shared->status_lock);
	return member;
}

bool client_begin_load(void)
{
	bool agreed;

	if (paxos_shared == NULL)
		return true;
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	agreed = paxos_shared->agreed;
	if (!agreed)
		paxos_shared->loads++;
	LWLockRelease(paxos_shared->status_lock);
	return !agreed;
}

void client_extension_created(void)
{
	if (paxos_shared != NULL)
		shmem_wake_apply();
}
