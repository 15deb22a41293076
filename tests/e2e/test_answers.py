"""Programs whose growth, leaks and waste are known: the answers name the guilty
function and line first, exact for leaks and within 1 % for the rest."""

import re
import shutil
import subprocess

import pytest

from harness import (SOURCES, ULLAGE, Recorder, blamed, execute, find, marked_line, near, program,
                     tool)
from recording import FORMAT, Recording


def expectations(result):
    for line in result.text().splitlines():
        name, verdict, size, blocks = line.split()
        yield name, verdict, int(size), int(blocks)


def check_leaks(recorder, result, source):
    answer = recorder.answer("leaks", "--all")
    ranked = [l for l in answer["leaks"] if l["verdict"] == "definite"]
    # The program's own: the C library may have lost something too.
    totals = {}
    for name, verdict, size, blocks in expectations(result):
        line = marked_line(source, name)
        found = [l for l in answer["leaks"] if l["verdict"] == verdict
                 and any(f["line"] == line and (f["file"] or "").endswith(source)
                         for f in l["stack"][:3])]
        assert sum(l["bytes"] for l in found) == size, (name, verdict, found)
        assert sum(l["blocks"] for l in found) == blocks, (name, verdict, found)
        totals[verdict] = totals.get(verdict, 0) + size
    for verdict in ("definite", "indirect", "possible"):
        assert answer["totals"][verdict]["bytes"] == totals.get(verdict, 0), verdict
    for verdict, total in answer["totals"].items():
        of = [l for l in answer["leaks"] if l["verdict"] == verdict]
        assert sum(l["bytes"] for l in of) == total["bytes"], verdict
        assert sum(l["blocks"] for l in of) == total["blocks"], verdict
    sizes = [l["bytes"] + l["indirect_bytes"] for l in ranked]  # what is lost by it
    assert sizes == sorted(sizes, reverse=True)
    return answer, ranked


@pytest.mark.short
@pytest.mark.parametrize("binary", ["leaks", "leaks_nopie"])
def test_leaks_of_each_verdict(recorder, binary):
    result = recorder.run(program(binary))
    assert result.status == 0
    answer, ranked = check_leaks(recorder, result, "leaks.c")
    assert blamed(ranked[0], "leak_large", "leaks.c", marked_line("leaks.c", "leak_large"))
    chain = find(ranked, "chain_block")
    assert chain[0]["indirect_bytes"] == 180 * 64 and chain[0]["indirect_blocks"] == 180
    dragged, = chain[0]["drags"]
    assert (dragged["bytes"], dragged["blocks"]) == (180 * 64, 180)
    assert any(l["site"] == dragged["site"] for l in answer["leaks"]
               if l["verdict"] == "indirect")
    assert "drags 11.2 KiB in 180 blocks of " in recorder.text("leaks")


@pytest.mark.short
@pytest.mark.parametrize("mode", ["free", "allocate", "resize"])
def test_nothing_is_lost_that_a_thread_works_on_at_the_end(recorder, mode):
    """But for the block in its hand: out of the one place, not yet in the other."""
    for _ in range(3):
        recorder.run(program("late"), mode, strict=False)
        totals = recorder.answer("leaks")["totals"]
        lost = [totals[v]["blocks"] for v in ("definite", "indirect", "possible")]
        assert sum(lost) <= 1, totals


@pytest.mark.short
@pytest.mark.parametrize("level", ["O0", "O1", "O2"])
@pytest.mark.parametrize("mode", ["return", "exit", "_exit", "quick_exit", "abort", "thread",
                                  "last_thread", "handler"])
def test_the_end_itself_holds_nothing(recorder, mode, level):
    for _ in range(3):
        recorder.run(program(f"dropped_{level}"), mode)
        answer = recorder.answer("leaks")
        assert answer["totals"]["definite"] == {"blocks": 13, "bytes": 13091}, answer["totals"]


@pytest.mark.short
@pytest.mark.parametrize("level", ["O0", "O1", "O2"])
@pytest.mark.parametrize("mode", ["return", "exit", "_exit", "quick_exit", "abort", "deeper"])
def test_what_only_mains_own_frame_holds(recorder, mode, level):
    recorder.run(program(f"ofmain_{level}"), mode)
    answer = recorder.answer("leaks")
    totals, of_main = answer["totals"], answer["of_main"]
    lost = totals["definite"]["blocks"] + totals["indirect"]["blocks"]
    over = mode not in ("abort", "deeper")
    assert lost == (10 if over else 0), answer["totals"]
    told = 10 if over and mode != "return" else 0
    assert of_main == {"blocks": told, "bytes": 100 * told}


