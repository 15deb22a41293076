"""What recording costs, in work that can be counted: it must not grow unnoticed."""

import re
import shutil

import pytest

from harness import execute, program

FEW, MANY = 10_000, 60_000


def instructions(directory, pairs, depth, record="yes"):
    r = execute(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                 program("pairs_linked"), str(pairs), str(depth)],
                env={"ULLAGE_FILE": str(directory / "r.ull"), "ULLAGE_RECORD": record,
                     "ULLAGE_SCAN": "no", "ULLAGE_SNAPSHOT_MS": "3600000"})
    if b"corrupted debuginfo" in r.stderr:
        pytest.skip("valgrind cannot read what this compiler writes")
    assert r.status == 0
    return int(re.search(rb"Collected : (\d+)", r.stderr)[1])


def a_pair(directory, depth, record="yes"):
    """Of malloc and free: two run lengths subtracted."""
    many = instructions(directory, MANY, depth, record)
    return (many - instructions(directory, FEW, depth, record)) / (MANY - FEW)


@pytest.mark.short
@pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")
def test_instructions_a_pair(tmp_path):
    """With what the loop itself takes. The clock is a system call under valgrind."""
    shallow, deep = a_pair(tmp_path, 4), a_pair(tmp_path, 44)
    off = a_pair(tmp_path, 4, record="no")
    print(f"a pair: {shallow:.0f}, recording off {off:.0f}, "
          f"a further frame: {(deep - shallow) / 40:.2f}")
    assert 2 * off < shallow < 900  # it did record
    assert off < 300
    assert (deep - shallow) / 40 < 6
