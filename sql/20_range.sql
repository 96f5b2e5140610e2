-- Many rows in bytewise key order: paxos_range() and paxos_prefix().

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_batch(ARRAY['banana', 'apple', 'cherry', 'apple pie', 'date'], ARRAY['b', 'a', 'c', 'ap', '']) AS revision \gset
SELECT paxos_batch(ARRAY['a', 'z'], ARRAY['1', '2'], 'other') > 0 AS put;

-- all keys of a partition, the default one unless another is named
SELECT partition, key, value, revision = :revision AS revision, create_revision = :revision AS create_revision,
	written_at <= clock_timestamp() AS written_at
FROM paxos_range();
SELECT key FROM paxos_range(partition => 'other');
SELECT key FROM paxos_range(partition => 'nobody''s');

-- from start_key on, before end_key; NULL is no bound
SELECT key FROM paxos_range('apple pie', 'cherry');
SELECT key FROM paxos_range('apple pie');
SELECT key FROM paxos_range(end_key => 'banana');
SELECT key FROM paxos_range(NULL, NULL, NULL, 'default', NULL);
SELECT key FROM paxos_range('b', 'c');

-- the empty text is before every key
SELECT count(*) FROM paxos_range('', 'b');
SELECT count(*) FROM paxos_range('', '');
-- nothing lies between bounds that meet or cross
SELECT count(*) FROM paxos_range('banana', 'banana');
SELECT count(*) FROM paxos_range('cherry', 'apple');

-- at most so many
SELECT key FROM paxos_range(max_rows => 2);
SELECT key FROM paxos_range('b', max_rows => 1);
SELECT count(*) FROM paxos_range(max_rows => 0);
SELECT count(*) FROM paxos_range(max_rows => 9223372036854775807);

-- the three levels
SELECT count(*) FROM paxos_range(consistency => 'linearizable');
SELECT count(*) FROM paxos_range(consistency => 'leader');
SELECT count(*) FROM paxos_range(consistency => 'local');

-- keys that begin so; all begin with the empty text
SELECT key, value FROM paxos_prefix('app');
SELECT key FROM paxos_prefix('apple');
SELECT key FROM paxos_prefix('apple ');
SELECT key FROM paxos_prefix('app', 1);
SELECT count(*) FROM paxos_prefix('');
SELECT key FROM paxos_prefix('', partition => 'other', max_rows => 1, consistency => 'local');
SELECT count(*) FROM paxos_prefix('applepie');
-- it is no pattern
SELECT count(*) FROM paxos_prefix('app%');
SELECT count(*) FROM paxos_prefix('_');

-- partitions whose names begin alike
SELECT paxos_put('k', 'v', 'part'), paxos_put('k', 'v', 'part' || chr(1)), paxos_put('k', 'v', 'parts') \gset
SELECT count(*) FROM paxos_range(partition => 'part');
SELECT count(*) FROM paxos_prefix('', partition => 'part');

-- what is refused
DO $$
DECLARE
	command text;
	message text;
	hint text;
BEGIN
	FOREACH command IN ARRAY ARRAY[
		$q$paxos_range(max_rows => -1)$q$, $q$paxos_prefix('a', -1)$q$,
		$q$paxos_range(partition => NULL)$q$, $q$paxos_range(partition => '')$q$,
		$q$paxos_range(partition => repeat('p', 1024))$q$, $q$paxos_range(consistency => 'soon')$q$,
		$q$paxos_prefix(NULL)$q$, $q$paxos_prefix('a', partition => NULL)$q$]
	LOOP
		BEGIN
			EXECUTE 'SELECT * FROM ' || command;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
			RAISE INFO '%', concat_ws(' | ', command, SQLSTATE, message, NULLIF(hint, ''));
		END;
	END LOOP;
END
$$;

