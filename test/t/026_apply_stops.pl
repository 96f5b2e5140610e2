# What can't be applied stops apply at its slot, loudly, and nothing is skipped (T4): an entry that this release does not
# know, damage in the table, tables that are not those of this release.  The node says so in its log and its status and
# refuses its clients at once; the others go on; and when the cause is mended it catches up.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::LogFile;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => <<SETTINGS);
paxoskv.commit_timeout = '2s'
paxoskv.election_timeout = '5s'
autovacuum = off
SETTINGS

my $leader = $cluster->wait_until_formed;
my ($id, $other) = grep { $_ != $leader } $cluster->ids;
my $node = $cluster->node($id);
my $log_directory = $node->data_dir . '/paxoskv/pgsql_tmp_log';

sub log_since { my ($offset) = @_; return substr slurp_file($node->logfile), $offset; }

sub wait_for_log
{
	my ($offset, $pattern, $what) = @_;
	$cluster->wait_for("the log: $what", sub { log_since($offset) =~ $pattern });
	return pass($what);
}

sub wait_for_stop
{
	my ($what) = @_;
	return $cluster->wait_for("apply to stop at $what",
		sub { my $detail = $cluster->status($id, 'detail'); $detail =~ /^Apply has stopped/ ? $detail : undef });
}

# As a client of that node and the rest of the cluster meet it.
sub check_stopped
{
	my ($key) = @_;
	$cluster->wait_for('the consensus worker to know of it',
		sub { $cluster->try($id, "SELECT paxos_get('$key')")->{state} eq '55000' });
	for my $statement ("SELECT paxos_put('$key', 'refused')", "SELECT paxos_get('$key')", 'SELECT paxos_sync()')
	{
		my $try = $cluster->try($id, $statement);
		is($try->{state}, '55000', "$statement there: refused");
		like($try->{err}, qr/DETAIL:  Apply has stopped at slot \d+: /, '... with the slot');
	}
	isnt($cluster->try($id, "SELECT paxos_get('$key', consistency => 'local')")->{state}, '55000',
		'... but for what needs no apply');
	$cluster->put($other, "$key again", 'goes on');
	is($cluster->get($leader, "$key again"), 'goes on', '... the other nodes go on');
	return;
}

# Chosen there and not applied: its apply worker stands still, and then the whole node is killed.  (A new leader would send the
# entry again, as it was, over what is made of it here.)
sub leave_unapplied
{
	my ($key) = @_;
	CORE::kill('STOP', $cluster->worker_pid($id, 'apply'));
	my $slot = $cluster->put($other, $key, 'chosen');
	$cluster->wait_for('the node to know it chosen', sub { $cluster->status($id, 'chosen_slot') >= $slot });
	$cluster->kill($id);
	return;
}

# ---------------------------------------------------------------- entries that this release does not know

$cluster->put($id, 'first', 'put');
leave_unapplied('second');
for my $case (
	[ 'a feature', sub { my ($entry) = @_; substr $entry, 2, 2, pack 'v', 0x8000; return $entry } ],
	[ 'a kind', sub { my ($entry) = @_; substr $entry, 1, 1, chr 77; return $entry } ],
	[ 'an operation', sub { my ($entry) = @_; substr $entry, 48 + 1 + 2 + 4, 1, chr 77; return $entry } ],
	[ 'bytes that are no UTF8', sub { my ($entry) = @_; $entry =~ s/chosen$/chos\xc3n/; return $entry } ])
{
	my ($what, $change) = @$case;
	my $before = PaxosKV::LogFile::rewrite($log_directory, 'second', $change);
	my $offset = -s $node->logfile;
	$cluster->start($id);
	like(wait_for_stop($what), qr/^Apply has stopped at slot \d+: /, "$what that is not known: apply stops");
	wait_for_log($offset, qr/paxoskv apply has stopped at slot \d+: .*\n.*HINT:  Nothing is skipped/, '... and the log says so');
	check_stopped('second') if $what eq 'a feature';
	my $apply = $cluster->worker_pid($id, 'apply');
	$cluster->query($id, 'SELECT pg_reload_conf()');
	$cluster->wait_for('it to be tried again', sub { (() = log_since($offset) =~ /apply has stopped at slot/g) > 1 });
	is($cluster->worker_pid($id, 'apply'), $apply, '... a reload tries it again, by the same worker');
	$cluster->kill($id);
	PaxosKV::LogFile::rewrite($log_directory, 'second', sub { return $before });
}
$cluster->start($id);
$cluster->wait_until_formed;
is($cluster->get($id, 'second'), 'chosen', 'the entry as it was is applied');
$cluster->wait_until_equal;

