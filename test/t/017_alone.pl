# With nothing set but shared_preload_libraries a server is a cluster of one, at once; peers don't widen it later.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('alone');
$node->init(extra => [ qw(--encoding=UTF8 --no-locale) ]);
$node->append_conf('postgresql.conf',
	"shared_preload_libraries = 'paxoskv'\nfsync = on\nrestart_after_crash = on\ndynamic_shared_memory_type = mmap\n");
my $cluster = PaxosKV::Cluster->new(nodes => 0, start => 0, secret => 0);
$cluster->{node}{1} = $node;
$node->start;

# ---------------------------------------------------------------- the first minute

is($cluster->try(1, 'CREATE EXTENSION paxoskv')->{state}, '00000', 'CREATE EXTENSION');
my $put = $cluster->try(1, "SET paxoskv.commit_timeout = '30s'; SELECT paxos_put('apple', 'green')");
is($put->{state}, '00000', '... and a put right after it') or diag $put->{err};
is($cluster->get(1, 'apple', $_), 'green', "... its value, by a $_ read") for qw(linearizable leader local);
is($cluster->status(1, 'role'), 'leader', '... it leads itself');
is($cluster->query(1, 'SELECT count(*) FROM paxoskv.nodes'), 1, '... as the only node');
unlike(slurp_file($node->logfile), qr/paxoskv: listening/, '... and listens for nobody');

# ---------------------------------------------------------------- crashes

sub back_after
{
	my ($what) = @_;
	$cluster->wait_for("a put after $what", sub { $cluster->try(1, "SELECT paxos_put('probe', '$what')")->{ok} });
	is($cluster->get(1, 'probe'), $what, "after $what: puts");
	is($cluster->get(1, 'apple'), 'green', '... and what was there before');
	is($cluster->get(1, 'count'), '200', '... all of it') if $what ne 'nothing';
	return;
}
my $client = $cluster->client(1);
$cluster->query(1, "SELECT max(paxos_put('count', i::text)) FROM generate_series(1, 200) i");
$cluster->kill(1);
$cluster->start(1);
back_after('kill -9');
CORE::kill('TERM', $cluster->worker_pid(1, 'consensus'));
back_after('SIGTERM to the consensus worker');
CORE::kill('TERM', $cluster->worker_pid(1, 'apply'));
back_after('SIGTERM to the apply worker');
CORE::kill('KILL', $cluster->worker_pid(1, 'consensus'));
back_after('kill -9 of the consensus worker');
$node->restart;
back_after('a restart');
$node->stop('immediate');
$node->start;
back_after('an immediate shutdown');

# ---------------------------------------------------------------- peers

my @ports = map { PostgreSQL::Test::Cluster::get_free_port() } 1, 2, 3;
$node->append_conf('postgresql.conf',
	"paxoskv.peers = '" . join(',', map { "$_=127.0.0.1:$ports[$_ - 1]" } 1 .. 3) . "'\n");
$node->restart;
my $refused = $cluster->wait_for('a refusal', sub {
		my $try = $cluster->try(1, "SELECT paxos_put('widened', 'no')");
		return $try->{state} eq '55000' && $try->{err} =~ /formed a cluster of one/ ? $try : undef;
	});
like($refused->{err}, qr/DETAIL:  .*Node 1 has formed a cluster of one; paxoskv\.peers now names others/,
	'peers set on a cluster of one: refused, and says why');
like($refused->{err}, qr/HINT:  Unset paxoskv\.peers to go on alone\. To start anew .* drop and create .* and restart it\./,
	'... with both ways out');
like(slurp_file($node->logfile), qr/worker is dormant: paxoskv\.peers cannot widen a cluster that has formed/,
	'... in the log too');
is($cluster->get(1, 'apple', 'local'), 'green', '... local reads go on');
$node->append_conf('postgresql.conf', "paxoskv.peers = ''\n");
$node->restart;
back_after('unsetting peers');
is($cluster->get(1, 'widened'), '', '... without what was refused');

# The other way out, as the hint has it.
$node->stop;
PostgreSQL::Test::Utils::system_log('rm', '-rf', $node->data_dir . '/paxoskv');
$node->start;
# until it knows that it is no member its extension stays
$cluster->wait_for('it to have started', sub { $cluster->status(1, 'role') ne 'starting' });
is($cluster->try(1, 'DROP EXTENSION paxoskv')->{state}, '00000', 'to start anew: the log is removed, the extension goes');
is($cluster->try(1, 'CREATE EXTENSION paxoskv')->{state}, '00000', '... a new one comes');
$node->restart;
ok($cluster->wait_for('a put', sub { $cluster->try(1, "SELECT paxos_put('pear', 'yellow')")->{ok} }), '... puts work');
is($cluster->query(1, "SELECT paxos_get('pear') || (paxos_get('apple') IS NULL)"), 'yellowtrue', '... in an empty store');

done_testing();
