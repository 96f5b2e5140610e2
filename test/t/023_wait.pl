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

my %client = map { $_ => $cluster->patient_client($_) } @ids;
my @missed;
for my $i (1 .. 30)
{
	my $writer = $ids[ $i % @ids ];
	my $revision = $cluster->ask($client{$writer}, "SELECT paxos_put('own', 'value $i')")->{value};
	for my $id (grep { $_ != $writer } @ids)
	{
		my $reached = $cluster->ask($client{$id}, "SELECT paxos_wait($revision)")->{value};
		my $value = $client{$id}->ask("SELECT value FROM paxoskv.data WHERE key = 'own'")->{value};
		push @missed, "write $i through node $writer on node $id: $value after slot $reached"
		  if $reached < $revision || $value ne "value $i";
	}
}
is_deeply(\@missed, [], 'after paxos_wait(revision), a plain query on another node sees the write');

# ---------------------------------------------------------------- a write that is yet to come

my $last = $cluster->put($leader, 'coming', 'not yet');
is($cluster->query($reader, "SELECT paxos_wait($last) >= $last"), 't', 'what is applied is not waited for');
# a new leader has entries of its own, but not so many
my $awaited = $last + 10;
$client{$reader}->ask("SET paxoskv.commit_timeout = '1h'");
$client{$reader}->send("SELECT paxos_wait($awaited) >= $awaited");
ok(!$client{$reader}->await(1), 'what is not there yet is waited for');
my $next = $last;
$next = $cluster->put($other, 'coming', 'here') while $next < $awaited;
my $answer = $client{$reader}->await($cluster->patience);
is($answer->{value}, 't', 'a write that comes meanwhile ends the wait long before its deadline');
is($client{$reader}->ask("SELECT applied_slot >= $awaited FROM paxos_status()")->{value}, 't', '... and it is there');

my $try;
sub wait_in_vain
{
	my ($slot, $deadline) = @_;
	# and not because a majority was out of reach for a moment
	$cluster->wait_for("slot $slot not to come", sub {
			$try = $cluster->try($reader, "SET paxoskv.commit_timeout = '$deadline'; SELECT paxos_wait($slot)");
			return $try->{err} !~ /cannot reach a majority/;
		});
	return;
}
wait_in_vain($next + 1000000, '2s');
is($try->{state}, '53000', 'a slot that never comes: 53000');
cmp_ok($try->{seconds}, '>', 1.9, '... at the deadline');
like($try->{err}, qr/Nothing was changed; it is safe to try again\..*HINT:  This node does not know of a write in that slot/s,
	'... and says that it knows of none');

# ---------------------------------------------------------------- a node whose apply stands still

my $release = $cluster->hold_table($reader, 'paxoskv.kv');
my $behind = $cluster->put($leader, 'behind', 'there');
$cluster->wait_for('the write to be chosen there', sub { $cluster->status($reader, 'chosen_slot') >= $behind });
wait_in_vain($behind, '2s');
is($try->{state}, '53000', 'apply waits for a lock: 53000');
like($try->{err}, qr/slot $behind was not applied .*HINT:  Something may hold a lock on paxoskv\.kv/s, '... and says what may be');
is($cluster->query($reader, "SELECT paxos_wait($next) >= $next"), 't', '... what was applied before is not waited for');
$client{$reader}->send("SELECT paxos_wait($behind)");
$release->();
cmp_ok($client{$reader}->await($cluster->patience)->{value} // 0, '>=', $behind, 'the wait ends when apply goes on');
is($cluster->query($reader, "SELECT value FROM paxoskv.data WHERE key = 'behind'"), 'there', '... and the write is there');

# ---------------------------------------------------------------- a node that is alone

$cluster->kill($_) for grep { $_ != $reader } @ids;
$cluster->wait_for('the lack of a quorum to be known', sub { $cluster->refuses($reader) });
is($cluster->query($reader, "SELECT paxos_wait($behind) >= $behind"), 't', 'no majority: what is applied is still not waited for');
$try = $cluster->try($reader, "SET paxoskv.commit_timeout = '1h'; SELECT paxos_wait($behind + 1000000)");
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
