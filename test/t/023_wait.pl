# paxos_wait(): a client that wrote through one node reads its write by plain queries on another.  It waits no longer than
# it must, and what it can't reach in time it says, without effect.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '2s'\n");
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my ($reader, $other) = grep { $_ != $leader } @ids;

# ---------------------------------------------------------------- its own writes

my %client = map { $_ => $cluster->client($_) } @ids;
my @missed;
for my $i (1 .. 30)
{
	my $writer = $ids[ $i % @ids ];
	my $revision = $client{$writer}->ask("SELECT paxos_put('own', 'value $i')")->{value};
	for my $id (grep { $_ != $writer } @ids)
	{
		my $reached = $client{$id}->ask("SELECT paxos_wait($revision)")->{value};
		my $value = $client{$id}->ask("SELECT value FROM paxoskv.data WHERE key = 'own'")->{value};
		push @missed, "write $i through node $writer on node $id: $value after slot $reached"
		  if $reached < $revision || $value ne "value $i";
	}
}
is_deeply(\@missed, [], 'after paxos_wait(revision), a plain query on another node sees the write');

# ---------------------------------------------------------------- a write that is yet to come

my $last = $cluster->put($leader, 'coming', 'not yet');
is($cluster->query($reader, "SELECT paxos_wait($last) >= $last"), 't', 'what is applied is not waited for');
$client{$reader}->send("SELECT paxos_wait($last + 1) > $last");
select undef, undef, undef, 0.3;
my $next = $cluster->put($other, 'coming', 'here');
my $answer = $client{$reader}->await(5);
is($answer->{value}, 't', 'a write that comes meanwhile ends the wait');
cmp_ok($answer->{received} - $answer->{sent}, '<', 1.9, '... before its deadline');
cmp_ok($answer->{received} - $answer->{sent}, '>', 0.25, '... and not before the write');

my $try = $cluster->try($reader, "SELECT paxos_wait($next + 1000000)");
is($try->{state}, '53000', 'a slot that never comes: 53000');
cmp_ok($try->{seconds}, '>', 1.9, '... at the deadline');
cmp_ok($try->{seconds}, '<', 5, '... and not long after');
like($try->{err}, qr/Nothing was changed; it is safe to try again\..*HINT:  This node does not know of a write in that slot/s,
	'... and says that it knows of none');

# ---------------------------------------------------------------- a node whose apply stands still

my ($blocker, $holder) = map { $cluster->client($reader) } 1, 2;
$blocker->ask($_) for 'BEGIN', 'SELECT count(*) FROM paxoskv.kv';
my $pid = $holder->ask('SELECT pg_backend_pid()')->{value};
$holder->send('VACUUM FULL paxoskv.kv');
$cluster->wait_for('VACUUM FULL to queue for its lock', sub {
		$cluster->query($reader, "SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0;
	});
my $behind = $cluster->put($leader, 'behind', 'there');
$cluster->wait_for('the write to be chosen there', sub { $cluster->status($reader, 'chosen_slot') >= $behind });
$try = $cluster->try($reader, "SELECT paxos_wait($behind)");
is($try->{state}, '53000', 'apply waits for a lock: 53000');
like($try->{err}, qr/slot $behind was not applied .*HINT:  Something may hold a lock on paxoskv\.kv/s, '... and says what may be');
is($cluster->query($reader, "SELECT paxos_wait($next) >= $next"), 't', '... what was applied before is not waited for');
$client{$reader}->send("SELECT paxos_wait($behind)");
$blocker->ask('ROLLBACK');
cmp_ok($client{$reader}->await(5)->{value} // 0, '>=', $behind, 'the wait ends when apply goes on');
is($cluster->query($reader, "SELECT value FROM paxoskv.data WHERE key = 'behind'"), 'there', '... and the write is there');
$holder->await(10);

# ---------------------------------------------------------------- a node that is alone

$cluster->kill($_) for grep { $_ != $reader } @ids;
$cluster->wait_for('the lack of a quorum to be known', sub { $cluster->refuses($reader) });
is($cluster->query($reader, "SELECT paxos_wait($behind) >= $behind"), 't', 'no majority: what is applied is still not waited for');
$cluster->wait_for('a wait to be refused', sub {
		$try = $cluster->try($reader, "SELECT paxos_wait($behind + 1000000)");
		return $try->{seconds} < 1;
	}, 20);
is($try->{state}, '53000', '... anything else is 53000 at once');
like($try->{err}, qr/cannot reach a majority/, '... with the reason');
is($cluster->query($reader, "SELECT string_agg(key, ' ') FROM paxos_range(consistency => 'local')"), 'behind coming own',
	'a range can be read locally');
for my $read ('paxos_range()', q{paxos_prefix('o')}, q{paxos_get_many('{own}')}, q{paxos_range(max_rows => 0)})
{
	is($cluster->try($reader, "SELECT * FROM $read")->{state}, '53000', "... and no other way: $read");
}
is($cluster->try($reader, q{SELECT paxos_batch_json('{"a": 1}')})->{state}, '53000', 'nor is anything written');
$cluster->start($_) for grep { $_ != $reader } @ids;
$cluster->wait_until_formed;
is($cluster->query($reader, "SELECT count(*) FROM paxos_range()"), 3, 'with the others back, all of it works');
$cluster->wait_until_equal;

done_testing();
