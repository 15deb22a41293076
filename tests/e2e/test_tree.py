"""A run is a tree of processes: every answer about it speaks of all, and names whose it is."""

import re

import pytest

from harness import Recorder, ULLAGE, execute, find, marked_line, program, tool
from recording import Recording
from sums import check_sums

DAEMON = 1024 * 10240  # bytes that the worker loses
KEPT = 32 << 20


def pid_of(file):
    return Recording(file).header["pid"]


def leaks_found(recorder):
    return [f for f in recorder.answer("report")["findings"] if f["kind"] == "leak"]


def lost_of(answer):
    return sum(answer["totals"][v]["bytes"] for v in ("definite", "indirect"))


@pytest.mark.short
def test_worker_is_in_the_first_lines_of_its_master(recorder):
    said = recorder.run(program("family"), "daemon").said
    worker, = recorder.children()
    assert re.search(r"definitely lost: 10\.0 MiB in 1,024 blocks.*, in 1 process", said), said
    first, = leaks_found(recorder)
    assert (first["bytes"], first["pid"]) == (DAEMON, pid_of(worker))
    assert first["frame"]["function"] == "lose"
    page = recorder.text("report").splitlines()[:8]
    assert any(f"lose (family.c:{marked_line('family.c', 'lose')}) in family, process "
               f"{pid_of(worker)}" in line for line in page), page
    leaks = recorder.answer("leaks")
    assert lost_of(leaks) == DAEMON
    assert {l["process"] for l in leaks["leaks"]} == {str(pid_of(worker))}
    assert re.search(rf"10\.0 MiB  family, process {pid_of(worker)}, exited with status 0: ",
                     recorder.text("report"))
    text = recorder.text("leaks")
    assert re.match(r"definitely lost: 10\.0 MiB in 1,024 blocks.*most: lose", text), text


@pytest.mark.short
def test_suite_whose_children_leak_is_no_clean_run(recorder):
    """The parent loses nothing, and none of the children enough for a recording."""
    for small in (False, True):
        r = recorder.run("/bin/sh", "-c", f"{program('family')} suite; exit 0",
                         env={"ULLAGE_CHILDREN_MAX": "0"} if small else None)
        assert r.status == 0
        assert re.search(r"definitely lost: 60\.0 KiB.* in 3 processes", r.said), r.said
        leaks = recorder.answer("leaks")
        assert leaks["tree"]["lost_bytes"] == 3 * 20480 and leaks["tree"]["losers"] == 3
        assert lost_of(leaks) == (0 if small else 3 * 20480)
        assert "nothing is lost" not in recorder.text("leaks")
        assert "nothing is lost" not in recorder.text("report")


@pytest.mark.short
@pytest.mark.parametrize("blocks", [100, 1000])
def test_what_a_lost_head_drags_along_is_lost(recorder, blocks):
    """In the line that a small child leaves, and for whether a line is enough."""
    r = recorder.run(program("family"), "chain", str(blocks))
    kib = f"{blocks * 64 / 1024:.1f} KiB"
    assert len(recorder.children()) == (64 * blocks >= 16 << 10)
    leaks = recorder.answer("leaks")
    assert leaks["tree"]["lost_bytes"] == 64 * blocks and leaks["tree"]["losers"] == 1
    assert f", {kib} lost" in r.said, r.said
    assert re.search(rf"^  1 leak   {kib}.*: chain ", recorder.text("report"), flags=re.M)
    if not recorder.children():
        assert f"definitely lost: {kib}" in r.said, r.said


