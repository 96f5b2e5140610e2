# A member's database taken back to an earlier moment, with the log directory as it was: by point-in-time recovery, and by
# pg_rewind where the log lies outside of the data directory.  The node is the same member, and takes up its log where the
# database is.  Where the log was forgotten it is none until that is put back.

use strict;
use warnings;

use File::Copy qw(copy move);
use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $log = PostgreSQL::Test::Utils::tempdir_short() . '/log';
my $archive = PostgreSQL::Test::Utils::tempdir_short();
my $archiving = "archive_mode = on\narchive_command = 'cp \"%p\" \"$archive/%f\"'\n";
my $cluster = PaxosKV::Cluster->new(nodes => 3,
	conf => "wal_level = replica\nmax_wal_senders = 4\nhot_standby = on\nwal_log_hints = on\nwal_keep_size = '128MB'\n",
	node_conf => { 2 => "paxoskv.log_directory = '$log'\n", 3 => $archiving });
$cluster->wait_until_formed;

sub wait_until_archived
{
	my ($node) = @_;
	my $file = $node->safe_psql('postgres', 'SELECT pg_walfile_name(pg_switch_wal())');
	$cluster->wait_for("$file to be archived", sub { -e "$archive/$file" });
	return;
}

sub is_whole
{
	my ($id, $key, $what) = @_;
	$cluster->wait_for("$what: key $key", sub { $cluster->try($id, "SELECT paxos_get('$key')")->{out} eq 'afterwards' });
	$cluster->wait_until_equal;
	is($cluster->agreeing(1), 3, "$what: the node has all, row by row");
	ok($cluster->put($id, "$what: again", 'x'), '... and takes part');
	return;
}

# ---------------------------------------------------------------- point-in-time recovery

my $member = $cluster->node(3);
$cluster->put(3, 'first', 'before');
$cluster->wait_until_equal;
$member->backup('base');
$cluster->put(3, 'second', 'before');
$cluster->wait_until_equal;
$member->safe_psql('postgres', q{SELECT pg_create_restore_point('here')});
$cluster->put(3, 'third', 'afterwards');
$cluster->wait_until_equal;
wait_until_archived($member);
my $data = $member->data_dir;
$cluster->stop(3);
move($data, "$data.old") or die "$data: $!";
PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $member->backup_dir . '/base', $data);
chmod 0700, $data;
$member->append_conf('postgresql.conf', "restore_command = 'cp \"$archive/%f\" \"%p\"'\nrecovery_target_name = 'here'\nrecovery_target_action = promote\n");
$member->set_recovery_mode;
$cluster->start(3);
my $put;
$cluster->wait_for('it to be refused', sub { ($put = $cluster->try(3, q{SELECT paxos_put('a', 'b')}))->{err} =~ /not a member/ });
like($put->{err}, qr/DETAIL:  .*database follows another log directory/, 'without its log it is no member, and says so');
like($put->{err}, qr/HINT:  Put the old log directory back/, '... and what to do');
is($cluster->get(3, 'second', 'local') . '|' . $cluster->get(3, 'third', 'local'), 'before|', '... it has the rows of that moment');
$cluster->stop(3);
my $place = 'paxoskv/pgsql_tmp_log';
move("$data/$place", "$data/forgotten") or die "$data/$place: $!";
move("$data.old/$place", "$data/$place") or die "$data.old/$place: $!";
my $from = -s $member->logfile;
$cluster->start(3);
is_whole(3, 'third', 'recovered to a moment, its log put back');
unlike(substr(slurp_file($member->logfile), $from), qr/older than the log/, '... by its log alone');

# ---------------------------------------------------------------- pg_rewind, the log outside of the data directory

my $rewound = $cluster->node(2);
$rewound->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($rewound, 'base', has_streaming => 1);
# as on another machine
$standby->append_conf('postgresql.conf', "paxoskv.log_directory = '$log.standby'\n");
$standby->start;
$rewound->wait_for_catchup($standby, 'replay', $rewound->lsn('insert'));
$standby->promote;
$standby->safe_psql('postgres', 'CREATE TABLE there (a int); CHECKPOINT');
$cluster->wait_for('the promoted standby to refuse a put', sub {
		my ($out, $err) = ('', '');
		$standby->psql('postgres', q{SELECT paxos_put('a', 'b')}, stderr => \$err, on_error_die => 0);
		return $err =~ /not a member/;
	});
pass('a promoted standby is no member');
$cluster->put(2, 'fourth', 'afterwards');
$cluster->wait_until_equal;
$cluster->stop(2);
$data = $rewound->data_dir;
copy("$data/postgresql.conf", "$data.conf") or die "$data.conf: $!";
$rewound->command_ok([ 'pg_rewind', '--target-pgdata', $data, '--source-server', $standby->connstr('postgres') ],
	'a member is rewound to its promoted standby');
copy("$data.conf", "$data/postgresql.conf") or die "$data/postgresql.conf: $!";
ok(-e "$log/metadata.1", '... whose log stays');
$rewound->enable_streaming($standby);
$rewound->start;
$rewound->promote;
is_whole(2, 'fourth', 'rewound, its log outside of the data directory');
$standby->stop;

done_testing();
