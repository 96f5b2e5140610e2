-- Many keys in one step.

SELECT paxos_batch(ARRAY['b', 'a', 'c'], ARRAY['2', '1', '3'], 'batch') AS revision \gset
SELECT key, value, revision = :revision AS revision, create_revision = :revision AS create_revision
FROM paxoskv.kv WHERE partition = 'batch' ORDER BY key;

-- the last value of a repeated key wins
SELECT paxos_batch(ARRAY['a', 'd', 'a', 'd', 'a'], ARRAY['x', 'y', 'z', 'w', 'last'], partition => 'batch') AS revision \gset
SELECT key, value, revision = :revision AS changed, create_revision = :revision AS created
FROM paxoskv.kv WHERE partition = 'batch' ORDER BY key;

-- one key, array bounds that don't begin at 1, named parameters
SELECT paxos_batch('{one}', '{1}', 'batch') > 0 AS put;
SELECT paxos_batch('[5:6]={five,six}', '[0:1]={5,6}', 'batch') > 0 AS put;
SELECT paxos_batch(vals => '{"it''s"}', keys => '{"quo\"ted"}', partition => 'batch') > 0 AS put;
SELECT key, value FROM paxoskv.kv WHERE partition = 'batch' AND key > 'e' ORDER BY key;

-- nothing to write: no command, no revision
SELECT paxos_batch('{}', '{}') IS NULL AS nothing;

-- a big one
SELECT paxos_batch(array_agg('key ' || i), array_agg(md5(i::text)), 'big') > 0 AS put
FROM generate_series(1, 20000) AS i;
SELECT count(*), count(DISTINCT revision) AS revisions, bool_and(value = md5(substr(key, 5))) AS right
FROM paxoskv.kv WHERE partition = 'big';
SELECT paxos_get('key 777', 'big') = md5('777') AS right;
-- again, with other values
SELECT paxos_batch(array_agg('key ' || i), array_agg(i::text), 'big') > 0 AS put
FROM generate_series(1, 20000) AS i;
SELECT count(*), count(DISTINCT revision) AS revisions, bool_and(value = substr(key, 5)) AS right,
	bool_and(create_revision < revision) AS kept
FROM paxoskv.kv WHERE partition = 'big';

-- large values: three of a megabyte
SELECT paxos_batch(ARRAY['l1', 'l2', 'l3'],
	ARRAY[repeat('1', 1000000), repeat('2', 1000000), repeat('3', 1000000)], 'batch') > 0 AS put;
SELECT key, length(value), left(value, 3) AS begins FROM paxoskv.kv
WHERE partition = 'batch' AND key LIKE 'l_' ORDER BY key;

-- all or nothing: one bad element, and none is written
SELECT paxos_batch(ARRAY['good', ''], ARRAY['1', '2'], 'batch');
SELECT paxos_batch(ARRAY['good', 'bad'], ARRAY['1', NULL], 'batch');
SELECT paxos_get('good', 'batch') IS NULL AS absent;

-- arrays that can't be
SELECT paxos_batch(ARRAY['a', 'b'], ARRAY['1']);
SELECT paxos_batch('{}', ARRAY['1']);
SELECT paxos_batch(ARRAY[['a', 'b'], ['c', 'd']], ARRAY['1', '2', '3', '4']);
SELECT paxos_batch(ARRAY['a', 'b', 'c', 'd'], ARRAY[['1', '2'], ['3', '4']]);
SELECT paxos_batch(ARRAY['a', NULL], ARRAY['1', '2']);
SELECT paxos_batch(NULL, ARRAY['1']);
SELECT paxos_batch(ARRAY['a'], NULL);
SELECT paxos_batch(ARRAY['a'], ARRAY['1'], NULL);
SELECT paxos_batch(ARRAY['a'], ARRAY['1'], '');

-- too much for one command
SELECT paxos_batch(array_agg(i::text), array_agg(''::text)) FROM generate_series(1, 65536) AS i;
SELECT paxos_batch(array_agg(i::text), array_agg(''::text), 'limit') > 0 AS put FROM generate_series(1, 65535) AS i;
SELECT paxos_clear('limit');
