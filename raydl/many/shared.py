"""Many files to a directory that nodes see, too: each writes there what it fetched.

What a node wrote counts once that node has brought it to the disk, and it is seen from here.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from raydl.landing.meeting import Meeting
from raydl.many.account import Account
from raydl.many.hands import Hand
from raydl.many.host import Task
from raydl.many.landing import Came, Here, Lost, Post, Saved
from raydl.model.events import Emit, Notice
from raydl.settings.options import Options
from raydl.settings.values import SHARED
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import Wish

STUCK_SECONDS = 90.0
"""A node that has not brought to the disk what it wrote for so long never will."""


@dataclass(eq=False)
class _Batch:
    """What a node wrote."""

    came: Came
    node: str
    saved: Saved
    lost: Lost

    def lose(self) -> None:
        """It may not be on the disk: it is to be fetched again, and may replace what is there."""
        for task, brought in self.came:
            task.may_be_there, task.stamp = True, (brought.size, brought.written)
        self.lost([task for task, _ in self.came])


@dataclass(eq=False)
class _Writer:
    """A node that sees the directory. ``written`` waits for the sync after the one under way."""

    team: ActorTeam
    synced_at: float = 0.0
    """When it was asked to bring what is under way to the disk."""
    written: list[_Batch] = field(default_factory=list)
    under_way: list[_Batch] = field(default_factory=list)


class Shared(Here):
    """The destination. What nodes bring that do not see it is written here."""

    kind = SHARED

    def __init__(
        self,
        directory: Path,
        options: Options,
        if_changed: bool,
        account: Account,
        post: Post,
        emit: Emit,
    ) -> None:
        super().__init__(directory, options, if_changed, account, post)
        self._post, self._emit, self._directory = post, emit, directory.absolute()
        self._meeting = Meeting(self._directory / f".raydl-{secrets.token_hex(6)}")
        self._writers: dict[str, _Writer] = {}
        self._invited: dict[str, str] = {}
        self._looks, self._now = 0, 0.0

    def joined(self, team: ActorTeam) -> None:
        """See whether it sees the directory."""
        self.left(team.node, "it has another worker")
        place, key = str(self._meeting.path), secrets.token_hex(8)
        meet = partial(self._met, team, key)
        word = self._meeting.invite(team.node)
        self._invited[team.node] = key
        team.shared("meet", key, place, place, *word, done=self._posted(meet))

    def left(self, node: str, reason: str) -> None:  # noqa: ARG002 - as others need it
        """What it wrote may not be on the disk."""
        self._invited.pop(node, None)
        self._meeting.leave(node)
        writer = self._writers.pop(node, None)
        for batch in () if writer is None else (*writer.under_way, *writer.written):
            batch.lose()

    def _posted(self, call: Callable[[Answer], None]) -> Callable[[Answer], None]:
        return lambda answer: self._post(partial(call, answer))

    def _met(self, team: ActorTeam, key: str, answer: Answer) -> None:
        problem, _ = answer
        if self._invited.get(team.node) != key:
            return  # it was lost meanwhile
        if problem is None and self._meeting.has_come(team.node):
            team.shared("close", key, done=lambda _: None)
            self._writers[team.node] = _Writer(team)
        else:
            what = "does not see this directory: what it fetches passes this machine"
            self._emit(Notice(f"{team.node} {what}"))
        self._meeting.leave(team.node)
        del self._invited[team.node]

    def wish(self, task: Task, hand: Hand) -> Wish:
        """See ``Landing``."""
        if hand.node in self._writers:
            return self._wish(task, os.path.join(self._directory, task.path))  # noqa: PTH118
        return super().wish(task, hand)

    def save(
        self, payload: Payload | None, came: Came, node: str, saved: Saved, lost: Lost
    ) -> None:
        """See ``Landing``."""
        if not all(brought.written for _, brought in came):
            super().save(payload, came, node, saved, lost)
            return
        if payload is not None:
            payload.release()  # it is of nothing: the node wrote the files itself
        batch, writer = _Batch(came, node, saved, lost), self._writers.get(node)
        if writer is None:
            batch.lose()
        else:
            writer.written.append(batch)
            self._sync(writer)

    def _sync(self, writer: _Writer) -> None:
        if writer.written and not writer.under_way:
            writer.under_way, writer.written = writer.written, []
            writer.synced_at = self._now
            synced = self._posted(partial(self._synced, writer))
            writer.team.shelf("sync", str(self._directory), done=synced)

    def _synced(self, writer: _Writer, answer: Answer) -> None:
        if self._writers.get(writer.team.node) is not writer:
            return  # it was lost meanwhile, with what it had written
        problem, _ = answer
        batches, writer.under_way = writer.under_way, []
        for batch in batches:
            if problem is not None:
                batch.lose()
            else:
                self._looks += 1
                self._saver.submit(partial(self._look, batch))
        self._sync(writer)

    def _look(self, batch: _Batch) -> None:
        """See from here what a node wrote: for this machine, too, it must be there."""
        stamps = [_stamp(os.path.join(self._directory, task.path)) for task, _ in batch.came]  # noqa: PTH118
        self._post(partial(self._looked, batch, stamps))

    def _looked(self, batch: _Batch, stamps: list[tuple[int, int]]) -> None:
        self._looks -= 1
        missing = []
        for (task, brought), (size, written) in zip(batch.came, stamps, strict=True):
            if size == brought.size:
                batch.saved(task, brought._replace(written=written), batch.node, None)
            else:
                missing.append((task, brought))
        if missing:
            replace(batch, came=missing).lose()

    def turn(self, now: float) -> None:
        """See ``Landing``."""
        super().turn(now)
        self._now = now
        for node, writer in list(self._writers.items()):
            if writer.under_way and now - writer.synced_at > STUCK_SECONDS:
                self._emit(Notice(f"{node} cannot bring to the disk what it wrote: others do"))
                self.left(node, "its disk does not answer")

    def is_over(self, now: float) -> bool:
        """See ``Landing``."""
        is_writing = any(writer.under_way for writer in self._writers.values())
        return not is_writing and not self._looks and super().is_over(now)

    def close(self) -> None:
        """See ``Landing``."""
        self._meeting.close()
        super().close()


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - for each of many files
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns
