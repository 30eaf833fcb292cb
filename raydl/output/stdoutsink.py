"""Standard output as a sink: nothing else gets there while a file does."""

from __future__ import annotations

import contextlib
import os
import sys

from raydl.model.coverage import Coverage
from raydl.model.digests import Proof, RunningDigest
from raydl.output.oserrors import stdout_error
from raydl.output.sink import write_hashed

STDOUT_FD, STDERR_FD = 1, 2


class StdoutSink:
    """Standard output; what is out cannot be taken back.

    While it is open, nothing else gets there: file descriptor 1 leads to standard error, so a
    line that any library prints cannot land in the middle of the file.
    """

    note, left, in_order = "", 0, True

    def __init__(self, proof: Proof | None) -> None:
        self.kept = Coverage()
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

    def write(self, data: memoryview, start: int) -> None:  # noqa: ARG002 - they come in order
        """Write the next bytes. Raises OutputError when the reader has gone."""
        try:
            write_hashed(self._fd, data, self._digest)
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
