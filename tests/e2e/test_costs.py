"""What recording costs, in work that can be counted: it must not grow unnoticed."""

import os
import re
import shutil
import subprocess

import pytest

from harness import BUILD, PRELOAD, ULLAGE, execute, program, tool

FEW, MANY = 10_000, 60_000


def instructions(directory, name, *arguments, record="yes", sample=0, only=()):
    (directory / "r.ull").unlink(missing_ok=True)
    r = execute(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                 *(f"--toggle-collect={function}" for function in only),
                 program(name), *map(str, arguments)],
                env={"ULLAGE_FILE": str(directory / "r.ull"), "ULLAGE_RECORD": record,
                     "ULLAGE_SAMPLE": str(sample), "ULLAGE_SAMPLE_SEED": "1",
                     "ULLAGE_SCAN": "no", "ULLAGE_SNAPSHOT_MS": "3600000"})
    if b"corrupted debuginfo" in r.stderr:
        pytest.skip("valgrind cannot read what this compiler writes")
    assert r.status == 0
    return int(re.search(rb"Collected : (\d+)", r.stderr)[1])


def busy_functions(directory, pairs, record):
    """(object file of ullage, function) of what takes an instruction a pair or more."""
    out = directory / "callgrind.out"
    r = execute(["valgrind", "--tool=callgrind", "--compress-strings=no",
                 f"--callgrind-out-file={out}", program("pairs_linked"), str(pairs), "4"],
                env={"ULLAGE_FILE": str(directory / "r.ull"), "ULLAGE_RECORD": record,
                     "ULLAGE_SCAN": "no", "ULLAGE_SNAPSHOT_MS": "3600000"})
    assert r.status == 0
    cost, function, of_call = {}, None, False
    for line in out.read_text().splitlines():
        if line.startswith("fn="):
            function = line[3:]
        elif line.startswith("calls="):
            of_call = True
        elif re.match(r"[+*\d-]\S* \d+$", line):
            if not of_call:
                cost[function] = cost.get(function, 0) + int(line.split()[1])
            of_call = False
    objects = sorted((BUILD / "preload" / "libullage.so.p").glob("*.o"))
    for line in execute(["nm", "-A", "-P", "--defined-only", *objects]).text().splitlines():
        path, symbol = line.split(maxsplit=2)[:2]
        if cost.get(symbol, 0) >= pairs:
            yield path.rpartition("/")[2].split(".")[0], symbol


def a_pair(directory, depth, fresh=0, **how):
    """Of malloc and free: two run lengths subtracted."""
    many, few = (instructions(directory, "pairs_linked", n, depth, fresh, **how)
                 for n in (MANY, FEW))
    return (many - few) / (MANY - FEW)


needs_valgrind = pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")


@pytest.mark.short
@needs_valgrind
def test_instructions_a_pair(tmp_path):
    """With what the loop itself takes. The clock is a system call under valgrind."""
    shallow, deep = a_pair(tmp_path, 4), a_pair(tmp_path, 44)
    off = a_pair(tmp_path, 4, record="no")
    print(f"a pair: {shallow:.0f}, recording off {off:.0f}, "
          f"a further frame: {(deep - shallow) / 40:.2f}")
    assert off + 100 < shallow < 350  # it did record; clang 14 takes 329, gcc 12 299
    assert off < 110
    assert (deep - shallow) / 40 < 5.1  # 4.75 by gcc, 5.0 by clang


@pytest.mark.short
@needs_valgrind
def test_instructions_a_pair_without_a_stack(tmp_path):
    """Hardly more than if nothing were recorded, from whatever stack."""
    off, same, fresh = (a_pair(tmp_path, 44, fresh, record=record, sample=1 << 19)
                        for record, fresh in (("no", 0), ("yes", 0), ("yes", 3)))
    print(f"a pair: recording off {off:.0f}, sampled {same:.0f}, from new stacks {fresh:.0f}")
    assert off + 20 < same < off + 60
    assert fresh < same + 40


@needs_valgrind
def test_without_a_recording_nothing_of_the_profiler_runs(tmp_path):
    """Entry points and the heap, for each pair, and nobody else."""
    recorded = set(busy_functions(tmp_path, MANY, "yes"))
    off = set(busy_functions(tmp_path, MANY, "no"))
    assert ("free", "free") in off, off
    assert recorded - off
    assert not {(name, f) for name, f in off
                if name not in ("malloc", "free") and not name.startswith("heap_")}


