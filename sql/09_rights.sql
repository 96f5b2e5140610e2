-- Who may do what: nothing is for PUBLIC, EXECUTE is the permission.
\set VERBOSITY terse
CREATE ROLE regress_paxoskv_nobody;
CREATE ROLE regress_paxoskv_reader;
CREATE ROLE regress_paxoskv_writer;
CREATE ROLE regress_paxoskv_monitor IN ROLE pg_monitor;

SET ROLE regress_paxoskv_nobody;
SELECT paxos_put('a', '1');
SELECT paxos_put('a', 1);
SELECT paxos_get('a');
SELECT * FROM paxos_get_row('a');
SELECT paxos_delete('a');
SELECT paxos_clear('a');
SELECT paxos_clear_all('paxoskv');
SELECT paxos_batch('{a}', '{1}');
SELECT paxos_sync();
SELECT * FROM paxos_status();
SELECT * FROM paxos_log();
SELECT * FROM paxoskv.data;
SELECT * FROM paxoskv.nodes;
RESET ROLE;

-- monitors see the status and the nodes, and no data
SET ROLE regress_paxoskv_monitor;
SELECT node_id, role FROM paxos_status();
SELECT node_id, leader FROM paxoskv.nodes;
SELECT * FROM paxos_log();
SELECT * FROM paxoskv.kv;
SELECT paxos_get('a');
RESET ROLE;

-- functions need no right on the table
GRANT EXECUTE ON FUNCTION paxos_get(text, text, text) TO regress_paxoskv_reader;
GRANT EXECUTE ON FUNCTION paxos_put(text, text, text, text), paxos_get(text, text, text)
	TO regress_paxoskv_writer;
SET ROLE regress_paxoskv_writer;
SELECT paxos_put('granted', 'yes') > 0 AS put;
SELECT paxos_get('granted');
SELECT paxos_put('granted', 1);
SELECT * FROM paxoskv.kv;
SET ROLE regress_paxoskv_reader;
SELECT paxos_get('granted');
SELECT paxos_put('granted', 'no');
RESET ROLE;

-- and the table's rights are for queries
GRANT USAGE ON SCHEMA paxoskv TO regress_paxoskv_reader;
GRANT SELECT ON paxoskv.data TO regress_paxoskv_reader;
SET ROLE regress_paxoskv_reader;
SELECT value FROM paxoskv.data WHERE key = 'granted';
SELECT count(*) FROM paxoskv.kv;
RESET ROLE;
GRANT ALL ON paxoskv.kv TO regress_paxoskv_reader;
SET ROLE regress_paxoskv_reader;
SELECT count(*) > 0 AS some FROM paxoskv.kv;
DELETE FROM paxoskv.kv;
TRUNCATE paxoskv.kv;
RESET ROLE;
SELECT paxos_get('granted');

DROP OWNED BY regress_paxoskv_nobody, regress_paxoskv_reader, regress_paxoskv_writer, regress_paxoskv_monitor;
DROP ROLE regress_paxoskv_nobody, regress_paxoskv_reader, regress_paxoskv_writer, regress_paxoskv_monitor;