@pytest.mark.short
def test_an_allocation_leaves_no_copy_of_its_result(recorder):
    r = recorder.run(program("copies"), "3000000", strict=False)  # a check meets all blocks
    assert r.stdout == b"0 copies\n"


@pytest.mark.short
def test_heuristics_of_interior_pointers(recorder):
    result = recorder.run(program("heuristics"))
    assert result.status == 0
    answer, _ = check_leaks(recorder, result, "heuristics.cc")
    rescued = answer["rescued"]
    assert rescued["stdstring"]["blocks"] == 11
    assert rescued["length64"]["blocks"] == 12
    assert rescued["newarray"]["blocks"] == 13 + 17 + 18
    assert rescued["multipleinheritance"]["blocks"] == 14
    assert rescued["constantoffset"]["blocks"] == 40


def test_heuristics_can_be_chosen(recorder):
    def rescued(*options):
        assert recorder.run(program("heuristics"), options=options).status == 0
        answer = recorder.answer("leaks")
        return ({name for name, by in answer["rescued"].items() if by["blocks"]},
                answer["totals"]["possible"]["blocks"])

    assert rescued("--heuristics=none") == (set(), 160)
    assert rescued("--heuristics=length64,newarray") == ({"length64", "newarray"}, 100)
    assert rescued("--heuristics=all")[1] == 35
    r = recorder.run(program("heuristics"), options=["--heuristics=length64,other"])
    assert r.status == 2 and "other" in r.said


@pytest.mark.short
def test_growth(recorder):
    result = recorder.run(program("grow"), "1500", "2")
    assert result.status == 0
    answer = recorder.answer("growth", "--all")
    first = answer["sites"][0]
    assert blamed(first, "keep_session", "grow.c", marked_line("grow.c", "keep_session"))
    assert first["verdict"] == "growing"
    assert near(first["last_bytes"], 1500 * 1000)
    assert first["generations"] > 3
    for steady in ("fill_cache", "saw_tooth", "start_up"):
        for site in find(answer["sites"], steady):
            assert site["verdict"] != "growing", site
    # The slope: what was added over the time it took, as the answer itself tells time.
    seconds = answer["snapshots"][-1]["seconds"] - answer["snapshots"][0]["seconds"]
    assert near(first["bytes_per_second"], 1500 * 1000 / seconds, 0.1)
    assert [s["seconds"] for s in answer["snapshots"]] == sorted(
        s["seconds"] for s in answer["snapshots"])
    # As sure as the surest of its sites.
    for finding in recorder.answer("report")["findings"]:
        of = [s for s in answer["sites"] if s["site"] == finding["site"]]
        assert finding["kind"] != "growth" or finding["chance"] <= of[0]["p"]


def waste(result):
    return {what: (function, int(size)) for what, function, size in
            (line.split() for line in result.text().splitlines())}


@pytest.mark.short
def test_unused(recorder):
    result = recorder.run(program("waste"))
    assert result.status == 0
    answer = recorder.answer("unused", "--all")
    for what, (function, size) in waste(result).items():
        key = f"{what}_bytes"
        top = max(answer["sites"], key=lambda s: s[key])
        assert blamed(top, function, "waste.c", marked_line("waste.c", function)), (what, top)
        assert near(top[key], size), (what, top[key], size)
        assert answer["totals"][key] >= top[key]
    assert "untouched 9.0 MiB, behind all that was used" in recorder.text("unused")
    survivor = find(answer["sites"], "survivor")[0]
    assert near(survivor["sole_pinned_bytes"], waste(result)["pinned"][1], 0.02)
    found, = recorder.answer("report")["findings"]
    assert found["kind"] == "unused" and found["since_seconds"] is None
    assert found["bytes"] == survivor["pinned_bytes"]
    assert (found["live_blocks"], found["live_bytes"]) == (1000, 104 * 1000)
    assert blamed({"stack": [found["frame"]]}, "survivor")
    assert re.search(r"^  1 unused 6\.7 MiB \(\d+ % of RSS\): survivor \(waste.c:\d+\)\n"
                     r" +free, kept resident by 1,000 blocks of 101\.6 KiB < pin ",
                     recorder.text("report"), flags=re.M)


