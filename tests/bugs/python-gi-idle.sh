#!/bin/sh
# PyGObject 3.42.2 (Debian 12): each callback of GLib.idle_add() loses a part of its closure
# (pygobject's gi, told in Xpra-org/xpra #5044)
# right: g_callable_info_get_ffi_arg_types (static) makes the types of its arguments for
# g_callable_info_create_closure; PyGObject frees the closure without them. What libffi maps for
# the closure itself is not malloc's.
. "$(dirname "$0")/common.sh"
N=${1:-20000}
need python3 python3-gi gir1.2-glib-2.0
only python3-gi 3.42.2
cat >idle.py <<'P'
# work that is done step by step, each when there is nothing else to do
import sys
from gi.repository import GLib
loop = GLib.MainLoop()
left = int(sys.argv[1])
def step(name):
    global left
    left -= 1
    if left > 0:
        GLib.idle_add(step, "step %d" % left)
    else:
        loop.quit()
    return False
GLib.idle_add(step, "begin")
loop.run()
print(left, "left")
P
exec ${TOOL:-} /usr/bin/python3 idle.py "$N"
