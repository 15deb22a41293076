"""Runs programs with and without ullage and checks each recording that comes of it.

Environment: ULLAGE_BUILD, the build directory (default: build)."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from recording import Recording

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ULLAGE_BUILD", ROOT / "build")).resolve()
ULLAGE = BUILD / "analyzer" / "ullage"
PRELOAD = BUILD / "preload" / "libullage.so"
PROGRAMS = BUILD / "tests" / "programs"
SOURCES = ROOT / "tests" / "programs"
TIMEOUT = 120

# Every recording of a test is made under the strictest self-checks, unless the
# test says otherwise: both unwinders compared, the heap walked at each snapshot.
STRICT = {"ULLAGE_UNWIND": "check", "ULLAGE_CHECK": "yes"}


def program(name):
    path = PROGRAMS / name
    assert path.exists(), f"{path} has not been built"
    return str(path)


def tool(name, *others):
    """A program of the system, or skip."""
    for n in (name, *others):
        path = shutil.which(n, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if path:
            return path
    pytest.skip(f"{name} is not installed")


def build_suite(directory, names):
    """Programs of tests/suite, as a project would have them: with lines, not optimized."""
    suite = ROOT / "tests" / "suite"
    for name in names:
        subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", directory / name,
                        suite / f"{name}.c", suite / "core.c", suite / "third.c"], check=True)


def marked_line(source, mark):
    """Number of the line that carries `MARK mark`."""
    for number, line in enumerate(open(SOURCES / source, encoding="utf-8"), 1):
        if re.search(rf"MARK {re.escape(mark)}\b", line):
            return number
    raise AssertionError(f"{source} has no line MARK {mark}")


def clean_environment(env=None):
    e = {k: v for k, v in os.environ.items()
         if not k.startswith("ULLAGE_") and k not in ("LD_PRELOAD", "COLUMNS")}
    e.update(LC_ALL="C.UTF-8", TZ="UTC")
    e.update(env or {})
    return {k: v for k, v in e.items() if v is not None}


class Result:
    def __init__(self, status, stdout, stderr):
        self.status, self.stdout, self.all_stderr = status, stdout, stderr
        lines = stderr.splitlines(keepends=True)
        self.said = b"".join(l for l in lines if is_ours(l)).decode("utf-8", "replace")
        self.stderr = b"".join(l for l in lines if not is_ours(l))

    def text(self):
        return self.stdout.decode("utf-8", "replace")


def is_ours(line):
    """Every line of ullage's begins with its name."""
    return line.startswith(b"ullage:")


class NoEnd(AssertionError):
    """It had not ended when its time was up, and was killed."""


def execute(argv, *, env=None, cwd=None, timeout=TIMEOUT, stdin=b"", **popen):
    p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                         env=clean_environment(env), start_new_session=True, **popen)
    try:
        out, err = p.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        out, err = p.communicate()
        raise NoEnd(f"no end within {timeout} s: {argv}\n{out[-2000:]!r}\n{err[-2000:]!r}")
    return Result(p.returncode, out, err)


def check_recording(path):
    problems = Recording(path).problems()
    assert not problems, f"{path}: " + "; ".join(problems[:10])


def is_recording(path):
    with open(path, "rb") as f:
        return f.read(4) == b"\x8bULL"


class Recorder:
    """Bound to the directory of one test."""

    def __init__(self, directory):
        self.directory = directory
        self.file = directory / "recording"

    def run(self, *argv, env=None, options=(), strict=True, check=True, **more):
        """`ullage run` of a program; each recording that it leaves is checked."""
        for old in self.recordings():
            old.unlink()
        e = dict(STRICT if strict else {})
        e.update(env or {})
        r = execute([ULLAGE, "run", "-o", self.file, *options, "--", *argv], env=e, **more)
        if check:
            for path in self.recordings():
                check_recording(path)
        return r

    def recordings(self):
        return sorted(p for p in self.directory.glob(self.file.name + "*")
                      if p.is_file() and is_recording(p))

    def children(self):
        return [p for p in self.recordings() if p != self.file]

    def answer(self, verb, *options, file=None, status=0):
        r = execute([ULLAGE, verb, "--json", *options, file or self.file])
        assert r.status == status, (r.status, r.all_stderr)
        return json.loads(r.stdout)

    def text(self, verb, *options, file=None, **more):
        r = execute([ULLAGE, verb, *options, file or self.file], **more)
        assert r.status == 0, (r.status, r.all_stderr)
        return r.text()

    def same(self, *argv, env=None, options=(), strict=True, cwd=None, stdin=b"",
             timeout=TIMEOUT):
        """Runs without and with ullage; the outcome must be the same."""
        native = execute(argv, env=env, cwd=cwd, stdin=stdin, timeout=timeout)
        under = self.run(*argv, env=env, options=options, strict=strict, cwd=cwd, stdin=stdin,
                         timeout=timeout)
        assert under.stdout == native.stdout
        assert under.stderr == native.stderr
        assert under.status == native.status
        return under


def blamed(site, function, file=None, line=None):
    """Does the innermost frame shown of this site name that function and line?"""
    frame = site["stack"][0] if site["stack"] else {}
    return (frame.get("function") == function
            and (file is None or os.path.basename(frame.get("file") or "") == file)
            and (line is None or frame.get("line") == line))


def find(sites, function, file=None, line=None, **fields):
    """Sites that blame that function, and have these fields."""
    return [s for s in sites if blamed(s, function, file, line)
            and all(s.get(k) == v for k, v in fields.items())]


def near(value, expected, tolerance=0.01):
    return abs(value - expected) <= tolerance * expected
