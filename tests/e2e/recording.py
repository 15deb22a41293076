"""A reader of recordings that shares no code with the project's own: the tests
check with it what every recording must fulfil. The layout comes from the text of
preload/format.h, laid out by C's rules."""

import mmap
import re
from pathlib import Path

MAGIC = b"\x8bULL\r\n\x1a\n"
SIZES = {"char": 1, "uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "int32_t": 4, "uint64_t": 8,
         "int64_t": 8}


class Format:
    """Structures as lists of (name, offset, bytes of an element, count, signed, type)."""

    def __init__(self, path):
        text = re.sub(r"/\*.*?\*/", "", Path(path).read_text(encoding="utf-8"), flags=re.S)
        self.constants = {}
        for name, value in re.findall(r"#define (UL_\w+) (.+)", text):
            try:
                self.constants[name] = eval(re.sub(r"(?<=\d)u\b", "", value).replace("/", "//"),
                                            {}, self.constants)
            except Exception:
                pass
        for body in re.findall(r"enum \w+ \{(.*?)\}", text, flags=re.S):
            for i, name in enumerate(re.findall(r"(UL_\w+)(?=\s*(?:[,\n}]|$))", body)):
                self.constants[name] = i
            for name, bit in re.findall(r"(UL_FEATURE_\w+) = 1 << (\d+)", body):
                self.constants[name] = 1 << int(bit)
        self.tables = re.findall(r"UL_(\w+)", re.search(
            r"enum ul_table \{(.*?)\}", text, flags=re.S).group(1))[:-1]
        fallbacks = text[text.index("#define UL_FALLBACKS(X)"):text.index("enum ul_fallback")]
        self.fallbacks = re.findall(r"X\((\w+),", fallbacks)
        self.structs = {}
        for name, body in re.findall(r"^struct (ul_\w+) \{\n(.*?)^\}", text, flags=re.S | re.M):
            if ":" not in body:  # (bit fields: not needed here)
                self.structs[name] = self.layout(body)

    def layout(self, body):
        fields, at, widest = [], 0, 1
        body = re.sub(r"struct \{(.*?)\}", lambda m: self.anonymous(m.group(1)), body, flags=re.S)
        for declaration in body.split(";"):
            m = re.match(r"\s*(?:struct |enum )?(\w+)\s+(.*)", declaration.strip(), flags=re.S)
            if not m:
                continue
            kind, names = m.groups()
            size, align = self.size(kind)
            for name in names.split(","):
                name, *dimension = re.match(r"\s*(\w+)(?:\[(.*)\])?", name).groups()
                count = eval(re.sub(r"(?<=\d)u\b", "", dimension[0]).replace("/", "//"), {},
                             self.constants) if dimension[0] else 1
                at = -(-at // align) * align
                fields.append((name, at, size, count, kind.startswith("int"), kind))
                at += size * count
            widest = max(widest, align)
        return fields, -(-at // widest) * widest, widest

    def anonymous(self, body):
        name = f"anonymous{len(self.structs)}"
        self.structs[name] = self.layout(body)
        return name

    def size(self, kind):
        if kind in SIZES:
            return SIZES[kind], SIZES[kind]
        _, size, align = self.structs[kind]
        return size, align

    def read(self, struct, data, at=0):
        result = {}
        for name, offset, size, count, signed, kind in self.structs[struct][0]:
            values = [self.read(kind, data, at + offset + i * size) if kind in self.structs else
                      int.from_bytes(data[at + offset + i * size:at + offset + (i + 1) * size],
                                     "little", signed=signed)
                      for i in range(count)]
            result[name] = values if count > 1 else values[0]
        return result


FORMAT = Format(Path(__file__).resolve().parents[2] / "preload" / "format.h")


class Recording:
    def __init__(self, path):
        with open(path, "rb") as f:  # mapped: a file may be long, and nearly all hole
            self.data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        if self.data[:8] != MAGIC:
            raise ValueError(f"{path}: not a recording")
        self.header = FORMAT.read("ul_header", self.data)
        self.fallbacks = dict(zip(FORMAT.fallbacks, self.header["fallbacks"]))
        self.scan = self.header["scan"]
        self.segments = self.header["segments"][:self.header["segment_count"]]

    def table(self, name):
        index = FORMAT.tables.index(name)
        head = self.header["table"][index]
        data = b"".join(self.data[s["file_offset"]:s["file_offset"] + s["bytes"]]
                        for s in self.segments if s["table"] == index)
        return data[:head["count"] * head["element_bytes"]]

    def elements(self, name, struct):
        data, size = self.table(name), FORMAT.structs[struct][1]
        return [FORMAT.read(struct, data, at) for at in range(0, len(data) - size + 1, size)]

    def snapshots(self):
        data = self.table("SNAPSHOTS")
        for at in range(0, len(data) - 255, 256):
            s = FORMAT.read("ul_snapshot", data, at)
            if s["kind"] != FORMAT.constants["UL_SNAPSHOT_FREE"] and s["sequence"] % 2 == 0:
                yield s

    def rows(self, snapshot):
        """(kind, number, blocks, bytes); kind is 0 for sites, 1 for nodes, 2 for codes."""
        data = self.table("ROWS")[snapshot["row"]:snapshot["row"] + snapshot["row_bytes"]]
        at = 0

        def number():
            nonlocal at
            value = shift = 0
            while True:
                byte = data[at]
                at += 1
                value |= (byte & 0x7f) << shift
                shift += 7
                if byte < 0x80:
                    return value

        for kind, rows in enumerate(snapshot["rows"]):
            which = 0
            for _ in range(rows):
                which += number()
                yield kind, which, number(), number()
        assert at == len(data)

    def verdicts(self):
        """Blocks and requested bytes by verdict, counted block by block."""
        totals = [[0, 0] for _ in range(5)]
        own = FORMAT.constants["UL_SITE_ULLAGE"]
        entries = memoryview(self.table("ENTRIES")).cast("Q")
        words = memoryview(self.table("VERDICT_WORDS")).cast("Q")

        def count(entry, requested, verdict):
            if entry & 0xffffff != own:
                totals[verdict][0] += 1
                totals[verdict][1] += requested
        for a in self.elements("ARENAS", "ul_arena"):
            for p in a["pools"] if a["base"] else []:
                size = self.header["class_bytes"][p["class"]]
                blocks = p["units"] * 16384 // size if size else int(p["units"] > 0)
                for i in range(p["entry"], p["entry"] + blocks):
                    e = entries[i]
                    if e >> 63:
                        count(e, size - (e >> 48 & 0x1fff) if size else entries[i + 1],
                              (words[i // 32] >> i % 32 * 2 & 3) + 1)
        for l in self.elements("LARGES", "ul_large"):
            if l["base"] and l["entry"] >> 63:
                count(l["entry"], l["requested_bytes"], l["verdict"])
        return totals

    def problems_of_verdicts(self):
        """Those of single blocks and of pairs of sites add up to the scan's totals."""
        kept = self.header["features"] & FORMAT.constants["UL_FEATURE_VERDICTS"]
        exited = self.header["state"] == FORMAT.constants["UL_STATE_EXITED"]
        done = self.scan["state"] == FORMAT.constants["UL_SCAN_DONE"]
        if (not done or not exited or self.scan["threads_unstopped"] or self.header["forked"]
                or self.header["table"][FORMAT.tables.index("ENTRIES")]["count"] > 200_000):
            return
        if not kept:
            yield "no verdict of each block"
            return
        totals = [[t["blocks"], t["bytes"]] for t in self.scan["totals"]]
        if self.verdicts() != totals:
            yield f"verdicts of blocks {self.verdicts()} and in all {totals}"
        dragged = [0, 0]
        for d in self.elements("DRAGS", "ul_drag"):
            dragged[0] += d["blocks"]
            dragged[1] += d["bytes"]
        if dragged != totals[FORMAT.constants["UL_INDIRECT"]]:
            yield f"dragged along: {dragged}, of {totals}"

    def problems(self):
        """The accounting identity at every snapshot; the fallbacks that are bugs."""
        found = []
        for name, size in (("SNAPSHOTS", "ul_snapshot"), ("SITES", "ul_site"),
                           ("NODES", "ul_node")):
            element = self.header["table"][FORMAT.tables.index(name)]["element_bytes"]
            if element != FORMAT.structs[size][1]:
                found.append(f"{name} of {element} bytes: not of this format.h?")
        exited = self.header["state"] == FORMAT.constants["UL_STATE_EXITED"]
        if exited and not self.header["stop"] and not any(self.snapshots()):
            found.append("exited without a snapshot")
        for s in self.snapshots():
            sums = {
                "mapped_bytes": s["arena_bytes"] + s["large_bytes"] + s["cached_bytes"],
                "arena_bytes": s["pool_bytes"] + s["empty_bytes"],
                "pool_bytes": (s["small_requested"] + s["small_slack"] + s["free_bytes"] +
                               s["tail_bytes"]),
                "large_bytes": s["large_requested"] + s["large_slack"],
                "live_bytes": s["small_requested"] + s["large_requested"],
            }
            for name, value in sums.items():
                if s[name] != value:
                    found.append(f"snapshot at {s['ms']} ms: {name} {s[name]} != {value}")
            timed = s["kind"] == FORMAT.constants["UL_SNAPSHOT_TIMED"]
            if self.fallbacks["SNAPSHOT_BARE"] or (timed and not s["row_bytes"]):
                continue
            rows = [r for r in self.rows(s) if r[0] < 2]
            for i, what in ((2, "blocks"), (3, "bytes")):
                held = sum(r[i] for r in rows) + s["other_" + what]
                if held != s["live_" + what]:
                    found.append(f"snapshot at {s['ms']} ms: {s['live_' + what]} live {what}, "
                                 f"in rows {held}")
        found += self.problems_of_verdicts()
        for m in self.elements("MODULES", "ul_module"):
            if exited and m["loaded_ms"] > self.header["end_ms"] > 0:
                found.append(f"a module loaded at {m['loaded_ms']} ms, after the end")
        if self.fallbacks["WALK_MISMATCH"]:
            found.append(f"{self.fallbacks['WALK_MISMATCH']} stacks differ from libunwind's")
        return found
