"""The recording's file: what the program gives up, fills up or moves does not end it."""

import os
import re
import shutil
import subprocess

import pytest

from harness import PRELOAD, ULLAGE, Recorder, check_recording, clean_environment, execute, is_recording, program, tool
from recording import Recording

root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to give rights up")
BLOCKS = 300_000


def complete(recorder, file=None):
    report = recorder.answer("report", file=file)
    assert report["stopped"] == 0, report
    assert BLOCKS <= report["heap"]["live_blocks"] < BLOCKS + 100


@root
@pytest.mark.parametrize("what", ["setuid", "setresgid", "capset", "chroot", "unshare", "full"])
def test_recording_outlives_what_is_given_up(recorder, what):
    r = recorder.run(program("rights"), "main", what, strict=False)
    assert (r.status, r.stderr) == (0, b""), r.all_stderr
    complete(recorder)


@root
@pytest.mark.parametrize("what", ["setuid", "setresgid", "capset", "chroot", "unshare", "full"])
def test_recording_of_a_worker_that_gives_up_its_rights(recorder, what):
    os.chmod(recorder.directory, 0o700)
    r = recorder.run(program("rights"), "child", what, strict=False)
    assert (r.status, r.stderr) == (0, b""), r.all_stderr
    child, = recorder.children()
    complete(recorder, child)


@root
@pytest.mark.parametrize("how", ["exec", "init"])
@pytest.mark.parametrize("what", ["setuid", "setresgid"])
@pytest.mark.parametrize("owner", [0, 65534], ids=["roots_folder", "its_folder"])
def test_program_that_is_executed_by_another_user(recorder, how, what, owner):
    """As an init starts a server: it becomes its user, then the server."""
    os.chown(recorder.directory, owner, -1)
    recorder.directory.chmod(0o755)
    top = recorder.directory
    while str(top) not in ("/", "/tmp"):
        top.chmod(0o755)
        top = top.parent
    rights = recorder.directory / "rights"
    shutil.copy(program("rights"), rights)
    r = recorder.run(rights, how, what, strict=False)
    assert (r.status, r.stderr) == (0, b""), r.all_stderr
    assert "unrecorded" not in r.said
    server = recorder.file
    if how == "init":
        server, = [p for p in recorder.children() if p.name.count(".") == 1]
    complete(recorder, server)
    before = recorder.directory / (server.name + ".1")  # the init; as a child, if it could not fold
    if how == "exec" or before.exists():
        assert recorder.answer("report", file=before)["program"]["exit"]["kind"] == "execed"
    assert not list(recorder.directory.glob("*.heir"))
    assert all(p.stat().st_size < 64 << 20 for p in recorder.recordings())


@root
@pytest.mark.parametrize("owner", [0, 65534], ids=["roots_folder", "its_folder"])
def test_daemon_that_forks_after_it_has_become_another_user(recorder, owner):
    os.chown(recorder.directory, owner, -1)
    top = recorder.directory
    while str(top) not in ("/", "/tmp"):
        top.chmod(0o755)
        top = top.parent
    r = recorder.run(program("rights"), "daemon", "setresgid", strict=False, check=False)
    assert (r.status, r.stderr) == (0, b""), r.all_stderr
    daemon, = recorder.children()  # (called FILE.PID.heir still, if the run was over too early)
    complete(recorder, daemon)


def test_recording_whose_folder_is_moved(tmp_path):
    (tmp_path / "a").mkdir()
    recorder = Recorder(tmp_path / "a")
    r = recorder.run(program("rights"), "main", "moved", tmp_path / "a", tmp_path / "b",
                     strict=False)
    assert (r.status, r.stderr) == (0, b""), r.all_stderr
    complete(recorder, tmp_path / "b" / "recording")


@pytest.mark.parametrize("where", [[], ["child"]], ids=["older", "child"])
def test_thread_that_no_wrapper_was_made_for(recorder, where):
    """What it allocates and frees while the file is made is neither lost nor misread: a thread
    that is older than ullage, or of a forked child, by thrd_create."""
    for _ in range(5):
        r = recorder.run(program("early"), *where, strict=False)
        assert (r.status, r.text(), r.stderr) == (0, "done\n", b""), r.all_stderr
        report = recorder.answer("report", file=recorder.children()[0] if where else None)
        assert report["stopped"] == 0
        assert "DOUBLE_FREE" not in report["fallbacks"]
        assert report["heap"]["live_blocks"] >= 200_000


# ---- the disk ----------------------------------------------------------------------

def on_disk(directory):
    return sum(p.stat().st_blocks * 512 for p in directory.iterdir())


