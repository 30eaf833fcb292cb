"""What a node does for a bucket: bytes that lie in the object store are summed, hashed and sent.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
No state but a running digest: whatever is asked for again is done again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from raydl.model.digests import Hash, new_hash
from raydl.origin.upload import Uploader
from raydl.workers.nodefiles import LOST, Answer

GetObjects = Callable[[Sequence[Any], float], "list[memoryview] | None"]
"""The bytes of objects, if all come here within so many seconds; LookupError for lost ones."""

LOOK_SECONDS = 0.5
"""Between two looks whether what is waited for is still wanted."""


class Uploaders:
    """Connections for PUTs, each for one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str | None, list[Uploader]] = {}
        self._busy: set[Uploader] = set()
        self.rests = 0
        """How often all of them were ended."""

    @contextlib.contextmanager
    def lent(self, ca: str | None, rests: int) -> Iterator[Uploader]:
        """One that trusts these certificates; it does nothing if all were ended since ``rests``."""
        with self._lock:
            idle = self._idle.get(ca)
            uploader = idle.pop() if idle else Uploader(ca)
            self._busy.add(uploader)
            if rests != self.rests:
                uploader.abort()
        try:
            yield uploader
        finally:
            with self._lock:
                self._busy.discard(uploader)
                if not uploader.aborted:
                    self._idle.setdefault(ca, []).append(uploader)
            if uploader.aborted:
                uploader.close()

    def rest(self) -> None:
        """End whatever is under way."""
        with self._lock:
            self.rests += 1
            idle = [uploader for uploaders in self._idle.values() for uploader in uploaders]
            self._idle.clear()
            for uploader in self._busy:
                uploader.abort()
        for uploader in idle:
            uploader.close()


class Puts:
    """The work of this node for buckets, by as many threads as call.

    Methods return plain data and raise nothing. ``refs`` are the objects that make up a block, in
    their order, as a list, so that Ray hands them on and does not wait for them; ``sizes`` their
    bytes. An answer with the class ``LookupError`` has the indices of what is lost as its result.
    """

    def __init__(self, get_objects: GetObjects, uploaders: Uploaders | None = None) -> None:
        self._get_objects = get_objects
        self._uploaders = uploaders or Uploaders()
        self._lock = threading.Lock()
        self._digests: dict[str, tuple[int, Hash]] = {}

    def checksum(
        self, algorithm: str, refs: Sequence[Any], sizes: Sequence[int], limit: float
    ) -> Answer:
        """The digest (hex) of the block."""

        def compute(pieces: list[memoryview]) -> str:
            digest = new_hash(algorithm)
            for piece in pieces:
                digest.update(piece)
            return digest.hexdigest()

        return self._with(compute, refs, sizes, limit)

    def put(
        self,
        where: tuple[str, dict[str, str], float],
        ca: str | None,
        refs: Sequence[Any],
        sizes: Sequence[int],
        limit: float,
    ) -> Answer:
        """Send the block to a URL, with headers, with a timeout, trusting certificates.

        Gives the fields of a Receipt, its failure as a tuple.
        """
        url, headers, timeout = where
        rests = self._uploaders.rests

        def send(pieces: list[memoryview]) -> tuple[Any, ...]:
            with self._uploaders.lent(ca, rests) as uploader:
                etag, checksums, failure, code = uploader.put(url, headers, pieces, timeout)
            what = failure and (
                failure.kind,
                failure.message,
                failure.status,
                failure.retry_after,
            )
            return etag, checksums, what, code

        return self._with(send, refs, sizes, limit)

    def hash(
        self,
        key: str,
        algorithm: str,
        at: int,
        refs: Sequence[Any],
        sizes: Sequence[int],
        limit: float,
    ) -> Answer:
        """Take the block that begins at byte ``at`` into the running digest of ``key``.

        Gives whether that is where the digest had come to: another worker has begun anew.
        """

        def update(pieces: list[memoryview]) -> bool:
            with self._lock:
                done, digest = self._digests.get(key) or (0, new_hash(algorithm))
                self._digests[key] = done, digest
            if done != at:
                return False
            for piece in pieces:
                digest.update(piece)
            self._digests[key] = at + sum(sizes), digest
            return True

        return self._with(update, refs, sizes, limit)

    def digest(self, key: str, at: int) -> Answer:
        """The digest (hex) of the ``at`` bytes of ``key``; empty where it is not of these."""
        with self._lock:
            done, digest = self._digests.pop(key, (0, None))
        return None, "" if digest is None or done != at else digest.hexdigest()

    def rest(self) -> None:
        """End whatever is under way, and forget all of it."""
        with self._lock:
            self._digests.clear()
        self._uploaders.rest()

    def _with(
        self,
        call: Callable[[list[memoryview]], Any],
        refs: Sequence[Any],
        sizes: Sequence[int],
        limit: float,
    ) -> Answer:
        try:
            pieces = self._pieces(refs, limit)
            if pieces is None:
                return (LOST, "the bytes did not come", ""), self._lost(refs, 0.0)
            if [piece.nbytes for piece in pieces] != list(sizes):
                return (LOST, "other bytes came than were fetched", ""), list(range(len(refs)))
            return None, call(pieces)
        except LookupError as error:
            return (LOST, str(error), ""), self._lost(refs, LOOK_SECONDS)
        except Exception as error:  # a bug must not keep the driver waiting, nor tell the URL
            return (type(error).__name__, f"unexpected {type(error).__name__}", ""), None

    def _pieces(self, refs: Sequence[Any], limit: float) -> list[memoryview] | None:
        began, rests = time.monotonic(), self._uploaders.rests
        while (pieces := self._get_objects(refs, LOOK_SECONDS)) is None:
            if time.monotonic() - began > limit or rests != self._uploaders.rests:
                return None
        return pieces

    def _lost(self, refs: Sequence[Any], seconds: float) -> list[int]:
        """Which of them cannot be had, each in so many seconds."""
        lost = []
        for index, ref in enumerate(refs):
            try:
                if self._get_objects([ref], seconds) is None:
                    lost.append(index)
            except LookupError:
                lost.append(index)
        return lost
