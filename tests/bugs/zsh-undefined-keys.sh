#!/bin/sh
# zsh 5.9 (Debian 12): to ask an associative array for a key that it has not, keeps the key
# right: getarg, static, which makes a parameter for each key that it is asked for. Its source tells.
. "$(dirname "$0")/common.sh"
N=${1:-300000}
need zsh
only zsh 5.9
cat >keys.zsh <<'P'
# Which of many names are known?
typeset -A known=(name0 yes)
integer i unknown=0
for ((i = 0; i < $1; i++)); do
  [[ -n ${known[name$i]} ]] || ((unknown++))
done
print $unknown are unknown, ${#known} is known
P
exec ${TOOL:-} zsh -f keys.zsh "$N"
