# A follower dies, many writes pass, it comes back and catches up from the others' logs, over many segments.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

# A busy machine must not cost an election by itself, where a test counts them.
my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.segment_size = '1MB'\npaxoskv.election_timeout = '10s'\n");
my $leader = $cluster->wait_until_formed;
my ($follower, $other) = grep { $_ != $leader } $cluster->ids;

$cluster->put($follower, 'before', 'it died');
$cluster->kill($follower);
my $ballot = $cluster->status($leader, 'ballot');

# Small commands, large ones, overwritten and deleted keys.
is($cluster->query($other, "SELECT count(paxos_put('key ' || i, 'value ' || i)) FROM generate_series(1, 500) i"), 500,
	'500 puts through the other follower');
$cluster->query($leader, "SELECT paxos_put('large ' || i, repeat(i::text, 300000)) FROM generate_series(1, 9) i");
$cluster->query($leader, "SELECT paxos_batch(array_agg('row ' || i), array_agg('item ' || i), 'table')"
	. ' FROM generate_series(1, 3000) i');
$cluster->query($other, "SELECT paxos_put('key ' || i, 'new ' || i) FROM generate_series(401, 500) i");
$cluster->query($other, "SELECT paxos_delete('key ' || i) FROM generate_series(1, 50) i");
is($cluster->status($leader, 'ballot'), $ballot, 'nobody took over meanwhile');
ok($cluster->wait_for('the leader to miss it',
		sub { $cluster->query($leader, "SELECT connected FROM paxoskv.nodes WHERE node_id = $follower") eq 'f' }),
	'the leader knows that it is away');

$cluster->start($follower);
my $hash = $cluster->wait_until_equal;
is($cluster->status($follower, 'state_hash'), $hash, 'it catches up to the same state');
is($cluster->query($follower, <<'SQL'), "t|t|t|t|t", 'and has, read locally, each value');
SELECT
	(SELECT bool_and(paxos_get('key ' || i, consistency => 'local') = 'value ' || i) FROM generate_series(51, 400) i),
	(SELECT bool_and(paxos_get('key ' || i, consistency => 'local') = 'new ' || i) FROM generate_series(401, 500) i),
	(SELECT bool_and(paxos_get('key ' || i, consistency => 'local') IS NULL) FROM generate_series(1, 50) i),
	(SELECT bool_and(paxos_get('large ' || i, consistency => 'local') = repeat(i::text, 300000))
		FROM generate_series(1, 9) i),
	(SELECT count(*) = 3000 AND bool_and(value = 'item ' || substr(key, 5))
		FROM paxoskv.kv WHERE partition = 'table')
SQL
cmp_ok($cluster->status($follower, 'log_bytes'), '>', 3 * 1024 * 1024, 'its log spans several segments');
is($cluster->status($leader, 'ballot'), $ballot, 'its return disturbed no leader');

# It votes again: with the other one gone, it is the majority's half.
$cluster->kill($other);
$cluster->put($leader, 'after', 'it came back');
is($cluster->get($follower, 'after'), 'it came back', 'a write that needs its vote');
is($cluster->get($follower, 'before'), 'it died', '... beside what was there before');
$cluster->start($other);
$cluster->wait_until_equal;

# Once more, and this time with its server's crash in the middle of catching up.
$cluster->kill($follower);
$cluster->query($leader, "SELECT paxos_put('second ' || i, repeat(i::text, 200000)) FROM generate_series(1, 30) i");
$cluster->start($follower);
$cluster->kill($follower);
$cluster->start($follower);
$cluster->wait_until_equal;
is($cluster->query($follower, "SELECT count(*) FROM paxoskv.data WHERE key LIKE 'second %'"
	. " AND value = repeat(substr(key, 8), 200000)"), 30, 'killed while it caught up, it has all the same');

done_testing();
