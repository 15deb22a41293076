"""Writes beyond the end of blocks and after they were freed (ULLAGE_GUARD)."""

import json
import re
import shutil
import signal
import xml.etree.ElementTree as ET

import pytest

from harness import ULLAGE, blamed, execute, marked_line, program, tool
from recording import FORMAT, Recording
from schema import Schema
from test_answers import check_leaks
from workloads import PERL_HASHES, SQL

GUARD = {"ULLAGE_GUARD": "yes", "ULLAGE_CHECK": "yes"}
OVERRUN, WRITTEN = "overrun", "written after free"


def guarded(recorder, *argv, env=(), **more):
    r = recorder.run(program("guard"), *argv, env=GUARD | dict(env), **more)
    assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")
    return r


def writes(recorder, file=None):
    """All that was found: the program does nothing else that is wrong."""
    found = recorder.answer("report", file=file)["misuses"]
    assert {m["kind"] for m in found} <= {OVERRUN, WRITTEN}
    return found


def written(at, count):
    """What guard.c writes there."""
    return " ".join(f"{ord('A') + (at + i) % 26:02x}" for i in range(count))


OVERRUNS = [(how, size, beyond) for how in ("malloc", "calloc", "aligned", "page", "realloc")
            for size, beyond in ((24, 1), (5000, 5), (40_000, 16), (600_000, 1))]
OVERRUNS += [("malloc", size, 1) for size in (0, 1, 16, 64, 100, 1000, 32 << 10, 3 << 20)]


@pytest.mark.short
@pytest.mark.parametrize("how,size,beyond", OVERRUNS)
def test_overruns_are_told(recorder, how, size, beyond):
    """Of each kind of block."""
    r = guarded(recorder, "behind", how, str(size), str(beyond))
    m, = writes(recorder)
    assert (m["kind"], m["count"], m["bytes"], m["offset"]) == (OVERRUN, 1, size, 0)
    assert (m["changed"], m["found"]) == (beyond, written(size, beyond))
    assert blamed({"stack": m["allocated_stack"]}, "make", "guard.c",
                  marked_line("guard.c", how))
    assert blamed(m, "let_go", "guard.c", marked_line("guard.c", "let_go"))
    assert "1 block written beyond the end" in r.said and "make" in r.said


def test_overruns_are_told_in_words(recorder):
    guarded(recorder, "behind", "malloc", "24", "20")
    said = recorder.text("report")
    assert f"20 bytes at 0 behind the end of 24 bytes: {written(24, 8)} ..." in said
    assert said.index("make") < said.index("was freed") < said.index("let_go")


@pytest.mark.parametrize("size", [0, 24, 5000, 40_000, 600_000])
def test_overruns_of_what_lives_to_the_end(recorder, size):
    guarded(recorder, "kept", "malloc", str(size), "3")
    m, = writes(recorder)
    assert (m["kind"], m["offset"], m["changed"], m["site"]) == (OVERRUN, 0, 3, 0)
    assert m["stack"] == []
    assert blamed({"stack": m["allocated_stack"]}, "make", "guard.c")
    assert "was freed" not in recorder.text("report")


def test_a_string_is_one_longer(recorder):
    guarded(recorder, "string")
    m, = writes(recorder)
    assert (m["bytes"], m["offset"], m["changed"], m["found"]) == (8, 0, 1, "00")
    assert m["allocated_stack"][0]["line"] == marked_line("guard.c", "string")


@pytest.mark.parametrize("size,then", [(100, 200), (200, 100), (100, 100), (100, 104),
                                       (104, 97), (5000, 60_000),
                                       (60_000, 50), (600_000, 700_000),
                                       (700_000, 650_000), (700_000, 3000)])
def test_realloc_looks_and_guards_anew(recorder, size, then):
    guarded(recorder, "resized", str(size), str(then))
    m, = writes(recorder)
    assert (m["kind"], m["bytes"], m["changed"]) == (OVERRUN, size, 1)
    assert m["stack"][0]["line"] == marked_line("guard.c", "resized")


@pytest.mark.parametrize("mode", ["freed", "reused"])
@pytest.mark.parametrize("size,at", [(40, 0), (40, 7), (40, 39), (40, 40), (2000, 1999),
                                     (40_000, 20_000)])
