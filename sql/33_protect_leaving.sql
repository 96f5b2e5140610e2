-- What holds the table: its extension, schema, owner, database; and subscriptions, which would write past the executor.
\set VERBOSITY terse
SELECT paxos_put('safe', 'value') > 0 AS put;

-- the extension stays as long as the server is a member, whatever would drop it
DROP EXTENSION paxoskv;
DROP EXTENSION IF EXISTS paxoskv CASCADE;
DROP SCHEMA paxoskv CASCADE;
DROP VIEW paxoskv.data;
SET client_min_messages = warning;
DROP SCHEMA public CASCADE;
RESET client_min_messages;
ALTER SCHEMA paxoskv RENAME TO other;
ALTER EXTENSION paxoskv DROP TABLE paxoskv.kv;
ALTER EXTENSION paxoskv DROP VIEW paxoskv.data;
ALTER EXTENSION paxoskv SET SCHEMA pg_catalog;
CREATE TABLE paxoskv.added (a int);
ALTER EXTENSION paxoskv ADD TABLE paxoskv.added;
DROP TABLE paxoskv.added;
ALTER EXTENSION plpgsql ADD TABLE paxoskv.kv;
CREATE EXTENSION paxoskv;

-- an owner who leaves gives it to another one; dropping what he owns would drop the store
CREATE ROLE regress_paxoskv_owner;
CREATE ROLE regress_paxoskv_heir;
ALTER TABLE paxoskv.kv OWNER TO regress_paxoskv_owner;
DROP ROLE regress_paxoskv_owner;
DROP OWNED BY regress_paxoskv_owner CASCADE;
BEGIN;
REASSIGN OWNED BY regress_paxoskv_owner TO regress_paxoskv_heir;
ROLLBACK;
REASSIGN OWNED BY regress_paxoskv_owner TO regress_paxoskv_heir;
DROP ROLE regress_paxoskv_owner;
SELECT relname, relowner::regrole FROM pg_class WHERE oid IN ('paxoskv.kv'::regclass, 'paxoskv.kv_key'::regclass) ORDER BY 1;
SELECT paxos_put('safe', 'with an heir') > 0 AS put;
ALTER TABLE paxoskv.kv OWNER TO CURRENT_USER;
DROP ROLE regress_paxoskv_heir;
-- even where nobody has a right any more
REVOKE ALL ON paxoskv.kv, paxoskv.state FROM CURRENT_USER;
REVOKE ALL ON SCHEMA paxoskv FROM CURRENT_USER;
SELECT paxos_put('safe', 'without rights') > 0 AS put;
GRANT ALL ON paxoskv.kv, paxoskv.state TO CURRENT_USER;
GRANT ALL ON SCHEMA paxoskv TO CURRENT_USER;

-- a tablespace is where it is told to be, and stays as long as something is in it
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_paxoskv LOCATION '';
ALTER TABLE paxoskv.kv SET TABLESPACE regress_paxoskv;
ALTER INDEX paxoskv.kv_key SET TABLESPACE regress_paxoskv;
SELECT paxos_put('safe', 'elsewhere') > 0 AS put;
DROP TABLESPACE regress_paxoskv;
BEGIN;
ALTER TABLE ALL IN TABLESPACE regress_paxoskv SET TABLESPACE pg_default;
ROLLBACK;
ALTER TABLE ALL IN TABLESPACE regress_paxoskv SET TABLESPACE pg_default;
ALTER INDEX ALL IN TABLESPACE regress_paxoskv SET TABLESPACE pg_default;
SELECT paxos_put('safe', 'and back') > 0 AS put;
DROP TABLESPACE regress_paxoskv;

-- its database
\set database :DBNAME
\c postgres
DROP DATABASE :database;
DROP DATABASE IF EXISTS :database WITH (FORCE);
ALTER DATABASE :database RENAME TO other;
ALTER DATABASE :database SET TABLESPACE pg_default;
CREATE DATABASE other TEMPLATE :database;
\set VERBOSITY default
DROP DATABASE :database;
CREATE DATABASE other TEMPLATE :database;
\set VERBOSITY terse
-- closed to everybody, it is not closed to the apply worker
ALTER DATABASE :database ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid, 10000) AS ended FROM pg_stat_activity WHERE backend_type = 'paxoskv apply worker';
DO $$
BEGIN
	FOR i IN 1..200 LOOP
		PERFORM pg_stat_clear_snapshot();
		EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'paxoskv apply worker' AND datname IS NOT NULL);
		PERFORM pg_sleep(0.05);
	END LOOP;
END
$$;
SELECT datname = :'database' AS connected FROM pg_stat_activity WHERE backend_type = 'paxoskv apply worker';
ALTER DATABASE :database ALLOW_CONNECTIONS true;
-- what is harmless to it works
ALTER DATABASE :database CONNECTION LIMIT 100;
ALTER DATABASE :database CONNECTION LIMIT -1;
\c :database
SELECT paxos_put('safe', 'still') > 0 AS put;

-- a subscription would write past the executor; which tables it takes is up to its publisher
\c postgres
CREATE SCHEMA paxoskv;
CREATE TABLE paxoskv.kv (partition text, key text, value text);
CREATE TABLE harmless (id int);
SET client_min_messages = error;
CREATE PUBLICATION changes FOR TABLE paxoskv.kv;
CREATE PUBLICATION harmless FOR TABLE harmless;
RESET client_min_messages;
SELECT format('host=%s port=%s dbname=postgres', split_part(current_setting('unix_socket_directories'), ',', 1),
	current_setting('port')) AS publisher \gset
\c :database
CREATE TABLE harmless (id int);
SET client_min_messages = error;
\set VERBOSITY default
CREATE SUBSCRIPTION s CONNECTION :'publisher' PUBLICATION changes
	WITH (create_slot = false, enabled = false, slot_name = NONE);
\set VERBOSITY terse
SELECT count(*) FROM pg_subscription;
CREATE SUBSCRIPTION s CONNECTION :'publisher' PUBLICATION harmless
	WITH (create_slot = false, enabled = false, slot_name = NONE);
ALTER SUBSCRIPTION s SET PUBLICATION harmless, changes WITH (refresh = false);
DROP SUBSCRIPTION s;
RESET client_min_messages;
DROP TABLE harmless;
\c postgres
DROP PUBLICATION changes, harmless;
DROP TABLE paxoskv.kv, harmless;
DROP SCHEMA paxoskv;
\c :database
SELECT paxos_get('safe');
