"""A file that is there, whole, from before: known by the record beside it, and read from."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from raydl.model.digests import Proof, is_known, new_hash
from raydl.model.errors import OutputError
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.ranges import read_range, stamp_of
from raydl.output.record import Record, record_path

READ_SIZE = 8 << 20


class Finished:
    """A file as its ``record`` says. What is looked at is what is read: it is open from then on.

    Any thread may call it, also while another closes it. Raises OSError where it cannot be opened.
    """

    def __init__(self, target: Path, record: Record) -> None:
        self._target, self.record = target, record
        self._lock = threading.Lock()
        # Anything may be there by now; a pipe must not hold us.
        self._fd = os.open(target, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        self._is_open = True

    def read(self, start: int, stop: int) -> bytearray:
        """These bytes, of a file that nobody has changed. Raises OutputError."""
        with self._lock:
            if not self._is_open:
                raise OutputError(f"{self._target} was closed")
            fd = os.dup(self._fd)  # it may be closed meanwhile, and its number be another file's
        try:
            return read_range(fd, start, stop, self._target, self.record.stamp)
        finally:
            os.close(fd)

    def objection(
        self,
        remote: Remote,
        identity: Identity,
        proof: Proof | None,
        algorithm: str | None,
        verify: bool,
        check: Callable[[], None],
    ) -> str:
        """Why it is not known to be the file that ``remote`` is; else empty.

        It is read to ``verify`` it, and where its record lacks the digest of that ``algorithm``;
        ``check`` is called meanwhile. Raises OutputError, OSError.
        """
        known = self.record.digests
        is_unchanged = stamp_of(self._fd) == self.record.stamp
        if algorithm and is_unchanged and (verify or algorithm not in known):
            # Those that are recorded, too: what is computed now is only worth what they show.
            found = self._compute({algorithm, *filter(is_known, known)}, check)
            if any(found.get(name, digest) != digest for name, digest in known.items()):
                with contextlib.suppress(OSError):  # nobody shall take it for that any more
                    record_path(self._target).unlink()
                return "it does not have its digest any more"
            self.record = replace(self.record, digests={**known, **found})
        return self.record.objection(self._fd, remote, identity, proof)

    def close(self) -> None:
        """Let go of it."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._fd)

    def _compute(self, algorithms: Iterable[str], check: Callable[[], None]) -> dict[str, str]:
        digests, (size, *_) = {name: new_hash(name) for name in algorithms}, self.record.stamp
        for start in range(0, size, READ_SIZE):
            data = memoryview(self.read(start, min(start + READ_SIZE, size)))
            for digest in digests.values():
                digest.update(data)
            check()
        return {name: digest.hexdigest() for name, digest in digests.items()}


def find(
    target: Path,
    remote: Remote,
    identity: Identity,
    *,
    proof: Proof | None,
    algorithm: str | None,
    verify: bool,
    check: Callable[[], None],
) -> tuple[Finished | None, str]:
    """The file at ``target`` where it is known to be the one that ``remote`` is; else None, and
    why it is not where it was one of ours. For the rest see ``Finished.objection``.
    """
    record = Record.load(record_path(target))
    if record is None or not target.is_file():
        return None, ""
    try:
        file = Finished(target, record)
    except OSError as error:
        return None, f"it cannot be read: {error.strerror}"
    why = "unknown"
    try:
        why = file.objection(remote, identity, proof, algorithm, verify, check)
    finally:
        if why:
            file.close()
    return (None, why) if why else (file, "")
