"""Work for real programs, the same in the tests and in scripts/bench."""


def system_python():
    """Debian's interpreter, whatever is first in PATH."""
    return "/usr/bin/python3"


def SQL(rows):
    return f"""
PRAGMA journal_mode=OFF;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL, tag TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < {rows})
INSERT INTO t SELECT i, 'name' || (i * 7919 % 1000003), i * 0.5, 'tag' || (i % 97) FROM n;
CREATE INDEX t_name ON t(name);
SELECT count(*), sum(value), min(name), max(name) FROM t;
SELECT tag, count(*), avg(value) FROM t GROUP BY tag ORDER BY 2 DESC, 1 LIMIT 10;
SELECT count(*) FROM t a JOIN t b ON a.name = b.name WHERE a.id < 1000;
"""


def PYTHON_JSON(records):
    return f"""
import json
data = [{{"id": i, "name": "n%d" % i, "values": list(range(i % 20)), "nested": {{"a": i, "b": str(i)}}}}
        for i in range({records})]
text = json.dumps(data)
back = json.loads(text)
print(len(text), len(back), sum(len(r["values"]) for r in back))
"""


def PERL_HASHES(hashes):
    return f"""
my @all;
for my $i (1 .. {hashes}) {{ push @all, {{ id => $i, name => "n$i", kind => $i % 7 }}; }}
my $sum = 0;
$sum += $_->{{id}} for @all;
print "$sum\\n";
"""


def make_source(functions):
    """C for the compiler to work on: functions with loops, switches and calls."""
    out = ["typedef struct { int a, b; long c[8]; double d; } T;\n"]
    for i in range(functions):
        callee = f"f{i - 1}(t, n - 1)" if i else "0"
        cases = "\n".join(
            f"    case {k}: s += t->c[{k % 8}] * {i + k} + (n << {k % 5}); t->d += s / {k + 1}.0; break;"
            for k in range(12))
        out.append(f"""
long f{i}(T *t, int n) {{
  long s = {i};
  if (n <= 0) return s;
  for (int i = 0; i < n; i++) {{
    switch ((t->a + i) % 12) {{
{cases}
    }}
    for (int k = 0; k < 8; k++) t->c[k] ^= s + (long)k * t->c[(k + i) & 7];
  }}
  return s + {callee} + (t->d > {i} ? t->a : t->b);
}}
""")
    return "".join(out)


def CPP_SOURCE(functions):
    """C++ for the compiler to work on: containers of the library for many types."""
    out = ["#include <algorithm>\n#include <map>\n#include <memory>\n#include <string>\n"
           "#include <vector>\n"]
    for i in range(functions):
        out.append(f"""
struct T{i} {{ long a; std::string s; bool operator<(const T{i} &o) const {{ return a < o.a; }} }};
long f{i}(const std::vector<std::string> &words) {{
  std::map<std::string, std::vector<std::unique_ptr<T{i}>>> by;
  for (auto &w : words)
    by[w.substr(0, 2)].push_back(std::make_unique<T{i}>(T{i}{{(long)w.size(), w}}));
  long sum = {i};
  for (auto &[k, v] : by) {{
    std::sort(v.begin(), v.end(), [](auto &x, auto &y) {{ return *x < *y; }});
    sum += v.front()->a + (long)k.size();
  }}
  return sum;
}}
""")
    return "".join(out)


def NODE_OBJECTS(objects):
    return f"""
const crypto = require('crypto');
let sum = 0, kept = [];
for (let i = 0; i < {objects}; i++) {{
  const o = JSON.parse(JSON.stringify({{id: i, name: 'n' + i, values: [i, i + 1, i + 2]}}));
  kept[i % 1000] = Buffer.alloc(9000 + i % 100, o.name);
  if (i % 10 == 0) sum += crypto.createHash('md5').update(o.name).digest()[0];
  sum += kept[i % 1000].length;
}}
console.log(sum);
"""


JQ_FILTER = ("[.[] | select(.id % 3 == 0) | {name: (.name + \"x\"), n: (.values | length)}] | "
             "group_by(.n) | map({n: .[0].n, count: length, last: .[-1].name})")


def json_records(records):
    """As text, for jq."""
    return "[" + ",".join(f'{{"id":{i},"name":"n{i}","values":{list(range(i % 20))}}}'
                          for i in range(records)) + "]"
