#!/bin/sh
# net-snmp 5.9.3 (Debian 12): each SIGHUP registers the table of addresses once more
# (net-snmp/net-snmp #136)
# right: _ipAddressTable_initialize_interface (static; its file exports it for once), which is
# called again at each reload.
. "$(dirname "$0")/common.sh"
N=${1:-300}
need snmpd
only snmpd 5.9.3
printf 'rocommunity public 127.0.0.1\nagentaddress udp:127.0.0.1:10162\n' >snmpd.conf
export SNMP_PERSISTENT_DIR="$PWD/var"
mkdir -p var
${TOOL:-} snmpd -f -Lf "$PWD/log" -C -c "$PWD/snmpd.conf" -p "$PWD/pid" &
tool=$!
for _ in $(seq 100); do [ ! -s pid ] || break; sleep 0.1; done
sleep 0.5
for _ in $(seq "$N"); do kill -HUP "$(cat pid)"; sleep 0.02; done
sleep 0.5
kill "$(cat pid)"
wait "$tool"
