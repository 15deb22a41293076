#!/usr/bin/perl
# A small log analyser with three bugs that perl programs really have:
#   leaks  each session's record points to itself: reference counting never frees it
#   grows  every address seen is kept for ever in %seen
#   wastes a batch of lines is read at once, and few of them are kept
use strict;
use warnings;

my (%seen, @interesting);

sub session {
  my ($n) = @_;
  my $session = { id => $n, user => "user$n", log => [] };
  $session->{self} = $session;    # a cycle: leaked when the last name goes
  return scalar @{ $session->{log} };
}

sub count_address {
  my ($n) = @_;
  $seen{"10.0." . ($n >> 8) . '.' . ($n & 255)}++;    # never expires
}

sub read_batch {
  my ($batch) = @_;
  my @lines;
  push @lines, "batch $batch line $_ " . 'x' x ($_ % 60) for 1 .. 20_000;
  push @interesting, grep { / line \d+00 / } @lines;    # one in a hundred
}

read_batch($_) for 1 .. 5;
for my $n (1 .. 60_000) {
  session($n);
  count_address($n);
  select undef, undef, undef, 0.01 if $n % 400 == 0;    # a request now and then
}
printf "%d addresses, %d interesting lines\n", scalar keys %seen, scalar @interesting;
