"""A process that is still running, or was killed: the recording is right about
what is live, at any moment."""

import os
import re
import resource
import signal
import subprocess
import time

import pytest

from harness import (PRELOAD, ULLAGE, blamed, check_recording, clean_environment, execute, find,
                     marked_line, near, program, tool)


def start(recorder, *argv):
    return subprocess.Popen([ULLAGE, "run", "-o", recorder.file, "--", *argv],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=clean_environment())


def recorded_pid(recorder):
    return recorder.answer("report")["program"]["pid"]


def sessions(recorder):
    report = recorder.answer("report", "--all")
    site = find(report["sites"], "keep_session", "grow.c",
                marked_line("grow.c", "keep_session"))
    return report, (site[0] if site else None)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("did not come about")


def answers(recorder):
    return recorder.file.exists() and execute([ULLAGE, "report", recorder.file]).status == 0


@pytest.mark.short
def test_report_on_a_live_process(recorder):
    p = start(recorder, program("grow"), "3000", "1")
    try:
        wait_for(lambda: answers(recorder))
        seen = []
        while p.poll() is None and len(seen) < 30:
            report, site = sessions(recorder)
            if report["program"]["exit"]["kind"] != "running":
                break
            if site:
                seen.append((site["live_bytes"], site["live_blocks"]))
                for verb in ("growth", "leaks", "unused", "dump"):
                    recorder.answer(verb)
        assert seen  # how often is for the machine to say
        assert seen == sorted(seen)
        # (a counter's words are read one after the other, so they may be one apart)
        assert all(abs(b - 1000 * n) <= 2000 for b, n in seen), seen
    finally:
        out, _ = p.communicate(timeout=60)
    assert p.returncode == 0 and out == b"served 3000 requests\n"
    check_recording(recorder.file)


@pytest.mark.short
def test_kill_9_in_mid_run(recorder):
    p = start(recorder, program("grow"), "1000000", "1")
    wait_for(lambda: answers(recorder) and (sessions(recorder)[1] or {}).get("live_blocks", 0) > 500)
    os.kill(recorded_pid(recorder), signal.SIGKILL)
    p.communicate(timeout=60)
    assert p.returncode == -signal.SIGKILL
    check_recording(recorder.file)
    report, site = sessions(recorder)
    assert report["program"]["exit"] == {"kind": "signaled", "status": 9}
    assert site["live_bytes"] == 1000 * site["live_blocks"] and site["live_blocks"] > 500
    assert blamed(recorder.answer("growth")["sites"][0], "keep_session")


def test_kill_9_of_both(recorder):
    """Nobody is left to write how it ended: the recording says killed."""
    p = start(recorder, program("grow"), "1000000", "1")
    wait_for(lambda: answers(recorder) and sessions(recorder)[1])
    pid = recorded_pid(recorder)
    p.kill()
    p.wait(60)
    os.kill(pid, signal.SIGKILL)
    p.communicate(timeout=60)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"))
    report, site = sessions(recorder)
    assert report["program"]["exit"]["kind"] == "killed"
    assert site["live_bytes"] == 1000 * site["live_blocks"]


def test_live_total_is_exact_when_the_process_rests(recorder):
    p = start(recorder, program("ends"), "wait")
    assert p.stdout.readline() == b"waiting\n"
    report = recorder.answer("report", "--all")
    assert report["program"]["exit"]["kind"] == "running"
    assert find(report["sites"], "leak_before_end")[0]["live_bytes"] == 1000
    assert near(sum(s["live_bytes"] for s in report["sites"]), report["heap"]["live_bytes"])
    os.kill(report["program"]["pid"], signal.SIGTERM)
    p.communicate(timeout=60)
    assert p.returncode == -signal.SIGTERM


# ---- killed for memory --------------------------------------------------------------


@pytest.fixture
def small_group(tmp_path):
    """A control group of 64 MiB without swap, whose processes the kernel kills."""
    limit = str(64 << 20)
    name = f"ullage-test-{os.getpid()}"
    for mount, files in (("/sys/fs/cgroup/memory", {"memory.limit_in_bytes": limit,
                                                    "memory.memsw.limit_in_bytes": limit}),
                         ("/sys/fs/cgroup", {"memory.max": limit, "memory.swap.max": "0"})):
        if mount != "/sys/fs/cgroup" and not os.path.isdir(mount):
            continue
        group = os.path.join(mount, name)
        try:
            os.mkdir(group)
        except OSError:
            pytest.skip("no control group can be made here")
        break
    try:
        if not all(os.path.exists(os.path.join(group, f)) for f in files):
            pytest.skip("no control group that limits memory and swap can be made here")
        for file, value in files.items():
            with open(os.path.join(group, file), "w", encoding="ascii") as f:
                f.write(value)
        yield group
    finally:
        wait_for(lambda: removed(group))


def removed(group):
    try:
        os.rmdir(group)
        return True
    except OSError:
        return False


def enter(group):
    with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as f:
        f.write(str(os.getpid()))


def lines_of(text, *names):
    return [l.removeprefix("ullage:").strip() for l in text.splitlines()
            if l.removeprefix("ullage:").split()[:1] and
            l.removeprefix("ullage:").split()[0] in names]


def test_oom_kill_is_told_by_name(recorder, small_group):
    r = recorder.run(program("causes"), "endless", preexec_fn=lambda: enter(small_group))
    assert r.status == -signal.SIGKILL
    assert "causes was OOM-killed after " in r.said
    oom, end, held = lines_of(r.said, "oom", "end", "held")
    assert oom == "oom      its control group counts 1 process killed for memory meanwhile"
    assert "grew" in end and end.endswith("limit: 64.0 MiB for its control group")
    assert "by remember" in held
    report = recorder.answer("report")
    assert report["program"]["exit"]["kind"] == "signaled"
    assert report["program"]["oom_kills"]["group"] == 1
    assert report["heap"]["last_bytes_per_second"] > 0 and report["heap"]["last_seconds"] > 0
    assert all(row["bytes"] > 0 for row in report["balance"] + report["mapped"]), report


