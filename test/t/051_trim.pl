# T2: the log lets go of what the table holds durably.  Its size is bounded by paxoskv.log_retention whatever is written;
# nothing is lost by it, whoever is killed; a node that was away within the retention comes back by the log.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $mb = 1 << 20;
my ($retention, $segment) = (16 * $mb, $mb);
my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => <<SETTINGS);
paxoskv.segment_size = '1MB'
paxoskv.log_retention = '16MB'
paxoskv.election_timeout = '3s'
paxoskv.commit_timeout = '60s'
paxoskv.max_command_size = '6MB'
SETTINGS
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my ($id, $other) = grep { $_ != $leader } @ids;

# Of the log's own files, and of those kept ready for it.
sub files
{
	my ($node_id, $pattern) = @_;
	my $directory = $cluster->node($node_id)->data_dir . '/paxoskv/pgsql_tmp_log';
	my $bytes = 0;
	$bytes += -s $_ // 0 for glob "$directory/$pattern";
	return $bytes;
}

# The retention, the segment that is written to, and the oldest one, which is cut off as a whole.
sub bound { my ($largest) = @_; return $retention + 2 * $segment + $largest; }

sub wait_until_bounded
{
	my ($what, $largest) = @_;
	for my $node_id ($cluster->up_ids)
	{
		$cluster->wait_for("the log of node $node_id to be trimmed", sub {
				$cluster->status($node_id, 'log_bytes') <= bound($largest);
			});
		# another process takes the files away
		$cluster->wait_for("$what: the segments of node $node_id to be bounded", sub { files($node_id, 'segment.*') <= bound($largest) });
		$cluster->wait_for("$what: those kept ready, too", sub { files($node_id, 'prepared.*') <= 3 * $segment });
		pass("$what: the segments of node $node_id are bounded, and those kept ready");
	}
	return;
}

# paxos_trim() waits for those that are connected, but not long: until the log begins behind a slot; where it does then.
sub trim_past
{
	my ($of, $node_id, $slot) = @_;
	my $first;
	$of->wait_for("the log of node $node_id to be trimmed past slot $slot",
		sub { ($first = $of->query($node_id, 'SELECT paxos_trim()')) > $slot });
	return $first;
}

sub fill
{
	my ($node_id, $name, $count, $size) = @_;
	is($cluster->query($node_id, "SELECT count(paxos_put('$name ' || i, repeat(chr(97 + i % 26), $size))) FROM generate_series(1, $count) AS i"),
		$count, "$count values of $size bytes");
	return;
}

sub is_all_there
{
	my ($what) = @_;
	$cluster->wait_until_equal;
	my %rows;
	for my $node_id (@ids)
	{
		is($cluster->query($node_id, "SELECT paxos_sync() > 0; SELECT count(*) FROM paxoskv.data WHERE key LIKE 'small %' AND length(value) = 50000"),
			"t\n600", "$what: node $node_id has all values");
		$rows{ $cluster->query($node_id, "SELECT md5(string_agg(key || ' ' || revision || ' ' || length(value), ',' ORDER BY revision)) FROM paxoskv.data") } = 1;
	}
	is($cluster->agreeing(1), 3, '... as the nodes themselves find');
	is(scalar keys %rows, 1, '... the same');
	return (keys %rows)[0];
}

# ---------------------------------------------------------------- bounded

fill($leader, 'small', 600, 50000);
wait_until_bounded('30 MB of puts', $segment);
for my $node_id (@ids)
{
	my ($first, $last, $applied) = split /\|/, $cluster->query($node_id, 'SELECT first_slot, last_slot, applied_slot FROM paxos_status()');
	cmp_ok($first, '>', 1, "the log of node $node_id begins later");
	cmp_ok($last, '>=', $applied, '... and ends behind');
	my $bytes = $cluster->query($node_id, "SELECT sum(length(value)) FROM paxos_log(max_rows => NULL)");
	cmp_ok($bytes, '>', $retention / 2, '... what is retained is there');
}
my $rows = is_all_there('trimmed');

my ($begins, $from_one, $default);
$cluster->wait_for('the log to begin where it did a moment before', sub {
		$begins = $cluster->status($id, 'first_slot');
		$from_one = $cluster->answer($id, 'SELECT min(slot), count(*) > 0 FROM paxos_log(1, 5)');
		$default = $cluster->answer($id, 'SELECT min(slot) FROM paxos_log()');
		return $cluster->status($id, 'first_slot') == $begins;
	});
