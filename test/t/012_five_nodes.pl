# Five nodes go on without any two, refuse without three, and go on again when one of those is back.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Writers;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 5, conf => "paxoskv.commit_timeout = '3s'\n");
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my @followers = grep { $_ != $leader } @ids;

my $writers = PaxosKV::Writers->new($cluster, clients => 1);
$writers->run_until_acknowledged(@ids);

# The leader and a follower at once.
my @dead = ($leader, shift @followers);
CORE::kill('KILL', map { $cluster->pids($_) } @dead);
$cluster->after_kill($_) for @dead;
$writers->run_until_acknowledged(@followers);
pass("nodes @dead dead: the other three go on");
$writers->finish;
is_deeply([ $writers->mistakes($_) ], [], "... with all that was acknowledged, on node $_") for @followers;
$cluster->wait_until_equal;

# A third one: whichever leads now.
$leader = $cluster->wait_for_leader;
@followers = grep { $_ != $leader } @followers;
$cluster->put($leader, 'three', 'are a majority');
# the others are read locally later: they know only what they were told is chosen
$cluster->wait_until_equal;
$cluster->kill($leader);
for my $id (@followers)
{
	$cluster->wait_for("node $id to know", sub { $cluster->refuses($id) });
	my $put = $cluster->try($id, "SELECT paxos_put('two $id', 'are none')");
	is($put->{state}, '53000', "three dead: node $id refuses a put");
	like($put->{err}, qr/not applied and will not be/, '... which is not applied');
	is($cluster->try($id, "SELECT paxos_get('three')")->{state}, '53000', '... and a linearizable read');
	is($cluster->get($id, 'three', 'local'), 'are a majority', '... a local read works');
}

$cluster->start($dead[0]);
$cluster->wait_until_formed;
is($cluster->get($dead[0], 'three'), 'are a majority', 'one is back: it reads what the dead leader acknowledged');
is($cluster->get($dead[0], "two $_"), '', "... and not what node $_ refused") for @followers;
$cluster->put($dead[0], 'again', 'three');
is($cluster->get($_, 'again'), 'three', "... and its put is read on node $_") for @followers;
$cluster->start($_) for $dead[1], $leader;
$cluster->wait_until_formed;
$cluster->wait_until_equal(@ids);
is_deeply([ $writers->mistakes($_) ], [], "all five: what was acknowledged is on node $_") for @ids;

done_testing();
