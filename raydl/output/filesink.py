"""A file as a sink: ``NAME.part``, which becomes ``NAME`` once it is whole and verified."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from raydl.model.coverage import Coverage
from raydl.model.digests import Proof
from raydl.model.errors import ChecksumError, OutputError, RaydlError
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.origin.identity import Identity
from raydl.output.filedigest import FileDigest
from raydl.output.journal import Journal
from raydl.output.oserrors import output_error
from raydl.output.partfile import PartFile
from raydl.output.ranges import write_at
from raydl.output.slots import Slots
from raydl.output.syncer import Syncer
from raydl.output.takeover import journal_of, why_start_over
from raydl.output.target import check_space, sync_directory

READ_AND_WRITE = 0o600
"""The permissions that the owner needs to resume a ``.part`` file."""


class FileSink:
    """``NAME.part`` with its journal; renamed to ``NAME`` when it is whole and verified.

    The target path is not touched before. Bytes come in any order, each with its place, and what is
    ``kept`` of an earlier run has gaps where that one had; ``note`` is the line that says so. A
    digest reads behind the first gap. Through ``slots`` requests of this process write straight
    into the file; None where no request brings a range. ``identity`` is that of the file that is
    fetched. ``check`` is called while the disk or the digest is waited for, and may end that with
    CancelledError. For ``mode_of`` see ``PartFile``.

    Raises TargetError while another raydl writes the same target, and where what is there is of
    others or of another URL, OutputError for what the file system refuses, WrongAnswerError where
    a web page has come in place of what was kept.
    """

    in_order = False

    def __init__(
        self,
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
    ) -> None:
        self._target, self._call_check = target, check
        self._error: BaseException | None = None
        """Why the file took no bytes, which ends whatever this waits for."""
        self._journal_path = target.with_name(target.name + ".part.journal")
        self._overwrite, self._keep_bad = overwrite, keep_bad
        self._size = remote.size
        # Without ranges nothing can be resumed: the journal only identifies the file.
        self._can_resume = remote.size is not None and remote.ranges
        self._began = self._ended = self._is_closing = False
        self._beginning = threading.Lock()
        self._lock = threading.Lock()
        self._there = Coverage()
        """The bytes of the file that were kept, written here, or taken over from slots."""
        self._replaces: tuple[int, ...] = ()
        """The stamp of the only file that may be replaced, where not just any may be."""
        self._writer: str | None = None
        """Who has written what is there at any place."""
        self.note, self.left = "", 0
        self.slots: Slots | None = None
        self.on_error: Callable[[BaseException], None] = lambda _: None
        """Gets why the file refuses bytes, from whatever thread."""
        with contextlib.ExitStack() as on_error:
            self._digest = FileDigest(proof)
            on_error.callback(self._digest.close)
            try:
                self._part = PartFile(target, mode_of)
                on_error.callback(self._let_go)
                self._there = self._take_over(remote, identity, resume, proof is not None)
            except OSError as error:
                raise output_error(error, target) from None
            self.kept = Coverage(self._there)
            self.is_proven = proof is not None
            journal = Journal.of(remote, identity).with_synced(self.kept)
            self._journal = replace(journal, writer=self._writer if self.kept.size else None)
            recorded = self._journal if self._can_resume else None
            if self._can_resume:
                self.slots = Slots(self._file, self._refused)
            self._syncer = self._new_syncer(recorded, self.kept)
            self._digest.follow(self._part, self.kept.prefix)
            on_error.pop_all()

    @property
    def written(self) -> int:
        """How many bytes of the file are there."""
        return self._there.size

    def write(self, data: memoryview, start: int) -> None:
        """Put the bytes at their place. Raises OutputError; what was written before stays."""
        try:
            self._begin()
            stop = start + data.nbytes
            if self.slots is not None:
                self.slots.clear(start, stop)
            write_at(self._part.fd, start, data)
            self._took(start, stop)
        except OSError as error:
            raise output_error(error, self._part.path, self._how_to_go_on()) from None

    def placed(self, start: int, stop: int) -> None:
        """These bytes came through a slot. Raises OutputError, as ``write`` does."""
        try:
            self._took(start, stop)
        except OSError as error:
            raise output_error(error, self._part.path, self._how_to_go_on()) from None

    def _took(self, start: int, stop: int) -> None:
        with self._lock:
            self._there.add(start, stop)
        self._digest.follow(self._part, self._there.prefix)
        self._syncer.wrote()

    def finish(self) -> dict[str, str]:
        """Check length and digest, sync, and rename onto the target.

        Raises ChecksumError (the bytes are dropped, or kept as ``NAME.bad``: they would only fail
        again), TargetError when the target has come into being meanwhile, OutputError.
        """
        path = self._part.path
        if self.slots is not None:
            self.slots.close()
        self._syncer.stop_noting()
        if self._size is not None and self.written != self._size:
            raise OutputError(f"{path} has {self.written} bytes instead of {self._size}")
        try:
            self._syncer.settle()
            self._begin()
            if self._part.length != self.written:
                raise OutputError(f"{path} was changed by someone else", "run it again")
            try:
                digests = self._digest.verify(str(self._target), self._check)
            except ChecksumError as error:
                if self._keep_bad:
                    error.hint = f"{error.hint}; the bytes are in {self._set_aside()}"
                else:
                    self._drop()
                    error.hint = f"{error.hint}; the bytes were discarded, --keep-bad keeps them"
                raise
            self._syncer.bring()
            self._part.move(self._overwrite, self._replaces)
            self._journal_path.unlink(missing_ok=True)
            sync_directory(self._target.parent)
        except OSError as error:
            raise output_error(error, self._target, self._how_to_go_on()) from None
        self._ended = True
        return digests

    def close(self) -> None:
        """Sync and record what there is, so that the next run goes on from it."""
        self._is_closing = True
        try:
            if self.slots is not None:
                self.slots.close()
            if not self._ended and self._can_resume:
                # Where that fails or takes long, the journal stays behind what was written: less
                # is left.
                with contextlib.suppress(OSError, OutputError):
                    self._syncer.close()
                self.left = self._syncer.synced.size if self._part.is_in_place() else 0
        finally:
            self._syncer.stop_noting()
            self._digest.close()
            self._let_go()

    def _let_go(self) -> None:
        with contextlib.suppress(OSError):
            is_of_use = self._part.length and (self._can_resume or not self._began)
            if not self._ended and not is_of_use:
                self._drop()
        self._part.close()

    def _new_syncer(self, journal: Journal | None, synced: Coverage) -> Syncer:
        return Syncer(self._part, journal, self._journal_path, synced, self._landed, self._check)

    def _landed(self) -> Coverage:
        """All that is in the file and right."""
        landed = Coverage() if self.slots is None else self.slots.landed
        with self._lock:
            for start, stop in self._there:
                landed.add(start, stop)
        return landed

    def _file(self) -> int:
        """The file's descriptor, once bytes may be written there. Raises OSError."""
        self._begin()
        return self._part.fd

    def _refused(self, error: OSError | RaydlError) -> None:
        if isinstance(error, OSError):
            error = output_error(error, self._part.path, self._how_to_go_on())
        self._error = error
        self.on_error(error)

    def _check(self) -> None:
        if self._error is not None and not self._is_closing:
            raise self._error
        self._call_check()

    def _take_over(
        self, remote: Remote, identity: Identity, resume: bool, proven: bool
    ) -> Coverage:
        """What stays of an earlier run; ``note`` says so."""
        length, kept = self._part.length, Coverage()
        if length:
            old = journal_of(self._part, self._journal_path)
            self._writer = old.writer
            self.note = why_start_over(
                self._part, old, remote, identity,
                resume=resume, overwrite=self._overwrite, proven=proven,
            )  # fmt: skip
            if not self.note:
                kept = self._synced(old, old.kept(length))
                self.note = self._told(kept.size)
        if self._size is not None:
            # What is cut off makes room for what comes in its place.
            check_space(self._target, self._size - min(length, self._part.room))
        return kept

    def _told(self, kept: int) -> str:
        if not kept or not self._size:
            return f"starting over: nothing in {self._part.path.name} is certain"
        percent = 100 * kept / self._size
        return f"going on from {format_size(kept)} ({percent:.0f} %) kept from before"

    def _begin(self) -> None:
        """Cut off what does not stay, now that something comes in its place. Any thread may.

        After each step the journal fits the file: what it does not vouch for is cut off before
        it is replaced, and no byte changes before the new one is there to stay.
        """
        with self._beginning:
            if self._began:
                return
            self._cut_off()
            if self._overwrite:  # whoever may not read what is there may not read what replaces it
                self._part.take_mode(READ_AND_WRITE)
            self._journal.save(self._journal_path)
            sync_directory(self._target.parent)
            self._syncer.begin()
            self._began = True

    def _cut_off(self) -> None:
        """Leave nothing of what does not stay, but in gaps. Raises OSError."""
        if self._writer is not None and not self.kept.size and self._part.length:
            self._part.renew()  # what a worker of an earlier run still writes goes nowhere then
        else:
            self._part.cut(max((stop for _, stop in self.kept), default=0))

    def _synced(self, old: Journal, kept: Coverage) -> Coverage:
        """How much of what is ``kept`` reaches the disk: the run that wrote it may not know."""
        safe = old.kept_safe(self._part.length)
        syncer = Syncer(self._part, old, self._journal_path, safe, lambda: kept, self._check)
        with contextlib.suppress(OSError):
            syncer.bring()
            return kept
        return safe

    def _drop(self) -> None:
        """Remove the part file and its journal."""
        self._ended = True
        if self._part.is_in_place():
            self._part.drop()
            self._journal_path.unlink(missing_ok=True)

    def _set_aside(self) -> Path:
        """Keep what is wrong under a name that nobody takes for the file."""
        bad = self._part.set_aside()
        self._ended = True
        self._journal_path.unlink(missing_ok=True)
        return bad

    def _how_to_go_on(self) -> str:
        return "run the same command again to go on" if self._can_resume else ""
