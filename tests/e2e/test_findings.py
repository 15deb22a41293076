"""Findings: one function is to blame, and the page names it first."""

import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import program, tool
from recording import Recording
from sums import check_sums

CAUSES = {  # mode: (function, blocks, bytes)
    "cache": ("cache_insert", 4096, 4096 * 64 + 2048),
    "wrapper": ("handler_7", 500, 500 * 300),
    "callers": ("session_new", 5000, 5000 * 300),
    "recursion": ("parse_list", 2000, 2000 * 80),
    "counts": ("compile", 1200, 300 * (700 + 20 + 21 + 24)),
    "pointer": ("importer", 200, 200 * 900),
    "hooks": ("parser_init", 800, 400 * 2060),
    "events": ("request_open", 800, 400 * 3008),
}


@pytest.mark.short
@pytest.mark.parametrize("mode", CAUSES)
@pytest.mark.parametrize("binary", ["causes", "causes_O2"])
def test_cause_is_named_first(recorder, mode, binary):
    function, blocks, size = CAUSES[mode]
    assert recorder.run(program(binary), mode).status == 0
    first, *others = recorder.answer("report")["findings"]
    assert first["kind"] == "leak" and first["frame"]["function"] == function, first
    assert (first["blocks"], first["bytes"]) == (blocks, size), first
    assert not [f for f in others if f["kind"] == "leak"], others
    assert any(f["function"] == "main" for f in first["callers"]), first
    page = recorder.text("report").splitlines()[:12]
    at = next(i for i, line in enumerate(page) if "leak" in line and function in line)
    assert re.search(r" < \.\.\. < main( \(|$)| < \w+ \(.*\) < \w+ \(", page[at + 1]), page


