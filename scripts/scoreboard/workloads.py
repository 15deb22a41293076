"""What scripts/bench runs: real programs, servers under their load, the cases of
tests/programs/micro.c, and those of scale.c there, of whose one thing there is much."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from workloads import (CPP_SOURCE, JQ_FILTER, NODE_OBJECTS, PERL_HASHES, PYTHON_JSON, SQL,
                       json_records, make_source, system_python)


class Workload:
    """argv is run in `cwd` with `stdin`; what counts is the run from start to end."""

    user = None    # whom the program refuses not to be
    steady = True  # it prints the same each time

    def __init__(self, name, argv, stdin=b"", env=None, cwd=None, units=0, peers=True,
                 real=True):
        self.name, self.argv, self.stdin = name, [str(a) for a in argv], stdin
        self.env, self.cwd, self.units = env or {}, cwd, units
        self.peers = peers  # under heaptrack too: it records the first process only
        self.real = real    # a program of the world: counts in the means of those

    def client(self, _process):
        """Run beside the process, for servers; returns its wall seconds."""
        return None


class Server(Workload):
    """A server under test; the wall time is its client's."""

    steady = False

    def client(self, process):
        for _ in range(3000):
            if self.ready():
                break
            if process.poll() is not None:
                return None
            time.sleep(0.01)
        else:
            sys.exit(f"bench: {self.name} does not answer")
        start = time.perf_counter()
        self.load()
        wall = time.perf_counter() - start
        self.stop()
        return wall


