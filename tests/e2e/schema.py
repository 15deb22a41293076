"""docs/json.md as a schema: a reader of its notation, and a check of answers against it.

    value   any [ "|" any ]...           one of them; of several texts, only these
    any     "text"  0  0.0  true  null   text, integer, real, boolean, null
            NAME                         what the document describes as **NAME**
            [value]  [value, value]      any number of them; exactly so many
            { member, ... }
    member  "name": value   "name"?: value   NAME      present; perhaps; all those of NAME
            *: value                                   any others"""

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "json.md"
TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(-?\d+\.\d+)|(-?\d+)|(true|false)|(null)'
                   r"|([A-Z][A-Z_]*)|([][{}:,|?*]))")


class Parser:
    def __init__(self, text):
        self.tokens = []
        at = 0
        while text[at:].strip():
            m = TOKEN.match(text, at)
            assert m, f"not of the notation: {text[at:at + 60]!r}"
            self.tokens.append((m.lastindex, m.group(m.lastindex)))
            at = m.end()

    def peek(self):
        return self.tokens[0][1] if self.tokens else None

    def take(self, expected=None):
        kind, token = self.tokens.pop(0)
        assert expected in (None, token), f"{expected} expected, not {token}"
        return kind, token

    def value(self):
        alternatives = [self.any()]
        while self.peek() == "|":
            self.take()
            alternatives.append(self.any())
        texts = [a[1] for a in alternatives if a[0] == "text"]
        rest = [a for a in alternatives if a[0] != "text"]
        if texts:
            rest.append(("text", texts if len(texts) > 1 else None))
        return rest

    def any(self):
        kind, token = self.take()
        if token == "[":
            return self.list()
        if token == "{":
            return self.object()
        names = {1: "text", 2: "real", 3: "integer", 4: "boolean", 5: "null", 6: "name"}
        return names[kind], token.strip('"')

    def list(self):
        elements = [self.value()]
        while self.peek() == ",":
            self.take()
            elements.append(self.value())
        self.take("]")
        return "list", elements

    def object(self):
        members, parts = {}, []
        while self.peek() != "}":
            kind, name = self.take()
            if kind == 6:
                parts.append(name)
            else:
                optional = self.peek() == "?"
                if optional:
                    self.take()
                self.take(":")
                members[name.strip('"')] = (self.value(), optional)
            if self.peek() == ",":
                self.take()
        self.take("}")
        return "object", (members, parts)


def blocks(text):
    """Indented ones: (what stands before it, block)."""
    for m in re.finditer(r"(?:\A\n|\n\n)((?: {4}.*\n)+)", text):
        yield text[:m.start()], m.group(1)


class Schema:
    def __init__(self):
        text = DOCUMENT.read_text()
        head, *sections = re.split(r"^## (\w+)\n", text, flags=re.M)
        self.names = {}
        for before, block in blocks(text):
            name = re.findall(r"^An? \*\*([A-Z_]+)\*\*", before, flags=re.M)
            if name and name[-1] not in self.names:
                self.names[name[-1]] = Parser(block).value()
        self.verbs = {verb: Parser(next(blocks(body))[1]).value()
                      for verb, body in zip(sections[::2], sections[1::2])}

    def problems(self, verb, answer):
        """Of an answer: what is not as described, where."""
        return list(self.of_value(self.verbs[verb], answer, verb))

    def of_value(self, alternatives, value, where):
        all_found = [list(self.of_any(kind, rest, value, where)) for kind, rest in alternatives]
        best = min(all_found, key=len)
        if len(all_found) > 1 and best:
            yield f"{where}: {value!r:.60} is none of {[kind for kind, _ in alternatives]}"
        else:
            yield from best

    def of_any(self, kind, rest, value, where):
        types = {"text": str, "integer": int, "real": (int, float), "boolean": bool,
                 "null": type(None), "list": list, "object": dict}
        if kind == "name":
            yield from self.of_value(self.names[rest], value, where)
        elif not isinstance(value, types[kind]) or (
                isinstance(value, bool) and kind in ("integer", "real")):
            yield f"{where}: {value!r:.60} is no {kind}"
        elif kind == "text" and rest and value not in rest:
            yield f"{where}: {value!r} is none of {rest}"
        elif kind == "list":
            yield from self.of_list(rest, value, where)
        elif kind == "object":
            yield from self.of_object(self.members(rest), value, where)

    def of_list(self, elements, value, where):
        if len(elements) > 1 and len(value) != len(elements):
            yield f"{where}: {len(value)} elements instead of {len(elements)}"
        for i, element in enumerate(value):
            yield from self.of_value(elements[i % len(elements)], element, f"{where}[{i}]")

    def members(self, rest):
        members, parts = rest
        for part in parts:
            (kind, more), = self.names[part]
            assert kind == "object", part
            members = {**self.members(more), **members}
        return members

    def of_object(self, members, value, where):
        for name, (_, optional) in members.items():
            if not optional and name != "*" and name not in value:
                yield f"{where}: no {name}"
        for name, member in value.items():
            if name not in members and "*" not in members:
                yield f"{where}: {name} is not described"
            else:
                of, _ = members.get(name) or members["*"]
                yield from self.of_value(of, member, f"{where}.{name}")
