"""Where the bytes of a file go, as the scheduler sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from raydl.model.parts import Part
from raydl.workers.protocol import Payload, Slots


class Destination(Protocol):
    """Takes what was fetched, and acknowledges it later, from wherever.

    With ``here`` it needs the bytes in this process, else it takes them where they were fetched;
    with ``in_order`` it gets them in the file's order, else as they come. One that has a ``grid``
    (see ``grid_of``) may wait for all that is between two multiples of it before it acknowledges
    any of that. One that has ``slots`` (see ``slots_of``) lets threads of this process write there.
    """

    here: bool
    in_order: bool

    def take(self, part: Part, payload: Payload, node: str, done: Callable[[str], None]) -> None:
        """Take these bytes, which ``node`` fetched, and return at once. ``done`` is called, by any
        thread, once they are where they belong, or with the reason why they are lost and have to
        be fetched again."""

    def end(self, error: BaseException | None) -> None:
        """Nothing more comes: all bytes are where they belong, or ``error`` says why not."""


def slots_of(destination: Destination) -> Slots | None:
    """Where threads of this process may put its bytes themselves; None where they may not."""
    return getattr(destination, "slots", None)


def grid_of(destination: Destination) -> int:
    """The bytes that the destination needs together, 0 for one that takes any by themselves."""
    return getattr(destination, "grid", 0)
