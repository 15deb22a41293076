#!/bin/sh
# ujson 5.7.0 (Debian 12): what default() makes of an object is lost if it is not ASCII (#631)
# right: PyUnicodeToUTF8 of objToJSON.c, static: it overwrites the only reference. The lost text is
# the script's, so what is to blame is what called default(): ujson's begin of an object.
. "$(dirname "$0")/common.sh"
N=${1:-20000}
need python3 python3-ujson
only python3-ujson 5.7.0
cat >default.py <<'P'
# objects that JSON does not know are written as texts
import sys, ujson
class Thing:
    def __init__(self, n):
        self.n = n
def text(thing):
    return "Größe %d " % thing.n * 20
print(sum(len(ujson.dumps({"thing": Thing(i)}, default=text)) for i in range(int(sys.argv[1]))))
P
exec ${TOOL:-} /usr/bin/python3 default.py "$N"
