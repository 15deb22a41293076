"""What is said of single blocks: which were freed wrongly, which are lost, and why."""

import os
import re
import signal
import subprocess
import time

import pytest

from harness import BUILD, ULLAGE, blamed, clean_environment, execute, marked_line, program, tool
from recording import FORMAT, Recording
from test_answers import check_leaks


def misuses(recorder, kind):
    return [m for m in recorder.answer("report")["misuses"] if m["kind"] == kind]


# (mode, kind, how often, where)
MISUSES = [
    (["small"], "freed twice", 1, "free_again"),
    (["drained"], "freed twice", 20, "free_again"),
    (["large", "1"], "freed twice", 1, "free_again"),
    (["large", "200"], "freed twice", 1, "free_again"),
    (["inside"], "freed inside", 1, "free_inside"),
    (["inside"], "resized inside", 1, "realloc_inside"),
    (["realloc"], "resized after free", 3, "realloc_again"),
    (["static"], "freed inside", 1, "free_static"),
    (["stack"], "freed inside", 1, "free_static"),
]


@pytest.mark.short
@pytest.mark.parametrize("argv,kind,count,where", MISUSES, ids=lambda v: str(v).strip("[]'"))
def test_bad_frees_are_said(recorder, argv, kind, count, where):
    r = recorder.run(program("misuse"), *argv)
    assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")
    found = misuses(recorder, kind)
    assert sum(m["count"] for m in found) == count
    line = marked_line("misuse.c", where)
    assert any(blamed(m, where, "misuse.c", line) for m in found)
    m = next(m for m in found if blamed(m, where, "misuse.c", line))
    if argv not in (["drained"], ["large", "200"], ["static"], ["stack"]):  # none, or gone
        assert blamed({"stack": m["allocated_stack"]}, argv[0] if argv[0] != "realloc"
                      else "reallocated", "misuse.c")
    for said in (r.said, recorder.text("report")):
        head = said[:said.find("leaks ")]
        assert where in head and str(count) in head, said


def test_bad_frees_of_many_places(recorder):
    """Of each kind some pairs of places are kept, the number is right all the same."""
    r = recorder.run(program("misuse"), "many")
    assert (r.status, r.text()) == (0, "done\n")
    report = recorder.answer("report")
    assert report["fallbacks"]["DOUBLE_FREE"] == 139
    found = misuses(recorder, "freed twice")
    assert len(found) == 32 and found[0]["count"] == 100
    assert "139" in r.said
    first = found[0]["site"]  # the same place frees what another has allocated
    assert len({m["allocated_site"] for m in found if m["site"] == first}) == 2


@pytest.mark.parametrize("argv,function", [(["small"], "small"), (["realloc"], "reallocated"),
                                           (["large", "1"], "large")], ids=str)
def test_where_it_was_freed_first(recorder, argv, function):
    """Is noted if it is asked for; else it is not known, and that is said by nobody."""
    recorder.run(program("misuse"), *argv)
    assert all("freed_site" not in m for m in recorder.answer("report")["misuses"])
    assert "freed first" not in recorder.text("report")
    r = recorder.run(program("misuse"), *argv, env={"ULLAGE_FREES": "yes"})
    assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")
    m = recorder.answer("report")["misuses"][0]
    assert blamed({"stack": m["freed_stack"]}, function, "misuse.c")
    assert blamed({"stack": m["allocated_stack"]}, function, "misuse.c")
    assert "was freed first" in recorder.text("report")


ORACLE_C, ORACLE_CC = (BUILD / "tests" / "oracle" / name for name in ("oracle_c", "oracle_cc"))


@pytest.mark.parametrize("case", ["stack_of_thread_free", "mapping_free", "tls_free"])
def test_free_that_ends_the_program_is_told(tmp_path, case):
    """What is nobody's goes to the next allocator, and libc's ends the program."""
    native = execute([ORACLE_CC, case])
    r = execute([ULLAGE, "check", "--programs=all", "-o", tmp_path / "r", "--", ORACLE_CC, case])
    assert (r.status, r.stderr) == (native.status, native.stderr)
    assert r.status == -signal.SIGABRT
    assert re.search(r"^ullage: +1  invalid free +1 time +free_again ", r.said, flags=re.M), r.said


