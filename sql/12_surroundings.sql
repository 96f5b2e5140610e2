-- What others do around the store, on purpose or not: it goes on working.

-- a new column of the type is shown empty; a changed one is refused, not misread
SELECT paxos_put('around', 'here') > 0 AS put;
ALTER TYPE paxoskv.key_value ADD ATTRIBUTE mine text;
SELECT key, value, mine FROM paxos_get_row('around');
ALTER TYPE paxoskv.key_value DROP ATTRIBUTE mine;
ALTER TYPE paxoskv.key_value ALTER ATTRIBUTE revision TYPE text;
\c
SELECT key FROM paxos_get_row('around');
ALTER TYPE paxoskv.key_value ALTER ATTRIBUTE revision TYPE bigint;
\c
SELECT key, value FROM paxos_get_row('around');

-- a cancel is for statements; the workers run on
CREATE TABLE workers AS SELECT backend_type, pid FROM pg_stat_activity WHERE backend_type LIKE 'paxoskv%';
SELECT backend_type, pg_cancel_backend(pid) FROM workers ORDER BY 1;
SELECT paxos_put('around', 'cancelled') > 0 AS put;
SELECT backend_type, pid IN (SELECT pid FROM pg_stat_activity) AS runs_on FROM workers ORDER BY 1;
DROP TABLE workers;

-- settings of the database are for its users, not for the apply worker
CREATE ROLE regress_nobody;
\set database :DBNAME
ALTER DATABASE :database SET role = 'regress_nobody';
ALTER DATABASE :database SET session_authorization = 'regress_nobody';
ALTER DATABASE :database SET search_path = 'pg_temp';
ALTER DATABASE :database SET default_transaction_read_only = on;
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'paxoskv apply worker';
SELECT paxos_put('around', 'as before') > 0 AS put;
ALTER DATABASE :database RESET role;
ALTER DATABASE :database RESET session_authorization;
ALTER DATABASE :database RESET search_path;
ALTER DATABASE :database RESET default_transaction_read_only;
DROP ROLE regress_nobody;

-- a message is cut between characters
SELECT paxos_clear_all(repeat('ねこ', 40));