def test_leak_comes_before_what_its_blocks_keep(recorder):
    """The free memory is the larger number, but goes with the leak."""
    recorder.run(program("waste"), "lost", strict=False)
    leak, unused = recorder.answer("report")["findings"]
    assert (leak["kind"], unused["kind"]) == ("leak", "unused")
    assert unused["bytes"] > 10 * leak["bytes"]
    assert re.search(r"^  1 leak   .*: survivor .*\n.*\n  2 unused .*: survivor ",
                     recorder.text("report"), flags=re.M)


def test_what_threads_keep_for_themselves_is_said(recorder):
    """Where glibc would do the same, with its remedy."""
    for mode, many in ("alone", False), ("eight", True):
        recorder.run(program("heaps"), mode, strict=False)
        assert ("MALLOC_ARENA_MAX" in recorder.text("unused")) == many


@pytest.mark.parametrize("binary", ["spare", "spare_O2"])
@pytest.mark.parametrize("mode, kind, remedy", [
    ("vector", "containers", "shrink_to_fit"), ("string", "containers", "shrink_to_fit"),
    ("realloc", "resized", "a realloc to the size used"), ("shrunk", None, None),
    ("full", None, None), ("buffer", None, None)])
def test_capacity_that_was_never_used_is_said(recorder, binary, mode, kind, remedy):
    """With what gives it back; of a block that never grew nothing is claimed."""
    assert recorder.run(program(binary), mode).status == 0
    spare = recorder.answer("unused")["spare"]
    for name, of in spare.items():
        assert of["sites"] == (name == kind), spare
        assert near(of["bytes"], (8 << 20) * (name == kind), 0.15), spare  # a text has 15 bytes, doubled
    said = [r for r in ("shrink_to_fit", "a realloc to the size used") if r in recorder.text("unused")]
    assert said == [remedy] * bool(remedy)


def test_waste_before_the_end_is_remembered(recorder):
    result = recorder.run(program("waste"), "before", strict=False)
    (_, function, size), = [line.split() for line in result.text().splitlines()]
    answer = recorder.answer("unused")
    assert answer["totals"]["pinned_bytes"] < 1 << 20
    most = answer["most"]
    assert most["waste_bytes"] > int(size)
    assert most["live_bytes"] < most["rss_bytes"] / 4
    top = most["sites"][0]
    assert blamed(top, function, "waste.c", marked_line("waste.c", function))
    assert near(top["pinned_bytes"], int(size), 0.05)
    assert "AT THE MOMENT OF MOST WASTE" in recorder.text("unused")
    page = recorder.text("report")
    assert "of the heap were resident but not live" in page
    assert re.search(rf"^  1 unused .* of RSS at [\d.]+ m?s\): {function} ", page, flags=re.M), page


def test_what_only_the_end_has_left_is_no_finding(recorder):
    """As when an interpreter takes all apart: a sixth of what is resident."""
    recorder.run(program("waste"), "end", strict=False)
    assert not recorder.answer("report")["findings"], recorder.text("report")
    assert recorder.answer("unused")["totals"]["pinned_bytes"] > 6 << 20


@pytest.mark.parametrize("least_ms", [12, 20])
def test_what_stood_for_long_before_it_was_freed_does_not_grow(recorder, least_ms):
    """It rose in a tenth of a second, up to half of the work, and stood for five: whether that
    is seen by 7 measurements or by 20."""
    recorder.run(program("waste"), "before", strict=False,
                 env={"ULLAGE_SNAPSHOT_MS": str(least_ms)})
    assert [f["kind"] for f in recorder.answer("report")["findings"]] == ["unused"]


@pytest.mark.short
@pytest.mark.parametrize("sample", [0, 65536])
@pytest.mark.parametrize("mode", ["spike", "never", "churn", "large", "across", "many", "crowd"])
def test_peak(recorder, mode, sample):
    """Without the clock's help."""
    result = recorder.run(program("peak"), mode, env={"ULLAGE_SNAPSHOT_MS": "3600000",
                                                      "ULLAGE_SAMPLE": str(sample)})
    _, peak, _, live = result.text().split()
    peak, live = int(peak), int(live)
    heap = recorder.answer("report")["heap"]
    # What libc and ullage's neighbours allocate at start is not the program's.
    assert abs(heap["peak_bytes"] - peak) <= 0.01 * peak + 80_000, heap
    assert abs(heap["live_bytes"] - live) <= 0.01 * live + 80_000, heap


