package PaxosKV::Local;

# The cluster that tools/cluster runs, for Perl: where its nodes are, clients on them, and the one experiment that
# both the demonstration and bench/failover need: a client writes, the leader is killed, how long until it writes on?

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Select;
use PaxosKV::Psql;
use Time::HiRes qw(time sleep);

my $top = abs_path(dirname(__FILE__) . '/../../..');

# The running cluster, as build/cluster (or what PAXOSKV_CLUSTER names) describes it.
sub new
{
	my ($class) = @_;
	my $self = bless {}, $class;
	open my $state, '<', $ENV{PAXOSKV_CLUSTER} // "$top/build/cluster" or die "there is no cluster: tools/cluster up 3\n";
	while (my $line = <$state>)
	{
		$self->{$1} = $2 if $line =~ /^(\w+)=(.*)$/;
	}
	close $state;
	return $self;
}

sub ids { return 1 .. $_[0]{nodes}; }

# Runs tools/cluster; its output goes nowhere, a failure ends the program.
sub command
{
	my ($self, @arguments) = @_;
	my $output = qx{'$top/tools/cluster' @arguments 2>&1};
	die $output if $?;
	return $output;
}

sub client
{
	my ($self, $id) = @_;
	return PaxosKV::Psql->new(host => "$self->{base}/s", port => $self->{port} + $id, name => $id);
}

# One statement on one node by a client of its own; dies of an error.
sub query
{
	my ($self, $id, $statement) = @_;
	my $answer = $self->client($id)->ask($statement);
	die "node $id: $statement: $answer->{state} @{$answer->{rows}}\n" if $answer->{state} ne '00000';
	return wantarray ? @{ $answer->{rows} } : $answer->{value};
}

# Waits until none of a killed node's processes is left.
sub wait_until_gone
{
	my ($self, $id) = @_;
	my $until = time + 30;
	while (split ' ', $self->command('pids', $id))
	{
		die "node $id was killed, but some of its processes don't end\n" if time > $until;
		sleep 0.05;
	}
	return;
}

