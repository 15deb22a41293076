#!/bin/sh
# pandas 1.5.3 (Debian 12): each table that is read loses how errors of its encoding are handled
# (of what pandas-dev/pandas #51667, #19941 tell, the part of each call)
# right: TextReader.__cinit__, Cython: it encodes "strict", and takes a reference more.
. "$(dirname "$0")/common.sh"
N=${1:-2000}
need python3 python3-pandas
only python3-pandas 1.5.3
cat >tables.py <<'P'
# Reads many small tables.
import io
import sys
import pandas
rows = 0
for _ in range(int(sys.argv[1])):
    rows += len(pandas.read_csv(io.StringIO("a,b\n1,2\n")))
print(rows, "rows")
P
exec ${TOOL:-} /usr/bin/python3 tables.py "$N"
