# A log's disk that fails: a failed write or sync ends the worker's life, nothing of it is tried again, and recovery from
# what is on the disk begins a new one; the other nodes go on.  A disk that goes on failing: the node stays dormant and
# says why, until it is restarted.  A disk that stalls: somebody else leads.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Writers;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, faults => [ 1 .. 3 ]);
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my $log = 'pgsql_tmp_log/segment';
my $writers = PaxosKV::Writers->new($cluster, clients => 1);
$writers->run_until_acknowledged(@ids);

sub log_of { my ($id) = @_; return slurp_file($cluster->node($id)->logfile); }

sub count_in_log { my ($id, $text) = @_; return scalar(() = log_of($id) =~ /$text/g); }

# One failure: the fault is taken away once it was met.
sub fail_once
{
	my ($id, $call, $text) = @_;
	my $before = count_in_log($id, $text);
	$cluster->fault($id, "$call EIO $log");
	$writers->run($cluster->patience, sub { count_in_log($id, $text) > $before }) or die "node $id did not meet its disk's failure\n";
	$cluster->fault($id);
	return;
}

# ---------------------------------------------------------------- one failed sync, one failed write

for my $call ('sync', 'write')
{
	my $text = qr/paxoskv log failed: could not $call file "\S+segment\.\w+": Input\/output error/;
	$leader = $cluster->wait_for_leader;
	my $run = $cluster->status($leader, 'run');
	fail_once($leader, $call, $text);
	my ($other) = grep { $_ != $leader } @ids;
	ok($writers->run_until_acknowledged(grep { $_ != $leader } @ids), "a failed $call on the leader: the others go on");
	$cluster->wait_for('the worker to begin a new life', sub { $cluster->status($leader, 'run') > $run });
	$cluster->wait_until_formed;
	ok($writers->run_until_acknowledged(@ids), "... the node that failed comes back by itself");
		like(log_of($leader), $text, '... and what failed, with the file');
	my $states = $writers->states($leader);
	is_deeply([ grep { !/^(00000|40003|53000|55000)$/ } keys %$states ], [], "... its clients were told honestly: @{[ %$states ]}");
}

# ---------------------------------------------------------------- a disk that goes on failing

$leader = $cluster->wait_for_leader;
my ($follower, $third) = grep { $_ != $leader } @ids;
$cluster->fault($follower, "sync EIO $log");
$writers->run($cluster->patience, sub { $cluster->status($follower, 'role') eq 'dormant' });
is($cluster->status($follower, 'role'), 'dormant', 'a disk that goes on failing: the node stays dormant');
my $put = $cluster->try($follower, "SELECT paxos_put('dormant', 'no')");
is($put->{state}, '55000', '... refuses puts');
like($put->{err}, qr/DETAIL:  .*failed three times within ten minutes.*not applied and will not be/, '... says why');
like($put->{err}, qr/DETAIL:  .*could not sync file .*Input\/output error/, '... what failed');
like($put->{err}, qr/HINT:  Mend the cause and restart the server\./, '... and what to do');
is($cluster->try($follower, 'SELECT 1')->{ok}, 1, '... its server serves everything else');
ok($writers->run_until_acknowledged($leader, $third), '... the others go on');
$cluster->fault($follower);
is($cluster->status($follower, 'role'), 'dormant', '... it does not trust the disk again by itself');
$cluster->stop($follower);
$cluster->start($follower);
$cluster->wait_until_formed;
ok($writers->run_until_acknowledged(@ids), '... restarted by an admin, it takes part');

# ---------------------------------------------------------------- a disk that stalls

# the one that leads
$cluster->wait_for('the leader to have the slow disk', sub {
		$leader = $cluster->wait_for_leader;
		$cluster->fault($leader, "sync 2000 $log");
		return 1 if $cluster->status($leader, 'role') eq 'leader';
		$cluster->fault($leader);
		return 0;
	});
$writers->run($cluster->patience, sub { grep { $cluster->status($_, 'role') eq 'leader' } grep { $_ != $leader } @ids })
  or die "nobody else leads\n";
pass('each sync of the leader takes two seconds: somebody else leads');
ok($writers->run_until_acknowledged(grep { $_ != $leader } @ids), '... puts through the others go on');
$writers->run($cluster->patience, sub { $writers->states($leader)->{53000} }) or die "the slow node refused nothing\n";
pass('... the slow node refuses its own clients');
$cluster->wait_for('its log to name the disk',
	sub { log_of($leader) =~ /WARNING:  paxoskv: a write to the log's disk took (?:[2-9]\d{3}|\d{5,}) ms/ });
$cluster->fault($leader);
$cluster->wait_until_formed;
ok($writers->run_until_acknowledged(@ids), '... until its disk is quick again');

ok($writers->finish, 'every client was answered');
is_deeply([ $writers->mistakes($_) ], [], "node $_ has all that was acknowledged, nothing refused") for @ids;
ok($cluster->wait_until_equal, 'the tables are equal');
is($cluster->agreeing($leader), 3, '... recounted, too');

done_testing();
