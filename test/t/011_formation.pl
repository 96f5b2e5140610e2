# A cluster forms once, when all of its first members are there with the same list; until then each says what is missing.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

# ---------------------------------------------------------------- a member is missing

my $cluster = PaxosKV::Cluster->new(nodes => 3, start => 0);
my $missing = "Node 3 at 127.0.0.1:" . $cluster->peer_port(3) . ": not heard of yet";
my $why = 'could not connect to 127.0.0.1:' . $cluster->peer_port(3) . ': Connection refused';
for my $id (1, 2)
{
	$cluster->start($id);
	$cluster->create_extension($id);
}
sub wait_for_refusal
{
	my ($id, $detail) = @_;
	return $cluster->wait_for("node $id to say: $detail", sub {
			my $put = $cluster->try($id, "SELECT paxos_put('early', 'no')");
			return $put->{state} eq '55000' && $put->{err} =~ $detail ? $put : undef;
		});
}
for my $id (1, 2)
{
	my $put = wait_for_refusal($id, qr/DETAIL:  \Q$missing ($why)\E\. The command was not applied/);
	like($put->{err}, qr/the cluster has not formed/, "node 3 missing: node $id refuses a put");
	pass("... naming who is missing and why: $missing ($why)");
	like($put->{err}, qr/HINT:  A cluster forms once all nodes of paxoskv\.peers are up/, '... and what it takes');
	unlike($put->{err}, qr/Node [12] /, '... and nobody else');
	is($cluster->try($id, "SELECT paxos_get('early')")->{state}, '55000', '... a linearizable read is refused too');
	is($cluster->get($id, 'early', 'local'), '', '... a local read works');
	is($cluster->status($id, 'role'), 'unformed', '... the status says that it has not formed');
	$cluster->wait_for("the status of node $id to say why", sub { $cluster->status($id, 'detail') =~ /\Q$missing ($why)\E/ });
	$cluster->wait_for("paxoskv.nodes of node $id to name node 3, and no other", sub {
			$cluster->query($id, "SELECT string_agg(node_id || ' ' || trouble, ',') FROM paxoskv.nodes WHERE trouble <> ''") eq
			  "3 not heard of yet ($why)";
		});
	pass('... and why, as paxoskv.nodes does, which names no other');
}
$cluster->kill(1);
$cluster->start(1);
wait_for_refusal(1, qr/DETAIL:  \Q$missing ($why)\E\./);
pass('it says the same after a crash');

# ---------------------------------------------------------------- it comes with another list

$cluster->node(3)->append_conf('postgresql.conf',
	"paxoskv.peers = '1=127.0.0.1:$cluster->{peer_port}{1},2=localhost:$cluster->{peer_port}{2},"
	. "3=127.0.0.1:$cluster->{peer_port}{3}'");
$cluster->start(3);
$cluster->create_extension(3);
my ($second, $by_name) = ("2=127.0.0.1:" . $cluster->peer_port(2), "2=localhost:" . $cluster->peer_port(2));
# node 1, which was started anew, may hear node 3 first
wait_for_refusal(1, qr/\A(?!.*Node 2 ).*Node 3 .*paxoskv\.peers differs \(entry 2: here \Q$second\E, there \Q$by_name\E\)/s);
pass('lists differ: node 1 says how its own and that of node 3 do, and nothing of node 2, whose list is the same');
wait_for_refusal(2, qr/Node 3 .*paxoskv\.peers differs \(entry 2: here \Q$second\E, there \Q$by_name\E\)/);
pass('... node 2 says it too');
for my $id (1, 2)
{
	wait_for_refusal(3, qr/Node $id .*paxoskv\.peers differs \(entry 2: here \Q$by_name\E, there \Q$second\E\)/);
	pass("... node 3 says it of node $id");
}

# ---------------------------------------------------------------- all are there

$cluster->stop(3);
$cluster->node(3)->append_conf('postgresql.conf', "paxoskv.peers = '$cluster->{peers}'");
$cluster->start(3);
$cluster->wait_until_formed;
$cluster->put(1, 'formed', 'by all');
is($cluster->get(3, 'formed'), 'by all', 'with the right list the cluster forms, without any other restart');
is($cluster->get(2, 'early'), '', '... and nothing that was refused is there');
my %cluster_ids = map { $cluster->status($_, 'cluster_id') => 1 } $cluster->ids;
is(scalar keys %cluster_ids, 1, '... with one id');
for my $id ($cluster->ids)
{
	$cluster->wait_for("no trouble on node $id",
		sub { $cluster->query($id, "SELECT count(*) FROM paxoskv.nodes WHERE trouble <> ''") == 0 });
}
pass('... and no trouble on any node');
$cluster->wait_until_equal;

# ---------------------------------------------------------------- the setting does not change who votes

$cluster->stop(2);
$cluster->node(2)->append_conf('postgresql.conf',
	"paxoskv.peers = '1=127.0.0.1:$cluster->{peer_port}{1},2=127.0.0.1:$cluster->{peer_port}{2}'");
$cluster->start(2);
$cluster->wait_until_formed;
$cluster->put(2, 'later', 'all three vote');
is($cluster->get(3, 'later'), 'all three vote', 'another list after formation changes nothing');
is($cluster->query(2, 'SELECT count(*) FROM paxoskv.nodes WHERE voter'), 3, '... there are three voters still');
is($cluster->status(2, 'cluster_id'), (keys %cluster_ids)[0], '... of the same cluster');
$cluster->wait_until_equal;

done_testing();
