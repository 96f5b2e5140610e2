/*
 * trim.c - paxos_trim(): this node's log lets go of what its table holds.
 */
#include "postgres.h"

#include "fmgr.h"

#include "sql/arguments.h"
#include "worker/client.h"

PG_FUNCTION_INFO_V1(paxos_trim);

Datum paxos_trim(PG_FUNCTION_ARGS)
{
	check_database();
	PG_RETURN_INT64((int64) client_trim());
}
