"""The list on its way in: what each line is called, as far as there is room for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from raydl.many.account import Account
from raydl.many.host import Task
from raydl.many.lists import Entry, Unreadable
from raydl.many.names import Naming
from raydl.many.readahead import ReadAhead
from raydl.model.errors import UsageError
from raydl.model.item import Item
from raydl.origin.identity import Identity

AHEAD = 4096
"""Files that wait to be fetched: the list is read no further."""

AT_ONCE = 500
"""Lines that are read in a turn, at most: what comes meanwhile waits."""


class Intake:
    """Reads ``entries`` as there is room for them."""

    def __init__(self, entries: Iterator[Entry], naming: Naming, account: Account) -> None:
        self._entries, self._naming, self._account = ReadAhead(entries), naming, account
        self.first = ""
        """The URL of the first file in the list."""

    @property
    def is_over(self) -> bool:
        """Whether the list has been read to its end."""
        return self._entries.is_over

    def close(self) -> None:
        """Read no further."""
        self._entries.close()

    def take(self, waiting: int) -> list[Task]:
        """What the next lines name, where so many files wait."""
        return list(self._next(min(AT_ONCE, max(0, AHEAD - waiting))))

    def _next(self, most: int) -> Iterator[Task]:
        for entry in self._entries.take(most):
            if isinstance(entry, Unreadable):
                self._account.unreadable(entry.number, entry.why)
                continue
            self.first = self.first or entry.url
            task = Task(entry, "")
            try:
                task.path = self._naming.path(entry)
                task.key = key_of(entry, task.path)
            except UsageError as error:
                self._account.failed(task, error)
            else:
                yield task


def key_of(item: Item, path: str) -> bytes:
    """What stands for the file that an item names at that path, however its URL is signed."""
    text = f"{Identity.of(item.url)}\n{path}"
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).digest()
