"""Suppressions mean what they mean to the tool that their syntax is of."""

import json
import re
import subprocess

import pytest

from harness import SOURCES, ULLAGE, execute, program, tool

FOUND = 99
pytestmark = pytest.mark.usefixtures("recordings_apart")

# by bytes: with what it drags along, and alone
NAMES = {144: "cage", 104: "cage", 8: "make", 33: "deep", 6: "copy", 15: "zeroed", 71: "line"}
ALL = set(NAMES.values())


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Plain, and for LeakSanitizer."""
    directory = tmp_path_factory.mktemp("accepted")
    for name, flags in ("plain", []), ("lsan", ["-fsanitize=address"]):
        subprocess.run([tool("g++", "c++"), "-O0", "-g", *flags, "-o", directory / name,
                        SOURCES / "accepted.cc"], check=True)
    return directory


def names(pattern, text):
    return {NAMES[int(n.replace(",", ""))] for n in re.findall(pattern, text, flags=re.M)}


def by_ullage(built, *options, status=None):
    r = execute([ULLAGE, "check", "--format=json", *options, "--", "./plain"], cwd=built)
    assert r.status in ((status,) if status is not None else (0, FOUND)), r.said
    found = [f for f in json.loads(r.text())["findings"] if f["state"] == "new"]
    r.left = {NAMES[s["bytes"]] for f in found if f["kind"] == "definite" for s in f["stacks"]}
    assert r.status == (FOUND if r.left else 0)
    return r


def by_valgrind(built, file):
    r = execute([tool("valgrind"), "--leak-check=full", f"--suppressions={file}",
                 "./plain"], cwd=built)
    assert r.status == 0 and "FATAL" not in r.all_stderr.decode(), r.all_stderr
    return names(r"== ([\d,]+) (?:\(.*?\) )?bytes in \S+ blocks are definitely lost",
                 r.all_stderr.decode())


def by_lsan(built, file):
    r = execute(["./lsan"], cwd=built, env={
        "LSAN_OPTIONS": f"suppressions={file}", "ASAN_OPTIONS": "detect_leaks=1"})
    text = r.all_stderr.decode()
    if "LeakSanitizer has encountered a fatal error" in text:
        pytest.skip("LeakSanitizer does not work here (ptrace)")
    return names(r"Direct leak of (\d+) byte", text)


def block(*frames, kind="Leak", kinds=None):
    lines = ["a name", f"Memcheck:{kind}", *([f"match-leak-kinds: {kinds}"] if kinds else []),
             *frames]
    return "# comment\n\n{\n" + "".join(f"   {line}\n" for line in lines) + "}\n"


VALGRIND = [
    block("fun:malloc", "fun:_ZL4deepim"),
    block("fun:malloc", "fun:_ZL4deepim", "fun:_ZL4deepim", "...", "fun:main"),
    block("fun:malloc", "fun:_ZL4deepim", "fun:main"),
    block("...", "fun:main"),
    block("...", "fun:_ZN3zoo*"),
    block("...", "fun:*copy*", "fun:*lose*"),
    block("fun:*", "fun:_ZL*"),
    block("fun:*alloc", "..."),
    block("fun:malloc", "fun:strdup"),
    block("fun:_Znwm", "fun:_ZN3zoo4cageEi"),
    block("fun:_Znam", "fun:_ZL4linem"),
    block("fun:_Zn?m", "fun:_Z*", "...", "fun:main"),
    block("fun:_Znwm", "fun:_ZN3zoo4makeIdEEPT_v", kinds="definite"),
    block("fun:_Znwm", "fun:_ZN3zoo4makeIdEEPT_v", kinds="possible,reachable"),
    block("fun:_Znwm", "fun:_ZN3zoo4makeIdEEPT_v", kinds="all"),
    block("...", "obj:*/plain"),
    block("obj:*vgpreload_memcheck*", "obj:*/libc.so.6"),
    block("fun:malloc", "obj:*/plain", "fun:_ZL4deepim"),
    block("...", "src:accepted.cc:16"),
    block("fun:free", "...", kind="Free"),
    block("fun:malloc", "fun:_ZL4deepim", kind="Cond"),
    block("fun:deep"),
    block("fun:_ZL4deepim"),
    block("fun:malloc", "fun:_ZL4deepim") + block("fun:calloc", "fun:_ZL6zeroedm"),
]


@pytest.mark.parametrize("text", VALGRIND, ids=lambda t: " ".join(t.split()[3:])[:60])
def test_valgrind_suppressions(built, tmp_path, text):
    file = tmp_path / "s.supp"
    file.write_text(text)
    assert by_ullage(built, f"--suppressions={file}").left == by_valgrind(built, file)


LSAN = ["leak:deep", "leak:^deep", "leak:^dee", "leak:eep$", "leak:^deep(", "leak:^deep$",
        "leak:zoo::", "leak:zoo::cage", "leak:zoo::*ake", "leak:zoo*<double>", "leak:^zoo*)$",
        "leak:main", "leak:accepted.cc", "leak:nothing", "leak:lose()", "leak:copy\nleak:line",
        "# comment\n\nleak:zeroed\n", "leak:line(unsigned long)", "leak:*", "leak:d*p",
        "leak:^main$", "leak:Cage::Cage"]


@pytest.mark.parametrize("text", LSAN)
def test_lsan_suppressions(built, tmp_path, text):
    file = tmp_path / "s.supp"
    file.write_text(text)
    assert by_ullage(built, f"--suppressions={file}").left == by_lsan(built, file)


def test_what_matched_is_told(built, tmp_path):
    """And what never did; several files, of both syntaxes."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("leak:deep\n# so\nleak:no such thing\n")
    two.write_text(block("fun:_Znwm", "fun:_ZN3zoo4cageEi"))
    r = by_ullage(built, f"--suppressions={one}", f"--suppressions={two}")
    assert r.left == ALL - {"deep", "cage"}
    assert "new 3, suppressed 2" in r.said
    assert "suppressed by deep (one:1): 1 stack, 33 B in 1 block" in r.said
    assert "suppressed by a name (two:4): 1 stack, 144 B in 2 blocks" in r.said
    assert "suppressions without a match: no such thing (one:3)\n" in r.said


