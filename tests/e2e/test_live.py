"""A process that is still running, or was killed: the recording is right about
what is live, at any moment."""

import os
import signal
import subprocess
import time

import pytest

from harness import (ULLAGE, blamed, check_recording, clean_environment, execute, find,
                     marked_line, near, program)


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
