"""Plugins, and how they are opened."""

import subprocess

import pytest

from harness import SOURCES, blamed, find, tool


@pytest.fixture
def deepbind(tmp_path):
    """The program, its library, and the plugin that only the library's RUNPATH leads to."""
    gcc = tool("gcc")
    (tmp_path / "library" / "plugins").mkdir(parents=True)

    def build(target, source, *options):
        subprocess.run([gcc, "-O1", "-g", "-o", tmp_path / target, SOURCES / source, *options],
                       check=True)

    shared = ("-shared", "-fPIC")
    build("library/plugins/deep.so", "deep_plugin.c", *shared)
    build("library/libopener.so", "opener.c", *shared, "-Wl,-rpath,$ORIGIN/plugins")
    build("deepbind", "deepbind.c", f"-L{tmp_path}/library", "-lopener",
          f"-Wl,-rpath,{tmp_path}/library")
    return tmp_path / "deepbind"


@pytest.mark.short
def test_deepbind(recorder, deepbind):
    names = ["deep.so", "deep.so", "$ORIGIN/plugins/deep.so", "$ORIGIN/plugins/deep.so"]
    r = recorder.same(deepbind, *names)
    assert (r.status, r.text()) == (0, "from the plugin\n" * 4)
    assert recorder.answer("report")["fallbacks"]["DEEPBIND"] == 4
    assert r.said.count("RTLD_DEEPBIND") == 1
    recorder.same(deepbind, *names, env={"ULLAGE_RECORD": "no"})


BY_HANDLE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) {
  void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  void (*give)(void *) = (void (*)(void *))dlsym(libc, "free");
  void *(*take)(size_t) = (void *(*)(size_t))dlsym(libc, "malloc");
  void *(*change)(void *, size_t) = (void *(*)(void *, size_t))dlsym(libc, "realloc");
  for (int i = 1; i < 100; i++) {
    give(strdup("taken by libc"));
    free(take(i * 10));
    give(change(malloc(i), i * 1000));
  }
  puts(dlsym(libc, "no_such_function") ? "found" : dlerror());
  printf("%d %d\n", dlsym(libc, "strlen") != NULL, dlsym(RTLD_DEFAULT, "malloc") == (void *)malloc);
  printf("%d\n", dlsym(RTLD_NEXT, "puts") == dlsym(libc, "puts"));
  void (*volatile mine)(void *) = free;
  mine(malloc(1));
  return 0;
}
"""


@pytest.mark.short
@pytest.mark.parametrize("fixed", [False, True], ids=["anywhere", "at a fixed address"])
def test_libcs_own_malloc_by_a_handle(tmp_path, recorder, fixed):
    source = tmp_path / "handle.c"
    source.write_text(BY_HANDLE)
    options = ["-no-pie", "-fno-pic"] if fixed else ["-pie", "-fPIE"]
    subprocess.run([tool("gcc"), "-O0", "-w", *options, "-o", tmp_path / "handle", source],
                   check=True)
    r = recorder.same(tmp_path / "handle")
    assert r.status == 0 and r.text().endswith("\n1 1\n1\n"), r.text()
    assert "FOREIGN_FREE" not in recorder.answer("report")["fallbacks"]


AT_A_FIXED_ADDRESS = r"""
#include <stdio.h>
#include <stdlib.h>
int main() {
  void (*volatile give)(void *) = free; /* by a stub, which is everybody's free now */
  give(malloc(100));
  for (int i = 0; i < 10; i++) {
    give(aligned_alloc(64, 6400));
    delete new char;
  }
  char *volatile lost = new char[300];
  lost = (char *)aligned_alloc(64, 6400);
  lost = nullptr;
  return lost != nullptr;
}
"""


@pytest.mark.short
def test_programs_at_a_fixed_address_have_no_malloc_of_their_own(tmp_path, recorder):
    source = tmp_path / "fixed.cc"
    source.write_text(AT_A_FIXED_ADDRESS)
    subprocess.run([tool("g++"), "-O0", "-g", "-no-pie", "-fno-pic", "-o", tmp_path / "fixed",
                    source], check=True)
    recorder.same(tmp_path / "fixed")
    sites = find(recorder.answer("report", "--all")["sites"], "main")
    assert sorted((s["allocations"], s["frees"]) for s in sites) == [
        (1, 0), (1, 0), (1, 1), (10, 10), (10, 10)]
    assert all(blamed(s, "main") for s in sites), sites
    leaks = recorder.answer("leaks")["totals"]["definite"]
    assert leaks == {"blocks": 2, "bytes": 6700}


@pytest.mark.parametrize("python", ["python3", "/usr/bin/python3"])
def test_foreign_functions_of_python(recorder, python):
    script = ("import ctypes; c = ctypes.CDLL('libc.so.6'); c.strdup.restype = ctypes.c_void_p;"
              "c.free.argtypes = [ctypes.c_void_p];"
              "[c.free(c.strdup(b'x' * n)) for n in range(1000)]; print('done')")
    r = recorder.same(tool(python), "-c", script, strict=False)
    assert (r.status, r.text()) == (0, "done\n")
