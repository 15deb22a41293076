"""`ullage check`: a verdict on every process of a suite, that a CI can trust."""

import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import ROOT, ULLAGE, build_suite, execute, program, tool

SUITE = ROOT / "tests" / "suite"
FOUND = 99


def line_of(source, mark):
    for number, line in enumerate((SUITE / source).read_text().splitlines(), 1):
        if f"MARK {mark}" in line:
            return number
    raise AssertionError(mark)


@pytest.fixture(scope="session")
def suite(tmp_path_factory):
    """The ten tests, built as they are: a directory."""
    directory = tmp_path_factory.mktemp("suite")
    build_suite(directory, [source.stem for source in SUITE.glob("t_*.c")])
    return directory


@pytest.fixture
def check(suite, tmp_path):
    """`ullage check` there; nothing may be left behind but what is said."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def run(*argv, cwd=suite, env=None, **more):
        e = {"TMPDIR": str(temporary)}
        e.update(env or {})
        before = set(os.listdir(cwd))
        r = execute([ULLAGE, "check", *argv], cwd=cwd, env=e, **more)
        assert set(os.listdir(cwd)) == before
        r.findings = [re.sub(" {2,}", "  ", f) for f in
                      re.findall(r"^ullage: +\d+  (.*)$", r.said, flags=re.M)]
        kept = re.search(r"^ullage: details: ullage leaks (\S+)$", r.said, flags=re.M)
        r.kept = kept and Path(kept[1])
        assert not r.kept or r.kept.exists()
        assert os.listdir(temporary) == ([r.kept.parent.name] if r.kept
                                         and r.kept.parent.parent == temporary else [])
        for folder in temporary.glob("ullage-check.*"):
            shutil.rmtree(folder)
        return r
    return run


# (program, status, what is found)
TESTS = [
    ("t_fine", 0, []),
    ("t_forgets", FOUND, ["leak  30 B in 10 blocks  render core.c:{render} < "
                          "main t_forgets.c:{forgets}  [t_forgets]"]),
    ("t_list", FOUND, ["leak  45 B in 4 blocks  list_push core.c:{list_push} < "
                       "main t_list.c:{list}  [t_list]"]),
    ("t_aborts", -signal.SIGABRT, ["leak  7 B in 1 block  render core.c:{render} < "
                                   "main t_aborts.c:{aborts}  [t_aborts]"]),
    ("t_forks", FOUND, ["leak  7 B in 1 block  render core.c:{render} < "
                        "main t_forks.c:{forks}  [t_forks, a child]"]),
    ("t_should_fail", FOUND, ["leak  7 B in 1 block  render core.c:{render} < "
                              "main t_should_fail.c:{should_fail}  [t_should_fail]"]),
    ("t_skips", FOUND, ["leak  6 B in 1 block  render core.c:{render} < "
                        "main t_skips.c:{skips}  [t_skips]"]),
    ("t_third", FOUND, ["leak  512 B in 1 block  third_init third.c:{third} < "
                        "main t_third.c:3  [t_third]"]),
    ("t_crashes", -signal.SIGSEGV, []),
]


def expected(finding):
    sources = {"render": "core.c", "list_push": "core.c", "third": "third.c"}
    return re.sub(r"\{(\w+)\}",
                  lambda m: str(line_of(sources.get(m[1], f"t_{m[1]}.c"), m[1])), finding)


@pytest.mark.short
@pytest.mark.parametrize("name,status,found", TESTS, ids=[t[0] for t in TESTS])
def test_verdicts_of_the_ten(check, name, status, found):
    r = check("--", f"./{name}")
    assert r.status == status
    assert r.findings == [expected(f) for f in found]
    assert ("check failed" in r.said) == bool(found)
    assert ("t_crashes (SIGSEGV)" in r.said) == (name == "t_crashes")


@pytest.mark.short
@pytest.mark.parametrize("options,status", [([], -signal.SIGABRT), (["--keep-going"], FOUND)])
def test_double_free_is_found(check, options, status):
    """A test that fails natively must not turn green."""
    r = check(*options, "--", "./t_double_free")
    assert r.status == status
    assert "check failed: 1 finding in 1 process\n" in r.said
    found, = r.findings
    assert found.startswith(f"double free  1 time  main t_double_free.c:"
                            f"{line_of('t_double_free.c', 'freed again')}")
    assert f"allocated render core.c:{line_of('core.c', 'render')}" in found
    assert f"freed first main t_double_free.c:{line_of('t_double_free.c', 'freed first')}" in found


MISUSES = [(["small"], "double free"), (["large", "200"], "double free"),
           (["inside"], "invalid free"), (["realloc"], "realloc after free")]


@pytest.mark.parametrize("argv,what", MISUSES, ids=lambda v: str(v))
def test_bad_frees_end_the_program(check, recorder, argv, what):
    r = check("--", program("misuse"), *argv)
    assert r.status == -signal.SIGABRT and r.stdout == b""
    assert r.findings[0].startswith(what)
    for value, status in [(what.replace(" ", "-"), -signal.SIGABRT), ("all", -signal.SIGABRT),
                          ("none", 0), ("something", 0)]:
        r = recorder.run(program("misuse"), *argv, env={"ULLAGE_ABORT_ON": value})
        assert r.status == status, value
        assert ("using none" in r.said) == (value == "something")


def test_bad_frees_are_told_once_per_pair_of_places(check):
    """Those beyond the places that are kept are counted, in children too."""
    r = check("--keep-going", "--programs=all", "--", program("misuse"), "many")
    assert r.status == FOUND
    assert sum(int(f.split()[2]) for f in r.findings) == 139
    rest, = (f for f in r.findings if "(no stack)" in f)
    assert rest.startswith("double free  8 times")
    assert all("allocated many misuse.c" in f for f in r.findings if f != rest)
    r = check("--keep-going", "--programs=all", "--", program("misuse"), "child")
    assert r.findings[0].endswith("[misuse, a child]")


def test_mismatched_frees_fail_if_that_is_asked_for(check):
    argv = ["--programs=all", "--", program("mismatch"), "array_free", "sized_delete"]
    assert check(*argv).status == 0
    r = check("--fail-on=mismatch", *argv)
    assert r.status == FOUND and len(r.findings) == 2
    assert any(f.startswith("mismatched free  1 time  array_free mismatch.cc:") and
               "(new[], then free)" in f for f in r.findings)
    assert any(f.startswith("missized free") and "(of 8, freed as 16)" in f for f in r.findings)
    r = check(*argv[:-2], env={"ULLAGE_ABORT_ON": "none"})
    assert r.status == 0


# ---- statuses: the table of docs/guide.md ------------------------------------------

def test_status_of_the_program(check):
    """Without findings it is the program's own."""
    for status in (0, 1, 77, 255):
        assert check("--", "/bin/sh", "-c", f"exit {status}").status == status
    r = check("--", "/bin/sh", "-c", "kill -TERM $$")
    assert r.status == -signal.SIGTERM


