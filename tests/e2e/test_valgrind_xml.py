"""Memcheck's XML: read by Test::Valgrind (a Perl module of Debian's), which checks kinds and
needs elements where the protocol has them, and compared with memcheck's own."""

import json
import re
import xml.etree.ElementTree as ET

import pytest

from harness import ROOT, ULLAGE, build_suite, execute, program, tool

SUITE = ROOT / "tests" / "suite"
MEMCHECK = ROOT / "scripts" / "ullage-memcheck"
NAMES = ["t_fine", "t_forgets", "t_list", "t_forks", "t_double_free", "t_crashes"]
FOUND = 99
pytestmark = pytest.mark.usefixtures("recordings_apart")

READER = r"""
use strict; use warnings; use JSON::PP;
use Test::Valgrind::Tool::memcheck; use Test::Valgrind::Parser::XML::Twig;
package Session; our @reports;
sub report_class { 'Test::Valgrind::Tool::memcheck::Report' }
sub report { my ($self, $r) = @_;
             push @reports, { id => $r->id, kind => $r->kind, %{$r->data} } }
package main;
open my $in, '<', $ARGV[0] or die;
my $parser = Test::Valgrind::Parser::XML::Twig->new;
my $session = bless {}, 'Session';
$parser->start($session); $parser->parse($session, $in); $parser->finish($session);
print JSON::PP->new->canonical->encode(\@Session::reports);
"""


def read(path):
    """What Test::Valgrind makes of it: a dict for each error, frames as lists."""
    tool("perl")
    if execute(["perl", "-MTest::Valgrind::Parser::XML::Twig", "-e1"]).status:
        pytest.skip("libtest-valgrind-perl is not installed")
    r = execute(["perl", "-e", READER, path])
    assert (r.status, r.stderr) == (0, b""), r.all_stderr
    return json.loads(r.stdout)


def shape(element):
    """Names of what is in it, in order; repeated ones once."""
    names = []
    for child in element:
        if not names or names[-1] != child.tag:
            names.append(child.tag)
    return names


def parts(document):
    """Without errors, and the sums that valgrind has added since 3.21."""
    sums = ("heap_summary", "all_heap_blocks_freed", "leak_summary", "error_summary")
    return [c for c in shape(document) if c != "error" and c not in sums]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    directory = tmp_path_factory.mktemp("xml")
    build_suite(directory, NAMES)
    return directory


def check(*options, cwd, command):
    r = execute([ULLAGE, "check", "-q", "--keep-going", *options, "--", *command], cwd=cwd)
    assert r.status in (0, FOUND), r.all_stderr
    return r


def innermost(stack):
    """Function and line of the innermost frame that is no allocator of valgrind's."""
    return next((f[2], int(f[5])) for f in stack if "vgpreload" not in (f[1] or ""))


def summary(errors):
    """What both must say of a program: losses once for each stack, as memcheck merges them."""
    return sorted((e["kind"], e.get("leakedbytes"), e.get("leakedblocks"),
                   innermost(e["stack"]), innermost(e["auxstack"]) if "auxstack" in e else None)
                  for e in errors)


