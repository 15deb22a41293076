"""One run of a workload under one variant, and what it cost."""

import glob
import hashlib
import os
import shutil
import subprocess

from scoreboard.workloads import as_user

VARIANTS = {
    "native": "glibc",
    "jemalloc": "Debian's libjemalloc2, preloaded",
    "mimalloc": "Debian's libmimalloc2.0, preloaded",
    "off": "ullage as an allocator alone: ULLAGE_RECORD=no",
    "sampled": "ullage run --sample",
    "full": "ullage run",
    "heaptrack": "heaptrack",
    "jeprof": "jemalloc with its profiler: MALLOC_CONF=prof:true, a sample in 512 KiB",
}
OURS = ("off", "sampled", "full")
PEERS = ("jemalloc", "mimalloc", "heaptrack", "jeprof")


class Failed(Exception):
    """A run that ended with another status than 0."""


def library(name):
    found = sorted(glob.glob(f"/usr/lib/*/lib{name}.so.*"))
    return found[0] if found else None


def costs(file):
    """What tests/programs/measure.c has written there."""
    wall, user, system, rss = (float(x) for x in file.read_text().split())
    return {"wall_s": wall, "cpu_s": user + system, "rss_bytes": int(rss)}


class Bench:
    """The tools under test, copied to where every user may read them and nobody builds."""

    def __init__(self, build, directory):
        self.directory = directory
        self.tools = directory / "tools"
        for part in ("analyzer/ullage", "preload/libullage.so", "tests/programs/measure"):
            to = self.tools / part
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(build / part, to)
        self.ullage = self.tools / "analyzer" / "ullage"
        self.preload = self.tools / "preload" / "libullage.so"

    def unusable(self, variant):
        """Why there is no such column, or None."""
        if variant == "heaptrack":
            return None if shutil.which("heaptrack") else "heaptrack is not installed"
        if variant in ("jemalloc", "mimalloc", "jeprof"):
            name = "mimalloc" if variant == "mimalloc" else "jemalloc"
            if not library(name):
                return f"lib{name} is not installed"
            return None if variant != "jeprof" or self.jemalloc_profiles() else \
                "this libjemalloc was built without its profiler"
        if variant == "sampled":
            r = subprocess.run([self.ullage, "help", "run"], capture_output=True, check=False)
            return None if b"--sample" in r.stdout + r.stderr else "this ullage does not sample"
        return None

    def jemalloc_profiles(self):
        r = subprocess.run(["/bin/true"], capture_output=True, check=False,
                           env={"LD_PRELOAD": library("jemalloc"), "MALLOC_CONF": "prof:true"})
        return b"Invalid conf" not in r.stderr

    def command(self, variant, recording):
        """What comes before the command, and into its environment."""
        run = [self.ullage, "run", "-q", "-o", recording]
        return {
            "native": ([], {}),
            "jemalloc": ([], {"LD_PRELOAD": library("jemalloc")}),
            "mimalloc": ([], {"LD_PRELOAD": library("mimalloc")}),
            "off": ([], {"LD_PRELOAD": self.preload, "ULLAGE_RECORD": "no"}),
            "sampled": ([*run, "--sample", "--"], {}),
            "full": ([*run, "--"], {}),
            "heaptrack": (["heaptrack", "-o", recording], {}),
            "jeprof": ([], {"LD_PRELOAD": library("jemalloc"),
                            "MALLOC_CONF": f"prof:true,prof_final:true,prof_prefix:{recording}"}),
        }[variant]

    def recordings(self, workload):
        home = workload.cwd if workload.user else self.directory
        return home, sorted(home.glob("recording*"))

    def report(self, file):
        """What `ullage report --json` prints, and what it costs."""
        measure, cost = self.tools / "tests" / "programs" / "measure", self.directory / "cost"
        r = subprocess.run([measure, cost, self.ullage, "report", "--json", file],
                           capture_output=True, check=True)
        return r.stdout, costs(cost)

    def run(self, variant, workload):
        home, old = self.recordings(workload)
        for f in old:
            f.unlink()
        prefix, extra = self.command(variant, home / "recording")
        env = {k: v for k, v in os.environ.items() if not k.startswith("ULLAGE_")}
        env |= {"LC_ALL": "C.UTF-8", "PERL_HASH_SEED": "1", "PYTHONHASHSEED": "1",
                **workload.env}
        cost = home / "cost"
        command = [*as_user(workload.user), self.tools / "tests" / "programs" / "measure", cost,
                   "env", *(f"{k}={v}" for k, v in extra.items()), *prefix, *workload.argv]
        d = self.directory
        with open(d / "stdout", "wb+") as out, open(d / "stderr", "wb+") as err, \
                open(d / "stdin", "wb+") as stdin:
            stdin.write(workload.stdin)
            stdin.seek(0)
            p = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err, env=env,
                                 cwd=workload.cwd)
            client_wall = workload.client(p)
            if p.wait():
                raise Failed(f"{workload.name} under {variant} ended with {p.returncode}:\n"
                             + (d / "stderr").read_bytes()[-2000:].decode("utf-8", "replace"))
        return {**costs(cost), **({"wall_s": client_wall} if client_wall else {}),
                "recording_bytes": sum(f.stat().st_blocks * 512
                                       for f in self.recordings(workload)[1]),
                "output": hashlib.sha256((d / "stdout").read_bytes()).hexdigest()}
