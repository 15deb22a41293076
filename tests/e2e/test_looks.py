"""Two looks at a program compared."""

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness import (BUILD, PRELOAD, ROOT, SOURCES, ULLAGE, check_recording,
                     clean_environment, execute, program, tool)
from schema import Schema

pytestmark = pytest.mark.short
SCHEMA = Schema()


def record(to, binary, requests, env=None):
    to.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{n}\n" for n in requests)
    r = execute([ULLAGE, "run", "-q", "-o", to, "--", binary], stdin=lines.encode(), env=env)
    assert r.stdout == b"done\n" * len(requests), r.all_stderr
    return to


def diff(before, after, *options, status=0):
    r = execute([ULLAGE, "diff", "--json", *options, before, after])
    assert r.status == status, (r.status, r.all_stderr)
    return json.loads(r.stdout)


def diff_text(before, after, *options):
    r = execute([ULLAGE, "diff", *options, before, after])
    assert r.status == 0 and r.stderr == b"", (r.status, r.all_stderr)
    text = r.text()
    lines = text.splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 100
    assert [line for line in lines if line != line.rstrip()] == []
    return text


def refused(*argv, status=1):
    """The one line that is said."""
    r = execute([ULLAGE, *argv])
    assert r.status == status and r.stdout == b"" and r.stderr == b"", r.all_stderr
    line, = r.said.splitlines()
    return line


def build(directory, *options, name="looks"):
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([tool("gcc"), "-w", *options, "-o", directory / name,
                    SOURCES / "looks.c"], check=True)
    return directory / name


def told(changes):
    return [(c["kind"], c["state"], (c["frame"] or {}).get("function"),
             c["before_bytes"], c["after_bytes"], c["before_blocks"], c["after_blocks"])
            for c in changes]


# ---- two recordings ------------------------------------------------------------------


def test_a_recording_and_itself_are_the_same(tmp_path):
    recording = record(tmp_path / "r", program("looks"), [1000])
    same = diff(recording, recording)
    assert not any(same[part] for part in
                   ("changes", "functions", "peak_changes", "peak_functions"))
    assert same["before"] == same["after"] and same["same_build"] and same["leaks_known"]
    assert "Nothing has changed." in diff_text(recording, recording)


@pytest.mark.parametrize("before, after", [
    (["-O0"], ["-O0"]), (["-O0", "-g"], ["-O2"]), (["-O2", "-g"], ["-O0", "-no-pie"]),
    (["-O2"], ["-O3", "-no-pie"]), (["-Os"], ["-O3", "-g"])])
def test_of_two_builds_only_the_planted_change_differs(tmp_path, before, after):
    """Other addresses, another optimization, with and without debug information: 100 blocks
    of 200 bytes are lost in the second one, or only in the first."""
    x = record(tmp_path / "x", build(tmp_path / "a", *before), [1000])
    y = record(tmp_path / "y", build(tmp_path / "b", "-DPLANTED=1", *after), [1000])
    seen = diff(x, y)
    assert told(seen["changes"]) == [("leak", "new", "lose", 0, 20000, 0, 100)]
    assert not seen["same_build"]
    assert {f["frame"]["function"] for f in seen["functions"]} <= {"lose", "request"}
    assert seen["functions"][0]["frame"]["function"] == "lose"
    assert told(diff(y, x)["changes"]) == [("leak", "gone", "lose", 20000, 0, 100, 0)]
    text = diff_text(x, y)
    assert "1 leak   new    +19.5 KiB: lose" in text


def test_a_build_that_was_replaced_is_said_and_may_lie_elsewhere(tmp_path):
    """`make` in the place of the build that was recorded: its names are gone with it, and no
    function is said to be new for that. They are found where a copy is kept."""
    x = record(tmp_path / "x", build(tmp_path / "a", "-O0"), [1000])
    old = tmp_path / "old" / str(tmp_path / "a" / "looks")[1:]
    old.parent.mkdir(parents=True)
    shutil.copyfile(tmp_path / "a" / "looks", old)
    y = record(tmp_path / "y", build(tmp_path / "a", "-DPLANTED=1", "-O2"), [1000])
    for looks, side in ((x, y), "before"), ((y, x), "after"):
        blind = diff(*looks)
        assert not blind["functions"] and blind[side]["nameless"] == [str(tmp_path / "a/looks")]
        line = "without names: looks (gone, or changed since; --sysroot=DIR looks elsewhere)"
        assert diff_text(*looks).count(line) == 1
    seen = diff(x, y, f"--sysroot={tmp_path / 'old'}")
    assert told(seen["changes"]) == [("leak", "new", "lose", 0, 20000, 0, 100)]
    assert {f["frame"]["function"] for f in seen["functions"]} <= {"lose", "request"}
    assert seen["before"]["nameless"] == seen["after"]["nameless"] == []


def test_the_same_builds_are_the_same_whatever_the_optimization(tmp_path):
    looks = [record(tmp_path / f"r{i}", build(tmp_path / str(i), *options), [500, 500])
             for i, options in enumerate((["-O0"], ["-O2", "-g"], ["-O3"]))]
    for x in looks:
        for y in looks:
            seen = diff(x, y)
            assert not seen["changes"] and not seen["functions"], (x, y)


def test_of_trees_of_processes_the_same_programs_are_compared(tmp_path):
    looks = []
    for name, n in ("x", 1000), ("y", 3000):
        r = execute([ULLAGE, "run", "-q", "-o", tmp_path / name, "--", "sh", "-c",
                     f"echo {n} | {program('looks')}; true"], env={"ULLAGE_KEEP": "all"})
        assert r.stdout == b"done\n", r.all_stderr
        looks.append(tmp_path / name)
    seen = diff(*looks, "--process", "looks")
    assert [c["frame"]["function"] for c in seen["changes"]] == ["item_new"]
    both = diff(*looks)
    assert os.path.basename(both["before"]["path"]) == os.path.basename(both["after"]["path"])
    assert "--process chooses another" in diff_text(*looks)
    assert "no process nobody" in refused("diff", *looks, "--process", "nobody")