def test_rows_of_a_peak_add_up_whatever_others_do(recorder):
    """64 threads free at once what is in the picture."""
    for _ in range(20):
        recorder.run(program("peak"), "crowd", strict=False, options=["--scan=no"],
                     env={"ULLAGE_SNAPSHOT_MS": "3600000"})
        report = recorder.answer("report", "--all")
        site, = find(report["sites"], "hold_in_crowd")
        assert near(site["peak_bytes"], 32_000_000, 0.01)
        assert "SNAPSHOT_SKIPPED" not in report["fallbacks"]


def test_what_no_stack_holds_is_in_the_rows_of_functions(recorder):
    """And a function that calls itself counts once."""
    result = recorder.run(program("rows"), strict=False)
    lines = [line.split() for line in result.text().splitlines()]
    recording = Recording(recorder.file)
    codes = {int.from_bytes(recording.table("CODES")[8 * i:8 * i + 6], "little"): i
             for i in range(1, recording.header["table"][FORMAT.tables.index("CODES")]["count"])}
    final, = [s for s in recording.snapshots()
              if s["kind"] == FORMAT.constants["UL_SNAPSHOT_FINAL"]]
    rows = list(recording.rows(final))
    by_code = {number: size for kind, number, _, size in rows if kind == 2}
    for _, offset, size in lines:
        assert by_code[codes[int(offset)]] == int(size)
    assert len(rows) < 2048
    sites = [size for kind, _, _, size in rows if kind == 0]
    assert min(sites) >= 1 << final["least_log2"][0] > 64


def test_rows_of_all_snapshots_have_a_bound(recorder):
    """With as many snapshots as time allows."""
    recorder.run(program("rows"), "renew", "600000", strict=False, options=["--scan=no"],
                 env={"ULLAGE_SNAPSHOT_MS": "1"})
    recording = Recording(recorder.file)
    count = {name: recording.header["table"][i]["count"]
             for i, name in enumerate(FORMAT.tables)}
    assert count["SITES"] >= 14_000 and count["ROWS"] > 0
    assert count["ROWS"] <= 16 * count["SITES"] + 4 * 100_100 + (64 << 10)


def test_peak_of_a_child_is_its_own(recorder):
    recorder.run(program("peak"), "fork", env={"ULLAGE_SNAPSHOT_MS": "3600000"})
    child, = recorder.answer("report")["children"]["recordings"]
    heap = recorder.answer("report", file=child)["heap"]
    assert abs(heap["peak_bytes"] - 40_000_000) <= 500_000, heap


def test_blocks_of_ullage_are_not_the_programs(recorder):
    """All that this program has is the buffer of its standard output."""
    recorder.run(program("pairs"), "10", strict=False)
    report = recorder.answer("report", "--all")
    leaks = recorder.answer("leaks", "--all")
    unused = recorder.answer("unused", "--all")
    growth = recorder.answer("growth", "--all")
    for sites in (report["sites"], leaks["leaks"], unused["sites"], growth["sites"]):
        assert not [s for s in sites if "on behalf of ullage" in s["stack"][0]["function"]]
    live = report["heap"]["live_blocks"], report["heap"]["live_bytes"]
    assert live == (sum(s["live_blocks"] for s in report["sites"]),
                    sum(s["live_bytes"] for s in report["sites"]))
    assert live == (sum(t["blocks"] for t in leaks["totals"].values()),
                    sum(t["bytes"] for t in leaks["totals"].values()))
    assert live == (unused["totals"]["live_blocks"], unused["totals"]["live_bytes"])
    last = growth["snapshots"][-1]
    assert live == (last["live_blocks"], last["live_bytes"])
    assert live[1] < 8192 and report["heap"]["peak_bytes"] < 8192 + 10 * 64, report["heap"]
    own = [row["bytes"] for row in report["balance"] if "its own libraries" in row["what"]]
    assert len(own) == 1 and own[0] > 0
    assert sum(row["bytes"] for row in report["balance"]) == report["rss_bytes"]
    assert "NOT DONE" not in recorder.text("report")


def test_temporary_allocations(recorder):
    recorder.run(program("peak"), "churn")
    report = recorder.answer("report", "--all")
    line = marked_line("peak.c", "churn")
    site = find(report["sites"], "churn", "peak.c", line)[0]
    assert site["allocations"] == 100_000
    assert site["temporary"] == 100_000
    assert site["live_bytes"] == 0


@pytest.mark.parametrize("depth", [1000, 1010])
def test_deep_stack_is_told_whole(recorder, depth):
    recorder.run(program("deep"), str(depth))
    report = recorder.answer("report", "--all")
    assert report.get("fallbacks", {}).get("STACK_CUT", 0) == 0
    site, = find(report["sites"], "descend", "deep.c", marked_line("deep.c", "bottom"))
    assert site["allocated_bytes"] == 12340
    assert [f["function"] for f in site["stack"]].count("descend") == depth + 1


