"""Who joins a head's cluster, and who leaves, for the person who watches the head."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Mapping

from raydl.cluster import tokenstore
from raydl.cluster.program import run_module
from raydl.model.units import counted


class Presence:
    """What became of a cluster's nodes since the last time, in lines."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        """By a node's id: it stays, whoever else comes or goes."""
        self._here: list[str] = []

    def take(self, nodes: Mapping[str, tuple[str, str, bool]]) -> list[str]:
        """A line for each that is new, or gone. ``nodes``: by id address, host's name, and whether
        it is the head, which has none."""
        addresses = [address for address, _, _ in nodes.values()]
        for key, (address, host, _) in nodes.items():
            name = address if addresses.count(address) == 1 else f"{address}#{key[:4]}"
            self._names.setdefault(key, f"{name} ({host})" if host else name)
        lines = []
        for key in [*self._here]:
            if key not in nodes:
                self._here.remove(key)
                lines.append(f"{self._names[key]} left: {counted(len(self._here), 'node')}")
        for key, (_, _, is_head) in nodes.items():
            if key not in self._here:
                self._here.append(key)
                if not is_head:
                    lines.append(f"{self._names[key]} joined: {counted(len(self._here), 'node')}")
        return lines


class Attendance:
    """Watches the cluster of a head of this machine, until ``close``."""

    def __init__(self, address: str, *, has_token: bool) -> None:
        token = tokenstore.find_token() if has_token else None
        env = {**os.environ, tokenstore.MODE_VARIABLE: "token" if token else "disabled"}
        env.pop(tokenstore.VARIABLE, None)
        if token:
            env[tokenstore.VARIABLE] = token
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._process: subprocess.Popen[str] | None = None
        with contextlib.suppress(OSError):  # not worth ending a head for
            self._process = subprocess.Popen(
                run_module("raydl.cluster.roster", address, tied=True),
                env=env,
                stdin=subprocess.PIPE,  # it ends when we do, however that comes
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,  # Ctrl-C is for us
            )
            threading.Thread(target=self._read, name="raydl-attendance", daemon=True).start()

    def news(self) -> list[str]:
        """The lines since the last time."""
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._news.get_nowait())
        return lines

    def close(self) -> None:
        """Watch no more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        presence = Presence()
        with self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # of Ray's
                    for news in presence.take(json.loads(line)):
                        self._news.put(news)
