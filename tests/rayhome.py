"""A home directory and a place for Ray that are a test's own, with a short path."""

import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import raydl


@contextmanager
def ray_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """HOME and RAY_TMPDIR are there; in the end no process is left that has them."""
    with tempfile.TemporaryDirectory(prefix="rdl", ignore_cleanup_errors=True) as temp:
        home = Path(temp)
        monkeypatch.setenv("HOME", temp)
        monkeypatch.setenv("RAY_TMPDIR", temp)
        monkeypatch.setenv("XDG_STATE_HOME", temp)
        yield home
        raydl.disconnect()
        end = time.monotonic() + 5  # what was killed takes a moment to be gone
        while (left := processes(home)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not left


def processes(home: Path) -> list[str]:
    """Command lines of what was started with it as its place for Ray, by whomever."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RAY_TMPDIR") == str(home):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def free_port() -> int:
    """One that nothing listens at now, out of the range from which Ray takes its own."""
    while True:
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