@pytest.mark.parametrize("depth", [1050, 20000])
def test_stack_beyond_the_depth_limit_is_cut_and_counted(recorder, depth):
    recorder.run(program("deep"), str(depth))
    report = recorder.answer("report", "--all")
    assert report["fallbacks"]["STACK_CUT"] == 10
    site = find(report["sites"], "descend", "deep.c", marked_line("deep.c", "bottom"))[0]
    assert site["allocated_bytes"] == 12340
    frames = [f for f in site["stack"] if f["function"] == "descend"]
    assert 60 <= len(frames) <= 64
    assert "depth limit" in site["stack"][-1]["function"]
    recorder.run(program("deep"), "20")
    assert recorder.answer("report").get("fallbacks", {}).get("STACK_CUT", 0) == 0


def test_depth_is_configurable(recorder):
    recorder.run(program("deep"), "1000", env={"ULLAGE_DEPTH": "200"})
    report = recorder.answer("report", "--all")
    site = find(report["sites"], "descend", "deep.c", marked_line("deep.c", "bottom"))[0]
    frames = [f for f in site["stack"] if f["function"] == "descend"]
    assert 190 <= len(frames) <= 200


def shown_stacks(text):
    """By section and number: the lines of the entry's stack."""
    section, number, stacks = "", 0, {}
    for line in text.splitlines():
        if re.match(r"[A-Z][A-Z ]+", line):
            section = re.match(r"[A-Z][A-Z ]+[A-Z]", line)[0]
        elif entry := re.match(r" +(\d+)   ", line):
            number = int(entry[1])
        elif re.match(r"       (at|by|as|\.\.\.) ", line):
            stacks.setdefault((section, number), []).append(line.strip())
    return stacks


@pytest.mark.parametrize("verb", ["report", "leaks", "growth"])
def test_each_stack_is_shown_once(recorder, verb):
    """Later it is told where it was, which is true."""
    recorder.run(program("family"), "chain", "1000", strict=False)
    stacks = shown_stacks(recorder.text(verb, "--all"))
    whole = {where: lines for where, lines in stacks.items() if not lines[0].startswith("as ")}
    long = ["\n".join(lines) for lines in whole.values() if len(lines) > 1]
    assert 0 < len(long) == len(set(long))
    again = {where: lines for where, lines in stacks.items() if lines[0].startswith("as ")}
    assert again or verb == "growth"
    for (section, _), (line, *more) in again.items():
        number, there, blamed = re.match(r"as (\d+) (above|of [A-Z ]+): (.*)", line).groups()
        lines = whole[section if there == "above" else there[3:], int(number)]
        assert not more and any(blamed.split(" (no name)")[0] in l for l in lines), (line, lines)


def test_too_many_stacks_are_told_in_part(recorder):
    """Nothing is missing, and those that were met before stay whole."""
    recorder.run(program("sites"), "20000", "40000", "40", env={"ULLAGE_STACKS": "1000"})
    report = recorder.answer("report", "--all")
    assert report["heap"]["live_blocks"] >= 40000
    ours = [s for s in report["sites"] if s["live_blocks"] and s["live_bytes"] == 40 * s["live_blocks"]]
    assert sum(s["live_blocks"] for s in ours) == 40000
    assert 38_000 <= report["fallbacks"]["STACKS_MANY"] <= 40_000
    assert 1000 < len(ours) < 1000 + 250 + 50
    whole = [s for s in ours if s["live_blocks"] == 2 and s["stack"][-1]["function"] == "_start"]
    assert 950 < len(whole) <= 1000
    recorder.run(program("sites"), "500", "1000", "40", env={"ULLAGE_STACKS": "1000"})
    assert "STACKS_MANY" not in recorder.answer("report", "--all").get("fallbacks", {})


def test_what_died_at_its_peak_held_then_what_it_holds_at_the_end(recorder):
    """Also by call sites that are too small for a snapshot's rows."""
    recorder.run(program("sites"), "14003", "100000", "40", env={"ULLAGE_SCAN": "no"})
    report = recorder.answer("report", "--all")
    ours = [s for s in report["sites"] if s["live_bytes"] == 40 * s["live_blocks"] > 0]
    assert len(ours) > 10_000
    assert all((s["peak_blocks"], s["peak_bytes"]) == (s["live_blocks"], s["live_bytes"]) for s in ours)