def test_status_if_there_are_findings(check):
    assert check("--exit-code=7", "--", "./t_forgets").status == 7
    assert check("--exit-code=7", "--", "./t_skips").status == 7
    assert check("--exit-code=7", "--", "./t_fine").status == 0
    for name, status in ("t_forgets", 0), ("t_skips", 77):
        r = check("--exit-code=0", "--", f"./{name}")
        assert r.status == status and len(r.findings) == 1


def test_status_of_what_cannot_be_recorded(check, tmp_path):
    assert check("--", "./no-such-program").status == 127
    assert check("--", "./t_fine.c").status == 127
    static = tmp_path / "static"
    source = tmp_path / "static.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run([tool("gcc"), "-static", "-o", static, source], check=True)
    assert check("--", str(static)).status == 126
    assert check("--", "./t_fine", env={"TMPDIR": str(tmp_path / "nowhere")}).status == 1


def test_program_that_throws_ullage_away_does_not_pass(check):
    """It is not known what became of it."""
    for argv in (["/usr/bin/env", "-u", "LD_PRELOAD", "./t_fine"],
                 ["/bin/sh", "-c", "./t_fine; LD_PRELOAD= exec ./t_fine"]):
        r = check("--", *argv)
        assert r.status == 1, r.said
        assert "not checked: t_fine (it was started without LD_PRELOAD)" in r.said
        assert "not recorded, or not to its end" in r.said
    r = check("--", "/bin/sh", "-c", "(LD_PRELOAD= exec ./t_fine); ./t_skips")
    assert r.status == FOUND


