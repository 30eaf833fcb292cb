"""The downloads of a window, one after the other. No Tk in here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raydl.gui.backend import Backend, Message
from raydl.gui.leftover import Leftover, leftover
from raydl.model.errors import IncompleteError, OutputError, RaydlError, TargetError
from raydl.model.events import Event, Failed, Finished, Planned
from raydl.model.naming import file_name
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.model.weburl import redact
from raydl.view.partmap import PartMap
from raydl.view.status import DownloadStatus

CELLS = 240


@dataclass(eq=False)
class Item:
    """A download in the list. ``target`` is a path, or a directory/ for the origin's name."""

    key: int
    url: str = field(repr=False)
    target: str
    options: dict[str, Any] = field(repr=False)
    status: DownloadStatus = field(default_factory=lambda: DownloadStatus(DownloadState.QUEUED))
    parts: PartMap = field(default_factory=lambda: PartMap(CELLS))
    report: Report | None = None
    error: RaydlError | None = None
    left: Leftover = Leftover()
    """Once it has ended without the file."""
    process: int = 0
    """The number of the process that downloads it."""

    @property
    def name(self) -> str:
        """What it is called in the list."""
        if self.report is not None and self.report.path:
            return Path(self.report.path).name
        if self.path is not None:
            return self.path.name
        try:
            return file_name(None, self.url)
        except ValueError:
            return redact(self.url)

    @property
    def path(self) -> Path | None:
        """Where the file is to be; None while its name is not known."""
        if self.target and not self.target.endswith(("/", "\\")):
            return Path(self.target)
        return Path(self.target, self.status.name) if self.status.name else None

    @property
    def to(self) -> str:
        """Where its bytes go."""
        return str(self.options.get("to", "here"))

    @property
    def is_here(self) -> bool:
        """Whether its bytes go to a file of this machine, which can be looked at."""
        return self.to == "here" and "://" not in self.target

    @property
    def can_resume(self) -> bool:
        """Whether something is left to go on from, as far as it can be known here."""
        return bool(self.left.kept) or not self.is_here

    @property
    def is_in_the_way(self) -> bool:
        """Whether it failed for a file, or a part of one, that is where its own is to be."""
        if self.path is None or not isinstance(self.error, TargetError):
            return False
        if not self.is_here:
            return True
        return os.path.lexists(self.path) or self.left.is_anothers

    @property
    def wants_another_place(self) -> bool:
        """Whether it failed for where it is to be."""
        return isinstance(self.error, TargetError | OutputError)

    @property
    def state(self) -> DownloadState:
        """Which decides what may be done with it now."""
        return self.status.state

    @property
    def fetched(self) -> int:
        """Bytes that have arrived, or that are left where it has ended without the file."""
        return self.left.kept if self.state.can_go_on and self.is_here else self.status.fetched

    @property
    def share(self) -> float | None:
        """How much of it that is, 0 to 1; None while unknown."""
        if self.state is DownloadState.DONE:
            return 1.0
        return self.fetched / self.status.total if self.status.total else None

    def look_what_is_left(self) -> None:
        """The download ended without the file: find out what the next run resumes, and show it."""
        if not self.is_here:
            return
        path = self.path
        self.left = Leftover() if path is None else leftover(path, self.url)
        self.status.size = self.status.size or self.left.size
        self.parts = PartMap(CELLS)
        if self.status.size:
            self.parts.take(Planned(self.left.kept, self.status.size, None, 0, ""))


class DownloadQueue:
    """The list of them. ``changed`` is called with an item whose state is another than before."""

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
        return next((item for item in self.items if item.state.is_under_way), None)

    def add(self, url: str, target: str, options: dict[str, Any]) -> Item:
        """One more; it begins when its turn comes."""
        item = self._append(url, target, options)
        self._changed(item)
        self._advance()
        return item

    def offer(self, url: str, target: str, options: dict[str, Any], name: str = "") -> Item:
        """An earlier download, to be resumed; ``name`` is what the origin called it, if known."""
        item = self._append(url, target, options)
        item.status.name, item.status.state = name, DownloadState.STOPPED
        item.look_what_is_left()
        self._changed(item)
        return item

    def overwrite(self, item: Item) -> None:
        """Begin again, and replace the file that is in the way."""
        item.options = {**item.options, "overwrite": True, "skip_existing": False}
        self.toggle(item)

    def move(self, item: Item, target: str) -> None:
        """Begin again, with another target."""
        item.target = target
        self.toggle(item)

    def toggle(self, item: Item) -> None:
        """Pause what runs, resume what is paused or had ended."""
        if item.state is DownloadState.RUNNING:
            self._backend.pause(item.key)
            self._set(item, DownloadState.PAUSED)
        elif item.state is DownloadState.PAUSED:
            self._backend.resume(item.key)
            self._set(item, DownloadState.RUNNING)
        elif item.state.can_go_on:
            item.status = DownloadStatus(DownloadState.QUEUED)
            item.error, item.parts, item.left = None, PartMap(CELLS), Leftover()
            self._changed(item)
            self._advance()

    def cancel(self, item: Item) -> None:
        """End it; what had arrived is kept."""
        if item.state is DownloadState.QUEUED:
            item.status.state = DownloadState.STOPPED
            self._ended(item)
        elif item.state in (DownloadState.RUNNING, DownloadState.PAUSED):
            self._backend.cancel(item.key)
            self._set(item, DownloadState.CANCELLING)

    def remove(self, item: Item) -> None:
        """Take it off the list; files stay."""
        if item.state.is_over:
            self.items.remove(item)

    def take(self, message: Message) -> Item | None:
        """Take in what the backend said; returns the item that it is about."""
        match message:
            case ("event", int(key), Event() as event):
                item = self._find(key)
                # It has not ended before "ended" comes.
                if item is not None and not isinstance(event, Finished | Failed):
                    item.status.take(event)
                    item.parts.take(event)
                return item
            case ("ended", int(key), report, error):
                item = self._find(key)
                if item is not None:
                    item.report, item.error = report, error
                    if isinstance(error, IncompleteError) and error.report is not None:
                        item.status.end_copies(error.report)
                    item.status.take(Finished(report) if error is None else Failed.of(error))
                    self._ended(item)
                return item
            case ("died", number):
                item = self.running
                if item is None or item.process != number:
                    return None
                item.error = RaydlError(
                    "the process that downloads has ended", "Resume goes on from what is kept"
                )
                item.status.take(Failed.of(item.error))
                self._ended(item)
                return item
        return None

    def _append(self, url: str, target: str, options: dict[str, Any]) -> Item:
        item = Item(self._next_key, url, target, options)
        self._next_key += 1
        self.items.append(item)
        return item

    def _ended(self, item: Item) -> None:
        if item.state.can_go_on:
            item.look_what_is_left()
        self._changed(item)
        self._advance()

    def _find(self, key: int) -> Item | None:
        return next((item for item in self.items if item.key == key), None)

    def _set(self, item: Item, state: DownloadState) -> None:
        item.status.state = state
        self._changed(item)

    def _advance(self) -> None:
        if self.running is not None or self.is_closed:
            return
        item = next((item for item in self.items if item.state is DownloadState.QUEUED), None)
        if item is not None:
            options = {"address": self.address, **item.options}
            item.process = self._backend.start(item.key, item.url, item.target or None, options)
            self._set(item, DownloadState.RUNNING)
