#!/bin/sh
# gifsicle 1.93 (Debian 12, #195, CVE-2023-44821): --crop again and again loses the crop
# right: main, which overwrites what copy_crop (by Gif_Realloc) has made for it.
. "$(dirname "$0")/common.sh"
N=${1:-3000}
need gifsicle
only gifsicle 1.93
printf 'GIF89a\002\000\002\000\200\000\000\000\000\000\377\377\377,\000\000\000\000\002\000\002\000\000\002\003\104\002\005\000;' >a.gif
set --
while [ $# -lt $((3 * N)) ]; do set -- "$@" --crop 0,0-1,1 a.gif; done
exec ${TOOL:-} gifsicle "$@" -o /dev/null
