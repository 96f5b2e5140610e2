package PaxosKV::Disk;

# A small disk for one node, that a test fills and empties:
#
#   my $disk = PaxosKV::Disk->new(1);          # number 1 of those that tools/check has mounted
#   ... paxoskv.log_directory = '@{[ $disk->path ]}/log' ...
#   $disk->attach($cluster, $id);
#   $disk->fill; $disk->empty;
#
# Where nothing could be mounted (not root, or a container that forbids it) it is a directory, and the preloaded library
# refuses to let files in it grow; the cluster's nodes have to be made with faults => [...].

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

sub new
{
	my ($class, $number) = @_;
	my $mounted = $ENV{PAXOSKV_TEST_DISKS};
	my $path = $mounted ? "$mounted/$number" : PostgreSQL::Test::Utils::tempdir_short();
	note $mounted ? "a filesystem of its own at $path" : 'no filesystem could be mounted: calls are made to fail instead';
	return bless { path => $path, mounted => $mounted }, $class;
}

sub path { return $_[0]{path}; }

sub attach
{
	my ($self, $cluster, $id) = @_;
	@$self{qw(cluster id)} = ($cluster, $id);
	return;
}

sub fill
{
	my ($self) = @_;
	return $self->{cluster}->fault($self->{id}, "grow ENOSPC $self->{path}/") if !$self->{mounted};
	open my $handle, '>>:raw', "$self->{path}/filler" or die "$self->{path}/filler: $!";
	# smaller and smaller, to the last block
	for my $bytes (1 << 20, 1 << 12, 1 << 10)
	{
		1 while syswrite $handle, "\0" x $bytes;
	}
	close $handle;
	return;
}

sub empty
{
	my ($self) = @_;
	return $self->{cluster}->fault($self->{id}) if !$self->{mounted};
	unlink "$self->{path}/filler" or die "$self->{path}/filler: $!";
	return;
}

1;
