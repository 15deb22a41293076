"""When the operating system refuses: the program's output and status stay the same,
and ullage says one line at most."""

import os
import re
import resource
import subprocess

import pytest

from harness import ULLAGE, PRELOAD, execute, program, tool

WORKLOADS = {
    "leaks": ["leaks"],
    "waste": ["waste"],
    "storm": ["threads", "storm", "20"],
    "fork": ["ends", "fork"],
    "exec": ["ends", "exec"],
}


def argv_of(name):
    return [program(WORKLOADS[name][0]), *WORKLOADS[name][1:]]


@pytest.fixture(scope="module")
def native():
    """With our allocator, because `waste` prints usable sizes, but nothing recorded."""
    return {name: execute(argv_of(name), env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_RECORD": "no"})
            for name in WORKLOADS}


@pytest.mark.seconds(600)
@pytest.mark.parametrize("operation", ["fallocate", "back", "open", "write", "fork"])
def test_each_operation_fails_in_turn(recorder, native, operation):
    for n in list(range(1, 13)) + [20, 50]:
        for name in WORKLOADS:
            r = recorder.run(*argv_of(name), env={"ULLAGE_FAIL": f"{operation}:{n}",
                                                  "ULLAGE_UNWIND": None}, check=False)
            where = (operation, n, name, r.all_stderr)
            assert (r.status, r.stdout, r.stderr) == (
                native[name].status, native[name].stdout, native[name].stderr), where


@pytest.mark.seconds(600)
def test_each_mapping_fails_in_turn(recorder):
    """The program asks again, as a careful one does, when malloc says ENOMEM: only
    one mapping fails. What ullage wants for itself may fail at any time."""
    native = execute([program("tolerant")])
    assert native.status == 0
    for n in list(range(1, 41)) + [60, 100]:
        r = recorder.run(program("tolerant"), check=False,
                         env={"ULLAGE_FAIL": f"mmap:{n}", "ULLAGE_UNWIND": None})
        assert (r.status, r.stdout, r.stderr) == (0, native.stdout, b""), (n, r.all_stderr)


def test_file_size_limit(recorder, native):
    """RLIMIT_FSIZE as a full disk; it must not raise SIGXFSZ either."""
    for size in (0, 4096, 65536, 100_000, 1 << 20, 3 << 20):
        r = execute(["/bin/sh", "-c", f"ulimit -f {size // 512}; exec \"$0\"",
                     program("waste")],
                    env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(recorder.file)})
        assert (r.status, r.stdout) == (0, native["waste"].stdout), (size, r.all_stderr)
        assert r.stderr == b""


def test_full_disk(recorder, native, tmp_path):
    if os.getuid():
        pytest.skip("needs root to mount a small tmpfs")
    for kb in (64, 256, 1024, 4096):
        disk = tmp_path / f"disk{kb}"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kb}k", "tmpfs", disk],
                                 capture_output=True)
        if mounted.returncode:
            pytest.skip("cannot mount a tmpfs here")
        try:
            file = disk / "recording"
            r = execute([ULLAGE, "run", "-o", file, "--", program("waste")])
            assert (r.status, r.stdout) == (0, native["waste"].stdout), (kb, r.all_stderr)
            if kb == 4096:  # something was recorded, and it says that it stopped
                report = execute([ULLAGE, "report", file])
                assert report.status == 0, report.all_stderr
        finally:
            subprocess.run(["umount", disk], check=True)


def test_recording_that_stopped_says_so(recorder):
    r = execute([program("waste")], env={"LD_PRELOAD": str(PRELOAD),
                                         "ULLAGE_FILE": str(recorder.file),
                                         "ULLAGE_FAIL": "fallocate:8"})
    assert r.status == 0
    if recorder.file.exists():
        assert "stop" in recorder.text("report").lower()


def test_recording_that_never_began_says_so(recorder):
    """Its file has a name, but cannot take the place of what was in memory."""
    r = recorder.run(program("leaks"), env={"ULLAGE_FAIL": "mremap:1"}, check=False)
    assert r.status == 0 and "allocator" not in r.said, r.said
    page = recorder.text("report")
    assert re.search(r"stops at \d+ ms: there was no memory", page)
    assert re.search(r" at the peak, by \d+ ms, .*(stops|\.\.\.)$",
                     page.splitlines()[0]), page # cut where it took long
    assert "stopped" in recorder.answer("leaks")["scan"]["reason"]


def test_recording_that_stopped_can_be_read_whenever_it_stopped(recorder):
    """It shows the heap of that moment, although pools came and went after it."""
    script = ("$a{$_}=$_ for 1..100000; delete $a{$_} for 1..90000;"
              '$b{$_}="x" x ($_%3000) for 1..3000; print "done\\n"')
    stopped = 0
    for n in range(2, 12):
        recorder.file.unlink(missing_ok=True)
        r = execute(["perl", "-e", script], env={
            "LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(recorder.file),
            "ULLAGE_FAIL": f"fallocate:{n}"})
        assert (r.status, r.stdout) == (0, b"done\n")
        report = recorder.answer("report")
        stopped += report["stopped"] != 0
        assert report["heap"]["live_bytes"] > 0
        for verb in ("growth", "leaks", "unused", "dump"):
            recorder.answer(verb)
    assert stopped >= 5


def verdicts(answer):
    """All that a scan says but where and when."""
    rows = sorted((row["verdict"], row["fingerprint"], row["blocks"], row["bytes"],
                   row.get("indirect_blocks", 0), row.get("indirect_bytes", 0))
                  for row in answer["leaks"])
    return answer["totals"], answer["rescued"], rows


def test_verdicts_are_those_of_one_processor(recorder):
    """However many scan, and where no thread is to be had for it. A heap that is worth it:
    most of what a perl holds is possible, and the rest is read last."""
    code = '$held{$_} = [$_, "x$_", {at => $_}] for 1 .. 40000; print "done\n"'
    processors = sorted(os.sched_getaffinity(0))
    alone = [tool("taskset"), "-c", str(processors[0])]
    every = [tool("taskset"), "-c", ",".join(map(str, processors))]
    said = []
    for how, fail in [(alone, 0)] + [(every, 0)] * 4 + [(every, 1)]: # (perl keeps all of it)
        recorder.run(*how, tool("perl"), "-e", code,
                     env={"PERL_HASH_SEED": "0", "ULLAGE_FAIL": f"thread:{fail}"})
        said.append(verdicts(recorder.answer("leaks")))
    assert said[0][0]["possible"]["blocks"] > 100_000
    for other in said[1:]:
        assert other == said[0]


def test_no_proc(recorder, native):
    """As in a bare chroot: no /proc, so no RSS, no mappings; the rest is there."""
    unshare = tool("unshare")
    if os.getuid() or execute([unshare, "-m", "true"]).status:
        pytest.skip("needs root and mount namespaces")
    r = execute([unshare, "-m", "sh", "-c",
                 'mount -t tmpfs none /proc && exec env LD_PRELOAD="$0" "$1"',
                 str(PRELOAD), program("leaks")], env={"ULLAGE_FILE": str(recorder.file)})
    assert (r.status, r.stdout) == (0, native["leaks"].stdout), r.all_stderr
