"""What is said of single blocks: which were freed wrongly, which are lost, and why."""

import pytest

from harness import blamed, marked_line, program
from test_answers import check_leaks


def misuses(recorder, kind):
    return [m for m in recorder.answer("report")["misuses"] if m["kind"] == kind]


# (mode, kind, how often, where)
MISUSES = [
    (["small"], "freed twice", 1, "free_again"),
    (["drained"], "freed twice", 20, "free_again"),
    (["large", "1"], "freed twice", 1, "free_again"),
    (["large", "200"], "freed twice", 1, "free_again"),
    (["inside"], "freed inside", 1, "free_inside"),
    (["inside"], "resized inside", 1, "realloc_inside"),
    (["realloc"], "resized after free", 3, "realloc_again"),
]


@pytest.mark.short
@pytest.mark.parametrize("argv,kind,count,where", MISUSES, ids=lambda v: str(v).strip("[]'"))
def test_bad_frees_are_said(recorder, argv, kind, count, where):
    r = recorder.run(program("misuse"), *argv)
    assert (r.status, r.text(), r.stderr) == (0, "done\n", b"")
    found = misuses(recorder, kind)
    assert sum(m["count"] for m in found) == count
    line = marked_line("misuse.c", where)
    assert any(blamed(m, where, "misuse.c", line) for m in found)
    for said in (r.said, recorder.text("report")):
        head = said[:said.find("leaks ")]
        assert where in head and str(count) in head, said


def test_bad_frees_of_many_places(recorder):
    """A few places are kept of each kind, the number is right all the same."""
    r = recorder.run(program("misuse"), "many")
    assert (r.status, r.text()) == (0, "done\n")
    report = recorder.answer("report")
    assert report["fallbacks"]["DOUBLE_FREE"] == 119
    found = misuses(recorder, "freed twice")
    assert len(found) == 8 and found[0]["count"] == 100
    assert "119" in r.said


def test_bad_free_of_a_child_is_worth_its_recording(recorder):
    assert recorder.run(program("misuse"), "child").status == 0
    child, = recorder.answer("report")["children"]["recordings"]
    found, = recorder.answer("report", file=child)["misuses"]
    assert (found["kind"], found["count"]) == ("freed twice", 1)


def test_no_bad_free_is_said_of_a_good_program(recorder):
    r = recorder.run(program("pairs"), "10")
    assert recorder.answer("report")["misuses"] == []
    assert "freed" not in r.said


@pytest.mark.short
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_old_pointers_drag_nobody_along(recorder, seed):
    result = recorder.run(program("stale"), seed)
    assert result.status == 0
    check_leaks(recorder, result, "stale.c")


@pytest.mark.short
def test_what_threads_hold_and_held(recorder):
    result = recorder.run(program("joined"))
    assert (result.status, result.stderr) == (0, b"")
    check_leaks(recorder, result, "joined.c")


@pytest.mark.short
def test_frames_above_and_below_an_alternate_stack(recorder):
    result = recorder.run(program("alternate"))
    assert (result.status, result.stderr) == (0, b"")
    check_leaks(recorder, result, "alternate.c")