def test_status_if_the_recording_cannot_be_made(check):
    """Never 0; but what the program says stays."""
    def forbid():
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    r = check("--", "./t_fine", preexec_fn=forbid)
    assert r.status == 1 and "./t_fine was not recorded" in r.said
    assert check("--", "./t_skips", preexec_fn=forbid).status == 77


USAGE = [["--exit-code=256", "--", "true"], ["--fail-on=nothing", "--", "true"],
         ["--fail-on=definite,", "--", "true"], ["--min-bytes=x", "--", "true"],
         ["--allow-blocks=1Q", "--", "true"], ["--format=yaml", "--", "true"],
         ["--format=text:", "--", "true"], ["--no-such-option", "--", "true"],
         ["-o", "x", "recording"], ["--"], []]


@pytest.mark.parametrize("argv", USAGE, ids=" ".join)
def test_wrong_usage(check, argv):
    r = check(*argv)
    assert r.status == 2 and r.stdout == b""
    assert r.all_stderr.count(b"\n") == 1 and "ullage check --help" in r.said


# ---- whom to judge -------------------------------------------------------------------

SCRIPT = "./t_forgets; /bin/true; ./t_fine; exit 3"


def test_programs_below_the_directory_are_judged(check):
    r = check("--", "/bin/sh", "-c", SCRIPT)
    assert r.status == FOUND and len(r.findings) == 1
    assert "1 finding in 2 processes" in r.said
    assert re.search(r"^ullage: not judged: (da|ba)?sh$", r.said, flags=re.M)


def test_who_is_named_is_judged_if_nobody_is_ours(check, tmp_path):
    r = check("--", program("leaks"), cwd=tmp_path)
    assert r.status == FOUND and "leaks" in "".join(r.findings)


def test_programs_by_pattern(check):
    assert check("--programs=t_fo*s", "--", "/bin/sh", "-c", SCRIPT).status == FOUND
    r = check("--programs=t_fine", "--", "/bin/sh", "-c", SCRIPT)
    assert re.search(r"^ullage: not judged: (da|ba)?sh$", r.said, flags=re.M)
    assert r.status == 3 and "nothing found in 1 process" in r.said
    r = check("--programs=all", "--", "/bin/sh", "-c", SCRIPT)
    assert r.status == FOUND and "not judged" not in r.said


def test_pattern_that_no_program_has_is_no_verdict(check):
    for verdict in check("--programs=t_nobody", "--", "/bin/sh", "-c", "./t_forgets; ./t_fine"), \
            check("--programs=./t_*", "--", "./t_forgets"):
        assert verdict.status == 1 and verdict.said.count("\n") == 1, verdict.said
        assert re.match(r"ullage: --programs=\S+: there was no such program", verdict.said)
    r = check("--programs=t_nobody", "--", "/bin/sh", "-c", SCRIPT)
    assert r.status == 3 and "no such program" in r.said


def test_module_that_nobody_has_loaded_is_no_verdict(check):
    """Else a slip would let all leaks pass; and nothing is hidden if nothing is found."""
    for module, status in ("libnosuch.so*", 1), ("t_forg*", FOUND), ("libc.so*", 0):
        r = check(f"--ours={module}", "--ours=only", "--", "/bin/sh", "-c",
                  "./t_forgets; ./t_fine")
        assert r.status == status, r.said
        if status == 1:
            assert r.said.count("\n") == 1 and "no process has loaded such a module" in r.said
    assert check("--ours=libnosuch.so", "--ours=only", "--", "./t_fine").status == 0
    r = check("--ours=libnosuch.so", "--not-ours=libno*", "--ours=libc.so*", "--", "./t_forgets")
    assert r.status == FOUND and re.search(
        r"^ullage: without a match in what was found: --ours=libnosuch.so, --not-ours=libno\*$",
        r.said, flags=re.M), r.said


