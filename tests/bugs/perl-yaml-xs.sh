#!/bin/sh
# YAML::XS 0.86 (Debian 12): what is no UTF-8 loses the parser (ingydotnet/yaml-libyaml-pm #123)
# right: Load (of LibYAML.so), which leaves by an exception, without yaml_parser_delete; the parser
# is made by yaml_parser_initialize for it.
. "$(dirname "$0")/common.sh"
N=${1:-5000}
need libyaml-libyaml-perl
only libyaml-libyaml-perl 0.86
cat >load.pl <<'P'
# reads what clients send, in any encoding
use YAML::XS;
my $bad = 0;
for (1 .. $ARGV[0]) {
  eval { YAML::XS::Load("name: test\302\n"); 1 } or $bad++;
}
print "$bad\n";
P
exec ${TOOL:-} perl load.pl "$N"
