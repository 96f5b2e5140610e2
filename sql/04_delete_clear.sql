-- Taking keys away.

SELECT paxos_clear_all('paxoskv') > 0 AS cleared;
SELECT count(*) FROM paxoskv.kv;

SELECT paxos_batch(ARRAY['a', 'b', 'c'], ARRAY['1', '2', '3']) > 0 AS put;
SELECT paxos_batch(ARRAY['a', 'b'], ARRAY['1', '2'], 'it''s') > 0 AS put;
SELECT paxos_put('a', '1', 'third') > 0 AS put;

-- delete: whether it was there
SELECT paxos_delete('a');
SELECT paxos_delete('a');
SELECT paxos_get('a') IS NULL AS absent, paxos_get('a', 'it''s') AS elsewhere;
SELECT paxos_delete('b', 'it''s');
SELECT paxos_delete(partition => 'third', key => 'no such key');

-- a key that comes back begins anew
SELECT paxos_put('a', 'again') AS revision \gset
SELECT value, create_revision = :revision AS new FROM paxos_get_row('a');

-- clear: how many were there
SELECT paxos_clear('it''s');
SELECT paxos_clear('it''s');
SELECT paxos_clear('no such partition');
SELECT partition, key, value FROM paxoskv.kv ORDER BY partition, key;

-- the partition must be named
SELECT paxos_clear();
SELECT paxos_clear('');
SELECT paxos_clear(NULL);
SELECT paxos_clear('default');
SELECT partition, key, value FROM paxoskv.kv ORDER BY partition, key;

-- everything: only for who knows which cluster he is on
SELECT paxos_clear_all();
SELECT paxos_clear_all(NULL);
SELECT paxos_clear_all('');
SELECT paxos_clear_all('another');
SELECT paxos_clear_all('paxoskv ');
SELECT count(*) FROM paxoskv.kv;
SELECT paxos_clear_all('paxoskv');
SELECT paxos_clear_all(cluster_name => 'paxoskv');
SELECT count(*) FROM paxoskv.kv;

-- many
SELECT paxos_batch(array_agg(i::text), array_agg(i::text), 'many') > 0 AS put FROM generate_series(1, 5000) AS i;
SELECT paxos_clear('many');
SELECT count(*) FROM paxoskv.kv;
