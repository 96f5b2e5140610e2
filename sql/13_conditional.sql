-- Writes under a condition: apply decides, from the row as it is in the log's order, and the caller gets the verdict.

-- paxos_insert: only where the key is absent
SELECT paxos_insert('lamp', 'off', 'house') AS done;
SELECT paxos_insert('lamp', 'on', 'house') AS done;
SELECT paxos_get('lamp', 'house');

-- paxos_update: only where it is there
SELECT paxos_update('lamp', 'on', 'house') AS done;
SELECT paxos_update('door', 'open', 'house') AS done;
SELECT paxos_get('lamp', 'house'), paxos_get('door', 'house') IS NULL AS no_door;

-- an update keeps the create revision, a refused write changes nothing
SELECT revision AS before FROM paxos_get_row('lamp', 'house') \gset
SELECT paxos_insert('lamp', 'broken', 'house') AS done;
SELECT revision = :before AS same, create_revision < revision AS older, value FROM paxos_get_row('lamp', 'house');

-- paxos_cas: compare the value; NULL expects the key to be absent
SELECT paxos_cas('lamp', 'on', 'dim', 'house') AS done;
SELECT paxos_cas('lamp', 'on', 'bright', 'house') AS done;
SELECT paxos_cas('lamp', 'dim ', 'bright', 'house') AS done, paxos_cas('lamp', 'DIM', 'bright', 'house') AS done;
SELECT paxos_cas('bell', NULL, 'silent', 'house') AS done, paxos_cas('bell', NULL, 'loud', 'house') AS done;
SELECT paxos_cas('empty', NULL, '', 'house') AS done, paxos_cas('empty', '', 'full', 'house') AS done;
SELECT paxos_get('lamp', 'house'), paxos_get('bell', 'house'), paxos_get('empty', 'house');

-- an absent key has no value that could be as expected
SELECT paxos_cas('nowhere', '', 'x', 'house') AS done;

-- paxos_cas_revision: compare the revision; 0 and NULL expect the key to be absent
SELECT revision AS seen FROM paxos_get_row('lamp', 'house') \gset
SELECT paxos_cas_revision('lamp', :seen, 'red', 'house') AS done;
SELECT paxos_cas_revision('lamp', :seen, 'blue', 'house') AS done;
SELECT paxos_cas_revision('gate', 0, 'shut', 'house') AS done, paxos_cas_revision('gate', NULL, 'open', 'house') AS done;
SELECT paxos_get('lamp', 'house'), paxos_get('gate', 'house');

-- a value of a megabyte is compared whole
SELECT paxos_put('long', repeat('a', 1000000) || 'x', 'house') > 0 AS put;
SELECT paxos_cas('long', repeat('a', 1000000) || 'y', 'short', 'house') AS done;
SELECT paxos_cas('long', repeat('a', 1000000) || 'x', 'short', 'house') AS done;

-- conditions of one statement see what the calls before them did
SELECT i, paxos_cas('count', CASE i WHEN 1 THEN NULL ELSE (i - 1)::text END, i::text, 'house') AS done
FROM generate_series(1, 5) AS i;
SELECT paxos_get('count', 'house');

-- the log keeps what was asked for, done or not
SELECT kind, partition, key, value FROM paxos_log((SELECT min(create_revision) FROM paxoskv.kv WHERE partition = 'house'), 3);

-- what is refused
SELECT paxos_insert(NULL, 'x');
SELECT paxos_insert('x', NULL);
SELECT paxos_update('', 'x');
SELECT paxos_cas('x', 'y', NULL);
SELECT paxos_cas('x', 'y', 'z', '');
SELECT paxos_cas_revision('x', -1, 'y');
SELECT paxos_insert('x', 'y', request_id => 's1-2');
BEGIN READ ONLY;
SELECT paxos_insert('x', 'y');
ROLLBACK;

-- in a transaction that is rolled back they stay done
BEGIN;
SELECT paxos_insert('kept', 'yes', 'house') AS done;
ROLLBACK;
SELECT paxos_get('kept', 'house');
