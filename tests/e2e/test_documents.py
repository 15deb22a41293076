"""What the documents say in numbers is what the sources say."""

import re
from pathlib import Path

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
