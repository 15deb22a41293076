"""The program must not notice: what it prints, how it ends, its descriptors, its
signals, its children, and what malloc promises."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import (PRELOAD, ULLAGE, NoEnd, clean_environment, execute, find, marked_line, program,
                     tool)
from recording import Recording


@pytest.mark.short
@pytest.mark.parametrize("name", ["conform", "operators", "foreign"])
def test_interface(recorder, name):
    r = recorder.run(program(name))
    assert (r.status, r.stderr) == (0, b""), r.text()[-3000:]


def test_interface_without_recording(recorder):
    r = recorder.run(program("conform"), env={"ULLAGE_RECORD": "no"})
    assert (r.status, r.stderr) == (0, b""), r.text()[-3000:]


ENDS = {  # mode: (how the recording says it ended, status)
    "return": ("exited", 3), "exit": ("exited", 3), "atexit": ("exited", 3),
    "_exit": ("exited", 3), "syscall": ("exited", 3), "_Exit": ("exited", 3), "quick_exit": ("exited", 3),
    "thread": ("exited", 3), "last_thread": ("exited", 0),
    "abort": ("signaled", 6), "assert": ("signaled", 6), "segv": ("signaled", 11), "term": ("signaled", 15),
    "kill": ("signaled", 9), "exec_failing": ("exited", 3), "exec_hopeless": ("exited", 3), "vfork": ("exited", 3),
    "spawn": ("exited", 3), "system": ("exited", 3), "raw_fork": ("exited", 3),
    "fork": ("exited", 3), "daemon": ("exited", 3),
}


@pytest.mark.short
@pytest.mark.parametrize("mode", ENDS)
def test_end(recorder, mode):
    r = recorder.same(program("ends"), mode)
    kind, status = ENDS[mode]
    assert r.status == (-status if kind == "signaled" else status)
    report = recorder.answer("report", "--all")
    assert report["program"]["exit"] == {"kind": kind, "status": status}
    site = find(report["sites"], "leak_before_end", "ends.c",
                marked_line("ends.c", "leak_before_end"))
    assert site and site[0]["live_bytes"] >= 1000
    assert "never called our malloc" not in r.said, r.said


@pytest.mark.short
@pytest.mark.parametrize("mode", [m for m, (kind, status) in ENDS.items()
                                  if kind == "exited" or status == 6])
def test_leaks_are_found_however_it_ends(recorder, mode):
    recorder.run(program("ends"), mode)
    found = [l for l in find(recorder.answer("leaks")["leaks"], "leak_before_end")
             if l["verdict"] == "definite"]
    blocks = 40 if mode == "exec_failing" else 10
    assert sum(l["blocks"] for l in found) == blocks
    assert sum(l["bytes"] for l in found) == 100 * blocks


@pytest.mark.short
@pytest.mark.parametrize("mode", ["exec_hopeless", "exec_failing"])
def test_exec_that_must_fail_is_no_end(recorder, mode):
    assert recorder.same(program("ends"), mode).status == 3
    report = recorder.answer("report")
    assert "EXEC_FAILED" not in report["fallbacks"], report["fallbacks"]


@pytest.mark.short
def test_exec_of_a_text_is_an_end(recorder):
    r = recorder.same(program("ends"), "exec_text")
    assert (r.status, r.stdout) == (3, b"by a shell\n")
    before = recorder.answer("report", file=recorder.file.with_name("recording.1"))
    assert before["program"]["exit"]["kind"] == "execed"


@pytest.mark.short
def test_sleeping_threads_sleep_on_when_the_process_ends(recorder):
    for _ in range(5):
        r = recorder.same(program("asleep"), "end")
        assert (r.status, r.stdout) == (0, b"")


@pytest.mark.short
def test_sleeping_threads_sleep_on_when_an_exec_fails(recorder, tmp_path):
    busy = tmp_path / "program"
    busy.write_bytes(Path(program("ends")).read_bytes())
    busy.chmod(0o755)
    with open(busy, "r+b"):
        r = recorder.same(program("asleep"), "exec", busy)
    assert (r.status, r.stdout) == (0, b"slept\n")
    assert recorder.answer("report")["fallbacks"]["EXEC_FAILED"] == 3


def test_exit_writes_before_the_last_words(recorder):
    """Whoever ends the process while it looks for leaks takes no output from it."""
    p = subprocess.Popen([ULLAGE, "run", "-o", recorder.file, program("printing"), "late"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         bufsize=0, env=clean_environment())
    first = p.stdout.read(1)  # what is left fills the pipe: exit() waits for us
    assert recorder.answer("report")["program"]["exit"]["kind"] == "running"
    rest, _ = p.communicate(timeout=60)
    assert p.returncode == 0
    assert (first + rest).split() == [b"%d" % i for i in range(100000)]


def ends_within(seconds, *argv):
    """The status of a program that may never end, or None."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                              env=clean_environment(), timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


