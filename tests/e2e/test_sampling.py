"""One stack in so many bytes: what is exact stays exact, what is estimated says how well."""

import json

import pytest

from harness import ULLAGE, execute, program

MEAN = 65536


def answer(file, verb, *options):
    r = execute([ULLAGE, verb, "--json", *options, file])
    assert r.status == 0, r.all_stderr
    return json.loads(r.stdout)


def recorded(file, *argv, sample=MEAN, seed=1, unwind="check"):
    r = execute([ULLAGE, "run", "-q", f"--sample={sample}", "-o", file, "--", *argv],
                env={"ULLAGE_SAMPLE_SEED": str(seed), "ULLAGE_CHECK": "yes",
                     "ULLAGE_UNWIND": unwind})
    assert r.status == 0, r.all_stderr
    return r


@pytest.mark.short
def test_estimates_and_their_intervals(tmp_path):
    """16 sites of 20,000 blocks each: some 24 samples a site."""
    file, blocks = tmp_path / "r.ull", 20_000
    truth = blocks * sum(24 + i % 8 * 16 for i in range(8)) // 8
    recorded(file, program("micro"), "blocks", str(blocks // 1000))
    report = answer(file, "report", "--all")
    assert report["sample_bytes"] == MEAN
    heap = report["heap"]
    assert heap["live_blocks"] in (16 * blocks, 16 * blocks + 1)  # and stdout's buffer
    assert 16 * truth <= heap["live_bytes"] <= 16 * truth + 4096
    lists = {"report": ("sites", "live_bytes", "live_interval"),
             "growth": ("sites", "last_bytes", "last_interval"),
             "leaks": ("leaks", "bytes", "interval")}
    for verb, (key, name, interval) in lists.items():
        sites = [s for s in answer(file, verb, "--all")[key]
                 if s["stack"][0]["function"] == "get" and s[name]]
        inside = sum(s[interval][0] <= truth <= s[interval][1] for s in sites)
        total = sum(s[name] for s in sites)
        print(f"{verb}: {inside} of {len(sites)} intervals hold the truth; "
              f"together {total / (16 * truth):.2f} of it")
        assert len(sites) == 16 and inside >= 13
        assert 0.8 < total / (16 * truth) < 1.2
    totals = answer(file, "leaks", "--all")["totals"]["reachable"]
    assert totals == {"blocks": heap["live_blocks"], "bytes": heap["live_bytes"]}
    unused = answer(file, "unused", "--all")
    assert unused["totals"]["live_bytes"] == heap["live_bytes"]
    for verb in ("report", "growth", "leaks", "unused"):
        text = execute([ULLAGE, verb, file]).text()
        assert "one stack in 64.0 KiB" in text, text


def test_estimates_are_no_counts(tmp_path):
    """Each sampled block of one size stands for as many: none was made so many times."""
    file = tmp_path / "r.ull"
    recorded(file, program("causes"), "callers")
    leak, = answer(file, "report")["findings"]
    assert leak["frame"]["function"] == "session_new" and leak["stacks"] > 1
    assert leak["times"] == leak["blocks_each"] == 0, leak
    page = execute([ULLAGE, "report", file]).text()
    assert f"about {leak['blocks']:,} blocks of {leak['stacks']} sampled stacks" in page, page


@pytest.mark.parametrize("seed", range(1, 5))
def test_no_estimate_is_above_what_there_is(tmp_path, seed):
    """One sample of 128 KiB, of 224 KiB that are lost, may stand for more."""
    file = tmp_path / "r.ull"
    recorded(file, program("causes"), "counts", sample=131072, seed=seed)
    report = answer(file, "report")
    heap, totals = report["heap"], answer(file, "leaks")["totals"]
    lost = totals["definite"]["bytes"] + totals["indirect"]["bytes"]
    for finding in report["findings"]:
        assert finding["bytes"] <= lost <= heap["live_bytes"], finding
        assert finding["blocks"] <= heap["live_blocks"], finding


def test_other_samples_are_no_change(tmp_path):
    """Two runs lose the same, at 500 stacks, of which each knows others; one loses less."""
    runs = {name: tmp_path / name for name in ("a", "b", "less")}
    for seed, (name, file) in enumerate(runs.items()):
        recorded(file, program("causes"), "two" if name == "less" else "callers", sample=8192,
                 seed=seed + 1)

    def diff(before, after, *options):
        return execute([ULLAGE, "diff", *options, runs[before], runs[after]]).text()

    for pair in (("a", "b"), ("b", "a")):
        found = json.loads(diff(*pair, "--json"))
        assert not any(found[k] for k in ("changes", "functions", "peak_changes",
                                          "peak_functions")), found
        assert "No function has changed by more than chance." in diff(*pair)
    change, = json.loads(diff("a", "less", "--json"))["changes"]
    assert change["frame"]["function"] == "session_new" and change["state"] == "gone", change


def test_moments_of_a_sampled_run(tmp_path):
    """What is freed and made anew meanwhile has other samples; what grew has more of them."""
    file = tmp_path / "r.ull"
    recorded(file, program("grow"), "800", "1", sample=4096)
    found = json.loads(execute([ULLAGE, "diff", "--json", f"{file}@200ms", file]).text())
    assert {c["frame"]["function"] for c in found["changes"]} == {"keep_session"}, found
    page = execute([ULLAGE, "report", "--at=200ms", file]).text()
    assert "Sampled: one stack in 4.0 KiB" in page and "(no call stack)" not in page, page


@pytest.mark.parametrize("unwind", ["check", "rules"])  # and so what is loaded first
def test_what_is_counted_stays_exact(tmp_path, unwind):
    """The same program with all stacks and with few: but for what call sites have."""
    exact, sampled = tmp_path / "exact", tmp_path / "sampled"
    for file, sample in ((exact, 1), (sampled, 4096)):
        recorded(file, program("leaks"), sample=sample, unwind=unwind)
    a, b = (answer(f, "report")["heap"] for f in (exact, sampled))
    for key in ("live_bytes", "live_blocks", "allocations", "allocated_bytes", "frees"):
        assert a[key] == b[key], key
    a, b = (answer(f, "leaks")["totals"] for f in (exact, sampled))
    assert a["definite"]["blocks"] > 100
    for what in ("blocks", "bytes"):
        assert sum(v[what] for v in a.values()) == sum(v[what] for v in b.values())
    for verdict in a:  # a number that looks like a pointer may hold a block, in any run
        assert abs(a[verdict]["blocks"] - b[verdict]["blocks"]) <= 1, (a, b)


def test_how_many_were_temporary_is_an_estimate(tmp_path):
    """Only of sampled blocks it is known, and of these exactly."""
    file, text = tmp_path / "r.ull", "an estimate: with 95 % between"
    recorded(file, program("peak"), "churn", sample=4096)
    report = answer(file, "report", "--all")
    low, high = report["heap"]["temporary_interval"]
    print(f"temporary: {report['heap']['temporary']}, between {low} and {high}")
    assert 80_000 < low <= report["heap"]["temporary"] <= high <= report["heap"]["frees"]
    assert report["heap"]["frees"] < 100_100 < 1.2 * high
    site, = [s for s in report["sites"] if s["stack"][0]["function"] == "churn"]
    assert site["temporary"] == site["allocations"] == site["frees"]
    assert text in execute([ULLAGE, "report", file]).text()
    recorded(file, program("peak"), "never", sample=1 << 30)
    heap = answer(file, "report")["heap"]
    assert heap["temporary"] == 0 and heap["temporary_interval"][0] == 0
    assert heap["temporary_interval"][1] == heap["frees"]  # nothing is known
    execute([ULLAGE, "run", "-q", "-o", file, "--", program("peak"), "never"])
    assert "temporary_interval" not in answer(file, "report")["heap"]
    assert text not in execute([ULLAGE, "report", file]).text()


@pytest.mark.parametrize("argv", [("threads", "cross", "20000"), ("threads", "fork", "10"),
                                  ("threads", "storm", "20"), ("hostile", "timer", "2000"),
                                  ("hostile", "signals", "2000"), ("hostile", "jumps", "2000"),
                                  ("hostile", "vfork", "50"), ("signals", "jump"),
                                  ("micro", "mstress", "20"), ("micro", "coroutines", "5")])
def test_the_program_is_the_same(recorder, argv):
    unchecked = {"ULLAGE_CHECK": None} if "timer" in argv else {}  # see test_hostile_stacks
    r = recorder.same(program(argv[0]), *argv[1:], env={"ULLAGE_SAMPLE": "5000", **unchecked})
    assert r.status in (0, 1)


def test_blocks_freed_twice_are_found(tmp_path):
    """Each block is in the ledger, with a stack or without."""
    found = []
    for sample in (1, 1 << 30):
        file = tmp_path / f"r{sample}"
        recorded(file, program("misuse"), "small", sample=sample)
        found.append([(m["kind"], m["count"], [f["function"] for f in m["stack"]])
                      for m in answer(file, "report")["misuses"]])
    assert found[0] == found[1] and found[0]
