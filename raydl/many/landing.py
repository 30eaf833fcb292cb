"""Where the files of a run land: what it asks of a destination, and the one on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from raydl.many import onelarge
from raydl.many.account import Account
from raydl.many.hands import Hand, HereHand
from raydl.many.host import Task
from raydl.many.large import Job
from raydl.many.saving import Saver
from raydl.model.errors import OutputError, RaydlError, TargetError
from raydl.output.hublayout import link
from raydl.output.ledger import Known
from raydl.output.shelf import HAS, OTHER, Found, Shelf
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import Brought, Wish

SAVE_SECONDS = 0.1

Came = Sequence[tuple[Task, Brought]]
Saved = Callable[[Task, "Brought | None", str, "RaydlError | None"], None]
"""Gets what became of a file, and the node that fetched it."""

Lost = Callable[[list[Task]], None]
Post = Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Links:
    """What a directory in a hub's cache is to be given: see ``output/hublayout``."""

    commit: str
    revision: str
    names: list[tuple[str, str]]


class Landing(Protocol):
    """A destination. All is called by the thread of the download."""

    kind: str
    """What monitoring calls it."""

    is_for_nodes: bool
    """Whether nodes alone fetch, the one here among them."""

    put_ca: str | None
    """Certificates (PEM) to trust where files are sent to, where the system's are not meant."""

    @property
    def arrivals(self) -> Sequence[str]:
        """The nodes with files of their own that came, and came back, one after the other."""

    def joined(self, team: ActorTeam) -> None:
        """A node has a worker."""

    def left(self, node: str, reason: str) -> None:
        """It has none any more."""

    def sort(self, tasks: list[Task], wanted: Callable[[list[Task]], None]) -> None:
        """Account for those that are there; ``wanted`` gets the others, now or later."""

    @property
    def sorting(self) -> int:
        """How many files it is not known of yet whether they are there."""

    def writes(self, hand: Hand) -> bool:
        """Whether it puts files where they belong itself."""

    def wish(self, task: Task, hand: Hand) -> Wish:
        """What to ask of that hand."""

    @property
    def has_room(self) -> bool:
        """Whether more may be fetched by hands that do not write."""

    def save(
        self, payload: Payload | None, came: Came, node: str, saved: Saved, lost: Lost
    ) -> None:
        """Write what a hand brought: the bytes of each file, one after the other.

        Each gets a ``saved``, or all are ``lost``. Files that are all empty have no payload.
        """

    def fetch_large(self, job: Job, options: Options) -> Brought:
        """Bring a large file to where it belongs, in a thread of its own. Raises RaydlError."""

    def note(self, task: Task, brought: Brought) -> None:
        """It was written."""

    def forget(self, task: Task) -> None:
        """It does not come."""

    def same(self, task: Task) -> None:
        """The origin has no newer one."""

    def is_there(self, task: Task) -> bool:
        """Whether another line for the same file brought it."""

    def turn(self, now: float) -> None:
        """Do what is due."""

    def is_over(self, now: float) -> bool:
        """Whether nothing is left to do, where all has been fetched."""

    @property
    def missing(self) -> dict[str, str]:
        """The nodes that are to have files of their own, and why one lacks some of them."""

    def close(self) -> None:
        """Let go of everything."""


