"""What of all that happens is worth a line to a person, beside a bar or in a log."""

from __future__ import annotations

import time

from raydl.model.events import (
    ClusterChosen,
    Event,
    Failed,
    LanesJoined,
    LanesLeft,
    PartFailed,
    Planned,
)
from raydl.model.units import counted

RETRY_SECONDS = 10.0
"""Of what fails in this time one line is told, and how many there were."""

JOIN_SECONDS = 1.0
"""Nodes that join within it have one line."""

MOST_NAMES = 3
"""In a line."""

HERE = "this machine"


class Messages:
    """Takes in events; has the lines that they are worth, now or, summed up, a little later."""

    def __init__(self) -> None:
        self._nodes: set[str] = set()
        self._joined: list[str] = []
        self._joined_at = self._failed_at = 0.0
        self._failures = 0

    def take(self, event: Event) -> list[str]:
        """The lines that it is time for."""
        now = time.monotonic()
        lines = self._due(now)
        match event:
            case LanesJoined(node):
                self._join(node, now)
            case PartFailed():
                lines += self._retry(event, now)
            case Failed():  # the caller gets the error itself
                lines += self._retries()
            case _ if _is_told(event):
                lines += [*self.rest(), str(event)]
        if isinstance(event, LanesLeft):
            self._nodes.discard(event.node)
        return lines

    def rest(self) -> list[str]:
        """What was kept back: nothing more is waited for."""
        return [*self._joining(), *self._retries()]

    def _due(self, now: float) -> list[str]:
        lines = self._joining() if now - self._joined_at >= JOIN_SECONDS else []
        return lines + (self._retries() if now - self._failed_at >= RETRY_SECONDS else [])

    def _join(self, node: str, now: float) -> None:
        """This machine has no line: that it fetches goes without saying."""
        self._nodes.add(node)
        if node != HERE:
            self._joined_at = self._joined_at if self._joined else now
            self._joined.append(node)

    def _joining(self) -> list[str]:
        joined, self._joined = list(dict.fromkeys(self._joined)), []
        if not joined:
            return []
        fetch = f"{counted(len(self._nodes), 'node')} fetch" + "es" * (len(self._nodes) == 1)
        if len(joined) > MOST_NAMES:
            joined[MOST_NAMES - 1 :] = [f"{len(joined) - MOST_NAMES + 1} more"]
        *others, last = joined
        return [f"{', '.join(others)}{' and ' if others else ''}{last} joined: {fetch}"]

    def _retry(self, event: PartFailed, now: float) -> list[str]:
        if not event.tries:
            return []  # its node is gone, which has a line of its own
        if self._failed_at and now - self._failed_at < RETRY_SECONDS:
            self._failures += 1
            return []
        self._failed_at = now
        return [str(event)]

    def _retries(self) -> list[str]:
        more, self._failures = self._failures, 0
        return [f"… and {more} more {'retry' if more == 1 else 'retries'}"] if more else []


def _is_told(event: Event) -> bool:
    """Whether a person wants a line for it."""
    if isinstance(event, Planned):
        return bool(event.note)
    return event.level != "detail" or isinstance(event, ClusterChosen)