@pytest.mark.parametrize("syntax", ["valgrind", "lsan"])
def test_suppressions_are_made(built, tmp_path, syntax):
    """Those of all that was found leave nothing, here and with the tool itself."""
    file = tmp_path / "made"
    assert by_ullage(built, f"--gen-suppressions={syntax}:{file}").left == ALL
    r = by_ullage(built, f"--suppressions={file}", status=0)
    assert re.search("new 0, suppressed [1-6]\n", r.said)
    assert (by_lsan if syntax == "lsan" else by_valgrind)(built, file) == set()


INLINED = """#include <stdlib.h>
static inline __attribute__((always_inline)) char *make(void) { return malloc(20); }
static inline __attribute__((always_inline)) void drop(char *p) { free(p); }
int main(void) { char *p = make(); *(volatile char *)p = 1; p = make(); *(volatile char *)p = 1;
  drop(p); __asm__("" : "+r"(p)); drop(p); p = 0; }
"""


def test_what_is_inlined_is_suppressed_as_made(tmp_path):
    """With debug information and without, which does not know of inlined functions."""
    (tmp_path / "inlined.c").write_text(INLINED)
    for options in ["-g"], []:
        subprocess.run([tool("gcc"), "-O2", "-w", *options, "-o", "inlined", "inlined.c"],
                       cwd=tmp_path, check=True)
        argv = ["--keep-going", "--", "./inlined"]
        if options:
            r = execute([ULLAGE, "check", "--gen-suppressions=valgrind:made", *argv], cwd=tmp_path)
            assert r.status == FOUND and "2 findings" in r.said
        r = execute([ULLAGE, "check", "--suppressions=made", *argv], cwd=tmp_path)
        assert r.status == 0 and "new 0, suppressed 2" in r.said, r.said
        r = execute([tool("valgrind"), "--leak-check=full", "--suppressions=made", "./inlined"],
                    cwd=tmp_path)
        assert "ERROR SUMMARY: 0 errors" in r.all_stderr.decode(), r.all_stderr


