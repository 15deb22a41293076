"""What cannot be read or run: one line that says what, where and what to do, and
an exit status of 1 or 2; never a crash, whatever the bytes."""

import os
import random
import shutil
import subprocess

import pytest

from harness import ULLAGE, clean_environment, execute, program, tool

VERBS = ("report", "growth", "leaks", "unused", "dump")


def one_line(r, *words, statuses=(1, 2)):
    text = r.all_stderr.decode("utf-8", "replace")
    assert r.status in statuses, (r.status, text)
    assert text.count("\n") == 1 and text.startswith("ullage: "), text
    assert r.stdout == b""
    for word in words:
        assert word in text, (word, text)
    return text


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    file = tmp_path_factory.mktemp("small") / "small"
    assert execute([ULLAGE, "run", "-o", file, "--", program("leaks")]).status == 0
    return file


@pytest.mark.parametrize("verb", VERBS)
def test_not_a_recording(tmp_path, verb):
    text = tmp_path / "text"
    text.write_text("hello\n" * 100)
    empty = tmp_path / "empty"
    empty.touch()
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(1 << 20))
    for file in (text, empty, zeros, tmp_path, tmp_path / "missing", "/bin/true"):
        one_line(execute([ULLAGE, verb, file]), str(file), statuses=(1,))
        one_line(execute([ULLAGE, verb, "--json", file]), str(file), statuses=(1,))


@pytest.mark.parametrize("verb", VERBS)
def test_what_never_ends_is_no_recording(verb):
    r = execute(["timeout", "-s", "KILL", "20", ULLAGE, verb, "/dev/zero"])
    one_line(r, "/dev/zero", "not a ullage recording", statuses=(1,))


@pytest.mark.parametrize("version, told", [(99, "format 99"), (1, "read it with ullage 0.1")])
def test_another_version(tmp_path, small, version, told):
    data = bytearray(small.read_bytes())
    data[8:12] = version.to_bytes(4, "little")
    file = tmp_path / "other"
    file.write_bytes(data)
    for verb in VERBS:
        one_line(execute([ULLAGE, verb, file]), str(file), told, statuses=(1,))


def test_unreadable(tmp_path, small):
    if os.getuid():
        file = tmp_path / "unreadable"
        shutil.copy(small, file)
        file.chmod(0)
        one_line(execute([ULLAGE, "report", file]), str(file), statuses=(1,))
        return
    file = tmp_path / "unreadable"
    shutil.copy(small, file)
    file.chmod(0)
    reachable_by_nobody = tmp_path
    while str(reachable_by_nobody) not in ("/", "/tmp"):
        reachable_by_nobody.chmod(0o755)
        reachable_by_nobody = reachable_by_nobody.parent
    binary = tmp_path / "ullage"
    shutil.copy(ULLAGE, binary)
    one_line(execute([binary, "report", file], user="nobody", group="nogroup"), str(file),
             statuses=(1,))