class Redis(Server):
    def __init__(self, directory, requests):
        self.socket, self.requests = directory / "redis.sock", requests
        super().__init__("redis", [shutil.which("redis-server"), "--port", "0", "--unixsocket",
                                   self.socket, "--save", "", "--dir", directory])
        self.cli = ["redis-cli", "-s", str(self.socket)]

    def ready(self):
        return subprocess.run([*self.cli, "ping"], capture_output=True).stdout == b"PONG\n"

    def load(self):
        subprocess.run(["redis-benchmark", "-s", str(self.socket), "-n", str(self.requests),
                        "-r", "100000", "-q", "-P", "16", "-t", "set,get,lpush,hset,spop"],
                       check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        subprocess.run([*self.cli, "shutdown", "nosave"], capture_output=True)


class Nginx(Server):
    """One process; pages are packed on the way, and asked for a batch at a time."""

    BATCH = 50
    REQUEST = b"GET /page HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
    LAST = REQUEST[:-2] + b"Connection: close\r\n\r\n"

    def __init__(self, nginx, directory, requests):
        self.batches = max(1, requests // self.BATCH)
        home = directory / "nginx"
        home.mkdir()
        rng = random.Random(3)
        (home / "page").write_text("".join(rng.choice("abcdefgh ") for _ in range(3000)))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.pid = home / "pid"
        (home / "conf").write_text(f"""
daemon off; master_process off; pid {self.pid}; error_log {home}/error;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p;
  fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  gzip on; gzip_types *; gzip_min_length 0; keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{self.port}; root {home}; }}
}}
""")
        super().__init__("nginx", [nginx, "-c", home / "conf", "-e", home / "error"])

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def ready(self):
        try:
            with self.connect():
                return True
        except OSError:
            return False

    def answer_to(self, *requests):
        """Bytes of what comes back until the server hangs up."""
        with self.connect() as connection:
            connection.sendall(b"".join(requests))
            return sum(map(len, iter(lambda: connection.recv(1 << 20), b"")))

    def load(self):
        answer = self.answer_to(self.REQUEST, self.LAST) - self.answer_to(self.LAST)
        with self.connect() as connection:
            for _ in range(self.batches):
                connection.sendall(self.REQUEST * self.BATCH)
                left = answer * self.BATCH
                while left:
                    part = connection.recv(left)
                    if not part:
                        sys.exit("bench: nginx hung up")
                    left -= len(part)

    def stop(self):
        os.kill(int(self.pid.read_text()), signal.SIGQUIT)


class Postgres(Server):
    """A cluster of its own, filled once; each run asks it the same number of questions."""

    def __init__(self, binaries, directory, transactions):
        self.binaries, self.transactions = binaries, transactions
        self.home = directory / "pg"
        self.home.mkdir()
        if os.getuid() == 0:
            self.user = pwd.getpwnam("postgres")
            os.chown(self.home, self.user.pw_uid, self.user.pw_gid)
            os.chmod(directory, 0o755)
        self.as_user = as_user(self.user)
        self.tool("initdb", "-D", self.home / "data", "-A", "trust", "-N", "-U", "bench")
        super().__init__("postgres", [binaries / "postgres", "-D", self.home / "data", "-k",
                                      self.home, "-h", "", "-F"],
                         env={"HOME": str(self.home)}, cwd=self.home, peers=False)
        server = subprocess.Popen([*self.as_user, *self.argv], cwd=self.home,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self.ready():
            time.sleep(0.05)
        self.pgbench("-i", "-s", "1", "-q")
        self.stop()
        server.wait()

    def tool(self, name, *arguments):
        return subprocess.run([*self.as_user, self.binaries / name, *map(str, arguments)],
                              check=True, capture_output=True, cwd=self.home)

    def pgbench(self, *arguments):
        self.tool("pgbench", "-h", self.home, "-U", "bench", *arguments, "postgres")

    def ready(self):
        return subprocess.run([self.binaries / "pg_isready", "-q", "-h", self.home]).returncode == 0

    def load(self):
        self.pgbench("-n", "-S", "-c", "2", "-t", self.transactions // 4)
        self.pgbench("-n", "-S", "-C", "-c", "2", "-t", max(1, self.transactions // 200))
        self.pgbench("-n", "-c", "1", "-t", max(1, self.transactions // 20))

    def stop(self):
        pid = (self.home / "data" / "postmaster.pid").read_text().split()[0]
        os.kill(int(pid), signal.SIGINT)


def as_user(user):
    """What to put before a command that `user` is to run."""
    if not user:
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def git_repository(directory, commits):
    """A history to read: `commits` commits over 60 files."""
    work = directory / "repository"
    env = {**os.environ, "HOME": str(directory), "GIT_CONFIG_NOSYSTEM": "1"}
    for k in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{k}_NAME": "a", f"GIT_{k}_EMAIL": "a@b"}
    rng = random.Random(7)
    stream = []
    lines = {f: [f"{rng.getrandbits(64):x}" for _ in range(300)] for f in range(60)}
    for c in range(commits):
        stream.append(f"commit refs/heads/main\ncommitter a <a@b> {1_600_000_000 + c} +0000\n"
                      f"data 8\nchange \n\n")
        for f in rng.sample(range(60), 6):
            for _ in range(10):
                lines[f][rng.randrange(300)] = f"{rng.getrandbits(64):x}"
            text = "\n".join(lines[f]) + "\n"
            stream.append(f"M 644 inline dir{f % 7}/file{f}\ndata {len(text)}\n{text}\n")
    subprocess.run(["git", "init", "-q", "-b", "main", work], check=True, env=env)
    subprocess.run(["git", "fast-import", "--quiet"], input="".join(stream).encode(), check=True,
                   cwd=work, env=env)
    return work, {k: env[k] for k in ("HOME", "GIT_CONFIG_NOSYSTEM")}


def compiler(name):
    driver = "g++" if name == "cc1plus" else "gcc"
    return subprocess.run([driver, f"-print-prog-name={name}"], capture_output=True, text=True,
                          check=True).stdout.strip()


class Makers:
    """One method a workload; each makes what it needs in `directory`. A program that is
    not installed gives None."""

    def __init__(self, directory, programs, scale):
        self.directory, self.programs, self.scale = directory, programs, scale

    def n(self, full):
        return max(1, int(full * self.scale))

    def script(self, name, text):  # (heaptrack cannot cope with newlines in arguments)
        (self.directory / name).write_text(text)
        return self.directory / name

    def tool(self, name, *arguments, **more):
        path = shutil.which(name)
        return path and Workload(name, [path, *arguments], **more)

    def sqlite3(self):
        return self.tool("sqlite3", ":memory:", stdin=SQL(self.n(300_000)).encode())

    def perl(self):
        return self.tool("perl", self.script("hashes.pl", PERL_HASHES(self.n(400_000))))

    def python(self, name, source, malloc):
        return Workload(name, [system_python(), self.script(f"{name}-script.py", source)],
                        env={"PYTHONMALLOC": malloc, "PYTHONDONTWRITEBYTECODE": "1"})

    def python3(self):
        return self.python("python3", PYTHON_JSON(self.n(60_000)), "malloc")

    def python3_own(self):
        return self.python("python3_own", PYTHON_JSON(self.n(60_000)), "pymalloc")

    def import_pandas(self, name, malloc):
        found = subprocess.run([system_python(), "-c", "import importlib.util as u, sys; "
                                "sys.exit(not u.find_spec('pandas'))"], check=False)
        return None if found.returncode else self.python(
            name, "import pandas\nprint(pandas.__name__)\n", malloc)

    def pandas(self):
        return self.import_pandas("pandas", "malloc")

    def pandas_own(self):
        return self.import_pandas("pandas_own", "pymalloc")

    def cc1(self):
        source = self.script("big.c", make_source(self.n(450)))
        return Workload("cc1", [compiler("cc1"), "-quiet", "-O1", source, "-o",
                                self.directory / "out.s"])

    def gxx(self):
        source = self.script("big.cc", CPP_SOURCE(self.n(40)))
        alone = self.directory / "big.ii"
        subprocess.run(["g++", "-E", source, "-o", alone], check=True)
        return Workload("gxx", [compiler("cc1plus"), "-quiet", "-fpreprocessed", "-O2", alone,
                                "-o", self.directory / "out.s"])

    def redis(self):
        return shutil.which("redis-server") and Redis(self.directory, self.n(400_000))

    def git(self):
        repository, env = git_repository(self.directory, self.n(1500))
        return self.tool("git", "--no-pager", "log", "-p", "--stat", env=env, cwd=repository)

    def node(self):
        return self.tool("node", self.script("objects.js", NODE_OBJECTS(self.n(60_000))))

    def jq(self):
        return self.tool("jq", "-c", JQ_FILTER, stdin=json_records(self.n(30_000)).encode())

    def nginx(self):
        path = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        return path and Nginx(path, self.directory, self.n(10_000))

    def postgres(self):
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        return Postgres(found[-1], self.directory, self.n(20_000)) if found else None

    def micro(self, name, size):
        return Workload(name, [self.programs / "micro", name, self.n(size)], real=False)

    def grown(self, name, most, *arguments):
        """Much of one thing; heaptrack would take hours for some."""
        n = self.n(most)
        return Workload(name, [self.programs / "scale", name, n, *arguments], peers=False,
                        real=False, units=n if name == "forks" else 0)

    def start_up(self):
        n = self.n(1000)
        return Workload("start_up", ["/bin/sh", "-c", f"i=0; while [ $i -lt {n} ]; do "
                                     "/bin/true; i=$((i+1)); done"], units=n, peers=False,
                        real=False)


REAL = ("sqlite3", "perl", "python3", "python3_own", "pandas", "pandas_own", "cc1", "gxx", "redis",
        "git", "node", "jq", "nginx", "postgres")
MICRO = {"cfrac": 1500, "espresso": 2500, "barnes": 600, "larson": 1000, "xmalloc": 1000,
         "mstress": 800, "coroutines": 800, "producer": 500}
GROWN = {"crowd": 5000, "plugins": 64_000, "addresses": 2_000_000, "variety": 1_000_000,
         "graph": 16_000_000, "forks": 2000}
NAMES = (*REAL, *MICRO, "start_up", *GROWN)


def make(name, directory, programs, scale):
    """The workload `name`, or None where what it runs is not installed."""
    makers = Makers(directory, programs, scale)
    if name in MICRO:
        return makers.micro(name, MICRO[name])
    if name in GROWN:
        return makers.grown(name, GROWN[name], programs / "plugin.so")
    return getattr(makers, name)()
