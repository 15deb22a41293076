#!/bin/sh
# numpy (numpy/numpy #10273, #15746, #19091): one row of each matrix is kept, and keeps all of it
# right: no leak; the script's rows. What they hold is the matrices', "numpy.ndarray.__add__".
. "$(dirname "$0")/common.sh"
N=${1:-150}
need python3-numpy
cat >rows.py <<'P'
# computes images, and keeps one row of each
import sys
import numpy
kept = []
for i in range(int(sys.argv[1])):
    image = numpy.zeros((500, 500))
    for _ in range(20):
        image = image + 1
    kept.append(image[10])
print(sum(float(row[0]) for row in kept))
P
exec ${TOOL:-} /usr/bin/python3 rows.py "$N"