-- Page by page, without a gap or a repeat: the next page starts with the smallest text after the last key, which is
-- that key with chr(1) behind it.
CREATE FUNCTION pages(page_size bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	next_start text;
	keys text[];
BEGIN
	LOOP
		keys := ARRAY(SELECT key FROM paxos_range(next_start, max_rows => page_size, partition => 'paged'));
		RETURN QUERY SELECT unnest(keys);
		EXIT WHEN cardinality(keys) < page_size;
		next_start := keys[cardinality(keys)] || chr(1);
	END LOOP;
END
$$;
SELECT paxos_batch(array_agg(key), array_agg(key), 'paged') > 0 AS put
FROM (SELECT DISTINCT repeat(a, i) || b AS key
	FROM generate_series(1, 4) AS i, unnest(ARRAY['a', chr(1), 'b', 'é', '🍏']) AS a,
		unnest(ARRAY['', chr(1), chr(1) || chr(1), chr(2), 'a', '~', chr(1114111)]) AS b
	UNION ALL SELECT repeat('k', 1019) UNION ALL SELECT repeat('k', 1018)) AS keys;
CREATE TEMP TABLE whole AS SELECT key FROM paxoskv.kv WHERE partition = 'paged';
SELECT count(*) FROM whole;
SELECT page_size, array_agg(p ORDER BY n) = (SELECT array_agg(key ORDER BY key COLLATE "C") FROM whole) AS same
FROM unnest(ARRAY[1, 2, 3, 7, 10, 1000]) AS page_size, pages(page_size) WITH ORDINALITY AS p (p, n)
GROUP BY page_size ORDER BY page_size;
-- also behind the longest key there can be
SELECT count(*) FROM paxos_range(repeat('k', 1019), partition => 'paged');
SELECT count(*) FROM paxos_range(repeat('k', 1019) || chr(1), 'l', partition => 'paged');
SELECT count(*) FROM paxos_prefix(repeat('k', 1019), partition => 'paged');
SELECT count(*) FROM paxos_prefix(repeat('k', 5000), partition => 'paged');
SELECT count(*) FROM paxos_prefix(chr(1114111), partition => 'paged');
-- every prefix of every key, and nothing else
SELECT count(*) AS prefixes, bool_and(found = expected) AS same
FROM (SELECT prefix, ARRAY(SELECT key FROM paxos_prefix(prefix, partition => 'paged')) AS found,
		ARRAY(SELECT key FROM whole WHERE starts_with(key, prefix) ORDER BY key COLLATE "C") AS expected
	FROM (SELECT DISTINCT left(key, n) AS prefix FROM whole, generate_series(0, 6) AS n) AS p) AS checked;
DROP FUNCTION pages(bigint);

-- In FROM a plan node of the extension walks the index as rows are asked for.
EXPLAIN (COSTS OFF) SELECT key FROM paxos_range('a', 'b') WHERE value <> '' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT key FROM paxos_prefix('a');
SELECT key FROM paxos_range() WHERE value <> '' AND key > 'apple' LIMIT 2;
-- rows as such
SELECT r.value, pg_typeof(r), (r).key FROM paxos_prefix('ban') AS r;
SELECT row_to_json(r)::jsonb - 'revision' - 'create_revision' - 'written_at' AS json FROM paxos_prefix('ban') AS r;
SELECT count(r), count(*) FROM paxos_range() AS r;
SELECT k FROM paxos_range('b') AS r (p, k) WHERE k < 'd';
-- a join that wants them again gets the same ones, from one call
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
EXPLAIN (COSTS OFF) SELECT i, key FROM generate_series(1, 2) AS i LEFT JOIN paxos_range(max_rows => 2) ON i > 0;
SELECT i, key FROM generate_series(1, 2) AS i LEFT JOIN paxos_range(max_rows => 2) ON i > 0;
SELECT i, key FROM (SELECT i, paxos_put('new ' || i, '', 'rescan') FROM generate_series(1, 3) AS i OFFSET 0) AS o
	LEFT JOIN paxos_range(partition => 'rescan') ON i > 0;
RESET ALL;
-- one call for each row of another table
SELECT wanted, key FROM unnest(ARRAY['b', 'x', 'app']) WITH ORDINALITY AS w (wanted, n)
	LEFT JOIN LATERAL paxos_prefix(wanted) ON true ORDER BY n, key;
SELECT wanted, ARRAY(SELECT key FROM paxos_range(wanted, max_rows => 1)) AS first_from
FROM unnest(ARRAY['b', 'x', 'app']) AS wanted;
SELECT key FROM paxos_range((SELECT min(key) FROM paxos_prefix('b')), max_rows => 2);
-- other nodes of the plan sort, group, merge and hash them
SELECT key FROM paxos_range() ORDER BY value DESC, key LIMIT 2;
SELECT left(key, 1) AS letter, count(*) FROM paxos_range() GROUP BY 1 ORDER BY 1;
SELECT a.key FROM paxos_range() AS a JOIN paxos_prefix('ap') AS b USING (key) ORDER BY 1;
SELECT key FROM paxos_prefix('app') UNION ALL SELECT key FROM paxos_prefix('b') ORDER BY 1;
-- where the executor may join a row again it collects them; so it does for ordinality and ROWS FROM
CREATE TEMP TABLE mine (id int, flag text);
INSERT INTO mine SELECT 1, key FROM paxos_range(max_rows => 2);
EXPLAIN (COSTS OFF) UPDATE mine SET id = 2 FROM paxos_range() AS r WHERE r.key < flag;
UPDATE mine SET id = 2 FROM paxos_range() AS r WHERE r.key = flag AND r.value = 'a';
DELETE FROM mine USING paxos_prefix('apple ') AS r WHERE r.key = flag;
SELECT * FROM mine ORDER BY flag;
SELECT mine.id, r.value FROM mine JOIN paxos_range() AS r ON r.key = flag FOR UPDATE OF mine;
SELECT n, key FROM paxos_range(max_rows => 2) WITH ORDINALITY AS r (partition, key, v, r, c, w, n);
SELECT a.key, i FROM ROWS FROM (paxos_range(max_rows => 2), generate_series(1, 3)) AS a (p, key, v, r, c, w, i);
DROP TABLE mine;

-- in a view, a SQL function, a prepared statement
CREATE TEMP VIEW flags AS SELECT key, value FROM paxos_prefix('a');
SELECT * FROM flags;
DROP VIEW flags;
CREATE FUNCTION flags(name text) RETURNS SETOF paxoskv.key_value LANGUAGE sql AS 'SELECT * FROM paxos_prefix(name)';
SELECT key FROM flags('b');
DROP FUNCTION flags(text);
PREPARE r (text) AS SELECT key FROM paxos_range($1, max_rows => 1);
EXECUTE r ('b');
SET plan_cache_mode = force_generic_plan;
EXECUTE r ('c');
RESET plan_cache_mode;
DEALLOCATE r;

-- in a SELECT list rows come one by one, too
SELECT (paxos_range(max_rows => 2)).key;
SELECT (r).key, (r).value FROM (SELECT paxos_prefix('app') AS r) AS s;
SELECT (paxos_range()).key LIMIT 1;
-- left early and begun again
SELECT i, (r).key FROM generate_series(1, 3) AS i, LATERAL (SELECT paxos_range('b', max_rows => i + 1) AS r LIMIT 1) AS s;
SELECT i, key FROM generate_series(1, 3) AS i, LATERAL (SELECT key FROM paxos_range('b', max_rows => i + 1) LIMIT 1) AS s;
SELECT paxos_range(max_rows => -1);

-- a column that somebody adds to the type is empty, in a plan made before it too
PREPARE whole AS SELECT r.value, (r).key FROM paxos_prefix('ban') AS r WHERE r IS NOT NULL OR true;
EXECUTE whole;
ALTER TYPE paxoskv.key_value ADD ATTRIBUTE mine text;
EXECUTE whole;
SELECT key, mine FROM paxos_prefix('ban');
SELECT r, r.mine FROM paxos_prefix('ban') AS r WHERE row_to_json(r)->>'mine' IS NOT NULL;
SELECT key, mine, row_to_json(r)->>'value' AS value, row_to_json(r)->>'mine' AS json FROM paxos_prefix('ban') AS r;
SELECT (paxos_prefix('ban')).mine;
ALTER TYPE paxoskv.key_value DROP ATTRIBUTE mine;
EXECUTE whole;
SELECT key, row_to_json(r)->>'value' AS value FROM paxos_prefix('ban') AS r;
DEALLOCATE whole;
-- one that is not as the extension made it is never misread
ALTER TYPE paxoskv.key_value ALTER ATTRIBUTE revision TYPE text;
SELECT key FROM paxos_prefix('ban');
SELECT (paxos_prefix('ban')).key;
ALTER TYPE paxoskv.key_value ALTER ATTRIBUTE revision TYPE bigint;
SELECT key FROM paxos_prefix('ban');

-- A cursor is as far as it was fetched, and needs no more memory for 20,000 rows than for ten.
SELECT paxos_batch(array_agg('key ' || lpad(i::text, 5, '0')), array_agg(repeat('v', 100)), 'many') > 0 AS put
FROM generate_series(1, 20000) AS i;
CREATE FUNCTION memory_used() RETURNS bigint LANGUAGE sql AS
	'SELECT sum(used_bytes)::bigint FROM pg_catalog.pg_backend_memory_contexts';
BEGIN;
DECLARE in_from CURSOR FOR SELECT key FROM paxos_range(partition => 'many');
DECLARE in_list CURSOR FOR SELECT (r).key FROM (SELECT paxos_range(partition => 'many') AS r) AS s;
FETCH 2 FROM in_from;
FETCH 2 FROM in_list;
-- what is written now, neither will see: each has the snapshot of its first row
SELECT paxos_put('key 00002b', 'new', 'many') > 0 AS put, paxos_delete('key 00003', 'many');
FETCH 2 FROM in_from;
FETCH 2 FROM in_list;
SELECT memory_used() AS used \gset
MOVE 19990 FROM in_from;
MOVE 19990 FROM in_list;
SELECT memory_used() - :used < 100000 AS flat;
FETCH ALL FROM in_from;
FETCH ALL FROM in_list;
FETCH 1 FROM in_from;
COMMIT;
-- it can be left at any point, also by an error
BEGIN;
DECLARE c CURSOR FOR SELECT key FROM paxos_range(partition => 'many');
FETCH 1 FROM c;
SAVEPOINT s;
FETCH 1 FROM c;
SELECT 1 / 0;
ROLLBACK TO s;
CLOSE c;
DECLARE c SCROLL CURSOR FOR SELECT key FROM paxos_range(partition => 'many');
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
FETCH LAST FROM c;
CLOSE c;
DECLARE held CURSOR WITH HOLD FOR SELECT key FROM paxos_range(partition => 'many', max_rows => 3);
FETCH 1 FROM held;
COMMIT;
FETCH ALL FROM held;
CLOSE held;
-- the new rows are there for the next call
SELECT key, value = 'new' AS new FROM paxos_range('key 00002', 'key 00005', partition => 'many');

-- large values come whole, and those stored out of line outlive what is done to their rows
SELECT paxos_batch(ARRAY['l1', 'l2'], ARRAY[repeat('1', 1000000), repeat('2', 1000000)], 'large') > 0 AS put;
SELECT key, length(value), left(value, 3) AS begins FROM paxos_range(partition => 'large');
SELECT (r).key, length((r).value) FROM (SELECT paxos_range(partition => 'large') AS r) AS s;
CREATE TEMP TABLE kept AS SELECT r FROM paxos_range(partition => 'large') AS r;
SELECT paxos_clear('large');
VACUUM paxoskv.kv;
SELECT (r).key, length((r).value) FROM kept;

-- the same by plain SQL uses the table's index; it sees what this node has applied
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT key, value FROM paxoskv.data WHERE key ~>=~ 'a' AND key ~<~ 'c' ORDER BY key USING ~<~;
RESET ALL;
SELECT key FROM paxoskv.data WHERE key ~>=~ 'a' AND key ~<~ 'c' ORDER BY key USING ~<~;
DROP FUNCTION memory_used();
