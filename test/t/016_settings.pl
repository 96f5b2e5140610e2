# Settings that are wrong end the start of the server with words that help; none is silently replaced by a default.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 1, start => 0, secret => 0);
my $node = $cluster->node(1);
my $file = $node->data_dir . '/postgresql.conf';
my $good = slurp_file($file);

sub set_conf
{
	my ($settings) = @_;
	open my $handle, '>', $file or die "$file: $!";
	print $handle $good, $settings, "\n";
	close $handle;
	return;
}

# Settings; what the server's log says; DETAIL or HINT beside it.
my @wrong = (
	[ "paxoskv.node_id = 0", qr/0 is outside the valid range for parameter "paxoskv\.node_id"/, qr/paxoskv\.node_id/ ],
	[ "paxoskv.node_id = 'first'", qr/invalid value for parameter "paxoskv\.node_id"/, qr/first/ ],
	[ "paxoskv.commit_timeout = 0", qr/outside the valid range for parameter "paxoskv\.commit_timeout"/, qr/commit_timeout/ ],
	[ "paxoskv.heartbeat_interval = '2ms'", qr/outside the valid range for parameter "paxoskv\.heartbeat_interval"/, qr/./ ],
	[ "paxoskv.queue_size = 3", qr/outside the valid range for parameter "paxoskv\.queue_size"/, qr/./ ],
	[ "paxoskv.max_command_size = '9MB'", qr/outside the valid range for parameter "paxoskv\.max_command_size"/, qr/./ ],
	[ "paxoskv.segment_size = '100kB'", qr/outside the valid range for parameter "paxoskv\.segment_size"/, qr/./ ],
	[ "paxoskv.cluster_name = ''", qr/invalid value for parameter "paxoskv\.cluster_name"/, qr/1 to 63 bytes/ ],
	[ "paxoskv.database = ''", qr/invalid value for parameter "paxoskv\.database"/, qr/1 to 63 bytes/ ],
	[ "paxoskv.peers = '1=127.0.0.1'", qr/invalid value for parameter "paxoskv\.peers"/, qr/not of the form host:port/ ],
	[ "paxoskv.peers = '1=127.0.0.1:7001,1=127.0.0.1:7002'", qr/invalid value for parameter "paxoskv\.peers"/,
		qr/node id is named twice/ ],
	[ "paxoskv.peers = 'one=127.0.0.1:7001'", qr/invalid value for parameter "paxoskv\.peers"/,
		qr/does not begin with a node id/ ],
	[ "paxoskv.peers = '" . join(',', map { "$_=127.0.0.1:" . (7000 + $_) } 1 .. 65) . "'",
		qr/invalid value for parameter "paxoskv\.peers"/, qr/too many nodes/ ],
	[ "paxoskv.peers = '2=127.0.0.1:7001,3=127.0.0.1:7002'", qr/paxoskv\.peers does not name this node/,
		qr/paxoskv\.node_id is 1/ ],
	[ "paxoskv.listen = 'nowhere'", qr/invalid value for parameter "paxoskv\.listen"/, qr/host:port/ ],
	[ "paxoskv.read_consistency = 'eventual'", qr/invalid value for parameter "paxoskv\.read_consistency"/, qr/./ ],
	[ "paxoskv.in_transaction = 'maybe'", qr/invalid value for parameter "paxoskv\.in_transaction"/, qr/./ ],
	[ "paxoskv.drop_rate = 2", qr/outside the valid range for parameter "paxoskv\.drop_rate"/, qr/./ ],
	[ "paxoskv.heartbeat_interval = '600ms'", qr/heartbeat_interval must be at most half of paxoskv\.election_timeout/, qr/./ ],
	[ "paxoskv.listen = '*:7001'", qr/paxoskv does not listen on "\*:7001" without a secret/,
		qr/HINT:  Set paxoskv\.secret_file/ ],
	[ "paxoskv.listen = '192.0.2.1:7001'", qr/does not listen on "192\.0\.2\.1:7001" without a secret/,
		qr/Whoever reaches that address/ ],
	[ "paxoskv.peers = '1=db1.example:7001,2=db2.example:7001'", qr/does not listen on "db1\.example:7001" without a secret/,
		qr/HINT:  Set paxoskv\.secret_file/ ]);

for my $case (@wrong)
{
	my ($settings, $message, $more) = @$case;
	my $shown = length $settings > 70 ? substr($settings, 0, 67) . '...' : $settings;
	set_conf($settings);
	my $offset = -s $node->logfile // 0;
	my $started = $node->start(fail_ok => 1);
	ok(!$started, "$shown: the server does not start");
	my $log = slurp_file($node->logfile, $offset);
	like($log, $message, '... and says why');
	like($log, $more, '... and more');
	$node->stop if $started;
}

# With the same file as it was, it does.
set_conf('');
$cluster->start(1);
$cluster->create_extension(1);
$cluster->put(1, 'good', 'settings');
is($cluster->get(1, 'good'), 'settings', 'the server starts with settings that are right');
for my $set ("paxoskv.read_consistency = 'eventual'", "paxoskv.commit_timeout = '-1'", "paxoskv.no_such = 1")
{
	isnt($cluster->try(1, "SET $set")->{state}, '00000', "SET $set is refused");
}
is($cluster->try(1, "SET paxoskv.node_id = 2")->{state}, '55P02', 'SET paxoskv.node_id needs a restart');
is($cluster->query(1, "SET paxoskv.read_consistency = 'local'; SELECT paxos_get('good')"), 'settings',
	'SET paxoskv.read_consistency is for all');

done_testing();