def tree_of_callers(recorder):
    """Bytes and callers of each line of the section, without files and lines."""
    page = recorder.text("report", "--bytes")
    if "WHO CALLS IT" not in page:
        return None
    section = page.split("WHO CALLS IT", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
    lines = [re.sub(r" \(\S+:\d+\)", "", line.strip()) for line in section]
    return [re.sub(" +", " ", re.sub(r"^([\d,]+) +\S+ %", r"\1", line)) for line in lines]


def branches_of(branches):
    """As tree_of_callers(), of JSON."""
    return [(b["bytes"], [f["function"] for f in b["frames"]], branches_of(b["branches"]), b["others"])
            for b in branches]


@pytest.mark.short
def test_callers_of_the_first_finding_are_a_tree(recorder):
    """Recursion is in it once, and what comes along one way is one line."""
    assert recorder.run(program("causes"), "routes").status == 0
    first = recorder.answer("report")["findings"][0]
    assert (first["frame"]["function"], first["bytes"]) == ("letter_lose", 100000)
    assert tree_of_callers(recorder) == [
        "70,000 < post", "50,000 < post_abroad < routes < main",
        "20,000 < post_at_home < routes < main",
        "29,000 < answer < routes < main", "< 1 caller with less than 5 %"]
    assert branches_of(first["branches"]) == [
        (70000, ["post"], [(50000, ["post_abroad", "routes", "main"], [], 0),
                           (20000, ["post_at_home", "routes", "main"], [], 0)], 0),
        (29000, ["answer", "routes", "main"], [], 0)]
    assert first["others"] == 1 and "called" not in first
    assert recorder.run(program("causes"), "callers").status == 0
    assert tree_of_callers(recorder) == ["< 500 callers with less than 5 % each"]
    assert recorder.run(program("causes"), "wrapper").status == 0
    assert tree_of_callers(recorder) is None
    first, *others = recorder.answer("report", "--all")["findings"]
    branch, = branches_of(first["branches"])
    assert branch == (150000, ["handle", "wrapper", "main"], [], 0)
    assert not [f for f in others if "branches" in f]


@pytest.mark.short
@pytest.mark.parametrize("mode", ["wrapper", "callers", "tree"])
def test_page_names_one_function_for_one_cause(recorder, mode):
    """The rows below the findings would name the call site, in a wrapper or a helper."""
    assert recorder.run(program("causes"), mode).status == 0
    kind = recorder.answer("report")["findings"][0]["kind"]
    row = {"leak": "leaks", "growth": "growth"}[kind]
    page = recorder.text("report").splitlines()[:12]
    said, = (line for line in page if line.startswith(f"  {row} "))
    assert re.search("definitely lost|call sites? grow", said) and "(causes.c" not in said, page
    assert "(causes.c" in recorder.text(row).splitlines()[0]


@pytest.mark.short
@pytest.mark.parametrize("mode", sorted(CAUSES.keys() - {"events"}))  # where another leaves most unused
def test_the_first_lines_of_other_verbs_name_the_cause_too(recorder, mode):
    function = CAUSES[mode][0]
    assert recorder.run(program("causes"), mode).status == 0
    for verb in "leaks", "unused":
        first = recorder.text(verb).splitlines()[0]
        by = {"leaks": "", "unused": ".* by "}[verb]
        assert re.search(f"; most: {by}{function} \\(causes.c:", first), first
    row = " ".join(recorder.text("report").splitlines()[:12]).split("  unused ")[1]
    assert re.search(f";\\s+most: .* by {function} \\(causes.c:", row), row


@pytest.mark.short
def test_growth_of_many_small_stacks_is_one_finding(recorder):
    assert recorder.run(program("causes"), "growing").status == 0
    first, *others = recorder.answer("report")["findings"]
    assert first["kind"] == "growth" and first["frame"]["function"] == "cache_insert", first
    assert (first["blocks"], first["bytes"], first["stacks"]) == (
        4 * 4096, 4 * (4096 * 64 + 2048), 4096), first
    assert not others


SPREAD = 1000 * 3 // 10  # of each of ten operators
OPERATORS = "add sub mul join split list hash call sort copy".split()


@pytest.mark.short
@pytest.mark.parametrize("binary", ["spread", "spread_O2"])
def test_what_nobody_stands_out_of_is_laid_at_the_loop(recorder, binary):
    assert recorder.run(program(binary), "spread").status == 0
    first, *others = recorder.answer("report")["findings"]
    assert first["spread"] and first["kind"] == "growth", first
    assert first["frame"]["function"] == "interpret", first
    assert (first["blocks"], first["stacks"]) == (10 * SPREAD, 10), first
    assert not others
    page = recorder.text("report")
    assert re.search(r"growth .*: spread over 10 stacks\n"
                     r" +3,000 blocks.*, always through interpret < main", page), page
    assert "WHO CALLS IT" not in page, page
    called = page.split("WHAT IT CALLS  interpret (spread.c:", 1)[1].split("\n\n", 1)[0]
    assert len(re.findall(r"^ +\d.* %  op_\w+ \(spread\.c:\d+\)$", called, re.M)) == 8, called
    assert re.search(r" %  2 others$", called, re.M), called
    assert sum(c["bytes"] for c in first["called"]) == first["bytes"]
    assert {c["frame"]["function"] for c in first["called"]} == {f"op_{name}" for name in OPERATORS}
    assert "interpret" not in recorder.text("growth").splitlines()[0]


@pytest.mark.short
@pytest.mark.parametrize("binary", ["spread", "spread_O2"])
@pytest.mark.parametrize("mode, functions", [
    ("much", ["op_file"]), ("apart", ["op_sub", "op_join", "op_list", "op_call", "op_copy"]),
    ("all", [f"op_{name}" for name in OPERATORS])])
def test_who_stands_out_is_not_spread(recorder, binary, mode, functions):
    """By what it keeps of what it makes, or by how much of all that is."""
    assert recorder.run(program(binary), mode).status == 0
    found = recorder.answer("report")["findings"]
    told = [f["frame"]["function"] for f in found if not f["spread"]]
    assert sorted(told) == sorted(functions), found
    assert [f["frame"]["function"] for f in found if f["spread"]] == ["interpret"] * (mode == "much")


@pytest.mark.short
@pytest.mark.parametrize("binary", ["causes", "causes_O2"])
def test_what_grows_as_often_to_the_block_is_one_finding(recorder, binary):
    assert recorder.run(program(binary), "reload").status == 0
    found, = (f for f in recorder.answer("report")["findings"] if f["kind"] == "growth")
    assert found["frame"]["function"] == "read_configuration", found
    assert (found["times"], found["blocks_each"]) == (600, 4), found


@pytest.mark.short
@pytest.mark.parametrize("binary", ["causes", "causes_O2"])
def test_most_through_a_wrapper_is_not_the_wrappers(recorder, binary):
    """What one function loses is nearly all that goes through os_alloc."""
    assert recorder.run(program(binary), "dominated").status == 0
    first, *others = recorder.answer("report")["findings"]
    assert first["kind"] == "leak" and first["frame"]["function"] == "session_open", first
    assert (first["blocks"], first["bytes"]) == (5000, 5000 * 350), first
    assert sum(f["bytes"] for f in others) == sum(200 + n for n in range(20)), others


@pytest.mark.short
@pytest.mark.parametrize("binary", ["causes", "causes_O2"])
def test_tree_of_many_helpers_is_one_finding(recorder, binary):
    """Its helpers have many callers each, and all of them are below one function."""
    assert recorder.run(program(binary), "tree").status == 0
    report = recorder.answer("report")
    first, *others = report["findings"]
    assert first["kind"] == "growth" and first["frame"]["function"] == "tree_of", first
    assert first["bytes"] > 0.95 * report["heap"]["live_bytes"], first
    assert first["stacks"] > 50 and not others


LIBRARY = """
#include <stdlib.h>
#include <string.h>
char *code(void) { return memset(malloc(900), 1, 900); }
char *names(void) { return memset(malloc(200), 1, 200); }
void parse(void) { for (int i = 0; i < 20; i++) free(memset(malloc(2000), 1, 2000)); }
void prepare(char **to) {
  parse();
  to[0] = code();
  to[1] = names();
}
void finalize(char **of) { free(of[0]); free(of[1]); }
"""
USER = """
void prepare(char **);
void finalize(char **);
void careful(void) { char *s[2]; prepare(s); finalize(s); }
void forgets(void) { char *volatile s[2]; prepare((char **)s); s[0] = s[1] = 0; }
int main(void) {
  for (int i = 0; i < 3000; i++) { careful(); forgets(); }
  return 0;
}
"""


@pytest.mark.short
def test_what_a_library_makes_in_pieces_is_its_users(recorder, tmp_path):
    """Though the library makes and frees much more on the way."""
    (tmp_path / "library.c").write_text(LIBRARY)
    (tmp_path / "user.c").write_text(USER)
    flags = ["-O1", "-g", "-fno-optimize-sibling-calls", "-fno-inline"]
    library, user = tmp_path / "libpieces.so", tmp_path / "user"
    subprocess.run([tool("gcc", "cc"), *flags, "-shared", "-fPIC", "-o", library, tmp_path / "library.c"],
                   check=True)
    subprocess.run([tool("gcc", "cc"), *flags, "-o", user, tmp_path / "user.c", library], check=True)
    recorder.run(user)
    finding, = recorder.answer("report")["findings"]
    assert (finding["kind"], finding["frame"]["function"]) == ("leak", "forgets")
    assert 2990 <= finding["times"] <= 3000 and finding["blocks_each"] == 2, finding
    assert 2 * 2990 <= finding["blocks"] <= 2 * 3000


FORGETFUL = """
#include <stdlib.h>
#include <string.h>
static void use(void *p, size_t bytes) { memset(p, 1, bytes); __asm__ volatile("" : : "r"(p) : "memory"); }
void *make(size_t bytes) { void *p = malloc(bytes); use(p, bytes); return p; }
int profile(int wrong) { void *p = make(4000); if (wrong) return 0; free(p); return 1; }
int kernel(int wrong) { void *p = make(8); if (wrong) return 0; free(p); return 1; }
int resize(void) { free(make(100000)); return 1; }
"""
METHODS = """
int profile(int), kernel(int), resize(void);
int mogrify(void) { return resize() + profile(0) + profile(1) + kernel(1) + resize(); }
int main(void) {
  int done = 0;
  for (int i = 0; i < 300; i++) done += mogrify();
  return done == 0;
}
"""


@pytest.mark.short
def test_what_is_lost_as_often_but_is_nothing_beside_it_says_nothing(recorder, tmp_path):
    """One function of a library loses 4,000 bytes, another 8 each time that they are used."""
    (tmp_path / "library.c").write_text(FORGETFUL)
    (tmp_path / "user.c").write_text(METHODS)
    flags = ["-O1", "-g", "-fno-optimize-sibling-calls", "-fno-inline"]
    library, user = tmp_path / "libforgetful.so", tmp_path / "user"
    subprocess.run([tool("gcc", "cc"), *flags, "-shared", "-fPIC", "-o", library, tmp_path / "library.c"],
                   check=True)
    subprocess.run([tool("gcc", "cc"), *flags, "-o", user, tmp_path / "user.c", library], check=True)
    recorder.run(user)
    first, *_ = recorder.answer("report", "--all")["findings"]
    assert (first["kind"], first["frame"]["function"]) == ("leak", "profile"), first
    assert 290 * 4000 <= first["bytes"] <= 300 * 4000, first


@pytest.mark.short
def test_who_held_the_peak_is_told_if_it_is_gone(recorder):
    assert recorder.run(program("causes"), "burst").status == 0
    assert not recorder.answer("report")["findings"]
    line, = [l for l in recorder.text("report").splitlines()[:12] if l.startswith("  peak ")]
    assert re.search(r"of 7.6 MiB, mostly freed since, by job_new \(causes.c:", line), line


@pytest.mark.short
def test_who_held_the_peak_side_by_side_is_told(recorder):
    """What is there three times at once is no single function's."""
    assert recorder.run(program("causes"), "copies").status == 0
    lines = recorder.text("report").splitlines()[:12]
    at = next(i for i, line in enumerate(lines) if line.startswith("  peak "))
    told = lines[at] + lines[at + 1][10:]
    assert re.fullmatch(r"  peak     6\.0 MiB, freed since:( 33 % (read_text|decode|unescape) "
                        r"\(causes\.c:\d+\),?){3}", told), lines


@pytest.mark.short
@pytest.mark.parametrize("how, told", [("keep", True), ("drop", True), ("malloc", False)])
def test_what_is_not_mallocs_is_said_where_it_is_most(recorder, how, told):
    """A runtime with a heap of its own is not one that holds next to nothing."""
    assert recorder.run(program("mapped"), how, "48").status == 0
    outside = recorder.answer("report")["outside"]
    lines = [line for line in recorder.text("report").splitlines()[:12] if "outside" in line]
    if not told:
        assert not lines and outside["bytes"] < 16 << 20, (lines, outside)
        return
    assert 40 << 20 <= outside["bytes"] <= 56 << 20, outside
    assert outside["owner"] is None and (how == "keep") == (outside["seconds"] is not None)
    at = r"\S+ m?s" if how == "keep" else "most"
    assert re.match(rf"  outside  [\d.]+ MiB of [\d.]+ MiB resident at {at} is not malloc's: "
                    "mapped by the program itself$", lines[0]), lines


@pytest.mark.short
def test_what_died_at_its_limit_was_growing(recorder):
    """Near its limit nothing can be mapped any more, the rows of a snapshot included."""
    limit = 400 << 20
    result = recorder.run(program("causes"), "endless", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_AS, (limit, limit)))
    assert result.status == -signal.SIGABRT
    report = recorder.answer("report")
    first, *others = report["findings"]
    assert first["kind"] == "growth" and first["frame"]["function"] == "remember", first
    assert first["bytes"] == report["heap"]["live_bytes"] and first["bytes_per_second"] > 0, first
    assert not others
    assert report["program"]["limits"]["address_space_bytes"] == limit
    assert all(row["bytes"] > 0 for row in report["balance"] + report["mapped"]), report
    held = next(s for s in report["sites"] if s["live_bytes"] == first["bytes"])
    assert held["peak_bytes"] == held["live_bytes"], held
    text = recorder.text("report")
    assert "- limit of 400.0 MiB" in text and "nothing grows" not in text, text
    assert re.search(r"^  end      grew .*/s in its last .*; limit: 400.0 MiB of address space$",
                     text, re.M), text


