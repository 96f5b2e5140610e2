-- Who may do what: nothing is for PUBLIC, EXECUTE is the permission.
\set VERBOSITY terse

-- of all that the extension made, nothing is granted to PUBLIC: no function, table, view, type or schema
WITH members AS (
	SELECT classid, objid FROM pg_depend
	WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'paxoskv')),
relations AS (SELECT objid FROM members WHERE classid = 'pg_class'::regclass),
rights AS (
	SELECT classid, objid, coalesce(proacl, acldefault('f', proowner)) AS acl FROM members, pg_proc
		WHERE classid = 'pg_proc'::regclass AND oid = objid
	UNION ALL SELECT classid, objid, coalesce(relacl, acldefault('r', relowner)) FROM members, pg_class
		WHERE classid = 'pg_class'::regclass AND oid = objid
	UNION ALL SELECT classid, objid, coalesce(nspacl, acldefault('n', nspowner)) FROM members, pg_namespace
		WHERE classid = 'pg_namespace'::regclass AND oid = objid
	UNION ALL SELECT 'pg_type'::regclass, oid, coalesce(typacl, acldefault('T', typowner)) FROM pg_type
		WHERE (oid IN (SELECT objid FROM members WHERE classid = 'pg_type'::regclass)
			OR typrelid IN (SELECT objid FROM relations))
			AND typsubscript <> 'array_subscript_handler'::regproc) -- whose rights are those of their elements' type
SELECT DISTINCT classid::regclass AS catalog, pg_describe_object(classid, objid, 0) AS object, privilege_type
FROM rights, aclexplode(acl) WHERE grantee = 0 ORDER BY 2;
-- and to others only what monitors see
SELECT pg_describe_object('pg_class'::regclass, oid, 0) AS object, privilege_type, grantee::regrole
	FROM pg_class, aclexplode(relacl)
	WHERE relnamespace = 'paxoskv'::regnamespace AND grantee <> relowner ORDER BY 1;
SELECT oid::regprocedure, grantee::regrole FROM pg_proc, aclexplode(proacl)
	WHERE grantee <> proowner AND probin LIKE '%paxoskv' ORDER BY 1;

-- so that somebody without grants can do nothing
CREATE ROLE regress_paxoskv_nobody;
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
SELECT paxos_trim();
SELECT * FROM paxoskv.data;
SELECT * FROM paxoskv.kv;
SELECT * FROM paxoskv.nodes;
SELECT paxoskv.read_nodes();
SELECT paxoskv.extension_created();
COPY paxoskv.kv TO STDOUT;
COPY paxoskv.kv FROM '/dev/null';
DROP EXTENSION paxoskv;
RESET ROLE;

-- the README's recipes: a reader, a writer, an operator, and the rights of one partition
CREATE ROLE kv_reader;
GRANT EXECUTE ON FUNCTION paxos_get, paxos_get_row, paxos_get_many, paxos_range, paxos_prefix, paxos_sync, paxos_wait
	TO kv_reader;
GRANT USAGE ON SCHEMA paxoskv TO kv_reader;
GRANT SELECT ON paxoskv.data TO kv_reader;

CREATE ROLE kv_writer IN ROLE kv_reader;
GRANT EXECUTE ON FUNCTION paxos_put(text, text, text, text), paxos_put(text, anyelement, text, text),
	paxos_batch, paxos_batch_json(jsonb, text, text), paxos_batch_json(json, text, text),
	paxos_batch_json(text, text, text), paxos_insert, paxos_update, paxos_cas, paxos_cas_revision, paxos_txn,
	paxos_delete, paxos_outcome TO kv_writer;

CREATE ROLE kv_operator IN ROLE kv_reader, pg_monitor;
GRANT EXECUTE ON FUNCTION paxos_clear, paxos_clear_all, paxos_log, paxos_verify TO kv_operator;
GRANT SELECT ON paxoskv.kv TO kv_operator;

