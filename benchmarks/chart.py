"""Draw docs/benchmarks.svg from the results of cases that compare: medians, best to worst.

python benchmarks/chart.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

RESULTS = Path(__file__).parent / "results"
TARGET = Path(__file__).parent.parent / "docs" / "benchmarks.svg"

RAYDL, OTHER = "#2f81f7", "#8b949e"
INK = "#7d8590"
"""Readable on white and on black, for a page may be either."""

WIDTH, LEFT, BAR, GAP, GROUP = 800, 16, 16, 3, 26
LABEL_WIDTH = 340
"""Pixels to the right of the longest bar, for its figure."""


class Case(NamedTuple):
    """A result with a title; ``tools`` are labels by what was measured, raydl first."""

    result: str
    title: str
    tools: dict[str, str]


ONE = {"raydl": "raydl", "curl": "curl", "aria2c -x4 -s4": "aria2c -x4"}
FOUR = {"raydl": "raydl, 4 hosts", "aria2c": "aria2c -x16, 1 host"}


def burst(cap: str, size: str) -> Case:
    """The one of ``run.py bursts`` with this cap."""
    tools = {f"raydl, {cap}": "raydl", f"aria2c -x16, {cap}": "aria2c -x16"}
    return Case("bursts", f"nginx, limit_rate {cap}, {size}", tools)


CASES = [
    Case("fleet-even", "4 hosts, 200 Mbit/s each, 2 GiB", FOUR),
    Case("fleet-fast", "4 hosts, 400 Mbit/s each, 4 GiB", FOUR),
    burst("5m", "256 MiB"),
    burst("200k", "20 MiB"),
    Case("embedded", "one machine, loopback, 1 GiB to memory", ONE),
    Case("https", "the same over TLS 1.3", ONE),
    Case("disk", "the same to a disk", ONE),
]


def draw(cases: list[Case]) -> str:
    """The chart of seconds by case and tool, as SVG. Each case has a scale of its own."""
    body: list[str] = []
    y = 0
    for case in cases:
        seconds = measured(case)
        scale = (WIDTH - LEFT - LABEL_WIDTH) / max(max(values) for values in seconds.values())
        y += GROUP
        body.append(text(LEFT, y, case.title, weight="bold"))
        y += 6
        ours = statistics.median(seconds[next(iter(case.tools))])
        for number, (tool, values) in enumerate(seconds.items()):
            median = statistics.median(values)
            colour = OTHER if number else RAYDL
            wide = median * scale
            body.append(
                f'<rect x="{LEFT}" y="{y}" width="{wide:.1f}" height="{BAR}" fill="{colour}"/>'
            )
            low, high = (LEFT + value * scale for value in (min(values), max(values)))
            middle = y + BAR / 2
            body.append(
                f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {y + 4}v{BAR - 8}'
                f'M{high:.1f} {y + 4}v{BAR - 8}" stroke="{INK}" fill="none"/>'
            )
            note = f"{case.tools[tool]}: {median:.1f} s" + (
                f", {median / ours:.2g} times raydl's" if number else ""
            )
            body.append(text(max(LEFT + wide, high) + 8, y + BAR - 4, note))
            y += BAR + GAP
    height = y + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13" '
        f'role="img" aria-label="{escape(describe(cases))}">\n' + "\n".join(body) + "\n</svg>\n"
    )


def measured(case: Case) -> dict[str, list[float]]:
    """Seconds of each run, by tool."""
    found = json.loads((RESULTS / f"{case.result}.json").read_text())["measured"]
    return {tool: found[tool] for tool in case.tools if tool in found}


def text(x: float, y: float, words: str, weight: str = "normal") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y}" fill="{INK}" font-weight="{weight}">{escape(words)}</text>'


def describe(cases: list[Case]) -> str:
    """The same in words, for who cannot see it."""
    return "; ".join(
        f"{case.title}: "
        + ", ".join(
            f"{case.tools[tool]} {statistics.median(values):.1f} s"
            for tool, values in measured(case).items()
        )
        for case in cases
    )


def main() -> None:
    """Read the results, write the chart."""
    TARGET.write_text(draw(CASES))
    print(f"{TARGET}: {describe(CASES)}")


if __name__ == "__main__":
    main()