@pytest.mark.short
def test_unused_of_a_killed_process_is_not_known_as_zero(recorder):
    assert recorder.run("/bin/sh", "-c", "kill -9 $$").status == -signal.SIGKILL
    said = recorder.text("unused")
    assert said.startswith("at most ") and "0 B requested" not in said, said
    assert re.search(r"not known  untouched", said), said
    line = next(l for l in recorder.text("report").splitlines() if l.startswith("  unused "))
    assert re.match(r"  unused   at most .* slack, not known how much untouched", line), line


@pytest.mark.short
def test_what_is_filled_does_not_grow(recorder):
    assert recorder.run(program("causes"), "filled").status == 0
    assert recorder.answer("report")["findings"] == []


@pytest.mark.short
def test_two_causes_are_two_findings(recorder):
    assert recorder.run(program("causes"), "two").status == 0
    found = recorder.answer("report")["findings"]
    assert [(f["frame"]["function"], f["blocks"]) for f in found if f["kind"] == "leak"] == [
        ("lose_texts", 300), ("lose_numbers", 28)]


@pytest.mark.short
@pytest.mark.parametrize("binary", ["causes", "causes_O2"])
def test_inlined_functions_are_functions(recorder, binary):
    assert recorder.run(program(binary), "inlined").status == 0
    found = recorder.answer("report")["findings"]
    assert [(f["frame"]["function"], f["blocks"]) for f in found if f["kind"] == "leak"] == [
        ("inlined_texts", 300), ("inlined_numbers", 28)]