def test_bad_frees_are_suppressed(tmp_path):
    file = tmp_path / "s.supp"
    argv = [ULLAGE, "check", "--keep-going", "--fail-on=bad-free",
            f"--suppressions={file}", "--", program("misuse"), "small"]
    file.write_text(block("fun:free", "fun:free_again", "...", "fun:main", kind="Free"))
    r = execute(argv)
    assert r.status == 0 and "new 0, suppressed 1" in r.said
    file.write_text(block("fun:free", "fun:free_again", "...", "fun:main"))
    assert execute(argv).status == FOUND


BAD = [("leek:deep\n", 1, "leak:PATTERN"), ("leak:deep\nleak:\n", 2, "leak:PATTERN"),
       ("{\n}\n", 2, "name"), ("{\n  a\n}\n", 3, "TOOL:KIND"), ("{\n", 1, "name"),
       ("{\n  a\n  Memcheck:Leak\n  fun:f\n", 4, "without '}'"),
       ("{\n  a\n  Memcheck:Leak\n}\n", 4, "no frame"),
       ("{\n  a\n  Memcheck:Leak\n  fan:f\n}\n", 4, "not 'fan:f'"),
       ("{\n  a\n  Memcheck:Leak\n  fun:\n}\n", 4, "pattern"),
       ("{\n  a\n  Memcheck:Leak\n  match-leak-kinds: lost\n  fun:f\n}\n", 4, "'lost'"),
       ("{\n  a\n  Memcheck:Cond\n  fun:f\n", 4, "without '}'"),
       ("{\n  a\n  Memcheck:leak\n  fun:f\n}\n", 3, "no kind 'leak'"),
       ("{\n  a\n  Memcheck:Leak\n  fun:f\n}\nleak:g\n", 6, "'{' expected")]


@pytest.mark.parametrize("text,line,reason", BAD, ids=[b[2] for b in BAD])
def test_malformed_suppressions(tmp_path, text, line, reason):
    file = tmp_path / "bad.supp"
    file.write_text(text)
    r = execute([ULLAGE, "check", f"--suppressions={file}", "--", "true"])
    assert r.status == 2 and r.said.count("\n") == 1
    assert f"{file}:{line}: " in r.said and reason in r.said
    r = execute([ULLAGE, "check", f"--suppressions={tmp_path}/none", "--", "true"])
    assert r.status == 2 and "No such file" in r.said
    r = execute([ULLAGE, "check", f"--suppressions={tmp_path}", "--", "true"])
    assert r.status == 2 and f"{tmp_path}: Is a directory" in r.said


def test_what_is_known_is_suppressed(tmp_path):
    """What libc, the loader and libstdc++ keep; what else is reachable is told."""
    source = tmp_path / "kept.cc"
    source.write_text("""
        #include <cstdio>
        #include <cstdlib>
        #include <dlfcn.h>
        #include <string>
        void *kept;
        int main(int argc, char **) {
          std::string text(1000, 'x');
          printf("%s\\n", text.c_str());
          if (argc > 1) kept = malloc(77);
          return !dlopen("libm.so.6", RTLD_NOW) + !dlopen("libz.so.1", RTLD_NOW) * 0;
        }""")
    subprocess.run([tool("g++", "c++"), "-g", "-o", tmp_path / "kept", source], check=True)
    argv = [ULLAGE, "check", "--fail-on=definite,possible,reachable", "--", "./kept"]
    r = execute(argv, cwd=tmp_path)
    assert r.status == 0, r.said
    for known in "buffers of streams", "tables of loaded objects", "room for exceptions":
        assert f"suppressed by {known}" in r.said
    assert "(known to ullage)" in r.said and "without a match" not in r.said
    r = execute([*argv, "more"], cwd=tmp_path)
    assert r.status == FOUND and "77 B in 1 block  main kept.cc:" in r.said
    assert "new 1," in r.said
