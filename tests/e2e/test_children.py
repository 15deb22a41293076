"""A forked child is what it did since the fork."""

import pytest

from harness import find, marked_line, program
from recording import Recording

LIST = 64 * 100000  # bytes that heirs.c has before it forks


def folded(recorder):
    """Lines of FILE.children: (allocations, peak, lost)."""
    text = recorder.file.with_name("recording.children").read_text()
    return [line.split("\t")[5:8] for line in text.splitlines()]


@pytest.mark.short
def test_child_that_does_little_is_a_line(recorder):
    """However much its parent holds."""
    r = recorder.run(program("heirs"), "idle", "20", strict=False)
    assert (r.status, r.stdout) == (0, b"")
    assert recorder.children() == []
    lines = folded(recorder)
    assert len(lines) == 20
    for allocations, peak, lost in lines:
        assert int(allocations) == 100
        assert int(peak) < 65536
        assert lost == "-"  # nobody has looked


@pytest.mark.short
def test_child_counts_what_it_did_itself(recorder):
    recorder.run(program("heirs"), "work", "1")
    child, = recorder.children()
    report = recorder.answer("report", "--all", file=child)
    heap = report["heap"]
    own = 5120 * 1024 + 20 * 1024
    assert (heap["allocations"], heap["allocated_bytes"]) == (5140, own)
    assert (heap["live_bytes"], heap["live_blocks"]) == (own, 5140)
    assert abs(heap["peak_bytes"] - own) < 0.01 * (own + LIST)
    assert heap["inherited_bytes"] == LIST - 64 * 1000
    line = marked_line("heirs.c", "common")
    assert [s["live_blocks"] for s in find(report["sites"], "common", "heirs.c", line)] == [5120]
    twice, = report["misuses"]
    assert (twice["kind"], twice["count"]) == ("freed twice", 1)
    header = Recording(child).header
    assert header["inherited"]["blocks"] >= 100000
    parent = recorder.answer("report", "--all")
    assert parent["heap"]["inherited_bytes"] == 0
    assert find(parent["sites"], "common", "heirs.c", line)[0]["live_blocks"] == 100000


@pytest.mark.short
def test_child_loses_what_it_allocated_itself(recorder):
    recorder.run(program("heirs"), "work", "1")
    child, = recorder.children()
    leaks = recorder.answer("leaks", file=child)
    assert leaks["totals"]["definite"] == {"blocks": 20, "bytes": 20 * 1024}
    assert leaks["totals"]["indirect"]["blocks"] == 0
    assert leaks["inherited"] == {"blocks": 99000, "bytes": 64 * 99000}
    assert [l["bytes"] for l in find(leaks["leaks"], "lose")] == [20 * 1024]
    assert recorder.answer("leaks")["inherited"]["blocks"] == 0


@pytest.mark.short
def test_what_children_lost_is_known_of_all(recorder):
    """Of those, too, for which there is no recording any more."""
    recorder.run(program("heirs"), "lose", "6", strict=False, env={"ULLAGE_CHILDREN_MAX": "2"})
    assert len(recorder.children()) == 2
    lines = folded(recorder)
    assert [int(lost) for _, _, lost in lines] == [99 * 1024] * 4
    assert all(5 << 20 <= int(peak) < 6 << 20 for _, peak, _ in lines)