@pytest.mark.short
def test_findings_add_up_to_what_is_lost(recorder):
    assert recorder.run(program("leaks")).status == 0
    report, leaks = recorder.answer("report", "--all"), recorder.answer("leaks", "--all")
    lost = [f for f in report["findings"] if f["kind"] == "leak"]
    for what in ("bytes", "blocks"):
        assert sum(f[what] for f in lost) == sum(
            leaks["totals"][verdict][what] for verdict in ("definite", "indirect"))


@pytest.mark.short
def test_dispatcher_is_not_blamed_for_its_name(recorder, tmp_path):
    """Of a stripped program nobody but exported functions has a name."""
    stripped = tmp_path / "stripped"
    shutil.copy(program("causes"), stripped)
    assert recorder.run(tool("strip"), stripped, check=False).status == 0
    assert recorder.run(stripped, "pointer").status == 0
    first = recorder.answer("report")["findings"][0]
    assert first["frame"]["function"] == "" and first["blocks"] == 200
    assert first["callers"], first


@pytest.mark.short
def test_page_has_the_answer_in_twelve_lines_of_100_columns(recorder):
    for mode in CAUSES:
        assert recorder.run(program("causes"), mode).status == 0
        page = recorder.text("report").splitlines()[:12]
        findings = [i for i, line in enumerate(page) if " leak " in line[:12]]
        assert findings and all(len(page[i]) <= 100 for f in findings for i in (f, f + 1)), page


