# Perl: words are counted, of a small language; lists are sorted and dropped.
use strict;
use warnings;
my $wait = ($ENV{CORPUS_MS} // 1000) / 1000 / 500;
my %count;
srand(1);
for my $step (1 .. 500) {
    $count{"word " . int(rand(300))}++ for 1 .. 50;
    my @sorted = sort { $count{$a} <=> $count{$b} } keys %count;
    my $text = join ",", @sorted;
    select(undef, undef, undef, $wait);
}
