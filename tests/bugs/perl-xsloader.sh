#!/bin/sh
# perl 5.36 (Debian 12): XSLoader::load() of what is not there leaks (Perl/perl5 #15348)
# right: no function of C: what the failing load has made local is kept with its magic, by
# operators of the script's: each time the same number of scalars, arrays and their magic.
. "$(dirname "$0")/common.sh"
N=${1:-30000}
need perl-base
only perl-base 5.36
cat >load.pl <<'P'
# tries a faster module, in vain
use XSLoader;
my $slow = 0;
for (1 .. $ARGV[0]) {
  eval { XSLoader::load('Not::There'); 1 } or $slow++;
}
print "$slow\n";
P
exec ${TOOL:-} perl load.pl "$N"