def test_writes_after_free_are_told(recorder, mode, size, at):
    """At the end, or when the block may be given out again."""
    r = guarded(recorder, mode, str(size), str(at))
    m, = writes(recorder)
    assert (m["kind"], m["count"], m["bytes"], m["offset"]) == (WRITTEN, 1, size, at)
    assert (m["changed"], m["found"]) == (1, "41")
    assert blamed({"stack": m["allocated_stack"]}, "make", "guard.c")
    assert blamed(m, "let_go", "guard.c", marked_line("guard.c", "let_go"))
    assert "1 block written after free" in r.said


def test_written_when_it_may_be_given_out(recorder):
    guarded(recorder, "late", "40", "9")
    m, = writes(recorder)
    assert (m["kind"], m["offset"]) == (WRITTEN, 9)


def test_another_thread(recorder):
    guarded(recorder, "thread")
    found = {m["kind"]: m for m in writes(recorder)}
    assert {k: (m["offset"], m["changed"]) for k, m in found.items()} == {
        OVERRUN: (0, 3), WRITTEN: (8, 8)}
    for m in found.values():
        assert [f["function"] for f in m["stack"][:2]] == ["let_go", "in_thread"]


def test_forked_children(recorder):
    """With recordings of their own, or with a line."""
    guarded(recorder, "child")
    child, = recorder.answer("report")["children"]["recordings"]
    assert {m["kind"] for m in writes(recorder, child)} == {OVERRUN, WRITTEN}
    assert len(writes(recorder)) == 2
    guarded(recorder, "child", env={"ULLAGE_CHILDREN_MAX": "0"})
    report = recorder.answer("report")
    assert {f["kind"] for f in report["folded"]} == {OVERRUN, WRITTEN}
    assert all(f["stack"][0]["function"] == "make" for f in report["folded"])


def test_each_pair_of_places_is_told_once(recorder):
    guarded(recorder, "often")
    assert {(m["kind"], m["count"]) for m in writes(recorder)} == {(OVERRUN, 100),
                                                                  (WRITTEN, 100)}
    fallbacks = recorder.answer("report")["fallbacks"]
    assert (fallbacks["OVERRUN"], fallbacks["WRITTEN_FREED"]) == (100, 100)


def test_executed_programs_are_guarded(recorder):
    r = recorder.run(tool("sh"), "-c", f"{program('guard')} string; exec {program('guard')} string",
                     env=GUARD)
    assert (r.status, r.text()) == (0, "done\ndone\n")
    assert [m["kind"] for m in writes(recorder)] == [OVERRUN] * 2


@pytest.mark.parametrize("argv,kind", [(["string"], "overrun"), (["reused", "40", "0"], "write-after-free"),
                                       (["late", "40", "9"], "write-after-free")], ids=str)
def test_ends_the_program_if_asked(recorder, argv, kind):
    r = recorder.run(program("guard"), *argv, env=GUARD | {"ULLAGE_ABORT_ON": kind})
    assert r.status == -signal.SIGABRT and kind in r.all_stderr.decode()
    guarded(recorder, *argv, env={"ULLAGE_ABORT_ON": "double-free"})


def test_usable_size_is_what_may_be_written(recorder):
    guarded(recorder, "usable")
    assert writes(recorder) == []


def test_what_is_allowed_is_not_told(recorder):
    guarded(recorder, "healthy")
    assert writes(recorder) == []


def test_without_a_guard_nothing_is_said(recorder):
    r = recorder.run(program("guard"), "freed", "40", "16")
    assert r.status == 0 and recorder.answer("report")["misuses"] == []
    assert not Recording(recorder.file).header["features"] & FORMAT.constants["UL_FEATURE_GUARDED"]


def test_valgrind_agrees(recorder):
    """On what is wrong, and where; it sees the write itself."""
    for argv in ["behind malloc 24 3", "behind aligned 100 1", "string", "freed 40 8"]:
        r = execute([tool("valgrind"), program("guard"), *argv.split()])
        assert "Invalid write of size 1" in r.all_stderr.decode()
        guarded(recorder, *argv.split())
        assert len(writes(recorder)) == 1
        r = execute([tool("valgrind"), "--error-exitcode=9", program("guard"), "fresh"])
    assert r.status == 0


