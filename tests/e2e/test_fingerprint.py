"""What a finding is called in other runs and builds."""

import subprocess

import pytest

from harness import tool

pytestmark = pytest.mark.short

SOURCE = """
#include <stdlib.h>
#include <string.h>
__attribute__((noinline)) static void *keep(void *p) { return p; }
__attribute__((noinline)) static void lose_text(int n) {
  char *p = keep(malloc(n));
  memset(p, 1, n);
}
static void often(int n) {
  for (int i = 0; i < 50; i++)
    lose_text(n);
}
EXPORTED int handle(int n) {
  often(n);
  return n;
}
%s
EXPORTED int handle_other(int n) {
  lose_text(n + 1);
  return n;
}
int main(int argc, char **argv) {
  return handle(100 + argc) + handle_other(200 + argc) - 302 - argc;
}
"""


def build(directory, *options, lines=0, name="p", exported="__attribute__((noinline))"):
    directory.mkdir(parents=True, exist_ok=True)
    source = directory / "source.c"
    source.write_text(SOURCE % ("\n" * lines) + "\n")
    subprocess.run([tool("gcc"), "-w", f"-DEXPORTED={exported}", *options, "-o",
                    directory / name, source], check=True)
    return directory / name


def found(recorder, binary):
    """(of the finding, of the call sites by bytes)"""
    recorder.run(binary)
    finding, = recorder.answer("report")["findings"]
    key = lambda what: (what["fingerprint"], what["fingerprint_loose"])
    leaks = sorted(recorder.answer("leaks")["leaks"], key=lambda leak: -leak["bytes"])
    return key(finding), [key(leak) for leak in leaks if leak["verdict"] == "definite"]


def test_is_the_same_of_the_same_at_another_place(recorder, tmp_path):
    """Another directory, program, line, base address, run."""
    first = found(recorder, build(tmp_path / "a", "-g", "-O0"))
    assert first[0][0] != first[0][1] and len(set(first[1])) == 2
    assert first == found(recorder, build(tmp_path / "a", "-g", "-O0"))
    assert first == found(recorder, build(tmp_path / "b" / "c", "-g", "-O0", lines=40, name="q"))
    assert first == found(recorder, build(tmp_path / "d", "-O0", "-no-pie", lines=3))


def test_of_two_call_sites_tells_them_apart(recorder, tmp_path):
    _, sites = found(recorder, build(tmp_path, "-g", "-O0"))
    (exact, loose), (other, same) = sites
    assert exact != other and loose == same


@pytest.mark.parametrize("debug", ["-g0", "-g"])
def test_of_another_optimization_is_loosely_the_same(recorder, tmp_path, debug):
    """`often` is inlined, and `keep` a copy of the compiler's."""
    plain, sites = found(recorder, build(tmp_path / "O0", debug, "-O0"))
    best, fast_sites = found(recorder, build(tmp_path / "O2", debug, "-O2"))
    assert plain[1] == best[1]
    assert {loose for _, loose in sites} == {loose for _, loose in fast_sites}


def test_does_not_depend_on_debug_information(recorder, tmp_path):
    """Only physical frames count, and both say how these are called."""
    assert (found(recorder, build(tmp_path / "with", "-g", "-O2"))
            == found(recorder, build(tmp_path / "without", "-g0", "-O2")))


def test_of_stripped_copies_is_the_same(recorder, tmp_path):
    binary = build(tmp_path / "a", "-O0")
    with_symbols = found(recorder, binary)
    subprocess.run([tool("strip"), binary], check=True)
    stripped = found(recorder, binary)
    assert stripped[0] != with_symbols[0], "lose_text has no name any more"
    copy = tmp_path / "elsewhere" / "copy"
    copy.parent.mkdir()
    copy.write_bytes(binary.read_bytes())
    copy.chmod(0o755)
    assert found(recorder, copy) == stripped


def test_of_exported_functions_outlives_stripping(recorder, tmp_path):
    """As libraries have them."""
    library = tmp_path / "liblose.so"
    (tmp_path / "lose.c").write_text(
        "#include <stdlib.h>\nvoid *volatile kept;\n"
        "void lose(int n) { for (int i = 0; i < n; i++) { kept = malloc(500); kept = 0; } }\n")
    (tmp_path / "main.c").write_text("void lose(int); int main(void) { lose(40); return 0; }\n")
    subprocess.run([tool("gcc"), "-shared", "-fPIC", "-O0", "-o", library, tmp_path / "lose.c"],
                   check=True)
    subprocess.run([tool("gcc"), "-O0", "-o", tmp_path / "main", tmp_path / "main.c",
                    f"-L{tmp_path}", "-llose", f"-Wl,-rpath,{tmp_path}"], check=True)
    with_symbols, _ = found(recorder, tmp_path / "main")
    subprocess.run([tool("strip"), library], check=True)
    assert found(recorder, tmp_path / "main")[0] == with_symbols


def test_does_not_depend_on_wrappers_and_families_are_told(recorder, tmp_path):
    def leak(name, wrapper, allocation):
        source = tmp_path / f"{name}.cc"
        source.write_text(
            "#include <stdlib.h>\n"
            f"{wrapper}"
            "__attribute__((noinline)) static void lose(int n) { "
            f"void *volatile p = {allocation}; p = 0; }}\n"
            "int main(int argc, char **) { for (int i = 0; i < 9; i++) lose(argc + 99); }\n")
        subprocess.run([tool("g++"), "-w", "-O0", "-o", tmp_path / name, source], check=True)
        return found(recorder, tmp_path / name)[0]

    direct = leak("direct", "", "malloc(n)")
    wrapped = leak("wrapped", 'extern "C" __attribute__((noinline)) void *xmalloc(int n) '
                              "{ return malloc(n); }\n", "xmalloc(n)")
    array = leak("array", "", "new char[n]")
    assert direct == wrapped
    assert array[1] == direct[1] and array[0] != direct[0]
