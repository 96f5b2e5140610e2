# What commands read is larger than they are: a check of many large values, gets of the same one again and again, and
# many such commands applied at once cost the apply workers no memory in proportion, neither here nor on other nodes.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '120s'\npaxoskv.election_timeout = '10s'\n");
my @ids = $cluster->ids;
my ($id, @others) = @ids;
$cluster->wait_until_formed;

# The most that its address space had, in MB: shared memory does not grow.
sub peak
{
	my ($node_id) = @_;
	my $pid = $cluster->worker_pid($node_id, 'apply');
	open my $status, '<', "/proc/$pid/status" or die "process $pid: $!";
	my ($kilobytes) = map { /^VmPeak:\s+(\d+)/ } <$status>;
	return $kilobytes / 1024;
}

sub growth_is_below
{
	my ($node_id, $before, $limit, $what) = @_;
	my $growth = peak($node_id) - $before->{$node_id};
	cmp_ok($growth, '<', $limit, sprintf '%s: node %d took %.0f MB', $what, $node_id, $growth);
	return;
}

my $value = "repeat('x', 4000000)";
$cluster->query($id, "SELECT count(paxos_put('large ' || i, $value)) FROM generate_series(1, 48) i");
$cluster->wait_until_equal;
my %before = map { $_ => peak($_) } @ids;

# ---------------------------------------------------------------- checks

my $check = "(SELECT jsonb_agg(jsonb_build_object('key', 'large ' || i, 'value', 'z', 'compare', '<')) FROM generate_series(1, 48) i)";
is($cluster->query($id, "SELECT paxos_txn($check, '[]', '[]')->>'succeeded'"), 'true', 'a check of 192 MB holds');
$cluster->wait_until_equal;
growth_is_below($_, \%before, 60, 'a check of 192 MB') for @ids;

# ---------------------------------------------------------------- gets, on nodes where nobody waits for them

my $gets = "(SELECT jsonb_agg(jsonb_build_object('op', 'get', 'key', 'large 1')) FROM generate_series(1, 12) i)";
my $read = "SELECT length(paxos_txn('[]', $gets, '[]')::text)";
cmp_ok($cluster->query($id, $read), '>', 48_000_000, 'a result of 48 MB arrives');
cmp_ok($cluster->query($id, "SELECT length(paxos_txn('[]', $gets, '[]', 'large')::text)"), '>', 48_000_000, '... with a request id, too');
is($cluster->answer($_, "SELECT paxos_txn('[]', $gets, '[]', 'large')")->{state}, '40003', "... which node $_ does not remember")
  for @ids;
$cluster->wait_until_equal;
growth_is_below($_, \%before, 60, 'a result of 48 MB for another node') for @others;

# ---------------------------------------------------------------- many in one batch

%before = map { $_ => peak($_) } @ids;
my $apply = $cluster->worker_pid($id, 'apply');
kill STOP => $apply;
my @clients = map { $cluster->client($id) } 1 .. 8;
my $commands = $cluster->status($id, 'commands');
$_->send($read) for @clients;
$cluster->wait_for('eight reads to be numbered', sub { $cluster->status($id, 'commands') >= $commands + @clients });
kill CONT => $apply;
for my $client (@clients)
{
	my $answer = $client->await(2 * $cluster->patience);
	is($answer->{state}, '00000', 'a result of 48 MB, one of eight at once');
	cmp_ok($answer->{value}, '>', 48_000_000, '... all of it');
}
growth_is_below($id, \%before, 260, 'eight results of 48 MB at once');
$cluster->wait_until_equal;

done_testing();
