"""A directory as a sink: an archive is unpacked while it comes, and no copy of it is kept."""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from raydl.model.coverage import Coverage
from raydl.model.digests import Proof, RunningDigest
from raydl.model.errors import CancelledError, ChecksumError
from raydl.model.remote import Remote
from raydl.model.waiting import next_item
from raydl.output.archive import Content, members
from raydl.output.target import check_space
from raydl.output.tree import Tree

CHECK_SECONDS = 0.2
PATIENCE = 2.0
"""An end waits no longer than this for what is being unpacked, which goes when that has ended."""

BUFFER = 256 << 10


class ExtractSink:
    """Unpacks in a thread of its own, one chunk after the other: a slow disk slows the writer.

    The directory is there once the archive was read to its end, its digest was compared, and what
    was in it is on the disk; else nothing of it. ``open_list`` opens the archive as a file that
    goes anywhere, whose reads another thread may ``abort``; None where there is none. ``check`` is
    called while this waits, and may end that with CancelledError.

    Raises what ``Tree`` and ``archive.members`` do.
    """

    note, left, in_order = "", 0, True

    def __init__(
        self,
        target: Path,
        remote: Remote,
        *,
        proof: Proof | None,
        overwrite: bool,
        open_list: Callable[[], Any] | None,
        check: Callable[[], None],
    ) -> None:
        self._target, self._open, self._check = target, open_list, check
        self.kept, self.written = Coverage(), 0
        self.is_proven = proof is not None
        self._chunks: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._taken = threading.Semaphore(0)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._listed: Any = None
        self._tree = Tree(target, overwrite)
        self._digest = RunningDigest(proof)
        self._thread = threading.Thread(target=self._unpack, name="raydl-extract", daemon=True)
        try:
            check_space(target, remote.size or 0)
            self._thread.start()
        except BaseException:
            self._digest.close()
            self._tree.close()
            raise

    def write(self, data: memoryview, start: int) -> None:  # noqa: ARG002 - they come in order
        """Hand it over, and wait until it was used."""
        hashed = self._digest.update(data)
        try:
            # A view of its own: where this is interrupted, that one is released at once.
            self._chunks.put(data.toreadonly())
            while not self._taken.acquire(timeout=CHECK_SECONDS):
                self._check()
        finally:
            if hashed is not None:
                hashed.result()
        self._raise_error()
        self.written += data.nbytes

    def finish(self) -> dict[str, str]:
        """Wait for the last member and the disk, compare the digest, and give it its name."""
        self._chunks.put(None)
        while self._thread.is_alive():
            self._thread.join(CHECK_SECONDS)
            self._check()
        self._raise_error()
        try:
            digests = self._digest.verify(f"the archive for {self._target}")
        except ChecksumError as error:
            error.hint = f"{error.hint}; what was unpacked was discarded"
            raise
        self._tree.publish()
        return digests

    def close(self) -> None:
        """Remove what is not whole."""
        self._stopped.set()
        self._chunks.put(None)
        if self._listed is not None:
            self._listed.abort()
        self._thread.join(PATIENCE)
        self._digest.close()
        if self._thread.is_alive():
            threading.Thread(target=self._close_later, name="raydl-extract", daemon=True).start()
        else:
            self._tree.close()

    def _close_later(self) -> None:
        self._thread.join()
        self._tree.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _unpack(self) -> None:
        open_list = None if self._open is None else self._open_list
        try:
            for member, content in members(self._pieces(), open_list, self._go_on):
                self._go_on()
                self._tree.put(member, self._watched(content))
            self._tree.sync()
        except BaseException as error:
            self._error = error
        finally:
            self._taken.release()

    def _pieces(self) -> Iterator[memoryview]:
        while (data := next_item(self._chunks)) is not None:
            yield data
            del data
            self._taken.release()

    def _open_list(self) -> IO[bytes]:
        assert self._open is not None
        self._listed = self._open()
        return io.BufferedReader(self._listed, BUFFER)

    def _watched(self, content: Content) -> Content:
        for piece in content:
            self._go_on()
            yield piece

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise CancelledError("the download was cancelled")
