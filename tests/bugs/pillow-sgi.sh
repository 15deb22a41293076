#!/bin/sh
# Pillow 9.4.0 (Debian 12): the SGI decoder loses its buffer when its source delivers too little
# right: ImagingSgiRleDecode, which returns without freeing its buffer.
. "$(dirname "$0")/common.sh"
N=${1:-2000}
need python3 python3-pil
cat > sgi.py <<'P'
# decodes SGI images from a source that delivers less than it promised
import io, struct, sys
from PIL import Image
class Short(io.BytesIO):
    def read(self, n=-1):
        if n > 5000: n -= 100          # a connection that breaks off
        return super().read(n)
w = h = 64
head = struct.pack(">HBBHHHHll", 474, 1, 1, 3, w, h, 3, 0, 255).ljust(512, b"\0")
table = struct.pack(">%dl" % (h * 3), *[512 + h * 3 * 8] * (h * 3)) + struct.pack(">%dl" % (h * 3), *[2] * (h * 3))
data = head + table + b"\x7f\x00" * 16000
bad = 0
for i in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1000):
    try:
        Image.open(Short(data)).load()
    except OSError:
        bad += 1
print(bad, "images could not be decoded")
P
exec ${TOOL:-} /usr/bin/python3 sgi.py "$N"