# What the nodes agree on, or 0 after so many seconds without a leader.
sub leader
{
	my ($self, $timeout) = @_;
	my $until = time + ($timeout // 20);
	while (time < $until)
	{
		for my $id ($self->ids)
		{
			my $answer = $self->client($id)->ask("SELECT leader_id FROM paxos_status() WHERE role = 'leader'");
			return $answer->{value} if $answer->{state} eq '00000' && $answer->{value};
		}
		sleep 0.05;
	}
	return 0;
}

# Waits until every node has the same applied slot, with whatever they have then; returns [id, slot, hash]...
sub state_hashes
{
	my ($self, $timeout) = @_;
	my $until = time + ($timeout // 20);
	my @states;
	my %client = map { $_ => $self->client($_) } $self->ids;
	do
	{
		@states = ();
		for my $id ($self->ids)
		{
			my $answer = $client{$id}->ask('SELECT applied_slot, state_hash FROM paxos_status()');
			push @states, [ $id, split /\t/, $answer->{value} // '' ] if $answer->{state} eq '00000';
		}
		my %slots = map { ($_->[1] // '') => 1 } @states;
		return @states if @states == $self->{nodes} && keys %slots == 1;
		sleep 0.05;
	} while (time < $until);
	die "the nodes did not reach one slot: " . join(', ', map { "node $_->[0] at $_->[1]" } @states) . "\n";
}

# write_and_kill(leader => ID, writes => N, kill_after => N, partition => TEXT, prefix => TEXT, whole_node => BOOL)
#
# One client writes N keys, one after the other, in turn through every node but the leader; after so many it kills
# the leader (its postmaster, or all of its processes at once) and goes on.  A write counts only when a server has
# returned its revision.  What was refused or ended unknown is written again, as a new command through the next
# node.  Returns { acknowledged => [[key, value, revision]...], refused, unknown, lost => counts,
# next_leader, leads_ms, write_ms, killed => processes }.
#
# write_ms is the time from the kill to the acknowledgement that ended the longest silence after it, so that writes
# which the processes of a killed postmaster still served before they noticed don't pass for a quick failover.
sub write_and_kill
{
	my ($self, %options) = @_;
	my @others = grep { $_ != $options{leader} } $self->ids;
	my %run = (
		%options,
		cluster => $self,
		writers => { map { $_ => $self->client($_) } @others },
		pollers => { map { $_ => $self->client($_) } @others },
		others => \@others,
		acknowledged => [],
		refused => 0,
		unknown => 0,
		lost => 0,
		turn => 0,
		give_up => time + 60);

	# connections first, so that none is opened while time counts
	$_->ask('SELECT 1') for values %{ $run{writers} }, values %{ $run{pollers} };
	send_next(\%run);
	while (@{ $run{acknowledged} } < $run{writes} || !defined $run{leads_ms})
	{
		die sprintf("only %d of %d writes in 60 seconds after the kill; last: %s\n",
			scalar @{ $run{acknowledged} }, $run{writes}, $run{last_error} // 'no error') if time > $run{give_up};
		if (!$run{killed_at} && @{ $run{acknowledged} } >= $run{kill_after})
		{
			kill_leader(\%run);
		}
		wait_for_answers(\%run);
	}
	return \%run;
}

sub kill_leader
{
	my ($run) = @_;
	my @pids = split ' ', $run->{cluster}->command('pids', $run->{leader});
	@pids = $pids[0] unless $run->{whole_node};
	$run->{killed_at} = time;
	$run->{killed} = kill 'KILL', @pids;
	$run->{give_up} = time + 60;
	$_->send(q{SELECT role FROM paxos_status()}) for values %{ $run->{pollers} };
	return;
}

sub send_next
{
	my ($run) = @_;
	my $number = @{ $run->{acknowledged} } + 1;
	return if $number > $run->{writes} && defined $run->{leads_ms};
	my $id = $run->{others}[ $run->{turn}++ % @{ $run->{others} } ];
	$run->{key} = sprintf '%s%05d', $run->{prefix}, $number;
	$run->{value} = "value $number of $run->{prefix}";
	$run->{writer} = $run->{writers}{$id};
	$run->{writer}->send("SELECT paxos_put('$run->{key}', '$run->{value}', partition => '$run->{partition}')");
	return;
}

sub wait_for_answers
{
	my ($run) = @_;
	my @waiting = grep { $_->is_waiting } $run->{writer}, values %{ $run->{pollers} };
	my $select = IO::Select->new(map { $_->handle } @waiting);
	my %ready = map { $_ => 1 } $select->can_read(0.002);
	for my $client (@waiting)
	{
		next unless $ready{ $client->handle };
		my $answer = $client->receive or next;
		if ($client == $run->{writer})
		{
			on_write($run, $answer);
			send_next($run);
		}
		else
		{
			on_poll($run, $client, $answer);
		}
	}
	poll_again($run);
	return;
}

sub on_write
{
	my ($run, $answer) = @_;
	if ($answer->{state} eq '00000' && ($answer->{value} // '') =~ /^[1-9][0-9]*$/)
	{
		push @{ $run->{acknowledged} }, [ $run->{key}, $run->{value}, $answer->{value} ];
		my $silence = $answer->{received} - ($run->{acknowledged_at} // $answer->{sent});
		$run->{acknowledged_at} = $answer->{received};
		if ($run->{killed_at} && $silence > ($run->{silence} // 0))
		{
			$run->{silence} = $silence;
			$run->{write_ms} = 1000 * ($answer->{received} - $run->{killed_at});
		}
		return;
	}
	$run->{last_error} = "$answer->{state}: @{$answer->{rows}}";
	if ($answer->{state} eq 'lost')
	{
		my $id = $run->{writer}->name;
		$run->{lost}++;
		$run->{writers}{$id} = $run->{cluster}->client($id);
	}
	elsif ($answer->{state} eq '40003')
	{
		$run->{unknown}++;
	}
	else
	{
		$run->{refused}++;
		sleep 0.005;
	}
	return;
}

sub on_poll
{
	my ($run, $client, $answer) = @_;
	$run->{poll_at}{ $client->name } = time + 0.002;
	if (!defined $run->{leads_ms} && ($answer->{value} // '') eq 'leader')
	{
		$run->{leads_ms} = 1000 * ($answer->{received} - $run->{killed_at});
		$run->{next_leader} = $client->name;
	}
	return;
}

sub poll_again
{
	my ($run) = @_;
	return if !$run->{killed_at} || defined $run->{leads_ms};
	for my $client (values %{ $run->{pollers} })
	{
		next if $client->is_waiting || time < ($run->{poll_at}{ $client->name } // 0);
		$client->send(q{SELECT role FROM paxos_status()});
	}
	return;
}

# paxos_sync(), again for ten seconds as long as it says that nothing could be confirmed (a node that has just
# started has to hear from the others first).
sub wait_for_sync
{
	my ($client) = @_;
	my $until = time + 10;
	while (1)
	{
		my $answer = $client->ask('SELECT paxos_sync()');
		return if $answer->{state} eq '00000';
		die 'node ' . $client->name . ": $answer->{state} @{$answer->{rows}}\n" if $answer->{state} ne '53000' || time > $until;
		sleep 0.02;
	}
	return;
}

# How many of [key, value, revision]... a node has, each with the value that was acknowledged, at that revision or
# (where an attempt that ended unknown took effect too) a later one.
sub present
{
	my ($self, $id, $partition, $acknowledged) = @_;
	my $client = $self->client($id);
	wait_for_sync($client);
	my $values = join ', ', map { "('$_->[0]', '$_->[1]', $_->[2])" } @$acknowledged;
	my $answer = $client->ask("SELECT count(*) FROM (VALUES $values) AS w (key, value, revision) JOIN paxoskv.kv AS d"
		  . " ON d.partition = '$partition' AND d.key = w.key AND d.value = w.value AND d.revision >= w.revision");
	die "node $id: $answer->{state} @{$answer->{rows}}\n" if $answer->{state} ne '00000';
	return $answer->{value};
}

1;
