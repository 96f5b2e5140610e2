/*
 * install.c - what CREATE EXTENSION checks and tells the workers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "sql/arguments.h"

PG_FUNCTION_INFO_V1(paxoskv_extension_created);

/* The worker would not find an extension that is not committed yet. */
static bool created_here = false;

static void on_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_COMMIT && created_here)
		client_extension_created();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		created_here = false;
}

static void wake_at_commit(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(on_transaction_end, NULL);
	registered = true;
	created_here = true;
}

/*
 * Called at the end of the install script.  The database must be the one that the apply worker writes to, and
 * in UTF8: keys are compared as bytes on all nodes alike.
 */
Datum paxoskv_extension_created(PG_FUNCTION_ARGS)
{
	if (!client_preloaded())
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("paxoskv is not preloaded, so that nothing of it works yet"),
				 errhint("Add it to shared_preload_libraries in postgresql.conf and restart the server.")));
	check_database();
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("paxoskv needs a database in encoding UTF8"),
				 errdetail("This one is in %s.", GetDatabaseEncodingName()),
				 errhint("CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0 makes one; name it in "
						 "paxoskv.database.")));
	wake_at_commit();
	PG_RETURN_VOID();
}