@pytest.mark.short
@needs_valgrind
def test_instructions_a_new_frame(tmp_path):
    """With the call that makes it, and the look at its word the next time."""
    few, many = a_pair(tmp_path, 4, fresh=3), a_pair(tmp_path, 4, fresh=23)
    print(f"a pair with 3 new frames: {few:.0f}, a new frame: {(many - few) / 20:.1f}")
    assert (many - few) / 20 < 110
    assert few < 1350


@pytest.mark.short
@needs_valgrind
def test_instructions_to_learn_a_rule(tmp_path):
    """Only what learning its rule from the unwind tables costs."""
    few = instructions(tmp_path, "places_linked", only=["rule_learn"])
    many = instructions(tmp_path, "places_linked", "more", only=["rule_learn"])
    print(f"a rule: {(many - few) / 64:.0f}")
    assert 100 < (many - few) / 64 < 3400


@pytest.mark.short
@needs_valgrind
@pytest.mark.parametrize("way", ["coroutines 2", "coroutines 8", "handler"])
def test_instructions_a_pair_on_stacks_in_turn(tmp_path, way):
    """With the way from one to the next. Each stack's walk is kept meanwhile."""
    mode, *more = way.split()
    many, few = (instructions(tmp_path, "turns_linked", mode, n, *more)
                 for n in (12_000, 2_000))
    print(f"a pair, {way}: {(many - few) / 10_000:.0f}")
    assert (many - few) / 10_000 < 1500


@pytest.mark.short
@needs_valgrind
def test_instructions_a_pair_at_places_in_turn(tmp_path):
    """Hardly more than at one place: each keeps its walk."""
    many, few = (instructions(tmp_path, "turns_linked", "places", n) for n in (15_000, 5_000))
    print(f"a pair, at places in turn: {(many - few) / 10_000:.0f}")
    assert (many - few) / 10_000 < 750


@needs_valgrind
def test_a_thread_among_many_costs_what_one_among_few_does(tmp_path):
    """Nothing that a thread does looks at all the others. (valgrind has no mremap that
    shares, so nothing is recorded once there are threads.)"""
    few, some, more, many = (instructions(tmp_path, "alive_linked", n, 8, record="no")
                             for n in (50, 150, 350, 450))
    print(f"a thread: {(some - few) / 100:.0f} among few, {(many - more) / 100:.0f} among many")
    assert many - more < 1.05 * (some - few)


def system_calls(directory, *argv, preload=PRELOAD):
    """Of a program and its children: how many, and how many sleep."""
    r = execute([program("calls"), *argv],
                env={"CALLS_PRELOAD": str(preload), "ULLAGE_FILE": str(directory / "r.ull")})
    found = re.search(rb"calls (\d+) sleeps (\d+)\n$", r.stderr)
    assert r.status == 0 and found, r.stderr
    return int(found[1]), int(found[2])


@pytest.mark.short
def test_system_calls_of_a_small_process(tmp_path):
    native, _ = system_calls(tmp_path, tool("true"), preload="")
    main, sleeps = system_calls(tmp_path, tool("true"))
    child, _ = system_calls(tmp_path, tool("true"))
    print(f"native {native}, the main process {main}, one that leaves a line {child}")
    assert sleeps == 0
    assert child - native < 135 and main - native < 250


@pytest.mark.short
def test_system_calls_to_learn_a_rule(tmp_path):
    """None: a server's backend learns hundreds, and lives for milliseconds."""
    def of(*more):
        (tmp_path / "r.ull").unlink(missing_ok=True)
        return system_calls(tmp_path, program("places_linked"), *more, preload="")[0]

    few, many = of(), of("more")
    print(f"{(many - few) / 64:.2f} system calls for a rule")
    assert many - few < 64 / 4


def of_a_child(directory, count):
    """What a forked child takes, by `count` of a command that forks; who is kept from a
    processor for 20 ms has a file, too, so the least of five."""
    def once(n):
        (directory / "r.ull").unlink(missing_ok=True)
        return count(tool("sh"), "-c", f"i=0; while [ $i -lt {n} ]; do (:); i=$((i+1)); done")

    def of_all(n):
        return min(once(n) for _ in range(5))

    return (of_all(15) - of_all(5)) / 10


@pytest.mark.short
def test_system_calls_of_a_forked_child(tmp_path):
    """That leaves a line, with those of its parent for it."""
    native, ours = (of_a_child(tmp_path, lambda *argv, preload=preload: system_calls(
        tmp_path, *argv, preload=preload)[0]) for preload in ("", PRELOAD))
    print(f"a child: native {native}, with ours {ours}")
    assert 20 < ours - native < 60


