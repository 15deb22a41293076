"""The rooms of preload/, bottom to top, use only what is below them."""

import re
import subprocess
from collections import defaultdict

from harness import BUILD, ROOT

ROOMS = ["base", "heap", "recording", "stack", "ledger", "account", "reach", "process",
         "malloc.c.o"]

# Turns upward that are still to be cut: (who, symbol) and (who, header).
OPEN = {
    *(("heap/arena.c", symbol) for symbol in (
        "ledger_arena_record", "ledger_strip_give", "ledger_strip_take",
        "recording_stopped")),
    *(("heap/heap.c", symbol) for symbol in (
        "process_begin", "process_check_fork", "recording_heap_new",
        "recording_heap_owner", "recording_heap_quarantined")),
    *(("heap/large.c", symbol) for symbol in ("ledger_large_record", "recording_stopped")),
}
OPEN_INCLUDES = {
    *((file, "ledger/ledger.h") for file in ("heap/arena.c", "heap/heap.h", "heap/large.c")),
    *((file, "recording/recording.h") for file in (
        "heap/arena.c", "heap/heap.c", "heap/large.c")),
    *(("heap/heap.c", header) for header in ("process/process.h", "recording/table.h")),
}


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
    return next(i for i, room in enumerate(ROOMS) if name.startswith(room))


def test_rooms_use_only_lower_ones():
    homes = defaultdict(list)
    for name, symbol in symbols("--defined-only", "--extern-only"):
        homes[symbol].append(floor(name))
    upward = {(name.removesuffix(".o").replace("_", "/", 1), symbol)
              for name, symbol in symbols("--undefined-only")
              if symbol in homes and min(homes[symbol]) > floor(name)}
    assert upward == OPEN


def test_rooms_include_only_lower_ones():
    preload = ROOT / "preload"
    upward = set()
    for path in preload.glob("*/*.[ch]"):
        name = str(path.relative_to(preload))
        for header in re.findall(r'^#include "(\w+/\w+\.h)"', path.read_text(), flags=re.M):
            if floor(header) > floor(name):
                upward.add((name, header))
    assert upward == OPEN_INCLUDES


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
