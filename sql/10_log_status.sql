-- What the node says of itself: paxos_status(), paxoskv.nodes, paxos_log().

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_put('status', 'a') AS revision \gset

-- one row
SELECT count(*) FROM paxos_status();
SELECT node_id, role, leader_id, epoch, row_count, cluster_name, quorum, detail FROM paxos_status();
SELECT ballot ~ '^[1-9][0-9]*\.[0-9]+\.1$' AS ballot, first_slot = 1 AS first_slot, last_slot >= :revision AS last_slot,
	chosen_slot <= last_slot AS chosen_slot, applied_slot >= :revision AND applied_slot <= chosen_slot AS applied_slot,
	log_bytes > 0 AS log_bytes, state_hash ~ '^[0-9a-f]{32}$' AS state_hash, cluster_id ~ '^[0-9a-f]{32}$' AS cluster_id,
	store_id ~ '^[0-9a-f]{32}$' AS store_id, session > 0 AS session, run > 0 AS run, elections > 0 AS elections,
	commands > 0 AS commands, syncs > 0 AS syncs
FROM paxos_status();
SELECT (paxos_status()).role;

-- the state hash is of the rows: it changes with them, and an empty store has none
SELECT state_hash AS with_a FROM paxos_status() \gset
SELECT paxos_put('status', 'b') > 0 AS put;
SELECT state_hash <> :'with_a' AS differs FROM paxos_status();
SELECT paxos_clear_all('paxoskv');
SELECT row_count FROM paxos_status();

-- the nodes: this one
SELECT node_id, voter, leader, connected, self, lag_slots, trouble FROM paxoskv.nodes;
SELECT applied_slot >= :revision AS applied_slot FROM paxoskv.nodes;

-- the log begins with what makes a leader, then come the commands
SELECT slot, kind, node_id, session, number, operation, key FROM paxos_log(1, 1);
SELECT count(*) > 0 AS opened FROM paxos_log() WHERE kind = 'open_session';

-- one row for each operation, numbered in its command
SELECT paxos_put('logged', 'first') AS start \gset
SELECT paxos_batch(ARRAY['x', 'y', 'x'], ARRAY['1', '2', '3'], 'it''s') > 0 AS put;
SELECT paxos_delete('logged');
SELECT paxos_clear('it''s');
SELECT paxos_clear_all('paxoskv');
SELECT slot - :start AS slot, epoch, kind, node_id, request_id, operation, partition, key, value
FROM paxos_log(:start);
-- sessions number their commands without a hole
SELECT count(DISTINCT session) AS sessions, max(number) - min(number) + 1 = count(DISTINCT number) AS no_hole
FROM paxos_log(:start) WHERE number IS NOT NULL;
SELECT ballot ~ '^[1-9][0-9]*\.[0-9]+\.1$' AS ballot FROM paxos_log(:start, 1);

-- so many rows and no more; null for no limit
SELECT count(*) FROM paxos_log(:start, 2);
SELECT slot - :start AS slot, operation FROM paxos_log(:start, 2) OFFSET 1;
SELECT count(*) FROM paxos_log(:start + 1, 1);
SELECT count(*) FROM paxos_log(first_slot => :start, max_rows => 1000);
SELECT paxos_batch(array_agg(i::text), array_agg(i::text), 'log') > 0 AS put FROM generate_series(1, 250) AS i;
SELECT count(*) FROM paxos_log(:start + 5);
SELECT count(*), max(operation) FROM paxos_log(:start + 5, NULL);
SELECT count(*) >= 250 AS all FROM paxos_log(NULL, NULL);
SELECT count(*) FROM paxos_log(1000000000);

-- as many as are fetched
BEGIN;
DECLARE c CURSOR FOR SELECT kind, key FROM paxos_log(:start, NULL);
FETCH 3 FROM c;
CLOSE c;
COMMIT;
SELECT (paxos_log(:start, 3)).key;

-- values as they are
SELECT paxos_put('Größe/🍏', E'line\nbreak', 'it''s "this"') AS start \gset
SELECT partition, key, value = E'line\nbreak' AS value FROM paxos_log(:start);
SELECT paxos_put('long', repeat('x', 1000000)) AS start \gset
SELECT key, length(value) FROM paxos_log(:start);