def test_leaks_are_the_same(recorder):
    """A fill looks like no pointer."""
    r = recorder.run(program("leaks"), env=GUARD)
    check_leaks(recorder, r, "leaks.c")


C = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'

REAL = {
    "sqlite3": (["sqlite3", ":memory:"], SQL(3000).encode()),
    "perl": (["perl", "-e", PERL_HASHES(3000)], b""),
    "python3": (["/usr/bin/python3", "-c", "import json; "
                 "print(len(json.dumps([str(i) * 9 for i in range(9999)])))"], b""),
    "git": (["git", "--no-pager", "log", "--stat", "-3"], b""),
    "gcc": (["gcc", "-x", "c", "-O2", "-S", "-o", "/dev/stdout", "-"], C.encode()),
    "gdb": (["gdb", "-batch", "-ex", "print 6 * 7"], b""),
}


@pytest.mark.parametrize("name", REAL)
def test_real_programs_do_as_without(recorder, tmp_path, name):
    argv, stdin = REAL[name]
    cwd = None
    if name == "git":
        cwd = tmp_path / "repository"
        cwd.mkdir()
        (cwd / "file").write_text("text\n" * 100)
        commit = ["-c", "user.name=n", "-c", "user.email=n@n", "commit", "-qm", "m"]
        for step in ["init", "-q"], ["add", "file"], commit:
            assert execute([tool("git"), *step], cwd=cwd).status == 0
    recorder.same(tool(argv[0]), *argv[1:], stdin=stdin, cwd=cwd,
                  env=GUARD | {"PYTHONMALLOC": "malloc", "ULLAGE_KEEP": "all"})
    for file in recorder.recordings():
        assert not any(m["count"] for m in Recording(file).header["misuses"])


# ---- check ---------------------------------------------------------------------------


@pytest.fixture
def check(tmp_path):
    """`ullage check --guard` of guard.c, below the current directory."""
    shutil.copy(program("guard"), tmp_path / "t_guard")
    (tmp_path / "temporary").mkdir()

    def run(*options, mode=("thread",)):
        return execute([ULLAGE, "check", *options, "--", "./t_guard", *mode], cwd=tmp_path,
                       env={"TMPDIR": str(tmp_path / "temporary")})
    return run


@pytest.mark.short
def test_check_fails(check):
    r = check("--guard")
    assert r.status == 99 and r.text() == "done\n"
    assert "check failed: 2 findings in 1 process" in r.said
    assert "overrun" in r.said and "(3 bytes at 0 behind the end of 40 bytes: 41 42 43)" in r.said
    assert "write after free" in r.said and ", freed let_go" in r.said
    assert check().status == 0
    assert check("--guard", "--fail-on=definite").status == 0
    assert check("--guard", "--fail-on=overrun").said.count("  [t_guard]") == 1
    assert check("--guard", mode=["healthy"]).status == 0


def test_check_accepts(check, tmp_path):
    """By a baseline, and by suppressions of its own, which memcheck passes over."""
    assert check("--guard", "--update-baseline=base").status == 0
    assert check("--guard", "--baseline=base").status == 0
    kinds = [re.search(r"overrun|write-after-free", line)[0] for line in (tmp_path / "base").read_text().splitlines()
             if line[:1] not in "#"]
    assert sorted(kinds) == ["overrun", "write-after-free"]
    check("--guard", "--gen-suppressions=valgrind:supp")
    assert (tmp_path / "supp").read_text().count("ullage:Write") == 2
    r = check("--guard", "--suppressions=supp")
    assert r.status == 0 and "suppressed 2" in r.said
    r = execute([tool("valgrind"), f"--suppressions={tmp_path}/supp", "--error-exitcode=9",
                 program("guard"), "thread"])
    assert r.status == 9


