"""Bugs of other projects (tests/bugs, docs/corpus.md): the first twelve lines name what is to be
changed. The cheap ones, of Debian 12's packages; where others are installed a test says so."""

import re
import shutil
import subprocess

import pytest

from harness import ROOT, ULLAGE, clean_environment

SCRIPTS = ROOT / "tests" / "bugs"


def nearly(n):
    """How many of n that are lost a conservative scan may tell: stale words hold a few."""
    return "(?:" + "|".join(f"{told:,}" for told in range(n - n // 30, n + 1)) + ")"


BUGS = {  # script: (how often, what the page says)
    "python-ssl-session": (300, rf"1 leak .*: SSL_SESSION_new\+.*\n.*, {nearly(300)} times \d+"
                                r".* < d2i_SSL_SESSION < \.\.\. < \"session\""),
    "python-load-extension": (3000, r"1 leak .*: sqlite3_load_extension\+.*\n"
                                    rf" *{nearly(3000)} blocks.* < \"load_extension\""),
    "python-xmlparser": (2000, r"1 leak .*: \"xml\.etree\.ElementTree\.XMLParser\.__init__\"\+"),
    "python-json-load": (60000000, r"  peak     [\d.]+ MiB, freed since:"
                                  r"(?=.* 3\d % \"utf_8_decode\").* 3\d % \"read\""),
    "ujson-dump": (2000, rf"1 leak .*: objToJSON\+.*\(ujson\.so\)\n *{nearly(2000)} blocks.*"
                         r" < objToJSONFile <"),
    "ujson-default": (5000, r"1 leak .*: ujson\.so\+\w+ \(no name\)\n.* < objToJSON\n"),
    "bash-read-file": (5000, r"1 leak .*: redirection_expand\+\w+ \(bash\), by string_list_intern"
                             rf"al\n *{nearly(5000)} blocks.* < open_redir_file < command_subst"),
    "bash-compound-array": (5000, r"1 leak .*: quote_compound_array_list\+\w+ \(bash\),"
                                  rf" by sh_single_quote\n *{nearly(10000)} blocks"),
    "python-gi-idle": (5000, r"1 leak .*: 'g_callable_info_get_ffi_arg_types'\+\w+ \(libgirepos"
                             rf".*\n *{nearly(5000)} blocks .* < g_callable_info_create_closure"),
    "libarchive-write-fail": (500, r"1 leak .*: libarchive\.so\.13\+\w+ \(no name\)\n"
                                   rf" *{nearly(1000)} blocks, {nearly(500)} times 2"
                                   r".* < archive_write_open2 < give_up"),
    "python-h5py-fillvalue": (500, r"1 leak .*: 'H5T_vlen_str_mem_write'\+\w+ \(libhdf5_serial.*\n"
                                   r".* < \"H5Pget_fill_value\"\n"),
    "perl-yaml-xs": (500, r"1 leak .*: yaml_parser_initialize\+\w+ \(libyaml-0\.so\.2\)\n"
                          rf".*, {nearly(500)} times 8.* < Load \(LibYAML\.so\) <"),
    "python-zstandard": (500, r"1 leak .*: \"zstd\.ZstdCompressor\.__init__\"\+\w+ \(backend_c"
                              rf"\.so\)\n.*, {nearly(500)} times \d"),
    "ruby-commonmarker": (2000, r"1 leak .*: houdini_escape_html0\+\w+ \(commonmarker\.so\)\n"
                                r".* < cmark_render_html_with_mem < \"markdown_to_html\""),
    "php-dtd": (3000, r"1 leak .*: xmlCreateIntSubset\+\w+ .*\n"
                      rf" *{nearly(6000)} blocks, {nearly(3000)} times 2"
                      r".* < \"createDocumentType\""),
    "graphviz-cluster": (300, r"1 leak .*: build_skeleton\+\w+ \(libgvplugin_dot_layout\.so"
                              r".*\n.* < class2 < "),
    "perl-xsloader": (6000, r"1 growth .*: spread over \d+ stacks\n"
                            r".*, always through Perl_runops_standard < perl_run < main\n"),
    "xerces-dtd": (1000, r"1 leak .*: xercesc_3_2::IGXMLScanner::scanDocTypeDecl\+.*"
                         rf"\n *{nearly(3000)} blocks, {nearly(1000)} times 3"),
    "r-xml-bad": (1000, r"1 leak .*: xmlReadMemory\+.*\n.* < RS_XML_ParseTree \(XML\.so\)"),
    "pam-setquota": (1000, rf"1 leak .*: pam_modutil_search_key\+.*\n *{nearly(1000)} blocks.*"
                           r" < pam_sm_open_session \(pam_setquota\.so\)"),
    "python-icu-pattern": (1000, r"1 leak .*: \"icu\.MessageFormat\.__init__\"\+\w+ \(_icu_\.so\)"
                                 rf"\n.*, {nearly(1000)} times 2"),
    "python-pandas-rows": (500, r"1 leak .*: \"encode\"\+\w+ \(python3\.11\)\n"
                                rf" *{nearly(500)} blocks.*"
                                r" < \"pandas\._libs\.parsers\.TextReader\.__new__\""),
    "perl-magick-profile": (300, r"1 leak .*: ProfileImage\+\w+ \(libMagickCore-6\..*\n"
                                 rf".*, {nearly(300)} times 2"),
    "zsh-undefined-keys": (300000, r"1 growth .*: zsh\+\w+ \(no name\), by createparam\n"
                                  r".* times 2 < getindex < fetchvalue < "),
    "ruby-oj-doc": (30000, r"1 leak .*: oj\.so\+\w+ \(no name\)\n"
                           r".* times 2.* < \"open\" or \"parse\""),
    "ijson-error": (200, r"1 leak .*: reading_generator_init\+\w+ \(_yajl2\.so\)\n"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_bug_is_named_in_twelve_lines(bug, tmp_path):
    count, page = BUGS[bug]
    recording = tmp_path / "bug.ull"
    env = clean_environment({"TOOL": f"{ULLAGE} run -o {recording} --", "WORK": str(tmp_path)})
    ran = subprocess.run(["sh", SCRIPTS / f"{bug}.sh", str(count)], env=env, timeout=120,
                         capture_output=True, text=True)
    if ran.returncode == 77:
        pytest.skip(ran.stderr.strip())
    assert ran.returncode == 0, ran.stderr
    report = subprocess.run([ULLAGE, "report", recording], env=env, timeout=60, check=True,
                            capture_output=True, text=True).stdout
    first = "\n".join(report.splitlines()[:12]) + "\n"
    assert re.search(page, first), first
    if re.search(r"^  1 leak .*/s: ", first, flags=re.M):  # nobody else is named for the same
        assert not re.search(r"^  growth .* at ", first, flags=re.M), first


LIBRARIES = [f"-r{name}" for name in "json yaml net/http csv optparse erb rdoc".split()]


@pytest.mark.parametrize("load, times", [(["-rjson"], 2000), (LIBRARIES, 200)])
def test_what_ruby_loads_is_no_leak(load, times, tmp_path):
    """It takes its objects apart as it ends: what they held looks lost, but no finding says so
    unless it went on to the end (as does what is garbage by then). A program may do hardly
    anything but load."""
    ruby = shutil.which("ruby3.1")
    if not ruby:
        pytest.skip("apt-get install ruby3.1")
    recording = tmp_path / "ruby.ull"
    env = clean_environment({})
    script = (f"{times}.times {{ %w[some words].map {{ |w| (w * 9).encode('UTF-16LE') }} }};"
              " GC.start")
    subprocess.run([ULLAGE, "run", "-o", recording, "--", ruby, *load, "-e", script], env=env,
                   timeout=120, check=True, capture_output=True)
    report = subprocess.run([ULLAGE, "report", recording], env=env, timeout=60, check=True,
                            capture_output=True, text=True).stdout
    assert "what only they held looks lost, too" in report
    assert not re.search(r"^  \d leak ", report, flags=re.M), report