# ---------------------------------------------------------------- damage in the table

my $file = $node->data_dir . '/' . $cluster->query($id, "SELECT pg_relation_filepath('paxoskv.kv')");
$cluster->stop($id);
my $offset;
my $page = substr PaxosKV::LogFile::slurp($file), 0, 8192;

sub write_page
{
	my ($bytes) = @_;
	open my $handle, '+<:raw', $file or die "$file: $!";
	print $handle $bytes;
	close $handle or die "$file: $!";
	return;
}

write_page("\xff" x 8192);
$node->append_conf('postgresql.conf', "paxoskv.verify_interval = '1s'\n");
$offset = -s $node->logfile;
$cluster->start($id);
$cluster->put($other, 'first', 'changed');
like(wait_for_stop('a page that is no page'), qr/^Apply has stopped at slot \d+: invalid page in block 0/,
	'damage in the table: apply stops, with what PostgreSQL says of it');
check_stopped('first');
my @tries = @{ $cluster->wait_for('recounts', sub {
	my @seconds = map { $_->[0] * 3600 + $_->[1] * 60 + $_->[2] } map { [/ (\d+):(\d+):(\d+\.\d+) /] } grep { /"paxoskv recount worker".* exited/ }
	  split /\n/, log_since($offset);
	@seconds >= 4 ? \@seconds : undef }) };
cmp_ok(($tries[3] - $tries[2]) % 86400, '>=', 2, 'what can not be recounted by itself is tried ever more rarely');
$cluster->stop($id);
write_page($page);
$node->append_conf('postgresql.conf', "paxoskv.verify_interval = '1d'\n");
$cluster->start($id);
$cluster->wait_until_formed;
is($cluster->get($id, 'first'), 'changed', 'with the page back it goes on at that slot');
$cluster->wait_until_equal;

# ---------------------------------------------------------------- trouble that may pass is waited out

for my $n (1 .. 20)
{
	$cluster->query($id, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'paxoskv apply worker'");
	$cluster->put($id, "cancelled $n", 'goes on');
}
is($cluster->get($id, 'cancelled 20'), 'goes on', 'cancelled again and again, apply goes on');

# ---------------------------------------------------------------- tables that are not this release's

$cluster->stop($id);
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$cluster->start($id);
$cluster->query($id, 'ALTER TABLE paxoskv.requests RENAME TO requests_of_old');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'paxoskv'");
$cluster->stop($id);
$offset = -s $node->logfile;
$cluster->start($id);
my $refused = $cluster->wait_for('the node to refuse',
	sub { my $put = $cluster->try($id, "SELECT paxos_put('first', 'no')"); $put->{state} eq '55000' && $put->{err} =~ /Apply cannot begin/ ? $put : undef });
like($refused->{err}, qr/DETAIL:  Apply cannot begin: relation "paxoskv\.requests" does not exist/,
	'without one of its tables a node refuses its clients, with the reason');
wait_for_log($offset, qr/paxoskv apply cannot read its tables .*\n.*HINT:  If the library was updated, run ALTER EXTENSION/,
	'... and its log says what to do');
my $apply = $cluster->worker_pid($id, 'apply');
$cluster->put($other, 'first', 'meanwhile');
is($cluster->worker_pid($id, 'apply'), $apply, '... nothing restarts in a circle');
$cluster->stop($id);
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$cluster->start($id);
$cluster->query($id, 'ALTER TABLE paxoskv.requests_of_old RENAME TO requests');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'paxoskv'");
$cluster->stop($id);
$cluster->start($id);
$cluster->wait_until_formed;
is($cluster->get($id, 'first'), 'meanwhile', 'with its table back it catches up');
$cluster->wait_until_equal;

done_testing();
