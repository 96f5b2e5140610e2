package PaxosKV::Psql;

# A connection that stays open: psql as a coprocess, asked one statement at a time, without waiting.  Needs nothing
# that Perl and the PostgreSQL client don't bring.
#
#   my $client = PaxosKV::Psql->new(host => $socket_directory, port => $port);
#   my $answer = $client->ask('SELECT 1');               # waits
#   $client->send('SELECT 2');                           # doesn't; then select() on $client->handle, and
#   my $answer = $client->receive;                       # undef while the answer is not complete
#
# An answer: { state => SQLSTATE ('00000' when done, 'lost' when the connection ended), rows => [lines],
# value => first line or undef, sent => when, received => when (seconds, with fractions) }.  In an error the
# lines are its message.

use strict;
use warnings;

use Errno ();
use IO::Select;
use IPC::Open3 ();
use Time::HiRes qw(time);

my $serial = 0;

sub new
{
	my ($class, %options) = @_;
	my $self = bless { buffer => '', pid => undef, %options }, $class;
	my $psql = $options{psql} // $ENV{PAXOSKV_PSQL} // 'psql';
	local $ENV{PGCONNECT_TIMEOUT} = $options{connect_timeout} // 3;

	# Line by line, or the end marker would wait in psql's buffer.
	my ($in, $out);
	$self->{pid} = IPC::Open3::open3($in, $out, undef, 'stdbuf', '-oL', $psql, '-X', '-q', '-A', '-t', '-F', "\t",
		'-h', $options{host}, '-p', $options{port},
		'-U', $options{user} // 'postgres', '-d', $options{database} // 'postgres');
	@$self{qw(in out)} = ($in, $out);
	$self->{in}->autoflush(1);
	return $self;
}

sub handle { return $_[0]{out}; }
sub name { return $_[0]{name}; }
sub is_waiting { return defined $_[0]{marker}; }

sub send
{
	my ($self, $statement) = @_;
	die "one statement at a time\n" if defined $self->{marker};
	$self->{marker} = sprintf '@@%d', ++$serial;
	$self->{sent} = time;
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{in} } "$statement;\n\\echo $self->{marker} :SQLSTATE\n";
	return;
}

# The answer, once all of it is there; reads what has come, so call it when the handle is readable.
sub receive
{
	my ($self) = @_;
	my $got = sysread $self->{out}, $self->{buffer}, 65536, length $self->{buffer};
	return if !defined $got && $!{EINTR};
	my $ended = !$got;
	my $state;
	if ($self->{buffer} =~ s/^\Q$self->{marker}\E (\S*)\n.*\z//ms)
	{
		# a client library's own error has none: the connection ended
		$state = length $1 ? $1 : 'lost';
	}
	elsif ($ended)
	{
		$state = 'lost';
	}
	else
	{
		return;
	}
	my @rows = split /\n/, $self->{buffer};
	$self->{buffer} = '';
	$self->{marker} = undef;
	return { state => $state, rows => \@rows, value => $rows[0], sent => $self->{sent}, received => time };
}

sub ask
{
	my ($self, $statement) = @_;
	$self->send($statement);
	return $self->await;
}

# The answer to what was sent, or undef if it is not there after so many seconds (without them: however long).  Signals
# interrupt neither: the test modules of 17 and later have a handler for the end of a child.
sub await
{
	my ($self, $seconds) = @_;
	my $until = defined $seconds ? time + $seconds : undef;
	my $select = IO::Select->new($self->{out});
	while (1)
	{
		my $ready = !defined $until || $select->can_read($until > time ? $until - time : 0);
		my $answer = $ready ? $self->receive : undef;
		return $answer if $answer;
		return if !$ready && time >= $until;
	}
}

sub close
{
	my ($self) = @_;
	return unless defined $self->{pid};
	close $self->{in};
	close $self->{out};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);
	$self->close;
	return;
}

1;
