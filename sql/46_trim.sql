-- paxos_trim(): without fsync, as in a test's own server, nothing may go.  t/051_trim.pl has the rest.

SELECT paxos_put('trim', 'a') AS revision \gset
SELECT first_slot AS first FROM paxos_status() \gset
DO $$
BEGIN
	PERFORM paxos_trim();
	ASSERT current_setting('fsync')::boolean;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	ASSERT NOT current_setting('fsync')::boolean AND SQLERRM ~ 'because fsync is or was off', SQLERRM;
END
$$;
SELECT CASE WHEN current_setting('fsync')::boolean THEN first_slot > :revision ELSE first_slot = :first END AS trimmed
FROM paxos_status();
SELECT paxos_get('trim');
