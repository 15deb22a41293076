#!/bin/sh
# python-zstandard 0.20 (Debian 12): a compressor that is initialized again loses its context
# (indygreg/python-zstandard #296)
# right: ZstdCompressor.__init__, in C, static, which does not drop what is there. Most of a
# context is made later, by compress(): it hangs on what __init__ has made.
. "$(dirname "$0")/common.sh"
N=${1:-3000}
need python3-zstandard
only python3-zstandard 0.20
cat >again.py <<'P'
# one compressor, whose level is set anew for each message
import sys
import zstandard
compressor = zstandard.ZstdCompressor()
size = 0
for i in range(int(sys.argv[1])):
    compressor.__init__(level=1 + i % 3)
    size += len(compressor.compress(b"message %d" % i))
print(size)
P
exec ${TOOL:-} /usr/bin/python3 again.py "$N"
