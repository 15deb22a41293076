"""A reader of recordings that shares no code with the project's own: the tests
check with it what every recording must fulfil. It follows preload/format.h."""

import struct

HEADER_BYTES = 64 * 1024
MAGIC = b"\x8bULL\r\n\x1a\n"

TABLES = ("TEXT MODULES NODES SITES CHUNKS COUNTERS ARENAS ENTRIES LARGES SNAPSHOTS "
          "ROWS HEAPS LEAKS MAPPINGS").split()

SNAPSHOT = struct.Struct("<IIQQII" + "2Q" "2Q" "Q" "4Q" "2Q" "4Q" "2Q" "3Q" "Q" "Q" "II" "5Q")
SNAPSHOT_FIELDS = (
    "sequence kind ms row rows row_capacity live_bytes live_blocks allocations "
    "allocated_bytes rss_bytes mapped_bytes arena_bytes large_bytes cached_bytes "
    "pool_bytes empty_bytes small_requested small_slack free_bytes tail_bytes "
    "large_requested large_slack omitted_sites omitted_blocks omitted_bytes tool_bytes "
    "recording_bytes arenas larges").split()
assert SNAPSHOT.size == 256

FREE, TIMED, PEAK, FINAL = range(4)


def fallback_names(format_h):
    """The X-macro of format.h, in order."""
    import re
    text = open(format_h, encoding="utf-8").read()
    text = text[text.index("#define UL_FALLBACKS(X)"):]
    text = text[:text.index("enum ul_fallback")]
    return re.findall(r"X\((\w+),", text)


class Recording:
    def __init__(self, path, format_h):
        with open(path, "rb") as f:
            self.data = f.read()
        head = self.data[:HEADER_BYTES]
        if head[:8] != MAGIC:
            raise ValueError(f"{path}: not a recording")
        (self.version, self.header_bytes, _, _, _, _, _, segment_count,
         self.file_bytes) = struct.unpack_from("<8IQ", head, 8)
        self.pid, self.ppid = struct.unpack_from("<2i", head, 48)
        # who: 3 u64 after the pids, 6 u32; then how it ended
        at = 56 + 24 + 24
        (self.state, self.status, self.end_ms, _, self.stop,
         self.stop_errno) = struct.unpack_from("<IiQIIi", head, at)
        at += 4 + 4 + 8 + 4 + 4 + 4 + 4 + 8  # ... depth_limit, stop_ms
        at += 4 + 4 + 8 + 8                  # residency .. end_rss_bytes
        self.peak_slot, self.children = struct.unpack_from("<II", head, at)
        at += 8 + 64 * 4
        self.tables = [struct.unpack_from("<QII", head, at + 16 * i)[:2]
                       for i in range(len(TABLES))]
        at += 32 * 16
        names = fallback_names(format_h)
        self.fallbacks = dict(zip(names, struct.unpack_from(f"<{len(names)}Q", head, at)))
        at += 64 * 8
        scan_bytes = 4 + 4 + 2 * 8 + 2 * 8 + 4 + 4 + 8 + 5 * 16 + 4 * 16
        (self.scan_state, self.scan_error, _, self.scan_us, self.scan_roots, self.scan_heap,
         self.scan_threads, self.scan_unstopped) = struct.unpack_from("<IiQQQQII", head, at)
        at += scan_bytes
        self.segments = [struct.unpack_from("<QQII", head, at + 24 * i)[:3]
                         for i in range(segment_count)]

    def table(self, name):
        index = TABLES.index(name)
        count, element = self.tables[index]
        data = b"".join(self.data[o:o + n] for o, n, t in self.segments if t == index)
        return data[:count * element]

    def snapshots(self):
        data = self.table("SNAPSHOTS")
        for at in range(0, len(data) - 255, 256):
            s = dict(zip(SNAPSHOT_FIELDS, SNAPSHOT.unpack_from(data, at)))
            if s["kind"] != FREE and s["sequence"] % 2 == 0:
                yield s

    def problems(self):
        """The accounting identity at every snapshot; the fallbacks that are bugs."""
        found = []
        for s in self.snapshots():
            sums = {
                "mapped": (s["mapped_bytes"],
                           s["arena_bytes"] + s["large_bytes"] + s["cached_bytes"]),
                "arena": (s["arena_bytes"], s["pool_bytes"] + s["empty_bytes"]),
                "pool": (s["pool_bytes"], s["small_requested"] + s["small_slack"] +
                         s["free_bytes"] + s["tail_bytes"]),
                "large": (s["large_bytes"], s["large_requested"] + s["large_slack"]),
                "live": (s["live_bytes"], s["small_requested"] + s["large_requested"]),
            }
            for name, (is_, should) in sums.items():
                if is_ != should:
                    found.append(f"snapshot at {s['ms']} ms: {name} {is_} != {should}")
        if self.fallbacks["WALK_MISMATCH"]:
            found.append(f"{self.fallbacks['WALK_MISMATCH']} stacks differ from libunwind's")
        return found
