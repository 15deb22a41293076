#!/bin/sh
# jq 1.6 (Debian 12): ltrimstr on something that is no string loses the error it is told
# right: f_ltrimstr, which loses the error that f_startswith has made for it.
. "$(dirname "$0")/common.sh"
N=${1:-300000}
need jq
# ltrimstr with a number: the answer is the number; the inner error message is never freed
exec ${TOOL:-} jq -n "reduce range($N) as \$i (0; (\$i | ltrimstr(\"a\")))"
