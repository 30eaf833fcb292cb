"""Where this process and a node's worker find out whether they see the same directory."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from raydl.model.errors import TargetError
from raydl.settings.ownfile import make_own, open_own
from raydl.workers.sharedfiles import PLACE_BYTES, WORD_BYTES


class Invitation(NamedTuple):
    """What a node is to find, what to leave, and as which one."""

    word: str
    reply: str
    number: int


class Meeting:
    """A file that is there as long as a node is to show that it sees it; no other run has its name.

    It has a word of ours, and each node leaves its own. Raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._word = secrets.token_hex(WORD_BYTES // 2)
        self._number = 0
        self._invited: dict[str, Invitation] = {}

    def invite(self, node: str) -> Invitation:
        """What to tell that node."""
        if not self._invited:
            with contextlib.suppress(FileExistsError), self._opened(make=True) as fd:
                os.write(fd, self._word.encode())
                os.fsync(fd)
        self._number += 1
        reply = secrets.token_hex(WORD_BYTES // 2)
        self._invited[node] = Invitation(self._word, reply, self._number)
        return self._invited[node]

    def has_come(self, node: str) -> bool:
        """Whether what that node wrote is here."""
        _, reply, number = self._invited[node]
        with contextlib.suppress(OSError, TargetError), self._opened() as fd:
            return os.pread(fd, WORD_BYTES, PLACE_BYTES * number) == reply.encode()
        return False

    def leave(self, node: str) -> None:
        """Expect that node no longer; the file goes with the last one."""
        if self._invited.pop(node, None) is not None and not self._invited:
            self.close()

    def close(self) -> None:
        """Leave nothing."""
        self._invited.clear()
        with contextlib.suppress(OSError):
            self.path.unlink()

    @contextlib.contextmanager
    def _opened(self, make: bool = False):  # type: ignore[no-untyped-def]
        fd = make_own(self.path, os.O_WRONLY, 0o600) if make else open_own(self.path, os.O_RDONLY)
        try:
            yield fd
        finally:
            os.close(fd)