def test_inlined_functions_are_named(recorder):
    recorder.run(program("inlined"))
    leak = recorder.answer("leaks")["leaks"][0]
    names = [f["function"] for f in leak["stack"][:3]]
    assert names == ["make_item", "make_pair", "fill"]
    assert [f["inlined"] for f in leak["stack"][:3]] == [True, True, False]
    assert [f["line"] for f in leak["stack"][:3]] == [
        marked_line("inlined.c", n) for n in names]
    assert leak["bytes"] == 500 * 100 and leak["blocks"] == 500


def test_without_debug_information(recorder, tmp_path):
    strip = tool("strip")
    stripped = tmp_path / "stripped"
    shutil.copy(program("leaks"), stripped)
    subprocess.run([strip, "--strip-debug", stripped], check=True)
    recorder.run(stripped)
    top = recorder.answer("leaks")["leaks"][0]["stack"][0]
    assert top["function"] == "leak_large" and not top["line"]
    assert top["module"] == str(stripped)
    text = recorder.text("leaks")
    assert "leak_large+0x" in text
    subprocess.run([strip, "--strip-all", stripped], check=True)
    recorder.run(stripped)
    top = recorder.answer("leaks")["leaks"][0]["stack"][0]
    assert not top["line"] and top["module"] == str(stripped)


def test_separate_debug_information(recorder, tmp_path):
    objcopy = tool("objcopy")
    stripped, debug = tmp_path / "separate", tmp_path / "separate.debug"
    shutil.copy(program("leaks"), stripped)
    subprocess.run([objcopy, "--only-keep-debug", stripped, debug], check=True)
    subprocess.run([objcopy, "--strip-debug", f"--add-gnu-debuglink={debug}", stripped],
                   check=True)
    recorder.run(stripped)
    top = recorder.answer("leaks")["leaks"][0]
    assert blamed(top, "leak_large", "leaks.c", marked_line("leaks.c", "leak_large"))


def test_unloaded_library_is_still_named(recorder):
    result = recorder.run(program("dl"), program("plugin.so"), "unload")
    assert result.status == 0
    answer = recorder.answer("leaks")
    line = marked_line("plugin.cc", "plugin_keep")
    assert any(f["function"].startswith("plugin_keep") and f["line"] == line
               for l in answer["leaks"] for f in l["stack"])


def test_library_that_is_loaded_elsewhere_each_time(recorder):
    """It stays the same one, and so do its call sites."""
    result = recorder.run(program("dl"), program("plugin.so"), "moves")
    assert result.status == 0
    found = find(recorder.answer("leaks")["leaks"], "plugin_leak")
    assert [(l["verdict"], l["blocks"]) for l in found] == [("definite", 100)]
    line = marked_line("plugin.cc", "plugin_leak")
    assert any(f["function"].startswith("plugin_leak") and f["line"] == line
               for f in found[0]["stack"])
    modules = [l for l in recorder.text("dump").splitlines()
               if l.startswith("module ") and "plugin.so" in l]
    assert len(modules) == 1 and "loads=100" in modules[0]


def test_block_held_by_the_tls_of_a_library(recorder):
    result = recorder.run(program("dl"), program("plugin.so"), "hold")
    assert result.status == 0
    found = find(recorder.answer("leaks", "--all")["leaks"], "plugin_hold")
    assert [(l["verdict"], l["bytes"]) for l in found] == [("reachable", 666)]


def test_the_balance_adds_up_to_rss(recorder):
    for argv in (["waste"], ["leaks"], ["peak", "never"]):
        recorder.run(program(argv[0]), *argv[1:])
        report = recorder.answer("report")
        assert report["rss_bytes"] > 0
        assert sum(b["bytes"] for b in report["balance"]) == report["rss_bytes"]


@pytest.mark.seconds(400)
def test_recording_is_bounded_by_the_heap_and_not_by_time(recorder):
    sizes, allocations = [], []
    for pairs in (10_000, 100_000_000):
        result = recorder.run(program("pairs"), pairs, strict=False, timeout=300)
        assert result.status == 0
        sizes.append(recorder.file.stat().st_size)
        allocations.append(recorder.answer("report")["heap"]["allocations"])
    assert allocations[1] - allocations[0] == 99_990_000
    assert sizes[1] <= sizes[0], sizes


def test_every_verb_answers_in_text(recorder):
    recorder.run(program("leaks"))
    for verb in ("report", "growth", "leaks", "unused", "dump"):
        text = recorder.text(verb)
        assert text.strip()
    assert "leak_large" in recorder.text("report")
    assert f"leaks.c:{marked_line('leaks.c', 'leak_large')}" in recorder.text("leaks")


