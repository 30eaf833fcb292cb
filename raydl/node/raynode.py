"""Ray's own node process, `ray start --block`: started, watched and ended by this process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from raydl.cluster.program import run_module
from raydl.model.errors import ClusterError

START_SECONDS = 60.0
STOP_SECONDS = 6.0
"""A process that has not ended after this long is killed. Ray takes two seconds."""

ELSEWHERE = {} if sys.platform == "linux" else {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
"""What Ray has to be told before it makes clusters on other systems."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_READY = "Ray runtime started"
_ADDRESS = re.compile(r"Local node IP: (\S+)")
_DULL = re.compile(
    r"^\s*$|^-+$|usage stats|^\d{4}-\d\d-\d\d [\d:,]+\s+(INFO|WARNING|SUCC) |^\[\S+ \S+ [DIW] "
)


class RayNode:
    """A node of Ray on this machine, for as long as this object keeps it."""

    def __init__(self, args: list[str], environment: dict[str, str | None]) -> None:
        """Start it; ``wait_ready`` says when it runs. Raises ClusterError where no process can be.

        ``environment`` has what differs from this process's; None takes a variable away.
        """
        env = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **ELSEWHERE}
        for name, value in environment.items():
            env.pop(name, None)
            if value is not None:
                env[name] = value
        self.address = ""
        """Of this node, as other machines see it; once it is ready."""
        self._lines: deque[str] = deque(maxlen=200)
        self._changed = threading.Condition()  # its lock is a reentrant one
        self._ready = self._ended = False
        # A session of its own: Ctrl-C in the terminal is for us, and we end it in order.
        try:
            self._process = subprocess.Popen(
                run_module("ray.scripts.scripts", "start", *args, "--block", tied=True),
                env=env,
                stdin=subprocess.PIPE,  # it ends when we do, however that comes
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterError(
                f"Ray's node did not start: {error.strerror or error}",
                "this machine may be short of processes, memory or open files",
            ) from error
        self._reader = threading.Thread(target=self._read, name="raydl-node", daemon=True)
        self._reader.start()

    def wait_ready(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Return when it runs. Raises ClusterError with what Ray said where it does not start.

        ``cancelled`` is asked now and then: once it says so, the node is ended.
        """
        deadline = time.monotonic() + START_SECONDS
        with self._changed:
            while not (self._ready or self._ended):
                self._changed.wait(0.2)
                if cancelled() or time.monotonic() > deadline:
                    break
            ready = self._ready and not self._ended
        if not ready:
            ended = self._ended
            self.stop()
            if cancelled():
                raise ClusterError("not started: cancelled")
            what = self._why() if ended else f"it did not start in {START_SECONDS:g}s"
            raise ClusterError(
                f"Ray's node did not start: {what}", "`ray start` itself may say more"
            )

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        """What Ray said last, in a line."""
        return self._why()

    def stop(self) -> None:
        """End it, and all that it started. Idempotent.

        Returns when Ray's own processes are gone; those of workers follow by themselves.
        """
        if self.is_running:
            self._process.terminate()  # Ray then ends its parts, one after the other
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        if self.is_running or self._reader.is_alive():
            self._reader.join(1)
            if self._reader.is_alive():
                self._kill()
        self._process.wait()
        self._reader.join(STOP_SECONDS)
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                text = _ANSI.sub("", line).rstrip()
                with self._changed:
                    self._lines.append(text)
                    if found := _ADDRESS.search(text):
                        self.address = found[1]
                    if _READY in text:
                        self._ready = True
                        self._changed.notify_all()
        self._kill()  # Ray's parts, should any have outlived it
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _kill(self) -> None:
        """Kill what is left of its process group, whose number is not used again before that."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()

    def _why(self) -> str:
        """The line of Ray's that says most."""
        with self._changed:
            lines = [line for line in self._lines if not _DULL.search(line)]
        errors = [line for line in lines if re.search(r"error|fail|unable|panic|refus", line, re.I)]
        text = (errors or lines or ["it ended without a word"])[-1]
        return re.sub(r"^\d{4}-\d\d-\d\d [\d:,]+\s+\w+ \S+ -- ", "", text).strip()[:200]
