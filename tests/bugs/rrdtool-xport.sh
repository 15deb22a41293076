#!/bin/sh
# rrdtool 1.7.2 (Debian 12) in remote control mode: each xport loses its answer
# right: what rrd_xport gives to its caller is not freed there.
. "$(dirname "$0")/common.sh"
N=${1:-4000}
need rrdtool
rm -f a.rrd
rrdtool create a.rrd --start 1000000000 --step 60 DS:v:GAUGE:120:0:U RRA:AVERAGE:0.5:1:600
for i in $(seq 1 300); do echo "update a.rrd $((1000000000 + i * 60)):$((i % 17))"; done | rrdtool - >/dev/null
for i in $(seq "$N"); do echo "xport --start 1000000060 --end 1000006000 DEF:a=a.rrd:v:AVERAGE XPORT:a:Average_of_all_the_values CDEF:b=a,2,* XPORT:b:Twice_the_average"; done > commands
exec ${TOOL:-} rrdtool - < commands
