-- Reads of many rows and writes by JSON inside transactions, loops and exception blocks.  (07_transactions has the others.)

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_batch('{a,b,c}', '{1,2,3}') > 0 AS put;

-- a write stays, whatever becomes of the transaction or the savepoint
BEGIN;
SAVEPOINT s;
SELECT paxos_batch_json('{"d": 4}') > 0 AS put;
ROLLBACK TO s;
SELECT key FROM paxos_range('c');
ROLLBACK;
SELECT key FROM paxos_range('c');

-- where a snapshot is kept, the functions see what is new and plain queries don't
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM paxoskv.data;
SELECT paxos_put('e', '5') > 0 AS put;
SELECT count(*) AS plain FROM paxoskv.data;
SELECT count(*) AS by_range FROM paxos_range();
SELECT count(*) AS by_prefix FROM paxos_prefix('');
SELECT count(*) AS by_keys FROM paxos_get_many('{a,e}');
SELECT (SELECT count(*) FROM paxos_range()) AS function, (SELECT count(*) FROM paxoskv.data) AS plain;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM paxos_range();
SELECT paxos_delete('e');
SELECT count(*) FROM paxos_range();
SELECT key FROM paxos_get_many('{d,e}');
COMMIT;

-- a call sees one state of the store: what its own query writes meanwhile is not in it
SELECT count(paxos_put(key || '!', value)) FROM paxos_range();
SELECT count(paxos_put(key || '!', value)) FROM (SELECT (r).* FROM (SELECT paxos_range(max_rows => 2) AS r) AS s) AS t;
SELECT key FROM paxos_range();
SELECT count(paxos_delete(key)) FROM paxos_range() WHERE key LIKE '%!%';
SELECT key FROM paxos_range();

-- cursors, held open over savepoints and writes
BEGIN;
DECLARE c CURSOR FOR SELECT key, value FROM paxos_range();
FETCH 1 FROM c;
SAVEPOINT s;
SELECT paxos_put('b', 'changed') > 0 AS put, paxos_delete('c');
FETCH 1 FROM c;
ROLLBACK TO s;
-- as PostgreSQL has it for any cursor, it stays where it was
FETCH 1 FROM c;
COMMIT;
SELECT key, value FROM paxos_range();

-- prepared statements
PREPARE range (text, bigint) AS SELECT key FROM paxos_range($1, max_rows => $2);
EXECUTE range ('b', 1);
EXECUTE range (NULL, NULL);
PREPARE many (text[]) AS SELECT key, value FROM paxos_get_many($1);
EXECUTE many ('{a,d}');
DEALLOCATE ALL;

-- a loop that changes what it reads, and in which something fails now and then
DO $$
DECLARE
	row record;
	skipped text[];
BEGIN
	FOR row IN SELECT key, value FROM paxos_range() LOOP
		BEGIN
			PERFORM paxos_put(row.key, (row.value::int + 1)::text);
		EXCEPTION WHEN invalid_text_representation THEN
			skipped := skipped || row.key;
		END;
	END LOOP;
	RAISE NOTICE 'skipped %', skipped;
END
$$;
SELECT key, value FROM paxos_range();
-- left in the middle
DO $$
DECLARE
	row record;
BEGIN
	FOR row IN SELECT (r).key FROM (SELECT paxos_range() AS r) AS s LOOP
		EXIT;
	END LOOP;
	FOR row IN SELECT key FROM paxos_range() LOOP
		RAISE division_by_zero;
	END LOOP;
EXCEPTION WHEN division_by_zero THEN
	RAISE NOTICE 'left at %', row.key;
END
$$;

-- An exception block tells refused (53000) from unknown (40003).  A time-out of a millisecond may strike anywhere.
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN 'done';
EXCEPTION
	WHEN insufficient_resources THEN
		RETURN 'refused';
	WHEN statement_completion_unknown THEN
		RETURN 'unknown';
END
$$;
CREATE TEMP TABLE tried (key text, outcome text);
SET paxoskv.commit_timeout = '1ms';
INSERT INTO tried
SELECT 'tried ' || i, try(format('SELECT paxos_batch_json(%L)', jsonb_build_object('tried ' || i, repeat('x', i * 10000))))
FROM generate_series(1, 30) AS i;
SELECT bool_and(try(command) IN ('done', 'refused')) AS known
FROM generate_series(1, 10), unnest(ARRAY['SELECT count(*) FROM paxos_range()', $$SELECT count(*) FROM paxos_prefix('a')$$,
	$$SELECT count(*) FROM paxos_get_many('{a,b}')$$, 'SELECT paxos_sync()']) AS command;
SELECT try('SELECT paxos_wait(9000000000000000000)');
RESET paxoskv.commit_timeout;
-- what is under way is done before the next command
SELECT paxos_put('after', '') > 0 AS put;
SELECT count(*) AS tried, bool_and(outcome <> 'done' OR r.key IS NOT NULL) AS done_is_there,
	bool_and(outcome <> 'refused' OR r.key IS NULL) AS refused_is_not
FROM tried LEFT JOIN paxos_prefix('tried ') AS r ON r.key = tried.key;
SELECT count(paxos_delete(key)) >= 0 AS deleted FROM paxos_prefix('tried ');
DROP FUNCTION try(text);

-- a call for each row of a large query, and that query cancelled
SELECT count(*) AS rows, sum((SELECT count(*) FROM paxos_range(max_rows => i % 3))) AS found
FROM generate_series(1, 300) AS i;
SELECT count(paxos_get('a')) AS found, count(paxos_get('absent')) AS absent FROM generate_series(1, 300);
SELECT count(DISTINCT paxos_batch_json(jsonb_build_object('counter', i))) AS revisions FROM generate_series(1, 100) AS i;
SET statement_timeout = '100ms';
SELECT count(*) FROM (SELECT generate_series(1, 100000000) AS i) AS s, LATERAL paxos_range(max_rows => i % 3, consistency => 'local');
RESET statement_timeout;

-- parallel query: a statement that calls one of the functions has one process; others over the table may have more
CREATE TABLE numbers AS SELECT i FROM generate_series(1, 50000) AS i;
ANALYZE numbers;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM numbers WHERE i % 100 = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM numbers WHERE i % 100 = 0 AND paxos_get('a') IS NOT NULL;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM numbers JOIN paxos_range() ON numbers.i = length(key);
SELECT count(*) FROM numbers JOIN paxos_range() ON numbers.i = length(key);
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT count(*) FROM paxoskv.data;
SELECT count(*) FROM paxos_range();
SELECT paxos_batch_json('{"parallel": 1}') > 0 AS put;
RESET ALL;
DROP TABLE numbers;

-- read-only transactions and those of a site that forbids writes in a block read as always
BEGIN READ ONLY;
SELECT key FROM paxos_range(max_rows => 1);
SELECT paxos_batch_json('{"a": 1}');
ROLLBACK;
SET paxoskv.in_transaction = error;
BEGIN;
SELECT key FROM paxos_prefix('a', 1);
SELECT paxos_batch_json('{"a": 1}');
ROLLBACK;
RESET paxoskv.in_transaction;
