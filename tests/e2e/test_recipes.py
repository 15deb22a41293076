"""scripts/ci, each recipe as it is installed, on the ten tests of tests/suite: what fails are
the tests that leak or free wrongly, and nobody else."""

import os
import re
import shutil
import subprocess
import sysconfig
import xml.etree.ElementTree as ET

import pytest

from harness import BUILD, ROOT, execute, tool

SUITE = ROOT / "tests" / "suite"
LEAKY = {"aborts", "double_free", "forgets", "forks", "list", "should_fail", "skips", "third"}
FOUND = 99
pytestmark = [pytest.mark.usefixtures("recordings_apart"), pytest.mark.seconds(300)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where `meson install` puts the recipes; (folder, environment with ullage in PATH)."""
    root = tmp_path_factory.mktemp("installed")
    r = execute([tool("meson"), "install", "-C", BUILD, "--no-rebuild", "--destdir", root])
    assert r.status == 0, r.all_stderr
    recipes, = root.rglob("ci/conftest.py")
    program, = root.rglob("bin/ullage")
    assert os.access(program.parent / "ullage-memcheck", os.X_OK)
    return recipes.parent, {"PATH": f"{program.parent}:{os.environ['PATH']}",
                            "GIT_CONFIG_GLOBAL": "/dev/null"}


@pytest.fixture
def project(tmp_path):
    return shutil.copytree(SUITE, tmp_path / "project")


def fix(project, *names):
    """Cured, a test does nothing, but for the one that is meant to fail."""
    for name in names:
        status = int(name == "should_fail")
        (project / f"t_{name}.c").write_text(f"int main(void) {{ return {status}; }}\n")


def test_all_are_told_and_installed(installed):
    here = {p.name for p in (ROOT / "scripts" / "ci").iterdir() if p.is_file()}
    assert {p.name for p in installed[0].iterdir()} == here
    told = set(re.findall(r"^\| `(\S+)` \|", (installed[0] / "README.md").read_text(), re.M))
    assert told == here - {"README.md"}


def test_ctest(installed, project):
    recipes, env = installed
    shutil.copy(recipes / "ctest.cmake", project)
    r = execute([tool("ctest"), "-V", "-S", "ctest.cmake"], cwd=project, env=env)
    defects = set(re.findall(r"MemCheck: +#\d+: (\w+) .*Defects: [1-9]", r.text()))
    assert r.status != 0 and defects == LEAKY, r.text() + r.stderr.decode()
    assert b"8 tests with memory defects" in r.stderr
    log = re.search(rb"defects:\s+(\S+/)MemoryChecker", r.stderr)[1].decode()
    assert any("definitely lost" in p.read_text()
               for p in project.glob("build-ullage/Testing/Temporary/MemoryChecker.*.log"))
    assert log.endswith("build-ullage/Testing/Temporary/")
    fix(project, *LEAKY)
    r = execute([tool("ctest"), "-S", "ctest.cmake"], cwd=project, env=env)
    assert r.status == 0, r.text()


def test_meson(installed, project):
    recipes, env = installed
    assert execute([tool("meson"), "setup", "build"], cwd=project).status == 0
    r = execute([recipes / "meson.sh"], cwd=project, env=env)
    results = dict(re.findall(r"^ *\d+/10 +(?:suite:)?(\w+) +(\w+)", r.text(), flags=re.M))
    bad = {name for name, result in results.items() if result not in ("OK", "SKIP")}
    assert r.status != 0 and bad == LEAKY | {"crashes"}, r.text()
    assert "render core.c" in r.text()
    r = execute([recipes / "meson.sh", "build", "fine"], cwd=project, env=env)
    assert r.status == 0, r.text()


def test_automake(installed, project):
    recipes, env = installed
    for argv in [tool("autoreconf"), "-i"], ["./configure"]:
        assert execute(argv, cwd=project).status == 0
    r = execute([recipes / "automake.sh"], cwd=project, env=env)
    results = {name: result for result, name in re.findall(r"^([A-Z]+): t_(\w+)$", r.text(),
                                                           flags=re.M)}
    bad = {name for name, result in results.items() if result != "PASS"}
    assert r.status != 0 and bad == LEAKY | {"crashes"}, r.text()
    assert results["should_fail"] == results["skips"] == "ERROR"
    assert "render core.c" in (project / "t_forgets.log").read_text()


EXTENSION = r"""
#include <Python.h>
static PyObject *lose(PyObject *self, PyObject *args) {
  long n = PyLong_AsLong(args);
  (void)self;
  for (volatile char *p; n-- > 0; p[0] = 1)
    p = malloc(100);
  Py_RETURN_NONE;
}
static PyObject *keep(PyObject *self, PyObject *args) {
  static void *kept;
  (void)self, (void)args;
  kept = malloc(100);
  return PyBool_FromLong(kept != NULL);
}
static PyMethodDef methods[] = {
    {"lose", lose, METH_O, ""}, {"keep", keep, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "ext", NULL, -1, methods,
                                    NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_ext(void) { return PyModule_Create(&module); }
"""
TESTS = r"""
import os, ext, pytest

@pytest.fixture
def careless():
    yield 7
    ext.lose(10)

def test_keeps(): assert ext.keep()
def test_loses(): ext.lose(30)
def test_loses_in_a_fixture(careless): assert careless == 7
@pytest.mark.parametrize("n", [0, 20])
def test_many(n): ext.lose(n)
def test_is_wrong(): assert ext.keep() == 5
def test_skips(): pytest.skip("for a reason")
@pytest.mark.xfail
def test_is_known(): assert False
def test_dies(): os.kill(os.getpid(), 9)
"""
RESULTS = {"test_keeps": "passed", "test_loses": "leaks", "test_loses_in_a_fixture": "leaks",
           "test_many[0]": "passed", "test_many[20]": "leaks", "test_is_wrong": "fails",
           "test_skips": "skipped", "test_is_known": "skipped", "test_dies": "fails"}


def outcomes(junit):
    told = {}
    for case in ET.parse(junit).getroot().iter("testcase"):
        failure, skipped = case.find("failure"), case.find("skipped")
        told[case.get("name")] = ("passed" if failure is None and skipped is None else
                                  "skipped" if failure is None else
                                  "leaks" if "check failed: 1 finding" in failure.text else
                                  "fails")
    return told


def test_pytest(installed, tmp_path):
    """The very test, whether it loses in its body or in a fixture; all else is as ever."""
    recipes, env = installed
    include = sysconfig.get_paths()["include"]
    if not os.path.exists(f"{include}/Python.h"):
        pytest.skip("Python.h is not installed")
    shutil.copy(recipes / "conftest.py", tmp_path)
    (tmp_path / "ext.c").write_text(EXTENSION)
    (tmp_path / "test_ext.py").write_text(TESTS)
    subprocess.run([tool("gcc"), "-shared", "-fPIC", "-O0", "-g", f"-I{include}", "-o", "ext.so",
                    "ext.c"], cwd=tmp_path, check=True)
    run = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=x.xml"]
    r = execute(["ullage", "check", "--programs=python3*", "--", *run], cwd=tmp_path, env=env)
    assert r.status == FOUND, r.text()
    assert outcomes(tmp_path / "x.xml") == RESULTS, r.text()
    assert re.search(r"leak +(3\.0|2\.9|2\.8) K\S+ in \d+ blocks +lose ext\.c:\d+", r.text())
    assert "wait status 9" in r.text()
    assert "5 failed" in r.text().splitlines()[-1]
    r = execute(["ullage", "check", "--programs=python3*", "--", *run, "-k", "keeps or skips"],
                cwd=tmp_path, env=env)
    assert r.status == 0 and "1 passed, 1 skipped" in r.text(), r.text() + r.said
    deselect = ["--deselect", "test_ext.py::test_dies"]
    r = execute([*run, *deselect], cwd=tmp_path, env=env)  # plain
    plain = {n: "passed" if o == "leaks" else o for n, o in RESULTS.items() if n != "test_dies"}
    assert outcomes(tmp_path / "x.xml") == plain, r.text()


def steps_of_github(path):
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load(path.read_text())
    assert set(workflow[True]) == {"push", "pull_request"}  # the key `on`, as YAML 1.1 has it
    job, = workflow["jobs"].values()
    assert job["runs-on"] and all("uses" in s or "run" in s for s in job["steps"])
    return job["steps"]


def run_github(steps, project, env):
    """The status of the step that failed, and its output. ullage is installed already."""
    for step in steps:
        if "run" not in step or step["name"] == "Install ullage":
            continue
        r = execute(["bash", "-e", "-c", step["run"]], cwd=project, env=env)
        if r.status:
            return step["name"], r
    return None, r


def test_github(installed, project):
    recipes, env = installed
    steps = steps_of_github(recipes / "github.yml")
    tool("cmake")
    at, r = run_github(steps, project, env)
    assert (at, r.status) == ("Check", FOUND), r.all_stderr
    assert re.search(r"^::error file=core\.c,line=\d+,title=leak::", r.text(), flags=re.M)
    upload, = (s["with"]["sarif_file"] for s in steps if "upload-sarif" in s.get("uses", ""))
    keep, = (s["with"]["path"] for s in steps if "upload-artifact" in s.get("uses", ""))
    assert (project / upload).exists() and list(project.glob(keep))
    fix(project, *LEAKY, "crashes")
    at, r = run_github(steps, project, env)
    assert at is None, r.all_stderr


def test_gitlab(installed, project):
    """And what is known already passes."""
    yaml = pytest.importorskip("yaml")
    recipes, env = installed
    tool("cmake")
    job = yaml.safe_load((recipes / "gitlab.yml").read_text())["ullage"]
    script = "set -e\n" + "\n".join(job["script"])
    r = execute(["sh", "-c", script], cwd=project, env=env)
    assert r.status == FOUND, r.all_stderr
    suite, = ET.parse(project / job["artifacts"]["reports"]["junit"]).getroot()
    assert int(suite.get("failures")) == len(LEAKY)
    pattern, = job["artifacts"]["paths"]
    assert list(project.glob(pattern))
    fix(project, "crashes", "double_free", "aborts")
    execute(["ullage", "check", "--update-baseline=leaks.baseline", "check.ull"], cwd=project,
            env=env)
    r = execute(["sh", "-c", script], cwd=project, env=env)
    assert r.status == 0, r.all_stderr


LEAK = "#include <stdlib.h>\nint main(void) { volatile char *p = malloc(9); p[0] = 0; p = 0; }\n"
CURED = LEAK.replace("p = 0;", "free((void *)p);")


def test_pre_push(installed, tmp_path):
    """With a planted leak the push is refused, without it goes through."""
    recipes, env = installed
    env = {**env, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
           "GIT_COMMITTER_EMAIL": "a@b"}
    work = tmp_path / "work tree"

    def git(*argv, cwd=work):
        return execute([tool("git"), *argv], cwd=cwd, env=env)

    git("init", "-q", "--bare", "remote", cwd=tmp_path)
    git("clone", "-q", "remote", work, cwd=tmp_path)
    shutil.copy(recipes / "pre-push", work / ".git" / "hooks")
    (work / "Makefile").write_text("check: t\n\t./t && git status >/dev/null\n")
    for text, pushed in (LEAK, False), (CURED, True):
        (work / "t.c").write_text(text)
        git("add", ".")
        git("commit", "-qm", "one")
        r = git("push", "origin", "HEAD:refs/heads/main")
        assert (r.status == 0) == pushed, r.all_stderr
        assert (b"pre-push: not pushed, for 'make check' ended with 99" in r.stderr) != pushed
        heads = git("for-each-ref", "refs/heads", cwd=tmp_path / "remote")
        assert bool(heads.stdout) == pushed
    git("config", "ullage.suite", "false")
    assert b"'false' ended with 1" in git("push", "origin", "HEAD:refs/heads/other").stderr