@pytest.mark.short
@pytest.mark.parametrize("name", ["leaks", "grow", "waste", "threads", "misuse", "causes cache"])
def test_page_fits(recorder, name):
    name, *arguments = name.split()
    recorder.run(program(name), *arguments)
    page = recorder.text("report").splitlines()
    assert len(page) <= 60, len(page)
    assert max(len(line) for line in page) <= 100, [l for l in page if len(l) > 100]


@pytest.mark.short
def test_children_are_part_of_the_answer(recorder):
    """Three children leak by one function, their parent hardly anything."""
    result = recorder.run(program("causes"), "children")
    assert result.status == 0
    assert re.search(r"definitely lost: 1\.\d MiB in 6,000 blocks, in 3 processes",
                     result.said), result.said
    found = [f for f in recorder.answer("report")["findings"] if f["kind"] == "leak"]
    assert [(f["frame"]["function"], f["blocks"]) for f in found] == [("session_new", 2000)] * 3
    assert len({f["pid"] for f in found}) == 3
    first = next(l for l in recorder.text("report").splitlines() if l.startswith("  1 "))
    assert "session_new" in first and "in 3 processes of causes" in first


@pytest.mark.short
def test_what_a_helper_made_for_a_child_without_a_recording_is_its_callers(recorder):
    assert recorder.run(program("causes"), "small").status == 0
    first = next(l for l in recorder.text("report").splitlines() if l.startswith("  1 "))
    assert re.search(r"leak +4\.4 KiB: handler_7 \(causes.c:.*in 3 x causes without a recording", first), first
    assert "; most: handler_7 (causes.c:" in recorder.text("leaks").splitlines()[0]


@pytest.mark.short
@pytest.mark.parametrize("kept, said", [
    ("0", "3 x causes without a recording"), ("2", "3 processes of causes, 1 without a recording"),
    ("3", "3 processes of causes")])
def test_a_function_is_one_finding_in_children_with_and_without_a_recording(recorder, kept, said):
    assert recorder.run(program("causes"), "ways", env={"ULLAGE_KEEP": "lost",
                                                        "ULLAGE_CHILDREN_MAX": kept}).status == 0
    assert len(recorder.children()) == int(kept)
    page = recorder.text("report")
    first = page.split("\n\n")[1].splitlines()
    assert len(first) == 2, page
    assert re.match(r"  1 leak   26\.4 KiB.*: letter_lose \(causes\.c:\d+\) in " + said + "$", first[0]), page
    assert re.match(r" +270 blocks of 2 stacks(, since \d+ ms)? < post \(causes\.c:\d+\) < ways (.*)?< main ", first[1]), page


ENTERED = r"""
#include <stdlib.h>
#define STEP(name, next)                                                                 \
  __attribute__((noinline)) static void *name(int n) {                                   \
    void *p = next(n + 1);                                                               \
    __asm__ volatile("");                                                                \
    return p;                                                                            \
  }
__attribute__((noinline)) static void *make_node(int n) {
  void *p = malloc(100 + n);
  __asm__ volatile("");
  return p;
}
STEP(read_value, make_node)
STEP(read_object, read_value)
STEP(read_text, read_object)
STEP(start, read_text)
int tree_parse(int n) {
  return start(n) != NULL;
}
"""


@pytest.mark.short
def test_by_which_function_a_stripped_library_was_entered_is_said(tmp_path, recorder):
    """What lies within has no names."""
    (tmp_path / "tree.c").write_text(ENTERED)
    (tmp_path / "use.c").write_text("int tree_parse(int);\nint main(void) {\n"
                                    "  for (int i = 0; i < 3000; i++) tree_parse(0);\n}\n")
    subprocess.run([tool("gcc"), "-O1", "-shared", "-fPIC", "-Wl,-s", "-o", "libtree.so", "tree.c"],
                   check=True, cwd=tmp_path)
    subprocess.run([tool("gcc"), "-O1", "-g", "-o", "use", "use.c", "-L.", "-ltree",
                    "-Wl,-rpath,$ORIGIN"], check=True, cwd=tmp_path)
    recorder.same(tmp_path / "use")
    (leak,) = [f for f in recorder.answer("report")["findings"] if f["kind"] == "leak"]
    assert leak["blocks"] == 3000
    page = recorder.text("report").splitlines()
    at = next(i for i, line in enumerate(page) if line.startswith("  1 leak "))
    assert re.search(r": libtree\.so\+0x[0-9a-f]+ \(no name\)", page[at]), page[at]
    assert re.search(r" < \.\.\. < tree_parse < main \(use\.c:3\)$", page[at + 1]), page[at + 1]


