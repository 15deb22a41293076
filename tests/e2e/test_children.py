"""A forked child is what it did since the fork."""

import resource

import pytest

from harness import find, marked_line, program
from recording import FORMAT, Recording

LIST = 64 * 100000  # bytes that heirs.c has before it forks


def folded(recorder):
    """Lines of FILE.children: (allocations, peak, lost)."""
    text = recorder.file.with_name("recording.children").read_text()
    lines = [line.split("\t") for line in text.splitlines()]
    return [fields[5:8] for fields in lines if fields[2] not in ("lost", "freed")]


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
    parent = Recording(recorder.file).header["pid"]
    assert recorder.answer("leaks", f"--process={parent}")["inherited"]["blocks"] == 0
    assert recorder.answer("leaks")["inherited"] == leaks["inherited"]


@pytest.mark.short
@pytest.mark.parametrize("mib,keep,pictured", [(2, "telling", False), (2, "all", True),
                                               (5, "telling", True)])
def test_peak_of_a_child(recorder, mib, keep, pictured):
    """How high it was is always known; who held it, of a child that is soon over and never
    held much, nobody asks. What is kept has its last snapshot, of its end."""
    recorder.run(program("family"), "high", str(mib), env={"ULLAGE_KEEP": keep})
    child, = recorder.children()
    r = Recording(child)
    kinds = FORMAT.constants
    snapshots = list(r.snapshots())
    final, = (s for s in snapshots if s["kind"] == kinds["UL_SNAPSHOT_FINAL"])
    assert 20 << 10 <= final["live_bytes"] - final["other_bytes"] < 1 << 20
    assert final["ms"] <= r.header["end_ms"]
    peaks = [s for s in snapshots if s["kind"] == kinds["UL_SNAPSHOT_PEAK"]]
    most = max([r.header["missed_bytes"], *(s["live_bytes"] for s in peaks)])
    assert mib << 20 <= most < (mib + 1) << 20
    soon_over = r.header["end_ms"] - r.header["forked_ms"] < 1000 # a busy machine takes longer
    if pictured or soon_over:
        assert [s["live_bytes"] >= mib << 20 for s in peaks] == [True] * pictured


@pytest.mark.short
def test_what_children_lost_is_known_of_all(recorder):
    """Of those, too, for which there is no recording any more."""
    recorder.run(program("heirs"), "lose", "6", strict=False, env={"ULLAGE_CHILDREN_MAX": "2"})
    assert len(recorder.children()) == 2
    lines = folded(recorder)
    assert [int(lost) for _, _, lost in lines] == [99 * 1024] * 4
    assert all(5 << 20 <= int(peak) < 6 << 20 for _, peak, _ in lines)


@pytest.mark.short
def test_recordings_make_a_tree(recorder):
    """Who is whose child is in the files alone."""
    recorder.run("/bin/sh", "-c", f"{program('heirs')} work 1; exit 0", strict=False)
    sh, = [Recording(p).header for p in recorder.recordings() if p == recorder.file]
    others = [Recording(p).header for p in recorder.children()]
    child, = [h for h in others if h["inherited_sites"]]
    parent, = [h for h in others if not h["inherited_sites"]] or [None]
    assert (child["forked"], child["programs_before"]) == (1, 0)
    assert child["ppid_start"] > 0
    if parent:
        assert (child["ppid"], child["ppid_start"]) == (parent["pid"], parent["pid_start"])
        assert (parent["ppid"], parent["ppid_start"]) == (sh["pid"], sh["pid_start"])


@pytest.mark.short
def test_program_that_executes_itself_leaves_few_recordings(recorder):
    """heirs, after a chain of ten shells."""
    shells = 'n=$1; [ $n = 0 ] && exec "$2" idle 0; exec /bin/sh -c "$0" "$0" $((n - 1)) "$2"'
    env = {"ULLAGE_CHILDREN_MAX": "3"}
    r = recorder.run("/bin/sh", "-c", shells, shells, "10", program("heirs"), env=env, strict=False)
    assert r.status == 0
    assert len(recorder.children()) == 3
    assert recorder.answer("report")["program"]["programs_before"] == 11


@pytest.mark.short
def test_limits_are_in_the_recording(recorder):
    limit = 8 << 30
    recorder.run(program("heirs"), "idle", "0", strict=False,
                 preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    limits = recorder.answer("report")["program"]["limits"]
    assert limits["address_space_bytes"] == limit
    assert limits["data_bytes"] is None
    with open("/proc/meminfo", encoding="ascii") as f:
        assert limits["machine_bytes"] == int(f.readline().split()[1]) << 10
    assert limits["group_bytes"] is None or limits["group_bytes"] > 1 << 20
    assert "8.0 GiB of address space" in recorder.text("report")
