"""The colour of each node, the same in every picture of a window. No Tk in here."""

from __future__ import annotations

from raydl.view.theme import colour


class NodeColours:
    """Nodes have them in the order in which they were first seen."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, node: str) -> str:
        """As ``#rrggbb``."""
        return colour(self._numbers.setdefault(node, len(self._numbers)))
