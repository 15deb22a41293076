"""What the documents say in numbers is what the sources say."""

import re
import subprocess
from pathlib import Path

import pytest

from harness import BUILD, ROOT, ULLAGE, program, tool
from recording import FORMAT

DOCS = Path(__file__).resolve().parents[2] / "docs"


def documented_structs():
    """Of docs/format.md: (struct, bytes, [(offset, bytes, field)])."""
    text = (DOCS / "format.md").read_text()
    for name, size, table in re.findall(
            r"^`struct (ul_\w+)`, (\d+) bytes:\n\n((?:\|.*\n)+)", text, flags=re.M):
        rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)", table, flags=re.M)
        yield name, int(size), [(int(o), int(n), field) for o, n, field in rows]


def test_byte_layout_is_documented():
    documented = list(documented_structs())
    assert len(documented) >= 16
    for name, size, rows in documented:
        fields, total, _ = FORMAT.structs[name]
        assert size == total, name
        assert rows == [(at, n * count, field) for field, at, n, count, _, _ in fields
                        if field != "reserved"], name


class Stranger:
    """A reader of recordings by somebody who knows nothing but docs/format.md."""

    def __init__(self, file):
        self.data = file.read_bytes()
        self.structs = {name: {field: (at, n) for at, n, field in rows}
                        for name, _, rows in documented_structs()}
        self.sizes = {name: size for name, size, _ in documented_structs()}
        tables = (DOCS / "format.md").read_text().split("## Tables")[1].split("###")[0]
        self.numbers = {name: int(number)
                        for number, name in re.findall(r"^\| (\d+) \| ([a-z ]+) \|", tables, re.M)}
        self.pieces = {number: b"" for number in range(32)}
        for i in range(self.get("header", "segment_count")):
            number, at, n = (self.get("segment", field, self.structs["ul_header"]["segments"][0], i)
                             for field in ("table", "file_offset", "bytes"))
            self.pieces[number] += self.data[at:at + n]

    def get(self, struct, field, base=0, index=0, data=None):
        at, n = self.structs[f"ul_{struct}"][field]
        at += base + index * self.sizes[f"ul_{struct}"]
        return int.from_bytes((data or self.data)[at:at + n], "little")

    def count(self, table):
        heads = self.structs["ul_header"]["table"][0]
        return self.get("table_head", "count", heads, self.numbers[table])

    def element(self, table, struct, index, base=0):
        """By the names of its fields."""
        data = self.pieces[self.numbers[table]]
        return {field: self.get(struct, field, base, index, data) for field
                in self.structs[f"ul_{struct}"]}

    def word(self, table, index):
        return int.from_bytes(self.pieces[self.numbers[table]][8 * index:8 * index + 8], "little")

    def counters(self):
        """{site: [allocations, bytes, frees, bytes freed]}"""
        names = ("allocations", "allocated_bytes", "frees", "freed_bytes")
        sums = {}
        for i in range(self.count("counters")):
            chunk, counter = (self.element(*of) for of in (("chunks", "chunk", i // 8),
                                                           ("counters", "counter", i)))
            site = sums.setdefault(chunk["first_site"] + i % 8, [0] * 4)
            for k, name in enumerate(names):
                site[k] += counter[name]
        for i in range(self.count("carries")):
            carry = self.element("carries", "carry", i)
            for k, name in enumerate(names):
                high = (carry[name] ^ 1 << 31) - (1 << 31)
                sums.setdefault(carry["site"], [0] * 4)[k] += high << 31
        return {site: numbers for site, numbers in sums.items() if any(numbers)}

    def live(self):
        """(address, requested bytes, site) of all blocks."""
        at, _ = self.structs["ul_header"]["class_bytes"]
        for i in range(self.count("arenas")):
            arena = self.element("arenas", "arena", i)
            for unit in range(64 if arena["base"] else 0):
                pool = self.element("arenas", "pool", unit,
                                    i * 1024 + self.structs["ul_arena"]["pools"][0])
                first, usable = arena["base"] + unit * 16384, int.from_bytes(
                    self.data[at + 4 * pool["class"]:at + 4 * pool["class"] + 4], "little")
                blocks = pool["units"] * 16384 // usable if usable else min(pool["units"], 1)
                for k in range(blocks):
                    entry = self.word("entries", pool["entry"] + k)
                    requested = usable - (entry >> 48 & 0x1fff) if usable else self.word(
                        "entries", pool["entry"] + 1)
                    if entry >> 61 >= 4:
                        yield first + k * usable, requested, entry & 0xffffff
        for i in range(self.count("larges")):
            large = self.element("larges", "large", i)
            if large["base"] and large["entry"] >> 61 >= 4:
                yield large["base"], large["requested_bytes"], large["entry"] & 0xffffff

    def stack(self, site):
        """Words of codes, innermost first."""
        leaf = self.element("sites", "site", site)
        node, code = leaf["parent"], leaf["code"] & 0x7fffffff
        while code:
            yield self.word("codes", code)
            node, code = (self.element("nodes", "node", node)[f] for f in ("parent", "code"))


def test_a_stranger_can_write_a_reader(recorder):
    """What its totals, blocks and stacks are is what `ullage dump` says."""
    recorder.run(program("leaks"))
    dump, theirs = recorder.answer("dump"), Stranger(recorder.file)
    sums = {}
    for counter in dump["counter"]:
        site = sums.setdefault(counter["site"], [0] * 4)
        for k, name in enumerate(("allocations", "allocated_bytes", "frees", "freed_bytes")):
            site[k] += counter[name]
    assert sums and theirs.counters() == sums
    blocks = {(int(b["address"], 16), b["requested"], b["site"]) for b in dump["block"]}
    assert blocks and set(theirs.live()) == blocks
    codes = [int(c["offset"], 16) | c["module"] << 48 for c in dump["code"]]
    for site in sums:
        node, code = dump["site"][site]["parent"], dump["site"][site]["code"]
        stack = []
        while code:
            stack.append(codes[code])
            node, code = dump["node"][node]["parent"], dump["node"][node]["code"]
        assert list(theirs.stack(site)) == stack
        assert len(stack) == dump["site"][site]["depth"]


# ---- what is needed ------------------------------------------------------------------


def test_meson_need_be_no_newer_than_is_said():
    wanted = re.search(r"meson_version: '>=([\d.]+)'", (ROOT / "meson.build").read_text())[1]
    assert f"meson {wanted})" in (ROOT / "README.md").read_text()
    log = (BUILD / "meson-logs" / "meson-log.txt").read_text()
    assert "Build targets in project" in log
    assert not re.findall(r"^.*but uses feature introduced in.*", log, flags=re.M)


# ---- rooms ---------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["preload", "analyzer"])
def test_each_file_is_a_word_of_how_it_works(part):
    """The tables of rooms name the files of each, all of them and no others."""
    text = (DOCS / "how-it-works.md").read_text()
    table = re.search(rf"^\| room of `{part}/` .*\n.*\n((?:\|.*\n)+)", text, flags=re.M).group(1)
    told = {}
    for row in table.splitlines():
        room, words = row.split("|")[1:3]
        name = re.search(r"`(\w+)/`", room)
        told[name.group(1) if name else ""] = set(words.strip().split(", "))
    here = {room: set() for room in told}
    for path in (ROOT / part).rglob("*.[ch]"):
        here[path.relative_to(ROOT / part).parent.name].add(path.stem.removesuffix("_inline"))
    assert told == {room: names for room, names in here.items() if names}



# ---- verbs ---------------------------------------------------------------------------


def help_of(*verb):
    return subprocess.run([ULLAGE, *verb, "--help"], text=True, check=True, timeout=60,
                          stdout=subprocess.PIPE).stdout


VERBS = re.findall(r"^  (\w+) +\w", help_of(), flags=re.M)


def manual(section):
    """A section of the manual page, as text."""
    page = (DOCS / "ullage.1").read_text().replace("\\-", "-")
    page = re.sub(r"\\f[A-Z]", "", page)
    return re.search(rf"^\.SH {section}\n(.*?)(?=^\.SH|\Z)", page, flags=re.M | re.S).group(1)


def test_there_are_verbs():
    assert {"run", "report", "growth", "leaks", "unused", "dump"} <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_is_described(verb):
    """By its help, the manual page and, if it answers in JSON, the schema."""
    text = help_of(verb)
    assert text.startswith(f"Usage: ullage {verb} ")
    options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, flags=re.M))
    assert "--help" in options
    assert re.search(rf"^\.B {verb}$", manual("VERBS"), flags=re.M)
    page = (DOCS / "ullage.1").read_text().replace("\\-", "-")
    assert [o for o in options - {"--help"} if o not in page] == []
    assert ("--json" not in options or
            re.search(rf"^## {verb}$", (DOCS / "json.md").read_text(), flags=re.M))


