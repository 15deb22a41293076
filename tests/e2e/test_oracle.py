"""Verdicts of `ullage check` and of memcheck, on the many small programs of tests/oracle. What
they do not agree on is in the tables of docs/verdicts.md, each with its reason.

Environment: ULLAGE_ORACLE=all: all of them (tests/oracle/run); otherwise every fourth."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BUILD, ROOT, execute, tool
from oracle import by_memcheck, by_ullage

PROGRAMS = BUILD / "tests" / "oracle"
DOCUMENT = (ROOT / "docs" / "verdicts.md").read_text()
EVERY = 1 if os.environ.get("ULLAGE_ORACLE") == "all" else 4
FOUND = 99


def cases():
    for name in "oracle_c", "oracle_cc":
        p = subprocess.run([PROGRAMS / name, "--list"], text=True, check=True, timeout=60,
                           stdout=subprocess.PIPE)
        for case in p.stdout.split():
            yield name, case


CASES = list(cases())


def differences():
    """Of the tables: case -> (memcheck's lines, ours)."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| ([^|]+) \|$", DOCUMENT, flags=re.M)
    return {case: tuple(() if side == "nothing" else tuple(side.split("; "))
                        for side in (memcheck, ullage))
            for case, memcheck, ullage, why in rows if why.strip()}


DIFFERENT = differences()


def own(file):
    return bool(file) and "tests/oracle/" in file


@pytest.fixture(scope="session")
def answers(request, tmp_path_factory):
    """Both tools' of all cases that are wanted, as many at once as there are processors."""
    tool("valgrind")
    wanted = {item.callspec.params["case"] for item in request.session.items
              if "answers" in item.fixturenames and hasattr(item, "callspec")}
    base = tmp_path_factory.mktemp("cases")  # which is not for several threads

    def ask(case):
        directory = base / "-".join(case)
        (directory / "xml").mkdir(parents=True)
        argv = [PROGRAMS / case[0], case[1]]
        try:
            return by_memcheck(argv, directory / "xml", own), by_ullage(argv, directory, own)
        except Exception as problem:  # of this case, not of all
            return problem

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        wanted = sorted(wanted)
        return dict(zip(wanted, workers.map(ask, wanted)))


def fails(line):
    """By default: what is lost for certain, and bad frees but for mismatches."""
    return re.match("definite|freed|resized", line)


@pytest.mark.seconds(1200)  # the first waits for all
@pytest.mark.parametrize("case", CASES[::EVERY], ids=lambda c: c[1])
def test_as_memcheck(answers, case):
    said = answers[case]
    if isinstance(said, Exception):
        raise said
    memcheck, ullage = said
    theirs, ours = tuple(memcheck.lines()), tuple(ullage.lines())
    if theirs != ours:
        assert DIFFERENT.get(case[1]) == (theirs, ours)
    if ullage.status < 0:  # the program's own
        assert execute([PROGRAMS / case[0], case[1]]).status == ullage.status
    else:
        assert ullage.status == (FOUND if any(map(fails, ours)) else memcheck.status)


def test_tables_are_about_our_cases():
    assert len(CASES) >= 300
    assert set(DIFFERENT) <= {case for _, case in CASES}
    assert len(re.findall(r"^\| `\w+`", DOCUMENT, flags=re.M)) == len(DIFFERENT)
