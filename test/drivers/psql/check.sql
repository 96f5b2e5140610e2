-- What somebody at psql does: see README.md in test/drivers for what is checked.  The other node is at :other.

\set QUIET on
\pset format unaligned
\pset tuples_only on
\set p psql

SELECT CASE WHEN paxos_put('apple', 'green', :'p') > 0 THEN 'ok' ELSE 'not ok' END || ' put gives the revision';
\connect - - - :other
SELECT CASE WHEN paxos_get('apple', :'p') = 'green' THEN 'ok' ELSE 'not ok' END || ' get on another node';
SELECT CASE WHEN paxos_put('count', 7, :'p') > 0 AND paxos_get('count', :'p') = '7' THEN 'ok' ELSE 'not ok' END || ' put of an integer is its text';
SELECT CASE WHEN paxos_batch(ARRAY['a', 'b'], ARRAY['1', '2'], :'p') > 0 THEN 'ok' ELSE 'not ok' END || ' batch of two arrays';
SELECT CASE WHEN string_agg(key || value, ' ') = 'a1 b2' THEN 'ok' ELSE 'not ok' END || ' get_many gives rows'
FROM paxos_get_many(ARRAY['b', 'a', 'none'], :'p');

SELECT CASE WHEN paxos_get('absent', :'p') IS NULL THEN 'ok' ELSE 'not ok' END || ' an absent key is NULL';
\set ECHO none
SELECT paxos_put('apple', NULL, :'p') \g /dev/null
SELECT CASE WHEN :'LAST_ERROR_SQLSTATE' = '22004' THEN 'ok' ELSE 'not ok' END || ' a value NULL is 22004';

\set key 'it''s "so" \\ ключ 🍐'
SELECT paxos_put(:'key', :'key', :'p') \g /dev/null
SELECT CASE WHEN paxos_get(:'key', :'p') = :'key' AND length(:'key') = 18 THEN 'ok' ELSE 'not ok' END || ' quotes and unicode in a variable as key and value';

BEGIN;
SELECT paxos_put('in transaction', 'there', :'p') \g /dev/null
ROLLBACK;
SELECT CASE WHEN paxos_get('in transaction', :'p') = 'there' THEN 'ok' ELSE 'not ok' END || ' written in a transaction that was rolled back';

SELECT paxos_put('retried', 'once', :'p', 'psql-1') AS first \gset
SELECT paxos_put('retried', 'changed since', :'p') \g /dev/null
SELECT CASE WHEN paxos_put('retried', 'once', :'p', 'psql-1') = :first THEN 'ok' ELSE 'not ok' END || ' a retry gives the same revision';
SELECT CASE WHEN paxos_get('retried', :'p') = 'changed since' THEN 'ok' ELSE 'not ok' END || ' ... and has no second effect';
SELECT paxos_put('retried', 'other', :'p', 'psql-1') \g /dev/null
SELECT CASE WHEN :'LAST_ERROR_SQLSTATE' = '22023' THEN 'ok' ELSE 'not ok' END || ' another command with that id is 22023';
