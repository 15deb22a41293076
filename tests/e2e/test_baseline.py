"""A baseline: what is known passes, what is new or has grown does not."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import ROOT, ULLAGE, execute, tool

SUITE = ROOT / "tests" / "suite"
FOUND = 99
pytestmark = pytest.mark.usefixtures("recordings_apart")

NAMES = ["t_fine", "t_forgets", "t_list", "t_third", "t_skips"]
SCRIPT = "for t in t_*[a-z]; do ./$t; done; exit 0"


class Project:
    """The small suite in a directory of its own, to be changed and built."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        for source in SUITE.glob("*.[ch]"):
            if not source.name.startswith("t_") or source.stem in NAMES:
                shutil.copy(source, directory)

    def change(self, source, old, new):
        path = self.directory / source
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def build(self, *flags):
        for name in NAMES:
            subprocess.run([tool("gcc", "cc"), *(flags or ("-O0", "-g")), "-o", name,
                            f"{name}.c", "core.c", "third.c"], cwd=self.directory, check=True)
        return self

    def check(self, *options, script=SCRIPT, status=None):
        r = execute([ULLAGE, "check", *options, "--", "/bin/sh", "-c", script],
                    cwd=self.directory)
        r.findings = re.findall(r"^ullage: +\d+  (.*)$", r.said, flags=re.M)
        r.totals = re.search(r"^ullage: (new .*)$", r.said, flags=re.M)[1]
        assert r.status == (status if status is not None else FOUND if r.findings else 0), r.said
        return r


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project").build()


@pytest.fixture
def baseline(project, tmp_path):
    file = tmp_path / "baseline"
    r = project.check("--update-baseline", file)
    assert r.status == 0 and f"accepted: {file} has 4 lines" in r.said
    return file


def passes(project, baseline, totals="new 0, grown 0, known 3, fixed 0, suppressed 0"):
    r = project.check("--baseline", baseline, status=0)
    assert r.totals == totals
    return r


def lines(baseline):
    return [line for line in baseline.read_text().splitlines() if not line.startswith("#")]


def test_file_is_text(project, baseline):
    """Sorted, a line for each program of a finding, with a comment and nothing that changes
    by itself."""
    text = baseline.read_text()
    assert text.startswith("# ullage baseline 2\n")
    assert [re.sub("[0-9a-f]{16}", "H", line) for line in lines(baseline)] == [
        "t_forgets definite H H 10 30  # render < main",
        "t_list definite H H 4 45  # list_push < main",
        "t_skips definite H H 1 6  # render < main",
        "t_third definite H H 1 512  # third_init < main"]
    project.check("--update-baseline", baseline)
    assert baseline.read_text() == text
    assert sorted(os.listdir(baseline.parent)) == ["baseline", "project"]


def test_known_passes_new_fails(project, baseline):
    passes(project, baseline)
    project.change("t_fine.c", "int main", "#include <string.h>\nint main")
    project.change("t_fine.c", "return 0", "(void)strdup(\"new\"); return 0")
    project.build()
    r = project.check("--baseline", baseline)
    assert r.status == FOUND and len(r.findings) == 1 and "[t_fine]" in r.findings[0]
    assert r.totals == "new 1, grown 0, known 3, fixed 0, suppressed 0"
    assert "accept: ullage check --update-baseline FILE" in r.said
    project.check("--update-baseline", baseline, status=0)
    assert len(lines(baseline)) == 5
    passes(project, baseline, "new 0, grown 0, known 4, fixed 0, suppressed 0")


def test_growth_fails(project, baseline):
    """By more than 10 % of what it was when it was accepted, however slowly."""
    before = baseline.read_text()
    project.change("t_forgets.c", "i < 10", "i < 11")
    project.build()
    passes(project, baseline)  # 9 %
    project.check("--update-baseline", baseline)
    assert baseline.read_text() == before
    project.change("t_forgets.c", "i < 11", "i < 12")
    project.build()
    r = project.check("--baseline", baseline)
    assert r.status == FOUND and ", was 11 blocks" in "".join(r.findings)
    assert r.totals == "new 0, grown 1, known 2, fixed 0, suppressed 0"
    for options, status in [(["--grow-percent=19"], 0), (["--grow-blocks=3"], 0),
                            (["--grow-blocks=2"], FOUND), (["--grow-percent=18"], FOUND)]:
        assert project.check("--baseline", baseline, *options).status == status
    project.check("--update-baseline", baseline, status=0)
    assert "t_forgets definite" in baseline.read_text() and " 12 36  #" in baseline.read_text()


