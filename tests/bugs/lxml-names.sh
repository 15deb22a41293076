#!/bin/sh
# lxml 4.9.2 (Debian 12): each name of an element that was ever read stays in a thread's dictionary
# right: no leak; xmlDictLookup keeps names for lxml's _ParserDictionaryContext (truenas/middleware #6897).
. "$(dirname "$0")/common.sh"
N=${1:-40000}
need python3 python3-lxml
only python3-lxml 4.9.2
cat >names.py <<'P'
# reads documents whose elements have names of their own
import sys
from lxml import etree
n = 0
for i in range(int(sys.argv[1])):
    n += len(etree.fromstring("<data><item-%08d-of-this-document attr-%08d='1'/></data>" % (i, i)))
print(n, "elements")
P
exec ${TOOL:-} /usr/bin/python3 names.py "$N"
