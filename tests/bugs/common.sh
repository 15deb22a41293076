# shellcheck shell=sh
# common.sh - what the reproductions share. Each is `sh NAME.sh [N]`, N being how often.
#   TOOL   what to put before the program: "ullage run -o FILE --", "heaptrack -o FILE", ...
#   WORK   a directory to work in (default: a new one)
# Nothing is installed: what is missing is named, and the status is 77.
set -eu
WORK=${WORK:-$(mktemp -d)}
mkdir -p "$WORK" && cd "$WORK"
need() {
  for p in "$@"; do dpkg -s "$p" >/dev/null 2>&1 || missing="${missing:-} $p"; done
  [ -z "${missing:-}" ] || { echo "apt-get install$missing" >&2; exit 77; }
}
# only PACKAGE VERSION: those whose version begins so have the bug.
only() {
  is=$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null || true)
  case ${is#*:} in
  "$2"*) ;;
  *) echo "$1 is ${is:-missing}: the bug is in $2" >&2; exit 77 ;;
  esac
}
