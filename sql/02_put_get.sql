-- One key at a time: put, get, get_row.

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_put('apple', 'green') > 0 AS put;
SELECT paxos_get('apple');
SELECT paxos_get('no such key') IS NULL AS absent;

-- a later put gives a higher revision; create_revision stays
SELECT paxos_put('apple', 'green') AS first \gset
SELECT paxos_put('apple', 'red') AS second \gset
SELECT :second > :first AS rises;
SELECT partition, key, value, revision = :second AS revision, create_revision < :first AS create_revision,
	written_at > now() - interval '1 hour' AND written_at <= clock_timestamp() AS written_at
FROM paxos_get_row('apple');
SELECT * FROM paxos_get_row('no such key');
SELECT (paxos_get_row('apple')).value;
SELECT pg_typeof(r) FROM paxos_get_row('apple') AS r;

-- partitions keep keys apart
SELECT paxos_put('apple', 'in another', 'fruit') > 0 AS put;
SELECT paxos_get('apple'), paxos_get('apple', 'fruit'), paxos_get('apple', partition => 'fruit'),
	paxos_get('apple', 'nobody''s');
SELECT key, value FROM paxoskv.data ORDER BY key;

-- named notation, any order
SELECT paxos_put(value => 'v', key => 'named', partition => 'p', request_id => NULL) > 0 AS put;
SELECT paxos_get(consistency => 'local', partition => 'p', key => 'named');

-- values: empty is not absent
SELECT paxos_put('empty', '') > 0 AS put;
SELECT paxos_get('empty') = '' AS empty;

-- names and values with quotes, backslashes, line ends, and more than ASCII
SELECT paxos_put('it''s "quoted" \ and $1', E'a\nb\tc\\''"') > 0 AS put;
SELECT paxos_get('it''s "quoted" \ and $1') = E'a\nb\tc\\''"' AS same;
SELECT paxos_put('Größe/尺寸/🍏', 'grün 绿 🟢', 'Körbe') > 0 AS put;
SELECT paxos_get('Größe/尺寸/🍏', 'Körbe');
SELECT key, value FROM paxos_get_row('Größe/尺寸/🍏', 'Körbe');
-- bytes decide: the same letter in two forms is two keys
SELECT paxos_put(U&'\00E9', 'one letter') > 0 AS put;
SELECT paxos_get(U&'e\0301') IS NULL AS other;
-- so do letter case and trailing blanks
SELECT paxos_get('Apple') IS NULL AS upper, paxos_get('apple ') IS NULL AS blank;

-- the longest key: 1,024 bytes with its partition
SELECT paxos_put(repeat('k', 1017), 'long') > 0 AS put;
SELECT paxos_get(repeat('k', 1017));
SELECT paxos_get(repeat('k', 1016)) IS NULL AS absent;

-- a megabyte, stored out of line
SELECT paxos_put('large', string_agg(md5(i::text), '' ORDER BY i)) > 0 AS put
FROM generate_series(1, 32768) AS i;
SELECT length(paxos_get('large')),
	paxos_get('large') = (SELECT string_agg(md5(i::text), '' ORDER BY i) FROM generate_series(1, 32768) AS i) AS same;
SELECT length(value) FROM paxos_get_row('large');
SELECT paxos_put('large', 'small again') > 0 AS put;
SELECT paxos_get('large');

-- other types: by their text, the same whatever the session's settings
SELECT paxos_put('type', 42) > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', 1.50) > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', true) > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', '{"b": 1, "a": [2]}'::jsonb) > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', ARRAY['x', NULL, 'y z']) > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', ROW(1, 'two')) > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', 'varchar'::varchar) > 0 AS put;
SELECT paxos_get('type');
SET datestyle = 'German, DMY';
SET intervalstyle = 'iso_8601';
SET timezone = 'Asia/Tokyo';
SET extra_float_digits = -10;
SET bytea_output = 'escape';
SELECT paxos_put('type', timestamptz '2024-02-29 12:00:00+00') > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', interval '1 day 2 hours') > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', 0.1::float8 + 0.2::float8) > 0 AS put;
SELECT paxos_get('type');
SELECT paxos_put('type', '\x00ff'::bytea) > 0 AS put;
SELECT paxos_get('type');
SET search_path = paxoskv, public;
SELECT paxos_put('type', 'paxoskv.kv'::regclass) > 0 AS put;
SELECT paxos_get('type');
-- and they are as the session had them
SHOW datestyle;
SHOW timezone;
SHOW search_path;
RESET ALL;
-- the second parameter of a prepared statement is text
PREPARE put AS SELECT paxos_put($1, $2) > 0 AS put;
EXECUTE put('prepared', 'value');
PREPARE get AS SELECT paxos_get($1);
EXECUTE get('prepared');

-- in queries: many at once, and in a join with a table of one's own
SELECT count(paxos_put('many/' || i, i::text)) FROM generate_series(1, 20) AS i;
SELECT paxos_get('many/' || i) FROM generate_series(1, 21, 10) AS i;
CREATE TABLE orders (id int, flag_key text);
INSERT INTO orders SELECT i, 'many/' || i FROM generate_series(19, 22) AS i;
SELECT orders.id, data.value FROM orders LEFT JOIN paxoskv.data ON data.key = orders.flag_key ORDER BY id;
-- the join finds its rows by the index
ANALYZE paxoskv.kv;
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_bitmapscan = off;
SET enable_material = off;
SET enable_memoize = off;
EXPLAIN (COSTS OFF) SELECT id, data.value FROM generate_series(19, 22) AS id LEFT JOIN paxoskv.data ON data.key = 'many/' || id;
RESET ALL;
DROP TABLE orders;
