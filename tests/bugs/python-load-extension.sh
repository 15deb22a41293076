#!/bin/sh
# python 3.11 (Debian 12): an extension of SQLite that cannot be loaded loses the message why (#154109)
# right: pysqlite_connection_load_extension, static, "load_extension", which never frees what
# sqlite3_load_extension has made for it.
. "$(dirname "$0")/common.sh"
N=${1:-15000}
need python3
only python3.11 3.11
cat >load.py <<'P'
# tries plugins that are not there
import sqlite3, sys
db = sqlite3.connect(":memory:")
db.enable_load_extension(True)
failed = 0
for i in range(int(sys.argv[1])):
    try:
        db.load_extension("/nonexistent/plugin%d" % (i % 100))
    except sqlite3.OperationalError:
        failed += 1
print(failed, "plugins are not there")
P
exec ${TOOL:-} /usr/bin/python3 load.py "$N"