def test_more_work_is_growth_of_what_it_keeps(tmp_path):
    x = record(tmp_path / "x", program("looks"), [1000])
    y = record(tmp_path / "y", program("looks"), [3000])
    change, = diff(x, y)["changes"]
    assert change["frame"]["function"] == "item_new"
    assert (change["state"], change["before_blocks"], change["after_blocks"]) == (
        "grown", 500, 1500)
    assert change["after_bytes"] == 3 * change["before_bytes"] == 1500 * 112
    back, = diff(y, x)["changes"]
    assert back["state"] == "shrunk" and back["fingerprint"] == change["fingerprint"]
    assert "+109.4 KiB: item_new" in diff_text(x, y) and "(+200 %)" in diff_text(x, y)
    functions = {f["frame"]["function"]: f["after_bytes"] - f["before_bytes"]
                 for f in diff(x, y)["functions"]}
    assert functions == dict.fromkeys(("item_new", "cache_insert", "request"), 112000)


def test_two_copies_of_a_live_one(tmp_path):
    file = tmp_path / "r"
    p = subprocess.Popen([ULLAGE, "run", "-q", "-o", file, "--", program("looks")],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         env=clean_environment())
    try:
        for n, copy in (200, "first"), (400, "second"):
            p.stdin.write(b"%d\n" % n)
            p.stdin.flush()
            assert p.stdout.readline() == b"done\n"
            shutil.copyfile(file, tmp_path / copy)
        for after in tmp_path / "second", file:
            seen = diff(tmp_path / "first", after)
            assert [(c["frame"]["function"], c["before_blocks"], c["after_blocks"])
                    for c in seen["changes"]] == [("item_new", 100, 300)]
            assert not seen["leaks_known"]
            assert "What is lost is not known" in diff_text(tmp_path / "first", after)
    finally:
        p.stdin.close()
        assert p.wait(60) == 0


@pytest.mark.short
def test_a_process_that_runs_is_named_by_its_id(server):
    server.serve(400)
    for verb in "report", "leaks", "dump":
        by_id = execute([ULLAGE, verb, server.pid])
        assert by_id.status == 0 and by_id.all_stderr == b"", by_id.all_stderr
        assert f"process      {server.pid}" in by_id.text() or verb != "report"
    mark(str(server.pid), "few")
    server.serve(400)
    few, now = f"{server.pid}@few", str(server.pid)
    assert [c["frame"]["function"] for c in diff(few, now)["changes"]] == ["item_new"]
    assert diff(now, server.file)["changes"] == []
    dead = subprocess.Popen(["true"])
    dead.wait()
    assert f"there is no process {dead.pid}" in refused("report", str(dead.pid))
    assert "does not run under ullage" in refused("growth", str(os.getpid()))


@pytest.mark.short
def test_a_copy_of_a_live_one_is_of_when_it_was_made(server, tmp_path):
    """By cp: what the process is and does since is not the copy's."""
    server.serve(400)
    shutil.copyfile(server.file, tmp_path / "copy")
    maps = open(f"/proc/{server.pid}/maps", encoding="ascii").read()
    st = os.stat(server.file)
    device = f"{os.major(st.st_dev):02x}:{os.minor(st.st_dev):02x} {st.st_ino} "
    if device not in maps:
        pytest.skip("mappings have other numbers than files here")
    time.sleep(1)
    server.serve(4000)
    seen = diff(tmp_path / "copy", server.file)
    assert seen["before"]["seconds"] < seen["after"]["seconds"] - 0.9
    line = execute([ULLAGE, "report", tmp_path / "copy"]).text().splitlines()[0]
    assert "was running when this copy was made after" in line
    report = json.loads(execute([ULLAGE, "report", "--json", tmp_path / "copy"]).stdout)
    assert report["program"]["exit"]["kind"] == "running"
    assert f"a copy, which its process does not write to; mark process {server.pid}" in refused(
        "mark", tmp_path / "copy", "x")
    check_recording(tmp_path / "copy")


@pytest.mark.short
@pytest.mark.parametrize("how", ["ended", "killed", "unseen"])
def test_a_copy_is_one_after_its_process_has_ended_too(server, tmp_path, how):
    """By cp: as long as the original lies beside it, and has gone on."""
    server.serve(400)
    elsewhere = tmp_path / "elsewhere" / "copy"
    elsewhere.parent.mkdir()
    for path in tmp_path / "copy", elsewhere:
        shutil.copyfile(server.file, path)
    server.serve(4000)
    shutil.copyfile(server.file, tmp_path / "later")
    if how == "ended":
        server.end()
    else:
        if how == "unseen":
            server.p.kill()
            server.p.wait(60)
        os.kill(server.pid, signal.SIGKILL)
        server.p.wait(60)

    def first_line(path):
        return execute([ULLAGE, "report", path]).text().splitlines()[0]

    assert "was running when this copy was made after" in first_line(tmp_path / "copy")
    assert ("copy was made" in first_line(tmp_path / "later")) == (how != "unseen")
    for path in elsewhere, server.file:
        assert "copy was made" not in first_line(path)
    check_recording(tmp_path / "copy")