def test_small_process_leaves_little(recorder):
    for argv in ([tool("true")], [program("pairs"), "10"]):
        assert recorder.run(*argv, strict=False).status == 0
        assert recorder.file.stat().st_blocks * 512 <= 32 << 10


MANY = "i=0; while [ $i -lt 12 ]; do perl -e '$a{$_}=$_ for 1..40000'; i=$((i+1)); done; echo done"


@pytest.mark.parametrize("name", ["recording", "%p"])
def test_tree_of_processes_has_a_bound_on_the_disk(recorder, name):
    """12 children would have more than 1 MiB each; it is said once that it was too much."""
    env = {"ULLAGE_DISK": "4", "LD_PRELOAD": str(PRELOAD), "ULLAGE_CHILDREN_MAX": "1000",
           "ULLAGE_FILE": str(recorder.directory / name)}
    r = execute([tool("sh"), "-c", MANY], env=env)
    assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")
    assert 3 << 20 < on_disk(recorder.directory) < 5 << 20
    assert r.said.count("ULLAGE_DISK") == r.said.count("\n") == 1, r.said
    for path in recorder.directory.iterdir():
        if is_recording(path):
            check_recording(path)


def test_one_process_has_a_bound_on_the_disk(recorder):
    """But for a block in which the file system has noted where the others are."""
    r = recorder.run(program("rights"), "main", "full", strict=False, options=["--disk=1"])
    assert r.status == 0
    assert on_disk(recorder.directory) <= (1 << 20) + 4096
    assert "ULLAGE_DISK" in recorder.text("report")
    assert "ULLAGE_DISK" in r.said


def test_recording_that_may_not_be_long_can_be_read(recorder):
    found = 0
    for kib in (200, 250, 258, 300, 333, 400, 700, 1500):
        recorder.file.unlink(missing_ok=True)
        r = execute([tool("sh"), "-c", f'ulimit -f {kib * 2}; exec "$0"', program("waste")],
                    env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(recorder.file)})
        assert r.status == 0
        if recorder.file.exists():
            assert recorder.file.stat().st_size <= kib << 10
            recorder.answer("report")
            found += 1
    assert found >= 5


def test_what_cannot_be_written_is_said_once_for_a_tree(tmp_path):
    script = "(true); true; perl -e 'fork; 1'; sh -c '/bin/true; (true)'; true"
    for name in ("recording", "%p"):
        r = execute([tool("sh"), "-c", script],
                    env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": f"{tmp_path}/no/{name}"})
        assert r.status == 0
        assert r.said.count("cannot write") == r.said.count("\n") == 1, r.said


@pytest.mark.parametrize("readers,mode", [(None, 0o600), ("owner", 0o600), ("group", 0o640),
                                          ("all", 0o644)])
def test_who_may_read(recorder, readers, mode):
    recorder.run(program("ends"), "fork", options=[f"--readers={readers}"] if readers else [])
    for path in recorder.directory.iterdir():
        assert path.stat().st_mode & 0o777 == mode, path


# ---- what else may have the name ---------------------------------------------------

def test_name_of_something_else(recorder):
    """An empty file, a fifo or a folder in its place harms neither it nor the program."""
    for make in (lambda p: p.touch(), os.mkfifo, lambda p: p.mkdir(),
                 lambda p: p.write_text("precious")):
        for name in ("recording", "recording.children"):
            for old in recorder.directory.iterdir():
                old.rmdir() if old.is_dir() else old.unlink()
            path = recorder.directory / name
            make(path)
            before = path.lstat()
            r = execute([tool("sh"), "-c", "(true); perl -e 'fork'; (:); echo done"], timeout=20,
                        env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(recorder.file)})
            assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")
            if name == "recording" or not path.is_file():
                now = path.lstat()
                assert (now.st_ino, now.st_size, now.st_mtime_ns) == (
                    before.st_ino, before.st_size, before.st_mtime_ns)


def test_daemon_of_an_earlier_run_stays_with_its_own(recorder):
    """The name was used again while it lived: its children's files and lines, of programs
    and of forks, go to the earlier recording."""
    fifo, done = recorder.directory / "go", recorder.directory / "done"
    os.mkfifo(fifo)
    os.mkfifo(done)
    daemon = (f"read x < {fifo}; perl -e '$a{{$_}}=$_ for 1..60000; if (!fork) {{exit}} wait'; "
              f"(echo in a fork; :) >/dev/null; echo over > {done}")
    sh = tool("sh")
    execute([ULLAGE, "run", "-o", recorder.file, "--", sh, "-c",
             f"({daemon}) </dev/null >/dev/null 2>&1 &"])
    execute([ULLAGE, "run", "-o", recorder.file, "--", tool("true")])
    fifo.write_text("go\n")
    assert done.read_text() == "over\n"
    old = recorder.file.with_name("recording.old")
    new = {p.name for p in recorder.directory.glob("recording*") if not p.name.startswith(old.name)}
    assert new == {"recording"}
    assert [p for p in recorder.directory.glob("recording.old.[0-9]*") if is_recording(p)]


