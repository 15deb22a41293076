#!/bin/sh
# XML::LibXML 2.0134 for perl (Debian 12): HTML with an error loses its document (#216)
# right: _parse_html_string (C), which leaves by an exception.
. "$(dirname "$0")/common.sh"
N=${1:-150000}
need perl libxml-libxml-perl
only libxml-libxml-perl 2.0207+dfsg+really+2.0134
cat >pages.pl <<'P'
# Reads pages, some of which are no HTML.
use strict;
use warnings;
use XML::LibXML;
my $n = shift || 1;
my $bad = 0;
for (1 .. $n) {
  eval { XML::LibXML->new->load_html(string => '<page/><p>some text</p>'); 1 } or $bad++;
}
print "$bad of $n are bad\n";
P
exec ${TOOL:-} perl pages.pl "$N"
