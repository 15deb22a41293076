"""The verdict of `ullage check` in the formats of others."""

import json
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

from harness import ROOT, ULLAGE, execute, tool
from schema import Schema

SUITE = ROOT / "tests" / "suite"
NAMES = ["t_fine", "t_forgets", "t_list", "t_skips", "t_crashes", "t_double_free"]
FOUND = 99
pytestmark = pytest.mark.usefixtures("recordings_apart")


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    """All formats of one run, by name, with "&<>" in an argument."""
    directory = tmp_path_factory.mktemp("formats")
    for name in NAMES:
        subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", directory / name,
                        SUITE / f"{name}.c", SUITE / "core.c", SUITE / "third.c"], check=True)
    (directory / "supp").write_text("leak:list_push\n")
    formats = ["text", "json", "sarif", "junit"]
    script = "".join(f"./{name} '<&\">'; " for name in NAMES) + "exit 0"
    r = execute([ULLAGE, "check", "-q", "--strict", f"--source-root={SUITE}", "--suppressions=supp",
                 *[f"--format={f}:{f}.out" for f in formats], "--format=github", "--", "/bin/sh",
                 "-c", script], cwd=directory)
    assert r.status == FOUND and "check failed" not in r.said
    files = {f: (directory / f"{f}.out").read_text() for f in formats}
    files["github"] = r.text()
    files["line"] = {}
    for name in ("core.c", "t_double_free.c"):
        for number, line in enumerate((SUITE / name).read_text().splitlines(), 1):
            if "MARK" in line:
                files["line"][line.split("MARK ")[1].split(" */")[0]] = number
    return files


def test_text(verdict):
    assert verdict["text"].startswith("check failed: ") and "t_forgets" in verdict["text"]


def test_json(verdict):
    answer = json.loads(verdict["json"])
    assert Schema().problems("check", answer) == []
    states = {(f["kind"], f["state"]) for f in answer["findings"]}
    assert states == {("definite", "new"), ("definite", "suppressed"), ("bad-free", "new"),
                      ("unchecked", "new")}
    forgets, = (f for f in answer["findings"] if f["blocks"] == 10)
    assert forgets["stack"][forgets["frame"]]["function"] == "render"
    program, = {answer["processes"][i]["program"].split("/")[-1] for i in forgets["processes"]}
    assert program == "t_forgets"
    twice, = (f for f in answer["findings"] if f["kind"] == "bad-free")
    assert twice["freed_stack"][0]["line"] == verdict["line"]["freed first"]


def test_sarif(verdict):
    log = json.loads(verdict["sarif"])
    assert log["version"] == "2.1.0"
    run, = log["runs"]
    ids = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert all(r["ruleId"] in ids and r["message"]["text"] for r in run["results"])
    places = {(p["artifactLocation"]["uri"], p["region"]["startLine"])
              for r in run["results"] for p in
              [x["physicalLocation"] for x in r["locations"]]}
    assert ("core.c", verdict["line"]["render"]) in places
    assert ("t_double_free.c", verdict["line"]["freed again"]) in places
    hidden = [r for r in run["results"] if "suppressions" in r]
    assert len(hidden) == 1 and "list_push" in hidden[0]["message"]["text"]
    assert len({r["partialFingerprints"]["ullage/1"] for r in run["results"]}) >= 4


def test_junit(verdict):
    suite, = ET.fromstring(verdict["junit"]).findall("testsuite")
    cases = {re.match(r"\./(\w+)", c.get("name"))[1]: c for c in suite.findall("testcase")
             if c.get("name").startswith("./")}
    failed = {name for name, c in cases.items() if c.find("failure") is not None}
    assert failed == {"t_forgets", "t_skips", "t_double_free"}
    assert int(suite.get("failures")) == len(failed)
    assert int(suite.get("tests")) == len(suite.findall("testcase"))
    assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
    assert '<&">' in cases["t_forgets"].get("name")
    assert "killed" in cases["t_crashes"].find("skipped").get("message")
    assert "render core.c" in cases["t_forgets"].find("failure").text


def test_github(verdict):
    lines = verdict["github"].splitlines()
    assert all(line.startswith("::error ") for line in lines) and len(lines) == 4
    place = f"::error file=core.c,line={verdict['line']['render']},title=leak::30 B in 10 blocks: "
    assert any(line.startswith(place) for line in lines)
    assert any(line.startswith("::error title=not checked::1 time: killed") for line in lines)


def test_file_that_cannot_be_written(tmp_path):
    r = execute([ULLAGE, "check", f"--format=json:{tmp_path}/none/file", "--", "true"])
    assert r.status == 1 and "cannot write" in r.said


# ---- memcheck, as CTest calls it ---------------------------------------------------------

MEMCHECK = ROOT / "scripts" / "ullage-memcheck"


def memcheck(*argv, cwd):
    return execute([MEMCHECK, *argv], cwd=cwd, env={"ULLAGE": str(ULLAGE)})


@pytest.mark.seconds(300)
def test_ctest_shows_defects(tmp_path):
    build = tmp_path / "build"
    build.mkdir()
    for argv in ([tool("cmake"), f"-DMEMORYCHECK_COMMAND={MEMCHECK}",
                  "-DMEMORYCHECK_TYPE=Valgrind", SUITE], [tool("make")]):
        assert execute(argv, cwd=build).status == 0
    r = execute([tool("ctest"), "-T", "memcheck"], cwd=build, env={"ULLAGE": str(ULLAGE)})
    defects = dict(re.findall(r"MemCheck: +#\d+: (\w+) .*Defects: (\d+)", r.text()))
    assert defects == {"forgets": "1", "list": "1", "double_free": "1", "aborts": "1",
                       "forks": "1", "should_fail": "1", "skips": "1", "third": "1"}, r.text()
    assert "FIM - 1\n" in r.text() and "Memory Leak - 7\n" in r.text()


def test_memcheck_options(tmp_path):
    source = SUITE / "t_skips.c"
    subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", tmp_path / "it's", source,
                    SUITE / "core.c"], check=True)
    supp = tmp_path / "a 'file'"
    supp.write_text("leak:nothing\n")
    r = memcheck("-q", "--tool=memcheck", "--leak-check=yes", "--no-such-option",
                 f"--suppressions={supp}", "--log-file=log.%p", "./it's", "-x", cwd=tmp_path)
    assert (r.status, r.all_stderr) == (77, b"")
    log, = tmp_path.glob("log.*")
    assert re.search(r"^==\d+== 6 bytes in 1 blocks are definitely lost in loss record 1 of 1\n"
                     r"==\d+==    at 0x[0-9A-F]+: render \(core\.c:\d+\)\n", log.read_text())
    assert memcheck("--error-exitcode=9", "./it's", cwd=tmp_path).status == 9
    supp.write_text("leak:render\n")
    r = memcheck("--error-exitcode=9", f"--suppressions={supp}", "--", "./it's", cwd=tmp_path)
    assert (r.status, r.all_stderr) == (77, b"")
    r = memcheck("--leak-check=full", cwd=tmp_path)
    assert r.status == 2 and b"no program" in r.all_stderr
