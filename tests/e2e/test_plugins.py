"""Plugins, and how they are opened."""

import subprocess

import pytest

from harness import SOURCES, tool


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
