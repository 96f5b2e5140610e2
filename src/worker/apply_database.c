/*
 * apply_database.c - the apply worker's way to its tables: the database, its settings there, the extension.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "worker/apply_worker.h"
#include "worker/settings.h"
#include "worker/store_tables.h"

/* Looks the database up in a worker that is bound to none: by a scan, as autovacuum does. */
static Oid find_database(void)
{
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;
	Oid found = InvalidOid;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (strcmp(NameStr(database->datname), paxoskv_database) == 0)
			found = database->oid;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return found;
}

/* A worker connects once in its life: this one waits for the database, the next one connects to it. */
static void look_for_database(void)
{
	PaxosShared *shared = paxos_shared;
	char detail[NAMEDATALEN + 80];
	bool said = false;
	Oid oid;

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	snprintf(detail, sizeof(detail), "Database \"%s\" does not exist.", paxoskv_database);
	while (!OidIsValid(oid = find_database()))
	{
		if (!said)
			ereport(LOG, (errmsg("paxoskv waits for database \"%s\" to be created", paxoskv_database)));
		said = true;
		apply_report(DATABASE_MISSING, false, detail);
		apply_wait(APPLY_MISSING_POLL_MS);
		apply_reload_if_asked();
	}
	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->database_oid = oid;
	LWLockRelease(shared->status_lock);
	proc_exit(1);
}

void apply_connect(void)
{
	PaxosShared *shared = paxos_shared;
	bool tried;
	Oid oid;

	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	tried = shared->by_name;
	oid = shared->database_oid;
	shared->by_name = true;
	shared->database_oid = InvalidOid;
	LWLockRelease(shared->status_lock);
	if (OidIsValid(oid))
		BackgroundWorkerInitializeConnectionByOid(oid, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
	else if (!tried)
		BackgroundWorkerInitializeConnection(paxoskv_database, NULL, BGWORKER_BYPASS_ALLOWCONN);
	else
		look_for_database();
	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->by_name = false;
	LWLockRelease(shared->status_lock);
}

void apply_override_settings(void)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"search_path", ""},
		{"session_replication_role", "replica"},
		{"synchronous_commit", "off"},
		{"lock_timeout", "1s"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"row_security", "off"},
		{"temp_file_limit", "-1"}, /* a clear of many rows must not stop at it, again and again */
		{"exit_on_error", "off"},
		{"max_parallel_workers_per_gather", "0"},
		{"plan_cache_mode", "force_generic_plan"},
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"},
		{"enable_nestloop", "on"},
		{"enable_indexscan", "on"},
		{"jit", "off"},
		{"transaction_timeout", "0"},
	};

	/* ALTER DATABASE ... SET session_authorization or role would make it somebody without rights. */
	SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);
	for (int i = 0; i < (int) lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

Oid apply_find_extension(void)
{
	Oid extension;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	extension = get_extension_oid(PAXOSKV_EXTENSION, true);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return extension;
}

void apply_wait_for_extension(void)
{
	char detail[NAMEDATALEN + 100];
	bool said = false;

	if (GetDatabaseEncoding() != PG_UTF8)
	{
		snprintf(detail, sizeof(detail), "Database \"%s\" is not UTF8.", paxoskv_database);
		ereport(LOG, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("paxoskv needs a database in UTF8"),
					  errdetail("%s", detail)));
		apply_report(DATABASE_MISSING, true, detail);
		for (;;)
			apply_wait(-1);
	}
	snprintf(detail, sizeof(detail), "Extension paxoskv is not created in database \"%s\".",
			 paxoskv_database);
	while (!OidIsValid(apply_worker.extension = apply_find_extension()))
	{
		if (!said)
		{
			ereport(LOG, (errmsg("paxoskv waits for its extension to be created in database \"%s\"",
								 paxoskv_database),
						  errhint("CREATE EXTENSION paxoskv, there.")));
			apply_report(EXTENSION_MISSING, false, detail);
		}
		said = true;
		apply_wait(APPLY_MISSING_POLL_MS);
		apply_reload_if_asked();
	}
}
