"""Programs that cannot have us preloaded run as if we were not there, when a recorded
program starts them; the command itself refuses them (test_bad_input.py)."""

import os
import subprocess

import pytest

from harness import PRELOAD, ULLAGE, execute, program, tool

SHOW = r"""
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  const char *libraries = getenv("LD_PRELOAD");
  printf("LD_PRELOAD=%s\n", libraries ? libraries : "(unset)");
  return 5;
}
"""
# In the place of a loader: it is started with everything, and has no libc.
LOADER = r"""
#include <sys/syscall.h>
static long call(long number, long a, const void *b, unsigned long c) {
  long r;
  __asm__ volatile("syscall" : "=a"(r) : "0"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return r;
}
static int begins(const char *s, const char *with) {
  while (*with && *s == *with) s++, with++;
  return !*with;
}
static void put(const char *s) {
  unsigned long n = 0;
  while (s[n]) n++;
  call(SYS_write, 1, s, n);
}
__attribute__((used)) void start(long *stack) {
  char **environment = (char **)(stack + 1 + stack[0] + 1), *shown = 0;
  for (; *environment; environment++)
    if (begins(*environment, "LD_PRELOAD=")) shown = *environment;
  put(shown ? shown : "LD_PRELOAD=(unset)");
  put("\n");
  call(SYS_exit_group, 5, 0, 0);
}
__asm__(".globl _start\n_start: movq %rsp, %rdi\n andq $-16, %rsp\n call start\n");
"""
# No libc: gcc has none of 32 bits here. It returns its number of arguments.
BARE = r"""
__asm__(".globl _start\n_start: movl (%esp), %ebx\n movl $1, %eax\n int $0x80\n");
"""


def compiled(path, text, *options):
    source = path.with_suffix(".c")
    source.write_text(text)
    subprocess.run([tool("gcc"), "-w", "-o", path, source, *options], check=True)
    return path


@pytest.fixture
def of_another_libc(tmp_path):
    """Its loader, which shows what it is to preload, runs in its place."""
    loader = compiled(tmp_path / "ld-musl-x86_64.so.1", LOADER, "-O1", "-fPIE", "-static-pie",
                      "-nostdlib", "-fno-stack-protector", "-fno-builtin")
    return compiled(tmp_path / "other", SHOW, f"-Wl,--dynamic-linker={loader}")


WAYS = ["execv", "execvp", "execl", "fexecve", "execveat", "vfork", "posix_spawn",
        "posix_spawnp"]


@pytest.mark.short
@pytest.mark.parametrize("way", WAYS)
def test_another_libc(recorder, of_another_libc, way):
    r = recorder.same(program("starts"), way, of_another_libc)
    assert (r.status, r.text()) == (5, "LD_PRELOAD=(unset)\n")


def test_others_stay_preloaded(tmp_path, recorder, of_another_libc):
    for libraries in ("{0}:libm.so.6", "libm.so.6:{0}", "libm.so.6 {0} libdl.so.2"):
        r = execute([program("starts"), "execv", of_another_libc],
                    env={"LD_PRELOAD": libraries.format(PRELOAD), "ULLAGE_RECORD": "no"})
        assert (r.status, r.all_stderr) == (5, b"")
        kept = r.text().removeprefix("LD_PRELOAD=").replace(":", " ").split()
        assert kept == [l for l in ("libm.so.6", "libdl.so.2") if l in libraries]


def test_fit_programs_stay_preloaded(tmp_path, recorder):
    fit = compiled(tmp_path / "fit", SHOW)
    for way in WAYS:
        r = recorder.run(program("starts"), way, fit)
        assert (r.status, r.text()) == (5, f"LD_PRELOAD={PRELOAD}\n"), way


def test_script_of_another_libc(tmp_path, recorder, of_another_libc):
    script = tmp_path / "script"
    script.write_text(f"#! {of_another_libc}\n")
    again = tmp_path / "again"
    again.write_text(f"#!{script} -x\n")
    for path in (script, again):
        path.chmod(0o755)
        r = recorder.same(program("starts"), "execv", path)
        assert (r.status, r.text()) == (5, "LD_PRELOAD=(unset)\n")


def test_32_bits(tmp_path, recorder):
    loader = "/lib/ld-linux.so.2"
    if not os.path.exists(loader):
        pytest.skip("no loader of 32 bits (libc6-i386)")
    small = compiled(tmp_path / "small", BARE, "-m32", "-nostdlib", "-fPIE", "-pie",
                     f"-Wl,--dynamic-linker={loader}")
    for way in ("execv", "posix_spawn"):
        r = recorder.same(program("starts"), way, small)
        assert (r.status, r.stderr) == (1, b"")


@pytest.mark.parametrize("compiler, options", [
    ("gcc", ["-fsanitize=address"]), ("gcc", ["-fsanitize=thread"]),
    ("clang", ["-fsanitize=address"]),
    ("clang", ["-fsanitize=thread"]), ("clang", ["-fsanitize=memory"])], ids=str)
def test_sanitizers(tmp_path, recorder, compiler, options):
    checked = tmp_path / "checked"
    source = tmp_path / "checked.c"
    source.write_text(SHOW)
    if subprocess.run([tool(compiler), *options, "-o", checked, source],
                      capture_output=True).returncode:
        pytest.skip("cannot build that here")
    r = recorder.same(program("starts"), "execv", checked)
    assert (r.status, r.text(), r.stderr) == (5, "LD_PRELOAD=(unset)\n", b"")


def test_valgrind(recorder):
    """Of a system's program: valgrind cannot read all that compilers write."""
    r = recorder.same(program("starts"), "execvp", tool("valgrind"), "-q", "--leak-check=full",
                      tool("true"))
    assert b"lost" not in r.stderr


def test_unfit_programs_are_counted(recorder, of_another_libc):
    recorder.run(program("starts"), "posix_spawn", of_another_libc)
    assert recorder.answer("report")["fallbacks"]["PROGRAM_UNFIT"] == 1
