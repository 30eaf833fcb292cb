"""The nodes' copies of a file, in words and in rows: what each has, from whom, what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from raydl.model.events import CopiesNow, CopyNow
from raydl.model.report import HAVE_FILE, Report
from raydl.model.units import counted, format_size

STATES = {
    "awaited": "starts",
    "opening": "looks what it has",
    "had": "from before",
    "skipped": "was there",
    "lost": "its worker is lost",
}
"""What people read for a state that does not say it itself."""


class CopyRow(NamedTuple):
    """A node's row: how much of the file it has, 0 to 1, and what there is to say."""

    node: str
    share: float
    text: str
    is_bad: bool


def copies_of(report: Report) -> CopiesNow | None:
    """The copies at the end; None for a download to one place."""
    shares = [share for share in report.nodes if share.state]
    if not shares:
        return None
    size = report.size
    return CopiesNow(
        size,
        tuple(
            CopyNow(
                share.node, share.state, size if share.state in HAVE_FILE else 0,
                max(0, min(share.bytes, size - share.from_peers)), share.from_peers, share.problem,
            )
            for share in sorted(shares, key=lambda share: share.seconds)
        ),
    )  # fmt: skip


def amount(copy: CopyNow, size: int) -> int:
    """The bytes of the file that the node has."""
    return size if copy.has_file else copy.bytes


def can_have(copies: CopiesNow) -> list[CopyNow]:
    """Those that have the file or can still get it."""
    return [copy for copy in copies.copies if copy.state != "failed"]


def state(copy: CopyNow) -> str:
    """How far it is, in a word or two; with what is wrong, if anything is."""
    word = STATES.get(copy.state, copy.state)
    return f"{word}: {copy.problem}" if copy.problem else word


def origins(copy: CopyNow, size: int) -> str:
    """Where its bytes are from; empty where none have come."""
    kept = amount(copy, size) - copy.from_origin - copy.from_peers
    parts = (
        (copy.from_origin, "from the origin"),
        (copy.from_peers, "from others"),
        (kept if copy.state == "done" else 0, "from before"),
    )
    return ", ".join(f"{format_size(count)} {whence}" for count, whence in parts if count > 0)


def row(copy: CopyNow, size: int) -> CopyRow:
    """All of that in a row."""
    text = ", ".join(filter(None, (state(copy), origins(copy, size))))
    share = amount(copy, size) / size if size else float(copy.has_file)
    return CopyRow(copy.node, share, text, copy.state in ("failed", "lost"))


def rows(copies: CopiesNow, most: int) -> tuple[list[CopyRow], str]:
    """``most`` rows, and a line about the others: those in trouble come first, then those that do
    not have the file yet."""
    chosen = list(copies.copies)
    if len(chosen) > most:
        chosen.sort(key=lambda copy: (copy.state not in ("failed", "lost"), copy.has_file))
    more = chosen[most:]
    have = sum(copy.has_file for copy in more)
    line = f"and {counted(len(more), 'node')} more, of which {have} have it" if more else ""
    return [row(copy, copies.size) for copy in chosen[:most]], line


def arrivals(copies: Sequence[CopyNow], size: int) -> list[str]:
    """A line for each of these that have the file now; one for all that had it from before."""
    before = [copy for copy in copies if copy.state != "done"]
    lines = []
    if len(before) == 1:
        lines = [f"{before[0].node} has the file from before"]
    elif before:
        lines = [f"{counted(len(before), 'node')} have the file from before"]
    for copy in copies:
        if copy.state == "done":
            whence = origins(copy, size)
            lines.append(f"{copy.node} has the file" + (f" ({whence})" if whence else ""))
    return lines