NEAREST = r"""
#include <stdlib.h>
__attribute__((noinline)) static void *make_node(int n) {
  void *p = malloc(100 + n);
  __asm__ volatile("");
  return p;
}
__attribute__((noinline)) static void *count_node(int n) {
  void *p = make_node(n + 1);
  __asm__ volatile("");
  return p;
}
__attribute__((noinline)) int tree_object_of_what_others_have_sent(int n) {
  int volatile made = count_node(n) != NULL;
  return made;
}
int tree_parse_what_has_come_in_from_outside(int n) {
  int volatile read = tree_object_of_what_others_have_sent(n);
  return read;
}
"""


@pytest.mark.short
def test_nearest_name_of_a_stripped_library_is_said(tmp_path, recorder):
    """... before the function by which it was entered, if there is no room for both."""
    parse = "tree_parse_what_has_come_in_from_outside"
    (tmp_path / "tree.c").write_text(NEAREST)
    (tmp_path / "use.c").write_text(f"int {parse}(int);\nint main(void) {{\n"
                                    f"  for (int i = 0; i < 3000; i++) {parse}(0);\n}}\n")
    subprocess.run([tool("gcc"), "-O1", "-shared", "-fPIC", "-Wl,-s", "-o", "libtree.so", "tree.c"],
                   check=True, cwd=tmp_path)
    subprocess.run([tool("gcc"), "-O1", "-g", "-o", "use", "use.c", "-L.", "-ltree",
                    "-Wl,-rpath,$ORIGIN"], check=True, cwd=tmp_path)
    recorder.same(tmp_path / "use")
    page = recorder.text("report").splitlines()
    at = next(i for i, line in enumerate(page) if line.startswith("  1 leak "))
    assert re.search(r": libtree\.so\+0x[0-9a-f]+ \(no name\)", page[at]), page[at]
    assert re.search(r"3,000 blocks.* < \.\.\. < tree_object_of_what_others_have_sent"
                     r" < \.\.\. < main", page[at + 1]), page[at + 1]


MANY_STACKS = r"""
#include <stdlib.h>
#include <time.h>
enum { MODULES = 2048, DEPTH = 11 };
static char *held[MODULES * 8];
static unsigned count;
__attribute__((noinline)) static void hold(void) {
  char *p = malloc(300);
  p[0] = 1;
  held[count++] = p;
}
/* Each module has a stack of its own. */
static void load(unsigned module, int depth) {
  if (!depth)
    hold();
  else if (module & 1)
    load(module >> 1, depth - 1);
  else
    load(module >> 1, depth - 1);
  __asm__ volatile("");
}
static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
static void pause_for(double seconds) {
  nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)}, NULL);
}
int main(int argc, char **argv) {
  int rounds = atoi(argv[1]), each = atoi(argv[2]);
  double step = atof(argv[3]), idle = atof(argv[4]), begin = now();
  for (int round = 0; round < rounds; round++)
    for (unsigned module = 0; module < MODULES; module++) {
      for (int i = 0; i < each; i++) load(module, DEPTH);
      if (module % 16 == 0) pause_for(step);
    }
  pause_for((now() - begin) * idle);
  return argc < 0;
}
"""


@pytest.mark.parametrize("rounds, each, step, idle, kinds", [
    (1, 2, "0.001", "0", []),
    (1, 2, "0.011", "0.6", []),
    (4, 1, "0.001", "0", ["growth"]),
    (4, 1, "0.004", "0", ["growth"])])
def test_start_of_a_program_is_no_growth(tmp_path, recorder, rounds, each, step, idle, kinds):
    """What is loaded comes by ever new stacks, what grows comes again by the same; also where
    the start is not all of the run, but most."""
    (tmp_path / "load.c").write_text(MANY_STACKS)
    subprocess.run([tool("gcc"), "-O0", "-g", "-o", "load", "load.c"], check=True, cwd=tmp_path)
    recorder.same(tmp_path / "load", str(rounds), str(each), step, idle)
    report = recorder.answer("report")
    if report["program"]["seconds"] < 1 or step != "0.001":
        assert [f["kind"] for f in report["findings"]] == kinds, report["findings"]


ONCE_EACH = r"""
#include <stdlib.h>
#define ONE(n)                                                                          \
  __attribute__((noinline)) static void lose_##n(void) {                                 \
    char *volatile lost = malloc(900);                                                   \
    lost[0] = 1;                                                                         \
  }
ONE(1) ONE(2) ONE(3) ONE(4)
int main(int argc, char **argv) {
  static char *volatile held;
  held = malloc(1 << 20);
  held[0] = 1;
  for (int i = 0; i < atoi(argv[1]); i++) {
    lose_1();
    lose_2();
    lose_3();
    lose_4();
  }
  return argc < 0 || !held;
}
"""


