/*
 * client_errors.c - the errors of DESIGN section 5: SQLSTATE, message, DETAIL and HINT.
 */
#include "postgres.h"

#include "worker/client_errors.h"
#include "worker/settings.h"

static const char *no_effect(RequestKind kind)
{
	return kind == REQUEST_COMMAND ? "The command was not applied and will not be."
								   : "Nothing was read; it is safe to try again.";
}

void require_preloaded(void)
{
	if (paxos_shared == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("paxoskv is not preloaded"),
						errhint("Add paxoskv to shared_preload_libraries and restart the server.")));
}

/* 55000 with what the workers say of it; their own hint, if there is one, is the better one. */
static void refuse_state(RequestKind kind, const char *message, const char *hint)
{
	ClientStatus status;
	char own_hint[sizeof(paxos_shared->hint)];

	client_status(&status);
	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	strlcpy(own_hint, paxos_shared->hint, sizeof(own_hint));
	LWLockRelease(paxos_shared->status_lock);
	if (own_hint[0] != '\0')
		hint = own_hint;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("%s", message),
					errdetail("%s%s%s", status.detail, status.detail[0] ? " " : "", no_effect(kind)),
					hint ? errhint("%s", hint) : 0));
}

void refuse(RequestKind kind, Admission admission)
{
	switch (admission)
	{
		case ADMIT_NO_QUORUM:
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
							errmsg("this node cannot reach a majority of the nodes"),
							errdetail("%s", no_effect(kind)),
							errhint("View paxoskv.nodes shows which nodes are connected.")));
			break;
		case ADMIT_APPLY_BEHIND:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("this node is too far behind in applying commands"),
					 errdetail("%s", no_effect(kind)), errhint("Try again later, or on another node.")));
			break;
		case ADMIT_DISK_FULL:
			ereport(ERROR, (errcode(ERRCODE_DISK_FULL), errmsg("the disk of this node's paxoskv log is full"),
							errdetail("%s", no_effect(kind)),
							errhint("Free space on it; another node may still take commands.")));
			break;
		case ADMIT_UNFORMED:
			refuse_state(
				kind, "the cluster has not formed",
				"A cluster forms once all nodes of paxoskv.peers are up, with the same list on each.");
			break;
		case ADMIT_OUTSIDER:
			refuse_state(kind, "this server is not a member of the cluster",
						 "Put its old log directory back, or let it join as a new node, under a new "
						 "paxoskv.node_id.");
			break;
		case ADMIT_FENCED:
			refuse_state(kind, "another run of this node is alive",
						 "Stop both servers and let new nodes with new ids take their place.");
			break;
		case ADMIT_APPLY_STOPPED:
			refuse_state(kind, "apply has stopped on this node", "The server's log says why.");
			break;
		default:
			refuse_state(kind, "the paxoskv worker is dormant", "The server's log says why.");
	}
	pg_unreachable();
}

void refuse_late(RequestKind kind)
{
	Admission admission = (Admission) pg_atomic_read_u32(&paxos_shared->admission);
	ClientStatus status;

	client_status(&status);
	if (admission == ADMIT_STARTING && status.detail[0] != '\0')
		refuse_state(kind, "paxoskv is not ready on this node", NULL);
	if (admission == ADMIT_STARTING)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("paxoskv is still starting on this node"),
				 errdetail("%s", no_effect(kind)), errhint("Try again.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 kind == REQUEST_COMMAND ? errmsg("no leader took the command within paxoskv.commit_timeout")
									 : errmsg("the read was not confirmed within paxoskv.commit_timeout"),
			 errdetail("%s", no_effect(kind)), errhint("Try again.")));
}

void refuse_queue_full(RequestKind kind, bool for_bytes)
{
	if (for_bytes)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("there was no room for the command's bytes within paxoskv.commit_timeout"),
						errdetail("Large commands share %llu MB of memory. %s",
								  (unsigned long long) (shmem_arena_bytes() >> 20), no_effect(kind)),
						errhint("Try again later, or write less at once.")));
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					errmsg("the queue of commands and reads was full for paxoskv.commit_timeout"),
					errdetail("%s", no_effect(kind)),
					errhint("Try again later; paxoskv.queue_size sets how many can be under way.")));
	pg_unreachable();
}

void raise_unknown(Request *request, const char *why)
{
	uint64 slot = pg_atomic_read_u64(&request->chosen_slot);
	unsigned long long session = request->session;
	unsigned long long number = request->number;

	if (slot != 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
				 errmsg("the command is chosen and not yet applied on this node"),
				 errdetail("Command s%llu-%llu was chosen in slot %llu and will be applied. %s", session,
						   number, (unsigned long long) slot, why),
				 errhint("Do not repeat it. It is applied here once applied_slot in paxos_status() has "
						 "reached slot %llu.",
						 (unsigned long long) slot)));
	ereport(ERROR,
			(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
			 errmsg("the outcome of the command is unknown"),
			 errdetail("Command s%llu-%llu may be applied or not. %s", session, number, why),
			 errhint("Before repeating it, read what it should have changed. It can take effect later too; "
					 "paxos_log() lists it by session %llu and number %llu once it is chosen.",
					 session, number)));
	pg_unreachable();
}

void raise_result_lost(uint64 session, uint64 number, uint64 slot, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
			 errmsg("the command was applied, its result was not kept"),
			 errdetail("Command s%llu-%llu was applied in slot %llu; %s.", (unsigned long long) session,
					   (unsigned long long) number, (unsigned long long) slot, why),
			 errhint("Do not repeat it; a read shows what is there now.")));
	pg_unreachable();
}

void raise_cancelled_late(uint64 session, uint64 number, uint64 slot, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
					errmsg("the statement was cancelled after its command was applied"),
					errdetail("Command s%llu-%llu was applied in slot %llu. %s", (unsigned long long) session,
							  (unsigned long long) number, (unsigned long long) slot, why),
					errhint("Do not repeat it.")));
	pg_unreachable();
}

void refuse_not_applied(uint64 slot)
{
	bool is_chosen = slot <= pg_atomic_read_u64(&paxos_shared->chosen_slot);

	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
		 errmsg("slot %llu was not applied on this node within paxoskv.commit_timeout",
				(unsigned long long) slot),
		 errdetail("This node has applied through slot %llu. Nothing was changed; it is safe to try again.",
				   (unsigned long long) pg_atomic_read_u64(&paxos_shared->applied_slot)),
		 is_chosen
			 ? errhint("Something may hold a lock on paxoskv.kv; detail in paxos_status() says what apply "
					   "waits for.")
			 : errhint("This node does not know of a write in that slot: there is none yet, or this "
					   "node has not heard of it.")));
	pg_unreachable();
}
