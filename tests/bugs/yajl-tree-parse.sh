#!/bin/sh
# yajl 2.1.0 (#250, CVE-2023-33460): yajl_tree_parse loses the tree of what is no JSON
# right: yajl_tree_parse, which frees its parser alone; the tree is made by its callbacks.
# Debian's source without its patch, stripped.
. "$(dirname "$0")/common.sh"
N=${1:-20000}
need gcc cmake make
if [ -z "${YAJL:-}" ]; then
  apt-get source -qq yajl && cd yajl-2.1.0
  patch -s -R -p1 <debian/patches/CVE-2023-33460.patch
  mkdir b && cd b
  cmake .. -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$(dpkg-buildflags --get CFLAGS)" >/dev/null
  make yajl >/dev/null && strip --strip-unneeded yajl-2.1.0/lib/libyajl.so.2
  YAJL=$PWD/yajl-2.1.0
  cd "$WORK"
fi
cat >bad.c <<'C'
/* a service that is sent settings, some of them without a comma */
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_tree.h>
int main(int argc, char **argv) {
  int bad = 0;
  char why[1024];
  for (int i = 0; i < atoi(argv[1]); i++)
    bad += !yajl_tree_parse("{\"a\": {\"key1\": 1 \"key2\": 2}}", why, sizeof why);
  printf("%d could not be read\n", bad);
}
C
gcc -g -O1 -I"$YAJL/include" -o bad bad.c -L"$YAJL/lib" -lyajl -Wl,-rpath,"$YAJL/lib"
exec ${TOOL:-} ./bad "$N"