@pytest.mark.parametrize("times, told", [("2", 0), ("5", 4)])
def test_what_is_lost_once_beside_much_is_little(tmp_path, recorder, times, told):
    """The page has room for what is lost again and again; --all has all."""
    (tmp_path / "once.c").write_text(ONCE_EACH)
    subprocess.run([tool("gcc"), "-O1", "-g", "-o", "once", "once.c"], check=True, cwd=tmp_path)
    recorder.same(tmp_path / "once", times)
    page = recorder.text("report")
    assert len(re.findall(r"^  \d leak ", page, re.M)) == told, page
    assert ("4 little findings" in page) == (told == 0), page
    assert len(re.findall(r"^  \d leak ", recorder.text("report", "--all"), re.M)) == 4


CLOSURES = r"""
#include <pthread.h>
#include <stdlib.h>
enum { CALLS = 500 };
typedef void closure(void);
#define LOSE(n)                                                                         \
  do {                                                                                   \
    char *volatile p = malloc(n);                                                        \
    p[0] = 1;                                                                            \
  } while (0)
__attribute__((noinline)) static void dial(void) {
  LOSE(1000);
  __asm__ volatile("");
}
__attribute__((noinline)) static void connect_all(void) {
  LOSE(300);
  dial();
  LOSE(301);
  __asm__ volatile("");
}
__attribute__((noinline)) static void resolve(void) {
  LOSE(250);
  __asm__ volatile("");
}
/* Does what it is told to, for all threads. */
__attribute__((noinline)) static void run_closure(closure *volatile f) {
  f();
  __asm__ volatile("");
}
static void *poll_all(void *unused) {
  for (int i = 0; i < CALLS; i++) run_closure(resolve);
  return unused;
}
int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, poll_all, NULL);
  for (int i = 0; i < CALLS; i++) run_closure(connect_all);
  pthread_join(thread, NULL);
  return 0;
}
"""


@pytest.mark.short
def test_who_hands_on_for_several_is_in_nobodys_way(tmp_path, recorder):
    """... though as often, by another thread, somebody else loses something there."""
    (tmp_path / "closures.c").write_text(CLOSURES)
    subprocess.run([tool("gcc"), "-O1", "-g", "-pthread", "-o", "closures", "closures.c"],
                   check=True, cwd=tmp_path)
    recorder.same(tmp_path / "closures")
    leaks = [f for f in recorder.answer("report")["findings"] if f["kind"] == "leak"]
    assert [(f["frame"]["function"], f["blocks"], f["times"]) for f in leaks] == [
        ("connect_all", 1500, 500), ("resolve", 500, 0)], leaks


FREED_IN_THE_END = r"""
#include <stdlib.h>
#include <time.h>
enum { BLOCKS = 20000 };
static void *cache[BLOCKS], *table[20000];
static void cache_insert(int i) {
  switch (i % 5) { /* a stack each */
  case 0: cache[i] = malloc(200); break;
  case 1: cache[i] = malloc(200); break;
  case 2: cache[i] = malloc(200); break;
  case 3: cache[i] = malloc(200); break;
  default: cache[i] = malloc(200);
  }
}
int main(int argc, char **argv) {
  for (int i = 0; i < atoi(argv[1]); i++)
    table[i] = malloc(10000);
  for (int i = 0; i < BLOCKS; i++) {
    cache_insert(i);
    if (i % 100 == 0) nanosleep(&(struct timespec){.tv_nsec = 15000000}, NULL);
  }
  for (int i = 0; i < BLOCKS; i++)
    free(cache[i]);
  for (int i = 0; i < atoi(argv[1]); i++)
    free(table[i]);
  return 0;
}
"""


@pytest.mark.parametrize("tables, found, env", [
    (0, True, {}), (20000, False, {}),
    (0, True, {"ULLAGE_SNAPSHOT_MS": "360"})])  # as few measurements as a busy machine leaves
def test_what_was_freed_in_the_end_grew_if_it_was_much(tmp_path, recorder, tables, found, env):
    source = tmp_path / "freed.c"
    source.write_text(FREED_IN_THE_END)
    subprocess.run([tool("gcc"), "-O0", "-g", "-o", tmp_path / "freed", source], check=True)
    recorder.same(tmp_path / "freed", tables, env=env)
    check_sums(recorder)
    findings = recorder.answer("report")["findings"]
    if not found:
        assert findings == []
        assert re.search(r"growth   (nothing grows|5 call sites grow a little)",
                         recorder.text("report"))
        return
    (growth,) = findings
    assert growth["kind"] == "growth" and growth["frame"]["function"] == "cache_insert"
    assert growth["bytes"] > 3_500_000 and growth["live_bytes"] == 0, growth


