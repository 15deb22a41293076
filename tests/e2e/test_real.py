"""Real programs of Debian's: same output and status as without, and a report that
a person can use."""

import os
import pwd
import random
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from harness import ULLAGE, check_recording, clean_environment, execute, tool
from sums import check_sums
from workloads import PERL_HASHES, PYTHON_JSON, SQL, make_source, system_python

# Millions of allocations: comparing every stack with libunwind's is done on a
# smaller run of each (test_stacks_of_real_programs).
FAST = {"ULLAGE_UNWIND": None}


def usable(recorder, *names):
    """A report that a person can use: it names the program's own functions."""
    report = recorder.answer("report")
    assert report["heap"]["allocations"] > 0
    assert report["sites"] and report["sites"][0]["stack"]
    assert sum(b["bytes"] for b in report["balance"]) == report["rss_bytes"]
    text = recorder.text("report")
    for name in names:
        assert name in text, (name, text[:3000])
    for verb in ("growth", "leaks", "unused"):
        recorder.answer(verb)
    check_sums(recorder)
    return report


@pytest.mark.short
def test_sqlite3(recorder):
    r = recorder.same(tool("sqlite3"), ":memory:", stdin=SQL(300_000).encode(), env=FAST)
    assert r.status == 0 and r.stdout
    report = usable(recorder, "sqlite3")
    assert report["heap"]["allocations"] > 5_000  # 11,383 with sqlite 3.46


def test_python3(recorder):
    env = {**FAST, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "1"}
    r = recorder.same(system_python(), "-c", PYTHON_JSON(40_000), env=env)
    assert r.status == 0
    usable(recorder, "python3")


@pytest.mark.short
def test_perl(recorder):
    env = {**FAST, "PERL_HASH_SEED": "1"}
    r = recorder.same(tool("perl"), "-e", PERL_HASHES(400_000), env=env)
    assert r.status == 0
    assert usable(recorder, "perl")["heap"]["peak_bytes"] > 50_000_000


@pytest.mark.seconds(300)
def test_gcc_and_its_children(recorder, tmp_path):
    source = tmp_path / "big.c"
    source.write_text(make_source(600))
    gcc = tool("gcc")
    native = execute([gcc, "-O1", "-c", source, "-o", tmp_path / "native.o"])
    r = recorder.run(gcc, "-O1", "-c", source, "-o", tmp_path / "under.o", env=FAST,
                     timeout=250)
    assert (r.status, r.stdout, r.stderr) == (native.status, native.stdout, native.stderr)
    assert (tmp_path / "native.o").read_bytes() == (tmp_path / "under.o").read_bytes()
    commands = [recorder.answer("report", file=p)["program"]["command"][0]
                for p in recorder.children()]
    assert any(c.endswith("cc1") for c in commands), commands
    usable(recorder)


def test_gcc_reports_errors_as_ever(recorder, tmp_path):
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return undeclared; }\n")
    r = recorder.same(tool("gcc"), "-c", source, "-o", tmp_path / "wrong.o")
    assert r.status == 1 and b"undeclared" in r.stderr


@pytest.mark.seconds(300)
def test_git(recorder, tmp_path):
    git = tool("git")
    env = {**FAST, "HOME": str(tmp_path), "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
           "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_NOSYSTEM": "1",
           "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"}
    work = tmp_path / "work"
    execute([git, "init", "-q", "-b", "main", work], env=env)
    rng = random.Random(1)
    for i in range(30):
        for k in range(5):
            (work / f"file{rng.randrange(100)}").write_text(
                "\n".join(str(rng.random()) for _ in range(200)))
        assert recorder.run(git, "add", ".", env=env, cwd=work).status == 0
        assert execute([git, "commit", "-q", "-m", f"change {i}"], env=env, cwd=work).status == 0
    r = recorder.same(git, "log", "-p", "--stat", env=env, cwd=work)
    assert r.status == 0 and len(r.stdout) > 100_000
    usable(recorder, "git")
    r = recorder.run(git, "clone", "-q", "--no-local", work, tmp_path / "clone", env=env)
    assert (r.status, r.stderr) == (0, b"")
    r = recorder.run(git, "gc", "-q", "--aggressive", env=env, cwd=tmp_path / "clone")
    assert (r.status, r.stderr) == (0, b"")
    r = recorder.same(git, "fsck", "--no-progress", "--full", env=env, cwd=tmp_path / "clone")
    assert r.status == 0
    heads = [execute([git, "rev-parse", "HEAD"], env=env, cwd=d).stdout
             for d in (work, tmp_path / "clone")]
    assert heads[0] == heads[1]


