"""A check box with a tick, drawn for any size and colour: Tk's own has a cross, of one size."""

from __future__ import annotations

import tkinter as tk
from math import hypot

from raydl.view.theme import blend

ROUND, THICK = 0.16, 0.13
"""The radius of its corners, and the thickness of the tick, as shares of its size."""

STROKES = (((0.24, 0.52), (0.43, 0.71)), ((0.43, 0.71), (0.77, 0.31)))
"""Of the tick, in a square of 1 by 1."""

Point = tuple[float, float]


def draw_box(
    root: tk.Misc, size: int, outside: str, line: str, fill: str, tick: str = ""
) -> tk.PhotoImage:
    """The picture, ``size`` pixels high and wide; without a tick where that has no colour."""
    image = tk.PhotoImage(master=root, width=size, height=size)

    def colour(x: float, y: float) -> str:
        from_edge = _from_box(x, y, size)
        found = blend(line, outside, _share(from_edge))
        found = blend(fill, found, _share(from_edge + 1))
        if tick:
            near = min(_from_stroke((x / size, y / size), *stroke) for stroke in STROKES)
            found = blend(tick, found, _share((near - THICK / 2) * size))
        return found

    middles = [n + 0.5 for n in range(size)]
    image.put(" ".join("{" + " ".join(colour(x, y) for x in middles) + "}" for y in middles))
    return image


def _share(distance: float) -> float:
    """How much of a pixel is inside of what begins ``distance`` pixels from its middle."""
    return min(1.0, max(0.0, 0.5 - distance))


def _from_box(x: float, y: float, size: int) -> float:
    """Pixels to the edge of a box with round corners, negative inside."""
    radius, half = ROUND * size, size / 2
    dx, dy = (abs(v - half) - (half - radius) for v in (x, y))
    return hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - radius


def _from_stroke(at: Point, start: Point, end: Point) -> float:
    """The distance of a point from a line between two."""
    (x, y), (dx, dy) = (
        (at[0] - start[0], at[1] - start[1]),
        (end[0] - start[0], end[1] - start[1]),
    )
    along = min(1.0, max(0.0, (x * dx + y * dy) / (dx * dx + dy * dy)))
    return hypot(x - along * dx, y - along * dy)
