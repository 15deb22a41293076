"""The rooms of preload/, bottom to top, use only what is below them."""

import re
import subprocess
from collections import defaultdict

from harness import BUILD, ROOT

ROOMS = ["base", "heap", "recording", "stack", "ledger", "account", "reach", "process"]


def symbols(*options):
    """(object file, symbol) of the built preload."""
    objects = sorted((BUILD / "preload" / "libullage.so.p").glob("*.o"))
    assert objects
    lines = subprocess.run(["nm", "-A", "-P", *options, *objects], text=True, check=True,
                           stdout=subprocess.PIPE).stdout.splitlines()
    for line in lines:
        path, symbol = line.split(maxsplit=2)[:2]
        yield path.rstrip(":").rpartition("/")[2], symbol


def floor(name):
    """The entry points, in no room, are at the top."""
    room = re.split("[_/]", name, maxsplit=1)[0]
    return ROOMS.index(room) if room in ROOMS else len(ROOMS)


def test_rooms_use_only_lower_ones():
    homes = defaultdict(list)
    for name, symbol in symbols("--defined-only", "--extern-only"):
        homes[symbol].append(floor(name))
    upward = {(name.removesuffix(".o").replace("_", "/", 1), symbol)
              for name, symbol in symbols("--undefined-only")
              if symbol in homes and min(homes[symbol]) > floor(name)}
    assert not upward


def test_rooms_include_only_lower_ones():
    preload = ROOT / "preload"
    upward = set()
    for path in preload.glob("*/*.[ch]"):
        name = str(path.relative_to(preload))
        for header in re.findall(r'^#include "(\w+/\w+\.h)"', path.read_text(), flags=re.M):
            if floor(header) > floor(name):
                upward.add((name, header))
    assert not upward


SYSTEM = set("""syscall mmap munmap mremap madvise mincore open openat close read pread pread64
    write pwrite pwrite64 access readlink getcwd rename unlink stat fstat ioctl fallocate
    ftruncate getpid getppid gettid kill prctl poll waitid waitpid getrlimit setrlimit
    sigaction nanosleep""".split())
OPEN_SYSTEM = {("stack/module.c", "syscall"), ("stack/unwind.c", "syscall")}


def test_base_alone_calls_the_system():
    calls = {(name.removesuffix(".o").replace("_", "/", 1), symbol)
             for name, symbol in symbols("--undefined-only")
             if symbol in SYSTEM and floor(name) > 0}
    assert calls == OPEN_SYSTEM
