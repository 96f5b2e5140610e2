# A put that is cancelled, times out or loses its connection on the way: 57014 and certainly not applied before the
# consensus worker has numbered it, 40003 with the command's name after that.  Later the store is as was said.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

# A node that has no majority for two fifths of this refuses puts before it numbers them: here it shall not know that so soon.
my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.election_timeout = '10s'\n");
my @ids = $cluster->ids;

# Clients of three puts on a node, each of which will end in another way; by its deadline the test would have given up.
sub victims
{
	my ($id, $key) = @_;
	my @victims;
	for my $how (qw(cancel statement_timeout terminate))
	{
		my $client = $cluster->client($id);
		my $pid = $client->ask('SELECT pg_backend_pid()')->{value};
		$client->ask("SET paxoskv.commit_timeout = '1h'");
		# long enough to be numbered in
		$client->ask("SET statement_timeout = '5s'") if $how eq 'statement_timeout';
		push @victims, { how => $how, client => $client, pid => $pid,
			put => "SELECT paxos_put('$key $how', 'value of $how')" };
	}
	return @victims;
}

sub send_puts { $_->{client}->send($_->{put}) for @_; return; }

sub wait_until_waiting
{
	my ($id, @victims) = @_;
	my $pids = join ',', map { $_->{pid} } @victims;
	$cluster->wait_for('all puts to wait', sub {
			$cluster->query($id, "SELECT count(*) FROM pg_stat_activity WHERE pid IN ($pids)"
				. " AND wait_event_type = 'Extension'") == @victims;
		});
	return;
}

sub end_them
{
	my ($id, @victims) = @_;
	for my $victim (@victims)
	{
		$cluster->query($id, "SELECT pg_cancel_backend($victim->{pid})") if $victim->{how} eq 'cancel';
		$cluster->query($id, "SELECT pg_terminate_backend($victim->{pid})") if $victim->{how} eq 'terminate';
		$victim->{answer} = $victim->{client}->await($cluster->patience);
		ok($victim->{answer}, "$victim->{how}: the put ends long before its own deadline");
		$victim->{text} = join "\n", @{ $victim->{answer}{rows} };
	}
	return;
}

# ---------------------------------------------------------------- before it is handed over

{
	my $leader = $cluster->wait_until_formed;
	my ($id) = grep { $_ != $leader } @ids;
	my $worker = $cluster->worker_pid($id, 'consensus');
	my @victims = victims($id, 'early');
	my $late = $cluster->client($id);
	$late->ask("SET paxoskv.commit_timeout = '500ms'");
	CORE::kill('STOP', $worker);
	send_puts(@victims);
	my $answer = $late->ask("SELECT paxos_put('early deadline', 'never')");
	is($answer->{state}, '53000', 'a put that no worker took by its deadline is refused');
	like("@{ $answer->{rows} }", qr/not applied and will not be/, '... and says that it is not applied');
	wait_until_waiting($id, grep { $_->{how} ne 'statement_timeout' } @victims);
	end_them($id, @victims);
	my %expected = (cancel => '57014', statement_timeout => '57014');
	for my $victim (@victims)
	{
		my $expected = $expected{ $victim->{how} };
		is($victim->{answer}{state}, $expected, "$victim->{how} before hand-off: $expected") if $expected;
		like($victim->{text}, qr/terminating connection due to administrator command/,
			"$victim->{how} before hand-off: the server's own message") unless $expected;
		unlike($victim->{text}, qr/may be applied/, '... and no doubt about the command');
	}
	CORE::kill('CONT', $worker);
	$cluster->wait_for("node $id to take puts", sub { $cluster->try($id, "SELECT paxos_put('probe', '1')")->{ok} });
	is($cluster->query($id, "SELECT paxos_sync(); SELECT count(*) FROM paxoskv.data WHERE key LIKE 'early%'") =~ s/^\d+\n//r,
		0, 'none of them was applied when the worker went on');
}

# ---------------------------------------------------------------- after that

# The leader has numbered and sent them; those who should accept them stand still.
{
	my ($leader, $prepared, $release) = $cluster->hold_others('leader', sub { [ victims($_[0], 'late') ] });
	my @victims = @$prepared;
	my @followers = grep { $_ != $leader } @ids;
	my $session = $cluster->status($leader, 'session');
	my $numbered = $cluster->status($leader, 'commands');
	send_puts(@victims);
	$cluster->wait_for('the puts to be numbered', sub { $cluster->status($leader, 'commands') == $numbered + @victims });
	end_them($leader, @victims);
	my %names;
	for my $victim (@victims)
	{
		is($victim->{answer}{state}, '40003', "$victim->{how} after hand-off: 40003") if $victim->{how} ne 'terminate';
		like($victim->{text}, qr/outcome of the command is unknown/, "$victim->{how} after hand-off: said to be unknown");
		my ($said) = $victim->{text} =~ /DETAIL:  Command (s\d+-\d+) may be applied or not\./;
		ok($said && $said =~ /^s\Q$session\E-\d+$/ && !$names{$said}++, '... with its own name in the detail: ' . ($said // ''));
		my $asked = $said // '';
		like($victim->{text}, qr/HINT: .*paxos_outcome\('$asked'\)/, '... and in the hint');
		$victim->{name} = $said;
	}
	like($victims[0]{text}, qr/Canceling statement due to user request/, 'the cancelled one says why');
	like($victims[1]{text}, qr/Canceling statement due to statement timeout/, '... so does the one that timed out');
	like($victims[2]{text}, qr/terminat/i, '... so does the terminated one');
	is($victims[2]{client}->ask('SELECT 1')->{state}, 'lost', '... whose connection has ended');
	is($victims[0]{client}->ask('SELECT 1')->{state}, '00000', 'the connection of the cancelled one lives on');

	$release->();
	$cluster->wait_until_formed;
	$cluster->put($leader, 'a later put', 'of the same session or the next');
	$cluster->wait_until_equal;
	for my $victim (@victims)
	{
		my $value = $cluster->get($followers[0], "late $victim->{how}");
		my ($session, $number) = $victim->{name} =~ /(\d+)/g;
		my $in_log = $cluster->query($followers[0],
			"SELECT count(*) FROM paxos_log(max_rows => NULL) WHERE session = $session AND number = $number");
		ok($value eq '' || $value eq "value of $victim->{how}", "$victim->{how}: the key has its value or none ('$value')");
		cmp_ok($in_log, '>=', $value eq '' ? 0 : 1, "... and the log has $victim->{name} if it has");
		is($cluster->get($_, "late $victim->{how}"), $value, "... on node $_ too") for @ids;
	}
}

# ---------------------------------------------------------------- reads

{
	my ($leader, $client, $release) = $cluster->hold_others('leader', sub { $cluster->client($_[0]) });
	my $pid = $client->ask('SELECT pg_backend_pid()')->{value};
	$client->send("SELECT paxos_get('late cancel')");
	my $answer;
	$cluster->wait_for('the end of a cancelled read',
		sub { $cluster->query($leader, "SELECT pg_cancel_backend($pid)"); $answer = $client->await(0.2) });
	like($answer->{state}, qr/^(57014|53000)$/, "a cancelled read has no unknown outcome ($answer->{state})");
	$release->();
	$cluster->wait_until_formed;
}

done_testing();