def test_earlier_recordings_are_bounded(recorder):
    """Of one name the last three stay, with their children; the oldest goes."""
    for run in range(6):
        execute([ULLAGE, "run", "-q", "-o", recorder.file, "--", program("causes"), "children"],
                env={"ULLAGE_SCAN_LIMIT": str(100 + run)})
    names = {p.name for p in recorder.directory.glob("recording*")}
    kept = [n for n in names if not re.search(r"\.\d+$", n)]
    assert sorted(kept) == ["recording", "recording.old", "recording.old-2", "recording.old-3"]
    assert len(names) == 4 * 4
    limits = [Recording(recorder.directory / n).header["scan"]["limit_seconds"]
              for n in ("recording", "recording.old", "recording.old-2", "recording.old-3")]
    assert limits == [105, 104, 103, 102]


# ---- our line on standard error ----------------------------------------------------

NOWHERE = {"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": "/nonexistent/recording"}


def status_with_stderr(argv, stderr, env=NOWHERE):
    return subprocess.run(argv, stderr=stderr, env=clean_environment(env), timeout=30).returncode


def test_nobody_reads_standard_error():
    reader, writer = os.pipe()
    os.close(reader)
    assert status_with_stderr([tool("true")], writer) == 0
    os.close(writer)


def test_nobody_reads_standard_error_any_more():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 1024)
    os.set_blocking(writer, True)
    assert status_with_stderr([tool("true")], writer) == 0
    os.close(reader)
    os.close(writer)


def test_standard_error_may_not_grow(tmp_path):
    with open(tmp_path / "log", "wb") as log:
        log.write(b"x" * 512)
        log.flush()
        assert status_with_stderr([tool("sh"), "-c", 'ulimit -f 1; exec "$0"', tool("true")], log) == 0


def test_a_data_file_has_the_number_of_standard_error(recorder):
    data = recorder.directory / "data"
    script = f"close STDERR; open F, '>', '{data}'; print F fileno F; $a{{$_}}=$_ for 1..200000"
    r = execute(["perl", "-e", script], env={
        "LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(recorder.file), "ULLAGE_DISK": "1"})
    assert (r.status, r.all_stderr) == (0, b"")
    assert data.read_text() == "2"
    assert recorder.answer("report")["stopped"] != 0


def test_a_parent_that_reads_its_childs_standard_error():
    for env in (NOWHERE, {"LD_PRELOAD": str(PRELOAD), "ULLAGE_RECORD": "perhaps",
                          "ULLAGE_FILE": "/nonexistent/recording"}):
        r = execute(["perl", "-e", "$x = `sh -c '/bin/true; (:)' 2>&1`; print length $x"], env=env)
        assert (r.status, r.text(), r.stderr) == (0, "0", b"")
        assert "unrecorded" in r.said


def test_names_do_not_reach_the_terminal_as_they_are(recorder):
    evil = b"a\x9b2J\xc2\x9bb\xe2\x80\xaegpj\x1b[31m"
    directory = os.fsencode(recorder.directory) + b"/" + evil
    os.mkdir(directory)
    name = directory + b"/" + evil
    os.symlink(tool("true"), name)
    file = directory + b"/r"
    runs = [[ULLAGE, "run", "-o", file, "--", name], [ULLAGE, "report", file],
            [ULLAGE, "run", "-o", directory, "--", name], [ULLAGE, "report", directory + b"/no"],
            [ULLAGE, "run", "--", directory + b"/none"], [ULLAGE, "run", "-o", file, "--", name]]
    for argv in runs:
        r = subprocess.run(argv, capture_output=True, timeout=30, env=clean_environment())
        for bad in (b"\x9b", b"\x1b", b"\xe2\x80\xae"):
            assert bad not in r.stdout + r.stderr, (argv, r.stdout[:500], r.stderr)
    r = subprocess.run([name], capture_output=True, timeout=30, env=clean_environment(
        {"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": os.fsdecode(directory + b"/no/r")}))
    assert b"cannot write" in r.stderr
    assert not any(bad in r.stderr for bad in (b"\x9b", b"\x1b", b"\xe2\x80\xae"))
