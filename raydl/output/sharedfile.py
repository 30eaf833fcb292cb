"""A file in a directory that several hosts see, each of which writes into it; this one owns it."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

from raydl.model.coverage import Coverage
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.journal import Journal
from raydl.output.oserrors import output_error
from raydl.output.owner import (
    BEAT_SECONDS,
    OWNERS_HERE,
    is_alive,
    meeting_place,
    new_owner,
    written_by_another,
)
from raydl.output.placedfile import SYNC_SECONDS, PlacedFile


class SharedFile(PlacedFile):
    """``NAME.part`` with its journal, where others write and bring to the disk.

    ``written`` are the bytes that they have said to be safe there. The journal names this run as
    the owner of the file, and is saved every few seconds as long as that is so; where it names
    another one, this run has lost it: TargetError.
    """

    def __init__(
        self, target: Path, remote: Remote, identity: Identity, *,
        resume: bool, overwrite: bool, proven: bool, mode_of: Path | None = None,
    ) -> None:  # fmt: skip
        self.owner: str = new_owner()
        self.meeting_place = meeting_place(target, self.owner)
        self._saving = threading.Lock()
        self._is_done = self._is_lost = False
        super().__init__(
            target, remote, identity,
            algorithm=None, resume=resume, overwrite=overwrite, proven=proven, mode_of=mode_of,
        )  # fmt: skip

    @property
    def part_path(self) -> Path:
        """Where the bytes are until the file is whole."""
        return self._part.path

    @property
    def left(self) -> int:
        """How many bytes the next run can go on from."""
        return 0 if self._is_done else self.synced.size

    def check(self) -> None:
        """Raise what went wrong in the background."""
        self._raise_error()

    def note_wrong(self, start: int, stop: int) -> None:
        """These bytes are not what was written there."""
        with self._lock:
            self._written = self._written.without(start, stop)
            self._lock.notify_all()

    def publish(self) -> None:
        """Give the whole file its name. Raises TargetError, OutputError."""
        self.digest()
        with self._saving:
            self._must_be_ours()
            super().publish()
            self._is_done = True

    def set_aside(self) -> Path:
        """Keep what is wrong under a name that nobody takes for the file. Raises OutputError."""
        with self._saving:
            self._must_be_ours()
            try:
                bad = self._part.set_aside()
                self._journal_path.unlink(missing_ok=True)
            except OSError as error:
                raise output_error(error, self.target) from None
            self._is_done = True
        return bad

    def drop(self) -> None:
        """Remove what there is: it is wrong. Nothing more can be done with it."""
        super().drop()
        self._is_done = True

    def close(self) -> None:
        """Let go; the next run goes on from what is safe."""
        try:
            super().close()
        finally:
            OWNERS_HERE.discard(self.owner)

    def _take_over(
        self, remote: Remote, identity: Identity, resume: bool, proven: bool
    ) -> Coverage:
        if not self._part.length:  # another run may have begun just now
            old = Journal.load(self._journal_path)
            if old is not None and old.owner and is_alive(old.owner, self._journal_path):
                raise written_by_another(self.target)
        return super()._take_over(remote, identity, resume, proven)

    def _begin(self) -> None:
        OWNERS_HERE.add(self.owner)
        try:
            # A run that wrote in order may have left more than had been brought to the disk.
            os.fsync(self._part.fd)
            super()._begin()
        except BaseException:
            OWNERS_HERE.discard(self.owner)
            if self._written.size and self._is_ours():
                replace(self._journal, owner=None).save(self._journal_path)
            raise

    def _sync_once(self) -> bool:
        """Say in the journal what is safe, and that this run is still at it."""
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self._is_behind(), BEAT_SECONDS)
            written, is_last = Coverage(self._written), self._is_over
        with self._saving:
            if not self._is_done and (written.size or not is_last):
                self._must_be_ours()
                journal = self._journal.with_synced(written).doubted()
                self._save(replace(journal, owner=None) if is_last else journal)
        with self._lock:
            self._lock.wait_for(lambda: self._is_over or self.is_whole, SYNC_SECONDS)
        return not is_last

    def _is_behind(self) -> bool:
        return self._written != self._journal.synced

    def _remove(self) -> None:
        if not self._is_lost:
            super()._remove()

    def _must_be_ours(self) -> None:
        if not self._is_ours():
            self._is_lost = True
            raise written_by_another(self.target)

    def _is_ours(self) -> bool:
        """Whether the journal names no other run."""
        journal = Journal.load(self._journal_path)
        return journal is None or journal.owner == self.owner
