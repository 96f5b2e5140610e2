# A physical standby of a member: its workers are dormant, it writes nothing and confirms nothing.  The base backup that it
# is made from holds no log, so nobody starts a second voter by promoting it.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "wal_level = replica\nmax_wal_senders = 4\nhot_standby = on\n");
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my ($member, $other) = grep { $_ != $leader } @ids;
$cluster->put($_, "by $_", 'before the backup') for @ids;
$cluster->wait_until_equal;

# ---------------------------------------------------------------- the backup

my $primary = $cluster->node($member);
$primary->backup('base');
my $backup = $primary->backup_dir . '/base';
ok(-e "$backup/PG_VERSION", 'a base backup of a member is taken');
ok(!-e "$backup/paxoskv/pgsql_tmp_log", '... which holds no log');
my $found = '';
PostgreSQL::Test::Utils::run_command([ 'find', $backup, '-path', '*paxoskv/*', '-type', 'f' ])
  and ($found) = PostgreSQL::Test::Utils::run_command([ 'find', $backup, '-path', '*paxoskv/*', '-type', 'f' ]);
is($found, '', '... nor anything else of it');

# ---------------------------------------------------------------- a hot standby of it

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$cluster->put($leader, 'streamed', 'to the standby');

sub on_standby
{
	my ($statement) = @_;
	my ($code, $out, $err) = $standby->psql('postgres', $statement,
		extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1' ]);
	return { state => $code == 0 ? '00000' : $err =~ /ERROR:  (\w{5}):/ ? $1 : 'lost', out => $out, err => $err };
}

# Apply commits asynchronously: its WAL goes out when the WAL writer comes by.
ok($cluster->wait_for('the row on the standby', sub {
		on_standby("SELECT value FROM paxoskv.data WHERE key = 'streamed'")->{out} eq 'to the standby';
	}), 'a hot standby gets the rows of its primary');
is(on_standby("SELECT paxos_get('by $leader', consistency => 'local')")->{out}, 'before the backup', '... reads locally');
is(on_standby("SELECT value FROM paxos_range('s', consistency => 'local')")->{out}, 'to the standby', '... many rows, too');
for my $write ("paxos_put('standby', 'no')", "paxos_delete('streamed')", "paxos_batch(ARRAY['a'], ARRAY['b'])",
	"paxos_clear('default')", qq{paxos_batch_json('{"a": 1}')})
{
	is(on_standby("SELECT $write")->{state}, '25006', "... $write is 25006");
}
for my $read ("paxos_get('streamed')", "paxos_get('streamed', consistency => 'leader')", 'paxos_sync()', 'paxos_wait(1)',
	'paxos_range()', "paxos_prefix('s')", "paxos_get_many('{streamed}')")
{
	my $try = on_standby("SELECT $read");
	is($try->{state}, '55000', "... $read is 55000");
	like($try->{err}, qr/HINT:  Read with consistency 'local', or on a node of the cluster/, '... with a way to read');
}
is(on_standby('SELECT paxos_trim()')->{state}, '25006', '... trims no log');
is(on_standby('SELECT role FROM paxos_status()')->{out}, 'dormant', '... says that it is dormant');
like(on_standby('SELECT detail FROM paxos_status()')->{out}, qr/standby; its workers start when it is promoted/, '... and why');
is(on_standby("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'paxoskv%'")->{out}, 0, '... without workers');

# ---------------------------------------------------------------- promoted, it is no member, whoever its primary was

$standby->promote;
my $put = $cluster->wait_for('the promoted standby to refuse a put', sub {
		my $try = on_standby("SELECT paxos_put('standby', 'no')");
		return $try->{state} eq '55000' && $try->{err} =~ /not a member/ ? $try : undef;
	});
like($put->{err}, qr/DETAIL:  .*database follows another log directory/, 'promoted: it is not its primary, and says so');
like($put->{err}, qr/HINT:  .*join as a new node, under a new paxoskv\.node_id/, '... with the way in');
is(on_standby('SELECT role FROM paxos_status()')->{out}, 'outsider', '... as its status does');
is(on_standby("SELECT paxos_get('streamed', consistency => 'local')")->{out}, 'to the standby', '... it reads locally');
$cluster->put($member, 'after', 'the promotion');
is($cluster->get($leader, 'after'), 'the promotion', 'the member goes on');
is($cluster->get($_, 'standby'), '', "nothing of the standby is on node $_") for @ids;
is(on_standby("SELECT paxos_get('after', consistency => 'local') IS NULL")->{out}, 't', '... nor does it follow any more');
$cluster->wait_until_equal;

done_testing();
