"""Draw docs/benchmarks.svg from the results of the cases that compare four hosts with one.

python benchmarks/chart.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from xml.sax.saxutils import escape

RESULTS = Path(__file__).parent / "results"
TARGET = Path(__file__).parent.parent / "docs" / "benchmarks.svg"

CASES = {
    "fleet-even": "200 Mbit/s each, 2 GiB",
    "fleet-fast": "400 Mbit/s each, 4 GiB",
}
TOOLS = {"raydl": ("raydl, 4 hosts", "#2f81f7"), "aria2c": ("aria2c -x16, 1 host", "#8b949e")}
INK = "#7d8590"
"""Readable on white and on black, for a page may be either."""

WIDTH, LEFT, BAR, GAP, GROUP = 760, 16, 22, 4, 34
LABEL_WIDTH = 190
"""Pixels to the right of the longest bar, for its figure."""


def draw(medians: dict[str, dict[str, float]]) -> str:
    """The chart of seconds by case and tool, as SVG."""
    longest = max(max(case.values()) for case in medians.values())
    scale = (WIDTH - LEFT - LABEL_WIDTH) / longest
    body: list[str] = []
    y = 12
    for case, seconds in medians.items():
        y += 16
        body.append(text(LEFT, y, CASES[case], weight="bold"))
        y += 8
        ratio = seconds["aria2c"] / seconds["raydl"]
        for tool, (label, colour) in TOOLS.items():
            wide = seconds[tool] * scale
            body.append(
                f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="{BAR}" fill="{colour}"/>'
            )
            note = f"{label}: {seconds[tool]:.1f} s"
            if tool == "raydl":
                note += f" ({ratio:.1f} times as fast)"
            body.append(text(LEFT + wide + 8, y + BAR - 6, note))
            y += BAR + GAP
        y += GROUP - BAR
    height = y + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" '
        f'role="img" aria-label="{escape(describe(medians))}">\n' + "\n".join(body) + "\n</svg>\n"
    )


def text(x: float, y: float, words: str, weight: str = "normal") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y}" fill="{INK}" font-weight="{weight}">{escape(words)}</text>'


def describe(medians: dict[str, dict[str, float]]) -> str:
    """The same in words, for who cannot see it."""
    return "; ".join(
        f"{CASES[case]}: raydl {seconds['raydl']:.1f} s, aria2c {seconds['aria2c']:.1f} s"
        for case, seconds in medians.items()
    )


def main() -> None:
    """Read the results, write the chart."""
    medians = {}
    for case in CASES:
        measured = json.loads((RESULTS / f"{case}.json").read_text())["measured"]
        medians[case] = {tool: statistics.median(measured[tool]) for tool in TOOLS}
    TARGET.write_text(draw(medians))
    print(f"{TARGET}: {describe(medians)}")


if __name__ == "__main__":
    main()