def test_each_verb_with_a_model_is_fuzzed():
    """The fuzzer and the unit tests go through the table of verbs, whatever is in it."""
    for path in "tests/fuzz/fuzz_recording.c", "tests/unit/test_answers.c":
        assert "i < verbs_count" in (ROOT / path).read_text(), path
    rows = (ROOT / "analyzer/command/verbs.c").read_text().split("{.name = ")[1:]
    assert len(rows) == len(VERBS)
    for row in rows:
        parts = {part for part in ("model", "text", "json") if f".{part} = " in row}
        assert parts == (set() if ".main = " in row else {"model", "text", "json"}), row


def test_each_variable_is_described():
    """That libullage.so reads, by the guide and the manual page."""
    read = {name for path in (ROOT / "preload").rglob("*.c")
            for name in re.findall(r'"(ULLAGE_[A-Z_]+)"', path.read_text())}
    assert "ULLAGE_FILE" in read and len(read) > 20
    guide = set(re.findall(r"^\| `(ULLAGE_\w+)` \|", (DOCS / "guide.md").read_text(), flags=re.M))
    assert guide == read
    assert set(re.findall(r"ULLAGE_\w+", manual("ENVIRONMENT"))) == read


def test_the_filter_of_the_guide_lets_pass_all_that_is_called():
    """Its SystemCallFilter= for systemd, and the system calls that base/ makes."""
    told = re.search(r"^    SystemCallFilter=(.*)$", (DOCS / "guide.md").read_text(), flags=re.M)
    sets = subprocess.run([tool("systemd-analyze"), "--no-pager", "syscall-filter"], text=True,
                          check=True, stdout=subprocess.PIPE).stdout
    members = {head: re.findall(r"^ +([@\w]\S*)$", rest, flags=re.M) for head, rest in
               re.findall(r"^(@\S+)\n((?: .*\n)+)", sets, flags=re.M)}

    def calls(words):
        return {call for word in words
                for call in (calls(members[word]) if word[0] == "@" else {word})}

    allow = (ROOT / "preload/process/allow.c").read_text()
    ours = set(re.findall(r"SYS_(\w+)", re.search(r"ours\[\] = {(.*?)}", allow, re.S).group(1)))
    assert "mincore" in ours and "mmap" in calls(["@system-service", "@default"])
    assert ours - calls(["@default", *told.group(1).split()]) == set()