NODE = """
const m = new Map();
for (let i = 0; i < 50000; i++) m.set('k' + i, {i, a: [i, i + 1], s: 'x'.repeat(i % 50)});
const text = JSON.stringify([...m.values()]);
console.log(text.length, JSON.parse(text).length);
const crypto = require('crypto');
console.log(crypto.createHash('sha256').update(text).digest('hex'));
console.error('to stderr');
process.exitCode = 5;
"""


@pytest.mark.seconds(300)
def test_node(recorder):
    r = recorder.same(tool("node", "nodejs"), "-e", NODE, env=FAST, timeout=250)
    assert r.status == 5
    usable(recorder)


class Server:
    """A server under ullage, ended by a signal."""

    def __init__(self, recorder, argv, env=None, **popen):
        self.log = open(recorder.directory / "server.log", "wb")
        e = clean_environment({"ULLAGE_CHECK": "yes", **(env or {})})
        self.process = subprocess.Popen(
            [str(a) for a in (ULLAGE, "run", "-o", recorder.file, "--", *argv)], env=e,
            stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **popen)

    def wait_for(self, probe, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, open(self.log.name, "rb").read()[-3000:]
            if probe():
                return
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        self.log.close()

    def stop(self, number=15):
        self.process.send_signal(number)
        return self.process.wait(60)


@pytest.mark.seconds(300)
def test_redis(recorder, tmp_path):
    server, benchmark, cli = tool("redis-server"), tool("redis-benchmark"), tool("redis-cli")

    def ask(client, *words):  # from here: names of sockets are limited
        return execute([client, "-s", "socket", *words], cwd=tmp_path, timeout=120)

    with Server(recorder, [server, "--port", "0", "--unixsocket", "socket", "--save", "", "--dir",
                           tmp_path, "--daemonize", "no"], cwd=tmp_path) as s:
        s.wait_for(lambda: ask(cli, "ping").stdout == b"PONG\n")
        b = ask(benchmark, "-n", "20000", "-q", "-r", "5000", "-t", "set,get,lpush,hset")
        assert b.status == 0, b.all_stderr
        assert ask(cli, "set", "k", "v").stdout == b"OK\n"
        assert ask(cli, "bgsave").status == 0  # forks
        s.wait_for(lambda: b"rdb_bgsave_in_progress:0" in ask(cli, "info", "persistence").stdout)
        live = recorder.answer("report")
        assert live["program"]["exit"]["kind"] == "running"
        ask(cli, "shutdown", "nosave")
        assert s.process.wait(60) == 0
    check_recording(recorder.file)
    report = recorder.answer("report")
    if report["heap"]["allocations"] < 1000:  # built with an allocator of its own
        assert "allocator" in recorder.text("report")
    else:
        usable(recorder, "redis-server")


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.seconds(200)
def test_nginx(recorder, tmp_path):
    nginx, port = tool("nginx"), free_port()
    for d in ("logs", "body", "proxy", "fastcgi", "uwsgi", "scgi", "www"):
        (tmp_path / d).mkdir()
    page = bytes(random.Random(3).randrange(256) for _ in range(100_000))
    (tmp_path / "www" / "page").write_bytes(page)
    config = tmp_path / "nginx.conf"
    config.write_text(f"""
daemon off; pid {tmp_path}/pid; error_log {tmp_path}/logs/error; worker_processes 2;
{'user root;' if os.getuid() == 0 else ''}
events {{ worker_connections 64; }}
http {{
  access_log {tmp_path}/logs/access; client_body_temp_path {tmp_path}/body;
  proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fastcgi;
  uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi; gzip on;
  gzip_types *; server {{ listen 127.0.0.1:{port}; root {tmp_path}/www; }}
}}
""")

    def get(path="/page"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as f:
                return f.read()
        except OSError:
            return None

    with Server(recorder, [nginx, "-c", config, "-e", tmp_path / "logs" / "error"]) as s:
        s.wait_for(lambda: get() == page)
        for _ in range(300):
            assert get() == page
        assert s.stop(3) == 0  # SIGQUIT: gracefully
    for path in recorder.recordings():
        check_recording(path)
    usable(recorder, "nginx")


def postgres_binaries():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        pytest.skip("postgres is not installed")
    return found[-1]


@pytest.mark.seconds(400)
def test_postgres(recorder, tmp_path_factory):
    if os.getuid():
        pytest.skip("needs root to become the user postgres")
    bin_ = postgres_binaries()
    user = pwd.getpwnam("postgres")
    # A short path that postgres may reach: socket names are limited.
    import tempfile
    home = Path(tempfile.mkdtemp(prefix="ullage-pg-", dir="/tmp"))
    os.chown(home, user.pw_uid, user.pw_gid)
    tools = home / "ullage"
    shutil.copytree(ULLAGE.parents[1], tools, ignore=lambda d, names: [
        n for n in names if not (n in ("analyzer", "preload", "ullage", "libullage.so"))])
    as_postgres = dict(user="postgres", group="postgres", extra_groups=[], cwd=home)
    e = {"HOME": str(home)}
    try:
        r = execute([bin_ / "initdb", "-D", home / "data", "-A", "trust", "-N"], env=e,
                    timeout=120, **as_postgres)
        assert r.status == 0, r.all_stderr
        recorder.file = home / "recording"
        recorder.directory = home
        log = open(home / "log", "wb")
        p = subprocess.Popen(
            [str(a) for a in (tools / "analyzer" / "ullage", "run", "-o", recorder.file, "--",
             bin_ / "postgres", "-D", home / "data", "-k", home, "-c", "listen_addresses=")],
            env=clean_environment(e), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            **as_postgres)
        try:
            psql = [bin_ / "psql", "-h", home, "-d", "postgres", "-Atc"]
            end = time.monotonic() + 60
            while execute([*psql, "select 1"], env=e, **as_postgres).stdout != b"1\n":
                assert time.monotonic() < end and p.poll() is None, (home / "log").read_text()
                time.sleep(0.2)
            bench = [bin_ / "pgbench", "-h", home, "postgres"]
            assert execute([*bench, "-i", "-q", "-s", "1"], env=e, **as_postgres).status == 0
            r = execute([*bench, "-c", "4", "-t", "100"], env=e, **as_postgres)
            assert r.status == 0 and b"400/400" in r.stdout, r.stdout
            r = execute([*psql, "select count(*) from pgbench_accounts"], env=e, **as_postgres)
            assert r.stdout == b"100000\n"
        finally:
            p.terminate()
            assert p.wait(60) == 0, (home / "log").read_text()
        for path in recorder.recordings():
            check_recording(path)
        usable(recorder, "postgres")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.seconds(600)
def test_stacks_of_real_programs_agree_with_libunwind(recorder, tmp_path):
    """Smaller runs of each, every single walk compared."""
    source = tmp_path / "small.c"
    source.write_text(make_source(20))
    for argv, stdin in (
            ([tool("sqlite3"), ":memory:"], SQL(3000).encode()),
            ([system_python(), "-c", PYTHON_JSON(500)], b""),
            ([tool("perl"), "-e", PERL_HASHES(3000)], b""),
            ([tool("gcc"), "-O1", "-c", source, "-o", tmp_path / "small.o"], b""),
            ([tool("sh"), "-c", "for i in 1 2 3; do ls / | sort | wc -l; done"], b"")):
        r = recorder.run(*argv, stdin=stdin, env={"PYTHONHASHSEED": "1"}, timeout=200)
        assert r.status == 0, r.all_stderr[-2000:]
        assert recorder.answer("report")["heap"]["allocations"] > 0
