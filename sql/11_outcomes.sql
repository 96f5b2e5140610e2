-- An error says whether the command may have been applied, and never lies about it.

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;

-- A time-out of a millisecond strikes at any step of a command.  Done: the key is there.  53000: it is not and
-- will not be.  40003: it may come, and on one node that goes on working it does.
CREATE TABLE outcomes (key text, code text, message text, detail text, hint text);
SET paxoskv.commit_timeout = '1ms';
DO $$
DECLARE
	result outcomes;
BEGIN
	FOR i IN 1 .. 40 LOOP
		result := ROW('key ' || i, 'done', NULL, NULL, NULL);
		BEGIN
			PERFORM paxos_put(result.key, repeat('x', i * i * 300));
		EXCEPTION WHEN statement_completion_unknown OR insufficient_resources THEN
			GET STACKED DIAGNOSTICS result.code = RETURNED_SQLSTATE, result.message = MESSAGE_TEXT,
				result.detail = PG_EXCEPTION_DETAIL, result.hint = PG_EXCEPTION_HINT;
		END;
		INSERT INTO outcomes SELECT result.*;
	END LOOP;
END
$$;
RESET paxoskv.commit_timeout;
-- what is under way gets done: a later command of this node comes after it in the log
SELECT paxos_put('last', '') > 0 AS put;
SELECT count(*) AS commands,
	bool_and(code IN ('done', '40003', '53000')) AS known_codes,
	bool_and((code <> '53000') = (data.key IS NOT NULL)) AS true_to_word,
	bool_and(code <> '40003' OR detail ~ 's[0-9]+-[0-9]+') AS named,
	bool_and(code = 'done' OR hint <> '') AS with_a_hint
FROM outcomes LEFT JOIN paxoskv.data ON data.key = outcomes.key;
SELECT * FROM outcomes LEFT JOIN paxoskv.data ON data.key = outcomes.key
WHERE (code <> '53000') <> (data.key IS NOT NULL);

-- a read that is not confirmed in time has no effect; a local one has nothing to wait for
SET paxoskv.commit_timeout = '1ms';
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		BEGIN
			PERFORM paxos_get('last'), paxos_sync();
		EXCEPTION WHEN insufficient_resources THEN
			CONTINUE;
		END;
	END LOOP;
END
$$;
SELECT paxos_get('last', consistency => 'local') = '' AS local;
RESET paxoskv.commit_timeout;
SELECT paxos_get('last') = '' AS linearizable;

-- a put of many rows, given up: all of it or nothing
SET paxoskv.commit_timeout = '1ms';
DO $$
BEGIN
	PERFORM paxos_batch(array_agg(i::text), array_agg(i::text), 'given up') FROM generate_series(1, 20000) AS i;
EXCEPTION WHEN statement_completion_unknown OR insufficient_resources THEN
	NULL;
END
$$;
RESET paxoskv.commit_timeout;
SELECT paxos_put('last', 'again') > 0 AS put;
SELECT count(*) IN (0, 20000) AS all_or_nothing FROM paxoskv.kv WHERE partition = 'given up';

DROP TABLE outcomes;
