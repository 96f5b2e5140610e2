-- What CREATE EXTENSION makes, and where it refuses.
-- 18 says where in the script
\set SHOW_CONTEXT never

-- the database must be the one that the workers write to
\set database :DBNAME
\c postgres
CREATE EXTENSION paxoskv;
\c :database
-- keys are UTF8 on all nodes
SHOW server_encoding;

-- a schema of that name is not taken over
CREATE SCHEMA paxoskv;
CREATE EXTENSION paxoskv;
DROP SCHEMA paxoskv;

CREATE EXTENSION paxoskv;

-- a cluster of one forms at its first write; until then the extension can go as it came
DO $$
BEGIN
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN (SELECT role <> 'starting' FROM paxos_status());
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;
SELECT role, epoch FROM paxos_status();
DROP EXTENSION paxoskv;
SELECT count(*) FROM pg_namespace WHERE nspname = 'paxoskv';
CREATE EXTENSION paxoskv;

-- a command works soon after, at the latest after two seconds; ten are for a busy machine
DO $$
DECLARE
	began timestamptz := clock_timestamp();
BEGIN
	LOOP
		BEGIN
			PERFORM paxos_put('first', 'key');
			EXIT;
		EXCEPTION WHEN object_not_in_prerequisite_state OR insufficient_resources THEN
			IF clock_timestamp() > began + interval '10 seconds' THEN
				RAISE;
			END IF;
			PERFORM pg_sleep(0.05);
		END;
	END LOOP;
END
$$;

-- the status follows within a tenth of a second
DO $$
BEGIN
	FOR i IN 1 .. 100 LOOP
		EXIT WHEN (SELECT role = 'leader' FROM paxos_status());
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;
SELECT role, leader_id, epoch FROM paxos_status();

SELECT extname, extversion, extrelocatable, n.nspname
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE extname = 'paxoskv';

-- functions: names of parameters, defaults and return types are promises
SELECT p.proname || '(' || pg_get_function_arguments(p.oid) || ')' AS function,
	pg_get_function_result(p.oid) AS result
FROM pg_proc p
WHERE p.proname LIKE 'paxos\_%' AND p.proname NOT IN ('paxos_status', 'paxos_log')
ORDER BY p.proname, pg_get_function_arguments(p.oid) COLLATE "C";

SELECT proname, proargnames[1:2] AS first_two, pg_get_function_result(oid) AS result
FROM pg_proc
WHERE proname IN ('paxos_status', 'paxos_log')
ORDER BY proname;

-- all volatile, parallel unsafe, not strict, not for PUBLIC, and explained
SELECT count(*) AS functions, bool_and(p.provolatile = 'v') AS volatile,
	bool_and(p.proparallel = 'u') AS unsafe, bool_or(p.proisstrict) AS strict,
	bool_or(has_function_privilege('public', p.oid, 'EXECUTE')) AS public,
	bool_and(obj_description(p.oid, 'pg_proc') IS NOT NULL) AS explained
FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'paxoskv';

-- each write says when it takes effect
SELECT p.proname, pg_get_function_identity_arguments(p.oid) AS arguments
FROM pg_proc p
WHERE obj_description(p.oid, 'pg_proc') LIKE '%takes effect when it returns, whatever the transaction does'
ORDER BY p.proname, pg_get_function_identity_arguments(p.oid) COLLATE "C";

-- the table, as designed
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull, attstorage,
	col_description(attrelid, attnum) AS description
FROM pg_attribute
WHERE attrelid = 'paxoskv.kv'::regclass AND attnum > 0
ORDER BY attnum;
SELECT unnest(reloptions) AS option FROM pg_class WHERE oid = 'paxoskv.kv'::regclass ORDER BY option;
SELECT indexrelid::regclass AS index, indisunique, indisreplident, pg_get_indexdef(indexrelid) AS definition
FROM pg_index
WHERE indrelid = 'paxoskv.kv'::regclass;
\d paxoskv.data
\d paxoskv.nodes
\d paxoskv.key_value

-- a second time
CREATE EXTENSION paxoskv;
