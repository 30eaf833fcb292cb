"""What an interrupted download has left beside its target. No Tk in here."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple

from raydl.origin.identity import Identity
from raydl.output.journal import Journal
from raydl.output.partfile import lock_file


class Leftover(NamedTuple):
    """``kept`` bytes are there to go on from, of ``size``, which is None if it is unknown.

    ``is_anothers``: whether bytes of another URL are there instead.
    """

    kept: int = 0
    size: int | None = None
    is_anothers: bool = False


def leftover(target: Path, url: str) -> Leftover:
    """What is there of ``url``: the disk knows, whatever the download said at its end."""
    part, journal_path = _places(target)
    journal = Journal.load(journal_path)
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


def discard(target: Path, url: str) -> None:
    """Delete what is there of ``url``; nothing of another's, nor while a process writes it."""
    part, journal_path = _places(target)
    journal = Journal.load(journal_path)
    if journal is None or journal.identity != Identity.of(url):
        return
    with contextlib.suppress(OSError):
        with part.open("rb+") as file:
            is_free = lock_file(file.fileno())
        if is_free:
            part.unlink()
            journal_path.unlink()


def _places(target: Path) -> tuple[Path, Path]:
    """Of the partial file, and of its journal."""
    part = target.with_name(f"{target.name}.part")
    return part, part.with_name(f"{part.name}.journal")
