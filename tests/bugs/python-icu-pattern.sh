#!/bin/sh
# PyICU 2.10 (Debian 12): each wrong pattern of a message loses the format that was made of it
# right: t_messageformat_init (C++), "icu.MessageFormat.__init__", which returns the error, and leaves
# the format behind. Its source tells, and found so here; PHP's is php-msgfmt.
. "$(dirname "$0")/common.sh"
N=${1:-5000}
need python3 python3-icu
only python3-icu 2.10
cat >patterns.py <<'P'
# Messages whose patterns come from users; some are wrong.
import sys
import icu
bad = 0
for _ in range(int(sys.argv[1])):
    try:
        icu.MessageFormat("{0,number} of {1", icu.Locale("de"))
    except icu.ICUError:
        bad += 1
print(bad, "patterns are wrong")
P
exec ${TOOL:-} /usr/bin/python3 patterns.py "$N"
