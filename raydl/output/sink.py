"""Where the bytes go: what every sink is, and how one writes.

``download/sinkchoice`` chooses one. What takes bytes elsewhere than in this process is a
destination of the scheduler's: see ``scheduler/destination``.
"""

from __future__ import annotations

import os
from typing import Protocol

from raydl.model.coverage import Coverage
from raydl.model.digests import RunningDigest


class Sink(Protocol):
    """Receives the bytes, then verifies and publishes them.

    ``kept`` is what is there from an earlier run, ``note`` says so, ``written`` counts the bytes
    of both; ``left`` are those that a later run can go on from, once this is closed; ``is_proven``
    says whether a digest will prove the bytes. One that is not ``in_order`` takes them as they
    come.
    """

    in_order: bool

    kept: Coverage
    note: str
    left: int
    is_proven: bool

    @property
    def written(self) -> int:
        """Bytes."""

    def write(self, data: memoryview, start: int) -> None:
        """Take these bytes of the file, whose first has this position. Raises OutputError."""

    def finish(self) -> dict[str, str]:
        """All bytes were written: verify, and deliver. Returns the digests that were verified."""

    def close(self) -> None:
        """Let go, whatever happened; what can be resumed later is kept."""


def write_hashed(fd: int, data: memoryview, digest: RunningDigest) -> None:
    """Write all of ``data`` while the digest takes it in. Raises OSError."""
    hashed = digest.update(data)
    try:
        while data.nbytes:
            data = data[os.write(fd, data) :]
    finally:
        if hashed is not None:
            hashed.result()
