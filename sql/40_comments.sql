-- \df+ and \d+ explain everything: no object of the extension, and no column of one, is without a comment.

-- A table's or view's row type and the types of arrays come with it and need none.
PREPARE without_comment AS
WITH member AS (
	SELECT d.classid, d.objid, t.oid AS type, t.typrelid AS relation, t.typelem
	FROM pg_depend AS d
	LEFT JOIN pg_type AS t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND
		d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'paxoskv')
), relation AS (
	SELECT c.oid, c.relnamespace::regnamespace || '.' || c.relname AS name, c.relkind
	FROM pg_class AS c
	WHERE c.oid IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass
		UNION ALL SELECT relation FROM member WHERE relation <> 0)
)
SELECT pg_describe_object(m.classid, m.objid, 0) AS without_comment
FROM member AS m
LEFT JOIN pg_class AS c ON c.oid = m.relation
WHERE (m.type IS NULL OR c.relkind = 'c' OR (m.relation = 0 AND m.typelem = 0)) AND
	coalesce(obj_description(m.objid, m.classid::regclass::name), '') = ''
UNION ALL
SELECT 'column ' || r.name || '.' || a.attname
FROM relation AS r
JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.relkind IN ('r', 'p', 'v', 'm', 'c') AND coalesce(col_description(r.oid, a.attnum), '') = ''
ORDER BY 1;

-- it finds what has none, one of each kind
BEGIN;
COMMENT ON SCHEMA paxoskv IS NULL;
COMMENT ON TABLE paxoskv.kv IS NULL;
COMMENT ON COLUMN paxoskv.state.config IS NULL;
COMMENT ON VIEW paxoskv.nodes IS NULL;
COMMENT ON COLUMN paxoskv.data.revision IS NULL;
COMMENT ON TYPE paxoskv.key_value IS NULL;
COMMENT ON COLUMN paxoskv.key_value.key IS NULL;
COMMENT ON FUNCTION paxos_get(text, text, text) IS NULL;
COMMENT ON FUNCTION paxoskv.read_nodes() IS NULL;
EXECUTE without_comment;
ROLLBACK;

-- there is none
EXECUTE without_comment;
DEALLOCATE without_comment;

-- every function that writes says when that takes effect
SELECT count(*) > 10 AS many,
	count(*) FILTER (WHERE obj_description(oid, 'pg_proc')
		NOT LIKE '%takes effect when it returns, whatever the transaction does') AS silent
FROM pg_proc
WHERE proname ~ '^paxos_(put|delete|clear|clear_all|batch|batch_json|insert|update|cas|cas_revision|txn)$';
