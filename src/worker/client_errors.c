/*
 * client_errors.c - the errors of DESIGN section 5: SQLSTATE, message, DETAIL and HINT.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "paxos/outcome.h"
#include "worker/client_errors.h"
#include "worker/settings.h"

static const char *no_effect(Refused refused)
{
	switch (refused)
	{
		case REFUSED_COMMAND:
			return "The command was not applied and will not be.";
		case REFUSED_ATTEMPT:
			return "This attempt was not applied and will not be; an earlier one with its request id may "
				   "have "
				   "been.";
		case REFUSED_TRIM:
			return "The log was not trimmed.";
		case REFUSED_READ:
			break;
	}
	return "Nothing was read; it is safe to try again.";
}

void require_preloaded(void)
{
	if (paxos_shared == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("paxoskv is not preloaded"),
						errhint("Add paxoskv to shared_preload_libraries and restart the server.")));
}

/* The store lives in one database of the server. */
void client_require_database(void)
{
	static Oid checked = InvalidOid;
	char *name;

	if (checked == MyDatabaseId)
		return;
	name = get_database_name(MyDatabaseId);
	if (name == NULL || strcmp(name, paxoskv_database) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the store is in database \"%s\"", paxoskv_database),
				 errhint("Connect to that database, or set paxoskv.database and restart the server.")));
	checked = MyDatabaseId;
}

void client_require_primary(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("a standby confirms no reads"),
				 errdetail("Its paxoskv workers are dormant until it is promoted."),
				 errhint("Read with consistency 'local', or on a node of the cluster.")));
}

/* 55000 with what the workers say of it; their own hint, if there is one, is the better one. */
static void refuse_state(Refused refused, const char *message, const char *hint)
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
					errdetail("%s%s%s", status.detail, status.detail[0] ? " " : "", no_effect(refused)),
					hint ? errhint("%s", hint) : 0));
}

void refuse(Refused refused, Admission admission)
{
	switch (admission)
	{
		case ADMIT_NO_QUORUM:
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
							errmsg("this node cannot reach a majority of the nodes"),
							errdetail("%s", no_effect(refused)),
							errhint("View paxoskv.nodes shows which nodes are connected.")));
			break;
		case ADMIT_APPLY_BEHIND:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg("this node is too far behind in applying commands"),
					 errdetail("%s", no_effect(refused)), errhint("Try again later, or on another node.")));
			break;
		case ADMIT_DISK_FULL:
			ereport(ERROR, (errcode(ERRCODE_DISK_FULL), errmsg("the disk of this node's paxoskv log is full"),
							errdetail("%s", no_effect(refused)),
							errhint("Free space on it; another node may still take commands.")));
			break;
		case ADMIT_UNFORMED:
			refuse_state(
				refused, "the cluster has not formed",
				"A cluster forms once all nodes of paxoskv.peers are up, with the same list on each.");
			break;
		case ADMIT_OUTSIDER:
			refuse_state(refused, "this server is not a member of the cluster",
						 "Put its old log directory back, or let it join as a new node, under a new "
						 "paxoskv.node_id.");
			break;
		case ADMIT_FENCED:
			refuse_state(refused, "another run of this node is alive",
						 "Stop both servers and let new nodes with new ids take their place.");
			break;
		case ADMIT_APPLY_STOPPED:
			refuse_state(refused, "apply has stopped on this node", "The server's log says why.");
			break;
		case ADMIT_DIVERGED:
			refuse_state(refused, "the rows of this node are not the cluster's",
						 "Use another node. Here, paxos_resync() takes the rows of another one.");
			break;
		default:
			refuse_state(refused, "the paxoskv worker is dormant", "The server's log says why.");
	}
	pg_unreachable();
}

void refuse_late(Refused refused)
{
	Admission admission = (Admission) pg_atomic_read_u32(&paxos_shared->admission);
	ClientStatus status;

	client_status(&status);
	if (admission == ADMIT_STARTING && status.detail[0] != '\0')
		refuse_state(refused, "paxoskv is not ready on this node", NULL);
	if (admission == ADMIT_STARTING)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("paxoskv is still starting on this node"),
				 errdetail("%s", no_effect(refused)), errhint("Try again.")));
	if (refused == REFUSED_TRIM)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("the log was not trimmed within paxoskv.commit_timeout"),
				 errdetail("It may be, in a moment: nothing that is needed goes."), errhint("Try again.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 refused != REFUSED_READ ? errmsg("no leader took the command within paxoskv.commit_timeout")
									 : errmsg("the read was not confirmed within paxoskv.commit_timeout"),
			 errdetail("%s", no_effect(refused)), errhint("Try again.")));
}

