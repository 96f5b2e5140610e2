# As long as a server is a member its store can't be dropped under it; and the library without its extension or database
# waits for them.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# ---------------------------------------------------------------- the database, then the extension, come late

my $cluster = PaxosKV::Cluster->new(nodes => 1, start => 0, conf => "paxoskv.database = 'store'\npaxoskv.commit_timeout = '30s'\n");
my $node = $cluster->node(1);
$cluster->start(1);
$cluster->wait_for('the apply worker to miss its database',
	sub { slurp_file($node->logfile) =~ /paxoskv waits for database "store" to be created/ });
pass('without its database the server runs, and says what it waits for');
$node->safe_psql('postgres', 'CREATE DATABASE other');
my $create = $cluster->try(1, 'CREATE EXTENSION paxoskv', database => 'other');
isnt($create->{state}, '00000', "in another database the extension is refused ($create->{state})");
$node->safe_psql('postgres', 'CREATE DATABASE store');
sub in_store { my ($statement, @more) = @_; return $cluster->try(1, $statement, database => 'store', @more); }
is(in_store('CREATE EXTENSION paxoskv')->{state}, '00000', 'in its own it is created');
my $put = $cluster->wait_for('a put',
	sub { my $try = in_store("SELECT paxos_put('first', 'put')"); $try->{ok} ? $try : undef });
is(in_store("SELECT paxos_get('first')")->{out}, 'put', 'a put works without a restart');
my $elsewhere = $cluster->try(1, 'DROP DATABASE other');
is($elsewhere->{state}, '00000', 'another database can be dropped');

# ---------------------------------------------------------------- nothing takes them away again

for my $case ([ 'DROP DATABASE store', 'postgres' ], [ 'DROP DATABASE store WITH (FORCE)', 'postgres' ],
	[ 'ALTER DATABASE store RENAME TO shop', 'postgres' ], [ 'DROP EXTENSION paxoskv', 'store' ],
	[ 'DROP EXTENSION paxoskv CASCADE', 'store' ])
{
	my ($statement, $database) = @$case;
	my $try = $cluster->try(1, $statement, database => $database);
	is($try->{state}, '55006', "$statement: refused");
	# not after PostgreSQL's own wait for the database's other sessions
	like($try->{err}, qr/HINT:  To leave the cluster for good, remove paxoskv from shared_preload_libraries/,
		'... at once, with the way to leave');
}
is(in_store("SELECT paxos_put('second', 'put')")->{state}, '00000', 'puts go on');
is(in_store("SELECT paxos_get('first') || ' ' || paxos_get('second')")->{out}, 'put put', '... and all is there');

# ---------------------------------------------------------------- the way to leave, as the hint has it

my $log = $node->data_dir . '/paxoskv/pgsql_tmp_log';
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
$node->restart;
$put = in_store("SELECT paxos_put('third', 'no')");
is($put->{state}, '55000', 'not preloaded: a put is refused');
like($put->{err}, qr/HINT:  Add paxoskv to shared_preload_libraries and restart/, '... with what to do');
PostgreSQL::Test::Utils::system_log('rm', '-rf', $log);
is(in_store('DROP EXTENSION paxoskv')->{state}, '00000', 'then the extension can be dropped');
is($cluster->try(1, 'ALTER DATABASE store RENAME TO shop')->{state}, '00000', '... and the database renamed');

# Preloaded again without an extension: nothing restarts in a circle.
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'paxoskv'");
$cluster->stop(1);
my $offset = -s $node->logfile;
$cluster->start(1);
$cluster->wait_for('the apply worker to miss its database again',
	sub { slurp_file($node->logfile, $offset) =~ /waits for database "store"/ });
is($cluster->try(1, 'ALTER DATABASE shop RENAME TO store')->{state}, '00000', 'the database comes back by its name');
is(in_store('CREATE EXTENSION paxoskv')->{state}, '00000', '... with a new extension');
$cluster->wait_for('a put', sub { in_store("SELECT paxos_put('new', 'cluster')")->{ok} });
is(in_store("SELECT paxos_get('new') || (paxos_get('first') IS NULL)")->{out}, 'clustertrue', '... and a new, empty store');
my $exits = () = slurp_file($node->logfile, $offset) =~ /background worker "paxoskv .*" \(PID \d+\) exited/g;
cmp_ok($exits, '<=', 4, '... and its workers did not restart in a circle');

done_testing();