def test_dump_agrees_with_the_independent_reader(recorder):
    from recording import Recording
    recorder.run(program("waste"))
    ours = list(Recording(recorder.file).snapshots())
    theirs = recorder.answer("dump")["snapshot"]
    assert len(ours) == len(theirs)
    for a, b in zip(sorted(ours, key=lambda s: s["ms"]), sorted(theirs, key=lambda s: s["ms"])):
        for key in ("live_bytes", "mapped_bytes", "pool_bytes", "free_bytes", "rss_bytes"):
            assert a[key] == b[key], key


SLICES = r"""
#include <stdio.h>
#include <stdlib.h>
void *g_slice_alloc(unsigned long);
static void lose(void) { g_slice_alloc(48); }
int main(void) {
  for (int i = 0; i < 100; i++)
    lose();
  const char *set = getenv("G_SLICE");
  puts(set ? set : "not set");
  return 0;
}
"""


def test_slices_of_glib_are_seen(recorder, tmp_path):
    source = tmp_path / "slices.c"
    source.write_text(SLICES)
    linked = subprocess.run([tool("gcc"), "-O0", "-g", "-o", tmp_path / "slices", source,
                             "-l:libglib-2.0.so.0"], capture_output=True, check=False)
    if linked.returncode:
        pytest.skip("there is no glib")
    r = recorder.run(tmp_path / "slices")
    assert r.text() == "always-malloc\n" and "G_SLICE" in r.said
    lost = recorder.answer("leaks")["totals"]["definite"]
    assert (lost["blocks"], lost["bytes"]) == (100, 4800)
    r = recorder.run(tmp_path / "slices", options=["--g-slice=no"])
    assert r.text() == "not set\n" and "G_SLICE" not in r.said
    r = recorder.run(tmp_path / "slices", env={"G_SLICE": "debug-blocks"})
    assert r.text() == "debug-blocks\n" and "G_SLICE" not in r.said


def test_python_says_that_pythonmalloc_is_set(recorder):
    python = tool("python3.11", "python3")
    r = recorder.run("/usr/bin/python3" if python.startswith("/root") else python, "-c",
                     "import os; print(os.environ.get('PYTHONMALLOC'))")
    assert r.text().strip() == "malloc"
    assert "PYTHONMALLOC" in r.said


CLASSES = {"slack: usable but not requested": ("slack_bytes", "own_slack_bytes"),
           "free blocks in used pools": ("pinned_pool_bytes", "own_pinned_pool_bytes"),
           "empty pools": ("pinned_arena_bytes", "own_pinned_arena_bytes", "unpinned_bytes"),
           "tails of pools, too short for a block": ("tail_bytes",)}


@pytest.mark.parametrize("argv", [
    ["waste"], ["leaks"], ["peak", "never"], ["threads"], ["causes", "two"],
    ["/usr/bin/python3", "-c", "x = [str(i) * 20 for i in range(50000)]; del x[::2]"],
    ["/usr/bin/perl", "-e", "my @x = map { 'x' x ($_ % 300) } 1..50000; splice @x, 100"],
    ["/usr/bin/xz", "-k", "-c", __file__, __file__], ["/usr/bin/sort", __file__]],
    ids=lambda argv: argv[0].rpartition("/")[2])
def test_unused_and_the_balance_agree(recorder, argv):
    """To the byte, and only of what is resident. (xz 5.6 bars itself from /proc if one file
    is all that it has to read.)"""
    name, *arguments = argv
    recorder.run(tool(name) if name[0] == "/" else program(name), *arguments)
    report, unused = recorder.answer("report"), recorder.answer("unused")
    rows = {row["what"]: row["bytes"] for row in report["balance"]}
    totals = unused["totals"]
    for what, members in CLASSES.items():
        assert rows.get(what, 0) == sum(totals[m] for m in members), what
    assert rows.get("live blocks, as requested", 0) == (
        totals["live_bytes"] - totals["untouched_bytes"])
    assert all(size > 0 for size in rows.values()), rows
    assert sum(rows.values()) == report["rss_bytes"]
    retained = sum(totals[m] for m in ("pinned_bytes", "unpinned_bytes", "slack_bytes"))
    assert retained < report["rss_bytes"]


