#!/bin/sh
# python 3.11 (python/cpython #148058): a parser of xml.etree that is initialized a second
# time loses all that it has.
# right: the __init__ of XMLParser, in _elementtree.c, which does not drop what is there.
# (On Debian this module is a part of the interpreter, which is stripped.)
. "$(dirname "$0")/common.sh"
N=${1:-20000}
need python3
only python3.11 3.11
cat >again.py <<'P'
# a parser that is set up by its base class, and again by what derives from it
import sys
import xml.etree.ElementTree as ET
class Base(ET.XMLParser):
    pass
class Feed(Base):
    def __init__(self, target=None):
        Base.__init__(self, target=target)
        ET.XMLParser.__init__(self, target=target)
items = 0
for i in range(int(sys.argv[1])):
    p = Feed()
    p.feed("<feed><item>%d</item></feed>" % i)
    items += len(p.close())
print(items, "items")
P
exec ${TOOL:-} /usr/bin/python3 again.py "$N"
