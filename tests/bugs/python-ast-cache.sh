#!/bin/sh
# A cache of syntax trees that is never trimmed: each text that was ever asked for stays.
# right: the cache's owner is a line of Python; in C what makes the trees: PyAST_mod2obj and
# the static ast2obj_... below it, on a thousand stacks.
. "$(dirname "$0")/common.sh"
N=${1:-5000}
need python3
cat >cache.py <<'P'
# checks formulas; each is parsed once, and remembered
import ast, sys
trees = {}
def tree(text):
    if text not in trees:
        trees[text] = ast.parse(text)
    return trees[text]
names = 0
for i in range(int(sys.argv[1])):
    text = "def f%d(a, b):\n    if a > %d:\n        return [x * b for x in range(a) if x %% 2]\n" \
        "    with open(str(b)) as g:\n        return {k: -v for k, v in (l.split() for l in g)}\n" \
        "class C%d:\n    x: int = %d\n    def m(self, *a, k=lambda q: q or None):\n" \
        "        try:\n            self.x += a[0] if a else k(1)\n" \
        "        except (KeyError, ValueError) as e:\n            raise e from None\n" % (i, i, i, i)
    names += sum(isinstance(n, ast.Name) for n in ast.walk(tree(text)))
print(names, "names")
P
exec ${TOOL:-} /usr/bin/python3 cache.py "$N"
