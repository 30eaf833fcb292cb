"""A file whose pieces have digests, as a sink: what is right of it is kept, wherever it lies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from raydl.model.coverage import Coverage
from raydl.model.digests import Proof
from raydl.model.errors import BadPieceError
from raydl.model.pieces import Pieces
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.origin.identity import Identity
from raydl.output.filesink import FileSink
from raydl.output.journal import Journal
from raydl.output.oserrors import output_error
from raydl.output.piecescan import copy_right, right_pieces
from raydl.output.ranges import stamp_of
from raydl.output.takeover import journal_of, why_start_over
from raydl.output.target import check_space


class PieceFile(FileSink):
    """``NAME.part``, of which every piece is kept that has its digest, at any place.

    They are read when it is opened, whatever the journal says: that vouches for nothing, and no
    sync is needed before the last one. What comes is written into the gaps. With
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
        self._pieces = pieces
        super().__init__(
            target, remote, identity,
            proof=proof, resume=resume, overwrite=overwrite, check=check, keep_bad=keep_bad,
            mode_of=mode_of,
        )  # fmt: skip
        self.is_proven = True
        self._journal = Journal.of(remote, identity).doubted()
        # Whether what is kept reached the disk is not known either.
        self._syncer = self._new_syncer(None, Coverage())
        self.slots = None  # what is not right never leaves the lane
        if mend:
            with contextlib.ExitStack() as on_error:
                on_error.callback(self.close)
                self._copy_right()
                on_error.pop_all()
        self.kept = Coverage(self._there)

    def finish(self) -> dict[str, str]:
        """As ``FileSink`` does, once no piece is wrong."""
        try:
            self._begin()
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
        self._digest.follow(self._part, self._there.prefix)

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

    def _take_over(
        self, remote: Remote, identity: Identity, resume: bool, proven: bool
    ) -> Coverage:
        """Which bytes of an earlier run are right."""
        length, there = self._part.length, Coverage()
        if length:
            old = journal_of(self._part, self._journal_path)
            # Of what workers of an earlier run write at any place, the last may not have come.
            if resume and old.writer is None:
                there = right_pieces(self._part.fd, self._pieces, self._check)
            self._writer = old.writer
            if there.size:
                self.note = self._told(there.size)
            else:
                self.note = why_start_over(
                    self._part, old, remote, identity,
                    resume=resume, overwrite=self._overwrite, proven=proven,
                ) or self._told(0)  # fmt: skip
        check_space(self._target, self._pieces.size - there.size)
        return there

    def _cut_off(self) -> None:
        """Leave nothing of what is not right, but in gaps. Raises OSError."""
        if self._writer is not None:
            self._part.renew()  # what they still write goes nowhere then
        elif not self._there.size:
            self._part.cut(0)
        elif self._part.length > self._pieces.size:
            self._part.cut(self._pieces.size)