def says_one_peak(file):
    """The page's first line, its chart, and what is told of the peak by name."""
    page = execute([ULLAGE, "report", file], env=dict(os.environ, COLUMNS="100")).text()
    live, peak = re.search(r": (.*) live, (.*) at the peak$", page, re.M).groups()
    assert live == peak
    assert re.search(f"MEMORY OVER TIME .* peak of {peak} at", page), page
    bottom, = re.findall(r"\|(.*)\n +0 \+", page)
    top = re.search(r"MEMORY OVER TIME.*\n.*\|(.*)", page).group(1)
    assert top.rstrip("^").strip(" .") == "" and top.endswith("^"), page
    assert len(bottom.rstrip()) == len(top), page
    back = execute([ULLAGE, "report", "--at=peak", file]).text().splitlines()[0]
    seen = re.search(r": (.*) live in", back).group(1)
    assert seen == peak or f", nearest to the peak of {peak}: " in back, back


def test_what_no_snapshot_has_seen_is_in_the_chart(server):
    for _ in range(4):
        server.serve(2000)
        time.sleep(0.02)
    server.serve(1000)
    says_one_peak(server.file)
    os.kill(server.pid, signal.SIGKILL)
    server.p.wait(60)
    says_one_peak(server.file)


# ---- moments -------------------------------------------------------------------------


def test_a_moment_is_that_of_its_snapshot(tmp_path):
    """Times that snapshots have; and the nearest, for one between them."""
    file = record(tmp_path / "r", program("looks"), [30000] * 20,
                  env={"ULLAGE_SNAPSHOT_MS": "1"})
    r = execute([ULLAGE, "growth", "--json", file])
    snapshots = [s for s in json.loads(r.stdout)["snapshots"] if s["live_bytes"]]
    for s in snapshots[len(snapshots) // 2], snapshots[-1]:
        seen = diff(f"{file}@{s['seconds']}s", file)
        assert seen["before"]["seconds"] == s["seconds"]
        assert seen["before"]["lost_bytes"] is None and not seen["leaks_known"]
        same = [t for t in snapshots if t["seconds"] == s["seconds"]]
        assert seen["before"]["live_bytes"] in [t["live_bytes"] for t in same]
    assert diff(f"{file}@0", f"{file}@0ms")["changes"] == []
    text = diff_text(f"{file}@0", file)
    assert "A moment knows what lives: of leaks and of unused memory it knows nothing" in text
    change = diff(f"{file}@0", file)["changes"][0]
    assert change["frame"]["function"] == "item_new" and change["state"] in ("new", "grown")
    assert change["after_blocks"] == 300000


# ---- marks ---------------------------------------------------------------------------


def marks(recorder, *arguments, **more):
    r = recorder.run(program("marks"), *arguments, **more)
    assert r.status == 0, r.all_stderr
    return r.text().split()


def live_at(file, moment):
    look = diff(f"{file}@{moment}", file)["before"]
    return look["live_bytes"], look["live_blocks"]


def test_a_program_marks_what_it_does(recorder):
    """100 blocks of 1000 bytes, 50 more of 500, the first ones less; and libc's buffer."""
    assert marks(recorder) == ["1", "1", "1", "0", "0", "0"]
    (a, n), (b, m), (c, k) = (live_at(recorder.file, name)
                              for name in ("loaded", "served", "at last"))
    buffer = b - a - 25000
    assert 0 < buffer < 10000 and (b - c, m - k, m - n) == (100000, 100, 51)
    assert recorder.answer("report")["fallbacks"]["MARK_LOST"] == 3
    seen = diff(f"{recorder.file}@loaded", f"{recorder.file}@served")
    serve = next(c for c in seen["changes"] if c["frame"]["function"] == "serve")
    assert told([serve]) == [("live", "new", "serve", 0, 25000, 0, 50)]
    gone = diff(f"{recorder.file}@served", f"{recorder.file}@at last")["changes"]
    assert told(gone) == [("live", "gone", "load", 100000, 0, 100, 0)]
    named = [s["mark"] for s in recorder.answer("growth")["snapshots"] if s["kind"] == "mark"]
    assert named == ["loaded", "served", "at last"]
    assert "no mark is called 'later'" in refused("diff", f"{recorder.file}@later", recorder.file)
    assert "there are: " in refused("diff", f"{recorder.file}@later", recorder.file)


def test_there_are_as_many_marks_as_names(recorder):
    said = marks(recorder, "200")
    assert said[3:-3] == ["1"] * 29 + ["0"] * 171
    assert live_at(recorder.file, "more 28") and live_at(recorder.file, "loaded")
    assert recorder.answer("report")["fallbacks"]["MARK_LOST"] == 174


@pytest.mark.parametrize("children", ["yes", "no"])
def test_a_forked_child_marks_in_a_recording_of_its_own(recorder, tmp_path, children):
    source = tmp_path / "fork.c"
    source.write_text("""
        #include <stdlib.h>
        #include <sys/wait.h>
        #include <ullage.h>
        #include <unistd.h>
        void *volatile kept[10];
        int main(void) {
          if (!ullage_mark("parent") || fork()) return wait(NULL), 0;
          for (int i = 0; i < 10; i++) kept[i] = malloc(30000);
          _exit(ullage_mark("child"));
        }""")
    subprocess.run([tool("gcc"), "-g", f"-I{ROOT / 'preload'}", "-o", tmp_path / "fork", source],
                   check=True)
    recorder.run(tmp_path / "fork", options=["--children=" + children])
    assert live_at(recorder.file, "parent")
    assert len(recorder.children()) == (children == "yes")
    for child in recorder.children():
        assert live_at(child, "child") == (300000, 10)
        assert "there are: child" in refused("diff", f"{child}@parent", child)


@pytest.mark.parametrize("options", [
    ["gcc", "-std=c99", "-pedantic"], ["gcc", "-no-pie", "-O2", "-Wdeclaration-after-statement"],
    ["g++", "-std=c++11", "-O1"], ["clang", "-O2"],
    ["clang++", "-std=c++17", "-Wold-style-cast", "-Wzero-as-null-pointer-constant"]])
def test_the_header_needs_nothing_linked(recorder, tmp_path, options):
    """As installed: with the flags that pkg-config says, and without ullage it does nothing."""
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir",
                    tmp_path / "root"], check=True, stdout=subprocess.DEVNULL)
    pc, = (tmp_path / "root").rglob("ullage.pc")
    header, = (tmp_path / "root").rglob("ullage.h")
    flags = subprocess.run(
        [tool("pkg-config"), "--cflags", "--libs", "ullage"], text=True, check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PKG_CONFIG_PATH": pc.parent,
             "PKG_CONFIG_SYSROOT_DIR": tmp_path / "root"}).stdout.split()
    source = tmp_path / ("p.cc" if options[0].endswith("++") else "p.c")
    source.write_text("#include <ullage.h>\n#include <stdio.h>\n"
                      "int main(void) { printf(\"%d\\n\", ullage_mark(\"here\")); return 0; }\n")
    compiler, *others = options
    subprocess.run([tool(compiler), "-Wall", "-Wextra", "-Werror", *others, "-o",
                    tmp_path / "p", source, f"-I{header.parent}", *flags], check=True)
    needs = subprocess.run(["ldd", tmp_path / "p"], text=True, stdout=subprocess.PIPE).stdout
    assert "ullage" not in needs
    assert execute([tmp_path / "p"]).text() == "0\n"
    assert recorder.run(tmp_path / "p").text() == "1\n"
    assert execute([tmp_path / "p"], env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_RECORD": "no"}
                   ).text() == "0\n"