@pytest.mark.short
def test_what_several_processes_lose_is_one_line(recorder):
    recorder.run(program("family"), "many", "12", strict=False)
    text = recorder.text("leaks")
    assert text.count(" at lose (") == 1, text
    assert re.search(r"240\.0 KiB in 240 blocks in 12 processes of family", text), text
    assert len(recorder.answer("leaks")["leaks"]) == 12
    page = recorder.text("report")
    assert re.search(r"1 leak .*lose \(family.c:\d+\) in 12 processes of family", page), page
    assert len(page.splitlines()) <= 60
    table, = re.findall(r"^PROCESSES.*\n.*\n(.*)\n", page, flags=re.M)
    assert table.endswith("family x 13") and "240.0 KiB" in table, page
    assert "process" in recorder.text("report", "--all")


@pytest.mark.short
def test_who_held_most_of_what_was_killed_is_named(recorder):
    """What of it is lost is not known: to say 0 of them all would be false."""
    recorder.run(program("family"), "killed", "3", strict=False)
    page = recorder.text("report")
    children = {str(pid_of(f)) for f in recorder.children()}
    held = re.search(r"^  held     1\.9 MiB \(\d+ %\) by hoard \(family\.c:"
                     rf"{marked_line('family.c', 'hoard')}\) in family, process (\d+), "
                     r"one of 3 with 5\.7 MiB$", page,
                     flags=re.M)
    assert held and held[1] in children, page
    assert page.index("  held  ") < page.index("  command "), page
    recorder.run(program("family"), "killed", "12", strict=False)
    page = recorder.text("report")
    assert re.search(r" 1\.0 KiB  family x 13, lost: not known of 12$", page,
                     flags=re.M), page


@pytest.mark.short
def test_wrapper_is_not_what_the_report_is_about(recorder):
    """sh only starts the program; asked for, it answers for itself."""
    recorder.run("/bin/sh", "-c", f"{program('family')} daemon; exit 0", strict=False)
    page = recorder.text("report")
    assert page.startswith("family exited with status 0"), page
    assert re.search(r"process +\d+.*, started under sh, process \d+", page), page
    assert re.search(r"^  \d leak   10\.0 MiB", page, flags=re.M), page
    report = recorder.answer("report")
    assert report["program"]["command"][0] == "/bin/sh"
    assert [p["program"] for p in report["processes"]] == ["family", "family", "sh"]
    assert [p["number"] for p in report["processes"]] == [1, 2, 3]
    assert recorder.text("report", "--process=sh").startswith("sh exited with status 0")


@pytest.mark.parametrize("guilty,kind", [("exec", "leak"), ("grows", "growth")])
def test_page_is_headed_by_what_there_is_to_gain(recorder, guilty, kind):
    """Not by who held most, and gave it back."""
    recorder.run("/bin/sh", "-c", f"{program('peak')} spike; {program('family')} {guilty}; exit 0",
                 strict=False)
    report = recorder.answer("report")
    first = report["findings"][0]
    assert (first["kind"], first["program"]) == (kind, "family")
    assert report["processes"][0]["process"] == first["process"]
    assert max(report["processes"], key=lambda p: p["peak_bytes"])["program"] == "peak"
    page = recorder.text("report")
    assert page.startswith("family exited with status 0" if guilty == "grows" else "family replaced itself"), page


def test_launcher_never_heads_a_page(recorder):
    """Also if it held nearly as much as what it started."""
    recorder.run(tool("bash"), "-c", "perl -e 'sleep 2'; exit 0", strict=False,
                 env={"ULLAGE_SCAN": "no"})
    processes = recorder.answer("report")["processes"]
    assert [p["program"] for p in processes] == ["perl", "bash"]
    assert processes[0]["peak_bytes"] < 4 * processes[1]["peak_bytes"]
    assert recorder.text("report").startswith("perl exited")


@pytest.mark.short
def test_a_worker_that_has_done_its_work_is_not_what_the_page_is_about(recorder):
    recorder.run(tool("perl"), "-e", """
        my $n = fork; if (!$n) { my $x = "x" x (30 << 20); undef $x; exit 3 }
        waitpid $n, 0; exit 4""")
    assert len(recorder.children()) == 1
    assert recorder.text("report").startswith("perl exited with status 4 after ")


