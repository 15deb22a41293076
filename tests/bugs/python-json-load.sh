#!/bin/sh
# python 3.11's json.load: the whole file is there three times at once (a peak, all freed in the end)
# right: no leak; json.load reads the file to its end ("read"), as text ("utf_8_decode"), and takes its one long string out of it.
. "$(dirname "$0")/common.sh"
N=${1:-20000000}
need python3
only python3.11 3.11
cat >load.py <<'P'
# counts the rows of a large file
import json, sys
n = int(sys.argv[1])
with open("large.json", "w") as f:
    for i in range(n // 100000):
        f.write(('{"pad": "' if i == 0 else "") + "\u00e9" * 100000)
    f.write('", "rows": [1, 2, 3]}')
with open("large.json") as f:
    print(len(json.load(f)["rows"]), "rows")
P
exec ${TOOL:-} /usr/bin/python3 load.py "$N"