# ---- a moment by itself ------------------------------------------------------------------


def test_report_of_a_moment(recorder):
    marks(recorder)
    at = recorder.answer("report", "--at", "served")
    assert list(SCHEMA.of_value(SCHEMA.names["MOMENT"], at, "report --at")) == []
    assert at["moment"]["name"] == "served" and at["moment"]["untold_bytes"] == 0
    held = {s["stack"][0]["function"]: (s["bytes"], s["blocks"]) for s in at["sites"]}
    assert held.pop("load") == (100000, 100) and held.pop("serve") == (25000, 50)
    assert sum(s["bytes"] for s in at["sites"]) == at["moment"]["live_bytes"]
    assert recorder.answer("report", file=f"{recorder.file}@served") == at
    for options, what in (([], "97.7 KiB"), (["--all"], "by call site"), (["--bytes"], "100,000")):
        text = recorder.text("report", "--at=served", *options)
        assert "served: 1" in text and what in text and "load (marks.c" in text
        assert "of leaks and of unused memory it knows nothing" in text
        assert max(map(len, text.splitlines())) <= 100 or options == ["--all"]
    assert "outside of the run" in refused("report", "--at=5h", recorder.file)
    assert "no mark is called 'x'" in refused("report", "--at=x", recorder.file)
    assert "a time or mark expected" in refused("report", "--at=", recorder.file, status=2)
    assert "--at is an option of 'ullage report'" in refused("growth", "--at=1s", recorder.file,
                                                             status=2)


def test_report_of_a_copy_is_a_report(server):
    server.serve(200)
    mark(server.file, "now")
    server.serve(200)
    report = json.loads(execute([ULLAGE, "report", "--json", "--at=now", server.file]).stdout)
    assert SCHEMA.problems("report", report) == []
    assert report["program"]["pid"] == server.pid
    assert report["heap"]["live_blocks"] + 100 == json.loads(
        execute([ULLAGE, "report", "--json", server.file]).stdout)["heap"]["live_blocks"]


