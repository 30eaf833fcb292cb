"""Where the bytes go, in order: a ``.part`` file that becomes the target, or standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from raydl.model.digests import Proof, RunningDigest
from raydl.model.errors import ChecksumError, OutputError, TargetError, WrongAnswerError
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.model.weburl import redact
from raydl.origin import PAGE
from raydl.output.journal import Journal
from raydl.output.partfile import PartFile
from raydl.output.syncer import Syncer
from raydl.output.target import check_space, output_error, stdout_error

_READ_SIZE = 8 << 20

_READ_AND_WRITE = 0o600
"""The permissions that the owner needs to resume a ``.part`` file."""

STDOUT_FD, STDERR_FD = 1, 2


class Sink(Protocol):
    """Receives the bytes in order, then verifies and publishes them.

    ``kept`` bytes are there from an earlier run, ``note`` says so, ``written`` counts both;
    ``left`` are those that a later run can go on from, once this is closed; ``is_proven`` says
    whether a digest will prove the bytes.
    """

    kept: int
    note: str
    written: int
    left: int
    is_proven: bool

    def write(self, data: memoryview) -> None:
        """Take the next bytes. Raises OutputError."""

    def finish(self) -> dict[str, str]:
        """All bytes were written: verify, and deliver. Returns the digests that were verified."""

    def close(self) -> None:
        """Let go, whatever happened; what can be resumed later is kept."""


class FileSink:
    """``NAME.part`` with its journal; renamed to ``NAME`` when it is whole and verified.

    The target path is not touched before. ``kept`` is the number of bytes taken over from an
    earlier run and ``note`` the line that says so. ``check`` is called while what is kept is read
    or the disk is waited for, and may end that with CancelledError. Raises TargetError while
    another raydl writes the same target, and where what is there is of others or of another URL,
    OutputError for what the file system refuses, WrongAnswerError where a web page has come in
    place of what was kept.
    """

    def __init__(
        self,
        target: Path,
        remote: Remote,
        *,
        proof: Proof | None,
        resume: bool,
        overwrite: bool,
        check: Callable[[], None],
        keep_bad: bool = False,
    ) -> None:
        self._target, self._check = target, check
        self._journal_path = target.with_name(target.name + ".part.journal")
        self._overwrite, self._keep_bad = overwrite, keep_bad
        self._size = remote.size
        # Without ranges nothing can be resumed: the journal only identifies the file.
        self._can_resume = remote.size is not None and remote.ranges
        self._began = self._ended = False
        self.kept, self.note, self.left = 0, "", 0
        with contextlib.ExitStack() as on_error:
            self._digest = RunningDigest(proof)
            on_error.callback(self._digest.close)
            try:
                self._part = PartFile(target)
                on_error.callback(self._let_go)
                self._take_over(remote, resume, proof is not None)
            except OSError as error:
                raise output_error(error, target) from None
            on_error.pop_all()
        self.written = self.kept
        self.is_proven = proof is not None
        self._journal = Journal.of(remote).with_synced(self.kept)
        recorded = self._journal if self._can_resume else None
        self._syncer = Syncer(self._part, recorded, self._journal_path, self.kept, check)

    def write(self, data: memoryview) -> None:
        """Append the next bytes. Raises OutputError; what was written before stays."""
        try:
            self._begin()
            _write_hashed(self._part.fd, data, self._digest)
            self.written += data.nbytes
            self._syncer.wrote(self.written)
        except OSError as error:
            raise output_error(error, self._part.path, self._how_to_go_on()) from None

    def finish(self) -> dict[str, str]:
        """Check length and digest, sync, and rename onto the target.

        Raises ChecksumError (the bytes are dropped, or kept as ``NAME.bad``: they would only fail
        again), TargetError when the target has come into being meanwhile, OutputError.
        """
        path = self._part.path
        if self._size is not None and self.written != self._size:
            raise OutputError(f"{path} has {self.written} bytes instead of {self._size}")
        try:
            self._syncer.settle()
            self._begin()
            if self._part.length != self.written:
                raise OutputError(f"{path} was changed by someone else", "run it again")
            try:
                digests = self._digest.verify(str(self._target))
            except ChecksumError as error:
                if self._keep_bad:
                    error.hint = f"{error.hint}; the bytes are in {self._set_aside()}"
                else:
                    self._drop()
                    error.hint = f"{error.hint}; the bytes were discarded, --keep-bad keeps them"
                raise
            self._syncer.bring(self.written)
            self._part.move(self._overwrite)
            self._journal_path.unlink(missing_ok=True)
            _sync_directory(self._target.parent)
        except OSError as error:
            raise output_error(error, self._target, self._how_to_go_on()) from None
        self._ended = True
        return digests

    def close(self) -> None:
        """Sync and record what there is, so that the next run goes on from it."""
        try:
            if not self._ended and self._can_resume:
                # Where that fails or takes long, the journal stays behind what was written: less
                # is left.
                with contextlib.suppress(OSError, OutputError):
                    self._syncer.close()
                self.left = self._syncer.synced if self._part.is_in_place() else 0
        finally:
            self._digest.close()
            self._let_go()

    def _let_go(self) -> None:
        with contextlib.suppress(OSError):
            is_of_use = self._part.length and (self._can_resume or not self._began)
            if not self._ended and not is_of_use:
                self._drop()
        self._part.close()

    def _take_over(self, remote: Remote, resume: bool, proven: bool) -> None:
        """Find out what of an earlier run can stay, and bring the digest up to it."""
        length = self._part.length
        old = Journal.load(self._journal_path)
        if length:
            self.kept, self.note = self._keepable(old, remote, length, resume, proven)
        if self._size is not None:
            # What is cut off makes room for what comes in its place.
            check_space(self._target, self._size - length)
        self._rehash()

    def _begin(self) -> None:
        """Cut off what does not stay, now that something comes in its place.

        After each step the journal fits the file: what it does not vouch for is cut off before
        it is replaced, and no byte changes before the new one is there to stay.
        """
        if self._began:
            return
        self._part.cut(self.kept)
        if self._overwrite:  # whoever may not read what is there may not read what replaces it
            self._part.take_mode(_READ_AND_WRITE)
        self._journal.save(self._journal_path)
        _sync_directory(self._target.parent)
        os.lseek(self._part.fd, self.kept, os.SEEK_SET)
        self._began = True

    def _keepable(
        self, old: Journal | None, remote: Remote, length: int, resume: bool, proven: bool
    ) -> tuple[int, str]:
        name = self._part.path.name
        if old is None:
            raise TargetError(
                f"{self._part.path} is there, without a journal of raydl's that can be read",
                "move it away or remove it, or save elsewhere with -o",
            )
        if resume:
            _refuse_page(old, remote, name)
        another = old.another_url(remote, proven)
        if another:
            return 0, self._start_over_another(another, old.kept(length))
        if not resume:
            return 0, "starting over (--no-resume)"
        if not self._can_resume:
            return 0, "starting over: the origin serves no byte ranges"
        objection = old.objection(remote, proven)
        if objection:
            return 0, f"starting over, {name} does not fit: {objection}"
        kept = self._synced(old, old.kept(length))
        if not kept or not self._size:
            return 0, f"starting over: nothing in {name} is certain"
        percent = 100 * kept / self._size
        return kept, f"going on from {format_size(kept)} ({percent:.0f} %) kept from before"

    def _start_over_another(self, url: str, kept: int) -> str:
        """The line that says so. Raises TargetError where that would cost what is kept of it."""
        if kept and not self._overwrite:
            raise TargetError(
                f"{self._part.path} has {format_size(kept)} of another URL, {url}",
                "--overwrite starts over, or save under another name with -o",
            )
        return f"starting over, {self._part.path.name} is of another URL, {url}"

    def _synced(self, old: Journal, kept: int) -> int:
        """How many of the ``kept`` bytes reach the disk: the run that wrote them may not know."""
        syncer = Syncer(self._part, old, self._journal_path, old.synced, self._check)
        with contextlib.suppress(OSError):
            syncer.bring(kept)
            return kept
        return old.synced

    def _rehash(self) -> None:
        """Bring the digest up to the bytes that are kept: its state cannot be stored."""
        left = self.kept if self._digest.wanted else 0
        while left:
            data = os.read(self._part.fd, min(left, _READ_SIZE))
            if not data:
                raise OutputError(f"{self._part.path} became shorter while it was read")
            self._digest.take(memoryview(data))
            left -= len(data)
            self._check()

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


class StdoutSink:
    """Standard output; what is out cannot be taken back.

    While it is open, nothing else gets there: file descriptor 1 leads to standard error, so a
    line that any library prints cannot land in the middle of the file.
    """

    kept, note, left = 0, "", 0

    def __init__(self, proof: Proof | None) -> None:
        self._digest = RunningDigest(proof)
        self.is_proven = proof is not None
        self.written = 0
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        self._fd = os.dup(STDOUT_FD)
        if os.path.sameopenfile(STDOUT_FD, STDERR_FD):
            elsewhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(elsewhere, STDOUT_FD)
            os.close(elsewhere)
        else:
            os.dup2(STDERR_FD, STDOUT_FD)

    def write(self, data: memoryview) -> None:
        """Write the next bytes. Raises OutputError when the reader has gone."""
        try:
            _write_hashed(self._fd, data, self._digest)
        except OSError as error:
            raise stdout_error(error) from None
        self.written += data.nbytes

    def finish(self) -> dict[str, str]:
        """Check the digest. Raises ChecksumError, with the bytes already out."""
        return self._digest.verify("what was written to standard output")

    def close(self) -> None:
        """Give standard output back."""
        self._digest.close()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        os.dup2(self._fd, STDOUT_FD)
        os.close(self._fd)


def _write_hashed(fd: int, data: memoryview, digest: RunningDigest) -> None:
    """Write all of ``data`` while the digest takes it in. Raises OSError."""
    hashed = digest.update(data)
    try:
        while data.nbytes:
            data = data[os.write(fd, data) :]
    finally:
        if hashed is not None:
            hashed.result()


def _refuse_page(old: Journal, remote: Remote, name: str) -> None:
    """Raise WrongAnswerError for a web page where the run before got something else.

    A page that wants a login stands in for every file, and would cost what is kept of this one.
    """
    before = old.media_type
    if remote.media_type != PAGE or before in (PAGE, None):
        return
    if old.url == redact(remote.url) and old.size != remote.size:
        raise WrongAnswerError(
            f"the origin sends a web page ({PAGE}) where {name} began as {_told(before, old.size)}",
            "look at the URL in a browser: it may want a login; --no-resume takes the page",
        )


def _told(media_type: str | None, size: int | None) -> str:
    what = media_type or "something else"
    return what if size is None else f"{what} of {format_size(size)}"


def _sync_directory(path: Path) -> None:
    """Make the rename itself durable, where directories can be synced."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
