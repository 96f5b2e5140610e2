-- Settings that ALTER DATABASE and ALTER ROLE give to every session: the apply worker has its own.
\set VERBOSITY terse
SELECT paxos_put('before', 'the settings') > 0 AS put;
CREATE ROLE regress_paxoskv_nobody;
CREATE SCHEMA hostile;
CREATE TABLE hostile.kv (key text);
CREATE FUNCTION pg_temp.set_all(what text, settings text[][]) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	name_and_value text[];
	n integer := 0;
BEGIN
	FOREACH name_and_value SLICE 1 IN ARRAY settings LOOP
		EXECUTE format('ALTER %s SET %s = %L', what, name_and_value[1], name_and_value[2]);
		n := n + 1;
	END LOOP;
	RETURN n;
END
$$;
-- ends the apply worker; the next one starts with what is set now
CREATE FUNCTION pg_temp.restart_apply() RETURNS boolean LANGUAGE sql AS $$
	SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'paxoskv apply worker'
$$;

-- of the database
SELECT pg_temp.set_all(format('DATABASE %I', current_database()), ARRAY[
	['role', 'regress_paxoskv_nobody'],
	['session_authorization', 'regress_paxoskv_nobody'],
	['search_path', 'hostile'],
	['default_transaction_read_only', 'on'],
	['default_transaction_isolation', 'serializable'],
	['default_transaction_deferrable', 'on'],
	['session_replication_role', 'local'],
	['statement_timeout', '1'],
	['lock_timeout', '1'],
	['idle_in_transaction_session_timeout', '1'],
	['idle_session_timeout', '1'],
	['exit_on_error', 'on'],
	['row_security', 'on'],
	['synchronous_commit', 'on'],
	['plan_cache_mode', 'force_custom_plan'],
	['enable_seqscan', 'on'],
	['enable_indexscan', 'off'],
	['enable_indexonlyscan', 'off'],
	['enable_bitmapscan', 'off'],
	['enable_tidscan', 'off'],
	['enable_nestloop', 'off'],
	['max_parallel_workers_per_gather', '8'],
	['parallel_setup_cost', '0'],
	['min_parallel_table_scan_size', '0'],
	['work_mem', '64kB'],
	['temp_file_limit', '0'],
	['temp_buffers', '800kB'],
	['max_stack_depth', '100kB'],
	['bytea_output', 'escape'],
	['client_encoding', 'LATIN1'],
	['DateStyle', 'SQL, DMY'],
	['TimeZone', 'Asia/Tokyo'],
	['standard_conforming_strings', 'off'],
	['transform_null_equals', 'on'],
	['quote_all_identifiers', 'on'],
	['check_function_bodies', 'off'],
	['default_tablespace', 'pg_global'],
	['default_toast_compression', 'pglz'],
	['jit_above_cost', '0'],
	['jit', 'on'],
	['paxoskv.read_consistency', 'local'],
	['paxoskv.in_transaction', 'error'],
	['paxoskv.commit_timeout', '1ms']]) > 0 AS set;
SELECT pg_temp.restart_apply();
SELECT paxos_put('under', 'settings of the database') > 0 AS put;
SELECT paxos_put('under', 'and again') > 0 AS put;
SELECT paxos_put('long', repeat('long ', 100000)) > 0 AS put;
SELECT paxos_batch('{a,b,c}', '{1,2,3}', 'batch') > 0 AS put;
SELECT paxos_delete('a', 'batch');
SELECT paxos_clear('batch');
SELECT paxos_batch(array_agg('key ' || i), array_agg(''::text), 'batch') > 0 AS put FROM generate_series(1, 5000) AS i;
SELECT paxos_clear('batch');
SELECT paxos_put('written', 'at once') > 0 AS put;
SELECT written_at BETWEEN now() - interval '1 hour' AND now() + interval '1 hour' AS now FROM paxos_get_row('written');
SELECT length(paxos_get('long'));
SELECT count(*) FROM hostile.kv;
ALTER DATABASE :DBNAME RESET ALL;

-- of the role it runs as, here and everywhere; and of all roles
SELECT pg_temp.set_all(what, ARRAY[
	['search_path', 'hostile'],
	['default_transaction_read_only', 'on'],
	['session_replication_role', 'origin'],
	['statement_timeout', '1'],
	['lock_timeout', '1']]) AS set
FROM (SELECT rolname FROM pg_roles WHERE oid = 10) AS bootstrap,
	unnest(ARRAY[format('ROLE %I', rolname), format('ROLE %I IN DATABASE %I', rolname, current_database()), 'ROLE ALL'])
		AS whats (what);
SELECT pg_temp.restart_apply();
SELECT paxos_put('under', 'settings of roles') > 0 AS put;
SELECT paxos_clear_all('paxoskv') > 0 AS cleared;
SELECT paxos_put('under', 'settings of roles') > 0 AS put;
DO $$
BEGIN
	EXECUTE format('ALTER ROLE %I RESET ALL', (SELECT rolname FROM pg_roles WHERE oid = 10));
	EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', (SELECT rolname FROM pg_roles WHERE oid = 10), current_database());
END
$$;
ALTER ROLE ALL RESET ALL;

-- of the server, at a reload
ALTER SYSTEM SET default_transaction_read_only = on;
ALTER SYSTEM SET search_path = hostile;
ALTER SYSTEM SET lock_timeout = 1;
ALTER SYSTEM SET statement_timeout = 1000;
SELECT pg_reload_conf();
BEGIN READ WRITE;
SELECT public.paxos_put('under', 'settings of the server') > 0 AS put;
COMMIT;
SELECT pg_temp.restart_apply();
BEGIN READ WRITE;
SELECT public.paxos_put('under', 'them, from the start') > 0 AS put;
COMMIT;
ALTER SYSTEM RESET default_transaction_read_only;
ALTER SYSTEM RESET search_path;
ALTER SYSTEM RESET lock_timeout;
ALTER SYSTEM RESET statement_timeout;
SELECT pg_reload_conf();
\c
SELECT paxos_get('under');
SELECT role, detail FROM paxos_status();
DROP SCHEMA hostile CASCADE;
DROP ROLE regress_paxoskv_nobody;