def test_whose_code_it_is_is_not_known_without_sources(check, tmp_path):
    (tmp_path / "src").mkdir()
    build_suite(tmp_path, ["t_forgets"])
    r = check("--ours=src", "--ours=only", "--", "./t_forgets", cwd=tmp_path)
    assert r.status == 0 and "without a match in what was found: --ours=" in r.said
    subprocess.run([tool("strip"), tmp_path / "t_forgets"], check=True)
    r = check("--ours=src", "--ours=only", "--", "./t_forgets", cwd=tmp_path)
    assert r.status == 1 and r.said.count("\n") == 1 and "no source is known" in r.said
    assert check("--ours=only", "--", "./t_forgets", cwd=tmp_path).status == FOUND


def test_each_child_is_judged(check):
    """However many, and small, and short: heirs.c has children that lose 100 KiB, or
    nothing."""
    r = check("--programs=all", "--", program("heirs"), "lose", "150")
    assert r.status == FOUND
    assert "149 more processes" in r.said and "in 151 processes" in r.said


def test_forked_children_of_a_runner_are_not_judged(check, tmp_path):
    """Nor do they make it anybody's; without any of ours they are judged with it."""
    script = "(:; :) ; (:; :); "
    r = check("--", "/bin/sh", "-c", script + "./t_fine")
    assert r.status == 0 and "nothing found in 1 process\n" in r.said
    r = check("--", "/bin/sh", "-c", script + ":", cwd=tmp_path)
    assert r.status == 0 and "nothing found in 3 processes\n" in r.said


def test_programs_that_cannot_be_recorded_are_listed(check, suite, tmp_path):
    static = suite / "t_static"
    source = tmp_path / "static.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run([tool("gcc"), "-static", "-o", static, source], check=True)
    try:
        for options, status in ([], 0), (["--strict"], FOUND):
            r = check(*options, "--", "/bin/sh", "-c", "./t_static; ./t_fine")
            assert r.status == status
            assert "not checked: t_static (it cannot have ullage" in r.said
    finally:
        static.unlink()


@pytest.mark.parametrize("without", ["env -u LD_PRELOAD", "env -i"])
def test_program_whose_preload_is_taken_away_is_not_checked(check, without):
    for options, status in ([], 0), (["--strict"], FOUND):
        r = check(*options, "--", "/bin/sh", "-c", f"{without} ./t_forgets; ./t_fine")
        assert r.status == status
        assert "not checked: t_forgets (it was started without LD_PRELOAD)" in r.said


def test_passed_is_not_said_of_a_program_that_failed_without_a_word(check):
    r = check("--", "/bin/sh", "-c", "./t_fine; exit 3")
    assert r.status == 3
    assert r.said.endswith("ullage: sh itself failed: status 3, which is passed on\n")


def test_each_of_many_that_cannot_be_recorded_is_told_by_its_name(check, tmp_path):
    (tmp_path / "static.c").write_text("int main(void) { return 0; }\n")
    names = [f"static_{i}" for i in range(40)]
    subprocess.run([tool("gcc"), "-static", "-o", names[0], "static.c"], cwd=tmp_path, check=True)
    for name in names[1:]:
        os.link(tmp_path / names[0], tmp_path / name)
    script = "for i in static_*; do ./$i; done"
    r = check("--strict", "--format=json", "--", "/bin/sh", "-c", script, cwd=tmp_path)
    programs = [p["program"] for p in json.loads(r.stdout)["processes"]]
    assert sorted(map(os.path.basename, programs)) == sorted([*names, os.path.basename(
        os.path.realpath("/bin/sh"))])


def test_many_programs_do_not_need_as_many_descriptors(check, suite, tmp_path):
    """The symbols of all are read, and those of what they have in common once."""
    for i in range(200):
        os.link(suite / "t_skips", tmp_path / f"t_{i}")

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
    r = check("--", "/bin/sh", "-c", "for i in ./t_*; do $i; done; exit 0", cwd=tmp_path,
              preexec_fn=limit)
    assert r.status == FOUND and len(r.findings) == 1
    assert "1 finding in 200 processes" in r.said and "not checked" not in r.said
    assert r.findings[0].startswith("leak  1.2 KiB in 200 blocks")


