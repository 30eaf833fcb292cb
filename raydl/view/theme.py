"""The colours of nodes, the same in every picture."""

from __future__ import annotations

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#eeca3b", "#9d755d")
"""One a node, in the order in which they joined; then again from the first."""

TROUBLE = "#d62728"


def colour(number: int) -> str:
    """The colour of the node that joined as the ``number``-th."""
    return COLOURS[number % len(COLOURS)]


def blend(over: str, under: str, strength: float) -> str:
    """``over`` at ``strength`` (0 to 1) on ``under``; all are ``#rrggbb``."""
    pairs = [(int(over[n : n + 2], 16), int(under[n : n + 2], 16)) for n in (1, 3, 5)]
    return "#" + "".join(f"{round(u + (o - u) * strength):02x}" for o, u in pairs)
