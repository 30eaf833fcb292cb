"""A file whose pieces have digests, as a sink: what is right of it is kept, wherever it lies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from raydl.model.coverage import Coverage
from raydl.model.digests import Proof
from raydl.model.errors import BadPieceError, OutputError
from raydl.model.pieces import Pieces
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.origin.identity import Identity
from raydl.output.filesink import READ_AND_WRITE, READ_SIZE, FileSink
from raydl.output.journal import Journal
from raydl.output.oserrors import output_error
from raydl.output.piecescan import copy_right, right_pieces
from raydl.output.ranges import stamp_of
from raydl.output.sink import write_hashed
from raydl.output.syncer import Syncer
from raydl.output.takeover import journal_of, why_start_over
from raydl.output.target import check_space, sync_directory


class PieceFile(FileSink):
    """``NAME.part``, of which every piece is kept that has its digest, at any place.

    They are read when it is opened, whatever the journal says: that vouches for nothing, and no
    sync is needed before the last one. What comes is written into the gaps, in order. With
    ``mend`` what is right of the file at the target is copied first; that one stays as it is, until
    the whole one replaces it, which it does not where that one was changed meanwhile.
    """

    def __init__(
        self,
        pieces: Pieces,
        target: Path,
        remote: Remote,
        identity: Identity,
        *,
        proof: Proof | None,
        resume: bool,
        overwrite: bool,
        check: Callable[[], None],
        keep_bad: bool = False,
        mode_of: Path | None = None,
        mend: bool = False,
    ) -> None:
        self._pieces, self._there = pieces, Coverage()
        self._at = self._hashed = 0
        super().__init__(
            target, remote, identity,
            proof=proof, resume=resume, overwrite=overwrite, check=check, keep_bad=keep_bad,
            mode_of=mode_of,
        )  # fmt: skip
        self.is_proven = True
        self._journal = Journal.of(remote, identity).doubted()
        # Whether what is kept reached the disk is not known either.
        self._syncer = Syncer(self._part, None, self._journal_path, 0, check)
        if mend:
            with contextlib.ExitStack() as on_error:
                on_error.callback(self.close)
                self._copy_right()
                on_error.pop_all()
        self.kept = Coverage(self._there)
        self.written = self.kept.size

    def write(self, data: memoryview) -> None:
        """Put the next bytes into the gap where they belong. Raises OutputError."""
        try:
            self._begin()
            self._at = start = self._next_gap()
            self._hash_until(start)
            os.lseek(self._part.fd, start, os.SEEK_SET)
            write_hashed(self._part.fd, data, self._digest)
            self._at = self._hashed = start + data.nbytes
            self._there.add(start, self._at)
            self.written = self._there.size
            self._syncer.wrote(self.written)
        except OSError as error:
            raise output_error(error, self._part.path, self._how_to_go_on()) from None

    def finish(self) -> dict[str, str]:
        """As ``FileSink`` does, once the digest has what was kept, too."""
        try:
            self._begin()
            self._hash_until(self.written)
            self._look_once_more()
        except OSError as error:
            raise output_error(error, self._part.path, self._how_to_go_on()) from None
        return super().finish()

    def _copy_right(self) -> None:
        """Take what is right of the file that is to be mended. Raises OutputError."""
        self._overwrite = True
        try:
            with self._target.open("rb") as file:
                self._replaces = stamp_of(file.fileno())
                self._begin()
                self._there = copy_right(
                    file.fileno(), self._part.fd, self._pieces, self._there, self._check
                )
        except OSError as error:
            raise output_error(error, self._target) from None
        self.note = self._told(self._there.size)

    def _look_once_more(self) -> None:
        """Compare the pieces here, where no digest of the whole shows what nodes handed over."""
        if self._digest.wanted or self.written != self._pieces.size:
            return
        right = right_pieces(self._part.fd, self._pieces, self._check)
        if right.size != self._pieces.size:
            lost = format_size(self._pieces.size - right.size)
            raise BadPieceError(
                f"{lost} of {self._part.path} are not as they were fetched", self._how_to_go_on()
            )

    def _next_gap(self) -> int:
        start, stop = self._there.next_from(self._at)
        return stop if start == self._at else self._at

    def _hash_until(self, stop: int) -> None:
        """Take what was kept before ``stop`` into the digest. Raises OSError."""
        while self._digest.wanted and self._hashed < stop:
            data = os.pread(self._part.fd, min(READ_SIZE, stop - self._hashed), self._hashed)
            if not data:
                raise OutputError(f"{self._part.path} became shorter while it was read")
            self._digest.take(memoryview(data))
            self._hashed += len(data)
            self._check()

    def _take_over(self, remote: Remote, identity: Identity, resume: bool, proven: bool) -> int:
        """How many bytes of an earlier run are right."""
        length = self._part.length
        if length:
            old = journal_of(self._part, self._journal_path)
            # Of what workers of an earlier run write at any place, the last may not have come.
            if resume and old.writer is None:
                self._there = right_pieces(self._part.fd, self._pieces, self._check)
            self._writer = old.writer
            if self._there.size:
                self.note = self._told(self._there.size)
            else:
                self.note = why_start_over(
                    self._part, old, remote, identity,
                    resume=resume, overwrite=self._overwrite, proven=proven,
                ) or self._told(0)  # fmt: skip
        check_space(self._target, self._pieces.size - self._there.size)
        return self._there.size

    def _begin(self) -> None:
        """Say what the file is to be before anything in it changes."""
        if self._began:
            return
        if self._writer is not None:
            self._part.renew()  # what they still write goes nowhere then
        elif not self._there.size:
            self._part.cut(0)
        elif self._part.length > self._pieces.size:
            self._part.cut(self._pieces.size)
        if self._overwrite:  # whoever may not read what is there may not read what replaces it
            self._part.take_mode(READ_AND_WRITE)
        self._journal.save(self._journal_path)
        sync_directory(self._target.parent)
        self._began = True
