# Writes through any node are read on any node, at each level; all nodes end with one state.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;
$cluster->wait_until_formed;

# ---------------------------------------------------------------- writes

my %expected;
my $last_revision = 0;
for my $writer (@ids)
{
	my $revision = $cluster->put($writer, "from-$writer", "by node $writer");
	cmp_ok($revision, '>', $last_revision, "put through node $writer: its revision is above all before");
	$last_revision = $revision;
	$expected{"from-$writer"} = "by node $writer";
	for my $reader (@ids)
	{
		is($cluster->get($reader, "from-$writer"), "by node $writer", "... read at once on node $reader, linearizable");
	}
}

my $batch = $cluster->query(2, "SELECT paxos_batch(ARRAY['a', 'b', 'a'], ARRAY['1', '2', '3'])");
is($cluster->query(1, "SELECT revision FROM paxos_get_row('$_')"), $batch, "a batch is one command: $_ has its revision")
  for qw(a b);
@expected{qw(a b)} = (3, 2);
is($cluster->get(3, 'a') . $cluster->get(1, 'b'), '32', '... whose last value of a key wins, on all nodes');

$cluster->put(3, 'gone', 'soon');
is($cluster->query(1, "SELECT paxos_delete('gone')"), 't', 'delete through another node finds the key');
is($cluster->query(2, "SELECT paxos_delete('gone')"), 'f', '... and on a third one it is not there any more');
is($cluster->query(3, "SELECT paxos_get('gone') IS NULL"), 't', '... nor for a read');

$cluster->query(1, "SELECT paxos_put('k' || i, 'v' || i, 'shelf') FROM generate_series(1, 20) i");
is($cluster->query(3, "SELECT paxos_clear('shelf')"), 20, 'clear through another node removes all of a partition');
is($cluster->get(2, 'a'), 3, '... and nothing of another one');

# Larger than a frame's share of the connection: it is sent in pieces.
my $large = 'x' x 1_000_000 . 'end';
$cluster->query(1, "SELECT paxos_put('large', repeat('x', 1000000) || 'end')");
is($cluster->query(2, "SELECT paxos_get('large') = repeat('x', 1000000) || 'end'"), 't', 'a large value arrives whole');
my $strange = qq{quote's "and" back\\slash \x{c3}\x{a9} \t};
$cluster->put(2, 'strange', $strange);
is($cluster->get(1, 'strange'), $strange, 'what is special in SQL or UTF-8 arrives as it was');

# ---------------------------------------------------------------- levels

for my $level (qw(linearizable leader))
{
	for my $round (1 .. 3)
	{
		for my $id (@ids)
		{
			my $writer = $ids[ $id % @ids ];
			$cluster->put($writer, 'level', "$level $round $id");
			is($cluster->get($id, 'level', $level), "$level $round $id", "$level read on node $id after a put on $writer");
		}
	}
}
my $revision = $cluster->put(1, 'level', 'local');
is($cluster->get(1, 'level', 'local'), 'local', 'a local read on the node that wrote');
for my $id (2, 3)
{
	$cluster->wait_for("slot $revision on node $id", sub { $cluster->status($id, 'applied_slot') >= $revision });
	is($cluster->get($id, 'level', 'local'), 'local', "a local read on node $id once it has applied that slot");
}
for my $id (@ids)
{
	$cluster->put($ids[ $id % @ids ], 'synced', $id);
	is($cluster->query($id, "SELECT paxos_sync() > 0; SELECT value FROM paxoskv.data WHERE key = 'synced'"), "t\n$id",
		"a plain query on node $id after paxos_sync()");
}

# ---------------------------------------------------------------- one state

$cluster->wait_until_equal;
my %rows;
for my $id (@ids)
{
	$rows{$id} = $cluster->query($id,
		'SELECT partition, key, md5(value), revision, create_revision, written_at FROM paxoskv.kv ORDER BY key COLLATE "C"');
	is($rows{$id}, $rows{1}, "node $id has the very rows of node 1");
	is($cluster->query($id, "SELECT value FROM paxoskv.data WHERE key = '$_'"), $expected{$_}, "... $_ on node $id")
	  for sort keys %expected;
}
# whoever leads by now; what these show is up to a second old
my $leader;
$cluster->wait_for('view paxoskv.nodes to show three connected voters and the leader', sub {
		$leader = $cluster->wait_for_leader;
		return $cluster->query(3, 'SELECT count(*), count(*) FILTER (WHERE leader), min(node_id) FILTER (WHERE leader),'
			. ' bool_and(voter), bool_and(connected OR self) FROM paxoskv.nodes') eq "3|1|$leader|t|t";
	});
pass("view paxoskv.nodes shows three connected voters, and that node $leader leads");

done_testing();
