# What the servers' logs say of a lost node, a new leader, a lost majority and a cluster that does not form: a line for each, and no more.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %offset;

# From here on.
sub begin
{
	my ($cluster) = @_;
	%offset = map { $_ => -s $cluster->node($_)->logfile } $cluster->ids;
	return;
}

sub lines
{
	my ($cluster, $id, $pattern) = @_;
	return grep { /$pattern/ } split /\n/, slurp_file($cluster->node($id)->logfile, $offset{$id});
}

sub wait_for_line
{
	my ($cluster, $id, $pattern) = @_;
	return $cluster->wait_for("node $id to log $pattern", sub { lines($cluster, $id, $pattern) });
}

my $cluster = PaxosKV::Cluster->new(nodes => 3, start => 0);
for my $id ($cluster->ids)
{
	$offset{$id} = 0;
	$cluster->start($id);
	# before there is one
	wait_for_line($cluster, $id, qr/waits for its extension/);
}
$cluster->create_extension($_) for $cluster->ids;
my $leader = $cluster->wait_until_formed;
my @others = grep { $_ != $leader } $cluster->ids;

for my $id ($cluster->ids)
{
	is(scalar lines($cluster, $id, qr/this is node $id of cluster "\Q$cluster->{name}\E" \(nodes 1, 2, 3\)/),
		1, "node $id says what it is a member of");
	is(scalar lines($cluster, $id, qr/waits for its extension to be created in database "postgres"/), 1,
		'... and had said that it waited for the extension');
}

# ---------------------------------------------------------------- a leader is killed

begin($cluster);
$cluster->kill($leader);
$cluster->put($others[0], 'goes', 'on');
for my $id (@others)
{
	$cluster->wait_for("node $id to log who leads at last", sub {
			my $next = $cluster->wait_for_leader(not => $leader);
			my $who = $id == $next ? 'this node' : "node $next";
			return ((lines($cluster, $id, qr/the leader is/))[-1] // '') =~ /the leader is $who now \(ballot \d+\.\d+\.$next[;)]/;
		});
	# two candidates may come one after the other; where even more do, they are summed up
	cmp_ok(scalar lines($cluster, $id, qr/the leader is/), '<=', 4, "the leader killed: node $id says who leads, and little else");
	wait_for_line($cluster, $id, qr/lost node $leader: /);
	is(scalar lines($cluster, $id, qr/lost node $leader: .* (?:closed the connection|reset|Broken pipe)/), 1,
		"... and once that node $leader is lost");
}

# ---------------------------------------------------------------- it stays away

# Twenty more attempts to reach it, at least: the status says with each that it failed.
my $first = $others[0];
my %seen;
$cluster->wait_for('many attempts to reach it', sub {
		my ($attempt) = $cluster->query($first, "SELECT trouble FROM paxoskv.nodes WHERE node_id = $leader");
		$seen{ int time } = 1 if $attempt =~ /could not connect to/;
		return keys %seen >= 10;
	});
is(scalar lines($cluster, $_, qr/LOG:  paxoskv: .*node $leader\b.*|LOG:  paxoskv: .*could not connect/), 1,
	"it stays away: no other line of it in the log of node $_")
  for @others;
for my $id (@others)
{
	$cluster->wait_for("node $id to show in paxoskv.nodes what is wrong", sub {
			$cluster->query($id, "SELECT trouble FROM paxoskv.nodes WHERE node_id = $leader") =~ /could not connect to 127\.0\.0\.1/;
		});
}

# ---------------------------------------------------------------- it comes back

$cluster->start($leader);
$cluster->wait_until_formed;
for my $id (@others)
{
	wait_for_line($cluster, $id, qr/connected to node $leader .* again, after \d+ s without it/);
	is(scalar lines($cluster, $id, qr/connected to node $leader/), 1, "it is back: node $id says it once");
	# the view is renewed each second
	$cluster->wait_for("node $id to find nothing wrong with node $leader", sub {
			$cluster->query($id, "SELECT trouble FROM paxoskv.nodes WHERE node_id = $leader") eq '';
		});
	pass('... and nothing is wrong with it');
}

# ---------------------------------------------------------------- no majority

$leader = $cluster->wait_until_formed;
my ($lonely, @gone) = $cluster->ids;
begin($cluster);
$cluster->stop($_, 'immediate') for @gone;
wait_for_line($cluster, $lonely, qr/this node has not reached a majority of the nodes for \d+ s/);
is($cluster->try($lonely, "SELECT paxos_put('a', 'b')")->{state}, '53000', 'two of three gone: writes are refused');
is(scalar lines($cluster, $lonely, qr/has not reached a majority/), 1, '... and the log says once that there is no majority');
$cluster->start($gone[0]);
wait_for_line($cluster, $lonely, qr/this node reaches a majority of the nodes again, after \d+ s/);
is(scalar lines($cluster, $lonely, qr/a majority of the nodes again/), 1, '... and once that there is one again');
$cluster->stop($_) for $cluster->up_ids;

# ---------------------------------------------------------------- a cluster that does not form

my $new = PaxosKV::Cluster->new(nodes => 3, start => 0);
$new->node(3)->append_conf('postgresql.conf',
	"paxoskv.peers = '1=127.0.0.1:$new->{peer_port}{1},2=localhost:$new->{peer_port}{2},3=127.0.0.1:$new->{peer_port}{3}'");
$new->start($_) for 1 .. 3;
for my $id (1 .. 3)
{
	$offset{$id} = 0;
	wait_for_line($new, $id, qr/DETAIL: .*its paxoskv\.peers differs \(entry 2: here 2=/);
	cmp_ok(scalar lines($new, $id, qr/the cluster has not formed yet/), '<=', 2, "lists differ: node $id says so, and not all the time");
}

done_testing();