def test_what_valgrind_runs_is_not_checked(check):
    """A suite may run its tests so by itself, if it finds valgrind: none of them is clean."""
    script = f"{tool('valgrind')} -q --error-exitcode=0 ./t_fine; {tool('valgrind')} -q true; :"
    r = check("--", "/bin/sh", "-c", script + " ./t_skips; :")
    assert re.search(r"^ullage: not checked: t_fine \(it cannot have ullage: .* in valgrind\)$",
                     r.said, flags=re.M), r.said
    r = check("--strict", "--", "/bin/sh", "-c", script)
    assert r.status == FOUND and len(r.findings) == 1 and "[t_fine]" in r.findings[0]


def test_strict_wants_to_know(check):
    r = check("--strict", "--", "/bin/sh", "-c", "./t_crashes; true")
    assert r.status == FOUND and "not checked" in r.findings[0]
    assert check("--", "/bin/sh", "-c", "./t_crashes; true").status == 0


# ---- what fails ------------------------------------------------------------------------

def test_what_fails(check):
    assert check("--fail-on=possible", "--", "./t_forgets").status == 0
    assert check("--fail-on=possible,definite", "--", "./t_forgets").status == FOUND
    r = check("--fail-on=indirect", "--", "./t_list")
    assert r.status == FOUND and sum("indirect leak" in f for f in r.findings) == len(r.findings)
    assert check("--fail-on=bad-free", "--", "./t_forgets").status == 0
    r = check("--fail-on=reachable", "--", "/bin/sh", "-c", "./t_fine")
    assert r.status == 0


def test_thresholds(check):
    for options, status in [(["--min-bytes=31"], 0), (["--min-bytes=30"], FOUND),
                            (["--min-blocks=11"], 0), (["--min-blocks=10"], FOUND),
                            (["--allow-bytes=29"], FOUND), (["--allow-bytes=30"], 0),
                            (["--allow-bytes=1K", "--allow-blocks=9"], FOUND),
                            (["--allow-blocks=10"], 0)]:
        assert check(*options, "--", "./t_forgets").status == status, options
    r = check("--allow-bytes=29", "--", "./t_double_free")
    assert r.status in (FOUND, -signal.SIGABRT)


# ---- recordings --------------------------------------------------------------------------

def test_recordings_are_judged(suite, check, tmp_path):
    file = tmp_path / "kept"
    r = check("-o", file, "--", "./t_forks")
    assert r.status == FOUND and file.exists()
    again = check(file)
    assert again.status == FOUND and again.findings == r.findings
    assert check("--fail-on=possible", file).status == 0
    assert check(tmp_path / "missing").status == 1
    assert check(SUITE / "core.c").status == 1


def test_quiet_is_quiet(suite, tmp_path):
    for name, status in ("t_forgets", FOUND), ("t_fine", 0), ("t_crashes", -signal.SIGSEGV):
        r = execute([ULLAGE, "check", "-q", "-o", tmp_path / name, "--", f"./{name}"], cwd=suite)
        assert (r.status, r.stdout, r.all_stderr) == (status, b"", b"")


# ---- whole suites --------------------------------------------------------------------------

ALL = {f.split("  ")[-1] for _, _, found in TESTS for f in found} | {"[t_double_free]"}


def run_suite(check, cwd, *argv):
    """Plain, and under check: the tests' own results are the same."""
    plain = execute(argv, cwd=cwd)
    r = check("--all", "--", *argv, cwd=cwd)
    assert r.status == FOUND
    where = re.findall(r"^ullage:  .*(\[t_.*\])$", r.said, flags=re.M)
    render, = (w for w in where if "stacks" in w)  # which five of the tests forget to free
    assert set(where) - {render} == ALL and ", 5 stacks]" in render
    assert len(r.findings) == 4
    assert "in 10 processes" in r.said or "in 9 processes" in r.said
    assert "t_crashes (" in r.said
    return plain, r


def results(text, pattern):
    return sorted(re.findall(pattern, text))


@pytest.mark.seconds(300)
def test_ctest(check, tmp_path):
    build = tmp_path / "build"
    build.mkdir()
    for argv in ([tool("cmake"), SUITE], [tool("make")]):
        assert execute(argv, cwd=build).status == 0
    execute([tool("ctest")], cwd=build)
    plain, r = run_suite(check, build, tool("ctest"), "-j2")
    pattern = r"Test +#\d+: (\w+) \.+ *\**(\w+)"
    assert results(plain.text(), pattern) == results(r.text(), pattern)


