"""What every landing works at: messages, one at a time, and who is there to do something."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from raydl.landing.s3 import Claim
from raydl.model.control import Control
from raydl.model.coverage import Coverage
from raydl.model.digests import Proof
from raydl.model.events import Emit
from raydl.origin.resolver import Located
from raydl.scheduler.destination import Destination
from raydl.scheduler.meter import Meter
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import (
    ConnectFailed,
    Disconnected,
    Heard,
    Joined,
    Left,
    Listed,
    Message,
)

TURN_SECONDS = 0.1
"""The longest time between two turns, whether or not there is a message."""

STOPPED_SECONDS = 5.0
"""Between two turns there is not so much time, unless the process was suspended."""


class Placing(Protocol):
    """A job of the scheduler: bytes of the file on their way to a destination."""

    @property
    def meter(self) -> Meter:
        """What has arrived, from where."""

    @property
    def parts(self) -> int:
        """How many parts the file was divided into so far."""

    @property
    def limit(self) -> str:
        """A line that says which limit was met; empty where that is not known."""

    def begin(self) -> None:
        """Start to fetch; the destination is told of the end."""

    def hold(self, paused: bool) -> None:
        """Ask for nothing more, or go on."""


@dataclass(frozen=True)
class Means:
    """What a download gives to a landing.

    ``fetch`` is a job for what is not in the coverage given; the destination gets it. ``fleet``
    calls its argument with what the fleet says, from any thread, from who is there already on; it
    keeps the fleet until it is left. ``is_alone``: there is no cluster, only this process.
    ``claim`` is on the object that is to be in a bucket.
    """

    found: Located
    proof: Proof | None
    options: Options
    emit: Emit
    control: Control
    fetch: Callable[[Destination, Coverage], AbstractContextManager[Placing]]
    fleet: Callable[[Callable[[Message], None]], AbstractContextManager[None]]
    is_alone: bool
    claim: Claim = field(default_factory=Claim)


class Desk:
    """The thread of the download takes what is posted, one at a time; so nothing needs a lock.

    ``teams`` are the workers that are there, by node, and ``heard_at`` when each was heard of last.
    ``nodes`` are the cluster's, with their labels, once it is connected. ``joined`` is called
    where a worker came, ``left`` where a node has none any more, and why.
    """

    def __init__(
        self,
        control: Control,
        joined: Callable[[ActorTeam], None],
        left: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._asked_at, self._stood_still = clock, clock(), 0.0
        self.teams: dict[str, ActorTeam] = {}
        self.heard_at: dict[str, float] = {}
        self.nodes: Mapping[str, Mapping[str, str]] = {}
        self._control = control
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._joined, self._left = joined, left

    def clock(self) -> float:
        """The time, without that during which this process was suspended (Ctrl-Z): nothing was
        heard meanwhile, which means nothing. It is asked in every turn."""
        now = self._clock()
        gap, self._asked_at = now - self._asked_at, now
        if gap > STOPPED_SECONDS:
            self._stood_still += gap
        return now - self._stood_still

    def post(self, call: Callable[[], None]) -> None:
        """Have this called by the thread of the download; from any thread."""
        self._inbox.put(call)

    def answer(self, call: Callable[..., None], *args: Any) -> Callable[[Any], None]:
        """What a worker's answer is to be given to: ``call`` gets it, in the download's thread."""
        return lambda answer: self.post(partial(call, *args, answer))

    def hear(self, message: Message) -> None:
        """Take what the fleet says; from any thread."""
        self.post(partial(self._take, message))

    def fail(self, error: BaseException) -> None:
        """Let ``run`` raise this; from any thread."""
        self.post(partial(_raise, error))

    def run(self, turn: Callable[[], bool]) -> None:
        """Take what is posted until ``turn``, which is called in between, says that it is over.

        Raises what any of it raises, and CancelledError once the download is cancelled.
        """
        self._asked_at = self._clock()
        while not turn():
            self._control.wait(0)
            self.take()

    def take(self) -> None:
        """Take what is posted; wait for a turn's time if that is nothing. Raises what it raises."""
        try:
            call = self._inbox.get(timeout=TURN_SECONDS)
            while True:
                call()
                call = self._inbox.get_nowait()
        except queue.Empty:
            pass

    def _take(self, message: Message) -> None:
        now = self.clock()
        match message:
            case Listed(nodes):
                self.nodes = nodes
            case Joined(team) if isinstance(team, ActorTeam):
                self.teams[team.node], self.heard_at[team.node] = team, now
                self._joined(team)
            case Heard(team):
                self.heard_at[team.node] = now
            case Left(node, team, reason):
                if team is None or self.teams.get(node) is team:
                    self.teams.pop(node, None)
                    self._left(node, reason)
            case ConnectFailed(error) | Disconnected(error):
                raise error


def _raise(error: BaseException) -> None:
    raise error
