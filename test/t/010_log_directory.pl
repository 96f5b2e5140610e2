# A node whose log directory is empty, another node's or in use by another server never votes: it says so (55000) with the
# way back in, and the others go on.  With its own log back, it is a member as before.

use strict;
use warnings;

use File::Copy qw(copy move);
use PaxosKV::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my ($id, $other) = grep { $_ != $leader } @ids;
my $node = $cluster->node($id);
my $log = $node->data_dir . '/paxoskv/pgsql_tmp_log';

sub refused_put
{
	my ($detail) = @_;
	return $cluster->wait_for("node $id to refuse a put because: $detail", sub {
			my $put = $cluster->try($id, "SELECT paxos_put('refused', 'by $id')");
			return $put->{state} eq '55000' && $put->{err} =~ $detail ? $put : undef;
		});
}

# The others go on, and need each other: this one's vote does not count.
sub check_others
{
	my ($what) = @_;
	$cluster->put($leader, $what, 'written by the others');
	is($cluster->get($other, $what), 'written by the others', "$what: the others go on");
	is($cluster->try($id, "SELECT paxos_get('$what')")->{state}, '55000', "$what: a linearizable read is refused");
	is($cluster->get($id, 'before', 'local'), 'from all', "$what: a local read works");
	is($cluster->status($id, 'leader_id'), '', "$what: it follows nobody");

	$cluster->pause($other);
	my $put = $cluster->try($leader, "SET paxoskv.commit_timeout = '1500ms'; SELECT paxos_put('$what alone', 'no')");
	like($put->{state}, qr/^(53000|40003)$/, "$what: it is no majority with one other ($put->{state})");
	$cluster->resume($other);
	$leader = $cluster->wait_for('a leader of the two', sub {
			my @leading = grep { $cluster->status($_, 'role') eq 'leader' } $leader, $other;
			return @leading == 1 && $cluster->try($leading[0], 'SELECT paxos_sync()')->{ok} ? $leading[0] : undef;
		});
	($other) = grep { $_ != $leader && $_ != $id } @ids;
	return;
}

sub put_log_back
{
	my ($what) = @_;
	$cluster->start($id);
	$cluster->wait_until_formed;
	$cluster->put($id, "$what: back", 'with its own log');
	is($cluster->get($leader, "$what: back"), 'with its own log', "$what: with its own log it is a member again");
	is($cluster->get($id, $what), 'written by the others', '... and has what was written meanwhile');
	is($cluster->get($id, 'refused'), '', '... and nothing of what it refused');
	$cluster->wait_until_equal;
	# who leads of those two; or either of them, if this one does
	$leader = $cluster->wait_for_leader;
	($leader, $other) = sort { ($b == $leader) <=> ($a == $leader) } grep { $_ != $id } @ids;
	return;
}

$cluster->put($id, 'before', 'from all');
$cluster->wait_until_equal;

# ---------------------------------------------------------------- wiped

$cluster->stop($id);
my $saved = $node->basedir . '/saved_log';
move($log, $saved) or die "$log: $!";
$cluster->start($id);
my $put = refused_put(qr/DETAIL:  .*database follows another log directory.* The log directory is new/);
like($put->{err}, qr/this server is not a member of the cluster/, 'wiped: refused as no member, and says why');
like($put->{err}, qr/HINT:  Put the old log directory back \(paxoskv\.log_directory\), or let .* join as a new node/,
	'... with the way back in');
is($cluster->status($id, 'role'), 'outsider', '... as in its status');
check_others('wiped');
$cluster->stop($id);
PostgreSQL::Test::Utils::system_log('rm', '-rf', $log);
move($saved, $log) or die "$saved: $!";
put_log_back('wiped');

# ---------------------------------------------------------------- log and database wiped: a new server under the old id

$cluster->stop($id);
my $data = $node->data_dir;
move($data, "$data.saved") or die "$data: $!";
$node->init(extra => [ qw(--encoding=UTF8 --no-locale) ]);
copy("$data.saved/postgresql.conf", "$data/postgresql.conf") or die "$data/postgresql.conf: $!";
$cluster->start($id);
$cluster->create_extension($id);
$put = refused_put(qr/DETAIL:  .*formed with another log directory under this node's id/);
pass('a new server under the old id: refused, and says why');
like($put->{err}, qr/HINT:  .*join as a new node, under a new/, '... with the way back in');
is($cluster->status($id, 'role'), 'outsider', '... as in its status');
$cluster->put($leader, 'new', 'written by the others');
is($cluster->get($other, 'new'), 'written by the others', '... the others go on');
is($cluster->status($id, 'applied_slot'), 0, '... and nothing was applied there');
$cluster->stop($id);
PostgreSQL::Test::Utils::system_log('rm', '-rf', $data);
move("$data.saved", $data) or die "$data.saved: $!";
put_log_back('new');

# ---------------------------------------------------------------- in use by another server, and another node's copy

my $second = PostgreSQL::Test::Cluster->new('second');
$second->init(extra => [ qw(--encoding=UTF8 --no-locale) ]);
$second->append_conf('postgresql.conf', <<SETTINGS);
shared_preload_libraries = 'paxoskv'
paxoskv.node_id = $id
paxoskv.log_directory = '$log'
SETTINGS
$second->start;
$second->safe_psql('postgres', 'CREATE EXTENSION paxoskv');
$cluster->wait_for('the second server to find the log locked',
	sub { slurp_file($second->logfile) =~ /consensus worker is dormant: the log cannot be used/ });
my $line = slurp_file($second->logfile);
like($line, qr/HINT:  Stop the other server that uses this log directory\./, 'a log in use: the second server says what to do');
my ($code, $out, $err);
# the log has it a moment before the clients
$cluster->wait_for('the second server to refuse a put', sub {
		($code, $out, $err) = $second->psql('postgres', "SELECT paxos_put('second', 'server')",
			extra_params => [ '-v', 'VERBOSITY=verbose' ]);
		return $err =~ /ERROR:  55000/;
	});
like($err, qr/DETAIL:  .*log cannot be used/, '... and refuses a put for that reason');
$cluster->put($id, 'first', 'goes on');
is($cluster->get($leader, 'first'), 'goes on', '... while the first goes on');
$second->stop;

# The log of another member, under this node's id: its promises are not this node's.
$cluster->stop($id);
move($log, $saved) or die "$log: $!";
$cluster->kill($other);
PostgreSQL::Test::RecursiveCopy::copypath($cluster->node($other)->data_dir . '/paxoskv/pgsql_tmp_log', $log);
$cluster->start($other);
$cluster->start($id);
$put = refused_put(qr/DETAIL:  .*database follows another log directory/);
like($put->{err}, qr/HINT:  Put the old log directory back/, "another node's log: refused, with the way back in");
$cluster->wait_for('the others', sub { $cluster->try($leader, "SELECT paxos_put('foreign', 'written by the others')")->{ok} });
$cluster->stop($id);
PostgreSQL::Test::Utils::system_log('rm', '-rf', $log);
move($saved, $log) or die "$saved: $!";
put_log_back('foreign');

done_testing();