def test_fixed_is_said_and_removed(project, baseline):
    project.change("t_third.c", "third_init();", "")
    project.change("t_forgets.c", "i < 10", "i < 4")
    project.build()
    r = passes(project, baseline, "new 0, grown 0, known 2, fixed 1, suppressed 0")
    assert "ullage: fixed: t_third (third_init < main)\n" in r.said
    project.check("--update-baseline", baseline)
    assert len(lines(baseline)) == 3 and " 4 12  #" in lines(baseline)[0]  # a ratchet
    project.change("t_third.c", "return 0", "third_init(); return 0")
    project.build()
    assert len(project.check("--baseline", baseline).findings) == 1


def test_part_of_a_suite(project, baseline):
    """What was not run is not fixed."""
    before = baseline.read_text()
    r = project.check("--baseline", baseline, script="./t_list; ./t_fine")
    assert r.status == 0
    assert r.totals == "new 0, grown 0, known 1, fixed 0, suppressed 0"
    project.check("--update-baseline", baseline, script="./t_list; ./t_fine")
    assert baseline.read_text() == before


# ---- what it outlives ----------------------------------------------------------------

def test_lines_may_change(project, baseline):
    for source in "core.c", "third.c", "t_forgets.c", "t_list.c":
        path = project.directory / source
        path.write_text("/* more */\n\n\n" + path.read_text().replace("{", "{\n", 1))
    passes(project.build(), baseline)


def test_directories_may_change(project, baseline, tmp_path):
    moved = tmp_path / "elsewhere and longer"
    os.rename(project.directory, moved)
    project.directory = moved
    passes(project, baseline)
    passes(project.build(), baseline)


def test_without_debug_information(project, baseline):
    """A function is its program's own then, whatever source others have it from."""
    passes(project.build("-O0"), baseline, "new 0, grown 0, known 4, fixed 0, suppressed 0")


def test_other_optimization_moves(project, baseline):
    """Frames are missing then: known by the innermost own function, and said so; or it has
    a name of its own no more and is new, never silently known."""
    r = project.build("-O2", "-fno-inline", "-g").check("--baseline", baseline)
    assert r.status in (0, FOUND)
    known = int(re.search(r"known (\d+)", r.totals)[1])
    assert known + len(r.findings) == 3
    if "moved" in r.totals:
        assert "moved, known by their function: " in r.said
    project.check("--update-baseline", baseline, status=0)
    r = project.check("--baseline", baseline)
    assert r.status == 0 and "moved" not in r.totals


def build(directory, source, *flags):
    (directory / "p.c").write_text("#include <stdlib.h>\n" + source)
    subprocess.run([tool("gcc", "cc"), *(flags or ["-O0", "-g"]), "-o", directory / "p",
                    directory / "p.c"], check=True)


def judge(directory, *argv, status=0):
    """Against `directory`/baseline; what `said` of totals."""
    r = execute([ULLAGE, "check", *argv], cwd=directory)
    assert r.status == status, r.said
    r.findings = re.findall(r"^ullage: +\d+  (.*)$", r.said, flags=re.M)
    r.totals = re.search(r"^ullage: (new .*)$", r.said, flags=re.M)[1]
    return r


def test_a_missing_caller_does_not_matter(tmp_path):
    """gcc -O2 calls last what -O0 calls in the middle: the same function, another chain."""
    source = """
        void *volatile kept;
        __attribute__((noinline)) void make(void) { kept = malloc(50); kept = 0; }
        __attribute__((noinline)) void parse(void) { make(); }
        int main(void) { parse(); return 0; }"""
    build(tmp_path, source, "-O0")
    judge(tmp_path, "--update-baseline", "baseline", "--", "./p")
    build(tmp_path, source, "-O2")
    r = judge(tmp_path, "--baseline", "baseline", "--", "./p")
    assert r.totals == "new 0, grown 0, known 1, fixed 0, suppressed 0"


# Each letter calls a function: p and q forget what they have made, P and Q free it.
CALLERS = """
    __attribute__((noinline)) char *make(void) { return malloc(100); }
    void *volatile kept;
    __attribute__((noinline)) void p(int forget) { if (!forget) free(make());
                                                   else kept = make(); kept = 0; }
    __attribute__((noinline)) void q(int forget) { if (!forget) free(make());
                                                   else kept = make(); kept = 0; }
    __attribute__((noinline)) void r(void) { free(make()); }
    int main(int argc, char **argv) {
      for (char *at = argv[1]; *at; at++)
        if (*at == 'r') r(); else (*at % 32 == 'p' % 32 ? p : q)(*at >= 'a');
      return argc - 2; }"""