def test_growth_since_a_moment(recorder):
    """The measurements begin there."""
    record(recorder.file, program("looks"), [20000] * 10, env={"ULLAGE_SNAPSHOT_MS": "1"})
    whole = recorder.answer("growth")
    middle = whole["snapshots"][len(whole["snapshots"]) // 2]["seconds"]
    since = recorder.answer("growth", f"--since={middle}s")
    assert SCHEMA.problems("growth", since) == []
    assert since["since_seconds"] == middle and whole["since_seconds"] is None
    grew = {s["stack"][0]["function"]: s["first_bytes"] for s in since["sites"]}
    before = {s["stack"][0]["function"]: s["first_bytes"] for s in whole["sites"]}
    assert grew["item_new"] > before["item_new"]
    assert f"As if the run had begun at {middle * 1000:.0f} ms." in recorder.text(
        "growth", f"--since={middle}s") or middle >= 1
    nothing = recorder.answer("growth", "--since=0")
    assert nothing["sites"] == whole["sites"]
    assert "outside of the run" in refused("growth", "--since=5h", recorder.file)
    assert "no mark is called 'x'" in refused("growth", "--since=x", recorder.file)


@pytest.mark.short
@pytest.mark.parametrize("ticks", [0, 5])
def test_a_mark_of_many_stacks_is_there_when_the_call_returns(recorder, ticks):
    """Though the program is killed; a later peak does not take its place."""
    stacks = 40_000
    r = recorder.run(program("sites"), str(stacks), str(stacks), "100", "many", str(ticks))
    assert r.status == -signal.SIGKILL
    check_recording(recorder.file)
    at = diff(f"{recorder.file}@many", recorder.file)["before"]
    assert at["moment"] == "many" and at["live_blocks"] == stacks + 1


def test_marks_of_many_stacks_may_follow_each_other(recorder):
    recorder.run(program("sites"), "40000", "40000", "100", "many", "-1")
    for name in ("many", "next"):
        at = diff(f"{recorder.file}@{name}", recorder.file)["before"]
        assert at["moment"] == name and at["live_blocks"] == 40_001
    check_recording(recorder.file)


# ---- marks from outside ----------------------------------------------------------------


class Server:
    """`looks` under ullage: serves what it is asked for, and then waits."""

    def __init__(self, file):
        self.file = file
        self.p = subprocess.Popen([ULLAGE, "run", "-q", "-o", file, "--", program("looks")],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  env=clean_environment())
        self.serve(0)
        self.pid = json.loads(execute([ULLAGE, "report", "--json", file]).stdout)["program"]["pid"]

    def ask(self, n):
        self.p.stdin.write(b"%d\n" % n)
        self.p.stdin.flush()

    def serve(self, n):
        self.ask(n)
        assert self.p.stdout.readline() == b"done\n"

    def end(self):
        self.p.stdin.close()
        assert self.p.wait(60) == 0


@pytest.fixture
def server(tmp_path):
    s = Server(tmp_path / "r")
    yield s
    if s.p.poll() is None:
        os.kill(s.pid, signal.SIGKILL)
        s.p.wait(60)


def mark(what, name):
    r = execute([ULLAGE, "mark", what, name])
    assert r.status == 0 and r.stdout == b"", r.all_stderr
    line, = r.said.splitlines()
    return line


def test_of_one_that_idles_the_recording_is_copied(server, tmp_path):
    server.serve(200)
    line = mark(server.file, "few")
    assert f"the process allocates nothing: its recording is copied to {server.file}@few (" in line
    server.serve(400)
    mark(str(server.pid), "many")
    os.kill(server.pid, signal.SIGSTOP)
    mark(server.file, "stopped")
    os.kill(server.pid, signal.SIGCONT)
    few, many, stopped = (f"{server.file}@{name}" for name in ("few", "many", "stopped"))
    assert [(c["frame"]["function"], c["before_blocks"], c["after_blocks"])
            for c in diff(few, many)["changes"]] == [("item_new", 100, 300)]
    assert diff(many, stopped)["changes"] == []
    look = diff(few, many)["before"]
    assert look["seconds"] < diff(few, many)["after"]["seconds"] and look["lost_bytes"] is None
    report = json.loads(execute([ULLAGE, "report", "--json", few]).stdout)
    assert report["program"]["exit"]["kind"] == "running" and report["unsettled"] == 0
    check_recording(few)
    assert os.path.getsize(few) < os.path.getsize(server.file)
    assert os.stat(few).st_mode == os.stat(server.file).st_mode
    server.serve(10)
    mark(server.file, "few")
    assert diff(few, many)["changes"][0]["before_blocks"] == 305
    server.end()
    line = refused("diff", f"{server.file}@none", server.file)
    assert "no mark is called 'none'" in line and "few" in line and "stopped" in line
    record(server.file, program("looks"), [1])
    assert diff(f"{server.file}.old@many", f"{server.file}.old@few")["changes"]
    assert not os.path.exists(few)


def test_one_with_many_stacks_answers_when_its_mark_is_made(tmp_path):
    file = tmp_path / "r"
    p = subprocess.Popen([ULLAGE, "run", "-q", "-o", file, "--", program("sites"), "40000",
                          "40000", "100", "first", "6000"], env=clean_environment())
    try:
        while not is_marked(file, "first"):
            assert p.poll() is None
            time.sleep(0.1)
        while "marked: see" not in mark(file, "asked"):
            pass
        assert is_marked(file, "asked")
    finally:
        pid = json.loads(execute([ULLAGE, "report", "--json", file]).stdout)["program"]["pid"]
        os.kill(pid, signal.SIGKILL)
        p.wait(60)
    assert diff(f"{file}@asked", file)["before"]["live_blocks"] in (40_001, 40_002)
    check_recording(file)


def is_marked(file, name):
    return execute([ULLAGE, "diff", f"{file}@{name}", file]).status == 0


def test_one_that_allocates_marks_itself(server):
    """As soon as it looks, which a loaded machine may delay for long: then it is asked again."""
    server.serve(1000)
    server.ask(-1)
    for _ in range(50):
        if "marked: see" in mark(str(server.pid), "busy"):
            break
    else:
        raise AssertionError("it never answered")
    assert not os.path.exists(f"{server.file}@busy")
    os.kill(server.pid, signal.SIGKILL)
    server.p.wait(60)
    at = diff(f"{server.file}@busy", server.file)
    assert at["before"]["moment"] == "busy"
    assert abs(at["before"]["live_blocks"] - at["after"]["live_blocks"]) <= 1  # a reply's
    check_recording(server.file)
    assert "does not run any more" in refused("mark", server.file, "later")


def test_what_cannot_be_marked_is_said_in_a_line(server, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    assert f"there is no process {dead.pid}" in refused("mark", str(dead.pid), "x")
    other = subprocess.Popen(["sleep", "60"], env=clean_environment())
    try:
        assert "does not run under ullage" in refused("mark", str(other.pid), "x")
    finally:
        other.kill()
        other.wait()
    for none in tmp_path / "none", tmp_path / "none" / "r", 99999999999999:
        assert "no such file (a process is named by its id" in refused("mark", none, "x")
    assert "is a directory, not a recording" in refused("mark", tmp_path, "x")
    (tmp_path / "empty").touch()
    assert "not a recording" in refused("mark", tmp_path / "empty", "x")
    (tmp_path / "text").write_text("no recording" * 9000)
    assert "not a recording" in refused("mark", tmp_path / "text", "x")
    for name in "a/b", "a@b", "", "x" * 56, "a\nb":
        assert "a name of at most 55 bytes" in refused("mark", server.file, name, status=2)
    assert "a name expected" in refused("mark", server.file, status=2)
    assert "unknown option --now" in refused("mark", "--now", server.file, "x", status=2)
    (tmp_path / "r@mine").write_text("precious")
    assert "no recording; take another name" in refused("mark", server.file, "mine")
    assert (tmp_path / "r@mine").read_text() == "precious"
    os.rename(server.file, tmp_path / "elsewhere")
    mark(tmp_path / "elsewhere", "renamed")
    assert diff(tmp_path / "elsewhere@renamed", tmp_path / "elsewhere")["changes"] == []
    os.unlink(tmp_path / "elsewhere")
    os.unlink(tmp_path / "elsewhere@renamed")
    assert "its file was removed" in refused("mark", str(server.pid), "x")


def test_the_program_notices_nothing(tmp_path):
    """No signal, descriptor or thread: it does what it does without ullage."""
    source = tmp_path / "p.c"
    source.write_text("""
        #include <dirent.h>
        #include <stdio.h>
        #include <stdlib.h>
        static int entries(const char *name) {
          DIR *d = opendir(name);
          int n = 0;
          while (d && readdir(d)) n++;
          closedir(d);
          return n;
        }
        int main(void) {
          char line[20];
          setvbuf(stdout, NULL, _IONBF, 0);
          while (fgets(line, sizeof line, stdin)) {
            free(malloc(100));
            printf("%d %d\\n", entries("/proc/self/fd"), entries("/proc/self/task"));
          }
        }""")
    subprocess.run([tool("gcc"), "-o", tmp_path / "p", source], check=True)
    p = subprocess.Popen([ULLAGE, "run", "-q", "-o", tmp_path / "r", "--", tmp_path / "p"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         env=clean_environment())
    said = []
    for i in range(4):
        p.stdin.write("\n")
        p.stdin.flush()
        said.append(p.stdout.readline())
        mark(tmp_path / "r", f"mark {i}")
    p.stdin.close()
    assert p.wait(60) == 0 and len(set(said)) == 1


# ---- daemons that others start -----------------------------------------------------------


class Supervisor:
    """What init does: root, with no environment but what a file says, gives up its rights and
    starts a program; again, when that ends."""

    def __init__(self, directory, user, *argv):
        self.directory, self.argv = directory, [str(a) for a in argv]
        self.user = pwd.getpwnam(user) if user else None
        self.environment = dict(line.split("=", 1)
                                for line in (directory / "ullage.env").read_text().splitlines())
        self.start()

    def give_up(self):
        if self.user:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        os.umask(0o007)

    def start(self):
        self.p = subprocess.Popen(self.argv, cwd="/", env=self.environment, close_fds=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  start_new_session=True, preexec_fn=self.give_up)

    def stop(self):
        self.p.terminate()
        self.p.wait(60)


@pytest.fixture
def installed():
    """A directory that all may read, with ullage as it is installed; and rec/ for recordings."""
    if os.getuid() != 0:
        pytest.skip("needs root, to give it up")
    directory = Path(tempfile.mkdtemp(prefix="ullage-", dir="/var/tmp"))
    for name, file in ("bin", ULLAGE), ("lib/ullage", PRELOAD):
        (directory / name).mkdir(parents=True)
        shutil.copy(file, directory / name)
    (directory / "rec").mkdir()
    directory.chmod(0o755)
    variables = execute([directory / "bin" / "ullage", "env", "-o", directory / "rec" / "%n.%p"])
    assert variables.status == 0 and not variables.stderr
    assert f"LD_PRELOAD={directory}/lib/ullage/libullage.so\n" in variables.text()
    (directory / "ullage.env").write_bytes(variables.stdout)
    yield directory
    shutil.rmtree(directory)


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not come about"
        time.sleep(0.05)


def test_a_daemon_that_init_starts_is_looked_at_twice(installed):
    """redis as its own user."""
    server, client, user = tool("redis-server"), tool("redis-cli"), "redis"
    try:
        pwd.getpwnam(user)
    except KeyError:
        pytest.skip("there is no user redis")
    shutil.chown(installed / "rec", user)
    (installed / "run").mkdir()
    shutil.chown(installed / "run", user)
    place = installed / "run" / "s"
    s = Supervisor(installed, user, server, "--port", "0", "--unixsocket", place, "--save", "",
                   "--dir", installed / "run")

    def ask(*words):
        r = subprocess.run([client, "-s", place, *words], text=True, timeout=60,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return r.stdout.strip()

    def fill(first, last):
        assert ask("eval", "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do "
                   "redis.call('set', 'k' .. i, string.rep('x', 1000)) end", "0",
                   str(first), str(last)) == ""

    try:
        wait_until(lambda: ask("ping") == "PONG")
        fill(1, 1000)
        mark(str(s.p.pid), "thousand")
        fill(1001, 3000)
        mark(str(s.p.pid), "three")
        file, = [f for f in (installed / "rec").iterdir() if f.name.endswith(f".{s.p.pid}")]
        assert file.stat().st_uid == s.user.pw_uid
        seen = diff(f"{file}@thousand", f"{file}@three")
        most = seen["changes"][0]
        assert most["state"] == "grown" and "redis" in most["frame"]["module"]
        assert not [c for c in seen["changes"] if c["state"] in ("gone", "shrunk")
                    and c["before_bytes"] - c["after_bytes"] > 100_000]
        assert most["after_blocks"] - most["before_blocks"] >= 2000
        assert seen["before"]["live_bytes"] + 1_500_000 < seen["after"]["live_bytes"]
        s.stop()
        assert json.loads(execute([ULLAGE, "report", "--json", file]).stdout)[
            "program"]["exit"] == {"kind": "exited", "status": 0}
        s.start()
        wait_until(lambda: ask("ping") == "PONG")
        again, = [f for f in (installed / "rec").iterdir() if f.name.endswith(f".{s.p.pid}")]
        assert again != file
        assert diff(again, f"{file}@three")["before"]["live_bytes"] < 2_000_000
    finally:
        s.stop()


def test_a_worker_that_gives_up_root_is_looked_at_twice(installed):
    """nginx: its master stays root, its worker becomes nobody."""
    nginx, socket_name = tool("nginx"), str(installed / "s")
    (installed / "nginx.conf").write_text(f"""
        user nobody nogroup;
        daemon off;
        worker_processes 1;
        pid {installed}/nginx.pid;
        error_log {installed}/error.log;
        events {{}}
        http {{
          access_log off;
          client_body_temp_path {installed}/t1; proxy_temp_path {installed}/t2;
          fastcgi_temp_path {installed}/t3; uwsgi_temp_path {installed}/t4;
          scgi_temp_path {installed}/t5;
          server {{ listen unix:{socket_name}; return 200 "fine"; }}
        }}""")
    s = Supervisor(installed, None, nginx, "-c", installed / "nginx.conf")

    def fetch():
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            try:
                s.connect(socket_name)
                s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return s.makefile("rb").read().endswith(b"fine")
            except OSError:
                return False

    def worker():
        children = Path(f"/proc/{s.p.pid}/task/{s.p.pid}/children").read_text().split()
        return int(children[0])

    try:
        wait_until(fetch)
        pid = worker()
        assert os.stat(f"/proc/{pid}").st_uid == pwd.getpwnam("nobody").pw_uid
        mark(str(pid), "few")
        for _ in range(50):
            assert fetch()
        mark(str(pid), "many")
        file, = [f for f in (installed / "rec").iterdir() if f.name.endswith(f".{pid}")]
        seen = diff(f"{file}@few", f"{file}@many")
        assert seen["after"]["allocations"] > seen["before"]["allocations"]
        assert seen["after"]["live_bytes"] < seen["before"]["live_bytes"] + 1_000_000
        mark(str(s.p.pid), "master")
        assert worker() == pid
    finally:
        s.stop()


# What grows all the time, and ends as it should when it is told to.
DAEMON = """#!/usr/bin/perl
$SIG{TERM} = sub { exit 0 };
for (;;) { push @all, "x" x 1000; select undef, undef, undef, 0.01 }
"""

# As confined as Debian's units are.
UNIT = """[Unit]
DefaultDependencies=no
[Service]
Type=exec
ExecStart=/usr/local/bin/daemon
DynamicUser=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectProc=invisible
ProcSubset=pid
NoNewPrivileges=yes
CapabilityBoundingSet=
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
NoExecPaths=/
ExecPaths=/usr/local/bin /usr/bin/perl /usr/lib /lib /lib64
"""


def recipe(first):
    """What docs/guide.md has to copy, from this line on."""
    guide = (ROOT / "docs" / "guide.md").read_text()
    found = re.search(rf"^    {re.escape(first)}\n(    .*\n)+", guide, flags=re.M).group(0)
    return found.replace("    ", "")


def look_twice(ask, process, file, stop):
    """At the daemon; `ask` runs the commands, where it is or outside. It says more at its end."""
    def seen():
        ask(f"ullage mark {process} after")
        changes = json.loads(ask(f"ullage diff --json {file}@before {file}@after"))
        live = changes["before"]["live_bytes"], changes["after"]["live_bytes"]
        return live[1] > live[0] + 10_000 and "Perl" in changes["changes"][0]["frame"]["function"]

    ask(f"ullage mark {process} before")
    wait_until(seen)
    stop()
    report = json.loads(ask(f"ullage report --json {file}"))
    assert report["program"]["exit"] == {"kind": "exited", "status": 0}
    assert report["unsettled"] == 0
    return report


class Machine:
    """A systemd of its own: of this machine it has /usr and what is installed, no more."""

    def __init__(self, installed):
        argv = [tool("systemd-nspawn"), "-q", "-D", "/", "--volatile=yes", "--register=no",
                "--keep-unit", "--private-network", f"--machine=ullage-{os.getpid()}",
                f"--bind-ro={installed}/bin:/usr/local/bin",
                f"--bind-ro={installed}/lib:/usr/local/lib",
                f"--bind-ro={installed}/units:/etc/systemd/system"]
        if execute([*argv, "--pipe", "/usr/bin/true"]).status:
            pytest.skip("no machine can be started here")
        self.p = subprocess.Popen([*argv, "--boot", "--console=pipe", "systemd.unit=still.target"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)

    def do(self, script):
        first = Path(f"/proc/{self.p.pid}/task/{self.p.pid}/children").read_text().split()[:1]
        return execute([tool("nsenter"), "-t", *first, "-m", "-p", "-u", "-i", "-n", "-C", "--",
                        "/bin/sh", "-ec", script],
                       env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})

    def tell(self, script):
        r = self.do(script)
        assert r.status == 0, (script, r.text(), r.all_stderr)
        return r.text()

    def end(self):
        self.p.terminate()
        try:
            self.p.wait(30)
        finally:
            self.p.kill()
            self.p.wait()


@pytest.fixture
def machine(installed):
    units = installed / "units"
    (units / "daemon.service.d").mkdir(parents=True)
    (units / "still.target").write_text("[Unit]\nDefaultDependencies=no\n")
    (units / "daemon.service").write_text(UNIT)
    (units / "daemon.service.d" / "override.conf").write_text(recipe("[Service]"))
    (installed / "bin" / "daemon").write_text(DAEMON)
    (installed / "bin" / "daemon").chmod(0o755)
    m = Machine(installed)
    yield m
    m.end()


def test_a_service_of_systemd_is_looked_at_twice(machine):
    """With the guide's own drop-in and commands."""
    wait_until(lambda: machine.do("systemctl is-active still.target").status == 0)
    machine.tell("ullage env -o /var/lib/ullage/%n.%p >/etc/ullage.env; systemctl start daemon")
    pid = machine.tell("systemctl show -p MainPID --value daemon").strip()
    status = machine.tell(f"cat /proc/{pid}/status")
    assert re.search(r"^Uid:\t[1-9]", status, flags=re.M) and "Seccomp:\t2" in status
    look_twice(machine.tell, pid, f"/var/lib/ullage/daemon.{pid}",
               lambda: machine.tell("systemctl stop daemon"))


class Container:
    """One of OCI, as Docker and podman make them: root is dropped, nothing can be written but
    recordings, memory is limited. Of this machine it has /usr and what is installed."""

    def __init__(self, installed):
        self.bundle, self.name = installed / "bundle", f"ullage-{os.getpid()}"
        self.rec = self.bundle / "rec"
        root = self.bundle / "rootfs"
        for directory in "usr", "proc", "dev", "sys", "rec":
            (root / directory).mkdir(parents=True)
        for link in "bin", "lib", "lib64":
            (root / link).symlink_to(f"usr/{link}")
        self.rec.mkdir()
        shutil.chown(self.rec, 65534, 65534)
        subprocess.run([tool("runc"), "spec", "--bundle", self.bundle], check=True)
        self.configure(installed)
        self.runc("run", "--detach", "--bundle", self.bundle, self.name)

    def configure(self, installed):
        config = json.loads((self.bundle / "config.json").read_text())
        variables = (installed / "ullage.env").read_text()
        for outside, inside in ("lib", "/usr/local/lib"), ("rec", "/rec"):
            variables = variables.replace(str(installed / outside), inside)
        config["process"].update(
            terminal=False, args=["daemon"], user={"uid": 65534, "gid": 65534}, capabilities={},
            env=["PATH=/usr/local/bin:/usr/bin", *variables.split()])
        config["mounts"] += [
            {"destination": to, "source": str(source), "options": ["bind", *how]}
            for to, source, how in (("/usr", "/usr", ["ro"]), ("/rec", self.rec, []),
                                    ("/usr/local/bin", installed / "bin", ["ro"]),
                                    ("/usr/local/lib", installed / "lib", ["ro"]))]
        config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
        (self.bundle / "config.json").write_text(json.dumps(config))

    def runc(self, *words, status=0):
        with open(self.bundle / "said", "wb") as said:
            r = subprocess.run([tool("runc"), "--root", self.bundle / "state", *words],
                               timeout=60, env=clean_environment(), stdin=subprocess.DEVNULL,
                               stdout=said, stderr=said)
        text = (self.bundle / "said").read_text()
        if words[0] == "run" and r.returncode:
            pytest.skip(f"no container can be started here: {text}")
        assert r.returncode == status, text
        return text

    def state(self):
        return json.loads(self.runc("state", self.name))


@pytest.fixture
def contained(installed):
    (installed / "bin" / "daemon").write_text(DAEMON)
    (installed / "bin" / "daemon").chmod(0o755)
    c = Container(installed)
    yield c
    c.runc("delete", "--force", c.name)


def test_a_container_is_looked_at_twice(contained):
    """From outside, by the process's number there, and from inside."""
    c = contained

    def outside(command):
        r = execute([ULLAGE, *command.split()[1:]])
        assert r.status == 0, r.all_stderr
        return r.text()

    def inside(command):
        return c.runc("exec", c.name, *command.split())

    def stop():
        c.runc("kill", c.name, "TERM")
        wait_until(lambda: c.state()["status"] == "stopped")

    pid, file = c.state()["pid"], c.rec / "daemon.1"
    wait_until(file.exists)
    outside(f"ullage mark {pid} outside")
    inside("ullage mark 1 inside")
    report = look_twice(outside, pid, file, stop)
    assert diff(f"{file}@outside", f"{file}@inside")["after"]["moment"] == "inside"
    assert report["program"]["limits"]["group_bytes"] == 64 << 20


def test_what_env_cannot_say_is_said_in_a_line():
    assert execute([ULLAGE, "env"], cwd="/tmp").text() == (
        f"LD_PRELOAD={PRELOAD}\nULLAGE_FILE=/tmp/ullage.%n.%p\n")
    r = execute([ULLAGE, "env", "-o", "/x/%p", "--children=no", "--depth=9", "--sample",
                 "--readers=group", "--python-malloc=yes", "--g-slice=yes"])
    assert r.text().splitlines()[1:] == [
        "ULLAGE_FILE=/x/%p", "ULLAGE_CHILDREN=no", "ULLAGE_DEPTH=9", "ULLAGE_SAMPLE=524288",
        "ULLAGE_READERS=group", "PYTHONMALLOC=malloc", "G_SLICE=always-malloc"]
    assert "it starts nothing: what is ls for" in refused("env", "ls", status=2)
    assert "unknown option --shell" in refused("env", "--shell", status=2)
    assert "a number from 1" in refused("env", "--depth=0", status=2)
    assert "a space, quote or sign" in refused("env", "-o", "/tmp/a b")


# ---- what cannot be compared ---------------------------------------------------------


def test_what_cannot_be_compared_is_said_in_a_line(tmp_path, recorder):
    file = record(tmp_path / "r", program("looks"), [10])
    recorder.run(program("grow"), "10", "0")
    other = recorder.file
    line = refused("diff", f"{file}@late", file)
    assert "no mark is called 'late'" in line
    line = refused("diff", file, f"{file}@2h")
    assert "2h is outside of the run, which took 0." in line
    line = refused("diff", file, other)
    assert "different programs" in line and "--force" in line
    assert diff(file, other, "--force")["changes"]
    assert "two recordings expected" in refused("diff", file, status=2)
    assert "one more" in refused("diff", file, file, file, status=2)
    assert "no such file" in refused("diff", file, tmp_path / "none")
    assert "--force is an option of 'ullage diff'" in refused("report", "--force", file,
                                                              status=2)