@pytest.mark.short
def test_one_process_can_be_chosen(recorder):
    recorder.run("/bin/sh", "-c", f"{program('family')} daemon; exit 0", strict=False)
    processes = recorder.answer("report")["processes"]
    for p in processes:
        choices = [p["process"], str(p["number"])] + ["sh"] * (p["program"] == "sh")
        for chosen in choices:
            report = recorder.answer("report", f"--process={chosen}")
            assert report["program"]["pid"] == p["pid"]
            assert {f["pid"] for f in report["findings"]} <= {p["pid"]}
            assert [q["process"] for q in report["processes"]] == [p["process"]]
        leaks = recorder.answer("leaks", f"--process={p['process']}")
        assert lost_of(leaks) == p["lost_bytes"]
        for verb in ("growth", "unused", "dump"):
            assert recorder.answer(verb, f"--process={p['process']}")
    dump = recorder.answer("dump", f"--process={processes[0]['process']}")
    assert dump["program"][0]["pid"] == processes[0]["pid"]
    assert recorder.answer("dump")["program"][0]["pid"] == pid_of(recorder.file)


@pytest.mark.short
@pytest.mark.parametrize("verb", ["report", "unused"])
def test_call_sites_of_all_processes_are_told(recorder, verb):
    """As each tells them if it is asked for by itself."""
    recorder.run("/bin/sh", "-c", f"{program('family')} daemon; exit 0", strict=False)
    answer = recorder.answer(verb, "--all")
    others = {p["process"]: p for p in answer["sites_of_others"]}
    processes = {p["process"] for p in answer["processes"]}
    assert len(others) == 2 and processes - set(others) == {str(pid_of(recorder.file))}
    for pid, told in others.items():
        alone = recorder.answer(verb, "--all", f"--process={pid}")
        assert alone["sites_of_others"] == []
        assert told["sites"] and told["sites"] == alone["sites"]
        assert all(told[member] == alone[member] for member in told if member not in ("process", "sites"))
    one = recorder.answer(verb, "--top=1")
    assert {len(p["sites"]) for p in one["sites_of_others"]} == {1}


@pytest.mark.short
def test_choice_of_nobody_says_who_there_is(recorder):
    recorder.run(program("family"), "daemon", strict=False)
    pids = sorted(pid_of(f) for f in recorder.recordings())
    for wrong, expected in (("nobody", "no process nobody in it"), ("99", "no process 99"),
                            ("family", "2 processes are called family")):
        r = execute([ULLAGE, "report", f"--process={wrong}", recorder.file])
        assert (r.status, r.stdout) == (1, b"")
        assert expected in r.said and len(r.said.splitlines()) == 1, r.said
        assert all(str(pid) in r.said for pid in pids), r.said
    r = execute([ULLAGE, "report", "--process=", recorder.file])
    assert r.status == 2 and "a process id or a program's name expected" in r.said


@pytest.mark.short
def test_what_was_lost_before_an_exec_is_part_of_it(recorder):
    said = recorder.run(program("family"), "exec").said
    assert re.search(r"definitely lost: 1\.0 MiB in 1,024 blocks", said), said
    first, = leaks_found(recorder)
    assert (first["blocks"], first["bytes"]) == (1024, 1 << 20)
    assert first["process"] == f"{pid_of(recorder.file)}.1" and first["program"] == "family"
    assert lost_of(recorder.answer("leaks")) == 1 << 20
    assert lost_of(recorder.answer("leaks", f"--process={pid_of(recorder.file)}")) == 0
    assert lost_of(recorder.answer("leaks", f"--process={first['process']}")) == 1 << 20


@pytest.mark.short
def test_bad_frees_of_children_are_told(recorder):
    r = recorder.run(program("family"), "wrong", "3", strict=False)
    assert re.search(r"misuse +3 blocks freed twice \(ignored\) +in 3 processes", r.said), r.said
    misuses = recorder.answer("report")["misuses"]
    assert len({m["process"] for m in misuses}) == 3
    line = marked_line("family.c", "twice")
    assert all((m["count"], m["stack"][0]["line"]) == (1, line) for m in misuses)
    page = recorder.text("report")
    assert page.count("freed twice") <= 2 and "MISUSED" in page, page


