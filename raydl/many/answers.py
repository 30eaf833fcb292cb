"""What became of the files of a batch: which are there, which are asked for again, which failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from raydl.many.account import Account
from raydl.many.hands import Hand
from raydl.many.host import MOST_WRONG, Host, Task
from raydl.many.landing import Landing
from raydl.many.large import Job
from raydl.model import backoff
from raydl.model.errors import (
    ChecksumError,
    DiskError,
    OutputError,
    RaydlError,
    TargetError,
    error_named,
)
from raydl.model.failure import Failure
from raydl.model.weburl import is_store, split
from raydl.settings.options import Options
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import DONE, FAILED, LARGE, SAME, UNASKED, Brought, Outcome

MOST_TRIES = 5
"""Of one file, where nothing else was chosen: others wait for the end of the run, too."""

MOST_LOSSES = 20

MOST_REFUSALS, REFUSED_SECONDS = 6, 20.0
"""How often and how long a file is refused, because there are too many requests, until it fails."""

AGAIN_SECONDS = 0.2

MOST_TOLD = 20
"""Of what hosts say."""

UNREACHED = ("connect", "proxy", "tls")
TOO_MANY = (429, 503)
EXPIRED = (400, 403)
"""What stores say of a URL whose time is over, or that of the credentials which signed it."""


@dataclass(eq=False)
class Flight:
    """A batch that a hand fetches."""

    ticket: int
    host: Host
    hand: Hand
    tasks: list[Task]
    began: float
    is_written: bool
    """Whether the hand puts the files where they belong itself."""
    given_up_at: float | None = None
    holds: int = 0
    """Bytes that are in the hand's memory at once, to be sent elsewhere from there."""