def page_faults(directory, *argv, preload):
    env = {"LD_PRELOAD": str(preload), "ULLAGE_FILE": str(directory / "r.ull")}
    with subprocess.Popen(argv, env=env) as process:
        _, process.returncode, usage = os.wait4(process.pid, 0)
    assert process.returncode == 0
    return usage.ru_minflt


@pytest.mark.short
def test_page_faults_of_a_forked_child(tmp_path):
    """Each page that is written after a fork is copied: most of what a short child costs."""
    native, ours = (of_a_child(tmp_path, lambda *argv, preload=preload: page_faults(
        tmp_path, *argv, preload=preload)) for preload in ("", PRELOAD))
    print(f"a child: native {native}, with ours {ours}")
    assert 20 < ours - native < 72


@pytest.mark.short
def test_page_faults_of_a_small_process(tmp_path):
    """With those of the process that scans it, which makes no copy of it."""
    native, ours = (page_faults(tmp_path, tool("true"), preload=preload)
                    for preload in ("", PRELOAD))
    print(f"native {native}, with ours {ours}")
    assert 20 < ours - native < 105


def test_nothing_else_is_loaded(recorder):
    """Libraries would be most of what a short process pays."""
    def loaded(r):
        paths = {line.split()[-1] for line in r.text().splitlines() if ".so" in line}
        return {os.path.basename(path) for path in paths}

    command = [tool("cat"), "/proc/self/maps"]
    ours = loaded(recorder.run(*command, env={"ULLAGE_UNWIND": "rules"}))
    assert ours - loaded(execute(command)) == {"libullage.so"}


@pytest.mark.short
def test_what_a_reader_needs_of_memory(tmp_path):
    """All that 20,000 stacks have to say, 100 MB, goes through a reader, not into it."""
    recording = tmp_path / "r.ull"
    execute([ULLAGE, "run", "-q", "-o", recording, "--", program("micro"), "single", "20"])
    for verb in (["leaks", "--all"], ["unused", "--all"]):
        cost, out = tmp_path / "cost", tmp_path / "out"
        with open(out, "wb") as f:
            subprocess.run([program("measure"), cost, ULLAGE, *verb, "--json", recording],
                           check=True, stdout=f)
        resident = int(cost.read_text().split()[3])
        print(f"{verb[0]}: {out.stat().st_size / 1e6:.0f} MB written, {resident / 1e6:.0f} resident")
        stacks = sum(b'"stack"' in line for line in out.read_bytes().splitlines())
        assert stacks >= 20_000
        assert resident < 60e6


@needs_valgrind
def test_instructions_of_a_report_for_each_stack(tmp_path):
    def of_report(thousands):
        recording = tmp_path / f"{thousands}.ull"
        execute([ULLAGE, "run", "-q", "-o", recording, "--", program("micro"), "single",
                 str(thousands)])
        r = execute(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                     ULLAGE, "report", recording])
        assert r.status == 0
        return int(re.search(rb"Collected : (\d+)", r.stderr)[1])

    a_stack = (of_report(6) - of_report(2)) / 4000
    print(f"a stack: {a_stack:.0f}")
    assert a_stack < 22_000


def on_disk(file):
    return os.stat(file).st_blocks * 512


@pytest.mark.parametrize("stacks,blocks,most", [(14003, 100_000, 1_800_000), (100, 1_000_000, 9_000_000)])
def test_bytes_of_a_recording(recorder, stacks, blocks, most):
    """With what the scan found: all are reachable, which takes two bits each."""
    r = recorder.run(program("sites"), str(stacks), str(blocks), "40")
    assert r.stdout == b"done\n"
    report = recorder.answer("report")
    assert report["heap"]["live_blocks"] >= blocks
    print(f"{stacks} stacks, {blocks} blocks: {on_disk(recorder.file):,} bytes")
    assert on_disk(recorder.file) < most


def test_system_calls_for_a_new_stack(tmp_path):
    """Only when a table grows, or a page of its index."""
    few, _ = system_calls(tmp_path, program("sites"), "2000", "32000", "40")
    many, _ = system_calls(tmp_path, program("sites"), "32000", "32000", "40")
    print(f"{(many - few) / 30000:.3f} system calls for a new stack")
    assert many - few < 30000 / 4
