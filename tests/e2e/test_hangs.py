"""Deadlocks and lost words show after many rounds, or after none: a few here, and 2,000
by hand (ULLAGE_ROUNDS=2000 pytest tests/e2e/test_hangs.py)."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import (PRELOAD, PROGRAMS, clean_environment, execute, find, marked_line,
                     program)
from recording import Recording

ROUNDS = int(os.environ.get("ULLAGE_ROUNDS", 30))
SECONDS = 60 + ROUNDS


@pytest.mark.short
@pytest.mark.parametrize("first", ["ullage", "other"])
def test_another_preload_allocates_in_what_libraries_call(recorder, first):
    """libfaketime's clock_gettime, a profiler's pthread_mutex_lock."""
    both = [str(PRELOAD), str(PROGRAMS / "clocks.so")]
    r = execute([program("threads"), "storm", str(ROUNDS)], timeout=SECONDS,
                env={"LD_PRELOAD": ":".join(both if first == "ullage" else reversed(both)),
                     "ULLAGE_FILE": str(recorder.file)})
    assert (r.status, r.stdout, r.stderr) == (0, b"done\n", b"")
    assert recorder.answer("report")["program"]["exit"] == {"kind": "exited", "status": 0}


@pytest.mark.short
@pytest.mark.parametrize("how", ["exit", "quick_exit", "_exit", "return"])
def test_end_with_a_cancellation_pending(recorder, how):
    for _ in range(max(ROUNDS // 30, 1)):
        r = recorder.run(program("hangs"), "cancel", how, strict=False)
        assert (r.status, r.stdout, r.stderr) == (3, b"", b"")
        assert recorder.answer("report")["program"]["exit"] == {"kind": "exited", "status": 3}


def rounds(recorder, mode, n=ROUNDS):
    """All of them, to their end, and nothing said."""
    r = recorder.run(program("hangs"), mode, str(n), strict=False, timeout=SECONDS)
    assert (r.status, r.text(), r.stderr) == (0, f"{n} rounds\n", b"")


@pytest.mark.short
@pytest.mark.seconds(SECONDS * 2)
@pytest.mark.parametrize("mode", ["fork_in_handler", "fork_alloc", "fork_stdio"])
def test_fork_waits_for_nobody(recorder, mode):
    rounds(recorder, mode, ROUNDS if mode == "fork_stdio" else ROUNDS * 10)


@pytest.mark.short
@pytest.mark.seconds(SECONDS * 2)
def test_handlers_allocate_at_the_end(recorder):
    rounds(recorder, "exit_alloc")


def copy_of(pid):
    """The frozen copy in which the scan runs: a child while the program has none."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return f.read().split()
    except FileNotFoundError:
        return []


@pytest.mark.short
@pytest.mark.seconds(SECONDS * 3)
@pytest.mark.parametrize("end", ["return", "_exit"])
def test_asked_to_end_after_its_end(recorder, end):
    """The program itself would have been gone by then, its output written."""
    env = clean_environment({"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(recorder.file)})
    cut = 0
    for _ in range(max(ROUNDS // 10, 3)):
        p = subprocess.Popen([program("hangs"), "slow_end", end], env=env,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not copy_of(p.pid) and p.poll() is None:
            time.sleep(0.001)
        p.send_signal(signal.SIGTERM)
        out, err = p.communicate(timeout=SECONDS)
        assert (p.returncode, out, err) == (3, b"result: 42\n", b"")
        leaks = recorder.text("leaks")
        cut += "asked to end" in leaks
        recorder.file.unlink()
    assert cut > 0


@pytest.mark.short
@pytest.mark.seconds(SECONDS * 2)
def test_handler_finds_the_process_as_it_is(recorder):
    rounds(recorder, "handler_asks")


@pytest.mark.short
@pytest.mark.seconds(SECONDS * 2)
def test_handler_leaves_malloc_for_good(recorder):
    """What is recorded afterwards is recorded as ever."""
    rounds(recorder, "jump")
    report = recorder.answer("report", "--all")
    assert report["program"]["exit"] == {"kind": "exited", "status": 0}
    kept = find(report["sites"], "keep_blocks", "hangs.c", marked_line("hangs.c", "keep_blocks"))
    assert kept[0]["live_bytes"] == 5000
    assert recorder.answer("leaks")["scan"]["state"] == "done"


@pytest.mark.short
@pytest.mark.seconds(SECONDS * 2)
@pytest.mark.parametrize("mode", ["vfork", "clone_vm"])
def test_child_in_our_memory_takes_no_heap(recorder, mode):
    """To it, all threads of its parent look dead; and it dies while its heap is in use."""
    rounds(recorder, mode)


@pytest.mark.short
@pytest.mark.seconds(SECONDS * 2)
def test_exec_that_fails_leaves_the_others_recorded(recorder):
    r = recorder.run(program("hangs"), "exec_fails_in_threads", str(max(ROUNDS // 5, 5)),
                     strict=False, timeout=SECONDS)
    assert (r.status, r.stderr) == (0, b"")
    report = recorder.answer("report", "--all")
    assert "DOUBLE_FREE" not in report["fallbacks"]
    assert all(s["live_bytes"] == 0 for s in find(report["sites"], "use_heap"))


@pytest.mark.short
def test_exec_that_fails_takes_its_scan_along(recorder, tmp_path):
    """What was lost then says nothing of what is lost when the process is killed later."""
    busy = tmp_path / "program"
    busy.write_bytes(Path(program("ends")).read_bytes())
    busy.chmod(0o755)
    with open(busy, "r+b"):
        r = recorder.run("/usr/bin/perl", "-e", "{ no warnings; exec $ARGV[0]; } kill 9, $$;", busy)
    assert r.status == -signal.SIGKILL
    assert recorder.answer("report")["fallbacks"]["EXEC_FAILED"] == 1
    leaks = recorder.answer("leaks", "--all")
    assert (leaks["scan"]["state"], leaks["leaks"]) == ("none", [])
    assert "killed" in leaks["scan"]["reason"]


@pytest.mark.short
def test_exec_that_fails_leaves_nothing_behind(recorder):
    """Its last words take the place of those before. (The kernel may merge two mappings, or
    not: a longer account has a place of its own, but seldom.)"""
    texts, mappings = [], []
    for n in ("20", "60"):
        r = recorder.run(program("hangs"), "exec_fails", n, strict=False)
        assert (r.status, r.text(), r.stderr) == (0, f"{n} rounds\n", b"")
        recording = Recording(recorder.file)
        texts.append(len(recording.table("TEXT")))
        mappings.append(len(recording.table("MAPPINGS")))
    assert texts[0] == texts[1]
    assert mappings[1] < 3 * mappings[0]
