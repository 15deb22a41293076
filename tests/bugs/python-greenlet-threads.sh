#!/bin/sh
# greenlet 2.0.2 for python, in C++ (Debian 12): a thread that ends with a greenlet in its midst leaves
# its state (python-greenlet #252)
# right: the state that "getcurrent" makes for a thread; nobody deletes it when the greenlet dies later.
. "$(dirname "$0")/common.sh"
N=${1:-5000}
need python3 python3-greenlet
only python3-greenlet 2.0.2
cat >pool.py <<'P'
# Threads that each leave a greenlet behind, of which somebody else gets rid.
import sys
import threading
import greenlet
left = []
def work():
    main = greenlet.getcurrent()
    half = greenlet.greenlet(lambda: main.switch("half done"))
    half.switch()
    left.append(half)
for _ in range(int(sys.argv[1])):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    left.clear()
print(sys.argv[1], "threads")
P
exec ${TOOL:-} /usr/bin/python3 pool.py "$N"
