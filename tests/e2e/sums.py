"""What the dump lists block by block is what reports add up, and findings are of that."""

import re

from recording import FORMAT

OWN = FORMAT.constants["UL_SITE_ULLAGE"]
RESERVED = FORMAT.constants["UL_SITE_RESERVED"]
OF_A_PARENT = [FORMAT.constants[f"UL_SITE_{site}"] for site in ("EARLY", "LOADER")]


def check_sums(recorder):
    """Of all processes together, and of each that is chosen."""
    report = recorder.answer("report", "--all")
    listed = [0, 0]
    for p in report["processes"]:
        chosen = f"--process={p['process']}"
        own = of_dump(recorder.text("dump", chosen))
        one = recorder.answer("report", "--all", chosen)
        assert (p["live_bytes"], p["live_blocks"]) == own, p
        assert (one["heap"]["live_bytes"], one["heap"]["live_blocks"]) == own, p
        check_kinds(one, recorder.answer("leaks", chosen), own)
        listed = [sum(pair) for pair in zip(listed, own)]
    check_kinds(report, recorder.answer("leaks"), listed)


def check_kinds(report, leaks, live):
    for what, total in zip(("bytes", "blocks"), live):
        kinds = {kind: report["live"][kind][what] for kind in ("leak", "growth", "rest")}
        assert sum(kinds.values()) == total, (what, kinds, total)
        for kind in ("leak", "growth"):
            assert kinds[kind] == sum(f[f"live_{what}"] for f in report["findings"]
                                      if f["kind"] == kind)
        assert kinds["leak"] == sum(leaks["totals"][v][what] for v in ("definite", "indirect"))


def of_dump(text):
    """Bytes and blocks that live, without ullage's own and those of a parent."""
    inherited = int(re.search(r"^program .* inherited_sites=(\d+)", text, flags=re.M)[1])
    total = blocks = 0
    for requested, site in re.findall(r"^block .* requested=(\d+) .* site=(\d+)", text, flags=re.M):
        site = int(site)
        of_a_parent = site < inherited and (site >= RESERVED or site in OF_A_PARENT)
        if site != OWN and not of_a_parent:
            total += int(requested)
            blocks += 1
    return total, blocks
