"""Call stacks where they are hard to walk, or hard to name."""

import struct
from pathlib import Path

import pytest

from harness import find, marked_line, program
from recording import Recording


def move_headers(source, target, distance):
    """The same library with its program headers `distance` beyond the file's end, or
    at its end: the loader reads them from the file, nothing maps them."""
    data = bytearray(source.read_bytes())
    at, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    headers = bytes(data[at:at + size * count])
    place = (len(data) + distance + 4095) & ~4095
    struct.pack_into("<Q", data, 32, place)
    with open(target, "wb") as f:
        f.write(data)
        f.seek(place)
        f.write(headers)


@pytest.mark.short
@pytest.mark.parametrize("distance", [0, 1 << 30])
def test_library_whose_headers_lie_elsewhere(recorder, tmp_path, distance):
    far = tmp_path / "far.so"
    move_headers(Path(program("plugin.so")), far, distance)
    r = recorder.same(program("stacks"), "library", far)
    assert (r.status, r.stdout) == (0, b"done\n")
    sites = recorder.answer("report", "--all")["sites"]
    site, = find(sites, "plugin_hold", "plugin.cc", marked_line("plugin.cc", "plugin_hold"))
    assert [f.get("function") for f in site["stack"]][1:3] == ["in_library", "main"]


@pytest.mark.short
@pytest.mark.parametrize("name", ["stacks", "leaks_nopie"])
def test_loader_run_as_a_command(recorder, name):
    """/proc/self/exe is the loader then, not the program."""
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    if not loader.exists():
        pytest.skip(f"no {loader}")
    r = recorder.run(loader, program(name), "plain")
    assert r.status == 0
    sites = recorder.answer("report", "--all")["sites"]
    mains = [f for s in sites for f in s["stack"] if f.get("function") == "main"]
    assert mains and all(Path(f["module"]).name == name for f in mains)
    if name == "stacks":
        assert find(sites, "leave_one", "stacks.c", marked_line("stacks.c", "plain"))
    assert Recording(recorder.file).fallbacks["STACK_BROKEN"] == 0


@pytest.mark.short
def test_program_in_parts(recorder):
    """Two loads with a gap between them, where other mappings may lie."""
    recorder.run(program("stacks_apart"), "apart")
    r = Recording(recorder.file)
    assert r.fallbacks["WALK_MISMATCH"] == 0
    texts, path = r.table("TEXT"), program("stacks_apart").encode() + b"\0"
    module, = [m for m in r.elements("MODULES", "ul_module")
               if texts[m["name"]:].startswith(path)]
    assert module["build_id_bytes"]
    sites = recorder.answer("report", "--all")["sites"]
    site, = find(sites, "leave_one_apart", "stacks.c", marked_line("stacks.c", "apart"))
    assert [f.get("function") for f in site["stack"]][1] == "main"


@pytest.mark.short
@pytest.mark.parametrize("unwind", ["rules", "check"])
@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("way", ["rbp", "address"])
def test_callers_that_differ_only_further_out(recorder, way, times, unwind):
    """A walk joins the one before only where nothing outside has changed, nor is one that
    was kept believed."""
    recorder.run(program("callers"), way, times, env={"ULLAGE_UNWIND": unwind})
    fallbacks = Recording(recorder.file).fallbacks
    assert (fallbacks["WALK_MISMATCH"], fallbacks["STACK_BROKEN"]) == (0, 0)
    sites = recorder.answer("report", "--all")["sites"]
    for caller in "first", "second", "third":
        through = [s for s in sites
                   if any(f.get("function") == f"{caller}_by_{way}" for f in s["stack"])]
        assert sum(s["allocations"] for s in through) == 40000, caller


@pytest.mark.short
@pytest.mark.parametrize("way", ["coroutines 3000 2", "coroutines 3000 7", "coroutines 3000 13",
                                 "moved 1000", "signals 2000", "own_stack 2000", "jumps 2000",
                                 "bare 2000", "realigned 2000", "vfork 50", "timer 100000"])
def test_hostile_stacks(recorder, way):
    """Each walk, joined with the one before, is compared with libunwind's. (A handler that
    allocates between two instructions of malloc is as wrong as ever: then the free lists are
    not looked at.)"""
    if way.startswith("timer"):  # glibc's own malloc hangs there, once in 600 runs
        r = recorder.run(program("hostile"), *way.split(), env={"ULLAGE_CHECK": None})
    else:
        r = recorder.same(program("hostile"), *way.split())
    assert (r.status, r.stdout) == (0, b"done\n")
    fallbacks = Recording(recorder.file).fallbacks
    assert (fallbacks["WALK_MISMATCH"], fallbacks["STACK_BROKEN"]) == (0, 0)