def test_unused_of_the_killed_is_no_more_than_was_resident(recorder):
    """Much is free, and was given back: not to be counted as kept."""
    code = ("my @x = map { 'x' x 30000 } 1..2000; @x = (); my @y = map { 'y' } 1..100000; "
            "kill 9, $$; sleep 9")
    recorder.run(tool("perl"), "-e", code)
    report = recorder.answer("report")
    assert report["balance"] == [{"what": report["balance"][0]["what"],
                                  "bytes": report["rss_bytes"]}]
    assert "not known" in report["balance"][0]["what"]
    assert all(row["bytes"] > 0 for row in report["mapped"]), report["mapped"]
    retained = re.match(r"at most ([\d,]+) retained", recorder.text("unused", "--bytes"))
    assert int(retained.group(1).replace(",", "")) <= report["rss_bytes"]


def test_what_the_killed_kept_is_at_most_so_much(recorder):
    """Which pages of it were resident is not known."""
    code = "my @x = map { 'x' x 500 } 1..20000; $_ % 16 and undef $x[$_] for 0..$#x; "
    for end, said in (("kill 9, $$; sleep 9", "at most "), ("exit 0", "")):
        recorder.run(tool("perl"), "-e", code + end, env={"PERL_DESTRUCT_LEVEL": "0"})
        found = [f for f in recorder.answer("report")["findings"] if f["kind"] == "unused"]
        assert found and found[0]["bytes"] > 1 << 20, found
        line = next(l for l in recorder.text("report").splitlines() if " unused " in l)
        assert re.match(rf"  1 unused {said}\d", line), line


@pytest.mark.parametrize("argv", [
    ["family", "suite"], ["family", "daemon"], ["misuse"], ["leaks"], ["causes", "two"], ["waste"],
    ["deep", "100"], ["/usr/bin/python3", "-c", "import json, email.parser, http.client"],
    ["/usr/bin/gcc", "-O1", "-c", "-o", "/dev/null", str(SOURCES / "leaks.c")],
    ["/usr/bin/ruby", "-e", "1"]], ids=" ".join)
def test_a_page_is_a_page(recorder, argv):
    """However narrow, and wherever the recording lies."""
    name, *arguments = argv
    r = recorder.run(tool(name.rpartition("/")[2]) if name[0] == "/" else program(name),
                     *arguments, strict=False)
    for columns in (40, 80, None):
        env = {"COLUMNS": str(columns) if columns else None}
        page = execute([ULLAGE, "report", recorder.file], env=env).text().splitlines()
        assert len(page) <= 60, "\n".join(page)
        assert max(map(len, page)) <= (columns or 100), page
    said = [l for l in r.said.splitlines() if re.match(r"ullage:   |ullage: .* live, ", l)]
    assert max(map(len, said)) <= 100, said


def test_what_is_left_out_of_a_page_is_said(recorder):
    """A tree of many processes, of which some cannot be read."""
    code = "; ".join([f"system('{program('misuse')}')", f"system('{program('leaks')}')",
                      f"system('{program('family')} suite') for 1..3",
                      "my @x = map { 'x' x 1000 } 1..20000"])
    recorder.run(tool("perl"), "-e", code, strict=False)
    for child in recorder.children()[:9]:
        child.write_bytes(child.read_bytes()[:5000])
    page = recorder.text("report").splitlines()
    assert len(page) <= 60, "\n".join(page)
    assert [l for l in page if re.match(r"  Left out: who held most.* \(--all\)$", l)], page
    assert [l for l in page if re.match(r"  not read: \d more \(--all\)$", l)], page
    whole = recorder.text("report", "--all")
    assert "MEMORY OVER TIME" in whole and "Left out" not in whole
    assert whole.count("not read: ") == 9


def test_reasons_survive_long_names(tmp_path):
    directory = tmp_path / ("d" * 200) / ("e" * 100)
    directory.mkdir(parents=True)
    recorder = Recorder(directory)
    recorder.file = directory / ("f" * 200)
    recorder.run(program("family"), "daemon", strict=False)
    child, = recorder.children()
    child.write_bytes(child.read_bytes()[:5000])
    for verb in ("report", "growth", "leaks", "unused"):
        assert ": truncated recording: " in recorder.text(verb), verb
    report = recorder.text("report")
    assert re.search(r"^  recording    /.*\.\.\.f+ \(\d[\d.]* [KM]iB\)$", report, re.M), report
    looks = execute([ULLAGE, "diff", recorder.file, recorder.file]).text()
    assert re.search(r"^  before  /.*\.\.\.f+, .*exited with status 0$", looks, re.M), looks
