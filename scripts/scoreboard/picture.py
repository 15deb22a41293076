"""The scoreboard as a picture: a line for each workload, a dot for each variant, where
its wall time lies as a multiple of native's."""

import math
from html import escape

COLOURS = {"native": "#888", "jemalloc": "#b58900", "mimalloc": "#6c71c4", "off": "#268bd2",
           "sampled": "#2aa198", "full": "#d33682", "heaptrack": "#222", "jeprof": "#cb4b16"}
LEFT, WIDTH, ROW, TOP = 110, 640, 20, 50
TICKS = (0.5, 0.7, 1, 1.4, 2, 3, 5, 10, 20)


def text(x, y, what, anchor="start", size=12):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}">'
            f"{escape(what)}</text>")


def svg(results, variants):
    ratios = [m["wall_ratio"] for r in results for m in r["variants"].values()]
    low, high = min([0.7, *ratios]) * 0.95, max([2, *ratios]) * 1.05

    def x(ratio):
        return LEFT + WIDTH * math.log(ratio / low) / math.log(high / low)

    height = TOP + ROW * len(results) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" '
             f'height="{height}" font-family="sans-serif"><rect width="100%" height="100%" '
             'fill="white"/>']
    for i, v in enumerate(variants):
        at = LEFT + i * 80
        parts.append(f'<circle cx="{at}" cy="14" r="4" fill="{COLOURS[v]}"/>'
                     + text(at + 8, 18, v))
    for tick in TICKS:
        if low <= tick <= high:
            parts.append(f'<path d="M{x(tick):.1f} {TOP - 8}V{height - 8}" stroke="#ddd"/>'
                         + text(x(tick), TOP - 12, f"{tick} x", "middle", 11))
    for i, r in enumerate(results):
        y = TOP + ROW * i + ROW // 2
        parts.append(text(LEFT - 10, y + 4, r["name"], "end"))
        for v, m in r["variants"].items():
            parts.append(f'<circle cx="{x(m["wall_ratio"]):.1f}" cy="{y}" r="4" '
                         f'fill="{COLOURS[v]}" fill-opacity="0.8"><title>{escape(r["name"])} '
                         f'{v}: {m["wall_ratio"]:.2f}</title></circle>')
    return "\n".join([*parts, "</svg>\n"])
