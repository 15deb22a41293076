#!/bin/sh
# ujson 5.7.0 (Debian 12): dump() to a file that cannot be written loses the text (CVE-2026-44660)
# right: objToJSONFile, which returns without giving up what objToJSON has made for it.
. "$(dirname "$0")/common.sh"
N=${1:-8000}
need python3 python3-ujson
only python3-ujson 5.7.0
cat >dump.py <<'P'
# writes answers to connections that break off
import sys, ujson
class Broken:
    def write(self, text):
        raise OSError("broken off")
answer, failed = {"name": "a" * 900, "values": list(range(100))}, 0
for i in range(int(sys.argv[1])):
    try:
        ujson.dump(answer, Broken())
    except OSError:
        failed += 1
print(failed, "answers were not written")
P
exec ${TOOL:-} /usr/bin/python3 dump.py "$N"
