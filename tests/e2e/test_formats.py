"""The verdict of `ullage check` in the formats of others."""

import json
import re
import shlex
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest

from harness import ROOT, ULLAGE, build_suite, execute, tool
from schema import Schema

SUITE = ROOT / "tests" / "suite"
NAMES = ["t_fine", "t_forgets", "t_list", "t_skips", "t_crashes", "t_double_free"]
FOUND = 99
pytestmark = pytest.mark.usefixtures("recordings_apart")


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    """All formats of one run, by name, with "&<>" in an argument."""
    directory = tmp_path_factory.mktemp("formats")
    build_suite(directory, NAMES)
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
    programs = [p["program"].split("/")[-1] for p in answer["processes"]]
    render, = (f for f in answer["findings"] if f["state"] == "new" and f["kind"] == "definite")
    assert render["stack"][render["frame"]]["function"] == "render"
    assert sum(s["blocks"] for s in render["stacks"]) == render["blocks"]
    assert render["stacks"][0]["stack"] == render["stack"]
    assert len({s["fingerprint"] for s in render["stacks"]}) == 1  # main does not count
    forgets, = (s for s in render["stacks"] if s["blocks"] == 10)
    assert [programs[i] for i in forgets["processes"]] == ["t_forgets"]
    twice, = (f for f in answer["findings"] if f["kind"] == "bad-free")
    assert twice["freed_stack"][0]["line"] == verdict["line"]["freed first"]


def test_sarif(verdict):
    log = json.loads(verdict["sarif"])
    assert log["version"] == "2.1.0"
    run, = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for r in run["results"]:
        assert rules[r["ruleIndex"]]["id"] == r["ruleId"] and r["message"]["text"]
    places = {(p["artifactLocation"]["uri"], p["region"]["startLine"])
              for r in run["results"] for p in
              [x["physicalLocation"] for x in r["locations"]]}
    assert ("core.c", verdict["line"]["render"]) in places
    assert ("t_double_free.c", verdict["line"]["freed again"]) in places
    hidden = [r for r in run["results"] if "suppressions" in r]
    assert len(hidden) == 1 and "list_push" in hidden[0]["message"]["text"]
    assert len({r["partialFingerprints"]["ullage/1"] for r in run["results"]}) >= 4
    twice, = (r for r in run["results"] if r["ruleId"] == "bad-free")
    assert [x["message"]["text"] for x in twice["relatedLocations"]] == ["freed first",
                                                                         "allocated"]
    assert [x["message"]["text"] for x in twice["stacks"]] == ["freed", "freed first",
                                                               "allocated"]
    assert any("t_crashes (" in n["message"]["text"] for n in
               run["invocations"][0]["toolExecutionNotifications"])


def needs_of_github(log):
    """What its code scanning refuses, or does not show (the rules of Sarif.Multitool's
    `--rule-kind Ghas`, which has passed such a file)."""
    run, = log["runs"]
    for rule in run["tool"]["driver"]["rules"]:
        for key in "id", "shortDescription", "fullDescription", "help":
            assert rule[key]
    for result in run["results"]:
        assert len(result["locations"]) == 1 and len(result["relatedLocations"]) <= 100
        place = result["locations"][0]["physicalLocation"]
        artifact = place["artifactLocation"]
        assert place["region"]["startLine"] >= 1
        assert result["partialFingerprints"]["primaryLocationLineHash"]
        if "uriBaseId" in artifact:  # else it is of no use to a checkout elsewhere
            assert not artifact["uri"].startswith(("/", "file:"))
            root = run["originalUriBaseIds"][artifact["uriBaseId"]]["uri"]
            assert root.startswith("file:///") and root.endswith("/")
        else:
            assert artifact["uri"].startswith("file:///")


