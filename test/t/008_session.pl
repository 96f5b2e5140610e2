# The consensus worker's commands belong to its session.  When it ends, what it had numbered is unknown to its clients at
# once, and the next worker has a new session; a command of the old one takes effect at most once.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

# A node that has no majority for two fifths of this refuses puts before it numbers them: here it shall not know that so soon.
my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.election_timeout = '10s'\n");
my @ids = $cluster->ids;

sub check_session
{
	my ($which, $what) = @_;
	my ($id, $prepared, $release) = $cluster->hold_others($which, sub {
			my ($node_id) = @_;
			# A new leader grants this node a window for more than one command only when it has forwarded something.
			$cluster->put($node_id, "$what before", 'x');
			my @clients = map { $cluster->client($node_id) } 1 .. 4;
			# by that deadline the test would have given up
			$_->ask("SET paxoskv.commit_timeout = '1h'") for @clients;
			return \@clients;
		});
	my @clients = @$prepared;
	my $old = $cluster->status($id, 'session');
	my $run = $cluster->status($id, 'run');
	my $numbered = $cluster->status($id, 'commands');
	my $worker = $cluster->worker_pid($id, 'consensus');

	$clients[$_]->send("SELECT paxos_put('$what $_', 'value $_')") for 0 .. $#clients;
	$cluster->wait_for('the puts to be numbered', sub { $cluster->status($id, 'commands') == $numbered + @clients });
	CORE::kill('TERM', $worker);
	my @names;
	for my $client (@clients)
	{
		my $answer = $client->await($cluster->patience);
		ok($answer, "$what: a put of the old session comes to an end long before its deadline");
		is($answer->{state}, '40003', '... as unknown');
		my ($name) = "@{ $answer->{rows} }" =~ /Command (s\d+-\d+) may be applied or not/;
		push @names, $name;
		like($name // '', qr/^s\Q$old\E-\d+$/, '... by its name in the old session: ' . ($name // 'none'));
		is($client->ask('SELECT 1')->{state}, '00000', '... and its connection lives on');
	}
	my %distinct = map { ($_ // '') => 1 } @names;
	is(scalar keys %distinct, @clients, "$what: every put has a name of its own");
	$release->();

	$cluster->wait_for("node $id to take puts", sub { $cluster->try($id, "SELECT paxos_put('$what', 'new')")->{ok} });
	$cluster->wait_until_formed;
	my $new = $cluster->wait_for("node $id to show its session", sub { $cluster->status($id, 'session') });
	cmp_ok($new, '>', $old, "$what: the next worker has a new session");
	is($cluster->status($id, 'run'), $run + 1, '... in the next run of this node');
	isnt($cluster->worker_pid($id, 'consensus'), $worker, '... as another process');
	$cluster->wait_until_equal;
	is($cluster->query($id, "SELECT count(*) FROM paxos_log(max_rows => NULL) WHERE kind = 'open_session' AND session = "
		. $cluster->status($id, 'session')) <= 1, 1, "$what: it was opened once");
	for my $i (0 .. $#clients)
	{
		my $value = $cluster->get($id, "$what $i");
		ok($value eq '' || $value eq "value $i", "$what: the put's key has its value or none ('$value')");
		is($cluster->get($_, "$what $i"), $value, "... on node $_ too") for @ids;
	}

	# Done before it was called unknown or never: it must not come later, over what was put since.
	$cluster->put($id, "$what $_", 'over it') for 0 .. $#clients;
	$cluster->put($ids[ $id % @ids ], "$what end", 'all sessions go on');
	$cluster->wait_until_equal;
	is($cluster->get($id, "$what $_"), 'over it', "$what: nothing of the old session comes after a newer put") for 0 .. $#clients;
	return;
}

check_session('leader', 'leader');
my $leader = $cluster->wait_until_formed;
my ($follower) = grep { $_ != $leader } @ids;
check_session($follower, 'follower');

done_testing();