def test_growth_of_a_child_is_growth(recorder):
    recorder.run(program("family"), "grows", strict=False)
    child = pid_of(recorder.children()[0])
    growth = recorder.answer("growth")
    assert [t["process"] for t in growth["totals"]] == [p["process"] for p in growth["processes"]]
    assert growth["total"]["reason"] in [t["reason"] for t in growth["totals"]]
    assert growth["snapshots"] in [t["snapshots"] for t in growth["totals"]]
    growing = [s for s in growth["sites"] if s["verdict"] == "growing"]
    assert [s["process"] for s in growing] == [str(child)]
    assert find(growing, "remember", "family.c", marked_line("family.c", "grow"))
    assert "1 call site grows" in recorder.text("growth").splitlines()[0]


@pytest.mark.short
def test_places_are_known_without_a_recording(recorder):
    """Of children that may keep none: where they lost, and freed wrongly."""
    env = {"ULLAGE_CHILDREN_MAX": "0"}
    recorder.run(program("family"), "suite", env=env)
    assert recorder.children() == []
    line = marked_line("family.c", "lose")
    place, = recorder.answer("leaks")["folded"]
    assert (place["kind"], place["program"], place["processes"]) == ("lost", "family", 3)
    assert (place["blocks"], place["bytes"]) == (60, 60 << 10)
    frames = [(f["function"], f["line"]) for f in place["stack"]]
    assert frames[0] == ("lose", line) and [f for f, _ in frames][1:] == [
        "suite", "have_children", "main"]
    text = recorder.text("leaks")
    assert text.startswith("definitely lost: 60.0 KiB in 3 processes without a recording; "
                           f"most: lose (family.c:{line})\n"), text
    assert "60.0 KiB in 60 blocks in 3 processes of family" in text
    page = recorder.text("report")
    assert re.search(rf"1 leak   60\.0 KiB: lose \(family.c:{line}\) in 3 x family without", page)
    assert recorder.answer("report", "--process=family")["folded"] == []

    recorder.run(program("family"), "wrong", "3", env=env)
    line = marked_line("family.c", "twice")
    place, = recorder.answer("report")["folded"]
    assert (place["kind"], place["processes"], place["blocks"]) == ("freed twice", 3, 3)
    assert (place["stack"][0]["function"], place["stack"][0]["line"]) == ("free_twice", line)
    page = " ".join(recorder.text("report").split())
    assert re.search(rf"3 blocks freed twice .* in 3 x family without a recording: "
                     rf"free_twice \(fam", page), page
    assert page.count("MISUSED") == 1


@pytest.mark.short
def test_lines_that_are_no_places_are_no_harm(recorder):
    recorder.run(program("family"), "suite", env={"ULLAGE_CHILDREN_MAX": "0"})
    lines = recorder.file.with_name("recording.children")
    good = lines.read_bytes()
    for stack in (b"", b"\t", b"\t+", b"\t@+", b"\t@+1", b"\t+18446744073709551616", b"\t/\xff@zz+7",
                  b"\t/etc/passwd@00+7\t+8", b"\t/dev/zero@00+1", b"\t/x@" + b"0" * 5000 + b"+1",
                  b"\t+1" * 5000, b"\t/a@0+-1", b"\n"):
        for kind in (b"lost\t0", b"freed\t0", b"freed\t99999999999", b"freed\t-1"):
            lines.write_bytes(good + b"1\t1\t" + kind + b"\t0\t1\t0\t5\tp" + stack + b"\n")
            for verb in ("leaks", "report"):
                assert recorder.text(verb, "--all")
                assert recorder.answer(verb)


