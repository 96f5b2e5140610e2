# State hashes (T3): nodes that apply the same agree under load; a row that was changed behind the log's back is found by
# a recount from any node, and that node stops, stays stopped, and can be made anew from its log.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);

my @columns = qw(node_id slot state_hash rows agrees);

# paxos_verify() on one node, once it says of all that live whether they agree: { node id => { column => value } }
sub verify
{
	my ($id, $arguments) = @_;
	return $cluster->wait_for("node $id to know whether all agree", sub {
			my %nodes;
			for my $line (split /\n/, $cluster->query($id, 'SELECT * FROM paxos_verify(' . ($arguments // '') . ')'))
			{
				my %node;
				@node{@columns} = split /\|/, $line, -1;
				$nodes{ $node{node_id} } = \%node;
			}
			return (grep { $nodes{$_}{agrees} eq '' } $cluster->up_ids) ? undef : \%nodes;
		});
}

sub all_of
{
	my ($nodes, $column) = @_;
	return join ' ', map { $nodes->{$_}{$column} } sort keys %$nodes;
}

sub is_one_state
{
	my ($nodes, $what) = @_;
	my %states = map { join('|', @{$_}{qw(slot state_hash rows)}) => 1 } values %$nodes;
	is(scalar keys %states, 1, "$what: one slot, hash and number of rows");
	is(all_of($nodes, 'agrees'), 't t t', "$what: all agree");
	return;
}

# Statements in a server (of the cluster, by its id, or another one) that does not know of paxoskv's protection.
sub behind_its_back
{
	my ($id, @statements) = @_;
	my $node = ref $id ? $id : $cluster->node($id);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
	$node->restart;
	$node->safe_psql('postgres', $_) for @statements;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'paxoskv'\n");
	$node->restart;
	return;
}

# As docs/sql.md says.
sub make_anew
{
	my ($id) = @_;
	behind_its_back($id, 'DROP EXTENSION paxoskv');
	$cluster->create_extension($id);
	$cluster->wait_until_formed;
	$cluster->wait_until_equal;
	return;
}

sub log_lines
{
	my ($id, $pattern) = @_;
	my @lines = grep { /$pattern/ } split /\n/, slurp_file($cluster->node($id)->logfile);
	return scalar @lines;
}

my $stopped = 'paxoskv apply has stopped: the rows of this node are not the cluster';

# ---------------------------------------------------------------- all is well

is_one_state(verify($_), "from node $_, before the first write") for 1 .. 3;
$cluster->query(1, q{SELECT paxos_batch(array_agg('k' || i), array_agg(repeat('x', i))) FROM generate_series(1, 100) AS i});
$cluster->query(2, q{SELECT paxos_put('gone', '1', request_id => 'r1'), paxos_delete('gone', request_id => 'r2')});
my $nodes = verify(2);
is_one_state($nodes, 'after some writes');
is($nodes->{1}{rows}, 100, 'rows are counted');
is($nodes->{1}{state_hash}, $cluster->status(3, 'state_hash'), 'the hash is that of paxos_status()');

my @load = map { $cluster->patient_client($_) } $cluster->ids;
my $load = q{SELECT count(paxos_put('load ' || i % 50, i::text)) FROM generate_series(1, 2000) AS i};
$_->send($load) for @load;
is_one_state(verify(1 + $_ % 3), "under load, round $_") for 1 .. 5;
my @done = $cluster->answers_of(@load);
$done[$_] = $cluster->ask($load[$_], $load) for grep { $done[$_]{state} eq '53000' } 0 .. $#done;
is_deeply([ map { $_->{value} } @done ], [ 2000, 2000, 2000 ], 'which is all done');

my $slot = $cluster->put(1, 'last', 'one');
$nodes = verify(1, $slot);
is_one_state($nodes, 'at a slot');
cmp_ok($nodes->{2}{slot}, '>=', $slot, 'at that slot or a later one');
my $future = $cluster->answer(1, 'SELECT * FROM paxos_verify(' . ($slot + 1000000) . ')');
is($future->{state}, '22023', 'a slot that nobody knows is refused');

# ---------------------------------------------------------------- one is down

$cluster->stop(3);
$nodes = verify(1);
is(all_of($nodes, 'agrees'), 't t ', 'a node that is down is no difference');
is($nodes->{3}{state_hash}, '', 'and nothing is said of it');
$cluster->start(3);
$cluster->wait_until_formed;

# ---------------------------------------------------------------- a row is changed

behind_its_back(2, q{UPDATE paxoskv.kv SET value = 'forged' WHERE key = 'k7'});
$cluster->wait_until_formed;
$cluster->wait_until_equal;
is($cluster->get(2, 'k7'), 'forged', 'the hash that is kept can not see it');

$nodes = verify(1);
is(all_of($nodes, 'agrees'), 't f t', 'a recount from another node names the one');
is($nodes->{1}{state_hash}, $nodes->{3}{state_hash}, 'the others have one hash');
isnt($nodes->{2}{state_hash}, $nodes->{1}{state_hash}, 'and it another');
is($nodes->{2}{rows}, $nodes->{1}{rows}, 'with as many rows');

$cluster->wait_for('its end of applying', sub { log_lines(2, $stopped) });
$slot = $cluster->put(1, 'after', 'that');
is($cluster->get(3, 'after'), 'that', 'the others go on');

# What its clients meet there.
sub is_refused
{
	my ($when) = @_;
	# the log has it a moment before the clients
	$cluster->wait_for("$when: node 2 to refuse", sub { $cluster->try(2, q{SELECT paxos_get('k7')})->{state} eq '55000' });
	for my $statement (
		q{SELECT paxos_get('k7')}, q{SELECT paxos_get('k7', consistency => 'leader')}, q{SELECT paxos_put('k7', 'x')},
		q{SELECT paxos_put('gone', '1', request_id => 'r1')}, q{SELECT * FROM paxos_outcome('r1')},
		q{SELECT * FROM paxos_range()}, q{SELECT paxos_sync()}, q{SELECT paxos_wait(1)})
	{
		my $answer = $cluster->try(2, $statement);
		is($answer->{state}, '55000', "$when: $statement is refused");
		like($answer->{err}, qr/the rows of this node are not the cluster's.*behind the log's back.*k7/s, 'and says why');
	}
	is($cluster->get(2, 'k7', 'local'), 'forged', "$when: a local read shows what is there");
	cmp_ok($cluster->status(2, 'applied_slot'), '<', $slot, "$when: nothing more is applied");
	$cluster->wait_for("$when: the status of node 2",
		sub { $cluster->status(2, 'detail') =~ /A row of paxoskv.kv is not as it was written: "default" "k7"/ });
	$cluster->wait_for("$when: nodes of node 1",
		sub { $cluster->query(1, q{SELECT trouble FROM paxoskv.nodes WHERE node_id = 2}) =~ /rows are not the cluster's/ });
	return;
}

is_refused('at once');
is(all_of(verify(2), 'agrees'), 't f t', 'it says so of itself');
is(log_lines(2, $stopped), 1, 'the log says it once');

CORE::kill('TERM', $cluster->worker_pid(2, 'apply'));
$cluster->wait_for('another life of the worker', sub { log_lines(2, $stopped) == 2 });
is_refused('after the worker was restarted');
$cluster->kill(2);
$cluster->start(2);
$cluster->wait_for('the worker of another server', sub { log_lines(2, $stopped) == 3 });
is_refused('after the server was killed');
is(all_of(verify(1), 'agrees'), 't f t', 'the others see it as before');

# ---------------------------------------------------------------- and made anew

make_anew(2);
is($cluster->get(2, 'k7'), 'xxxxxxx', 'its rows are made anew from its log');
is_one_state(verify(2), 'afterwards');

# ---------------------------------------------------------------- found without being asked for

behind_its_back(3, q{UPDATE paxoskv.kv SET hash = decode(md5('forged'), 'hex') WHERE key = 'k8'});
$cluster->node(3)->append_conf('postgresql.conf', "paxoskv.verify_interval = '1s'\n");
$cluster->node(3)->reload;
$cluster->wait_for('node 3 to recount its rows', sub { log_lines(3, $stopped) });
$cluster->wait_for('node 3 to say why',
	sub { $cluster->status(3, 'detail') =~ /A row of paxoskv.kv is not as it was written: "default" "k8"/ });
pass('a row whose hash is not its own is found now and then');
make_anew(3);
is_one_state(verify(3), 'afterwards');

# ---------------------------------------------------------------- a hash that differs shows without being asked for

behind_its_back(3, q{DELETE FROM paxoskv.kv WHERE key = 'k9'},
	q{UPDATE paxoskv.state SET row_count = row_count - 1, state_hash = decode(md5('nothing'), 'hex')});
$cluster->wait_for('that node 3 stops', sub { log_lines(3, $stopped) == 2 });
$cluster->wait_for('node 3 to say why', sub { $cluster->status(3, 'detail') =~ /^A majority of the nodes has another state than this one/ });
pass('it is in the minority');
$cluster->put(1, 'still', 'here');
is($cluster->get(2, 'still'), 'here', 'the others go on');
is(all_of(verify(1), 'agrees'), 't t f', 'and agree');

# Node 2's rows were changed: what it applied before that vouches for node 1 all the same, also once it has forgotten it.
behind_its_back(2, q{UPDATE paxoskv.kv SET value = 'forged' WHERE key = 'k7'});
$cluster->wait_for('node 2 to answer', sub { all_of(verify(1), 'agrees') eq 't f f' });
$cluster->wait_for('that node 2 stops', sub { log_lines(2, $stopped) == 4 });
$cluster->stop(2);
$cluster->start(2);
$cluster->wait_for('node 2 to answer again', sub { all_of(verify(1), 'agrees') eq 't f f' }) for 1 .. 2;
is(log_lines(1, $stopped), 0, 'node 1 does not stop because node 2, which has stopped, was restarted');
$cluster->put(1, 'still', 'there');
is($cluster->get(1, 'still'), 'there', 'and goes on');

# Two of three differ from each other and from the third: nobody knows who is right.
behind_its_back(2, q{UPDATE paxoskv.state SET state_hash = decode(md5('something else'), 'hex')});
$cluster->wait_for('that node 1 stops', sub { log_lines(1, $stopped) });
$cluster->wait_for('node 1 to refuse', sub { $cluster->try(1, q{SELECT paxos_get('still')})->{state} eq '55000' });
pass('without a majority all stop');

# ---------------------------------------------------------------- alone

# The server's own launcher and the two workers leave no place for another one.
my $alone = PaxosKV::Cluster->new(nodes => 1, conf => "max_worker_processes = 3\n");
my $file = PostgreSQL::Test::Utils::tempdir() . '/kv.copy';
$cluster->node(1)->safe_psql('postgres', "COPY paxoskv.kv TO '$file'");
$alone->node(1)->safe_psql('postgres', "COPY paxoskv.kv FROM '$file'");
$alone->put(1, 'first', 'command');
my $full = $alone->try(1, q{SET paxoskv.commit_timeout = '5s'; SELECT * FROM paxos_verify()});
is($full->{out}, '1||||', 'without a place for a recount nothing is known');
like($full->{err}, qr/WARNING: .*node 1 has not said what its rows are/, '... which is said');
$alone->wait_for('the log to say why',
	sub { slurp_file($alone->node(1)->logfile) =~ /paxoskv cannot recount its rows now: all background workers are in use/ });
$alone->node(1)->append_conf('postgresql.conf', "max_worker_processes = 4\n");
$alone->node(1)->restart;
$alone->put(1, 'second', 'command');
my $rows = 2 + $cluster->query(1, 'SELECT count(*) FROM paxoskv.kv');
is($alone->query(1, 'SELECT rows, agrees FROM paxos_verify()'), "$rows|t", 'rows that were copied in before the first command count');
behind_its_back($alone->node(1), q{DELETE FROM paxoskv.kv WHERE key = 'k8'});
$rows--;
is($alone->query(1, 'SELECT rows, agrees FROM paxos_verify()'), "$rows|f", 'a row that is missing is missed');
$alone->wait_for('its end', sub { $alone->try(1, q{SELECT paxos_put('third', 'command')})->{state} eq '55000' });

done_testing();
