-- The three levels of a read, as an argument and as a setting, and paxos_sync().

SELECT paxos_put('level', 'one') > 0 AS put;
SELECT paxos_get('level', consistency => 'linearizable'), paxos_get('level', consistency => 'leader'),
	paxos_get('level', consistency => 'local'), paxos_get('level', 'default', NULL);
SELECT value FROM paxos_get_row('level', consistency => 'linearizable');
SELECT value FROM paxos_get_row('level', consistency => 'leader');
SELECT value FROM paxos_get_row('level', consistency => 'local');

SHOW paxoskv.read_consistency;
SET paxoskv.read_consistency = 'leader';
SELECT paxos_get('level');
SET paxoskv.read_consistency = 'local';
SELECT paxos_get('level');
SET paxoskv.read_consistency = 'eventual';
RESET paxoskv.read_consistency;

-- what is no level
SELECT paxos_get('level', consistency => 'eventual');
SELECT paxos_get('level', consistency => '');
SELECT paxos_get('level', consistency => 'LOCAL');
SELECT * FROM paxos_get_row('level', consistency => 'strong');
SELECT paxos_sync('quorum');

-- sync gives the slot reached, which is not behind the last write
SELECT paxos_put('level', 'two') AS revision \gset
SELECT paxos_sync() >= :revision AS reached;
SELECT paxos_sync('leader') >= :revision AS reached, paxos_sync(consistency => 'local') >= :revision AS reached;
SELECT value FROM paxoskv.data WHERE key = 'level';

-- it is of no use, and refused, where a snapshot is kept
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT paxos_sync();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT paxos_sync('local');
ROLLBACK;
BEGIN;
SELECT paxos_sync() >= :revision AS reached;
SELECT value FROM paxoskv.data WHERE key = 'level';
COMMIT;

-- reads are allowed where writes are not
BEGIN READ ONLY;
SELECT paxos_get('level'), paxos_sync() >= :revision AS reached;
COMMIT;
