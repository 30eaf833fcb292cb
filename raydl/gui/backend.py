"""Downloads in a process of their own, so that no work of theirs holds a window up: its side.

The other one is ``backendserver``. Between them go pickled tuples over that one's standard input
and output.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raydl.cluster.program import run_module
from raydl.many.wanted import Wanted

AGAIN_SECONDS = 3.0

Message = tuple[Any, ...]


class Backend:
    """The window's side. ``deliver`` gets lists of messages, on a thread of ours.

    ``("event", key, event)``, ``("ended", key, report or None, error or None)``, both for a run
    that left some files behind, ``("nodes", list of Node or error)``, and ``("died", number)`` when
    a process is gone unasked; processes are counted from 1.
    """

    def __init__(self, deliver: Callable[[list[Message]], None]) -> None:
        self._deliver = deliver
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._spawned_at = 0.0
        self._watched = ""
        self._is_closed = False
        self._reports: tempfile.TemporaryDirectory[str] | None = None

    def start(self, key: int, url: str, output: str | None, options: dict[str, Any]) -> int:
        """Begin a download, which ``key`` names from now on; returns the process's number."""
        if not self._is_alive and not self._is_closed:
            self._spawn()
        self._send("start", key, url, output, options)
        return self._number

    def start_many(
        self, key: int, wanted: Wanted, name: str | None, options: dict[str, Any], report: Path
    ) -> int:
        """The same for many files; ``name`` is a template, ``report`` a file to write."""
        if not self._is_alive and not self._is_closed:
            self._spawn()
        self._send("start_many", key, wanted, name, options, str(report))
        return self._number

    def report_path(self, key: int) -> Path:
        """Where the report of many files is until this is closed."""
        if self._reports is None:
            self._reports = tempfile.TemporaryDirectory(
                prefix="raydl-reports-",
                ignore_cleanup_errors=True,  # one may be open in another program
            )
        return Path(self._reports.name, f"files-{key}.csv")

    def pause(self, key: int) -> None:
        """Ask the origin for nothing more."""
        self._send("pause", key)

    def resume(self, key: int) -> None:
        """Go on."""
        self._send("resume", key)

    def cancel(self, key: int) -> None:
        """End it, and keep what had arrived."""
        self._send("cancel", key)

    def watch(self, address: str) -> None:
        """Tell the nodes of that cluster, every two seconds; of none for an empty address."""
        self._watched = address
        if address and not self._is_alive and not self._is_closed:
            self._spawn()
        else:
            self._send("watch", address)

    def look_after(self) -> None:
        """Watch on, should the process have ended: Ray may end it with its cluster."""
        rested = time.monotonic() - self._spawned_at > AGAIN_SECONDS
        if self._watched and rested and not self._is_alive and not self._is_closed:
            self._spawn()

    def close(self) -> None:
        """End the process; its downloads keep what had arrived. Waits for it. Nothing starts
        any more."""
        self._is_closed = True
        if self._process is not None:
            _end(self._process)
        if self._reports is not None:
            self._reports.cleanup()

    @property
    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _send(self, *message: Any) -> None:
        if self._process is None or self._is_closed:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has died: the reader reports it
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _spawn(self) -> None:
        self._process = subprocess.Popen(
            run_module("raydl.gui.backendserver"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the window, which then ends this
        )
        self._number += 1
        self._spawned_at = time.monotonic()
        threading.Thread(
            target=self._read,
            args=(self._process, self._number),
            name="raydl-window-reader",
            daemon=True,
        ).start()
        if self._watched:
            self._send("watch", self._watched)

    def _read(self, process: subprocess.Popen[bytes], number: int) -> None:
        assert process.stdout is not None
        with process.stdout as stdout:
            while True:
                try:
                    batch = pickle.load(stdout)
                except (EOFError, OSError, pickle.UnpicklingError):
                    break
                self._deliver(batch)
        process.wait()
        with contextlib.suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        if not self._is_closed:
            self._deliver([("died", number)])


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.close()
        process.wait(10)
    except (OSError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()
