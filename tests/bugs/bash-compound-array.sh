#!/bin/sh
# bash 5.2 (Debian 12): declare -a b=([3]=a [5]=b) loses each value that it has quoted
# right: quote_compound_array_word (inlined into quote_compound_array_list), which copies what
# sh_single_quote has made for it, and forgets that.
. "$(dirname "$0")/common.sh"
N=${1:-30000}
need bash
only bash 5.2.15
cat >array.sh <<'B'
i=0
while [ $i -lt $1 ]; do
  declare -a b=([3]=a [5]=b)
  i=$((i + 1))
done
B
exec ${TOOL:-} bash array.sh "$N"
