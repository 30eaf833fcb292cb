"""Bytes that were fetched and lie in a node's object store, on their way here. Pure state."""

from __future__ import annotations

from raydl.model.parts import Part
from raydl.workers.protocol import Payload


class Transit:
    """Parts by their first byte, each with the node that has it."""

    def __init__(self) -> None:
        self._parts: dict[int, tuple[Part, str, Payload]] = {}

    def __contains__(self, start: int) -> bool:
        return start in self._parts

    def put(self, part: Part, node: str, payload: Payload) -> None:
        """``node`` has it."""
        self._parts[part.start] = (part, node, payload)

    def came(self, start: int, payload: Payload) -> Part | None:
        """A pull ended, well or not; None where those bytes are not waited for any more."""
        if start not in self._parts or self._parts[start][2] is not payload:
            return None
        return self._parts.pop(start)[0]

    def drop(self, start: int) -> None:
        """Stop tracking these bytes."""
        self._parts.pop(start, None)

    def lose(self, node: str) -> list[tuple[Part, Payload]]:
        """What that node had, which nobody will get."""
        lost = [(part, payload) for part, owner, payload in self._parts.values() if owner == node]
        for part, _ in lost:
            del self._parts[part.start]
        return lost
