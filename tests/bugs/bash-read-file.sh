#!/bin/sh
# bash 5.2 (Debian 12): $(<file) loses the file's name, expanded, each time
# right: open_redir_file, which hands the name on only if it is asked to; its caller
# command_substitute does not ask. redirection_expand makes it, by string_list_internal.
. "$(dirname "$0")/common.sh"
N=${1:-30000}
need bash
only bash 5.2.15
echo text >in.txt
cat >read.sh <<'B'
i=0
while [ $i -lt $1 ]; do
  a=$(<in.txt)
  i=$((i + 1))
done
B
exec ${TOOL:-} bash read.sh "$N"