VALIDATE = """
const Ajv = require('ajv'), fs = require('fs');
const ajv = new Ajv({schemaId: 'auto', validateSchema: false, allErrors: true});
ajv.addMetaSchema(require('ajv/lib/refs/json-schema-draft-04.json'));
const fits = ajv.compile(require('@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json'));
for (const file of process.argv.slice(1))
  if (!fits(JSON.parse(fs.readFileSync(file))))
    console.log(file, JSON.stringify(fits.errors.slice(0, 5), null, 1));
"""


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    """A folder with the npm packages of tests/readers; they have SARIF's schema."""
    directory = tmp_path_factory.mktemp("readers")
    for name in "package.json", "package-lock.json":
        shutil.copy(ROOT / "tests" / "readers" / name, directory)
    r = execute([tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                 "--fetch-timeout=20000", "--fetch-retries=1"], cwd=directory)
    unreachable = re.search(rb"ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|E(NET|HOST)UNREACH|"
                            rb"ERR_SOCKET_TIMEOUT|network|code E(429|5\d\d)", r.all_stderr)
    if r.status and unreachable:
        pytest.skip(f"npm's registry cannot be reached: {unreachable[0].decode()}")
    assert r.status == 0, r.all_stderr
    return directory


def test_sarif_fits_its_schema(verdict, readers, tmp_path):
    """The official one; with suppressions, a baseline, no source, nothing found."""
    subprocess.run([tool("gcc", "cc"), "-O0", "-s", "-o", tmp_path / "plain",
                    SUITE / "t_forgets.c", SUITE / "core.c"], check=True)
    base = [ULLAGE, "check", "-q", f"--format=sarif:{tmp_path}/log", "--", "./plain"]
    (tmp_path / "all.sarif").write_text(verdict["sarif"])
    for name, options in {"plain": [], "root": [f"--source-root={tmp_path}"],
                          "base": ["--update-baseline=b"], "clean": ["--fail-on=growth"],
                          "max": ["--max=peak=1"]}.items():
        execute(base[:2] + options + base[2:], cwd=tmp_path)
        shutil.move(tmp_path / "log", tmp_path / f"{name}.sarif")
    files = sorted(tmp_path.glob("*.sarif"))
    assert len(files) == 6
    for file in files:
        needs_of_github(json.loads(file.read_text()))
    broken = tmp_path / "broken"
    broken.write_text(verdict["sarif"].replace('"ruleId"', '"rule"'))
    r = execute([tool("node"), "-e", VALIDATE, *files, broken], cwd=readers)
    assert r.status == 0, r.all_stderr
    assert [line.split(" [")[0] for line in r.text().splitlines() if line[:1] == "/"] == \
        [str(broken)], r.text()


def test_junit(verdict):
    suite, = ET.fromstring(verdict["junit"]).findall("testsuite")
    cases = {re.match(r"\./(\w+)", c.get("name"))[1]: c for c in suite.findall("testcase")
             if c.get("name").startswith("./")}
    failed = {name for name, c in cases.items() if c.find("failure") is not None}
    assert failed == {"t_forgets", "t_skips", "t_double_free"}
    assert int(suite.get("failures")) == len(failed)
    assert int(suite.get("tests")) == len(suite.findall("testcase"))
    assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
    assert cases["t_forgets"].get("name") == "./t_forgets <&\">"
    assert "killed" in cases["t_crashes"].find("error").get("message")  # it is --strict
    assert int(suite.get("errors")) == 1
    assert "render core.c" in cases["t_forgets"].find("failure").text


def test_junit_is_read(verdict, tmp_path):
    """By junitparser, as a person's script would."""
    junitparser = pytest.importorskip("junitparser")
    (tmp_path / "junit.xml").write_text(verdict["junit"])
    suite, = junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (len(NAMES), 3, 1, 0)
    kinds = {case.name: [type(r).__name__ for r in case.result] for case in suite}
    assert kinds["./t_forgets <&\">"] == ["Failure"]
    assert kinds["./t_crashes <&\">"] == ["Error"]
    forgets, = (case for case in suite if case.name.startswith("./t_forgets"))
    assert forgets.result[0].message == "leak, 30 B in 10 blocks"
    assert "render core.c:" in forgets.result[0].text