ALL_LOST = "p" * 20 + "q" * 20  # make is to blame
MUCH_ELSE = ALL_LOST + "r" * 400  # p and q are: others free what they have made
SOME_OF_Q = ALL_LOST + "Q" * 100 + "r" * 400


@pytest.mark.parametrize("before,after", [
    (ALL_LOST, MUCH_ELSE), (MUCH_ELSE, ALL_LOST), (SOME_OF_Q, MUCH_ELSE),
    (MUCH_ELSE, SOME_OF_Q), (ALL_LOST, SOME_OF_Q), (SOME_OF_Q, ALL_LOST)])
def test_another_function_to_blame_is_no_new_finding(tmp_path, before, after):
    """Which function keeps most may change with what else is called: the same is lost."""
    build(tmp_path, CALLERS)
    judge(tmp_path, "--update-baseline", "baseline", "--", "./p", before)
    r = judge(tmp_path, "--baseline", "baseline", "--", "./p", after)
    assert r.totals.startswith("new 0, grown 0, known "), r.said
    assert r.totals.endswith("fixed 0, suppressed 0"), r.said
    judge(tmp_path, "--update-baseline", "baseline", "--", "./p", after)
    r = judge(tmp_path, "--baseline", "baseline", "--", "./p", after)
    assert "moved" not in r.totals and r.totals.startswith("new 0, grown 0, known ")
    assert sum(int(line.split()[4]) for line in lines(tmp_path / "baseline")) == 40
    judge(tmp_path, "--baseline", "baseline", "--", "./p", after + "p" * 5, status=FOUND)


def test_more_stacks_of_a_known_cause(tmp_path):
    """A test that reaches a known fault by another way is not new, but by how much it
    adds; one that forgets what nobody else does is."""
    build(tmp_path, CALLERS)
    judge(tmp_path, "--update-baseline", "baseline", "--", "./p", "p" * 20)
    r = judge(tmp_path, "--baseline", "baseline", "--", "./p", "p" * 20 + "qq")
    assert r.totals == "new 0, grown 0, known 1, fixed 0, suppressed 0"
    r = judge(tmp_path, "--baseline", "baseline", "--", "./p", "p" * 20 + "qqq", status=FOUND)
    assert r.totals == "new 0, grown 1, known 0, fixed 0, suppressed 0"
    found, = r.findings
    assert "23 blocks" in found and "was 20 blocks" in found and ", 2 stacks]" in found


def test_a_new_program_that_reaches_a_known_fault(tmp_path):
    """In a library it is the same, whoever calls: known where only the new one is run."""
    (tmp_path / "lib.c").write_text(
        "#include <stdlib.h>\nvoid *volatile kept;\n"
        "void fault(int n) { while (n--) kept = malloc(10); kept = 0; }")
    cc = tool("gcc", "cc")
    subprocess.run([cc, "-O0", "-g", "-shared", "-fPIC", "-o", "libfault.so", "lib.c"],
                   cwd=tmp_path, check=True)
    for name in "old", "new":
        (tmp_path / f"{name}.c").write_text(
            "#include <stdlib.h>\nvoid fault(int);\n"
            f"void {name}(int n) {{ fault(n); }}\n"
            f"int main(int c, char **v) {{ {name}(atoi(v[c - 1])); return 0; }}")
        subprocess.run([cc, "-O0", "-g", "-o", name, f"{name}.c", "./libfault.so"],
                       cwd=tmp_path, check=True)
    judge(tmp_path, "--update-baseline", "baseline", "--", "./old", "20")
    assert len(lines(tmp_path / "baseline")) == 1
    known = "new 0, grown 0, known 1, fixed 0, suppressed 0"
    base = ["--baseline", "baseline", "--", "/bin/sh", "-c"]
    assert judge(tmp_path, *base, "./new 20").totals == known
    assert judge(tmp_path, *base, "./new 2; ./old 20").totals == known
    r = judge(tmp_path, *base, "./new 3; ./old 20", status=FOUND)
    assert r.totals == "new 0, grown 1, known 0, fixed 0, suppressed 0"
    judge(tmp_path, "--update-baseline", "baseline", "--", "/bin/sh", "-c", "./new 3; ./old 20")
    assert sorted(line.split()[0] for line in lines(tmp_path / "baseline")) == ["new", "old"]
    assert judge(tmp_path, *base, "./new 3; ./old 20").totals == known


