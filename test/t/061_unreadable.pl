# Pages of a node's own tables that can't be read any more, in heap, TOAST and indexes: paxos_resync() and a table that comes
# by itself put new files in their place, without reading the old ones.  Queries see all of the old rows or of the new ones.
# And whose table a node takes: a follower's, also where the leader was connected first; the leader's where there is no
# other one.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A busy machine must not cost an election.
my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "autovacuum = off\npaxoskv.election_timeout = '3s'\n",
	node_init => { 3 => [ '--no-locale', '--data-checksums' ] });
my $node = $cluster->node(3);

sub log_of { return slurp_file($node->logfile); }

sub put_generation
{
	my ($generation) = @_;
	$cluster->query(1, "SELECT paxos_batch(array_agg('k' || i), array_agg('$generation ' || i)) FROM generate_series(1, 2000) AS i");
	$cluster->query(1, "SELECT paxos_put('large', repeat('$generation', 50000), request_id => 'large $generation')");
	$cluster->wait_until_equal($cluster->up_ids);
	return;
}

# Where a relation's file is; a table's TOAST relation and its index have no name of their own.
sub file_of
{
	my ($relation) = @_;
	return $node->data_dir . '/' . $cluster->query(3, "SELECT pg_relation_filepath($relation)");
}

my %relations = (
	heap => q{'paxoskv.kv'::regclass},
	index => q{'paxoskv.kv_key'::regclass},
	TOAST => q{(SELECT reltoastrelid FROM pg_class WHERE oid = 'paxoskv.kv'::regclass)},
	requests => q{'paxoskv.requests'::regclass},
);

# Some bytes of a page of each, while the server is down.
sub spoil
{
	my (%pages) = @_;
	my %files = map { $_ => file_of($relations{$_}) } keys %pages;
	$cluster->stop(3);
	for my $name (sort keys %pages)
	{
		open my $handle, '+<:raw', $files{$name} or die "$files{$name}: $!";
		seek $handle, $pages{$name} * 8192 + 4000, 0;
		syswrite $handle, 'spoilt' x 20 or die "$files{$name}: $!";
		close $handle;
	}
	return;
}

sub is_whole
{
	my ($generation, $what) = @_;
	is($cluster->query(3, "SELECT count(*) FROM paxoskv.kv WHERE value LIKE '$generation %'"), 2000, "$what: all rows are there");
	is($cluster->query(3, "SELECT paxos_get('large') = repeat('$generation', 50000)"), 't', '... large ones too');
	is($cluster->query(3, "SELECT outcome FROM paxos_outcome('large $generation')"), 'applied', '... and what is remembered');
	$cluster->put(3, 'from here', $what);
	$cluster->wait_until_equal;
	is($cluster->agreeing(1), 3, '... all nodes agree');
	return;
}

# ---------------------------------------------------------------- paxos_resync()

put_generation('old');
spoil(heap => 3, index => 2, TOAST => 1, requests => 0);
$cluster->start(3);
$cluster->wait_until_formed;
$cluster->wait_until_connected(3);
is($cluster->try(3, 'SELECT count(value) FROM paxoskv.kv')->{state}, 'XX001', 'rows of node 3 cannot be read');
my ($reader, $earlier) = map { $cluster->client(3) } 1, 2;
$reader->ask($_) for 'BEGIN', 'SELECT key FROM paxoskv.kv LIMIT 1';
$earlier->ask($_) for 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1';
my $client = $cluster->client(3);
$client->send('SELECT paxos_resync()');
$cluster->wait_for('the loader to wait for who reads the old rows', sub {
		$cluster->query(3, q{SELECT phase FROM paxoskv.snapshot_progress WHERE role = 'receiving' AND rows_done > 0}) eq 'waiting for a lock'
	});