class Here:
    """The destination is a directory of this machine."""

    kind = "here"
    is_for_nodes = False
    put_ca: str | None = None
    sorting = 0
    arrivals: Sequence[str] = ()
    missing: ClassVar[dict[str, str]] = {}

    def __init__(
        self,
        directory: Path,
        options: Options,
        if_changed: bool,
        account: Account,
        post: Post,
        links: Links | None = None,
        shelf: Shelf | None = None,
    ) -> None:
        self._options, self._if_changed, self._account = options, if_changed, account
        self._links = links
        self._shelf = shelf or Shelf(directory, options.overwrite, options.skip_existing)
        self._saver = Saver(options.max_memory // 2, post)
        self._came: list[tuple[bytes, Known]] = []
        self._save_at = 0.0

    def joined(self, team: ActorTeam) -> None:
        """Nothing: it is not for nodes."""

    def left(self, node: str, reason: str) -> None:
        """Nothing, either."""

    def sort(self, tasks: list[Task], wanted: Callable[[list[Task]], None]) -> None:
        """See ``Landing``."""
        tasks = [task for task in tasks if self._is_wanted(task, self._shelf.look(task.place))]
        self._begin(tasks, wanted)

    def _begin(self, tasks: list[Task], wanted: Callable[[list[Task]], None]) -> None:
        if tasks:
            self._shelf.begin(task.key for task in tasks)
            wanted(tasks)

    def _is_wanted(self, task: Task, found: Found) -> bool:
        if self._options.repair and task.item.pieces is not None:
            task.mends = os.path.exists(self._shelf.path(task.place))  # noqa: PTH110
            if task.mends:
                return True
        task.stamp, task.may_be_there = found.stamp, found.may_be_there
        if found.state == OTHER:
            self._account.failed(task, in_the_way(self._name(task)))
        elif found.state == HAS and not (self._if_changed and found.stamp):
            self._account.skipped(task, found.size)
        else:
            if found.state == HAS:
                task.etag, task.last_modified = found.etag, found.last_modified
            return True
        return False

    def _name(self, task: Task) -> str:
        return self._shelf.path(task.place)

    def writes(self, hand: Hand) -> bool:
        """See ``Landing``."""
        return isinstance(hand, HereHand)

    def wish(self, task: Task, hand: Hand) -> Wish:
        """See ``Landing``."""
        return self._wish(task, self._shelf.path(task.place) if self.writes(hand) else None)

    def _wish(self, task: Task, target: str | None) -> Wish:
        wish = task.wish(target, self._options.origin_digest, self._options.overwrite)
        return wish._replace(seal=self._shelf.seal(task.key))

    @property
    def has_room(self) -> bool:
        """See ``Landing``."""
        return self._saver.has_room

    def save(
        self, payload: Payload | None, came: Came, node: str, saved: Saved, lost: Lost
    ) -> None:
        """See ``Landing``."""
        files = [(self._wish(t, self._shelf.path(t.place)), t, brought) for t, brought in came]
        self._saver.save(payload, files, node, saved, lost)

    def fetch_large(self, job: Job, options: Options) -> Brought:
        """See ``Landing``."""
        return onelarge.to_here(job, options)

    def note(self, task: Task, brought: Brought) -> None:
        """See ``Landing``."""
        self._came.append((task.key, brought.known))

    def forget(self, task: Task) -> None:
        """See ``Landing``."""
        self._shelf.forget(task.key)

    def same(self, task: Task) -> None:
        """See ``Landing``."""
        self.forget(task)

    def is_there(self, task: Task) -> bool:
        """See ``Landing``."""
        self._save()
        found = self._shelf.look(task.place, again=True)
        if found.state == HAS:
            self._account.skipped(task, found.size)
        return found.state == HAS

    def turn(self, now: float) -> None:
        """See ``Landing``."""
        self._shelf.settle(now)
        if now >= self._save_at:
            self._save_at = now + SAVE_SECONDS
            self._save()

    def is_over(self, now: float) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``."""
        if self._saver.is_idle and self._links is not None:
            link(self._shelf.directory, *astuple(self._links))
        return self._saver.is_idle

    def close(self) -> None:
        """See ``Landing``."""
        self._saver.close()
        with contextlib.suppress(OutputError):  # what is not noted is looked at the next time
            self._save()
        with contextlib.suppress(OutputError):
            self._shelf.close()

    def _save(self) -> None:
        came, self._came = self._came, []
        self._shelf.add(came)


def in_the_way(path: str) -> TargetError:
    """The error for what is there and is not ours."""
    return TargetError(
        f"{path} exists already, and is not what came from there before",
        "--overwrite replaces it, --skip-existing leaves it",
    )
