#!/bin/sh
# ijson 3.2.0 (Debian 12), its backend in C: what is no JSON loses the reader and its buffer (#97)
# right: the reading generator of _yajl2, whose buffer of 64 KiB nobody frees.
. "$(dirname "$0")/common.sh"
N=${1:-1000}
need python3 python3-ijson
only python3-ijson 3.2.0
cat >read.py <<'P'
# reads what clients send, which is no JSON
import sys
import ijson.backends.yajl2_c as ijson
from ijson.common import IncompleteJSONError
bad = 0
for i in range(int(sys.argv[1])):
    try:
        next(ijson.items(b"XXX", "whatever"))
    except IncompleteJSONError:
        bad += 1
print(bad, "are no JSON")
P
exec ${TOOL:-} /usr/bin/python3 read.py "$N"