@pytest.mark.parametrize("name", ["t_fine", "t_forgets", "t_list", "t_double_free"])
def test_errors_are_memchecks(built, name, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    check(f"--format=valgrind-xml:{ours}", cwd=built, command=[f"./{name}", "a<b", "&"])
    execute([tool("valgrind"), "--leak-check=full", "--show-leak-kinds=definite",
             "--xml=yes", f"--xml-file={theirs}", f"./{name}", "a<b", "&"], cwd=built)
    assert summary(read(ours)) == summary(read(theirs))
    a, b = ET.parse(ours).getroot(), ET.parse(theirs).getroot()
    assert a.find("protocoltool").text == b.find("protocoltool").text == "memcheck"
    assert a.find("protocolversion").text == b.find("protocolversion").text == "4"
    arguments = [[x.text for x in root.find("args/argv")] for root in (a, b)]
    assert arguments == 2 * [[f"./{name}", "a<b", "&"]]
    assert parts(a) == parts(b)
    for mine, other in zip(a.findall("error"), b.findall("error")):
        assert shape(mine)[:5] == shape(other)[:5]
        assert shape(mine.find("stack/frame")) == ["ip", "obj", "fn", "dir", "file", "line"]


def test_addresses_are_within_the_call(built, tmp_path):
    """Not behind it, where another line or function may be."""
    file = tmp_path / "x"
    check(f"--format=valgrind-xml:{file}", cwd=built, command=["./t_forgets"])
    frame = read(file)[0]["stack"][0]
    r = execute([ULLAGE, "check", "--format=json", "-q", "--", "./t_forgets"], cwd=built)
    assert frame[2] == "render" and int(frame[0], 16) > 0
    assert frame[3] == str(SUITE) and frame[4] == "core.c"
    assert json.loads(r.stdout)["findings"][0]["stack"][0]["function"] == "render"


SCRIPT = "./t_forgets; ./t_forgets; ./t_forks; ./t_fine; ./t_double_free; ./t_crashes; exit 0"


def test_one_document_for_all(built, tmp_path):
    """Each finding once, with where it was found."""
    file = tmp_path / "all"
    check(f"--format=valgrind-xml:{file}", cwd=built, command=["/bin/sh", "-c", SCRIPT])
    errors = {innermost(e["stack"])[0] + e["kind"]: e for e in read(file)}
    assert sorted(errors) == ["mainInvalidFree", "renderLeak_DefinitelyLost"]
    root = ET.parse(file).getroot()
    assert root.find("args/argv/exe").text == "/bin/sh"
    where = [e.findall("auxwhat")[-1].text for e in root.findall("error")]
    assert any(re.fullmatch(r"In process \d+: t_forgets and 1 more process", w) for w in where)
    assert any(re.fullmatch(r"In process \d+: t_forks, a child", w) for w in where)
    lines = [line.text for line in root.findall("preamble/line")]
    assert any(line.startswith("not checked for leaks: t_crashes (") for line in lines)


def test_one_document_for_each_process(built, tmp_path):
    """With what was found in that one; `exec` gives the id another program. Processes that
    left no recording, for there was nothing to tell, have no document either."""
    script = SCRIPT.replace("exit 0", "sh -c './t_forgets; exec ./t_list'")
    check(f"--format=valgrind-xml:{tmp_path}/%p.%%.xml", cwd=built,
          command=["/bin/sh", "-c", script])
    found = {}
    for file in tmp_path.glob("*.xml"):
        root = ET.parse(file).getroot()
        assert re.fullmatch(rf"{root.find('pid').text}(\.1)?\.%\.xml", file.name)
        name = root.find("args/argv/exe").text
        found.setdefault(name, []).append([(e["kind"], e.get("leakedbytes")) for e in read(file)])
    leak = "Leak_DefinitelyLost"
    assert found["./t_forgets"] == 3 * [[(leak, 30)]]
    assert found["./t_forks"] == [[(leak, 7)]]
    assert found["./t_list"] == [[(leak, 45)]]
    assert found["./t_double_free"] == [[("InvalidFree", None)]]
    assert found["./t_crashes"] == [[]]


def test_all_kinds(tmp_path):
    """Mismatches, what is possibly lost or still reachable; what has no kind is counted."""
    file = tmp_path / "x"
    check("--programs=all", "--fail-on=mismatch", f"--format=valgrind-xml:{file}", cwd=tmp_path,
          command=[program("mismatch"), "array_free", "sized_delete"])
    errors = read(file)
    assert [e["kind"] for e in errors] == ["MismatchedFree", "MismatchedFree"]
    words = sorted(re.sub("0x[0-9A-F]+", "X", e["auxwhat"]) for e in errors)
    assert words == ["Address X: mismatched free (new[], then free); the block was alloc'd",
                     "Address X: missized free (of 8, freed as 16); the block was alloc'd"]
    assert all(innermost(e["auxstack"]) for e in errors)
    check("--programs=all", "--fail-on=definite,possible,reachable,indirect", "--max=peak=1",
          f"--format=valgrind-xml:{file}", cwd=tmp_path, command=[program("leaks")])
    assert {e["kind"] for e in read(file)} >= {"Leak_DefinitelyLost", "Leak_PossiblyLost",
                                               "Leak_StillReachable"}
    lines = [line.text for line in ET.parse(file).getroot().findall("preamble/line")]
    assert "left out, for memcheck has no such kind: 1 finding" in lines


@pytest.mark.parametrize("argv,words", [
    (["behind", "malloc", "24", "20"], "overrun"), (["freed", "40", "9"], "write after free")],
    ids=["overrun", "after"])
def test_guarded_blocks(tmp_path, argv, words):
    """Writes, of which memcheck tells too, though not when: here they are found later."""
    file = tmp_path / "x"
    check("--guard", "--programs=all", f"--format=valgrind-xml:{file}", cwd=tmp_path,
          command=[program("guard"), *argv])
    errors = [e for e in read(file) if e["kind"] == "InvalidWrite"]
    assert errors and all(words in e["auxwhat"] and e["auxstack"] for e in errors)


def test_suppressions_are_counted(built, tmp_path):
    file = tmp_path / "x"
    (tmp_path / "supp").write_text("leak:render\n")
    check(f"--suppressions={tmp_path}/supp", f"--format=valgrind-xml:{file}", cwd=built,
          command=["/bin/sh", "-c", "./t_forgets; ./t_forks; ./t_list"])
    pair, = ET.parse(file).getroot().findall("suppcounts/pair")
    assert (pair.find("count").text, pair.find("name").text) == ("2", "render")
    assert [e["kind"] for e in read(file)] == ["Leak_DefinitelyLost"]


def test_ullage_memcheck_writes_xml(built, tmp_path):
    """In a file for each process, or to a descriptor."""
    r = execute([MEMCHECK, "--tool=memcheck", "--xml=yes", f"--xml-file={tmp_path}/v.%p.xml",
                 "--child-silent-after-fork=yes", "./t_forgets"], cwd=built,
                env={"ULLAGE": str(ULLAGE)})
    assert (r.status, r.all_stderr) == (0, b"")
    file, = tmp_path.glob("v.*.xml")
    assert [e["kind"] for e in read(file)] == ["Leak_DefinitelyLost"]
    r = execute(["/bin/sh", "-c", f"'{MEMCHECK}' --xml=yes --xml-fd=3 ./t_list 3>'{tmp_path}/fd'"],
                cwd=built, env={"ULLAGE": str(ULLAGE)})
    assert [e["kind"] for e in read(tmp_path / "fd")] == ["Leak_DefinitelyLost"]
