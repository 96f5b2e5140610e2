package PaxosKV::Cluster;

# Real clusters for the TAP tests: PostgreSQL::Test::Cluster servers that form one paxoskv cluster.
#
#   my $cluster = PaxosKV::Cluster->new(nodes => 3);    # makes, starts, waits until a leader serves all of them
#   $cluster->put(1, 'apple', 'green');
#   is($cluster->get(2, 'apple'), 'green', 'read on another node');
#   my $leader = $cluster->leader;
#   $cluster->kill($leader);                            # kill -9, all processes of that node at once
#   $cluster->wait_for_leader(not => $leader);
#   $cluster->start($leader);
#   $cluster->wait_until_equal;                         # one slot, one state hash, on every living node
#
# Nodes are named by their id, from 1.  What the servers say is in tmp_check/log.

use strict;
use warnings;

use PaxosKV::Psql;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

# How long anything here waits; PG_TEST_TIMEOUT_DEFAULT of the environment raises it.
my $timeout = $PostgreSQL::Test::Utils::timeout_default || 60;

# Seconds for which a statement that has to succeed may wait for its outcome, whatever a test sets for others.
my $commit_timeout = 60;

my @clusters;

# new(nodes => 3, conf => 'settings of all', node_conf => { 2 => 'settings of one' }, node_init => { 2 => [ options of
# initdb in place of --no-locale ] }, secret => 1, start => 1, faults => [ ids of nodes whose disk calls can be made to
# fail: see fault() ])
sub new
{
	my ($class, %options) = @_;
	my $self = bless { nodes => 3, conf => '', node_conf => {}, node_init => {}, secret => 1, start => 1, %options }, $class;
	push @clusters, $self;
	$self->{name} //= 'cluster' . @clusters;
	$self->{peer_port}{$_} = PostgreSQL::Test::Cluster::get_free_port() for 1 .. $self->{nodes};
	$self->{peers} //= join ',', map { "$_=127.0.0.1:$self->{peer_port}{$_}" } 1 .. $self->{nodes};
	# in a directory of its own: other tests that run at the same time have a cluster of that name, too
	$self->write_secret($self->{secret_file} = PostgreSQL::Test::Utils::tempdir() . '/secret', 'apple')
	  if $self->{secret};
	$self->add_node($_) for 1 .. $self->{nodes};
	if ($self->{start})
	{
		$self->start($_) for $self->ids;
		$self->create_extension($_) for $self->ids;
		$self->wait_until_formed if $self->{nodes} > 1;    # one node forms at its first command
	}
	return $self;
}

sub ids { return sort { $a <=> $b } keys %{ $_[0]{node} }; }

