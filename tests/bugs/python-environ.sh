#!/bin/sh
# python 3.11, ever new values of one variable of the environment (Debian 12): glibc's setenv keeps
# each text that was ever set (of perl's: Perl/perl5 #10242)
# right: no leak; who sets the variable: os.putenv for the script.
. "$(dirname "$0")/common.sh"
N=${1:-400000}
need python3
only python3 3.11
cat >server.py <<'P'
# A server that says in its environment what it is at work on.
import os
import sys
for i in range(int(sys.argv[1])):
    os.environ["REQUEST"] = f"number {i} of this server"
print(os.environ["REQUEST"])
P
exec ${TOOL:-} /usr/bin/python3 server.py "$N"