@pytest.mark.short
@pytest.mark.parametrize("mode", ["flush", "input"])
def test_end_while_other_threads_use_streams(recorder, mode):
    """exit() waits for nothing that a stopped thread holds, where it does not of itself (as
    glibc's since 2.41, for who reads, and any, 1 time in 300)."""
    if ends_within(10, program("printing"), mode) is None:
        pytest.skip("natively it does not end either")
    ends = 0
    for _ in range(10):
        with contextlib.suppress(NoEnd):
            r = recorder.run(program("printing"), mode, timeout=20)
            assert (r.status, r.stdout, r.stderr) == (0, b"result: 42\n", b"")
            assert "LET_GO" not in recorder.answer("report")["fallbacks"]
            ends += 1
    assert ends >= 8


@pytest.mark.short
@pytest.mark.parametrize("size", [6144, 7168, 8192, 12288, 16384])
@pytest.mark.parametrize("mode, status", [("exit", 3), ("abort", -6)])
def test_crash_handler_on_a_small_stack(recorder, mode, status, size):
    r = recorder.same(program("smallstack"), mode, size)
    if r.status == -signal.SIGSEGV:
        pytest.skip("it needs more natively")
    assert r.status == status
    totals = recorder.answer("leaks")["totals"]
    assert totals["definite"] == {"blocks": 10, "bytes": 1000}, totals


@pytest.mark.short
@pytest.mark.parametrize("mode", [[], ["fork"]], ids=["main", "child"])
def test_others_take_what_main_has_left(recorder, mode):
    """Its thread's id is in use for as long as the process lives."""
    r = recorder.same(program("leader"), *mode)
    assert r.status == 3
    recording = Recording(recorder.children()[0] if mode else recorder.file)
    heaps = recording.elements("HEAPS", "ul_heap_record")
    assert len(heaps) == 2, heaps
    assert sum(h["adopted"] for h in heaps) == 10


@pytest.mark.short
def test_coroutine_on_a_small_stack(recorder):
    r = recorder.same(program("smallstack"), "coroutine", 4096, strict=False)
    assert r.status == 0


@pytest.mark.short
def test_leaks_are_found_when_nobody_catches(recorder):
    r = recorder.same(program("throw"), "uncaught")
    assert r.status == -signal.SIGABRT
    found = [l for l in find(recorder.answer("leaks")["leaks"], "lose")
             if l["verdict"] == "definite"]
    assert sum(l["blocks"] for l in found) == 10


def test_a_copy_that_waits_for_the_program_is_given_up(recorder):
    native = execute([program("served")])
    if native.status == 77:
        pytest.skip("userfaultfd is not permitted")
    r = recorder.same(program("served"))
    assert (r.status, r.stdout) == (0, b"served\n")
    assert "makes no progress" in r.said


@pytest.mark.short
def test_all_is_known_at_the_end_of_the_last_thread(recorder):
    """/proc/self is empty when the main thread has ended before."""
    recorder.run(program("ends"), "last_thread")
    report = recorder.answer("report")
    assert "RSS_UNKNOWN" not in report["fallbacks"]
    assert recorder.answer("leaks")["totals"]["definite"]["blocks"] == 10


def test_exit_by_bare_system_call(recorder):
    r = recorder.same(program("ends"), "bare")
    assert r.status == 3
    report = recorder.answer("report", "--all")
    assert find(report["sites"], "leak_before_end")[0]["live_bytes"] == 1000
    assert "bare system call" in recorder.answer("leaks")["scan"]["reason"]
    r = execute([program("ends"), "bare"], env={"LD_PRELOAD": str(PRELOAD),
                                                "ULLAGE_FILE": f"{recorder.file}.2"})
    assert r.status == 3
    scan = recorder.answer("leaks", file=f"{recorder.file}.2")["scan"]
    assert "bare system call" in scan["reason"]


