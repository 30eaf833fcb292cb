"""What an interrupted download has left beside its target. No Tk in here."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from raydl.origin.identity import Identity
from raydl.output.journal import Journal


class Leftover(NamedTuple):
    """``kept`` bytes are there to go on from, of ``size``, which is None if it is unknown.

    ``is_anothers``: whether bytes of another URL are there instead.
    """

    kept: int = 0
    size: int | None = None
    is_anothers: bool = False


def leftover(target: Path, url: str) -> Leftover:
    """What is there of ``url``: the disk knows, whatever the download said at its end."""
    part = target.with_name(f"{target.name}.part")
    journal = Journal.load(part.with_name(f"{part.name}.journal"))
    try:
        length = part.stat().st_size
    except OSError:
        return Leftover()
    if journal is None:
        return Leftover()
    kept = journal.kept(length)
    if journal.identity == Identity.of(url):
        return Leftover(kept.prefix, journal.size)
    return Leftover(is_anothers=kept.size > 0)