@pytest.mark.seconds(300)
def test_meson(check, tmp_path):
    build = tmp_path / "build"
    assert execute([tool("meson"), "setup", build, SUITE]).status == 0
    assert execute([tool("ninja"), "-C", build]).status == 0
    execute([tool("meson"), "test"], cwd=build)
    plain, r = run_suite(check, build, tool("meson"), "test", "--no-rebuild")
    pattern = r"\d+/10 +(\w+) +(\w+)"
    assert results(plain.text(), pattern) == results(r.text(), pattern)


@pytest.mark.seconds(300)
def test_automake(check, tmp_path):
    build = tmp_path / "build"
    shutil.copytree(SUITE, build)
    tool("automake")
    for argv in ([tool("autoreconf"), "-i"], ["./configure"], [tool("make"), "check"]):
        r = execute(argv, cwd=build)
        assert r.status == 0 or argv[-1] == "check", r.all_stderr
    for log in build.glob("*.log"):
        log.unlink()
    (build / "test-suite.log").touch()
    plain, r = run_suite(check, build, tool("make"), "check")
    pattern = r"^(\w+): (t_\w+)$"
    assert sorted(re.findall(pattern, plain.text(), flags=re.M)) == \
        sorted(re.findall(pattern, r.text(), flags=re.M))


# ---- causes -----------------------------------------------------------------------------------

# parse forgets every other number. Each test is a program, and has a test function of its own.
PARSER = """
    #include <stdlib.h>
    static void *volatile kept;
    __attribute__((noinline)) char *room(void) { return malloc(10); }
    __attribute__((noinline)) void parse(int item) {
      char *number = room();
      if (item % 2) kept = number, kept = 0; else free(number);
    }
    __attribute__((noinline)) void parse_all(int from, int to) {
      for (int i = 0; i < 9; i++) free(room());
      while (from < to) parse(from++);
    }
    static void test_NAME(void) { FROM < 0 ? parse(1) : parse_all(FROM, FROM + 4); }
    int main(void) { test_NAME(); return 0; }"""
# alloc serves all; each test has forgotten one of what it has asked for, and knows what it did.
ALLOC = """
    #include <stdlib.h>
    static void *volatile kept;
    __attribute__((noinline)) char *alloc(int n) { return malloc(n); }
    __attribute__((noinline)) void forget_NAME(void) { kept = alloc(10); kept = 0; }
    static void test_NAME(void) {
      free(alloc(20)); free(alloc(30)); forget_NAME(); free(alloc(40));
    }
    int main(void) { test_NAME(); return 0; }"""


def build_tests(directory, source):
    """One for each letter, of one common source and one of its own."""
    common, own = source.split("    static void test_NAME")
    if "forget_NAME" in common:
        common, forget = common.split("    __attribute__((noinline)) void forget_NAME")
        own = "(" + own.split("(", 1)[1]
        own = "    static void *volatile kept;\n    __attribute__((noinline)) void forget_NAME" \
            + forget + "    static void test_NAME" + own
    else:
        own = "    static void test_NAME" + own
    (directory / "common.c").write_text(common)
    for number, name in enumerate("abcdef"):
        text = own.replace("NAME", name).replace("FROM", str(number * 3 - 3))
        (directory / f"t_{name}.c").write_text('#include "common.c"\n' + text
                                               .replace("static void *volatile kept;", ""))
        subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", f"t_{name}", f"t_{name}.c"],
                       cwd=directory, check=True)


def test_one_fault_is_one_finding(check, tmp_path):
    """However many tests reach it, by whatever way: a test that calls it once has lost all
    that it asked for, and is not to blame."""
    build_tests(tmp_path, PARSER)
    options = "--", "/bin/sh", "-c", "for t in ./t_[a-f]; do $t; done; :"
    r = check(*options, cwd=tmp_path)
    found, = r.findings
    assert re.match(r"leak  110 B in 11 blocks  parse common\.c:\d+ < ", found), r.said
    assert found.endswith(" and 5 more processes, 6 stacks]")
    r = check("--all", *options, cwd=tmp_path)
    assert len(r.findings) == 1
    stacks = re.findall(r"^ullage: {8}(\d+) B in \d+ blocks?  room .* < main t_(\w)\.c:\d+  "
                        r"\[t_(\w)\]$", r.said, flags=re.M)
    assert sum(int(s[0]) for s in stacks) == 110
    assert sorted(s[1] for s in stacks) == sorted(s[2] for s in stacks) == list("abcdef")


