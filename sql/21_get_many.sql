-- Some keys at once, of one snapshot: paxos_get_many().

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_batch(ARRAY['one', 'two', 'three', 'Two', 'zwei'], ARRAY['1', '2', '3', 'II', '']) AS revision \gset
SELECT paxos_put('two', 'elsewhere', 'other') > 0 AS put;

-- in bytewise key order, absent keys left out, each once however often it is asked for
SELECT partition, key, value, revision = :revision AS revision, create_revision = :revision AS create_revision
FROM paxos_get_many(ARRAY['zwei', 'two', 'none', 'one', 'two', 'Two']);
SELECT key, value FROM paxos_get_many(ARRAY['two', 'one'], 'other');
SELECT key FROM paxos_get_many(keys => '{three}', partition => 'default', consistency => 'local');
SELECT key FROM paxos_get_many('[5:6]={one,two}', consistency => 'leader');
SELECT count(*) FROM paxos_get_many('{}');
SELECT count(*) FROM paxos_get_many(ARRAY['nobody', 'nothing']);
EXPLAIN (COSTS OFF) SELECT * FROM paxos_get_many(ARRAY['one', 'two']);

-- in the order of the question, and with what is absent
SELECT key, value FROM unnest(ARRAY['zwei', 'none', 'one']) WITH ORDINALITY AS w (key, n)
	LEFT JOIN paxos_get_many(ARRAY['zwei', 'none', 'one']) USING (key) ORDER BY n;
SELECT (paxos_get_many(ARRAY['two', 'one'])).value;
-- a call for each row of another table
SELECT n, key FROM (VALUES (1, ARRAY['one', 'two']), (2, ARRAY['x']), (3, ARRAY['three', 'one'])) AS w (n, keys)
	LEFT JOIN LATERAL paxos_get_many(keys) ON true ORDER BY n, key;

-- more keys than one command could write
SELECT paxos_batch(array_agg(i::text), array_agg((i * 2)::text), 'many') > 0 AS put FROM generate_series(1, 60000) AS i;
SELECT count(*), bool_and(value = (key::int * 2)::text) AS right, min(key::int), max(key::int)
FROM paxos_get_many(ARRAY(SELECT i::text FROM generate_series(-20000, 80000) AS i), 'many');
SELECT count(*), bool_and(key > before) AS in_order
FROM (SELECT key COLLATE "C" AS key, lag(key COLLATE "C", 1, '') OVER (ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
	FROM paxos_get_many(ARRAY(SELECT (i * 7919 % 100003)::text FROM generate_series(1, 70000) AS i), 'many')) AS s;

-- what is refused
DO $$
DECLARE
	command text;
	message text;
	detail text;
BEGIN
	FOREACH command IN ARRAY ARRAY[
		$q$paxos_get_many(NULL)$q$, $q$paxos_get_many(ARRAY['a', NULL])$q$, $q$paxos_get_many(ARRAY[['a', 'b'], ['c', 'd']])$q$,
		$q$paxos_get_many(ARRAY['a', ''])$q$, $q$paxos_get_many(ARRAY['a', repeat('k', 1018)])$q$,
		$q$paxos_get_many('{a}', NULL)$q$, $q$paxos_get_many('{}', '')$q$, $q$paxos_get_many('{a}', consistency => '')$q$]
	LOOP
		BEGIN
			EXECUTE 'SELECT * FROM ' || command;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
			RAISE INFO '%', concat_ws(' | ', command, SQLSTATE, message, NULLIF(detail, ''));
		END;
	END LOOP;
END
$$;
