"""What Ray's tools call raydl's workers, and what these are asked to do.

Ray counts calls by their names, in this process and in each worker, and never forgets a name. Where
each of 30,000 parts had its own, these took 12 KB each at either end, and a call took twice as long
(Ray 2.60); `ray summary tasks` had a row for each, and so had Prometheus. So a name tells the file,
and only so many files have one. No name holds a secret: it is that of a file, or of a host.
"""

from __future__ import annotations

import secrets

from raydl.model.units import printable

MOST_NAMES = 200
"""Files and hosts that are named on one connection to Ray; the others go without a name."""

LONGEST = 64
"""Characters of a file's name that are shown: its beginning and its end."""


class Titles:
    """The names on one connection to Ray."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}

    @staticmethod
    def worker(node: str) -> str:
        """Of a worker on a node, a new one each time.

        Where two actors would have the same name, in a namespace that drivers may share, Ray loads
        the class of the one that is there into this process, and that is raydl's own here: its
        functions would be others from then on, with modules of their own.
        """
        return f"raydl worker on {node} {secrets.token_hex(6)}"

    def of(self, what: str, name: str, otherwise: str) -> str:
        """Such as ``raydl part of big.iso``; with ``otherwise`` for the name, where that is empty
        or one too many."""
        shown = self._shown.get(name)
        if shown is None:
            shown = ""
            if len(self._shown) < MOST_NAMES:
                shown = self._shown[name] = shortened(printable(name))
        return f"raydl {what} {shown or otherwise}"


def shortened(name: str) -> str:
    """A name of which at most ``LONGEST`` characters are left: its end tells what it is."""
    if len(name) <= LONGEST:
        return name
    end = LONGEST // 3
    return f"{name[: LONGEST - end - 1]}…{name[-end:]}"
