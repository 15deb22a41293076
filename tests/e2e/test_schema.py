"""docs/json.md describes what each verb answers: every member that is there, and no other."""

import os
import signal
import subprocess

import pytest

from harness import ULLAGE, clean_environment, execute, program
from schema import Schema
from test_documents import VERBS, help_of

SCHEMA = Schema()
ANSWERING = [verb for verb in VERBS if "--json" in help_of(verb) and "[FILE" in help_of(verb)]


def check(verb, answer):
    problems = SCHEMA.problems(verb, answer)
    assert not problems, f"{verb}: " + "; ".join(problems[:10])


def check_all(recorder, *options):
    for verb in ANSWERING:
        check(verb, recorder.answer(verb, *options))


def test_there_are_answers_to_check():
    assert {"report", "growth", "leaks", "unused", "dump"} <= set(ANSWERING)


def test_each_verb_with_json_has_a_schema():
    assert {verb for verb in VERBS if "--json" in help_of(verb)} <= set(SCHEMA.verbs)


def test_what_is_not_described_is_found():
    """The check itself."""
    good = {"before": {"file": "", "path": "", "pid": 1, "moment": None, "seconds": 1.0,
                       "live_bytes": 0, "live_blocks": 0, "allocations": 0, "lost_bytes": None,
                       "peak_bytes": 3, "rss_bytes": 0, "nameless": ["/bin/x"]},
            "same_build": True, "leaks_known": False, "changes": [], "functions": [],
            "peak_changes": [], "peak_functions": [], "untold_bytes": [0, 0]}
    good["after"] = dict(good["before"])
    assert SCHEMA.problems("diff", good) == []
    for change in ({"more": 1}, {"same_build": 1}, {"untold_bytes": [0]}, {"changes": [{}]},
                   {"before": {**good["before"], "pid": "1"}},
                   {"before": {**good["before"], "moment": 12}}):
        assert SCHEMA.problems("diff", {**good, **change}), change
    del good["leaks_known"]
    assert SCHEMA.problems("diff", good) == ["diff: no leaks_known"]


@pytest.mark.short
@pytest.mark.parametrize("argv", ["leaks", "misuse", "waste", "causes growing", "causes routes", "spread spread", "family suite",
                                  "family daemon", "family exec", "heirs work 1", "family idle"])
def test_answers_are_as_described(recorder, argv):
    name, *arguments = argv.split()
    recorder.run(program(name), *arguments)
    check_all(recorder)
    check_all(recorder, "--all")


@pytest.mark.short
def test_answers_of_samples_are_as_described(recorder):
    recorder.run(program("causes"), "cache", options=["--sample=4096"])
    check_all(recorder)


@pytest.mark.short
def test_answers_about_a_process_that_runs_or_was_killed_are_as_described(recorder):
    run = subprocess.Popen([ULLAGE, "run", "-q", "-o", recorder.file, "--", "/bin/sh", "-c",
                            "echo begun; read line"], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           env=clean_environment())
    try:
        assert run.stdout.readline() == b"begun\n"
        check_all(recorder)
        exits = [p["exit"]["kind"] for p in recorder.answer("report")["processes"]]
        assert exits == ["running"]
        os.kill(recorder.answer("report")["program"]["pid"], signal.SIGKILL)
    finally:
        run.stdin.close()
        run.wait(60)
    check_all(recorder)


@pytest.mark.short
def test_comparisons_are_as_described(recorder):
    other = recorder.directory / "other"
    execute([ULLAGE, "run", "-q", "-o", other, "--", program("causes"), "two"])
    recorder.run(program("causes"), "cache")
    for before in (other, f"{recorder.file}@peak"):
        check("diff", recorder.answer("diff", "--all", str(before)))