pass('new files wait for who reads the old ones');
$reader->ask('COMMIT');
my ($answer) = $cluster->answers_of($client);
is($answer->{state}, '00000', 'paxos_resync() heals them') or diag(join "\n", @{ $answer->{rows} });
is($earlier->ask('SELECT count(*) FROM paxoskv.kv')->{value}, 2001, '... who had a snapshot before it sees rows, not an empty table');
$earlier->ask('COMMIT');
my @said = log_of() =~ /(could not load the rows of node \d: invalid page .*)/g;
is(scalar @said, 1, '... having said once why') or diag("@said");
like(log_of(), qr/DETAIL:  The next attempt reads nothing of this node's own rows\./, '... and what comes of it');
is_whole('old', 'after paxos_resync()');
is($cluster->query(3, q{SELECT indisvalid AND indisready AND indisreplident FROM pg_index WHERE indexrelid = 'paxoskv.kv_key'::regclass}), 't',
	'the index is what it was');
is($cluster->query(3, q{SELECT count(*) FROM pg_class AS c JOIN pg_depend AS d ON d.objid = c.oid JOIN pg_extension AS e ON e.oid = d.refobjid
	WHERE extname = 'paxoskv' AND deptype = 'e' AND relkind = 'r'}), 5, '... and the tables are the extension\'s');
is($cluster->query(3, q{SELECT count(*) FROM pg_class WHERE relname LIKE 'pg_temp_%'}), 0, '... with nothing left beside them');
is($cluster->try(3, q{DELETE FROM paxoskv.kv})->{state}, '42501', '... which nobody may change');

# ---------------------------------------------------------------- by itself

$cluster->{left_at} = $cluster->status(3, 'last_slot');
spoil(heap => 0, index => 0);
put_generation('new');
for my $id (1, 2)
{
	$cluster->wait_for("the log of node $id to begin behind what node 3 has",
		sub { $cluster->query($id, 'SELECT paxos_trim()') > $cluster->{left_at} + 1 });
}
$cluster->start(3);
$cluster->wait_for('node 3 to have the rows', sub { $cluster->try(3, q{SELECT paxos_get('k1')})->{out} eq 'new 1' });
is_whole('new', 'a table that comes by itself');

# ---------------------------------------------------------------- whose table

sub sources
{
	my ($id) = @_;
	return slurp_file($cluster->node($id)->logfile) =~ /paxoskv has loaded the rows of node (\d) as of slot/g;
}

my $leader = $cluster->wait_for_leader;
my ($follower, $loader) = grep { $_ != $leader } $cluster->ids;

sub sees { my ($id, $connected) = @_; return $cluster->query($loader, "SELECT connected FROM paxoskv.nodes WHERE node_id = $id") eq $connected; }

# The follower's worker ends and is started again a second later: until then the leader alone is connected.  Where the
# machine is so busy that nobody could have waited for it, it is tried again.
my $from_follower;
for my $try (1 .. 10)
{
	$cluster->wait_for('all to be connected', sub { sees($follower, 't') && sees($leader, 't') });
	last if $cluster->wait_for_leader != $leader;
	my $worker = $cluster->worker_pid($follower, 'consensus');
	CORE::kill('TERM', $worker);
	# or to be back already
	my $another = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'paxoskv consensus worker' AND pid <> $worker";
	$cluster->wait_for('the follower to be away', sub { sees($follower, 'f') || $cluster->query($follower, $another) > 0 });
	$cluster->query($loader, 'SELECT paxos_resync()');
	$from_follower = (sources($loader))[-1] == $follower;
	note("try $try: node " . (sources($loader))[-1]);
	last if $from_follower;
}
SKIP:
{
	skip 'another node leads now', 1 if !$from_follower && $cluster->wait_for_leader != $leader;
	ok($from_follower, 'a follower that is there in a moment is preferred to the leader');
}

$cluster->wait_until_formed;
$leader = $cluster->wait_for_leader;
($follower, $loader) = grep { $_ != $leader } $cluster->ids;
$cluster->stop($follower);
$cluster->wait_for('it to be away', sub { sees($follower, 'f') });
my $loads = () = sources($loader);
$cluster->query($loader, 'SELECT paxos_resync()');
is(scalar(() = sources($loader)), $loads + 1, 'with one of three down a table is loaded');
is((sources($loader))[-1], $leader, '... from the leader');
$cluster->start($follower);
$cluster->wait_until_equal;

done_testing();