# The PostgreSQL::Test::Cluster object behind an id.
sub node { return $_[0]{node}{ $_[1] } // die "there is no node $_[1]"; }

# Seconds after which what has to come does not come any more.
sub patience { return $timeout; }

sub peer_port { return $_[0]{peer_port}{ $_[1] }; }

sub write_secret
{
	my ($self, $file, $secret) = @_;
	open my $handle, '>', $file or die "$file: $!";
	chmod 0600, $file;
	print $handle "$secret\n";
	close $handle;
	return $file;
}

sub add_node
{
	my ($self, $id) = @_;
	my $node = PostgreSQL::Test::Cluster->new("$self->{name}_node$id");
	$node->init(extra => [ '--encoding=UTF8', @{ $self->{node_init}{$id} // ['--no-locale'] } ]);
	# init makes a server fast and unsafe; here it has to survive kill -9 and come back by itself
	$node->append_conf('postgresql.conf', <<SETTINGS);
fsync = on
restart_after_crash = on
dynamic_shared_memory_type = mmap
shared_preload_libraries = 'paxoskv'
paxoskv.node_id = $id
paxoskv.cluster_name = '$self->{name}'
SETTINGS
	$node->append_conf('postgresql.conf', "paxoskv.peers = '$self->{peers}'\n") if $self->{nodes} > 1;
	$node->append_conf('postgresql.conf', "paxoskv.secret_file = '$self->{secret_file}'\n") if $self->{secret};
	$node->append_conf('postgresql.conf', $self->{conf});
	$node->append_conf('postgresql.conf', $self->{node_conf}{$id}) if defined $self->{node_conf}{$id};
	$self->{node}{$id} = $node;
	$self->{faults_file}{$id} = $node->basedir . '/disk_faults' if grep { $_ == $id } @{ $self->{faults} // [] };
	return $node;
}

sub create_extension
{
	my ($self, $id) = @_;
	$self->node($id)->safe_psql('postgres', 'CREATE EXTENSION paxoskv');
	return;
}

# ---------------------------------------------------------------- statements

# One statement on one node; never dies.  { ok, state => SQLSTATE or 'lost' or 'timeout', out, err, seconds }
sub try
{
	my ($self, $id, $statement, %options) = @_;
	my ($out, $err, $timed_out) = ('', '', 0);
	my $begun = time;
	my $code = eval {
		$self->node($id)->psql(
			$options{database} // 'postgres', $statement,
			stdout => \$out, stderr => \$err, on_error_die => 0, timeout => $options{timeout} // $timeout,
			timed_out => \$timed_out, extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1' ]);
	};
	# psql that finds no server may be gone before the statement is written to it
	die $@ if !defined $code && $@ !~ /Broken pipe/;
	$code //= 2;
	my $state = $code == 0 ? '00000' : $timed_out ? 'timeout' : $err =~ /(?:ERROR|FATAL):  (\w{5}):/ ? $1 : 'lost';
	return { ok => $code == 0, state => $state, out => $out, err => $err, seconds => time - $begun };
}

# As try(), for what is not to be refused for the moment: on a busy machine the leader may change and the majority be out of
# reach at any time.  53000 says that it is safe to repeat, and so it is; and what is chosen may take long to be applied.
sub answer
{
	my ($self, $id, $statement, %options) = @_;
	local $ENV{PGOPTIONS} = "-c paxoskv.commit_timeout=${commit_timeout}s";
	my $until = time + $timeout;
	while (1)
	{
		my $answer = $self->try($id, $statement, timeout => 5 * $timeout, %options);
		return $answer if $answer->{state} ne '53000' || time > $until;
		sleep 0.05;
	}
}

# One statement that has to succeed; its output.  A test of refusals uses try.
sub query
{
	my ($self, $id, $statement, %options) = @_;
	my $answer = $self->answer($id, $statement, %options);
	return $answer->{out} if $answer->{ok};
	die "node $id: $statement\n$answer->{state}: $answer->{err}";
}

sub quote { my ($text) = @_; $text =~ s/'/''/g; return "'$text'"; }

# The revision.
sub put
{
	my ($self, $id, $key, $value) = @_;
	return $self->query($id, 'SELECT paxos_put(' . quote($key) . ', ' . quote($value) . ')');
}

# The value, '' where the key is absent; consistency as given, or linearizable.
sub get
{
	my ($self, $id, $key, $consistency) = @_;
	return $self->query($id,
		'SELECT paxos_get(' . quote($key) . ', consistency => ' . quote($consistency // 'linearizable') . ')');
}

# A connection that stays open and can be asked without waiting: see PaxosKV::Psql.
sub client
{
	my ($self, $id) = @_;
	my $node = $self->node($id);
	return PaxosKV::Psql->new(host => $node->host, port => $node->port, name => $id, user => scalar getpwuid($<),
		psql => $node->installed_command('psql'), connect_timeout => $timeout);
}

# As client(), for statements that have to succeed.
sub patient_client
{
	my ($self, $id) = @_;
	local $ENV{PGOPTIONS} = "-c paxoskv.commit_timeout=${commit_timeout}s";
	return $self->client($id);
}

# As answer(), of such a client.
sub ask
{
	my ($self, $client, $statement) = @_;
	my $until = time + $timeout;
	while (1)
	{
		my $answer = $client->ask($statement);
		return $answer if $answer->{state} ne '53000' || time > $until;
		sleep 0.05;
	}
}

# Runs a statement of each client at once, client i through one node; the answers, in the order of clients.  What was refused
# for the moment is sent again.
sub at_once
{
	my ($self, @statements) = @_;
	my @ids = $self->ids;
	my @clients = map { $self->patient_client($ids[ $_ % @ids ]) } 0 .. $#statements;
	my $until = time + $timeout;
	$clients[$_]->send($statements[$_]) for 0 .. $#statements;
	my @answers = $self->answers_of(@clients);
	while (my @refused = grep { $answers[$_]{state} eq '53000' } 0 .. $#answers)
	{
		last if time > $until;
		sleep 0.05;
		$clients[$_]->send($statements[$_]) for @refused;
		@answers[@refused] = $self->answers_of(@clients[@refused]);
	}
	return @answers;
}

# The answers of clients that were sent a statement each, in their order; waits for all of them.
sub answers_of
{
	my ($self, @clients) = @_;
	my @answers;
	for my $client (@clients)
	{
		my $answer;
		1 until $answer = $client->receive;
		push @answers, $answer;
	}
	return @answers;
}

# A column of paxos_status().
sub status
{
	my ($self, $id, $column) = @_;
	return $self->query($id, "SELECT $column FROM paxos_status()");
}

# Whether a node refuses reads and writes at once because it has no majority; "quorum" in its status may tell so earlier.
sub refuses { my ($self, $id) = @_; return $self->try($id, 'SELECT paxos_sync()')->{err} =~ /cannot reach a majority/; }

# A VACUUM FULL of a table queues behind a reader of it, and whoever wants that table behind the VACUUM FULL, for as long as
# that likes.  Returns what ends it.
sub hold_table
{
	my ($self, $id, $table) = @_;
	my ($reader, $vacuum) = map { $self->client($id) } 1, 2;
	$reader->ask($_) for 'BEGIN', "SELECT count(*) FROM $table";
	my $pid = $vacuum->ask('SELECT pg_backend_pid()')->{value};
	$vacuum->send("VACUUM FULL $table");
	$self->wait_for('VACUUM FULL to queue for its lock', sub {
			$self->query($id, "SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0;
		});
	return sub { $reader->ask('COMMIT'); $self->answers_of($vacuum); return; };
}

# ---------------------------------------------------------------- waiting

# wait_for('what is awaited', sub { ... true at last }, seconds): dies with that text when it never is
sub wait_for
{
	my ($self, $what, $condition, $seconds) = @_;
	my $until = time + ($seconds // $timeout);
	while (time < $until)
	{
		my $result = $condition->();
		return $result if $result;
		sleep 0.02;
	}
	die "waited in vain for $what\n" . $self->describe;
}

# What each node says of itself, for a failing test's output.
sub describe
{
	my ($self) = @_;
	return join '', map {
		my $answer = $self->is_up($_) ? $self->try($_, 'SELECT * FROM paxos_status()', timeout => 5) : undef;
		"# node $_: " . ($answer ? $answer->{ok} ? $answer->{out} : $answer->{err} : 'down') . "\n"
	} $self->ids;
}

sub up_ids { my ($self) = @_; return grep { $self->is_up($_) && !$self->{paused}{$_} } $self->ids; }

# Until every living node names the same leader and serves a linearizable read; the leader's id.
sub wait_until_formed
{
	my ($self, $seconds) = @_;
	my $leader = $self->wait_for_leader(seconds => $seconds);
	for my $id ($self->up_ids)
	{
		$self->wait_for("a read through node $id", sub { $self->try($id, 'SELECT paxos_sync()')->{ok} }, $seconds);
	}
	return $leader;
}

# The id of the node that says it leads, if all living ones agree; undef otherwise.
sub leader
{
	my ($self) = @_;
	my (%named, @leading);
	for my $id ($self->up_ids)
	{
		my $answer = $self->try($id, 'SELECT role, leader_id FROM paxos_status()', timeout => 10);
		return unless $answer->{ok};
		my ($role, $leader) = split /\|/, $answer->{out};
		$named{ $leader // '' } = 1;
		push @leading, $id if $role eq 'leader';
	}
	return if @leading != 1 || keys %named != 1 || !$named{ $leading[0] };
	return $leading[0];
}

# wait_for_leader(not => ID, seconds => N): the id of the leader that all living nodes follow
sub wait_for_leader
{
	my ($self, %options) = @_;
	my $not = $options{not} // 0;
	return $self->wait_for('a leader that all living nodes follow', sub {
			my $leader = $self->leader;
			return defined $leader && $leader != $not ? $leader : undef;
		}, $options{seconds});
}

# The nodes that agree, as paxos_verify() on one of them says: who is not connected at that moment would not be asked.
sub agreeing
{
	my ($self, $id) = @_;
	my @ids = $self->up_ids;
	my %agrees;
	$self->wait_for("node $id to know of each of nodes @ids whether it agrees", sub {
			%agrees = map { split /\|/, $_, 2 } split /\n/, $self->query($id, 'SELECT node_id, agrees FROM paxos_verify()');
			return !grep { $agrees{$_} eq '' } @ids;
		});
	return scalar grep { $agrees{$_} eq 't' } @ids;
}

# Until a node is connected to all others: who is not connected is not asked for anything.
sub wait_until_connected
{
	my ($self, $id) = @_;
	$self->wait_for("node $id to be connected to all",
		sub { $self->query($id, 'SELECT bool_and(connected) FROM paxoskv.nodes') eq 't' });
	return;
}

# Until every living node (or those named) is at one slot with one state hash, and that slot is at least the
# highest any of them had chosen when this began.  Dies when they never meet or differ; returns the hash.
sub wait_until_equal
{
	my ($self, @ids) = @_;
	@ids = $self->up_ids unless @ids;
	my ($target) = sort { $b <=> $a } map { $self->status($_, 'chosen_slot') } @ids;
	my %hashes;
	$self->wait_for("nodes @ids at one slot from $target on", sub {
			my %slots;
			%hashes = ();
			for my $id (@ids)
			{
				my ($slot, $hash) = split /\|/, $self->query($id, 'SELECT applied_slot, state_hash FROM paxos_status()');
				$slots{$slot} = 1;
				$hashes{$hash} = 1;
				return 0 if $slot < $target;
			}
			return keys %slots == 1;
		});
	die "state hashes differ at one slot: @{[ sort keys %hashes ]}\n" . $self->describe if keys %hashes != 1;
	return (keys %hashes)[0];
}

# ---------------------------------------------------------------- processes

# All processes of a node, the postmaster first: each has the data directory as its working directory.
sub pids
{
	my ($self, $id) = @_;
	my $data = $self->node($id)->data_dir;
	my ($postmaster) = -r "$data/postmaster.pid" ? split(/\n/, slurp_file("$data/postmaster.pid")) : (0);
	my @pids = grep { (readlink("/proc/$_/cwd") // '') eq $data } map { m{(\d+)$} } glob '/proc/[0-9]*';
	@pids = sort { ($b == $postmaster) <=> ($a == $postmaster) || $a <=> $b } @pids;
	return @pids;
}

sub is_up { my ($self, $id) = @_; return scalar $self->pids($id) > 0; }

# The process id of 'consensus' or 'apply'; waits for one between two lives.
sub worker_pid
{
	my ($self, $id, $which) = @_;
	return $self->wait_for("a $which worker of node $id",
		sub { $self->query($id, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'paxoskv $which worker'") });
}

# Stops the consensus workers of all other nodes, while node ID ('leader': the one that leads) is served by one leader:
# prepare(ID) runs before that, and if another one has come to lead meanwhile, all of it is done again.  Returns the id, what
# prepare returned, and what lets the workers go on.
sub hold_others
{
	my ($self, $which, $prepare) = @_;
	my @held;
	my $release = sub { CORE::kill('CONT', @held); return; };
	my ($id, $prepared);
	$self->wait_for('a leader that stays', sub {
			my $leader = $self->wait_until_formed;
			$id = $which eq 'leader' ? $leader : $which;
			my $led = "SELECT leader_id, ballot, session FROM paxos_status() WHERE leader_id = $leader";
			$prepared = $prepare->($id);
			my $before = $self->query($id, $led);
			@held = map { $self->worker_pid($_, 'consensus') } grep { $_ != $id } $self->up_ids;
			CORE::kill('STOP', @held);
			sleep 0.3;    # what was still under way arrives, and the status is published each 100 ms
			return 1 if $before ne '' && $self->query($id, $led) eq $before;
			$release->();
			return 0;
		});
	return ($id, $prepared, $release);
}

sub start
{
	my ($self, $id) = @_;
	local %ENV = (%ENV, $self->environment($id));
	$self->node($id)->start;
	return;
}

# Of a server whose disk calls can be made to fail.
sub environment
{
	my ($self, $id) = @_;
	my $file = $self->{faults_file}{$id} // return;
	return (LD_PRELOAD => "$ENV{TESTDIR}/disk_faults.so", PAXOSKV_DISK_FAULTS => $file);
}

# From now on a node's calls fail as these lines say, which test/faults/disk_faults.c explains; no line: none of them.
sub fault
{
	my ($self, $id, @lines) = @_;
	my $file = $self->{faults_file}{$id} // die "node $id was started without faults";
	open my $handle, '>', "$file.new" or die "$file.new: $!";
	print $handle map { "$_\n" } @lines;
	close $handle;
	rename "$file.new", $file or die "$file: $!";
	return;
}

# pg_ctl stop, by default fast
sub stop
{
	my ($self, $id, $mode) = @_;
	$self->node($id)->stop($mode // 'fast');
	return;
}

# kill -9 of all processes of a node at once, as if its machine had died; returns when the last one is gone
sub kill
{
	my ($self, $id) = @_;
	CORE::kill('KILL', $self->pids($id));
	$self->after_kill($id);
	return;
}

# kill -9 of the postmaster only; the others notice and end by themselves
sub kill_postmaster
{
	my ($self, $id) = @_;
	CORE::kill('KILL', ($self->pids($id))[0]);
	$self->after_kill($id);
	return;
}

sub after_kill
{
	my ($self, $id) = @_;
	my $node = $self->node($id);
	my $data = $node->data_dir;
	$self->wait_for("the end of node $id", sub { !$self->is_up($id) });
	forget_segment($data);
	# a killed postmaster that nobody collects stays a zombie, which the next one would take for a living server
	my ($pid, undef, undef, $port, $sockets) = split /\n/, slurp_file("$data/postmaster.pid");
	unlink "$data/postmaster.pid", "$sockets/.s.PGSQL.$port.lock" if CORE::kill(0, $pid);
	$node->{_pid} = undef;
	return;
}

# Gives back the System V segment that a killed server left and that only its next start would remove.
sub forget_segment
{
	my ($data) = @_;
	my (undef, $id) = split ' ', (split /\n/, slurp_file("$data/postmaster.pid"))[6] // '';
	return unless defined $id;
	my ($attached) = map { (split)[6] } grep { (split)[1] eq $id } split /\n/, slurp_file('/proc/sysvipc/shm');
	system('ipcrm', '-m', $id) if defined $attached && $attached == 0;
	return;
}

# SIGSTOP and SIGCONT to all processes of a node
sub pause
{
	my ($self, $id) = @_;
	CORE::kill('STOP', ($self->pids($id))[0]);
	CORE::kill('STOP', $self->pids($id));
	$self->{paused}{$id} = 1;
	return;
}

sub resume
{
	my ($self, $id) = @_;
	CORE::kill('CONT', $self->pids($id));
	delete $self->{paused}{$id};
	return;
}

# A paused server would make the end of a test, which stops what it started, wait for ever.
END
{
	local $?;
	for my $cluster (@clusters)
	{
		$cluster->resume($_) for keys %{ $cluster->{paused} };
	}
}

1;
