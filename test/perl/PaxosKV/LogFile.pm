package PaxosKV::LogFile;

# The files of a stopped node's log, as docs/disk-format.md has them: finds an entry's record and writes another entry into
# its place, of the same length and with a good checksum, as a release that does not exist yet would have written it.
#
#   my $before = PaxosKV::LogFile::rewrite($directory, 'apple', sub { my ($entry) = @_; substr($entry, 1, 1, chr 77); $entry });
#
# The first record of type ENTRY whose payload has that text in it; returns the entry as it was.

use strict;
use warnings;

use constant { RECORD_HEADER => 64, TYPE_ENTRY => 1 };

my @table = map {
	my $crc = $_;
	$crc = ($crc >> 1) ^ ($crc & 1 ? 0x82f63b78 : 0) for 1 .. 8;
	$crc;
} 0 .. 255;

sub crc32c
{
	my ($bytes) = @_;
	my $crc = 0xffffffff;
	$crc = ($crc >> 8) ^ $table[ ($crc ^ $_) & 0xff ] for unpack 'C*', $bytes;
	return $crc ^ 0xffffffff;
}

sub slurp
{
	my ($file) = @_;
	open my $handle, '<:raw', $file or die "$file: $!";
	local $/;
	return scalar <$handle>;
}

# [ offset, record ] of each in a segment's bytes, until the first that has a bad checksum.
sub records
{
	my ($segment) = @_;
	my $identity = substr $segment, 16, 32;
	my $offset = unpack 'Q<', substr $segment, 56, 8;
	my @records;
	while ($offset + RECORD_HEADER <= length $segment)
	{
		my ($crc, $length) = unpack 'VV', substr $segment, $offset, 8;
		last if $length < RECORD_HEADER || $offset + $length > length $segment;
		my $record = substr $segment, $offset, $length;
		last if checksum($identity, $offset, $record) != $crc;
		push @records, [ $offset, $record ];
		$offset += ($length + 7) & ~7;
	}
	return @records;
}

sub checksum
{
	my ($identity, $offset, $record) = @_;
	return crc32c($identity . pack('Q<', $offset) . substr $record, 4);
}

sub rewrite
{
	my ($directory, $text, $change) = @_;
	for my $file (sort glob "$directory/segment.????????????????")
	{
		my $segment = slurp($file);
		for (records($segment))
		{
			my ($offset, $record) = @$_;
			my $entry = substr $record, RECORD_HEADER;
			next if unpack('v', substr $record, 8, 2) != TYPE_ENTRY || index($entry, $text) < 0;
			my $changed = $change->($entry);
			die 'the length must stay' if length $changed != length $entry;
			substr $record, RECORD_HEADER, length $entry, $changed;
			substr $record, 0, 4, pack 'V', checksum(substr($segment, 16, 32), $offset, $record);
			open my $handle, '+<:raw', $file or die "$file: $!";
			seek $handle, $offset, 0;
			print $handle $record;
			close $handle or die "$file: $!";
			return $entry;
		}
	}
	die "no entry with \"$text\" in $directory";
}

1;