def test_first_version_is_read(tmp_path):
    """Its lines are of whole call stacks; an update writes those of functions."""
    build(tmp_path, CALLERS)
    baseline = tmp_path / "baseline"
    argv = "--", "./p", ALL_LOST
    answer = json.loads(execute([ULLAGE, "check", "-q", "--format=json", *argv],
                                cwd=tmp_path).text())
    found, = answer["findings"]
    baseline.write_text("# ullage baseline 1\n" + "".join(
        f"p definite {s['fingerprint']} {s['fingerprint_loose']} {s['blocks']} {s['bytes']}\n"
        for s in found["stacks"]))
    assert len(lines(baseline)) == 2
    known = "new 0, grown 0, known 1, fixed 0, suppressed 0"
    assert judge(tmp_path, "--baseline", baseline, *argv).totals == known
    judge(tmp_path, "--update-baseline", baseline, *argv)
    line, = lines(baseline)
    assert f" definite {found['fingerprint']} " in line and " 40 4000 " in line
    assert judge(tmp_path, "--baseline", baseline, *argv).totals == known
    # Part of the stacks alone: the others are new stacks of what is known.
    baseline.write_text("# ullage baseline 1\n" + "".join(
        f"p definite {s['fingerprint']} 0 {s['blocks']} {s['bytes']}\n"
        for s in found["stacks"][:1]))
    r = judge(tmp_path, "--baseline", baseline, *argv, status=FOUND)
    assert r.totals == "new 0, grown 1, known 0, fixed 0, suppressed 0"


# ---- merges ---------------------------------------------------------------------------

def test_union_of_two_branches(project, baseline):
    """In any order, with lines that both sides have accepted: the larger figure counts."""
    text = baseline.read_text()
    one = next(line for line in lines(baseline) if line.startswith("t_forgets"))
    baseline.write_text(text + "\n# a comment\n" + one.replace(" 10 30 ", " 5 15 ") + "\n")
    passes(project, baseline)
    head, *rest = text.splitlines(keepends=True)
    baseline.write_text(head + "".join(reversed(rest)))
    passes(project, baseline)
    project.check("--update-baseline", baseline)
    assert baseline.read_text() == text


def test_death_by_signal_keeps_its_status(project, baseline):
    r = project.check("--baseline", baseline, script=SCRIPT.replace("exit 0", "kill -9 $$"),
                      status=-signal.SIGKILL)
    assert "fixed 0" in r.totals


# ---- bad input --------------------------------------------------------------------------

BAD = [("", "empty"), ("something else\n", "not a baseline"),
       ("# ullage baseline 3\n", "another version"),
       ("# ullage baseline 1\n<<<<<<< HEAD\n", ":2: a conflict"),
       ("# ullage baseline 1\nt definite 12\n", ":2: 'PROGRAM KIND"),
       ("# ullage baseline 1\nt definitely 1 2 3 4\n", ":2: 'PROGRAM KIND"),
       ("# ullage baseline 1\nt definite 1 2 3 4 5\n", ":2: 'PROGRAM KIND"),
       ("# ullage baseline 1\nt\n", ":2: 'PROGRAM KIND")]


@pytest.mark.parametrize("text,reason", BAD, ids=[b[1] for b in BAD])
def test_bad_baselines(tmp_path, text, reason):
    file = tmp_path / "baseline"
    file.write_text(text)
    for option in "--baseline", "--update-baseline":
        r = execute([ULLAGE, "check", option, file, "--", "true"])
        assert r.status == 2 and r.said.count("\n") == 1 and reason in r.said
        assert file.read_text() == text


def test_unusable_baselines(tmp_path):
    r = execute([ULLAGE, "check", "--baseline", tmp_path / "none", "--", "true"])
    assert r.status == 2 and "--update-baseline makes one" in r.said
    r = execute([ULLAGE, "check", "--baseline", tmp_path, "--", "true"])
    assert r.status == 2 and f"{tmp_path}: cannot be read: Is a directory" in r.said
    r = execute([ULLAGE, "check", "--update-baseline", tmp_path / "no" / "file", "--", "true"])
    assert r.status == 1 and "cannot write the baseline" in r.said
    for option in "--grow-blocks=x", "--grow-percent=-1":
        assert execute([ULLAGE, "check", option, "--", "true"]).status == 2
