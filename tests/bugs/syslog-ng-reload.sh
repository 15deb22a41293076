#!/bin/sh
# syslog-ng 3.38 (Debian 12): a reload of a configuration that is wrong loses what was read of it
# (syslog-ng/syslog-ng #3240)
# right: the parser of the configuration (cfg_parser_parse: bison without destructors).
. "$(dirname "$0")/common.sh"
N=${1:-300}
need syslog-ng-core
only syslog-ng-core 3.38
cat >good.conf <<'C'
@version: 3.38
source s_in { network(ip("127.0.0.1") port(51400) transport("udp")); };
log {
  source(s_in);
  rewrite { set("value" value("key")); set("other" value("two")); };
  destination { file("out.log"); };
#
};
C
cp good.conf s.conf
${TOOL:-} syslog-ng -F --no-caps -f "$PWD/s.conf" -R "$PWD/persist" -c "$PWD/ctl" -p "$PWD/pid" 2>log &
tool=$!
for _ in $(seq 100); do [ ! -S ctl ] || break; sleep 0.1; done
sleep 0.5
sed 's/^#/  nonsense/' good.conf >s.conf
for _ in $(seq "$N"); do syslog-ng-ctl reload -c "$PWD/ctl" >out 2>&1 || true; done
syslog-ng-ctl stop -c "$PWD/ctl" >out
wait "$tool"
