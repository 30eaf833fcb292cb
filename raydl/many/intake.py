"""The list on its way in: names, what is there from before, what is to be fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from raydl.many.account import Account
from raydl.many.host import Task
from raydl.many.ledger import Known, Ledger, key_of
from raydl.many.lists import Entry, Unreadable
from raydl.many.names import Naming
from raydl.many.readahead import ReadAhead
from raydl.model.errors import TargetError, UsageError
from raydl.model.item import Item
from raydl.settings.options import Options

AHEAD = 4096
"""Files that wait to be fetched: the list is read no further."""

AT_ONCE = 500
"""Lines that are read in a turn, at most: what comes meanwhile waits."""


class Intake:
    """Reads ``entries`` as there is room for them, and skips what is there."""

    def __init__(
        self,
        entries: Iterator[Entry],
        naming: Naming,
        ledger: Ledger,
        account: Account,
        directory: Path,
        options: Options,
        if_changed: bool,
    ) -> None:
        self._entries, self._naming, self._ledger = ReadAhead(entries), naming, ledger
        self._account, self._directory, self._options = account, directory, options
        self._if_changed = if_changed
        self.first = ""
        """The URL of the first file in the list."""

    @property
    def is_over(self) -> bool:
        """Whether the list has been read to its end."""
        return self._entries.is_over

    def close(self) -> None:
        """Read no further."""
        self._entries.close()

    def room(self, waiting: int) -> int:
        """How many more may be read, where so many wait."""
        return min(AT_ONCE, max(0, AHEAD - waiting))

    def take(self, most: int) -> list[Task]:
        """What is to be fetched, of the next lines."""
        tasks = list(self._next(most))
        if tasks:
            self._ledger.begin(task.key for task in tasks)
        return tasks

    def _next(self, most: int) -> Iterator[Task]:
        for entry in self._entries.take(most):
            if isinstance(entry, Unreadable):
                self._account.unreadable(entry.number, entry.why)
                continue
            self.first = self.first or entry.url
            task = self._task(entry)
            if task is not None:
                yield task

    def _task(self, item: Item) -> Task | None:
        task = Task(item, "")
        try:
            task.path = self._naming.path(item)
            task.key = key_of(item, task.path)
            return self._wanted(task)
        except (UsageError, TargetError) as error:
            self._account.failed(task, error)
            return None

    def is_there(self, task: Task) -> bool:
        """Whether the file came meanwhile, by another line for the same."""
        self._account.save()
        try:
            return self._wanted(task, again=True) is None
        except TargetError:
            return False

    def _wanted(self, task: Task, again: bool = False) -> Task | None:
        """The task, unless the file is there. Raises TargetError where another one is."""
        known, options = self._ledger.find(task.key), self._options
        path = os.path.join(self._directory, task.path)  # noqa: PTH118 - for each of many files
        try:
            found = os.stat(path)  # noqa: PTH116
        except OSError:
            return task
        stamp = found.st_size, found.st_mtime_ns
        if known is not None and (known.size, known.written) == stamp:
            task.stamp = stamp
            if not self._ledger.is_certain(known) or _differs(known, task.item):
                return task
            if self._if_changed and not again:
                task.etag, task.last_modified = known.etag, known.last_modified
                return task
            self._account.skipped(task, found.st_size)
            return None
        if options.overwrite:
            return task
        if self._ledger.is_begun(task.key) and not again:
            task.may_be_there = True  # it came when nobody could note it any more, or is somebody's
            return task
        if options.skip_existing:
            self._account.skipped(task, found.st_size)
            return None
        raise TargetError(
            f"{path} exists already", "--overwrite replaces it, --skip-existing leaves it"
        )


def _differs(known: Known, item: Item) -> bool:
    """Whether the list wants another file by now."""
    digest = str(item.digest or "")
    return bool(digest and digest != known.digest) or item.size not in (None, known.size)
