"""A directory that many files go to: which of them are there, what came, and what is on the disk.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from raydl.output.ledger import Known, Ledger
from raydl.output.seal import is_sealed, seal_of
from raydl.output.settling import Settling

LACKS, HAS, OTHER = "lacks", "has", "other"


class Place(NamedTuple):
    """A file that is to be there: its ``key`` in the ledger and its ``path`` in the directory.

    ``digest`` (as text) and ``size`` are what it must have, as far as that is known.
    """

    key: bytes
    path: str
    digest: str = ""
    size: int | None = None


class Found(NamedTuple):
    """What is at a place: LACKS the file, HAS it, or OTHER, which is not ours to replace.

    ``stamp`` (size, and time of writing in ns) is of what may be replaced; with ``may_be_there``
    it may be the file, come when nobody could note that. ``etag``, ``last_modified`` and ``digest``
    are those of a file that came.
    """

    state: str
    size: int = 0
    stamp: tuple[int, int] | None = None
    may_be_there: bool = False
    etag: str | None = None
    last_modified: str | None = None
    digest: str = ""


class Shelf:
    """The directory. For one thread at a time; to be closed. Raises OutputError, TargetError.

    With ``overwrite`` whatever is in the way may be replaced, with ``skip_existing`` it counts.
    Where the files are not on a disk (``is_disk``), stamps are no times, and what came is safe.
    """

    def __init__(
        self, directory: Path, overwrite: bool, skip_existing: bool, is_disk: bool = True
    ) -> None:
        self.directory, self._is_disk = directory, is_disk
        self._overwrite, self._skip_existing = overwrite, skip_existing
        self._ledger = Ledger(directory)
        self._settling = Settling(self._ledger, directory)
        self._has_news = False
        self._begun = set[bytes]()
        """By this run, so that what is there may be its own, of which may not be heard yet."""

    def path(self, place: Place) -> str:
        """Where the file is."""
        return os.path.join(self.directory, place.path)  # noqa: PTH118 - for each of many files

    def seal(self, key: bytes) -> int:
        """What the time of writing of a small file has to show; for any thread."""
        return seal_of(self._ledger.salt, key)

    def look(self, place: Place, again: bool = False) -> Found:
        """What is there. ``again``: this run was to bring it, so nothing else is known of it."""
        try:
            there = os.stat(self.path(place))  # noqa: PTH116
        except OSError:
            return Found(LACKS)
        return self.judge(place, (there.st_size, there.st_mtime_ns), again)

    def judge(self, place: Place, stamp: tuple[int, int], again: bool = False) -> Found:
        """The same of something that is there, and has that stamp."""
        known = self._ledger.find(place.key)
        if known is not None and (known.size, known.written) == stamp:
            is_wanted = self._is_certain(known) and not _differs(known, place)
            state = HAS if is_wanted else LACKS
            said = known.etag, known.last_modified, known.digest
            return Found(state, stamp[0], stamp, False, *said)
        if self._is_left(place.key, known, stamp):
            return Found(LACKS, stamp[0], stamp)
        if self._overwrite:
            return Found(LACKS)
        if self._ledger.is_begun(place.key) and not again:
            return Found(LACKS, may_be_there=True)
        is_left = self._skip_existing and place.size in (None, stamp[0])
        return Found(HAS if is_left else OTHER, stamp[0])

    def _is_left(self, key: bytes, known: Known | None, stamp: tuple[int, int]) -> bool:
        """Whether a run that was killed has left it, or the machine's end, and nobody else."""
        lost = None if known is None or self._is_certain(known) else known
        if lost is not None and stamp[0] <= lost.size and stamp[1] == lost.written:
            return True
        if not self._is_disk or key in self._begun or not is_sealed(self.seal(key), stamp[1]):
            return False
        return lost is not None or self._ledger.is_begun(key)

    def _is_certain(self, known: Known) -> bool:
        return not self._is_disk or self._ledger.is_certain(known)

    def begin(self, keys: Iterable[bytes]) -> None:
        """These are to come: what a run that is killed puts there is known by that."""
        keys = list(keys)
        self._ledger.begin(keys)
        self._begun.update(keys)

    def forget(self, key: bytes) -> None:
        """It does not come."""
        self._ledger.forget(key)
        self._begun.discard(key)

    def add(self, files: Sequence[tuple[bytes, Known]]) -> None:
        """These came; the next run knows that, also after kill -9."""
        if files:
            self._ledger.add(files)
            self._ledger.save()
            self._begun.difference_update(key for key, _ in files)
            self._has_news = True

    def settle(self, now: float) -> None:
        """See that what came is brought to the disk, every now and then."""
        self._settling.look(now)

    def close(self) -> None:
        """Let others have it."""
        try:
            self._ledger.save()
            if self._has_news:
                self._settling.finish()
        finally:
            self._ledger.close()


def _differs(known: Known, place: Place) -> bool:
    """Whether another file is wanted by now."""
    is_other = bool(place.digest) and place.digest != known.digest
    return is_other or place.size not in (None, known.size)