@pytest.mark.short
def test_damaged_recording_of_a_child_is_no_end(tmp_path):
    # Wherever it lies, the reason is not what a narrow page cuts away.
    directory = tmp_path / "deep" / ("x" * 100)
    directory.mkdir(parents=True)
    recorder = Recorder(directory)
    recorder.run(program("family"), "daemon", strict=False)
    child, = recorder.children()
    child.write_bytes(child.read_bytes()[:5000])
    for verb in ("report", "growth", "leaks", "unused"):
        text = recorder.text(verb)
        assert re.search(rf"not read: {child.name}: [\w ]{{8}}", text), text
    assert recorder.answer("report")["tree"]["unread"] == [str(child)]


@pytest.mark.short
def test_sums_of_the_tree_are_those_of_its_processes(recorder):
    recorder.run("/bin/sh", "-c", f"{program('family')} daemon; {program('family')} suite; exit 0",
                 strict=False)
    report = recorder.answer("report", "--all")
    tree, processes = report["tree"], report["processes"]
    assert tree["recordings"] == len(processes) == len(recorder.recordings())
    for what in ("live_bytes", "live_blocks", "allocated_bytes", "frees"):
        assert tree[what] == sum(p[what] for p in processes), what
    folded = report["children"]
    assert tree["allocations"] == (sum(p["allocations"] for p in processes)
                                   + folded["folded_allocations"])
    assert tree["lost_bytes"] == (sum(p["lost_bytes"] for p in processes)
                                  + folded["folded_lost_bytes"])
    for p in processes:
        heap = recorder.answer("report", f"--process={p['process']}")["heap"]
        assert {k: heap[k] for k in ("live_bytes", "live_blocks", "allocations", "frees")} == {
            k: p[k] for k in ("live_bytes", "live_blocks", "allocations", "frees")}


@pytest.mark.short
def test_newest_recording_is_found_whatever_its_name(recorder):
    """Not its children's, nor earlier ones of the name."""
    here = recorder.directory
    (here / "a note").write_text("no recording")
    for name in ("ullage.first.1", "second.ull"):
        for _ in range(2):
            execute([ULLAGE, "run", "-q", "-o", name, "--", program("family"), "daemon"], cwd=here)
    r = execute([ULLAGE, "report"], cwd=here)
    assert r.status == 0
    assert "reading second.ull, the newest of 2 recordings here" in r.said, r.said
    for path in here.glob("second.ull*"):
        path.unlink()
    r = execute([ULLAGE, "leaks"], cwd=here)
    assert r.status == 0 and "reading ullage.first.1" in r.said, r.said
    empty = here / "empty"
    empty.mkdir()
    r = execute([ULLAGE, "report"], cwd=empty)
    assert r.status == 2 and "which recording? There is none here" in r.said, r.said


@pytest.mark.short
@pytest.mark.parametrize("argv", ["family daemon", "family exec", "heirs work 2", "leaks",
                                  "causes growing"])
def test_findings_and_the_rest_are_all_that_lives(recorder, argv):
    name, *arguments = argv.split()
    recorder.run(program(name), *arguments)
    check_sums(recorder)


# ---- work ----------------------------------------------------------------------------


@pytest.mark.short
def test_symbol_files_are_opened_once_for_all(recorder):
    """Of the program and of its library, whatever the number of its processes."""
    strace = tool("strace")
    recorder.run(program("family"), "many", "30", strict=False)
    assert len(recorder.children()) == 30
    r = execute([strace, "-f", "-e", "trace=openat", ULLAGE, "report", recorder.file])
    if r.status:
        pytest.skip("strace may not trace here")
    opened = re.findall(r'openat\([^"]*"([^"]+)".* = \d', r.all_stderr.decode())
    assert opened.count(program("family")) == 1
    libraries = [path for path in opened if "/libc.so" in path]
    assert 1 <= len(libraries) <= 2, libraries  # ullage is loaded with it, too
