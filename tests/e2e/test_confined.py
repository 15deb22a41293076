"""Programs that allow themselves only some system calls (seccomp): those that malloc and
stdio need must be enough for us, too."""

import pytest

from harness import PRELOAD, execute, find, program

MODES = [("grow", "0"), ("grow", "50000"), ("grow by number", "1000"), ("threads",),
         ("children",), ("fork",), ("handlers",), ("exec",), ("dangers",), ("refused",)]


@pytest.mark.short
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "plain"])
@pytest.mark.parametrize("argv", MODES, ids=" ".join)
def test_filter(recorder, argv, strict):
    r = recorder.same(program("confined"), *argv, strict=strict)
    assert (r.status, b"killed" in r.stdout) == (7, False), r.text()
    confined = argv[0] not in ("children", "dangers", "refused")
    report = recorder.answer("report", "--all")
    assert (report["program"]["confined_seconds"] is not None) == confined
    assert report["program"]["exit"] == {"kind": "exited", "status": 7}
    leaks = recorder.answer("leaks")["scan"]
    assert leaks["state"] == ("none" if confined else "done")
    if confined:
        assert "seccomp" in leaks["reason"]
        assert "seccomp" in recorder.text("report")


@pytest.mark.parametrize("argv", MODES, ids=" ".join)
def test_filter_without_recording(argv):
    r = execute([program("confined"), *argv],
                env={"LD_PRELOAD": str(PRELOAD), "ULLAGE_RECORD": "no"})
    assert (r.status, b"killed" in r.stdout) == (7, False), r.text()


@pytest.mark.parametrize("mode,reason", [("landlock", "Landlock"), ("chroot", "chroot")])
def test_what_may_not_read_its_own_maps_is_told_so(recorder, tmp_path, mode, reason):
    (tmp_path / "root").mkdir()
    r = recorder.run(program("confined"), mode, tmp_path / "root", strict=False)
    if r.status == 77:
        pytest.skip("not to be had here")
    leaks = recorder.answer("leaks")["scan"]
    assert leaks["state"] == "failed" and reason in leaks["reason"], leaks
    assert f"leaks    not known: {leaks['reason']}" in recorder.text("report")


def test_what_is_allocated_under_a_filter_is_recorded(recorder):
    recorder.same(program("confined"), "grow", "1000")
    report = recorder.answer("report", "--all")
    site = find(report["sites"], "confined_block")
    assert sum(s["allocations"] for s in site) == 1000
    assert sum(s["frees"] for s in site) == 1000
    assert any(f.get("function") == "main" for f in site[0]["stack"])


def test_children_under_a_filter(recorder):
    recorder.same(program("confined"), "children")
    children = recorder.children()
    assert len(children) == 4
    for file in children:
        report = recorder.answer("report", file=file)["program"]
        assert report["forked"] and report["confined_seconds"] is not None
        assert report["exit"]["kind"] == "unseen"
    recorder.same(program("confined"), "children", env={"ULLAGE_CHILDREN_MAX": "0"})
    assert recorder.children() == []
    assert len(recorder.file.with_name("recording.children").read_text().splitlines()) == 4