def test_why_there_is_no_scan(recorder):
    recorder.run(program("pairs"), "10", options=["--scan=no"])
    assert "ULLAGE_SCAN=no" in recorder.answer("leaks")["scan"]["reason"]


def test_status_is_what_the_parent_sees(recorder):
    assert recorder.run(tool("perl"), "-e", "exit 300").status == 44
    assert recorder.answer("report")["program"]["exit"] == {"kind": "exited", "status": 44}


@pytest.mark.short
@pytest.mark.parametrize("loader", ["", "/lib64/ld-linux-x86-64.so.2"])
def test_command_line(recorder, loader):
    """As the system tells it, which counts a loader that runs a program as the program."""
    command = [*filter(None, [loader]), tool("true"), "", "a b", "c\td"]
    if loader and not os.path.exists(loader):
        pytest.skip(f"no {loader}")
    assert recorder.run(*command).status == 0
    assert recorder.answer("report")["program"]["command"] == [str(c) for c in command]


def test_command_line_of_any_length(recorder):
    """It is cut where it is told, and nowhere else."""
    arguments = ["x" * 10_000] * 10
    assert recorder.run(tool("true"), *arguments).status == 0
    told = recorder.answer("report")["program"]["command"]
    assert told[1:6] == arguments[:5] and 1 < len(told[-1]) < 10_000
    assert sum(len(a) + 1 for a in told) == 65_536