def test_formats(check, tmp_path):
    formats = ["json", "sarif", "junit", "memcheck", "valgrind-xml"]
    r = check("--guard", *[f"--format={f}:{f}" for f in formats], "--format=github")
    text = {f: (tmp_path / f).read_text() for f in formats}
    answer = json.loads(text["json"])
    assert Schema().problems("check", answer) == []
    assert [(f["kind"], f["what"], f["times"]) for f in answer["findings"]] == [
        ("write-after-free", "write after free", 1), ("overrun", "overrun", 1)]
    for f in answer["findings"]:
        assert f["stack"][f["frame"]]["function"] == "make"
        assert f["freed_stack"][0]["function"] == "let_go"
    found = json.loads(text["sarif"])["runs"][0]["results"]
    assert [f["ruleId"] for f in found] == ["write-after-free", "overrun"]
    assert all(s["message"]["text"] in ("allocated", "freed")
               for f in found for s in f["stacks"])
    failure, = ET.fromstring(text["junit"]).iter("failure")
    assert failure.text.count(", freed let_go") == 2
    assert re.findall(r"Invalid write of size (\d)", text["memcheck"]) == ["8", "3"]
    errors = ET.fromstring(text["valgrind-xml"]).findall("error")
    assert [e.find("kind").text for e in errors] == ["InvalidWrite"] * 2
    assert all(len(e.findall("stack")) == 2 for e in errors)
    assert len(re.findall(r"^::error .*title=(overrun|write after free)::", r.text(), flags=re.M)) == 2


@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("per_mille", [0, 30])
def test_random_damage_is_told_once_each(tmp_path, seed, per_mille):
    """By three threads that free each other's blocks; and nothing else is."""
    r = execute([ULLAGE, "check", "-q", "--guard", "--format=json:found", "--fail-on",
                 "bad-free,mismatch,overrun,write-after-free", "--", program("damage"),
                 str(seed), "6000", str(per_mille)], cwd=tmp_path, env={"ULLAGE_CHECK": "yes"})
    done = re.fullmatch(r"(\d+) overruns, (\d+) writes after free\n", r.text())
    assert done, r.text() + r.said
    found = {"overrun": 0, "write-after-free": 0}
    for f in json.loads((tmp_path / "found").read_text())["findings"]:
        found[f["kind"]] += f["times"]
    assert [found["overrun"], found["write-after-free"]] == [int(n) for n in done.groups()]
    assert (r.status == 99) == bool(per_mille) == bool(found["overrun"])


def test_options_that_do_not_go_together(tmp_path):
    for options in ["--guard", "--sample"], ["--sample=auto", "--guard"]:
        r = execute([ULLAGE, "run", *options, "--", "true"], cwd=tmp_path)
        assert r.status == 2 and "--guard" in r.all_stderr.decode()
    r = execute([ULLAGE, "env", "--guard"])
    assert r.status == 0 and "ULLAGE_GUARD=yes" in r.text().split()


def test_by_the_environment_it_comes_before_sampling(recorder):
    r = recorder.run(program("guard"), "thread", env=GUARD | {"ULLAGE_SAMPLE": "1000"})
    assert len(writes(recorder)) == 2
    assert "all stacks are looked up" in r.all_stderr.decode()


# ---- never written -------------------------------------------------------------------


def test_what_is_never_written(recorder):
    """By half, or not at all; that of calloc is not known."""
    r = guarded(recorder, "fresh")
    answer = recorder.answer("unused")
    assert Schema().problems("unused", answer) == []
    found = {s["stack"][0]["line"]: (s["never_written_bytes"], s["bytes"], s["blocks"])
             for s in answer["never_written"]["sites"]
             if s["stack"][0]["function"] == "fresh"}
    assert found == {marked_line("guard.c", "half"): (4960, 10_000, 10),
                     marked_line("guard.c", "none"): (10_000, 10_000, 10)}
    assert answer["never_written"]["bytes"] >= 30_000
    said = recorder.text("unused")
    assert re.search(r"^NEVER WRITTEN +[\d.]+ KiB of the [\d.]+ KiB that were looked at", said,
                     flags=re.M)
    assert "4.8 KiB of 9.8 KiB (50 %) in 10 blocks" in said
    assert re.search(r"unused .* [\d.]+ KiB of [\d.]+ KiB never written", r.said)


def test_what_is_never_written_is_not_known_otherwise(recorder):
    recorder.run(program("guard"), "fresh")
    assert recorder.answer("unused")["never_written"] is None
    assert "never written is not known" in recorder.text("unused")


def test_a_child_tells_of_its_own_blocks(recorder):
    guarded(recorder, "child", env={"ULLAGE_KEEP": "all"})
    child, = recorder.children()
    by = [s for s in recorder.answer("dump", file=child)["fill"] if s["blocks"]]
    assert sum(s["bytes"] for s in by) < 10_000 and any(s["bytes"] == 40 for s in by)