@pytest.mark.short
@pytest.mark.seconds(600)
def test_truncated_at_every_page(tmp_path, small):
    data = small.read_bytes()
    file = tmp_path / "truncated"
    cuts = list(range(0, len(data), 4096))
    cuts = cuts[:40] + cuts[40::max(1, len(cuts) // 60)]
    for n, cut in enumerate(cuts):
        file.write_bytes(data[:cut])
        one_line(execute([ULLAGE, VERBS[n % len(VERBS)], file]), str(file), statuses=(1,))


@pytest.mark.short
@pytest.mark.seconds(600)
def test_corrupt(tmp_path, small):
    """Damage of any kind gives an answer or an error, never a crash."""
    good = small.read_bytes()
    used = [i for i in range(0, len(good), 8) if any(good[i:i + 8])]
    rng = random.Random(20)
    file = tmp_path / "corrupt"
    refused = 0
    for n in range(150):
        data = bytearray(good)
        for _ in range(rng.choice((1, 3, 30, 300))):
            at = rng.choice(used) if n % 3 else rng.randrange(8, 65536, 8)
            size = rng.choice((1, 2, 4, 8))
            value = rng.choice((0, 1, 0x7F, 2**(8 * size) - 1, rng.getrandbits(8 * size)))
            data[at:at + size] = (value % 2**(8 * size)).to_bytes(size, "little")
        file.write_bytes(data)
        verb = VERBS[n % len(VERBS)]
        r = execute([ULLAGE, verb, *(["--json"] if n % 2 else []), file], timeout=60)
        assert r.status in (0, 1), (n, verb, r.status, r.all_stderr)
        if r.status == 1:
            one_line(r, str(file))
            refused += 1
    assert refused > 30


def test_wrong_arguments(small):
    usage = [
        (["report"], "recording"), (["run"], "program"), (["run", "--"], "program"),
        (["--nonsense"], "nonsense"), (["nonsense"], "nonsense"),
        (["report", "--nonsense", small], "nonsense"),
        (["run", "--nonsense", "--", "true"], "nonsense"),
        (["run", "-o"], "-o"), (["run", "--children=maybe", "--", "true"], "maybe"),
        (["report", small, small], ""), ([], ""),
        (["report", "--sysroot=/nonexistent", small], "a directory that there is expected"),
    ]
    for argv, word in usage:
        one_line(execute([ULLAGE, *argv]), word, statuses=(2,))
    for argv in (["--help"], ["run", "--help"], ["report", "--help"], ["--version"]):
        r = execute([ULLAGE, *argv])
        assert r.status == 0 and r.stdout and r.all_stderr == b"", argv


def refused(tmp_path, target, *words):
    r = execute([ULLAGE, "run", "-o", tmp_path / "recording", "--", target])
    text = one_line(r, *words, statuses=(1, 2, 126, 127))
    assert not (tmp_path / "recording").exists()
    return text


def test_programs_that_cannot_work(tmp_path):
    refused(tmp_path, "/nonexistent/program", "/nonexistent/program")
    refused(tmp_path, "no-such-program-anywhere", "no-such-program-anywhere")
    plain = tmp_path / "plain"
    plain.write_text("#!/bin/sh\necho\n")
    refused(tmp_path, plain, str(plain))
    plain.chmod(0o755)
    assert execute([ULLAGE, "run", "-o", tmp_path / "ok", "--", plain]).status == 0
    refused(tmp_path, tmp_path, str(tmp_path))


def test_static_program(tmp_path):
    source = tmp_path / "static.c"
    source.write_text("int main(void) { return 0; }\n")
    binary = tmp_path / "static"
    subprocess.run([tool("gcc"), "-static", "-o", binary, source], check=True)
    refused(tmp_path, binary, "static")
    subprocess.run([tool("gcc"), "-static-pie", "-o", binary, source], check=True)
    refused(tmp_path, binary, "static")


@pytest.mark.parametrize("compiler, options, name", [
    ("gcc", ["address"], "AddressSanitizer"), ("gcc", ["thread"], "ThreadSanitizer"),
    ("clang", ["thread", "-Wl,--hash-style=gnu"], "ThreadSanitizer"),
    ("clang", ["thread", "-Wl,--hash-style=sysv"], "ThreadSanitizer")], ids=str)
def test_program_with_a_sanitizer(tmp_path, compiler, options, name):
    source = tmp_path / "checked.c"
    source.write_text("int main(void) { return 0; }\n")
    binary = tmp_path / "checked"
    subprocess.run([tool(compiler), "-fsanitize=" + options[0], *options[1:], "-o", binary, source],
                   check=True)
    refused(tmp_path, binary, name)


@pytest.mark.parametrize("source, options, words", [
    ("void *je_malloc(unsigned long n) { return (void *)n; }", [], "it contains jemalloc"),
    ("static void *mi_malloc(void) { return 0; } void *(*f)(void) = mi_malloc;", [],
     "it contains mimalloc"),
    ("void *tc_malloc(unsigned long n) { return (void *)n; }", ["-rdynamic", "-s"],
     "it contains tcmalloc"),
    ("void *tc_malloc(unsigned long n) { return (void *)n; }",
     ["-rdynamic", "-s", "-Wl,--hash-style=sysv"], "it contains tcmalloc"),
    ("void *mallocx(size_t, int) __attribute__((weak)); void *f(void) { return mallocx(1, 0); }",
     ["-s"], "it calls mallocx"),
    ("void *mallocx(unsigned long n, int f) { return f ? (void *)n : 0; }", [], None)],
    ids=["own", "static", "exported", "sysv", "called", "other"])
def test_programs_with_another_allocator(tmp_path, source, options, words):
    file, binary = tmp_path / "own.c", tmp_path / "own"
    file.write_text("#include <stdlib.h>\n" + source + "\nint main(void) { free(malloc(9)); }\n")
    subprocess.run([tool("gcc"), "-O0", "-fpie", "-pie", "-o", binary, file, *options], check=True)
    r = execute([ULLAGE, "run", "-o", tmp_path / "recording", "--", binary])
    assert r.status == 0
    text = r.all_stderr.decode()
    assert words in text if words else "allocator" not in text


def test_setuid_program(tmp_path):
    if os.getuid():
        pytest.skip("only root can make a program setuid to another user")
    binary = tmp_path / "setuid"
    shutil.copy(program("pairs"), binary)
    os.chown(binary, 65534, 65534)
    binary.chmod(0o4755)
    refused(tmp_path, binary, "set")


def test_other_architectures(tmp_path):
    data = bytearray(open(program("pairs"), "rb").read())
    binary = tmp_path / "other"
    thirty_two = bytearray(data)
    thirty_two[4] = 1        # ELFCLASS32
    thirty_two[18:20] = b"\x03\x00"
    arm = bytearray(data)
    arm[18:20] = (183).to_bytes(2, "little")
    for image, word in ((thirty_two, "32"), (arm, "")):
        binary.write_bytes(image)
        binary.chmod(0o755)
        refused(tmp_path, binary, str(binary), word)


def test_other_libc(tmp_path):
    data = open(program("pairs"), "rb").read()
    interpreter = b"/lib64/ld-linux-x86-64.so.2\0"
    assert interpreter in data
    binary = tmp_path / "musl"
    binary.write_bytes(data.replace(
        interpreter, b"/lib/ld-musl-x86_64.so.1".ljust(len(interpreter), b"\0")))
    binary.chmod(0o755)
    refused(tmp_path, binary, "musl")


def test_unwritable_directory(recorder, tmp_path):
    missing = tmp_path / "missing" / "recording"
    r = execute([ULLAGE, "run", "-o", missing, "--", program("pairs")])
    assert str(missing) in r.all_stderr.decode() and r.status in (0, 1)
    from harness import PRELOAD
    r = execute([program("leaks")], env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_FILE": str(missing)})
    assert r.status == 0 and r.stdout and r.all_stderr.count(b"\n") == 1


def test_truncated_while_it_is_written(recorder):
    """A recording that somebody cuts short must not take the program down."""
    p = subprocess.Popen([ULLAGE, "run", "-o", recorder.file, "--", program("ends"), "wait"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
    assert p.stdout.readline() == b"waiting\n"
    size = recorder.file.stat().st_size
    with open(recorder.file, "rb") as f:
        head = f.read()
    assert len(head) == size
    p.terminate()
    p.communicate(timeout=60)
