"""The colours of nodes, the same in every picture."""

from __future__ import annotations

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2", "#eeca3b", "#9d755d")
"""One a node, in the order in which they joined; then again from the first."""

TROUBLE = "#d62728"

ON_TERMINALS = (36, 33, 32, 35, 34, 96, 93, 95)
"""The same for a terminal, which has colours of its own (ECMA-48, SGR): how they look is its user's
choice."""

TROUBLE_ON_TERMINALS = 31


def colour(number: int) -> str:
    """The colour of the node that joined as the ``number``-th."""
    return COLOURS[number % len(COLOURS)]


def terminal_colour(number: int) -> int:
    """The same on a terminal."""
    return ON_TERMINALS[number % len(ON_TERMINALS)]


def blend(over: str, under: str, strength: float) -> str:
    """``over`` at ``strength`` (0 to 1) on ``under``; all are ``#rrggbb``."""
    pairs = [(int(over[n : n + 2], 16), int(under[n : n + 2], 16)) for n in (1, 3, 5)]
    return "#" + "".join(f"{round(u + (o - u) * strength):02x}" for o, u in pairs)
