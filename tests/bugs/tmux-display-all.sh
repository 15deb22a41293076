#!/bin/sh
# tmux 3.3a (tmux/tmux #4873): display-message -a loses what it says of each format.
# right: format_add_... of cmd-display-message's tree, without names in a stripped tmux.
# The server is left behind by the command that starts it, and ends with its session.
. "$(dirname "$0")/common.sh"
N=${1:-40}
need tmux
echo >none.conf
export TMUX_TMPDIR="$PWD"
unset TMUX
${TOOL:-} tmux -f none.conf new-session -d -s s
for _ in $(seq "$N"); do tmux display-message -a -p -t s >/dev/null; done
tmux kill-server
sleep 1
