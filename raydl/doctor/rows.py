"""What is said of a fact: whether it is well, and what to do where it is not."""

from __future__ import annotations

from typing import Any, NamedTuple

from raydl.model.errors import RaydlError

HERE = "this machine"

FINE, DOUBTFUL, WRONG = "ok", "warning", "problem"


class Row(NamedTuple):
    """A line of `raydl doctor`. ``code`` is the exit code of a problem, and 0 of all else."""

    state: str
    where: str
    what: str
    found: str
    mend: str = ""
    code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return self._asdict()


def fine(where: str, what: str, found: str) -> Row:
    """Nothing is to be done."""
    return Row(FINE, where, what, found)


def doubtful(where: str, what: str, found: str, mend: str) -> Row:
    """Downloads work, some of them not as they should."""
    return Row(DOUBTFUL, where, what, found, mend)


def wrong(where: str, what: str, error: RaydlError) -> Row:
    """What ends a download, or keeps that machine out of it."""
    return Row(WRONG, where, what, error.message, error.hint, error.exit_code)
