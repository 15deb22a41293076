"""The rooms of preload/ and of analyzer/, bottom to top, use only what is below them."""

import re
import subprocess
from collections import defaultdict

import pytest

from harness import BUILD, ROOT

ROOMS = {
    "preload": ["base", "heap", "recording", "stack", "ledger", "account", "reach", "process"],
    "analyzer": ["read", "names", "answers", "show", "command"],
}
OBJECTS = {"preload": "libullage.so.p", "analyzer": "libanalyzer.a.p"}


def symbols(side, *options):
    """(object file, symbol) of what was built."""
    objects = sorted((BUILD / side / OBJECTS[side]).glob("*.o"))
    assert objects
    lines = subprocess.run(["nm", "-A", "-P", *options, *objects], text=True, check=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    for line in lines:
        path, symbol = line.split(maxsplit=2)[:2]
        yield path.rstrip(":").rpartition("/")[2], symbol


def floor(side, name):
    """The entry points, in no room, are at the top."""
    room = re.split("[_/]", name, maxsplit=1)[0]
    return ROOMS[side].index(room) if room in ROOMS[side] else len(ROOMS[side])


@pytest.mark.parametrize("side", ROOMS)
def test_rooms_use_only_lower_ones(side):
    homes = defaultdict(list)
    for name, symbol in symbols(side, "--defined-only", "--extern-only"):
        homes[symbol].append(floor(side, name))
    assert len(set(map(min, homes.values()))) >= len(ROOMS[side])
    upward = {(name.removesuffix(".o").replace("_", "/", 1), symbol)
              for name, symbol in symbols(side, "--undefined-only")
              if symbol in homes and min(homes[symbol]) > floor(side, name)}
    assert not upward


@pytest.mark.parametrize("side", ROOMS)
def test_rooms_include_only_lower_ones(side):
    upward = set()
    for path in (ROOT / side).glob("*/*.[ch]"):
        name = str(path.relative_to(ROOT / side))
        for header in re.findall(r'^#include "(\w+/\w+\.h)"', path.read_text(), flags=re.M):
            if floor(side, header) > floor(side, name):
                upward.add((name, header))
    assert not upward


def test_the_heap_knows_of_no_recording():
    """Its geometry is its own; of format.h base/ has the names of what it counts."""
    rooms = [path for room in ("base", "heap") for path in (ROOT / "preload" / room).glob("*.[ch]")]
    assert [p.name for p in rooms if '"format.h"' in p.read_text()] == ["count.h"]


SYSTEM = set("""syscall mmap munmap mremap madvise mincore open openat close read pread pread64
    write pwrite pwrite64 access readlink getcwd rename unlink stat fstat ioctl fallocate
    ftruncate getpid getppid gettid kill prctl poll waitid waitpid getrlimit setrlimit
    sigaction nanosleep""".split())


def test_filters_are_asked_for_each_call_of_the_system():
    """process/allow.c has a list of what base/ may call."""
    def numbers(*paths):
        return {n for p in paths for n in re.findall(r"SYS_\w+", p.read_text())}

    preload = ROOT / "preload"
    asked = numbers(preload / "process" / "allow.c")
    assert numbers(*(preload / "base").glob("*.[ch]")) <= asked


def test_base_alone_calls_the_system():
    calls = {(name.removesuffix(".o").replace("_", "/", 1), symbol)
             for name, symbol in symbols("preload", "--undefined-only")
             if symbol in SYSTEM and floor("preload", name) > 0}
    assert not calls


def test_under_our_locks_nothing_runs_that_others_replace():
    """Another preload's clock or lock may allocate. These rooms take locks; of libc they
    use what looks at memory, and the loader only where no lock is held (base/next.c)."""
    rooms = {"base", "heap", "recording", "ledger", "account", "reach"}
    ours = {symbol for _, symbol in symbols("preload", "--defined-only", "--extern-only")}
    foreign = {(name, symbol) for name, symbol in symbols("preload", "--undefined-only")
               if name.partition("_")[0] in rooms and symbol not in ours
               and not re.match(r"_GLOBAL_|__|mem|bcmp$|str|getauxval$", symbol)}
    assert foreign == {("base_next.c.o", "dlvsym")}


def test_what_a_scan_changes_can_be_put_back():
    """All variables of the scan's own are SCAN_STATE (reach/scratch.h); what is of the threads
    that are stopped, and of whom it is asked for, stays."""
    objects = [path for path in (BUILD / "preload" / OBJECTS["preload"]).glob("reach_*.o")
               if path.name not in ("reach_freeze.c.o", "reach_reach.c.o")]
    lines = subprocess.run(["nm", "-A", "-f", "sysv", *objects], text=True, check=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    kept = [line for line in lines if line.rstrip().endswith("|scan_state")]
    other = [line for line in lines
             if re.search(r"\|\.(bss|data|tbss|tdata)(?!\.rel\.ro)[\w.]*\s*$", line) or "*COM*" in line]
    assert len(kept) > 20 and not other, other


def test_searches_are_given_no_braces():
    """Since glibc 2.43 they are macros, to which a comma in braces parts two arguments."""
    within = r"[^()]*"
    for _ in range(4): # parentheses in parentheses
        within = rf"(?:[^()]|\({within}\))*"
    search = rf"\b(?:bsearch|w?memchr|(?:str|wcs)(?:r?chr|str|pbrk))\({within}\)"
    assert not [call for side in ROOMS for path in (ROOT / side).rglob("*.[ch]")
                for call in re.findall(search, path.read_text()) if re.search(r"{[^}]*,", call)]