@pytest.mark.short
def test_directory_that_is_gone(recorder, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$0"; exec "$1"'
    recorder.run(tool("sh"), "-c", script, gone, tool("true"), cwd=gone)
    assert recorder.answer("report")["program"]["directory"] == f"{gone} (deleted)"


def test_exec_keeps_both_recordings(recorder):
    r = recorder.same(program("ends"), "exec")
    assert (r.status, r.text()) == (3, "executed\n")
    report = recorder.answer("report")
    assert report["program"]["command"][0].endswith("sh")
    earlier = recorder.answer("report", "--all", file=recorder.file.with_name("recording.1"))
    assert find(earlier["sites"], "leak_before_end")[0]["live_bytes"] == 1000


def test_forked_children_have_recordings_of_their_own(recorder):
    r = recorder.run(program("ends"), "fork")
    assert r.status == 3
    told = []
    for path in recorder.children():
        sites = recorder.answer("report", "--all", file=path)["sites"]
        told += [s["live_bytes"] for s in find(sites, "leak_before_end")]
    summary = recorder.file.with_name("recording.children")
    folded = summary.read_text().splitlines() if summary.exists() else []
    assert len(recorder.children()) + len(folded) == 5
    if told:
        assert max(told) >= 5000


@pytest.mark.short
def test_child_that_is_killed_with_one_large_block_has_a_recording(recorder):
    r = recorder.run(program("ends"), "fork_large")
    assert r.status == 3
    child, = recorder.children()
    report = recorder.answer("report", file=child)
    assert report["program"]["exit"] == {"kind": "killed", "status": 0}
    assert report["heap"]["live_bytes"] == 32 << 20


def test_child_whose_exec_finds_nothing_keeps_its_recording(recorder):
    r = recorder.run("/bin/sh", "-c", f"{program('ends')} exec_missing; exit 4", strict=False)
    assert r.status == 4
    children = recorder.answer("report")["children"]["recordings"]
    assert len(children) == 1
    assert recorder.answer("report", file=children[0])["heap"]["peak_bytes"] > 8 << 20


def test_children_can_be_left_out(recorder):
    r = recorder.run(program("ends"), "fork", options=["--children=no"])
    assert r.status == 3
    assert recorder.children() == []


def test_child_that_outlives_its_parent(recorder):
    r = recorder.run(program("ends"), "daemon")
    assert (r.status, r.text()) == (3, "parent leaves\n")


@pytest.mark.short
@pytest.mark.seconds(400)
@pytest.mark.parametrize("argv", [
    ("cross", "100000"), ("storm", "1000"), ("fork", "300"), ("exit",)], ids=lambda a: a[0])
def test_threads(recorder, argv):
    r = recorder.run(program("threads"), *argv, strict=argv[0] != "cross", timeout=300)
    assert (r.status, r.stderr) == ((7, b"") if argv[0] == "exit" else (0, b""))


@pytest.mark.seconds(400)
def test_threads_under_the_strictest_checks(recorder):
    r = recorder.run(program("threads"), "cross", "5000", timeout=300)
    assert (r.status, r.stderr) == (0, b"")


@pytest.mark.short
@pytest.mark.seconds(400)
def test_libraries_that_come_and_go_while_exceptions_fly(recorder):
    r = recorder.run(program("dl"), program("plugin.so"), "1000", strict=False, timeout=300)
    assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")
    r = recorder.run(program("dl"), program("plugin.so"), "50", timeout=300)
    assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")


@pytest.mark.short
def test_out_of_memory_with_a_runtime_that_only_the_plugin_sees(recorder):
    r = recorder.same(program("runtime"), program("private.so"))
    assert (r.status, r.text()) == (0, "0 0\n")


def test_exceptions(recorder):
    recorder.same(program("throw"), "3000")


@pytest.mark.short
@pytest.mark.parametrize("mode", ["list", "reuse", "many"])
def test_descriptors(recorder, mode):
    assert recorder.same(program("descriptors"), mode).status == 0


@pytest.mark.short
@pytest.mark.parametrize("mode", ["jump", "timer", "mask", "altstack"])
def test_signals(recorder, mode):
    assert recorder.same(program("signals"), mode).status == 0


def test_wrapper_forwards_signals(recorder):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        p = subprocess.Popen([ULLAGE, "run", "-o", recorder.file, "--", program("ends"), "wait"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert p.stdout.readline() == b"waiting\n"
        p.send_signal(number)
        p.communicate(timeout=60)
        assert p.returncode == -number
        report = recorder.answer("report")
        assert report["program"]["exit"] == {"kind": "signaled", "status": number}
        recorder.file.unlink()


@pytest.mark.parametrize("mb", [400])
def test_address_space_runs_out(recorder, mb):
    for _ in range(2):
        r = recorder.run(program("limits"), mb)
        assert (r.status, r.text(), r.stderr) == (0, "survived\n", b"")


def test_ulimit_v_from_outside(recorder):
    sh = tool("sh")
    for kb in (100_000, 300_000):
        r = recorder.run(sh, "-c", f'ulimit -v {kb}; exec "$0" 0', program("limits"))
        assert (r.status, r.text()) == (0, "survived\n")


def test_bare_preload_does_the_same(tmp_path):
    from harness import PRELOAD, check_recording
    from harness import Recorder
    file = tmp_path / "recording"
    r = execute([program("leaks")], env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(file)})
    assert r.status == 0 and r.all_stderr == b""
    check_recording(file)
    assert Recorder(tmp_path).answer("leaks")["totals"]["definite"]["blocks"] == 132


def test_file_names_with_program_and_pid(tmp_path):
    from harness import PRELOAD
    execute([program("pairs"), "10"], cwd=tmp_path,
            env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": f"{tmp_path}/%n-%p.rec"})
    names = [p.name for p in tmp_path.iterdir()]
    assert len(names) == 1 and names[0].startswith("pairs-") and names[0].endswith(".rec")
    execute([ULLAGE, "run", "--", program("pairs"), "10"], cwd=tmp_path)
    assert [p for p in tmp_path.glob("ullage.pairs.*")]


def test_an_earlier_recording_is_not_silently_lost(recorder):
    execute([ULLAGE, "run", "-o", recorder.file, "--", program("pairs"), "10"])
    first = recorder.file.read_bytes()
    r = execute([ULLAGE, "run", "-o", recorder.file, "--", program("pairs"), "10"])
    kept = [p for p in recorder.directory.iterdir() if p.read_bytes() == first]
    assert kept or (r.status != 0 and recorder.file.read_bytes() == first), r.all_stderr


def test_program_that_wraps_glibcs_own_names(recorder):
    # (The second unwinder of the strict checks allocates, by the program's malloc.)
    recorder.same(program("wrapper"), strict=False)


@pytest.mark.short
@pytest.mark.parametrize("argv", [("own",), ("own", "free"), ("next",)], ids="-".join)
def test_what_belongs_together_comes_from_one_allocator(recorder, argv):
    r = recorder.same(program("front"), *argv, strict=False)
    assert r.status == (99 if "free" in argv else 0), r.text()
    bare = execute([program("front"), *argv],
                   env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_RECORD": "no"})
    assert (bare.status, bare.stdout) == (r.status, r.stdout)


@pytest.mark.short
@pytest.mark.parametrize("whose", ["", "_nopie", "_library"])
def test_operators_of_somebody_elses_are_called(recorder, whose):
    """new[], sized delete and the like are the runtime's, which come down to the replaced two."""
    r = recorder.same(program("replaced" + whose), strict=True)
    lines = r.text().splitlines()
    assert lines[:2] == ["6 news, 6 deletes"] * 2 and len(lines) == 3, lines
    bare = execute([program("replaced" + whose)],
                   env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_RECORD": "no"})
    assert (bare.status, bare.text()) == (0, r.text())
    assert "misuse" not in r.said and "nothing is lost" in r.said, r.said


@pytest.mark.short
def test_system_calls_of_libcs_are_made_by_libc(recorder):
    """syscall and prctl are in front of libc's, but it is libc's instruction that calls."""
    r = recorder.same(program("dispatched"), strict=True)
    assert r.text() in ("0 by syscall, 0 by prctl, 1 own\n", "not here\n"), r.text()


@pytest.mark.short
def test_a_hole_in_the_address_space_stays_one(recorder):
    """A fork maps nothing where a program waits for a fault."""
    r = recorder.same(program("holes"), strict=False)
    assert r.text() == "0 holes filled\n"


def test_malloc_stats_has_the_lines_of_libcs(tmp_path, recorder):
    source = tmp_path / "stats.c"
    source.write_text("""#include <malloc.h>
        #include <pthread.h>
        static int done;
        static void *run(void *unused) {
          pthread_cancel(pthread_self()); /* which it must not be here */
          malloc_stats();
          done = 1;
          return unused;
        }
        int main(void) {
          pthread_t thread;
          return pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL) || !done;
        }""")
    subprocess.run([tool("gcc"), "-o", tmp_path / "stats", source], check=True)
    alone, recorded = execute([tmp_path / "stats"]), recorder.run(tmp_path / "stats")
    lines, ours = ({re.sub(rb" *\d+$|\d+:$", b"N", line) for line in r.stderr.splitlines()}
                   for r in (alone, recorded))
    assert (alone.status, recorded.status) == (0, 0) and ours == lines


def test_a_program_with_its_own_allocator_is_named(recorder):
    r = recorder.same(program("bundled"), strict=True)
    text = recorder.text("report") if recorder.file.exists() else ""
    assert "allocator" in (r.said + text)


def test_allocators_beside_malloc_are_named(tmp_path, recorder):
    """By a library whose language has its own heap, and by a call around malloc."""
    def build(target, text, *options):
        source = tmp_path / "source.c"
        source.write_text(text)
        subprocess.run([tool("gcc"), "-w", "-o", tmp_path / target, source, *options], check=True)

    shared = ("-shared", "-fPIC")
    build("libjvm.so", "void *malloc(long); void *work(void) { return malloc(100); }", *shared)
    build("libje.so", "static char p[100]; void *mallocx(long n, int f) { return p; }", *shared)
    here = (f"-L{tmp_path}", f"-Wl,-rpath,{tmp_path}")
    build("java", "void *work(void); int main(void) { return !work(); }", *here, "-ljvm")
    build("calls", "void *mallocx(long, int), *malloc(long);"
          "int main(void) { return !mallocx(10, 0) || !malloc(10); }", *here, "-lje")
    for name, words in (("java", "Java"), ("calls", "mallocx")):
        r = recorder.same(tmp_path / name)
        assert words in r.said and "not recorded" in r.said, r.said


def test_one_child_with_a_line(recorder):
    r = recorder.run(tool("sh"), "-c", "/bin/true; exit 0")
    assert "PROCESSES  2, of which left only a line: 1" in r.said
    r = recorder.run(tool("sh"), "-c", "/bin/true; /bin/true; exit 0")
    assert "PROCESSES  3, of which left only a line: 2" in r.said


def test_script_with_a_thousand_children(recorder):
    script = "i=0; while [ $i -lt 1000 ]; do /bin/true; i=$((i+1)); done; echo done"
    r = recorder.same(tool("sh"), "-c", script, strict=False)
    assert r.text() == "done\n"
    files = list(recorder.directory.iterdir())
    assert len(files) < 20, len(files)
    lines = recorder.file.with_name("recording.children").read_text().splitlines()
    assert len(lines) + len(recorder.children()) == 1000
    fields = lines[0].split("\t")
    assert len(fields) == 9 and fields[2:4] == ["exited", "0"] and "true" in fields[8]
