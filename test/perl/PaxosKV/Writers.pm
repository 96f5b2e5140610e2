package PaxosKV::Writers;

# Clients that put one key after another, each key and value once, while a test breaks the cluster; and the judge of
# what became of every put:
#
#   my $writers = PaxosKV::Writers->new($cluster);           # two clients a node
#   $writers->run(0.3);                                      # seconds
#   $cluster->kill($leader);
#   $writers->run_until_acknowledged(1, 3);                  # until a put sent from now on is done on each of them
#   $writers->finish;
#   is_deeply([ $writers->mistakes(2) ], [], 'as a linearizable look through node 2 shows');
#
# While a client has no server it tries to connect again and again.

use strict;
use warnings;

use IO::Select;
use Time::HiRes qw(time sleep);

# After these a put was certainly not applied, and will not be.
my %is_refusal = map { $_ => 1 } qw(53000 53100 53300 55000 57014 57P03);

my $serial = 0;

# new(CLUSTER, nodes => [...], clients => 2)
sub new
{
	my ($class, $cluster, %options) = @_;
	my $self = bless { cluster => $cluster, acknowledged => {}, refused => {}, unknown => {}, states => {} }, $class;
	$self->{name} = 'w' . ++$serial;
	for my $id ($options{nodes} ? @{ $options{nodes} } : $cluster->ids)
	{
		push @{ $self->{clients} }, { id => $id, key_prefix => "$self->{name}-$id-$_-", number => 0, free_at => 0 }
		  for 1 .. $options{clients} // 2;
	}
	return $self;
}

sub acknowledged { return scalar keys %{ $_[0]{acknowledged} }; }

# What SQLSTATEs puts through a node ended with: { state => how often }
sub states { my ($self, $id) = @_; return $self->{states}{$id} // {}; }

sub send_next
{
	my ($self, $client) = @_;
	$client->{psql} //= $self->{cluster}->client($client->{id});
	$client->{key} = $client->{key_prefix} . ++$client->{number};
	$client->{value} = "$client->{key} " . int(rand 1e9);
	$client->{psql}->send("SELECT paxos_put('$client->{key}', '$client->{value}')");
	return;
}

sub judge
{
	my ($self, $client, $answer) = @_;
	my $state = $answer->{state};
	my $bin = $state eq '00000' ? 'acknowledged' : $is_refusal{$state} ? 'refused' : 'unknown';
	$self->{$bin}{ $client->{key} } = $client->{value};
	$self->{states}{ $client->{id} }{$state}++;
	$client->{done_after} = $answer->{sent} if $bin eq 'acknowledged';
	$client->{free_at} = time + ($bin eq 'acknowledged' ? 0 : 0.1);
	$client->{psql} = undef if $state eq 'lost' || $state =~ /^57P/;
	return;
}

sub is_waiting { my ($client) = @_; return defined $client->{psql} && $client->{psql}->is_waiting; }

# Takes what has come, for as long as $wait seconds if nothing has.
sub take
{
	my ($self, $wait) = @_;
	my %by_handle = map { $_->{psql}->handle => $_ } grep { is_waiting($_) } @{ $self->{clients} };
	my @handles = map { $_->{psql}->handle } values %by_handle;
	for my $handle (@handles ? IO::Select->new(@handles)->can_read($wait) : sleep($wait) && ())
	{
		my $client = $by_handle{$handle};
		my $answer = $client->{psql}->receive;
		$self->judge($client, $answer) if $answer;
	}
	return;
}

# Goes on for so many seconds, or until the condition holds.
sub run
{
	my ($self, $seconds, $condition) = @_;
	my $until = time + $seconds;
	while (time < $until)
	{
		for my $client (@{ $self->{clients} })
		{
			$self->send_next($client) if !is_waiting($client) && $client->{free_at} <= time;
		}
		$self->take(0.02);
		return 1 if $condition && $condition->();
	}
	return !$condition;
}

# Until a put that was sent after this call is acknowledged on each of these nodes; seconds that it took, or dies.
sub run_until_acknowledged
{
	my ($self, @ids) = @_;
	my $begun = time;
	$self->run($self->{cluster}->patience, sub {
			my %done = map { $_->{id} => 1 } grep { ($_->{done_after} // 0) >= $begun } @{ $self->{clients} };
			return !grep { !$done{$_} } @ids;
		})
	  || die "no put through each of nodes @ids was acknowledged\n" . $self->{cluster}->describe;
	return time - $begun;
}

# Sends nothing more and waits for the last answers; false when some never came.
sub finish
{
	my ($self, $seconds) = @_;
	my $until = time + ($seconds // $self->{cluster}->patience);
	$self->take(0.05) while time < $until && grep { is_waiting($_) } @{ $self->{clients} };
	my $waiting = grep { is_waiting($_) } @{ $self->{clients} };
	for my $client (grep { is_waiting($_) } @{ $self->{clients} })
	{
		$self->{unknown}{ $client->{key} } = $client->{value};
	}
	$_->{psql} = undef for @{ $self->{clients} };
	return !$waiting;
}

# What a linearizable look through a node shows that may not be: a list of lines, empty if all is right.
sub mistakes
{
	my ($self, $id) = @_;
	my @mistakes;
	my %found = map { split /\|/, $_, 2 } grep { /\|/ } split /\n/, $self->{cluster}->query($id,
		"SELECT paxos_sync(); SELECT key, value FROM paxoskv.data WHERE key LIKE '$self->{name}-%'");
	my %may_be = (%{ $self->{acknowledged} }, %{ $self->{unknown} });
	for my $key (sort keys %{ $self->{acknowledged} })
	{
		push @mistakes, "$key: acknowledged, and not there" if !defined $found{$key};
	}
	for my $key (sort keys %found)
	{
		push @mistakes, "$key: refused, and there" if exists $self->{refused}{$key};
		push @mistakes, "$key: '$found{$key}' in place of '$may_be{$key}'"
		  if exists $may_be{$key} && $found{$key} ne $may_be{$key};
		push @mistakes, "$key: nobody put it" if !exists $may_be{$key} && !exists $self->{refused}{$key};
	}
	push @mistakes, 'nothing was acknowledged at all' if !$self->acknowledged;
	return @mistakes;
}

1;
