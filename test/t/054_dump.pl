# pg_dump of a member's database: it holds the rows and nothing that makes a server a node.  Restored on every server of a
# new cluster before that forms it is what the cluster begins with, revisions going on behind the old ones; servers that
# hold different rows don't form one, and say so; into a node that has formed it is refused with the way.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PaxosKV::Cluster->new(nodes => 3, name => 'old');
my $id = $old->wait_until_formed;
my $put = q{SELECT paxos_put(k, v, p) FROM (VALUES
	('tab', E'a\tb\\\\N\n\r', 'default'), ('', '', 'x'), (E'quote''s "and" \\\\ $$', E'\u00e9\U0001F600 \x01\x7f', 'default'),
	('null', NULL, 'default'), ('key', 'one', E'part\tition'), ('key', 'two', 'Part''ition'), ('long', repeat('long ', 100000), 'x')) AS t(k, v, p)
	WHERE k <> ''};
$old->query($id, $put =~ s/\('null', NULL, 'default'\), //r);
$old->query($id, "SELECT paxos_put('changed', 'first'); SELECT paxos_put('changed', 'second', request_id => 'an id'); "
	. "SELECT paxos_put('gone', 'x'); SELECT paxos_delete('gone'); SELECT paxos_put('number', 17)");
$old->wait_until_equal;
my $rows = 'SELECT partition, key, md5(value), revision, create_revision, written_at FROM paxoskv.kv ORDER BY partition COLLATE "C", key COLLATE "C"';
my $before = $old->query($id, $rows);
my $highest = $old->query($id, 'SELECT max(revision) FROM paxoskv.kv');

# ---------------------------------------------------------------- the dump

my $dump = PostgreSQL::Test::Utils::tempdir() . '/member.sql';
my $archive = PostgreSQL::Test::Utils::tempdir() . '/member.dump';
$old->node($id)->command_ok([ 'pg_dump', '-d', $old->node($id)->connstr('postgres'), '-f', $dump ], 'pg_dump of a member');
$old->node($id)->command_ok([ 'pg_dump', '-Fc', '-d', $old->node($id)->connstr('postgres'), '-f', $archive ], '... as an archive, too');
my $text = slurp_file($dump);
is_deeply([ $text =~ /^COPY (\S+)/mg ], ['paxoskv.kv'], '... it holds the rows and no other table of paxoskv');
for my $what ('store_id', 'cluster_id')
{
	my $identity = $old->query($id, "SELECT replace($what\::text, '-', '') FROM paxos_status()");
	ok($identity =~ /^[0-9a-f]{32}$/ && index($text, $identity) < 0, "... and not the ${\ ($what =~ s/_/'s /r) }");
}
ok(index($text, 'an id') < 0, '... nor request ids');

# ---------------------------------------------------------------- into a node that has formed

my $refused = $old->node($id)->connstr('postgres');
$old->query($id, "SELECT paxos_put('later', 'x')");
my ($out, $err) = run_command([ 'pg_restore', '--data-only', '-d', $refused, $archive ]);
like($err, qr/cannot change rows of table "paxoskv\.kv"/, 'restored into a node that has formed: refused');
like($err, qr/HINT:  Restore the dump on each server of a new cluster before it forms/, '... with the way');
is($old->get($id, 'later'), 'x', '... and its rows are as they were');

# ---------------------------------------------------------------- into a new cluster

my $new = PaxosKV::Cluster->new(nodes => 3, name => 'new', start => 0, faults => [1]);
$new->start($_) for $new->ids;
sub restore
{
	my ($to, @options) = @_;
	$new->node($to)->command_ok([ 'pg_restore', @options, '-d', $new->node($to)->connstr('postgres'), $archive ],
		"restored on node $to by a superuser @options");
	return;
}
restore(1, '--single-transaction');
restore(2);
my $trouble = sub { my ($of, $at) = @_; $new->query($at, "SELECT trouble FROM paxoskv.nodes WHERE node_id = $of"); };
$new->wait_for('node 1 to wait for node 3', sub { $trouble->(3, 1) eq 'its database is not ready' });
pass('a node without the extension is waited for');
$new->create_extension(3);
$new->wait_for('the difference to be known', sub { $trouble->(3, 1) eq "its rows are not the same as here (there none, here up to revision $highest)" });
pass('one without the rows, too: it says how they differ');
$new->wait_for('the other side to know it', sub { $trouble->(1, 3) eq "its rows are not the same as here (here none, there up to revision $highest)" });
my $try;
$new->wait_for('a put to be refused until then, with the reason', sub {
		$try = $new->try(3, "SELECT paxos_put('early', 'no')");
		return $try->{err} =~ /the cluster has not formed.*Node 1 at .*: its rows are not the same as here/s;
	});
is($try->{state}, '55000', '... a put is refused until then');
# Node 1's worker ends as the cluster has formed, before its log could say that it begins behind the rows.
$new->fault(1, 'write EIO pgsql_tmp_log/segment');
restore(3, '--data-only');
$new->wait_for('node 1 to meet its disk', sub { slurp_file($new->node(1)->logfile) =~ /paxoskv log failed: could not write/ });
$new->fault(1);
# met three times before that, it stays dormant
$new->wait_for('node 1 to take part', sub {
		my $role = $new->status(1, 'role');
		do { $new->stop(1); $new->start(1) } if $role eq 'dormant';
		return $role =~ /^(?:leader|follower)$/;
	});
$new->wait_until_formed;
is($new->query($_, $rows), $before, "node $_ of the new cluster has every row as it was, revisions and times, too") for $new->ids;
$new->wait_until_equal;
my $revision = $new->put(2, 'new', 'in the new cluster');
cmp_ok($revision, '>', $highest, "revisions go on behind the old ones: $revision after $highest");
is($new->get(3, 'new'), 'in the new cluster', '... and replicate');
is($new->query(1, "SELECT paxos_cas_revision('changed', (SELECT revision FROM paxos_get_row('changed')), 'third')"), 't',
	'... an old revision is what a condition can name');
cmp_ok($new->query(1, 'SELECT first_slot FROM paxos_status()'), '==', $highest + 1, 'the log begins behind them');
is($new->query(1, "SELECT outcome FROM paxos_outcome('an id')"), 'unknown', 'request ids were left behind');
isnt($new->status(1, 'cluster_id'), $old->status($id, 'cluster_id'), 'it is another cluster');
is($new->agreeing(2), 3, 'all rows were recounted, and agree');

# Restarts and crashes: what it began with is found again.
$new->kill($_) for $new->ids;
$new->start($_) for $new->ids;
$new->wait_until_formed;
is($new->get($_, 'key', 'local') eq '' && $new->query($_, "SELECT paxos_get('key', E'part\\tition')"), 'one', "killed and started, node $_ has the old rows")
  for $new->ids;
cmp_ok($new->put(3, 'again', 'x'), '>', $revision, '... and goes on');
$new->wait_until_equal;
like($new->try(1, "COPY paxoskv.kv FROM '/dev/null'")->{err}, qr/Restore the dump on each server/, '... where nothing can be loaded any more');

# A member whose database is made anew: its log doesn't hold what the cluster began with, another node does.
my $lost = $new->node(3);
$lost->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$lost->restart;
$new->query(3, 'DROP EXTENSION paxoskv');
$lost->append_conf('postgresql.conf', "shared_preload_libraries = 'paxoskv'\n");
$lost->restart;
$new->create_extension(3);
$new->wait_for('the rows to be there', sub { $new->try(3, "SELECT paxos_get('again')")->{out} eq 'x' });
$new->wait_until_equal;
is($new->agreeing(3), 3, 'a database made anew gets them from another node');

# ---------------------------------------------------------------- a cluster of one

my $alone = PaxosKV::Cluster->new(nodes => 1, name => 'alone', start => 0, secret => 0);
$alone->start(1);
$alone->node(1)->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $alone->node(1)->connstr('postgres') ],
	'a plain dump is restored on a server alone');
cmp_ok($alone->put(1, 'new', 'x'), '>', $highest, '... whose revisions go on, too');
is($alone->query(1, "SELECT count(*) FROM ($rows) AS r WHERE key <> 'new'"), scalar(split /\n/, $before), '... with all rows');
$alone->kill(1);
$alone->start(1);
is($alone->get(1, 'changed'), 'second', '... a restart later, too');
is($alone->query(1, 'SELECT rows, agrees FROM paxos_verify()'), scalar(split(/\n/, $before)) + 1 . '|t', '... and is whole');

# ---------------------------------------------------------------- into a server that only looks at it

my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init(extra => [ qw(--encoding=UTF8 --no-locale) ]);
$plain->start;
$plain->command_ok([ 'pg_restore', '-d', $plain->connstr('postgres'), $archive ], 'restored on a server without the library preloaded');
is($plain->safe_psql('postgres', $rows), $before, '... the rows are there to be looked at, and written elsewhere');

done_testing();
