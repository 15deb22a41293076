"""Who is to blame where one works for the other: an interpreter for its extension, a library
for its user. Sources are in tests/hosted."""

import re
import subprocess

import pytest

from harness import ROOT, tool

SOURCES = ROOT / "tests" / "hosted"


@pytest.fixture(scope="session", params=["stripped", "whole"])
def hosted(request, tmp_path_factory):
    """A directory with the programs and libraries; without symbols, as packages are."""
    to = tmp_path_factory.mktemp(request.param)
    strip = ["-s"] if request.param == "stripped" else []
    for name, source, *more in (
            ("librecord.so", "library.c", "-shared", "-fPIC"),
            ("guest.so", "guest.c", "-shared", "-fPIC", f"-L{to}", "-lrecord"),
            ("host", "host.c", "-rdynamic", "-ldl"),
            ("user", "user.c", "-rdynamic", f"-L{to}", "-lrecord"),
            ("libruby-record.so", "library.c", "-shared", "-fPIC"),
            ("rubies", "user.c", "-rdynamic", f"-L{to}", "-lruby-record")):
        subprocess.run([tool("gcc", "cc"), "-O1", "-fno-optimize-sibling-calls", *strip, "-o",
                        to / name, SOURCES / source, f"-Wl,-rpath,{to}", *more], check=True)
    return to


def first_of(recorder, hosted, call):
    assert recorder.run(str(hosted / "host"), str(hosted / "guest.so"), call, "300").status == 0
    first = recorder.answer("report")["findings"][0]
    lines = recorder.text("report").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  1 "))
    return first, lines[at], lines[at + 1]


@pytest.mark.short
def test_user_of_the_library_is_on_the_page(recorder, hosted):
    """What a library has made is said to be for the extension's function that wanted it,
    with the file, for other extensions' functions may be called the same."""
    first, line, callers = first_of(recorder, hosted, "session")
    assert first["kind"] == "leak" and first["frame"]["function"] == "record_new", first
    assert ": record_new" in line, line
    assert "< record_read < " in callers, callers
    assert re.search(r" < \"?session\"? \(guest\.so\)", callers), callers


@pytest.mark.short
def test_user_of_the_library_has_the_room_that_there_is(recorder, hosted):
    """It says more than what it has called, and than what is outside of it."""
    long = "a_record_that_is_read_again_from_beginning_to_its_very_last_en"
    first, line, callers = first_of(recorder, hosted, long)
    assert first["kind"] == "leak" and ": record_new" in line, line
    user = long if '"' in line + callers else "read_whole"
    assert re.search(rf"< (\.\.\.|record_read) < \"?{user[:40]}", callers), callers


@pytest.mark.short
def test_interpreter_works_for_its_extension(recorder, hosted):
    first, line, callers = first_of(recorder, hosted, "keep")
    assert first["kind"] == "leak" and first["blocks"] == 300, first
    assert first["frame"]["function"] in ("keep", '"keep"'), first
    assert "keep" in line and "value_new" not in line + callers, (line, callers)


@pytest.mark.short
def test_builtin_works_for_the_extension_that_calls_it(recorder, hosted):
    first, line, callers = first_of(recorder, hosted, "name_of")
    assert first["kind"] == "leak" and first["blocks"] == 300, first
    assert first["frame"]["function"] in ("encode", '"encode"'), first
    assert re.search(r"\"?name_of\"? \(guest\.so\)", callers), callers


@pytest.mark.short
def test_what_the_script_makes_is_not_the_extensions(recorder, hosted):
    """... though that has called it; nor is it that of who only calls what he is told to."""
    first, line, callers = first_of(recorder, hosted, "each")
    assert first["kind"] == "leak" and first["blocks"] == 300, first
    assert first["frame"]["module"].endswith("/host"), first
    assert "lua_pcallk" not in line, line


@pytest.mark.short
def test_program_that_uses_the_library_is_on_the_page(recorder, hosted):
    assert recorder.run(str(hosted / "user"), "300").status == 0
    lines = recorder.text("report").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  1 leak"))
    assert ": record_new" in lines[at] and "load_config" in lines[at + 1], lines


@pytest.mark.short
@pytest.mark.parametrize("name, told", [("user", False), ("rubies", True)])
def test_what_a_runtime_takes_apart_is_told(recorder, hosted, name, told):
    """Ruby's objects are gone when the scan comes, and what they held is not lost for it."""
    assert recorder.run(str(hosted / name), "300").status == 0
    second = recorder.text("report").splitlines()[1]
    assert second.startswith("  Ruby unmaps its objects as it ends") == told, second