def test_oom_kill_of_a_child_is_told(recorder, small_group):
    r = recorder.run("/bin/sh", "-c", f"{program('causes')} endless; exit 3",
                     preexec_fn=lambda: enter(small_group))
    assert r.status == 3
    oom, suspects = lines_of(r.said, "oom", "perhaps")
    assert oom == "oom      its control group counts 1 process killed for memory meanwhile"
    assert suspects.startswith("perhaps causes, process "), suspects


@pytest.mark.short
def test_a_child_killed_at_its_limit_heads_the_page(recorder):
    """However short it lived, and though its parent has lost something."""
    code = """if 1:
        import ctypes, os, signal
        lost = ctypes.CDLL(None).strdup
        lost.restype = ctypes.c_void_p
        for i in range(5000): lost(b"x" * 1000)
        if not os.fork():
            kept = b"y" * (260 << 20)
            os.kill(os.getpid(), signal.SIGKILL)
        os.wait()"""
    limit = 500 << 20
    r = recorder.run(tool("python3"), "-c", code, preexec_fn=lambda:
                     resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert r.status == 0
    assert "ullage: python3 was killed after" in r.said
    page = recorder.text("report").splitlines()
    assert page[0].startswith("python3 was killed after")
    assert any(l.split()[:1] == ["end"] and "grew" in l for l in page)


def test_what_failed_at_its_limit_was_growing_though_it_freed_all_then(recorder):
    """An interpreter that takes all apart as it ends, within two seconds."""
    code = """def grow(kept):
        while True: kept.append({"n": len(kept), "name": "x" * (len(kept) % 50)})
grow([])"""
    limit = 120 << 20
    r = recorder.run(tool("python3"), "-c", code, preexec_fn=lambda:
                     resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    report = recorder.answer("report")
    if r.status != 1 or report["stopped"]:
        pytest.skip("it did not come to a MemoryError of its own")
    heap, first = report["heap"], report["findings"][0]
    assert heap["live_bytes"] < heap["peak_bytes"] / 100
    assert first["kind"] == "growth" and first["bytes"] > heap["peak_bytes"] / 3, first
    page = "\n".join(recorder.text("report").splitlines()[:12])
    assert re.search(r"^  end      grew .*/s in the .* to its peak; limit: ", page, re.M), page
    assert heap["last_bytes_per_second"] > 1e6


@pytest.mark.short
def test_of_whom_it_is_not_known_what_leaks_is_told_first(recorder):
    r = recorder.run("/bin/sh", "-c", f"{program('ends')} kill; exit 0",
                     env={"ULLAGE_KEEP": "all"})
    assert r.status == 0
    for text in r.said, recorder.text("leaks"):
        assert "not known of 1 process; of the others nothing is lost: all " in text, text


@pytest.mark.short
def test_children_too_small_for_a_scan_are_not_said_to_lose_nothing(recorder):
    r = recorder.run("/bin/sh", "-c", f"{program('looks')} </dev/null; (:); exit 0")
    assert recorder.answer("report")["tree"]["unscanned"] == 1
    assert " 0 B lost, not known of 1\n" in r.said, r.said
    for text in r.said, recorder.text("leaks"):
        assert "not known of 1 process; of the others nothing is lost: all " in text, text
    for verb in "report", "leaks":
        hint = " ".join(recorder.text(verb).split("hint: ", 1)[1].split())
        assert hint.startswith("children that end with less than 16 KiB"), hint
        assert "ULLAGE_KEEP=lost" in hint
    recorder.run("/bin/sh", "-c", f"{program('looks')} </dev/null; (:); exit 0",
                 env={"ULLAGE_KEEP": "lost"})
    assert recorder.answer("report")["tree"]["unscanned"] == 0
    assert "ULLAGE_KEEP" not in recorder.text("report")


@pytest.mark.short
def test_kill_by_somebody_is_no_oom_kill(recorder):
    r = recorder.run(tool("perl"), "-e", "kill 9, $$; sleep 10")
    assert "was ended by signal 9 (Killed)" in r.said and "OOM" not in r.said
    assert "its control group" not in r.said.replace("for its control group", "")
    assert recorder.answer("report")["program"]["oom_kills"]["group"] in (0, None)


@pytest.mark.short
def test_who_waits_for_nobody_knows_of_no_kills(recorder):
    """Without `ullage run`."""
    execute(["/bin/sh", "-c", "kill -9 $$"],
            env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(recorder.file)})
    about = recorder.answer("report")["program"]
    assert about["exit"]["kind"] == "killed"
    assert about["oom_kills"] == {"group": None, "machine": None}


@pytest.mark.short
def test_end_in_another_name_space_is_not_known(recorder):
    """As of a container that is looked at from outside."""
    code = f"env LD_PRELOAD={PRELOAD} {tool('perl')} -e 'kill 9, $$; sleep 9'; exit 7"
    if execute([tool("unshare"), "--pid", "--fork", "true"]).status:
        pytest.skip("no name space can be made here")
    r = execute(["unshare", "--pid", "--fork", "sh", "-c", code],
                env={"ULLAGE_FILE": str(recorder.file)})
    assert r.status == 7
    assert recorder.answer("report")["program"]["exit"]["kind"] == "elsewhere"
    text = recorder.text("report")
    assert "runs, or was killed, in another name space" in text.splitlines()[0], text
    assert "is in another name space" in recorder.text("leaks")
