"""The downloads of a window, one after the other: files, or runs of many. No Tk in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from raydl.gui.backend import Backend, Message
from raydl.gui.item import Item
from raydl.gui.manyitem import ManyItem
from raydl.model.errors import RaydlError
from raydl.model.events import Event, Failed
from raydl.model.state import DownloadState

Listed = Item | ManyItem
"""What is in the list."""


class DownloadQueue:
    """The list of them. ``changed`` is called with an item whose state is another than before, or
    that is in the list no more."""

    def __init__(self, backend: Backend, changed: Callable[[Listed], None]) -> None:
        self._backend, self._changed = backend, changed
        self._next_key = 1
        self.items: list[Listed] = []
        self.address = "none"
        """The cluster for downloads that begin from now on."""
        self._discarded: set[int] = set()
        """The keys of those whose partial file is to be deleted when they have ended."""
        self._leaving: set[int] = set()
        """Of those that are taken off the list then."""
        self.is_closed = False
        """Once it is, nothing begins any more."""

    @property
    def running(self) -> Listed | None:
        """The one whose turn it is."""
        return next((item for item in self.items if item.state.is_under_way), None)

    def add(self, url: str, target: str, options: dict[str, Any]) -> Item:
        """One more; it begins when its turn comes."""
        item = Item(self._take_key(), url, target, options)
        self._add(item)
        return item

    def add_many(
        self,
        names: Sequence[str],
        target: str,
        options: dict[str, Any],
        files: int | None = None,
        template: str = "",
    ) -> ManyItem:
        """One more, of many files."""
        item = ManyItem(self._take_key(), names, target, options, files, template)
        self._add(item)
        return item

    def offer(self, url: str, target: str, options: dict[str, Any], name: str = "") -> Item:
        """An earlier download, to be resumed; ``name`` is what the origin called it, if known."""
        item = Item(self._take_key(), url, target, options)
        item.status.name = name
        self._offer(item)
        return item

    def offer_many(
        self, names: Sequence[str], target: str, options: dict[str, Any], template: str = ""
    ) -> ManyItem:
        """An earlier run of many files, to be gone on with."""
        item = ManyItem(self._take_key(), names, target, options, None, template)
        self._offer(item)
        return item

    def overwrite(self, item: Listed) -> None:
        """Begin again, and replace the file that is in the way."""
        item.options = {**item.options, "overwrite": True, "skip_existing": False}
        self.toggle(item)

    def skip(self, item: Listed) -> None:
        """Leave what is in the way as it is."""
        if isinstance(item, ManyItem):
            item.options = {**item.options, "overwrite": False, "skip_existing": True}
            self.toggle(item)
        else:
            self.remove(item)

    def move(self, item: Listed, target: str) -> None:
        """Begin again, with another target."""
        item.target = target
        self.toggle(item)

    def toggle(self, item: Listed) -> None:
        """Pause what runs, resume what is paused or had ended."""
        if item.state is DownloadState.RUNNING:
            self._backend.pause(item.key)
            self._set(item, DownloadState.PAUSED)
        elif item.state is DownloadState.PAUSED:
            self._backend.resume(item.key)
            self._set(item, DownloadState.RUNNING)
        elif item.state.can_go_on:
            item.reset()
            self._changed(item)
            self._advance()

    def cancel(self, item: Listed, delete: bool = False) -> None:
        """End it; what had arrived is kept, or deleted."""
        if delete:
            self._discarded.add(item.key)
        if item.state is DownloadState.QUEUED:
            item.status.state = DownloadState.STOPPED
            self._ended(item)
        elif item.state in (DownloadState.RUNNING, DownloadState.PAUSED):
            self._backend.cancel(item.key)
            self._set(item, DownloadState.CANCELLING)

    def remove(self, item: Listed, delete: bool = False) -> None:
        """Take it off the list, once it has ended; a file that is whole stays, of a partial one
        what ``delete`` says."""
        self._leaving.add(item.key)
        if not item.state.is_over:
            self.cancel(item, delete)
            return
        if delete:
            item.discard()
        self._ended(item)

    def clear_finished(self) -> None:
        """Take those off the list that are done."""
        for item in [item for item in self.items if item.state is DownloadState.DONE]:
            self.remove(item)

    def take(self, message: Message) -> Listed | None:
        """Take in what the backend said; returns the item that it is about."""
        match message:
            case ("event", int(key), Event() as event):
                item = self._find(key)
                if item is not None:
                    item.take(event)
                return item
            case ("ended", int(key), report, error):
                item = self._find(key)
                if item is not None:
                    item.end(report, error)
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

    def _take_key(self) -> int:
        self._next_key += 1
        return self._next_key - 1

    def _add(self, item: Listed) -> None:
        self.items.append(item)
        self._changed(item)
        self._advance()

    def _offer(self, item: Listed) -> None:
        self.items.append(item)
        item.status.state = DownloadState.STOPPED
        item.look_what_is_left()
        self._changed(item)

    def _ended(self, item: Listed) -> None:
        if item.state.can_go_on:
            if item.key in self._discarded:
                item.discard()
            item.look_what_is_left()
        self._discarded.discard(item.key)
        if item.key in self._leaving:
            self._leaving.remove(item.key)
            self.items.remove(item)
        self._changed(item)
        self._advance()

    def _find(self, key: int) -> Listed | None:
        return next((item for item in self.items if item.key == key), None)

    def _set(self, item: Listed, state: DownloadState) -> None:
        item.status.state = state
        self._changed(item)

    def _advance(self) -> None:
        if self.running is not None or self.is_closed:
            return
        item = next((item for item in self.items if item.state is DownloadState.QUEUED), None)
        if item is not None:
            item.begin(self._backend, self.address)
            self._set(item, DownloadState.RUNNING)
