"""The downloads of a window, one after the other. No Tk in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from raydl.errors import CancelledError, RaydlError
from raydl.event import Event, Failed
from raydl.gui.backend import Backend, Message
from raydl.models import Report, redact
from raydl.naming import file_name
from raydl.partmap import PartMap
from raydl.tally import Phase, Tally

CELLS = 240


class Stage(Enum):
    """What may be done with a download now."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(eq=False)
class Item:
    """A download in the list. ``target`` is a path, or a directory/ for the origin's name."""

    key: int
    url: str = field(repr=False)
    target: str
    options: dict[str, Any] = field(repr=False)
    stage: Stage = Stage.QUEUED
    tally: Tally = field(default_factory=Tally)
    parts: PartMap = field(default_factory=lambda: PartMap(CELLS))
    report: Report | None = None
    error: RaydlError | None = None
    kept: int = 0
    process: int = 0
    """The number of the process that downloads it."""

    @property
    def name(self) -> str:
        """What it is called in the list."""
        if self.report is not None and self.report.path:
            return Path(self.report.path).name
        if self.target and not self.target.endswith(("/", "\\")):
            return Path(self.target).name
        if self.tally.name:
            return self.tally.name
        try:
            return file_name(None, self.url)
        except ValueError:
            return redact(self.url)

    @property
    def can_go_on(self) -> bool:
        """Whether it ended without the file."""
        return self.stage in (Stage.STOPPED, Stage.FAILED)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.can_go_on or self.stage is Stage.DONE

    @property
    def share(self) -> float | None:
        """How much of it has arrived, 0 to 1; None while unknown."""
        if self.stage is Stage.DONE:
            return 1.0
        return self.tally.fetched / self.tally.size if self.tally.size else None


class Lineup:
    """The list. ``changed`` is called with an item whose stage is another than before."""

    def __init__(self, backend: Backend, changed: Callable[[Item], None]) -> None:
        self._backend, self._changed = backend, changed
        self._next_key = 1
        self.items: list[Item] = []
        self.address = "none"
        """The cluster for downloads that begin from now on."""
        self.is_closed = False
        """Once it is, nothing begins any more."""

    @property
    def running(self) -> Item | None:
        """The one whose turn it is."""
        mine = (Stage.RUNNING, Stage.PAUSED, Stage.CANCELLING)
        return next((item for item in self.items if item.stage in mine), None)

    def add(
        self, url: str, target: str, options: dict[str, Any], stage: Stage = Stage.QUEUED
    ) -> Item:
        """One more; it begins when its turn comes."""
        item = Item(self._next_key, url, target, options, stage)
        self._next_key += 1
        self.items.append(item)
        self._changed(item)
        self._advance()
        return item

    def toggle(self, item: Item) -> None:
        """Pause what runs, go on with what is paused or had ended."""
        if item.stage is Stage.RUNNING:
            self._backend.pause(item.key)
            self._set(item, Stage.PAUSED)
        elif item.stage is Stage.PAUSED:
            self._backend.resume(item.key)
            self._set(item, Stage.RUNNING)
        elif item.can_go_on:
            item.error, item.tally, item.parts = None, Tally(), PartMap(CELLS)
            self._set(item, Stage.QUEUED)
            self._advance()

    def cancel(self, item: Item) -> None:
        """End it; what had arrived is kept."""
        if item.stage is Stage.QUEUED:
            self._set(item, Stage.STOPPED)
        elif item.stage in (Stage.RUNNING, Stage.PAUSED):
            self._backend.cancel(item.key)
            self._set(item, Stage.CANCELLING)

    def remove(self, item: Item) -> None:
        """Take it off the list; files stay."""
        if item.is_over:
            self.items.remove(item)

    def take(self, message: Message) -> Item | None:
        """Take in what the backend said; returns the item that it is about."""
        match message:
            case ("event", int(key), Event() as event):
                item = self._find(key)
                if item is not None:
                    item.tally.take(event)
                    item.parts.take(event)
                return item
            case ("ended", int(key), report, error, kept):
                item = self._find(key)
                if item is not None:
                    item.report, item.error, item.kept = report, error, kept
                    if isinstance(error, CancelledError):
                        item.tally.phase = Phase.STOPPED
                    stopped = Stage.STOPPED if isinstance(error, CancelledError) else Stage.FAILED
                    self._set(item, Stage.DONE if report is not None else stopped)
                    self._advance()
                return item
            case ("died", number):
                item = self.running
                if item is None or item.process != number:
                    return None
                item.error = RaydlError(
                    "the process that downloads has ended", "Resume goes on from what is kept"
                )
                item.tally.take(Failed("RaydlError", item.error.message, "", 1))
                self._set(item, Stage.FAILED)
                self._advance()
                return item
        return None

    def _find(self, key: int) -> Item | None:
        return next((item for item in self.items if item.key == key), None)

    def _set(self, item: Item, stage: Stage) -> None:
        item.stage = stage
        self._changed(item)

    def _advance(self) -> None:
        if self.running is not None or self.is_closed:
            return
        item = next((item for item in self.items if item.stage is Stage.QUEUED), None)
        if item is not None:
            options = {"address": self.address, **item.options}
            item.process = self._backend.start(item.key, item.url, item.target or None, options)
            self._set(item, Stage.RUNNING)
