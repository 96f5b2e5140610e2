/*
 * paxoskv.c - the library's entry: settings, hooks, workers.
 *
 * All of it needs shared_preload_libraries.  Loaded later, by a call of one of its functions, the library
 * does nothing but let those functions say so.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "sql/hooks.h"
#include "sql/row_scan.h"
#include "worker/settings.h"
#include "worker/shmem.h"
#include "worker/workers.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void _PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	paxoskv_settings_define();
	if (IsBinaryUpgrade)
		return;
	paxoskv_settings_check();
	shmem_install_hooks();
	sql_install_hooks();
	sql_install_row_plans();
	workers_register();
}
