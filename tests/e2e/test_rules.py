"""What counts in `ullage check`: whose code, since when, how much may be used."""

import re
import shutil
import subprocess

import pytest

from harness import ROOT, ULLAGE, execute, program, tool

FOUND = 99
pytestmark = pytest.mark.usefixtures("recordings_apart")

SOURCES = {
    "lib.c": """
        #include <stdlib.h>
        void *volatile lib_kept;
        void lib_init(void) { lib_kept = malloc(512); lib_kept = 0; }
        void *lib_make(void) { return malloc(100); }
        """,
    "app.c": """
        #include <stdlib.h>
        #include <unistd.h>
        #include <ullage.h>
        void lib_init(void);
        void *lib_make(void);
        void *volatile kept;
        static void own(void) { kept = malloc(33); kept = 0; }
        static void borrow(void) { kept = lib_make(); kept = 0; }
        int main(int argc, char **argv) {
          lib_init();
          own();
          usleep(5000);
          ullage_mark("up");
          usleep(5000);
          own();
          if (argc > 1) borrow();
          return 0;
        }
        """,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """app/app of app/src/app.c, with lib/liblib.so.1 that lies elsewhere."""
    directory = tmp_path_factory.mktemp("rules")
    (directory / "app" / "src").mkdir(parents=True)
    (directory / "lib").mkdir()
    lib, app = directory / "lib" / "lib.c", directory / "app" / "src" / "app.c"
    lib.write_text(SOURCES["lib.c"])
    app.write_text(SOURCES["app.c"])
    library = directory / "lib" / "liblib.so.1"
    for argv in (["-shared", "-fPIC", "-o", library, lib, f"-Wl,-soname,{library}"],
                 ["-I", ROOT / "preload", "-o", directory / "app" / "app",
                  directory / "app" / "src" / ".." / "src" / "app.c", library]):
        subprocess.run([tool("gcc", "cc"), "-O0", "-g", *argv], check=True)
    return directory / "app"


def check(project, *options, argv=("./app",), status=None):
    r = execute([ULLAGE, "check", *options, "--", *argv], cwd=project)
    r.findings = re.findall(r"^ullage: +\d+  (.*)$", r.said, flags=re.M)
    assert r.status == (status if status is not None else FOUND if r.findings else 0), r.said
    return r


def told_by(r):
    """The functions that findings are told by."""
    return sorted(re.search(r" blocks? +(\w+)", f)[1] for f in r.findings)


def test_all_counts(project):
    assert told_by(check(project)) == ["lib_init", "own"]


def test_ours_only(project):
    """By default what lies below the current directory: module or source."""
    r = check(project, "--ours=only")
    assert told_by(r) == ["own"] and ", not ours 1\n" in r.said
    for ours in "src", "src/app.c", "app", str(project), "a*":
        assert told_by(check(project, "--ours=only", f"--ours={ours}")) == ["own"], ours
    for ours in "../lib", "liblib*", "liblib.so.1":
        assert told_by(check(project, "--ours=only", f"--ours={ours}")) == ["lib_init"], ours


def test_not_ours(project):
    for option in "--not-ours=../lib", "--not-ours=liblib.so*":
        assert told_by(check(project, option)) == ["own"]
    r = check(project, "--not-ours=.", "--not-ours=../lib", status=0)
    assert "new 0, suppressed 0, not ours 2" in r.said


def test_findings_are_told_by_own_frames(project):
    """Of what a library allocates for the program, too; it still counts as the library's
    where that is asked."""
    borrowed = ["./app", "borrow"]
    assert told_by(check(project, argv=borrowed)) == ["lib_init", "lib_make", "own"]
    r = check(project, "--ours=src", argv=borrowed)
    assert told_by(r) == ["borrow", "main", "own"]
    assert told_by(check(project, "--ours=src", "--ours=only", argv=borrowed)) == ["own"]


def test_warmup(project):
    """Up to a mark, or for a time: what was allocated since then counts alone."""
    r = check(project, "--warmup=up")
    assert told_by(r) == ["own"] and "33 B in 1 block" in r.findings[0]
    assert "judged whole" not in r.said and "ended before" not in r.said
    assert len(check(project, "--warmup=0s").findings) == 2


def test_warmup_that_leaves_all_or_nothing_is_said(project):
    r = check(project, "--warmup=1h", status=0)
    assert r.findings == []
    assert "ullage: ended before the warm-up of 1h, so its leaks do not count: app\n" in r.said
    r = check(project, "--warmup=no such mark", "--strict")
    assert len(r.findings) == 2
    assert "ullage: judged whole, for there is no mark 'no such mark': app\n" in r.said


def test_growth(tmp_path):
    r = check(tmp_path, "--fail-on=growth", "--programs=all", argv=[program("grow")])
    assert r.status == FOUND and all(f.startswith("growth ") for f in r.findings)
    r = check(tmp_path, "--fail-on=growth", "--programs=all", argv=[program("pairs"), "10"])
    assert r.status == 0


# ---- budgets ---------------------------------------------------------------------------

BUDGET = """
    #include <stdlib.h>
    #include <string.h>
    static void *hold(size_t n) { return memset(malloc(n), 1, n); }
    static void churn(int n) { while (n--) free(memset(malloc(10), 1, 10)); }
    char *table;
    int main(int argc, char **argv) {
      (void)argv;
      void *most = hold(3 << 20);
      table = hold(1 << 20);
      free(most);
      churn(argc > 1 ? 1500 : 1000);
      return 0;
    }"""


@pytest.fixture(scope="module")
def budget(tmp_path_factory):
    directory = tmp_path_factory.mktemp("budget")
    source = directory / "b.c"
    source.write_text(BUDGET)
    subprocess.run([tool("gcc", "cc"), "-O0", "-g", "-o", directory / "b", source], check=True)
    shutil.copy("/bin/true", directory / "c")
    return directory


def test_within_budget(budget):
    r = check(budget, "--max=peak=5M,live=1100K,allocations=1010,temporary=100%",
              argv=["./b"], status=0)
    assert "new 0" in r.said


OVER = [("peak=4M", r"peak over budget +4\.0 MiB of 4\.0 MiB  +hold"),
        ("peak=1MiB", r"peak over budget +4\.0 MiB of 1\.0 MiB  +hold"),
        ("live=1M", r"live over budget +1\.0 MiB of 1\.0 MiB  +hold"),
        ("allocations=1000", r"allocations over budget +1,00\d of 1,000  +churn"),
        ("temporary=98%", r"temporary over budget +99 % of 98 %  +churn")]


@pytest.mark.parametrize("limits,finding", OVER, ids=[o[0] for o in OVER])
def test_over_budget(budget, limits, finding):
    """Told with the function that is most to blame."""
    for pattern in "", "b:", "*:", "*/b:":
        if limits in ("peak=4M", "live=1M"):  # 4 MiB, and a few bytes of libc's? none here
            limits = limits.replace("4M", "4194303").replace("1M", "1048575")
        r = check(budget, f"--max={pattern}{limits}", argv=["./b"], status=FOUND)
        assert len(r.findings) == 1 and re.match(finding, r.findings[0]), r.findings
    check(budget, f"--max=c:{limits}", argv=["/bin/sh", "-c", "./c; ./b"], status=0)


def test_budget_of_a_program_that_there_is_not_is_no_verdict(budget):
    limit = "--max=nobody*:live=2MiB"
    r = check(budget, limit, argv=["./c"], status=1)
    assert r.said.count("\n") == 1
    assert r.said.startswith("ullage: --max=nobody*:...: there was no such program")
    r = check(budget, limit, "--max=allocations=500", argv=["./b"], status=FOUND)
    assert "no such program" in r.said


def test_budgets_have_baselines(budget, tmp_path):
    base = tmp_path / "baseline"
    limit = "--max=allocations=500"
    check(budget, limit, f"--update-baseline={base}", argv=["./b"], status=0)
    assert re.search(r"^b budget \w+ \w+ 100\d 0  # churn < main$", base.read_text(), flags=re.M)
    check(budget, limit, f"--baseline={base}", argv=["./b"], status=0)
    r = check(budget, limit, f"--baseline={base}", argv=["./b", "more"], status=FOUND)
    assert re.search(r"1,50\d of 500 .*, was 1,00\d", r.findings[0])


def test_the_worst_of_a_program_is_told(budget):
    r = check(budget, "--max=allocations=500", argv=["/bin/sh", "-c", "./b; ./b more; ./b"])
    assert len(r.findings) == 1 and "1,50" in r.findings[0]
    assert r.findings[0].endswith("[b and 2 more processes]")


USAGE = ["--max=peak", "--max=peak=", "--max=peak=1Q", "--max=size=1", "--max=temporary=5",
         "--max=peak=5%", "--max=temporary=101%", "--max=:peak=1", "--max=peak=1,",
         "--max=", "--max=b:", "--ours=no/such/path", "--not-ours=", "--warmup=", "--warmup=a/b", "--fail-on=budget"]


@pytest.mark.parametrize("option", USAGE)
def test_wrong_rules(tmp_path, option):
    r = execute([ULLAGE, "check", option, "--", "true"], cwd=tmp_path)
    assert r.status == 2 and r.said.count("\n") == 1 and option.split("=")[0] in r.said