is($from_one->{out}, "$begins|t", 'paxos_log(1) begins where the log does');
like($from_one->{err}, qr/NOTICE: .*this node's log begins at slot $begins\n.*DETAIL:  .*table paxoskv\.kv/, '... and says so');
is("$default->{out} $default->{err}", "$begins ", 'paxos_log() does, too, without a word');

$cluster->stop($_) for @ids;
$cluster->start($_) for @ids;
is(is_all_there('restarted'), $rows, '... as before');
$cluster->kill($_) for @ids;
$cluster->start($_) for @ids;
is(is_all_there('killed'), $rows, '... as before');

# ---------------------------------------------------------------- large values; a retention below a segment's size

fill($id, 'large', 10, 4_000_000);
wait_until_bounded('values of 4 MB', 6 * $mb);
is($cluster->query($other, "SELECT count(*) FROM paxos_prefix('large ') WHERE length(value) = 4000000"), 10, 'they are all there');

# ---------------------------------------------------------------- what is not applied is bounded, too

$leader = $cluster->wait_for_leader;
($id, $other) = grep { $_ != $leader } @ids;
my $apply = $cluster->worker_pid($id, 'apply');
kill 'STOP', $apply;
fill($other, 'unapplied', 18, 4_000_000);
my $behind = $cluster->wait_for('a put to be refused', sub {
		my $try = $cluster->try($id, "SET paxoskv.commit_timeout = '1s'; SELECT paxos_put('far', 'behind')");
		return $try->{state} eq '53000' && $try->{err} =~ /too far behind/ ? $try : undef;
	});
like($behind->{err}, qr/this node is too far behind in applying commands/, 'with 64 MB to apply a node refuses its own clients');
my $not_refused = $cluster->put($other, 'not', 'refused');
ok($cluster->wait_for('what others write', sub { $cluster->status($id, 'last_slot') >= $not_refused }), '... takes what others write');
is($cluster->get($id, 'not', 'local'), '', '... not yet into its table');
cmp_ok($cluster->status($id, 'log_bytes'), '>', bound(6 * $mb), '... and trims nothing of it');
kill 'CONT', $apply;
$cluster->wait_until_equal;
ok($cluster->put($id, 'not', 'behind any more'), 'it takes commands again once they are applied');
wait_until_bounded('applied', 6 * $mb);

# ---------------------------------------------------------------- a follower away for less than the retention

$leader = $cluster->wait_for_leader;
($id, $other) = grep { $_ != $leader } @ids;
my $had = $cluster->status($id, 'applied_slot');
$cluster->stop($id);
fill($leader, 'away', 100, 50000);
cmp_ok($cluster->status($leader, 'first_slot'), '<=', $had, "what node $id lacks is retained");
$cluster->start($id);
$cluster->wait_until_equal;
is($cluster->query($id, "SELECT count(*) FROM paxos_prefix('away ', consistency => 'local')"), 100, "node $id has caught up");
is($cluster->query($id, "SELECT count(DISTINCT key) FROM paxos_log($had, NULL) WHERE key LIKE 'away %'"), 100, '... from the log');

# ---------------------------------------------------------------- paxos_trim()

$leader = $cluster->wait_for_leader;
my $last = $cluster->put($leader, 'before', 'the trim');
$cluster->wait_until_equal;
# a new leader may have an entry of its own behind that
my %first = map { $_ => trim_past($cluster, $_, $last) } @ids;
for my $node_id (@ids)
{
	is($cluster->status($node_id, 'first_slot'), $first{$node_id}, "node $node_id keeps nothing that all have applied");
	$cluster->wait_for("the files of node $node_id to be gone", sub { files($node_id, 'segment.*') <= 2 * $segment });
	my $empty = $cluster->answer($node_id, 'SELECT count(*) FROM paxos_log(1) WHERE key IS NOT NULL');
	is($empty->{out}, 0, '... paxos_log() has no rows');
	like($empty->{err}, qr/this node's log begins at slot $first{$node_id}/, '... and says why');
}
my $after = $cluster->put($id, 'after', 'the trim');
cmp_ok($after, '>', $last, 'the next put goes on behind');
is($cluster->query($id, 'SELECT slot, key FROM paxos_log() WHERE key IS NOT NULL'), "$after|after", '... and is what the log has');
$cluster->query($_, 'SELECT paxos_trim()') for @ids;
$cluster->kill($_) for @ids;
$cluster->start($_) for @ids;
is_all_there('trimmed and killed at once');

# ... while commands run
my @writers = map { $cluster->client($_) } @ids;
sub send_puts
{
	my ($number) = @_;
	$writers[$number]->send("SELECT count(paxos_put('during $number ' || i, repeat('x', 5000))) FROM generate_series(1, 1000) AS i");
	return;
}
send_puts($_) for 0 .. $#writers;
my ($trims, %answer) = (0);
while (keys %answer < @writers)
{
	$trims++ for map { $cluster->query($_, 'SELECT paxos_trim()') } @ids;
	for (grep { !$answer{$_} } 0 .. $#writers)
	{
		my $answer = $writers[$_]->await(0.01) or next;
		# refused for the moment: on a busy machine the majority may be out of reach
		$answer->{state} eq '53000' ? send_puts($_) : ($answer{$_} = $answer);
	}
}
is(join(' ', map { $answer{$_}{state} eq '00000' ? $answer{$_}{value} : "@{ $answer{$_}{rows} }" } 0 .. $#writers), '1000 1000 1000',
	"commands on all nodes during $trims trims");
is_all_there('trimmed meanwhile');
is($cluster->query($other, "SELECT count(*) FROM paxos_prefix('during ')"), 3000, '... and all of those');

# A node that is away keeps nobody from it; one that is there does, and stays able to catch up.
$leader = $cluster->wait_for_leader;
($id) = grep { $_ != $leader } @ids;
$cluster->stop($id);
$last = $cluster->put($leader, 'alone', 'with one');
$cluster->wait_until_equal;
# on both, as either may lead when the third one asks, and would give it whatever its log still has
cmp_ok(trim_past($cluster, $_, $last), '>', $last, "a node that is away is not waited for by node $_") for $cluster->up_ids;
$cluster->start($id);
$cluster->wait_until_equal;
is($cluster->get($id, 'alone', 'local'), 'with one', '... it gets the table when it is back');
cmp_ok($cluster->status($id, 'first_slot'), '>', $last, '... and a log that begins behind it');

# What no majority is known to have applied stays, whoever is there.
$leader = $cluster->wait_for_leader;
my ($late, $gone) = grep { $_ != $leader } @ids;
$cluster->stop($gone);
kill 'STOP', $cluster->worker_pid($late, 'apply');
$last = $cluster->put($leader, 'one', 'table');
$cluster->kill($late);
cmp_ok($cluster->query($leader, 'SELECT paxos_trim()'), '<=', $last, "what only node $leader has applied stays in its log");
$cluster->start($_) for $late, $gone;
$cluster->wait_until_equal;
cmp_ok(trim_past($cluster, $leader, $last), '>', $last, '... until another one has');

# ---------------------------------------------------------------- who may not

$cluster->query($leader, 'CREATE ROLE nobody');
is($cluster->try($leader, 'SET ROLE nobody; SELECT paxos_trim()')->{state}, '42501', 'without EXECUTE: 42501');
$cluster->query($leader, 'GRANT EXECUTE ON FUNCTION paxos_trim() TO nobody');
is($cluster->try($leader, 'SET ROLE nobody; SELECT paxos_trim() > 0')->{out}, 't', 'with it, it is done');
is($cluster->try($leader, 'BEGIN READ ONLY; SELECT paxos_trim() > 0')->{out}, 't', '... in a transaction that only reads, too');
undef $cluster;

# ---------------------------------------------------------------- a cluster of one; fsync

my $one = PaxosKV::Cluster->new(nodes => 1, conf => "paxoskv.segment_size = '1MB'\npaxoskv.log_retention = '16MB'\nwal_writer_delay = '10s'\n");
is($one->query(1, 'SELECT paxos_trim()'), 1, 'before its first command there is nothing to trim');
# What is committed, applied and not flushed would be lost by kill -9: trimmed must be only what is flushed.
for my $round (1 .. 3)
{
	my $slot;
	$slot = $one->put(1, "flushed $_", $round) for 1 .. 20;
	is(trim_past($one, 1, $slot), $slot + 1, "round $round: trimmed through the last put");
	$one->kill(1);
	$one->start(1);
	is($one->query(1, "SELECT count(*) FROM paxos_prefix('flushed ') WHERE value = '$round'"), 20, '... which is there after kill -9');
}

my $node = $one->node(1);
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->restart;
my $refused = $one->try(1, 'SELECT paxos_trim()');
is($refused->{state}, '55000', 'with fsync = off nothing is trimmed');
like($refused->{err}, qr/because fsync is or was off/, '... which is said');
my $first = $one->status(1, 'first_slot');
$one->query(1, "SELECT count(paxos_put('unsafe ' || i, repeat('x', 200000))) FROM generate_series(1, 120) AS i");
$one->wait_for('the log to be too long', sub { $one->status(1, 'detail') =~ /log is not trimmed, because fsync/ });
is($one->status(1, 'first_slot'), $first, '... however long the log');
$node->append_conf('postgresql.conf', "fsync = on\n");
$node->reload;
is($one->try(1, 'SELECT paxos_trim()')->{state}, '55000', '... nor once it is on again');
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
is(scalar(() = $log =~ /paxoskv log is not trimmed/g), 1, '... and the server\'s log has it once');
$node->restart;
$one->wait_for('the log to be trimmed', sub { $one->status(1, 'first_slot') > $first });
$one->wait_for('nothing to be said of it', sub { $one->status(1, 'detail') eq '' });
pass('after a restart with fsync it is trimmed');
is($one->query(1, "SELECT count(*) FROM paxos_prefix('unsafe ')"), 120, '... and all is there');
undef $one;

# ---------------------------------------------------------------- not formed

my $unformed = PaxosKV::Cluster->new(nodes => 3, start => 0);
$unformed->start(1);
$unformed->create_extension(1);
$refused = $unformed->wait_for('a refusal', sub { my $try = $unformed->try(1, 'SELECT paxos_trim()'); return $try->{state} eq '55000' ? $try : undef });
like($refused->{err}, qr/the cluster has not formed/, 'unformed: 55000');

done_testing();