def test_free_by_another_allocator_is_none(recorder):
    r = recorder.run(program("foreign"), env={"ULLAGE_FREES": "yes"})
    assert r.status == 0
    report = recorder.answer("report")
    assert report["fallbacks"]["FOREIGN_FREE"] > 0
    assert report["misuses"] == [] and "INVALID_FREE" not in report["fallbacks"]


@pytest.mark.parametrize("case", ["never_allocated_free", "environment_free"])
def test_what_was_never_allocated_is_not_freed_twice(recorder, case):
    recorder.run(ORACLE_CC, case)
    found, = recorder.answer("report")["misuses"]
    assert (found["kind"], found["count"]) == ("freed inside", 1)


@pytest.mark.parametrize("case", ["page_free_free", "megabyte_free_free"])
def test_block_that_was_given_back_is_known(recorder, case):
    recorder.run(ORACLE_CC, case, env={"ULLAGE_FREES": "yes"})
    found, = recorder.answer("report")["misuses"]
    assert found["kind"] == "freed twice"
    assert blamed({"stack": found["allocated_stack"]}, "by_malloc")
    assert blamed({"stack": found["freed_stack"]}, "free_it")


@pytest.mark.parametrize("case", ["nothing_in_it", "nothing_in_it_lost"])
def test_blocks_of_no_bytes(recorder, case):
    """Each answer has room for a function that holds blocks, but not a byte."""
    recorder.run(ORACLE_C, case)
    for verb in "report", "growth", "leaks", "unused":
        recorder.answer(verb)
    lost = recorder.answer("leaks")["totals"]["definite"]
    assert lost == {"bytes": 0, "blocks": int(case == "nothing_in_it_lost")}


CASES = {"new_free": "new, then free", "array_free": "new[], then free",
         "malloc_delete": "malloc, then delete", "malloc_array": "malloc, then delete[]",
         "new_array": "new, then delete[]", "array_delete": "new[], then delete",
         "array_as_one": "new[], then delete",
         "new_realloc": "new, then free", "aligned_delete": "aligned_alloc, then delete",
         "sized_delete": "of 8, freed as 16", "sized_array": "of 600, freed as 60"}


@pytest.mark.parametrize("built", ["mismatch", "mismatch_nopie"])
def test_mismatched_frees(recorder, built):
    """Each at its place, and nothing else; the blocks are freed. (Families are known of
    operators that are ours; a program may have the address of one by a stub of its own.)"""
    r = recorder.run(program(built), *CASES, env={"ULLAGE_FREES": "yes"})
    assert (r.status, r.text()) == (0, "done\n")
    report = recorder.answer("report")
    found = {next(f["function"] for f in m["stack"] if f["function"] in CASES): m
             for m in report["misuses"]}
    assert len(report["misuses"]) == len(CASES)
    assert {name: m["detail"] for name, m in found.items()} == CASES
    for name, m in found.items():
        assert m["kind"] == ("missized" if "sized" in name else "mismatched")
        assert any(f["function"] == name for f in m["allocated_stack"])
    recorder.run(program(built), *CASES)
    assert recorder.answer("report")["misuses"] == []
    recorder.run(program(built), env={"ULLAGE_FREES": "yes"})
    assert recorder.answer("report")["misuses"] == []


def test_mismatched_frees_are_memchecks(recorder):
    """Of families; it does not look at sizes."""
    r = execute([tool("valgrind"), "--error-limit=no", program("mismatch"), *CASES])
    said = re.findall(r"Mismatched free\(\) / delete / delete \[\]\n(.*?)\n==\d+== *\n",
                      r.all_stderr.decode(), flags=re.S)
    assert {re.search(r": (\w+)\(\) \(\S*mismatch", s)[1] for s in said} == \
        {name for name in CASES if "sized" not in name}


