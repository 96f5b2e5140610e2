/*
 * pg_compat.h - what differs between the PostgreSQL majors (15 to 18): the only place that looks at
 * PG_VERSION_NUM.
 */
#ifndef PAXOSKV_PG_COMPAT_H
#define PAXOSKV_PG_COMPAT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
#if PG_VERSION_NUM >= 180000
#include "storage/waiteventset.h"
#endif

/* A function that does not return; 18 has it so, for the front of a declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* The number of this process' PGPROC, and the latch of one by number. */
#if PG_VERSION_NUM >= 170000
#define compat_my_procno() ((int) MyProcNumber)
#else
#define compat_my_procno() (MyProc->pgprocno)
#endif
#define compat_proc_latch(procno) (&GetPGProcByNumber(procno)->procLatch)

/* A wait event set that lives as long as the process. */
#if PG_VERSION_NUM >= 170000
#define compat_create_wait_event_set(n) CreateWaitEventSet(NULL, (n))
#else
#define compat_create_wait_event_set(n) CreateWaitEventSet(TopMemoryContext, (n))
#endif

/* A wait event of our own, looked up once in each place; before 17 there is only one for all extensions. */
#if PG_VERSION_NUM >= 170000
#define compat_wait_event(name)                                                                              \
	(__extension__({                                                                                         \
		static uint32 wait_event;                                                                            \
		if (wait_event == 0)                                                                                 \
			wait_event = WaitEventExtensionNew(name);                                                        \
		wait_event;                                                                                          \
	}))
#else
#define compat_wait_event(name) PG_WAIT_EXTENSION
#endif

/* 16 tells apart what indexes a moved row needs entries in; 18 counts a scan's work. */
#if PG_VERSION_NUM >= 160000
#define CompatUpdateIndexes TU_UpdateIndexes
#define compat_update_all_indexes(update) ((update) == TU_All)
#define compat_insert_index_tuples(result, slot, executor, update)                                           \
	ExecInsertIndexTuples(result, slot, executor, update, false, NULL, NIL, false)
#else
#define CompatUpdateIndexes bool
#define compat_update_all_indexes(update) (update)
#define compat_insert_index_tuples(result, slot, executor, update)                                           \
	ExecInsertIndexTuples(result, slot, executor, update, false, NULL, NIL)
#endif
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(table, index, snapshot, n_keys)                                               \
	index_beginscan(table, index, snapshot, NULL, n_keys, 0)
#else
#define compat_index_beginscan(table, index, snapshot, n_keys)                                               \
	index_beginscan(table, index, snapshot, n_keys, 0)
#endif

/* The last parameter of ExecutorRun(), which 18 no longer has. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_EXECUTE_ONCE_PARAMETER
#define COMPAT_EXECUTE_ONCE_ARGUMENT
#else
#define COMPAT_EXECUTE_ONCE_PARAMETER , bool execute_once
#define COMPAT_EXECUTE_ONCE_ARGUMENT , execute_once
#endif

#endif /* PAXOSKV_PG_COMPAT_H */
