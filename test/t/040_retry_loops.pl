# The README's retry loops, each as it stands there, for psql, psycopg and pgx: through answers that are lost (40003), nodes
# that refuse (53000) and nodes that are gone, a put is answered at last and has had its effect once.

use strict;
use warnings;

use IPC::Run;
use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $drivers = "$ENV{TESTDIR}/drivers";
my @programs;
for my $name (qw(psql psycopg pgx))
{
	if (-x "$drivers/$name/retry")
	{
		push @programs, $name;
		next;
	}
  SKIP:
	{
		skip -r "$drivers/$name/missing" ? slurp_file("$drivers/$name/missing") : 'not made: test/drivers/make-retry', 1;
	}
}

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '4s'\n");
my @ids = $cluster->ids;
$cluster->wait_until_formed;

# Starts each loop with a key of its own, on the nodes in this order.
sub begin
{
	my ($what, @order) = @_;
	my %run;
	for my $name (@programs)
	{
		my $run = $run{$name} = { name => $name, key => "$what $name", out => '', err => '' };
		$run->{handle} = IPC::Run::start([ "$drivers/$name/retry", $what eq '' ? '' : $run->{key}, "it's $name",
				map { $cluster->node($_)->connstr('postgres') } @order ],
			'<', \undef, '>', \$run->{out}, '2>', \$run->{err}, IPC::Run::timeout(2 * $cluster->patience));
	}
	return \%run;
}

sub check_all_answered
{
	my ($runs, $what) = @_;
	$_->{handle}->finish for values %$runs;
	for my $name (@programs)
	{
		my $run = $runs->{$name};
		chomp $run->{out};
		like($run->{out}, qr/^[1-9]\d*$/, "$what: $name has a revision") or diag $run->{err};
		is($cluster->query(2, "SELECT value, revision, create_revision FROM paxos_get_row('$run->{key}')"),
			"it's $name|$run->{out}|$run->{out}", '... which is that of the one effect that it had');
	}
	return;
}

# How often node 1 has said that the outcome of a put of this key is unknown.
sub was_unknown
{
	my ($key) = @_;
	my $ids = $cluster->query(2, "SELECT string_agg(request_id, '|') FROM paxos_log(max_rows => NULL) WHERE key = '$key'");
	my $said = slurp_file($cluster->node(1)->logfile);
	return scalar(() = $said =~ /the outcome of the command is unknown\n.*\(request id "(?:$ids)"\)/g);
}

check_all_answered(begin('first', @ids), 'all are up');

# Its first node has the put chosen and does not come to apply it: the answer is that the outcome is unknown.
my ($slow, $runs);
for my $attempt (1 .. 5)
{
	$slow = $cluster->worker_pid(1, 'apply');
	CORE::kill('STOP', $slow);
	$runs = begin("second $attempt", @ids);
	check_all_answered($runs, "an answer is lost, attempt $attempt");
	CORE::kill('CONT', $slow);
	# again where the majority was out of reach for a moment, and a put was refused in place of that
	last if !grep { !was_unknown($_->{key}) } values %$runs;
}
is(was_unknown($_->{key}), 1, "... which $_->{name} was told once") for values %$runs;

# The same in PL/pgSQL, within one statement: a block with EXCEPTION around it.
my $block = <<'SQL';
DO $$
DECLARE
	unknown int := 0;
BEGIN
	LOOP
		BEGIN
			PERFORM paxos_put('in a block', 'once', request_id => 'block 1');
			EXIT;
		EXCEPTION WHEN statement_completion_unknown OR insufficient_resources THEN
			unknown := unknown + (SQLSTATE = '40003')::int;
		END;
	END LOOP;
	PERFORM paxos_put('unknown', unknown);
END
$$
SQL
$slow = $cluster->worker_pid(1, 'apply');
CORE::kill('STOP', $slow);
my $client = $cluster->client(1);
$client->send($block);
$cluster->wait_for('the put to be chosen', sub { $cluster->get(2, 'in a block') eq 'once' });
sleep 6;    # longer than paxoskv.commit_timeout: at least one time out, however slow the machine
CORE::kill('CONT', $slow);
is($client->await($cluster->patience)->{state}, '00000', 'a loop in PL/pgSQL goes on after 40003');
cmp_ok($cluster->get(2, 'unknown'), '>', 0, '... which it has met');
is($cluster->query(2, "SELECT revision = create_revision FROM paxos_get_row('in a block')"), 't', '... and its put had one effect');

# Its first node is alone and refuses, the others are gone.
$cluster->kill($_) for 2, 3;
$cluster->wait_for('it to know that it is alone', sub { $cluster->refuses(1) });
my $offset = -s $cluster->node(1)->logfile;
$runs = begin('third', @ids);
$cluster->wait_for('each to be refused', sub {
		my $refused = () = substr(slurp_file($cluster->node(1)->logfile), $offset) =~ /ERROR:  this node cannot reach a majority/g;
		return $refused >= @programs;
	});
$cluster->start($_) for 2, 3;
check_all_answered($runs, 'a node refuses, and two are gone');

# What no other try would mend is not tried again.
$runs = begin('', @ids);
for my $name (@programs)
{
	$runs->{$name}{handle}->finish;
	isnt($runs->{$name}{handle}->result(0), 0, "$name fails with an empty key");
	like($runs->{$name}{err}, qr/22023|must not be empty/, '... with its reason');
}
is(() = slurp_file($cluster->node($_)->logfile) =~ /ERROR:.*must not be empty/g, $_ == 1 ? @programs : 0, "... which node $_ has said "
	. ($_ == 1 ? 'once to each' : 'to nobody')) for @ids;

$cluster->wait_until_equal;
done_testing();