class Answers:
    """Takes them in. ``add`` has a file fetched, ``add_large`` as a download of its own.

    All is done in the desk's thread.
    """

    def __init__(
        self,
        account: Account,
        landing: Landing,
        add: Callable[[Task], None],
        add_large: Callable[[Task], None],
        options: Options,
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._tell, self._told, self._left = tell, set[str](), set[str]()
        self._account, self._landing, self._options = account, landing, options
        self._add, self._add_large, self._clock = add, add_large, clock

    def lost(self, flight: Flight) -> None:
        """Its node is gone, and what it did meanwhile nobody knows."""
        for task in flight.tasks:
            task.may_be_there = task.may_be_there or flight.is_written
        self._ask_again(flight.host, flight.tasks, "its node was lost")

    def came(self, flight: Flight, outcomes: list[Outcome], payload: Payload | None) -> None:
        """Its node has answered."""
        now, host, node = self._clock(), flight.host, flight.hand.node
        came: list[tuple[Task, Brought]] = []
        unasked: list[Task] = []
        failed: list[tuple[Task, list[Any]]] = []
        count, size, seconds = 0, 0, 0.0
        for task, (state, *rest) in zip(flight.tasks, outcomes, strict=True):
            if state == UNASKED:
                unasked.append(task)
                continue
            if state != FAILED:
                count += 1
            if state == DONE:
                brought = Brought(*rest)
                if not task.is_first(task.item.url):
                    brought = brought._replace(etag=None, last_modified=None)
                size += brought.size
                seconds += brought.seconds
                host.served(node, brought.size, brought.seconds, now)
                came.append((task, brought))
            elif state == SAME:
                seconds += host.seconds
                self._account.skipped(task, task.item.size or 0)
                self._landing.same(task)
            elif state == LARGE:
                self._add_large(task)
            else:
                failed.append((task, rest))
        if payload is not None and not size:
            payload.release()  # it is of nothing
            payload = None
        host.put_back(unasked)
        host.tempo.came(count, size, seconds, now)
        for task, rest in failed:  # once it is known what the host has borne
            self._failed(flight, task, rest, now)
        if self._landing.writes(flight.hand) or not came:
            if payload is not None:
                payload.release()
            for task, brought in came:
                self._saved(task, brought, node, None)
            return
        lost = partial(self._ask_again, host, why="its bytes were lost with their node")
        self._landing.save(payload, came, node, self._saved, lost)

    def _ask_again(self, host: Host, tasks: list[Task], why: str) -> None:
        """Nobody's fault: no try, but it may not go on for ever."""
        for task in tasks:
            task.losses += 1
            if task.losses > MOST_LOSSES:
                self.give_up(task, Failure("lane", why).to_error())
            else:
                host.put_back([task])

    def _saved(
        self, task: Task, brought: Brought | None, node: str, error: RaydlError | None
    ) -> None:
        if error is not None:
            self._fail(task, error)
            self._must_go_on(error)
        elif brought is not None:
            self._account.done(task, brought, node)
            self._landing.note(task, brought)

    def _fail(self, task: Task, error: RaydlError) -> None:
        self._account.failed(task, error)
        if not task.may_be_there:  # else the next run has to know that
            self._landing.forget(task)

    def _failed(self, flight: Flight, task: Task, rest: list[object], now: float) -> None:
        host, kind = flight.host, rest[0]
        if kind == "error":
            name, message, hint = (str(text) for text in rest[1:])
            error = error_named(name, message, hint)
            if isinstance(error, TargetError) and self._may_be_ours(host, task, now):
                return
            # What gave no answer may have taken it all the same.
            task.may_be_there = task.may_be_there or (flight.is_written and name == "OutputError")
            self.give_up(task, error)
            self._must_go_on(error)
            return
        failure = Failure(*rest)  # type: ignore[arg-type]
        if kind == "cancelled":  # what it was sending may have been taken
            task.may_be_there = task.may_be_there or flight.is_written
        if kind == "cancelled" and len(flight.tasks) > 1:
            task.tries += 1  # it is alone from now on: perhaps another one was late
            host.retry(task, now)
            return
        if kind == "cancelled":
            failure = Failure("timeout", f"{task.path} did not come in time")
        if failure.status in TOO_MANY:
            host.tempo.complained(host.seconds, now)
            if failure.retry_after is not None:
                host.until = max(host.until, now + backoff.delay(1, failure.retry_after))
            self._tell_once(f"{failure.message}: it is asked more slowly")
            if task.refused_at is None:
                task.refused_at = now
            task.refusals += 1
            if task.refusals < MOST_REFUSALS or now - task.refused_at < REFUSED_SECONDS:
                host.add(task)  # behind all others, as each is refused when its turn comes
                return
        if kind in UNREACHED and host.unreached(flight.hand.node, now):
            self._ask_again(host, [task], failure.message)
            return
        if kind in UNREACHED and host.is_gone(now):  # it is not to be waited for once for each
            for other in (task, *host.drain()):
                self.give_up(other, failure.to_error())
            return
        task.tries += 1
        most = min(self._options.retries, 1 if task.item.mirrors else MOST_TRIES - 1)
        # A signature may have expired while others were fetched: it is made anew, once.
        is_expired = failure.status in EXPIRED and is_store(task.item.url) and not task.was_refused
        task.was_refused = task.was_refused or is_expired
        if not (failure.retryable or is_expired) or task.tries > most:
            tries = f" ({task.tries} tries)" if task.tries > 1 else ""
            error = failure.to_error(tries)
            for other in (task, *(host.drain_to_mirrors() if kind in UNREACHED else ())):
                self.give_up(other, error)
        else:
            self._account.retries += 1
            host.retry(task, now + backoff.delay(task.tries, failure.retry_after))

    def _tell_once(self, text: str) -> None:
        if text not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(text)
            self._tell(text)

    def _may_be_ours(self, host: Host, task: Task, now: float) -> bool:
        """Whether another line for the same file brought it, of which may not be heard yet."""
        if self._landing.is_there(task):
            return True
        task.tries += 1
        if task.tries < MOST_TRIES:
            host.retry(task, now + AGAIN_SECONDS)
        return task.tries < MOST_TRIES

    def _must_go_on(self, error: RaydlError) -> None:
        """Raise ``error`` where every other file would fail by it, too."""
        if isinstance(error, DiskError):
            raise error

    def give_up(self, task: Task, error: RaydlError) -> None:
        """It does not come from there; another mirror may have it."""
        task.wrong += isinstance(error, ChecksumError)
        is_theirs = task.wrong < MOST_WRONG and not isinstance(error, OutputError | TargetError)
        url, why = task.item.url, error
        while is_theirs and task.next_mirror():
            self.mirror_left(task, url, why)
            try:
                self._add(task)
            except RaydlError as raised:
                url, why = task.item.url, raised
                continue
            self._account.retries += 1
            return
        self._fail(task, error)

    def mirror_left(self, task: Task, url: str, error: RaydlError) -> None:
        """Tell that another mirror is asked for a file, once for each host that is left."""
        host = split(url).netloc.rpartition("@")[2]
        if host not in self._left and len(self._left) < MOST_TOLD:
            self._left.add(host)
            self._tell(f"{task.path}: the mirror {host} is left out: {error.message}")

    def large_ended(self, job: Job, brought: Brought | None, error: RaydlError | None) -> None:
        """A large one was downloaded, or failed."""
        if brought is not None and job.was_there:
            self._account.skipped(job.task, brought.size)
            self._landing.forget(job.task)
        else:
            self._saved(job.task, brought, "", error)
