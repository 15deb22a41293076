"""What two tools say of one run of a program: `ullage check` and memcheck.

Of either the same comes: what it found, as a set of lines that can be compared,

    definite 300 B in 3 by make
    freed twice, free_again, of by_malloc, before by free_it

where a place is the innermost frame that `own` takes for one of ours."""

import json
import os
import re
import subprocess
import xml.etree.ElementTree as tree
from collections import defaultdict, namedtuple
from pathlib import Path

from harness import ULLAGE, clean_environment

KINDS = ("definite", "indirect", "possible", "reachable")
MEMCHECK = ["valgrind", "--leak-check=full", "--show-leak-kinds=all",
            "--errors-for-leak-kinds=none", "--leak-resolution=high", "--num-callers=100",
            "--error-limit=no", "--keep-debuginfo=yes", "--trace-children=yes", "--xml=yes",
            # blocks that only these free would be missing on one side
            "--run-libc-freeres=no", "--run-cxx-freeres=no"]
LEAKS = {"Leak_DefinitelyLost": "definite", "Leak_IndirectlyLost": "indirect",
         "Leak_PossiblyLost": "possible", "Leak_StillReachable": "reachable"}


def plain(function):
    """Of a name the last part, without types."""
    name = re.sub(r"\(anonymous namespace\)|\{lambda.*?\}|operator\(\)", "_", function or "?")
    name = re.sub(r"(?<!^)\(.*", "", name)
    while "<" in name[1:]:
        shorter = re.sub(r"<[^<>]*>", "", name)
        if shorter == name:
            break
        name = shorter
    return name.strip("()").split()[-1].split("::")[-1]


def place(stack, own):
    """Innermost frame of ours: its function. What the loader takes for itself is nobody's."""
    if stack and "/ld-linux" in stack[0].module:
        return LOADER
    return next((plain(f.function) for f in stack if own(f.file)), "-")


LOADER = "the loader"
Frame = namedtuple("Frame", "function file module")


class Said:
    def __init__(self):
        self.status = None
        self.blocks = defaultdict(lambda: [0, 0])  # (kind, place): bytes, blocks
        self.wrong = []

    def lose(self, kind, where, nbytes, nblocks):
        if where == LOADER or (kind == "reachable" and where == "-"):
            return  # the loader's and libc's own
        amount = self.blocks[kind, where]
        amount[0] += nbytes
        amount[1] += nblocks

    def lines(self):
        return sorted([f"{kind} {b} B in {n} by {where}"
                       for (kind, where), (b, n) in self.blocks.items()] + self.wrong)


def run(argv, cwd, env, seconds):
    p = subprocess.run([str(a) for a in argv], cwd=cwd, env=clean_environment(env),
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=seconds)
    return p.returncode, p.stdout.decode("utf-8", "replace")


# ---- memcheck ------------------------------------------------------------------------


def errors(file):
    """Of all that wrote there: a forked child goes on in its parent's file, and a program that
    is executed in place of another one begins it again."""
    for text in re.findall(rb"<error>.*?</error>", file.read_bytes(), flags=re.S):
        yield tree.fromstring(text)


def stacks(error):
    """Without memcheck's own functions in front of the allocator's."""
    return [[Frame(f.findtext("fn"), f.findtext("dir", "") + "/" + f.findtext("file", ""),
                   f.findtext("obj", "")) for f in s.iter("frame")
             if "vgpreload" not in f.findtext("obj", "")] for s in error.findall("stack")]


def leaked(error):
    """Bytes and blocks, without what they drag along."""
    what = error.find("xwhat")
    direct = re.search(r"\(([\d,]+) direct, ", what.findtext("text"))
    nbytes = direct[1].replace(",", "") if direct else what.findtext("leakedbytes")
    return int(nbytes), int(what.findtext("leakedblocks"))


def memcheck_wrong(error, own):
    kind, aux = error.findtext("kind"), [a.text for a in error.findall("auxwhat")]
    if kind not in ("InvalidFree", "MismatchedFree"):
        return None
    first, *others = stacks(error)
    where = place(first, own)
    resized = error.find("stack/frame/fn").text == "realloc"
    if kind == "MismatchedFree":
        return f"mismatched, {where}, of {place(others[0], own)}"
    about = re.search(r"([\d,]+) bytes (inside|before|after) a block of size ([\d,]+) "
                      r"(free'd|alloc'd)", aux[0] if aux else "")
    line = f"{'resized' if resized else 'freed'} inside, {where}"
    if not about:
        return line
    nbytes, side, size, state = about.groups()
    if state == "alloc'd":
        return f"{line}, of {place(others[0], own)}"
    if nbytes == "0" and (side == "inside" or size == "0"):
        line = f"{'resized after free' if resized else 'freed twice'}, {where}"
    return f"{line}, of {place(others[1], own)}, before by {place(others[0], own)}"


def by_memcheck(argv, directory, own, cwd=None, env=None, seconds=120, options=()):
    said = Said()
    said.status, said.output = run([*MEMCHECK, f"--xml-file={directory}/%p.xml", *options,
                                    *argv], cwd, env, seconds)
    for file in sorted(Path(directory).glob("*.xml")):
        for error in errors(file):
            kind = LEAKS.get(error.findtext("kind"))
            if kind:
                said.lose(kind, place(stacks(error)[0], own), *leaked(error))
            elif line := memcheck_wrong(error, own):
                said.wrong.append(line)
    return said


# ---- ullage --------------------------------------------------------------------------


def frames(stack):
    return [Frame(f["function"], f["file"], f["module"] or "") for f in stack]


def ullage_wrong(misuse, own):
    kind = misuse["kind"]
    line = f"{kind}, {place(frames(misuse['stack']), own)}"
    if misuse["allocated_site"]:
        line += f", of {place(frames(misuse['allocated_stack']), own)}"
    if misuse.get("freed_stack"):
        line += f", before by {place(frames(misuse['freed_stack']), own)}"
    return line


def answer(verb, *options):
    p = subprocess.run([ULLAGE, verb, "--json", *map(str, options)], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, env=clean_environment(), timeout=120)
    assert p.returncode == 0, (verb, options, p.stderr)
    return json.loads(p.stdout)


def by_ullage(argv, directory, own, cwd=None, env=None, seconds=120, options=()):
    said = Said()
    recording = Path(directory) / "r"
    said.status, said.output = run([ULLAGE, "check", "--keep-going", "--programs=all", "-o",
                                    recording, *options, "--", *argv], cwd, env, seconds)
    for leak in answer("leaks", "--all", recording)["leaks"]:
        said.lose(leak["verdict"], place(frames(leak["stack"]), own), leak["bytes"],
                  leak["blocks"])
    said.wrong = [ullage_wrong(m, own) for m in answer("report", recording)["misuses"]]
    return said
