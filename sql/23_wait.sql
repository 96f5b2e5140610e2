-- What one node wrote, read by plain queries on another: paxos_wait().  (On one node nothing is ever awaited long.)

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_put('wait', 'written') AS revision \gset

-- the slot reached, which is that or a later one
SELECT paxos_wait(:revision) >= :revision AS reached;
SELECT paxos_wait(revision => :revision - 1) >= :revision AS reached, paxos_wait(0) >= :revision AS at_once;
SELECT value FROM paxoskv.data WHERE key = 'wait';
-- what a write returned, or a row's own revision
SELECT paxos_wait(revision) >= :revision AS reached FROM paxos_get_row('wait');

-- a revision that no write has: until paxoskv.commit_timeout; nothing happened, it can be repeated
SET paxoskv.commit_timeout = '50ms';
DO $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	PERFORM paxos_wait(9000000000000000000);
EXCEPTION WHEN insufficient_resources THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RAISE INFO '% % | % | %', SQLSTATE, message, regexp_replace(detail, '[0-9]+', 'N'), hint;
END
$$;
-- and no longer than the statement may take
SET paxoskv.commit_timeout = '1min';
SET statement_timeout = '50ms';
SELECT paxos_wait(9000000000000000000);
RESET statement_timeout;
RESET paxoskv.commit_timeout;

SELECT paxos_wait(-1);
SELECT paxos_wait(NULL);

-- it is of no use, and refused, where a snapshot is kept
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT paxos_wait(:revision);
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT paxos_wait(0);
ROLLBACK;
BEGIN READ ONLY;
SELECT paxos_wait(:revision) >= :revision AS reached;
SELECT value FROM paxoskv.data WHERE key = 'wait';
COMMIT;
