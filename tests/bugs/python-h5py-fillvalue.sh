#!/bin/sh
# h5py 3.7.0 (Debian 12): each look at the fill value of a dataset of strings loses a copy (h5py/h5py #2960)
# right: PropDCID.get_fill_value() of h5py (Cython), which never gives up what H5Pget_fill_value
# has made for it.
. "$(dirname "$0")/common.sh"
N=${1:-3000}
need python3 python3-h5py
only python3-h5py 3.7.0
cat >fill.py <<'P'
# looks at a dataset's fill value again and again
import sys, h5py
with h5py.File("fill.h5", "w") as f:
    d = f.create_dataset("names", (4,), dtype=h5py.string_dtype(), fillvalue=b"x" * 4096)
    print(sum(len(d.fillvalue) for _ in range(int(sys.argv[1]))))
P
exec ${TOOL:-} /usr/bin/python3 fill.py "$N"