def test_what_several_forget_is_not_who_serves_them(check, tmp_path):
    build_tests(tmp_path, ALLOC)
    r = check("--", "/bin/sh", "-c", "for t in ./t_[a-f]; do $t; done; :", cwd=tmp_path)
    assert sorted(re.findall(r"10 B in 1 block  (\w+) t_\w", "".join(r.findings))) == \
        [f"forget_{name}" for name in "abcdef"], r.said


def test_stacks_are_suppressed_before_they_are_one(check, tmp_path):
    """Thresholds are of the finding that is left."""
    build_tests(tmp_path, PARSER)
    (tmp_path / "supp").write_text("leak:test_b\nleak:test_c\n")
    options = "--", "/bin/sh", "-c", "for t in ./t_[a-f]; do $t; done; :"
    r = check("--suppressions=supp", *options, cwd=tmp_path)
    found, = r.findings
    assert found.startswith("leak  70 B in 7 blocks  parse ") and ", 4 stacks]" in found
    assert "new 1, suppressed 2\n" in r.said
    assert check("--suppressions=supp", "--min-bytes=70", *options, cwd=tmp_path).status == FOUND
    assert check("--suppressions=supp", "--min-bytes=71", *options, cwd=tmp_path).status == 0


# ---- recordings that stay ------------------------------------------------------------------

@pytest.fixture
def place(tmp_path):
    """A $TMPDIR that a shell must quote."""
    directory = tmp_path / "it's a place"
    directory.mkdir()
    return directory


def failing(suite, place, *command):
    r = execute([ULLAGE, "check", "--", *command], cwd=suite, env={"TMPDIR": str(place)})
    assert r.status == FOUND, r.said
    return r


def test_line_for_details_works_as_typed(suite, place):
    """Of a suite the recordings of those stay in whom something was found."""
    script = "./t_fine; ./t_forgets; ./t_crashes; ./t_forks; ./t_forgets; :"
    r = failing(suite, place, "/bin/sh", "-c", script)
    note, line = r.said.splitlines()[-2:]
    assert note == "ullage: recordings stay until 100 later checks have failed; -o FILE keeps them"
    line = line.removeprefix("ullage: details: ")
    shown = execute(["/bin/sh", "-c", line], env={"PATH": f"{ULLAGE.parent}:{os.environ['PATH']}"})
    assert shown.status == 0, shown.all_stderr
    assert "67 B" in shown.text() and "core.c" in shown.text()
    folder, = place.iterdir()
    told = {p.name for p in folder.iterdir()}
    assert "check.ull" in told and len(told - {"check.ull.children"}) == 4


def test_folders_that_stay_are_bounded(suite, place):
    """The oldest go, but for those in use, and what is not one of them."""
    for n in range(103):
        folder = place / f"ullage-check.old{n:03}"
        folder.mkdir()
        (folder / "check.ull").write_bytes(b"")
        os.utime(folder, (n + 1, n + 1))
    for other in "ullage-check.mine", "ullage-check.toolong":
        (place / other).mkdir()
        os.utime(place / other, (0, 0))
    (place / "ullage-check.link00").symlink_to(place / "ullage-check.mine")
    lock = os.open(place / "ullage-check.old000", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    failing(suite, place, "./t_forgets")
    os.close(lock)
    names = sorted(os.listdir(place))
    old = [n for n in names if ".old" in n]
    assert old == ["ullage-check.old000"] + [f"ullage-check.old{n:03}" for n in range(4, 103)]
    assert len(names) == len(old) + 4
    failing(suite, place, "./t_forgets")
    assert len(os.listdir(place)) == 100 + 3


def test_nothing_stays_if_nothing_is_found(suite, place):
    r = execute([ULLAGE, "check", "--", "./t_fine"], cwd=suite, env={"TMPDIR": str(place)})
    assert r.status == 0 and "details" not in r.said and not os.listdir(place)