def test_bad_free_of_a_child_is_worth_its_recording(recorder):
    assert recorder.run(program("misuse"), "child").status == 0
    child, = recorder.answer("report")["children"]["recordings"]
    found, = recorder.answer("report", file=child)["misuses"]
    assert (found["kind"], found["count"]) == ("freed twice", 1)


def test_no_bad_free_is_said_of_a_good_program(recorder):
    r = recorder.run(program("pairs"), "10")
    assert recorder.answer("report")["misuses"] == []
    assert "freed" not in r.said


@pytest.mark.short
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_old_pointers_drag_nobody_along(recorder, seed):
    result = recorder.run(program("stale"), seed)
    assert result.status == 0
    check_leaks(recorder, result, "stale.c")


@pytest.mark.short
def test_what_threads_hold_and_held(recorder):
    result = recorder.run(program("joined"))
    assert (result.status, result.stderr) == (0, b"")
    check_leaks(recorder, result, "joined.c")


@pytest.mark.short
def test_frames_above_and_below_an_alternate_stack(recorder):
    result = recorder.run(program("alternate"))
    assert (result.status, result.stderr) == (0, b"")
    check_leaks(recorder, result, "alternate.c")


# ---- a scan that does not come to its end ---------------------------------------------

def wait_for_scan(file):
    for _ in range(600):
        try:
            recording = Recording(file)
        except (OSError, ValueError):
            recording = None
        if recording and recording.scan["state"] == FORMAT.constants["UL_SCAN_RUNNING"]:
            return recording.header["pid"]
        time.sleep(0.02)
    raise AssertionError("no scan began")


def test_killed_during_the_scan(recorder):
    """The program had ended with status 0, and then its process did not."""
    if execute([program("served")]).status == 77:
        pytest.skip("userfaultfd is not permitted")
    with subprocess.Popen([ULLAGE, "run", "-o", recorder.file, "--", program("served")],
                          env=clean_environment(), stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE) as p:
        os.kill(wait_for_scan(recorder.file), signal.SIGKILL)
        said = p.communicate(timeout=60)[1].decode()
    assert p.returncode == -signal.SIGKILL
    report = recorder.text("report")
    assert recorder.answer("report")["program"]["exit"] == {"kind": "signaled", "status": 9}
    assert recorder.answer("leaks")["scan"]["state"] == "running"
    for text in (said, report):
        assert "status 0" not in text and "nothing is lost" not in text


def patch(file, struct, field, value, base=0):
    at, size = next((at, size) for name, at, size, *_ in FORMAT.structs[struct][0]
                    if name == field)
    with open(file, "r+b") as f:
        f.seek(base + at)
        f.write(value.to_bytes(size, "little"))
    return at


def test_what_a_scan_cut_short_says(recorder):
    """Nothing is called lost, and nothing is called fine."""
    recorder.run(program("leaks"))
    assert recorder.answer("leaks")["scan"]["state"] == "done"
    at = next(at for name, at, *_ in FORMAT.structs["ul_header"][0] if name == "scan")
    patch(recorder.file, "ul_scan", "state", FORMAT.constants["UL_SCAN_PARTIAL"], at)
    leaks = recorder.answer("leaks")
    assert leaks["scan"]["state"] == "partial" and "--scan-limit" in leaks["scan"]["reason"]
    assert leaks["still_live"]
    for text in (recorder.text("leaks"), recorder.text("report")):
        assert "not known" in text and "--scan-limit" in text
        assert "definitely lost" not in text and "nothing is lost" not in text


def test_limit_of_the_scan(recorder):
    recorder.run(program("leaks"), options=["--scan-limit=1000"])
    assert recorder.answer("leaks")["scan"]["limit_seconds"] == 1000
    assert recorder.run(program("leaks"), options=["--scan-limit=x"]).status == 2


def test_what_the_scan_knows_is_no_root(recorder):
    """The copy's result lies beside the first arena in half of the runs, and points to its
    own end."""
    for _ in range(12):
        assert recorder.run(program("causes_O2"), "callers", strict=False).status == 0
        assert recorder.answer("leaks")["totals"]["definite"]["blocks"] == 5000