def test_junit_counts_who_was_not_judged(tmp_path):
    build_suite(tmp_path, ["t_crashes", "t_fine"])
    r = execute([ULLAGE, "check", "-q", "--format=junit", "--", "/bin/sh", "-c",
                 "./t_crashes; ./t_fine"], cwd=tmp_path)
    suite, = ET.fromstring(r.stdout).findall("testsuite")
    assert [suite.get(n) for n in ("tests", "failures", "errors", "skipped")] == list("2001")
    case, = suite.findall("testcase[skipped]")
    assert case.get("name") == "./t_crashes"


def test_junit_names_are_those_of_the_next_run(verdict, tmp_path):
    """No process id; what a process lost is told of it, not the sum of all."""
    subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", tmp_path / "t", SUITE / "t_forgets.c",
                    SUITE / "core.c"], check=True)
    r = execute([ULLAGE, "check", "-q", "--format=junit", "--", "/bin/sh", "-c", "./t; ./t; :"],
                cwd=tmp_path)
    suite, = ET.fromstring(r.stdout).findall("testsuite")
    names = [c.get("name") for c in suite.findall("testcase")]
    assert names == ["./t", "./t (2)"]
    assert [f.get("message") for f in suite.iter("failure")] == 2 * ["leak, 30 B in 10 blocks"]


def test_junit_has_who_passed(tmp_path):
    """One that had nothing to tell left but a line; its name is as when it fails."""
    for name in "t_skips", "t_fine":
        subprocess.run([tool("gcc", "cc"), "-O0", "-o", tmp_path / name, SUITE / f"{name}.c",
                        SUITE / "core.c"], check=True)
    long = "<&>" + 300 * "x"
    run = f"./t_fine a; ./t_skips {shlex.quote(long)}; ./t_fine a; :"
    options = {"fails": [], "passes": ["--fail-on=growth"], "quiet": ["--min-bytes=1K"]}
    names = {}
    for name, more in options.items():
        r = execute([ULLAGE, "check", "-q", "--format=junit", *more, "--", "/bin/sh", "-c", run],
                    cwd=tmp_path)
        suite, = ET.fromstring(r.stdout).findall("testsuite")
        cases = suite.findall("testcase")
        names[name] = sorted(c.get("name") for c in cases)
        assert int(suite.get("tests")) == len(cases) == 3
        assert len(suite.findall("testcase/failure")) == (name == "fails")
    assert names["fails"] == names["passes"] == names["quiet"]
    assert names["fails"][:2] == ["./t_fine a", "./t_fine a (2)"]
    assert names["fails"][2].startswith("./t_skips <&>xx") and len(names["fails"][2]) == 199


COMMAND = re.compile(r"::error (?:file=([^,:]*),line=(\d+),)?title=([^,:]*)::(.*)")


def unescape(text):
    """As the runner does, the sign itself last."""
    for code, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_github(verdict):
    lines = verdict["github"].splitlines()
    assert all(line.startswith("::error ") for line in lines) and len(lines) == 3
    place = f"::error file=core.c,line={verdict['line']['render']},title=leak::"
    assert any(line.startswith(place) for line in lines)
    assert any(line.startswith("::error title=not checked::1 time: killed") for line in lines)


def test_github_names_are_escaped(tmp_path):
    """A directory may be called anything: a property ends at ':' and ','."""
    directory = tmp_path / "a,b:c%2C::d"
    directory.mkdir()
    for name in "t_skips.c", "core.c", "core.h":
        shutil.copy(SUITE / name, directory)
    subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", "../t", "t_skips.c", "core.c"],
                   cwd=directory, check=True)
    r = execute([ULLAGE, "check", "-q", f"--source-root={tmp_path}", "--format=github", "--",
                 "./t"], cwd=tmp_path)
    file, line, title, _ = COMMAND.fullmatch(r.text().strip()).groups()
    assert (unescape(file), title) == (f"{directory.name}/core.c", "leak")
    assert "malloc" in (directory / "core.c").read_text().splitlines()[int(line) - 1]