LITTLE = """
#include <stdlib.h>
int main(int argc, char **argv) {
  char *volatile held = malloc(1 << 20), *volatile lost;
  for (int i = 0; i < atoi(argv[1]); i++) lost = malloc(76);
  lost = 0;
  free(held);
  return argc < 0;
}
"""


@pytest.mark.short
@pytest.mark.parametrize("blocks, heads", [(5, False), (500, True)])
def test_some_bytes_beside_a_megabyte_do_not_head_a_page(tmp_path, recorder, blocks, heads):
    (tmp_path / "little.c").write_text(LITTLE)
    subprocess.run([tool("gcc", "cc"), "-g", "-o", tmp_path / "little", tmp_path / "little.c"],
                   check=True)
    recorder.run(tmp_path / "little", str(blocks))
    (leak,) = recorder.answer("report")["findings"]
    assert leak["blocks"] >= blocks - 1, leak
    page = recorder.text("report").splitlines()[:8]
    assert any(line.startswith("  1 leak") for line in page) == heads, page
    assert heads or "    1 little finding, 380 B in 5 blocks (--all)" in page, page
    assert heads or any("definitely lost: 380 B" in line and "main (little.c" in line
                        for line in page), page
    assert any(line.startswith("  1 leak") for line in recorder.text("report", "--all").splitlines())


# ---- freed at once ----------------------------------------------------------------


@pytest.mark.short
@pytest.mark.parametrize("pairs", [500_000, 3_000_000])
def test_what_is_freed_at_once_is_a_finding_if_it_takes_time(recorder, pairs):
    """From 500 a millisecond on, however slow the machine is."""
    assert recorder.run(program("pairs"), pairs, strict=False).status == 0
    report = recorder.answer("report")
    assert report["heap"]["temporary"] == pairs
    often = pairs >= 1_000_000 and pairs >= 500 * round(1000 * report["program"]["seconds"])
    found = [f for f in report["findings"] if f["kind"] == "temporary"]
    assert len(found) == often
    if often:
        assert found[0]["temporary"] == pairs and found[0]["frame"]["function"] == "pairs"
        assert found[0]["bytes"] == found[0]["live_bytes"] == 0
        text = recorder.text("report")
        assert "1 temp.  3,000,000 allocations (100 %): pairs (pairs.c:" in text, text
        assert "freed at once <" in text


@pytest.mark.short
def test_source_files_have_directories_if_asked(recorder):
    recorder.run(program("leaks"))
    for verb in ("report", "leaks"):
        for text, where in ((recorder.text(verb), r"\("),
                            (recorder.text(verb, "--paths", env={"COLUMNS": "400"}), r"\(/.*/")):
            assert re.search(rf"leak_large {where}leaks\.c:\d+\)", text), text


@pytest.fixture
def perf_map(recorder):
    """Of the process that was recorded last."""
    def path():
        return Path(f"/tmp/perf-{Recording(recorder.file).header['pid']}.map")

    yield path
    path().unlink(missing_ok=True)


@pytest.mark.short
@pytest.mark.parametrize("told, blamed", [
    ("JS:*leaky /srv/app one/app.js:7:3", "leaky (app.js:7)"),
    ("JS:~ file:///srv/app.js:7:3", "(anonymous function) (app.js:7)"),
    ("LazyCompile:^get size node:internal/buffer:9:1", "main"),  # node's own
    ("py::leaky:/srv/app.py", "leaky (app.py)"),
    ("Lcom/example/Leaky;::run", "Lcom/example/Leaky;::run+0x10 (no module)"),
    ("", "lose_for_script"),
])
def test_functions_made_at_run_time_have_the_names_that_are_told(recorder, perf_map, told, blamed):
    recorder.run(program("made"), "100", *([told] if told else []))
    first = recorder.text("report").splitlines()[2]
    assert re.match(rf"  1 leak   100\.0 KiB \(\d+ %\): {re.escape(blamed)}", first), first
    os.utime(perf_map(), (1, 1)) if told else None  # of another process, long ago
    first = recorder.text("report").splitlines()[2]
    assert ": lose_for_script (made.c:" in first or ": main (made.c" in first, first


@pytest.mark.short
def test_what_is_no_such_map_is_no_harm(recorder, perf_map):
    recorder.run(program("made"), "100", "leaky")
    path = perf_map()
    good = path.read_bytes()
    for text in (b"", b"\0", b"zz 1 x\n", b"1\n", b"1 1\n", b"1 1 \n", b"-1 -1 x\n" * 9,
                 b"ffffffffffffffff ffffffffffffffff x\n", b"0 ffffff x\n" * 9999, good * 9999,
                 b"JS:* :::: " + good, good.replace(b"leaky", b"JS:* :" * 999), b"9" * 99999):
        path.write_bytes(text)
        assert "100.0 KiB" in recorder.text("report")
    path.write_bytes(good)
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
        assert ": leaky" not in recorder.text("report")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert ": leaky" not in recorder.text("report")
