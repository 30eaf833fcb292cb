"""What the workers on this machine are doing, as they report it.

A node's owner wants to see it without a connection to the cluster. The path of a socket is handed
down to the workers in their environment; they send a small record there whenever the driver
asks them how they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "_RAYDL_MONITOR"
"""Where workers find the path; ``raydl.workers.worker`` reads the same variable. Options begin with
RAYDL_."""

SILENT_SECONDS = 2.0
"""Workers are asked four times a second while there is a download."""


@dataclass(frozen=True)
class Activity:
    """Lanes at work, bytes that have come from origins, bytes a second."""

    lanes: int = 0
    received: int = 0
    speed: float = 0.0


class Monitor:
    """Hears the workers of this machine. Not for several threads at once."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="raydl"))  # only this user may enter
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(str(self.path))
        except OSError:  # its name may have 107 bytes
            self.close()
            raise
        self._workers: dict[int, tuple[float, int, int]] = {}
        self._marks: list[tuple[float, int]] = []

    @property
    def path(self) -> Path:
        """Of the socket."""
        return self._folder / "monitor"

    def read(self) -> Activity:
        """What is known now."""
        now = time.monotonic()
        with contextlib.suppress(OSError):  # there is no more, or it was closed
            while True:
                with contextlib.suppress(ValueError, TypeError):
                    pid, lanes, received = json.loads(self._socket.recv(1000))
                    self._workers[int(pid)] = (now, int(lanes), int(received))
        received = sum(received for _, _, received in self._workers.values())
        self._marks.append((now, received))
        while len(self._marks) > 2 and self._marks[1][0] <= now - SILENT_SECONDS:
            self._marks.pop(0)
        then, before = self._marks[0]
        return Activity(
            sum(lanes for at, lanes, _ in self._workers.values() if now - at < SILENT_SECONDS),
            received,
            (received - before) / (now - then) if now - then > 0.1 else 0.0,
        )

    def close(self) -> None:
        """No more."""
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def make_monitor() -> Monitor | None:
    """A monitor, or None where this system has no sockets for it: it is not worth failing for."""
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        return None
    try:
        return Monitor()
    except OSError:
        return None