def test_source_root_may_be_relative(tmp_path):
    shutil.copy(SUITE / "t_skips.c", tmp_path)
    shutil.copy(SUITE / "core.c", tmp_path)
    shutil.copy(SUITE / "core.h", tmp_path)
    (tmp_path / "build").mkdir()
    subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", "build/t", "t_skips.c", "core.c"],
                   cwd=tmp_path, check=True)
    r = execute([ULLAGE, "check", "-q", "--source-root=..", "--format=github", "--", "./t"],
                cwd=tmp_path / "build")
    assert r.text().startswith("::error file=core.c,line=")


def test_paths_are_relative_and_straight(tmp_path):
    """As meson has it built, "../core.c" from the build directory on; else nobody who reads
    a repository finds the file."""
    for name in "t_double_free.c", "core.c", "core.h":
        shutil.copy(SUITE / name, tmp_path)
    (tmp_path / "build").mkdir()
    subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", "t", "../t_double_free.c", "../core.c"],
                   cwd=tmp_path / "build", check=True)
    formats = ["junit", "json", "sarif", "valgrind-xml", "text"]
    r = execute([ULLAGE, "check", "-q", "--source-root=.", "--format=github",
                 *[f"--format={f}:{f}" for f in formats], "--", "/bin/sh", "-c",
                 f"{tmp_path}/build/t; build/t --in={tmp_path}/x"],
                cwd=tmp_path)
    files = {f: (tmp_path / f).read_text() for f in formats}
    assert r.text().startswith("::error file=t_double_free.c,line=")
    assert " main t_double_free.c:" in files["text"]
    cases = {c.get("name") for c in ET.fromstring(files["junit"]).iter("testcase")}
    assert cases == {"build/t", "build/t --in=x"}
    found, = json.loads(files["json"])["findings"]
    assert {f["file"] for stack in ("stack", "allocated_stack", "freed_stack")
            for f in found[stack]} == {"t_double_free.c", "core.c"}
    run, = json.loads(files["sarif"])["runs"]
    uris = re.findall(r'"uri": "(.*?)"', json.dumps(run["results"]))
    assert set(uris) == {"t_double_free.c", "core.c"}
    assert str(tmp_path) not in json.dumps(run["results"])
    frames = list(ET.fromstring(files["valgrind-xml"]).iter("frame"))
    assert {f.findtext("file") for f in frames} == {"t_double_free.c", "core.c"}
    assert {f.findtext("dir") for f in frames} == {None}


def test_file_that_cannot_be_written(tmp_path):
    """It is said before the suite runs, not an hour later."""
    for option in "--format=json:", "--format=valgrind-xml:", "--update-baseline=":
        r = execute([ULLAGE, "check", f"{option}{tmp_path}/none/%p", "--", "touch", "ran"],
                    cwd=tmp_path)
        assert r.status == 1 and "cannot write" in r.said and not (tmp_path / "ran").exists()
    for option in f"-o{tmp_path}/none/x", f"--format=json:{tmp_path}":
        r = execute([ULLAGE, "check", option, "--", "touch", "ran"], cwd=tmp_path)
        assert r.status == 1 and not (tmp_path / "ran").exists()
        assert r.said.startswith("ullage: cannot write ") and r.said.count("\n") == 1
    r = execute(["/bin/sh", "-c", f"exec '{ULLAGE}' check -q --format=json:/dev/fd/3 -- true 3>x"],
                cwd=tmp_path)
    assert r.status == 0 and json.loads((tmp_path / "x").read_text())["failed"] is False


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
    r = memcheck("--version", cwd=tmp_path)
    assert r.status == 0 and re.fullmatch(r"ullage-memcheck: ullage [0-9.]+\n", r.text())
    r = memcheck("--help", cwd=tmp_path)
    assert r.status == 0 and "--xml-file" in r.text() and "#" not in r.text()
