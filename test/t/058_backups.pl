# A member's database that is put back to an earlier state.  Where its log directory stayed as it was, the node takes up
# the log where the backup ends, or another node's rows where the log does not reach back so far.  pg_rewind leaves the log
# out and takes the node's own away: what it makes is no member, and says so.

use strict;
use warnings;

use File::Copy qw(copy move);
use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $log = PostgreSQL::Test::Utils::tempdir_short() . '/log';
my $cluster = PaxosKV::Cluster->new(nodes => 3,
	conf => "wal_level = replica\nmax_wal_senders = 4\nhot_standby = on\nwal_log_hints = on\nwal_keep_size = '128MB'\npaxoskv.segment_size = '1MB'\n",
	node_conf => { 2 => "paxoskv.log_directory = '$log'\n" });
my @ids = $cluster->ids;
$cluster->wait_until_formed;
$cluster->put($_, "by $_", 'before the backup') for @ids;
$cluster->wait_until_equal;

# ---------------------------------------------------------------- an older database beside its own log

my $member = $cluster->node(2);
$member->backup('older');
my $slot = $cluster->status(2, 'applied_slot');
ok(!-e $member->backup_dir . '/older/paxoskv/pgsql_tmp_log', 'a base backup of a member whose log is elsewhere has no log');

# As an admin would: the data directory goes, the backup comes in its place.
sub put_back
{
	my $data = $member->data_dir;
	$cluster->stop(2);
	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', $data);
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $member->backup_dir . '/older', $data);
	chmod 0700, $data;
	$cluster->start(2);
	return;
}

sub is_whole
{
	my ($key, $what) = @_;
	$cluster->wait_for("$what: key $key", sub { $cluster->try(2, "SELECT paxos_get('$key')")->{out} eq 'after the backup' });
	$cluster->wait_until_equal;
	is($cluster->agreeing(1), 3, "$what: the node has all, row by row");
	ok($cluster->put(2, "$what: again", 'x'), '... and takes part');
	return;
}

$cluster->put(1, 'replayed', 'after the backup');
$cluster->wait_until_equal;
put_back();
is_whole('replayed', 'put back beside its log');
unlike(slurp_file($member->logfile), qr/older than the log/, '... by its log alone');

$cluster->put(3, 'fetched', 'after the backup');
$cluster->wait_until_equal;
$cluster->wait_for('the log to begin later', sub {
		$cluster->query(1, "SELECT paxos_put('filler', repeat('x', 300000))");
		$cluster->query($_, 'SELECT paxos_trim()') for @ids;
		return $cluster->status(2, 'first_slot') > $slot + 1;
	});
put_back();
is_whole('fetched', "put back where the log doesn't reach");
like(slurp_file($member->logfile), qr/the database is older than the log: it gets its rows from another node/, "... with another's rows");

# ---------------------------------------------------------------- pg_rewind

my $rewound = $cluster->node(1);
$rewound->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($rewound, 'base', has_streaming => 1);
$standby->start;
$standby->promote;
$standby->safe_psql('postgres', 'CREATE TABLE there (a int); CHECKPOINT');
$cluster->put(1, 'after', 'the promotion');
$cluster->stop(1);
my $data = $rewound->data_dir;
copy("$data/postgresql.conf", "$data.conf") or die "$data.conf: $!";
$rewound->command_ok([ 'pg_rewind', '--target-pgdata', $data, '--source-server', $standby->connstr('postgres') ],
	'a member is rewound to its promoted standby');
ok(!-e "$data/paxoskv/pgsql_tmp_log/metadata.1", '... which takes its log away');
copy("$data.conf", "$data/postgresql.conf") or die "$data/postgresql.conf: $!";
$rewound->enable_streaming($standby);
$rewound->start;
$rewound->promote;
my $put = $cluster->wait_for('the rewound node to refuse a put', sub {
		my $try = $cluster->try(1, "SELECT paxos_put('rewound', 'no')");
		return $try->{state} eq '55000' && $try->{err} =~ /not a member/ ? $try : undef;
	});
like($put->{err}, qr/DETAIL:  .*database follows another log directory/, '... it is no member any more, and says so');
like($put->{err}, qr/HINT:  .*join as a new node, under a new paxoskv\.node_id/, '... with the way in');
is($cluster->status(1, 'role'), 'outsider', '... as its status does');
is($cluster->get(1, 'by 3', 'local'), 'before the backup', '... it reads locally');
$cluster->wait_for('a put through the others', sub { $cluster->try(2, "SELECT paxos_put('others', 'go on')")->{ok} });
is($cluster->get(3, 'others'), 'go on', '... the others go on');
is($cluster->get(3, 'after'), 'the promotion', '... with what it had acknowledged');
$cluster->wait_until_equal(2, 3);

done_testing();