void refuse_queue_full(Refused refused, bool for_bytes)
{
	if (for_bytes)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("there was no room for the command's bytes within paxoskv.commit_timeout"),
						errdetail("Large commands share %llu MB of memory. %s",
								  (unsigned long long) (shmem_arena_bytes() >> 20), no_effect(refused)),
						errhint("Try again later, or write less at once.")));
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					errmsg("the queue of commands and reads was full for paxoskv.commit_timeout"),
					errdetail("%s", no_effect(refused)),
					errhint("Try again later; paxoskv.queue_size sets how many can be under way.")));
	pg_unreachable();
}

const char *request_id_of(Request *request)
{
	return (const char *) shmem_request_data(request) + ENTRY_HEADER_BYTES + 1;
}

uint32 request_id_length_of(Request *request)
{
	return request->has_request_id ? shmem_request_data(request)[ENTRY_HEADER_BYTES] : 0;
}

/* "s12-34", or "s12-34 (request id "mine")". */
static const char *name_of(Request *request)
{
	char name[COMMAND_NAME_MAX];

	command_name(request->session, request->number, name);
	if (request->has_request_id)
		return psprintf("%s (request id \"%.*s\")", name, (int) request_id_length_of(request),
						request_id_of(request));
	return pstrdup(name);
}

/* What paxos_outcome() is asked, as a literal. */
static const char *question_of(Request *request)
{
	char name[COMMAND_NAME_MAX];

	command_name(request->session, request->number, name);
	if (request->has_request_id)
		return quote_literal_cstr(pnstrdup(request_id_of(request), request_id_length_of(request)));
	return quote_literal_cstr(name);
}

void raise_unknown(Request *request, const char *why)
{
	uint64 slot = pg_atomic_read_u64(&request->chosen_slot);

	/* With a request id, or given up, it may have no effect even so. */
	pg_read_barrier();
	if (slot != 0 && !request->has_request_id && !request->may_be_void)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
				 errmsg("the command is chosen and not yet applied on this node"),
				 errdetail("Command %s was chosen in slot %llu and will be applied. %s", name_of(request),
						   (unsigned long long) slot, why),
				 errhint("Do not repeat it. It is applied here once applied_slot in paxos_status() has "
						 "reached slot %llu.",
						 (unsigned long long) slot)));
	ereport(ERROR,
			(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
			 errmsg("the outcome of the command is unknown"),
			 errdetail("Command %s may be applied or not. %s", name_of(request), why),
			 errhint("SELECT * FROM paxos_outcome(%s) tells what became of it; with give_up => true it is "
					 "not applied later than that.",
					 question_of(request))));
	pg_unreachable();
}

void raise_conflict(const char *request_id, uint32 length)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("request id \"%.*s\" belongs to another command", (int) length, request_id),
					errdetail("This command was not applied."),
					errhint("Use a new request id for each command, and the same one only to repeat it.")));
	pg_unreachable();
}

void raise_given_up(void)
{
	/* Of a request id an earlier attempt may have been applied and forgotten (O5). */
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("the command was given up"),
			 errdetail("This attempt was not applied and will not be: paxos_outcome() was called for it "
					   "with give_up => true."),
			 errhint("To do it all the same, use a new request id.")));
	pg_unreachable();
}

void raise_too_old(Request *request)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN), errmsg("the command came too late"),
			 errdetail("Command %s was not applied: so many later request ids came before it that an earlier "
					   "copy of it may have been applied and forgotten.",
					   name_of(request)),
			 errhint("Read what it should have changed; to repeat it, use a new request id.")));
	pg_unreachable();
}

void raise_result_lost(uint64 session, uint64 number, uint64 slot, const char *why)
{
	char name[COMMAND_NAME_MAX];

	command_name(session, number, name);
	ereport(ERROR,
			(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
			 errmsg("the command was applied, its result was not kept"),
			 errdetail("Command %s was applied in slot %llu; %s.", name, (unsigned long long) slot, why),
			 errhint("Do not repeat it; a read shows what is there now.")));
	pg_unreachable();
}

void raise_result_forgotten(uint64 slot)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
			 errmsg("the command was applied, its result was not kept"),
			 errdetail("It was applied in slot %llu; what its operations read is too large to be remembered.",
					   (unsigned long long) slot),
			 errhint("Do not repeat it; a read shows what is there now.")));
	pg_unreachable();
}

void raise_cancelled_late(uint64 session, uint64 number, uint64 slot, const char *why)
{
	char name[COMMAND_NAME_MAX + 1] = "";

	if (number != 0)
	{
		name[0] = ' ';
		command_name(session, number, name + 1);
	}
	ereport(ERROR, (errcode(ERRCODE_T_R_STATEMENT_COMPLETION_UNKNOWN),
					errmsg("the statement was cancelled after its command was applied"),
					errdetail("Command%s was applied in slot %llu. %s", name, (unsigned long long) slot, why),
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

void error_as_sentence(MemoryContext context, char *why, size_t size)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	snprintf(why, size, "%c%s.", pg_toupper((unsigned char) error->message[0]), error->message + 1);
}
