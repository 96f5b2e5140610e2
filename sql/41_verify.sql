-- paxos_verify(): every node recomputes the hash of its state from its rows.  On a cluster of one that shows whether its
-- rows are what was applied; more nodes are compared in test/t/042_verify.pl, where rows are changed behind its back, too.

SELECT paxos_put('verified', 'one') > 0 AS written;

SELECT node_id, rows = (SELECT count(*) FROM paxoskv.kv) AS all_rows, agrees FROM paxos_verify();

-- the state is that of a slot: here of the last one applied, as nothing else is written
SELECT v.slot = s.applied_slot AS slot, v.state_hash = s.state_hash AS state_hash, v.rows = s.row_count AS rows
FROM paxos_verify() AS v, paxos_status() AS s;

-- it covers every column of every row, request ids and sessions: any change makes it another one
SELECT state_hash AS before FROM paxos_verify() \gset
SELECT paxos_put('verified', 'two') > 0 AS written;
SELECT state_hash <> :'before' AS other, agrees FROM paxos_verify();
SELECT paxos_put('verified', 'two', request_id => 'verify') > 0 AS written;
SELECT agrees FROM paxos_verify();
SELECT paxos_delete('verified', request_id => 'verify delete') AS deleted;
SELECT agrees FROM paxos_verify();
SELECT paxos_put('empty', '') > 0 AS written;
SELECT paxos_put('large', repeat('large ', 100000)) > 0 AS written;
SELECT agrees FROM paxos_verify();
SELECT paxos_delete('large') AS deleted;

-- at a slot, or a later one
SELECT paxos_put('verified', 'three') AS slot \gset
SELECT slot >= :slot AS reached, agrees FROM paxos_verify(:slot);
SELECT slot >= :slot AS reached, agrees FROM paxos_verify(slot => 1);
SELECT agrees FROM paxos_verify(NULL);

-- what is no slot
SELECT * FROM paxos_verify(0);
SELECT * FROM paxos_verify(-1);
\set VERBOSITY terse
SELECT count(*) FROM paxos_verify(1000000000000);
\set VERBOSITY default

-- it works in any transaction, as nothing is written
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT agrees FROM paxos_verify();
COMMIT;

-- who does not answer in time is not known, which is no error
SET paxoskv.commit_timeout = '1ms';
\set VERBOSITY terse
SET client_min_messages = error;
SELECT count(*) FROM paxos_verify();
RESET client_min_messages;
\set VERBOSITY default
RESET paxoskv.commit_timeout;

-- rights
CREATE ROLE verify_nobody;
SET ROLE verify_nobody;
SELECT * FROM paxos_verify();
RESET ROLE;
GRANT EXECUTE ON FUNCTION paxos_verify TO verify_nobody;
SET ROLE verify_nobody;
SELECT agrees FROM paxos_verify();
RESET ROLE;
DROP OWNED BY verify_nobody;
DROP ROLE verify_nobody;

SELECT paxos_delete('verified') AS deleted, paxos_delete('empty') AS empty_deleted;