CREATE ROLE flags_writer;
CREATE FUNCTION set_flag(flag text, value text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$SELECT public.paxos_put(flag, value, 'flags')$$;
ALTER FUNCTION set_flag OWNER TO kv_writer;
REVOKE EXECUTE ON FUNCTION set_flag FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_flag TO flags_writer;

-- the writer reads, too
SET ROLE kv_writer;
SELECT paxos_put('granted', 'yes') > 0 AS put;
SELECT paxos_put('number', 1) > 0 AS put;
SELECT paxos_batch('{x,y}', '{1,2}') > 0 AS put;
SELECT paxos_batch_json('{"y": 2}'::jsonb) > 0 AS put;
SELECT paxos_delete('x');
SELECT paxos_insert('once', '1'), paxos_update('once', '2'), paxos_cas('once', '2', '3'), paxos_cas_revision('once', 0, '4');
SELECT paxos_txn('[{"key": "once", "value": "3"}]', '[{"op": "delete", "key": "once"}]', '[]') ->> 'succeeded' AS succeeded;
SELECT paxos_get('granted');
SELECT key, value FROM paxoskv.data WHERE key IN ('granted', 'number', 'y') ORDER BY key;
SELECT paxos_clear('default');
SELECT paxos_clear_all('paxoskv');
SELECT * FROM paxos_log();
SELECT * FROM paxos_status();
SELECT * FROM paxoskv.kv;
DELETE FROM paxoskv.data;

-- the reader only does
SET ROLE kv_reader;
SELECT paxos_get('granted');
SELECT key, value FROM paxos_get_row('granted');
SELECT key, value FROM paxos_get_many('{number,granted,none}');
SELECT key, value FROM paxos_range('granted', 'granted0'), paxos_sync() AS slot;
SELECT key, value FROM paxos_prefix('num');
SELECT paxos_wait(1) > 0 AS waited;
SELECT value FROM paxoskv.data WHERE key = 'granted';
SELECT paxos_put('granted', 'no');
SELECT paxos_put('granted', 0);
SELECT paxos_batch('{granted}', '{no}');
SELECT paxos_batch_json('{"granted": "no"}'::jsonb);
SELECT paxos_insert('granted', 'no');
SELECT paxos_update('granted', 'no');
SELECT paxos_cas('granted', 'yes', 'no');
SELECT paxos_cas_revision('granted', 1, 'no');
SELECT paxos_txn('[]', '[{"delete": "granted"}]', '[]');
SELECT paxos_delete('granted');
SELECT paxos_clear('default');
SELECT count(*) FROM paxoskv.kv;
SELECT * FROM paxoskv.nodes;
UPDATE paxoskv.data SET value = 'no';

-- the operator sees all of it and can empty it
SET ROLE kv_operator;
SELECT node_id, leader FROM paxoskv.nodes;
SELECT node_id, role FROM paxos_status();
SELECT count(*) > 0 AS some FROM paxos_log(max_rows => 10);
SELECT agrees FROM paxos_verify();
SELECT count(*) > 0 AS some FROM paxoskv.kv;
SELECT paxos_put('granted', 'no');
SELECT paxos_clear('none');
DELETE FROM paxoskv.kv;

-- one partition, by a function with the rights of its owner
SET ROLE flags_writer;
SELECT set_flag('beta', 'on') > 0 AS set;
SELECT paxos_put('beta', 'off', 'flags');
SELECT paxos_get('beta', 'flags');
RESET ROLE;
SELECT paxos_get('beta', 'flags');

-- pg_monitor alone sees the status and the nodes, and no data
CREATE ROLE regress_paxoskv_monitor IN ROLE pg_monitor;
SET ROLE regress_paxoskv_monitor;
SELECT node_id, role FROM paxos_status();
SELECT node_id, leader FROM paxoskv.nodes;
SELECT * FROM paxos_log();
SELECT * FROM paxoskv.kv;
SELECT paxos_get('granted');
RESET ROLE;

-- all rights on the table are no more than SELECT; of the functions none needs them
GRANT ALL ON paxoskv.kv, paxoskv.state TO kv_reader;
SET ROLE kv_reader;
SELECT count(*) > 0 AS some FROM paxoskv.kv;
DELETE FROM paxoskv.kv;
TRUNCATE paxoskv.kv;
CREATE TRIGGER t BEFORE INSERT ON paxoskv.kv FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
RESET ROLE;
SELECT paxos_get('granted');

DROP FUNCTION set_flag;
DROP OWNED BY kv_reader, kv_writer, kv_operator, flags_writer, regress_paxoskv_nobody, regress_paxoskv_monitor;
DROP ROLE kv_reader, kv_writer, kv_operator, flags_writer, regress_paxoskv_nobody, regress_paxoskv_monitor;
