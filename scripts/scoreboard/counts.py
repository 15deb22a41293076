"""Work that can be counted, and so compared from one version to the next on any machine:
instructions, system calls, bytes on the disk. counts.json holds what it was when somebody
last looked. Another compiler or libc moves the numbers a little; more than MORE is told."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

COMMITTED = Path(__file__).with_name("counts.json")
MORE = 1.05
STILL = {"ULLAGE_SNAPSHOT_MS": "3600000"}  # no snapshot by the clock


class Counter:
    def __init__(self, build, directory):
        self.programs = build / "tests" / "programs"
        self.preload = build / "preload" / "libullage.so"
        self.file = directory / "counted.ull"

    def environment(self, record, **more):
        """For a main process: it finds no recording of another's."""
        for old in self.file.parent.glob(self.file.name + "*"):
            old.unlink()
        e = {k: v for k, v in os.environ.items() if not k.startswith("ULLAGE_")}
        return {**e, **STILL, "ULLAGE_FILE": str(self.file), "ULLAGE_RECORD": record, **more}

    def instructions(self, record, *arguments):
        """Of a program that is linked with ullage, for valgrind preloads nothing. It has
        few stacks: under valgrind a recording cannot grow."""
        r = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                            self.programs / "pairs_linked", *map(str, arguments)], check=True,
                           capture_output=True, env=self.environment(
                               "no" if record == "no" else "yes", ULLAGE_SCAN="no",
                               ULLAGE_SAMPLE="524288" if record == "sampled" else "0"))
        return int(re.search(rb"Collected : (\d+)", r.stderr)[1])

    def pair(self, record, *shape):
        """Of malloc and free: two run lengths subtracted."""
        many, few = (self.instructions(record, n, *shape) for n in (60_000, 10_000))
        return (many - few) / 50_000

    def system_calls(self, *command):
        """What recording adds to those of the program."""
        log = self.file.with_name("strace")

        def calls(**more):
            subprocess.run(["strace", "-f", "-qq", "-o", log, *(f"-E{k}={v}" for k, v in
                                                               more.items()), *command],
                           check=True, env=self.environment("yes"), stdout=subprocess.DEVNULL)
            return sum(" resumed>" not in line for line in log.read_text().splitlines())
        return calls(LD_PRELOAD=self.preload) - calls()

    def bytes(self, *command):
        """Of the recording, on the disk."""
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                       env=self.environment("yes", LD_PRELOAD=str(self.preload)))
        return self.file.stat().st_blocks * 512


def count(build, directory):
    c = Counter(build, directory)
    micro = str(c.programs / "micro")
    shallow, deep = c.pair("yes", 4), c.pair("yes", 44)
    found = {
        "instructions: a pair of malloc and free, shallow": shallow,
        "instructions: a further frame": (deep - shallow) / 40,
        "instructions: a pair, 2 new frames": c.pair("yes", 4, 2),
        "instructions: a pair, 8 new frames": c.pair("yes", 4, 8),
        "instructions: a pair, sampled": c.pair("sampled", 4, 2),
        "instructions: a pair, recording off": c.pair("no", 4),
    }
    fork = "/bin/true; /bin/true; /bin/true; /bin/true"
    found |= {
        "system calls added: true": c.system_calls("/bin/true"),
        "system calls added: four children that exec": c.system_calls("/bin/sh", "-c", fork),
        "bytes: true": c.bytes("/bin/true"),
        "bytes: barnes": c.bytes(micro, "barnes", "20"),
        "bytes: 13,000 stacks, 100,000 blocks": c.bytes(micro, "stacks", "13"),
        "bytes: 100,000 stacks, a block each": c.bytes(micro, "single", "100"),
    }
    return {k: round(v, 2) for k, v in found.items()}


def main(build, directory, update):
    """Status 1: something takes more work than it did."""
    now = count(build, directory)
    before = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    more = []
    print(f"{'':54}{'committed':>12}{'now':>12}")
    for name, value in now.items():
        was = before.get(name)
        note = "new"
        if was is not None:
            note = ("MORE" if value > was * MORE else "less" if value * MORE < was else "")
        if note == "MORE":
            more.append(name)
        print(f"{name:54}{was if was is not None else '':>12}{value:>12}  {note}")
    if update:
        COMMITTED.write_text(json.dumps(now, indent=1) + "\n")
        return 0
    if more:
        print(f"bench: {len(more)} counts are more than {MORE - 1:.0%} above the committed ones",
              file=sys.stderr)
    return 1 if more else 0
