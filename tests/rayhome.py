"""A home directory and a place for Ray that are a test's own, with a short path."""

import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import raydl


@contextmanager
def ray_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """HOME and RAY_TMPDIR are there; every process that Ray left is found by its name."""
    with tempfile.TemporaryDirectory(prefix="rdl", ignore_cleanup_errors=True) as temp:
        home = Path(temp)
        monkeypatch.setenv("HOME", temp)
        monkeypatch.setenv("RAY_TMPDIR", temp)
        monkeypatch.setenv("XDG_STATE_HOME", temp)
        yield home
        raydl.disconnect()
        assert not processes(home)


def processes(home: Path) -> list[str]:
    """Command lines of what runs in it."""
    told = subprocess.run(
        ["ps", "-wweo", "args"], capture_output=True, text=True, check=True
    ).stdout
    return [line for line in told.splitlines() if str(home) in line and "ps -wweo" not in line]


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
