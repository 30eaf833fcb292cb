"""The digest of a file that is being written in any order: it follows what has no gap before it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from raydl.model.digests import Proof, new_hash
from raydl.model.errors import THREADS_HINT, OutputError
from raydl.output.partfile import PartFile
from raydl.output.ranges import fill

HASH_SIZE = 1 << 20
"""Bytes that are taken in at once: few enough to stay in a processor's cache."""

CHECK_SECONDS = 0.1


class FileDigest:
    """Reads back, in a thread of its own, what is in the system's cache; nothing without a proof.

    So whoever writes hands nothing over and waits for nothing, and what is compared is what the
    file has.
    """

    def __init__(self, proof: Proof | None) -> None:
        self._proof = proof
        self._hash = new_hash(proof.checksum.algorithm) if proof else None
        self._changed = threading.Condition()
        self._prefix = self._done = 0
        self._is_over = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to compute."""
        return self._hash is not None

    def follow(self, part: PartFile, prefix: int) -> None:
        """The first ``prefix`` bytes of the file are there, and stay as they are.

        Raises OutputError where no thread can be had.
        """
        if self._hash is None or not prefix:
            return
        with self._changed:
            self._prefix = prefix
            self._changed.notify_all()
        if self._thread is None:
            work = (part.again(),)
            thread = threading.Thread(target=self._run, args=work, name="raydl-digest", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                work[0].close()
                raise OutputError(
                    "the system starts no thread to compute the digest with", THREADS_HINT
                ) from error
            self._thread = thread

    def verify(self, what: str, check: Callable[[], None]) -> dict[str, str]:
        """The digest of what was there last, by its algorithm; ``check`` is called meanwhile.

        Raises ChecksumError for another than the one expected, OutputError.
        """
        if self._hash is None or self._proof is None:
            return {}
        with self._changed:
            while self._done < self._prefix and self._error is None:
                check()
                self._changed.wait(CHECK_SECONDS)
            if self._error is not None:
                raise self._error
        digest = self._hash.hexdigest()
        self._proof.verify(digest, what)
        return {self._proof.checksum.algorithm: digest}

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self, part: PartFile) -> None:
        buffer = memoryview(bytearray(HASH_SIZE))
        try:
            while (stop := self._next()) is not None:
                data = buffer[: stop - self._done]
                fill(part.fd, self._done, data, part.path)
                assert self._hash is not None
                self._hash.update(data)
                with self._changed:
                    self._done = stop
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            part.close()

    def _next(self) -> int | None:
        """Up to where it can be read at once; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._prefix > self._done)
            return None if self._is_over else min(self._prefix, self._done + HASH_SIZE)
