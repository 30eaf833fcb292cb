"""The team whose lanes are those of an actor on a node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from raydl.cluster.actors import MOST_LANES, Actor, ActorLost, Outcome
from raydl.cluster.session import Node
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.model.weburl import split
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.protocol import HERE, Fetched, Heard, Memory, Payload, Post, Pulse, Slots


def lost_answer(reason: str) -> Answer:
    """What stands for the answer of a worker that will never give one."""
    return (LOST, reason, ""), None


def name_of(node: Node) -> str:
    """What events call it."""
    return HERE if node.is_driver else node.name


class ActorTeam:
    """The lanes of a worker on a node, from the moment it is asked for until it is dropped."""

    most = MOST_LANES
    reports = True

    def __init__(
        self,
        node: Node,
        actor: Actor,
        post: Post,
        lost: Callable[[ActorTeam, str], None],
        *,
        memory: Memory,
        period: Callable[[], float],
    ) -> None:
        self.node, self.labels = name_of(node), node.labels
        self.place = node
        self.actor = actor
        self.memory = memory
        self.joined = False
        self.asked_at: float | None = None
        """When it was asked what it has not answered yet."""
        self.heard_at = 0.0
        self._post, self._lost, self._period = post, lost, period
        self._pulse: Pulse | None = None

    @property
    def period(self) -> float:
        """Seconds from one report of it to the next: the more nodes, the longer."""
        return self._period()

    def start(self, ticket: int, part: Part, source: Source, slots: Slots | None) -> None:  # noqa: ARG002
        """Send the part to the actor."""

        def done(outcome: Outcome | ActorLost, payload: Payload) -> None:
            if isinstance(outcome, ActorLost):
                self._lost(self, outcome.reason)
                return
            got, seconds, problem = outcome
            self._post(Fetched(ticket, got, payload if got else None, problem, seconds))

        try:
            bounds = part.start, part.stop
            self.actor.fetch(source.pack(), ticket, *bounds, done, source.name)
        except Exception as error:  # the connection to Ray has gone
            self._lost(self, type(error).__name__)

    def cancel(self, ticket: int) -> None:
        """Let the actor cut it off."""
        with contextlib.suppress(Exception):
            self.actor.cancel(ticket)

    def look(self) -> Pulse | None:
        """What it answered last."""
        return self._pulse

    def disk(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """Have its worker do something with the node's files; ``done`` gets an ``Answer``."""
        self._ask(partial(self.actor.disk, method, *args), done)

    def send(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """Have its worker do something for a bucket; ``done`` gets an ``Answer``."""
        self._ask(partial(self.actor.send, method, *args), done)

    def shared(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """The same with a file that several nodes write."""
        self._ask(partial(self.actor.shared, method, *args), done)

    def disk_at_once(self, method: str, *args: Any) -> None:
        """The same, beside whatever else the worker does there; without an answer."""
        with contextlib.suppress(Exception):
            self.actor.disk_at_once(method, *args)

    def shelf(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """The same with the node's directories of small files."""
        self._ask(partial(self.actor.shelf, method, *args), done)

    def read(
        self, key: str, start: int, stop: int, done: Callable[[Any, Payload | None], None]
    ) -> None:
        """Have bytes of the node's copy brought to its store; ``done`` gets them."""
        self._ask_for_bytes(partial(self.actor.read, key, start, stop), done)

    def read_shelf(
        self,
        key: str,
        places: list[tuple[Any, ...]],
        done: Callable[[Any, Payload | None], None],
    ) -> None:
        """Have small files of the node's brought to its store; ``done`` gets them."""
        self._ask_for_bytes(partial(self.actor.read_shelf, key, places), done)

    def _ask_for_bytes(
        self, call: Callable[..., None], done: Callable[[Any, Payload | None], None]
    ) -> None:
        def answered(answer: Any, payload: Payload) -> None:
            if isinstance(answer, ActorLost):
                self._lost(self, answer.reason)
                answer = lost_answer(answer.reason)
            done(answer, payload)

        try:
            call(answered)
        except Exception as error:  # the connection to Ray has gone
            self._lost(self, type(error).__name__)
            done(lost_answer(type(error).__name__), None)

    def small(
        self,
        ticket: int,
        source: Source,
        wishes: list[tuple[Any, ...]],
        pace: float,
        put_ca: str | None,
        done: Callable[[Any, Payload | None], None],
    ) -> None:
        """Have small files fetched; ``done`` gets what became of them, None where it is lost."""

        def answered(answer: Any, payload: Payload) -> None:
            if isinstance(answer, ActorLost):
                self._lost(self, answer.reason)
                done(None, None)
            else:
                done(answer, payload)

        try:
            host = split(source.url).hostname or ""
            self.actor.small(source.pack(), ticket, wishes, pace, put_ca, answered, host)
        except Exception as error:  # the connection to Ray has gone
            self._lost(self, type(error).__name__)
            done(None, None)

    def _ask(self, call: Callable[..., None], done: Callable[[Any], None]) -> None:
        def answered(answer: Any) -> None:
            if isinstance(answer, ActorLost):
                self._lost(self, answer.reason)
                answer = lost_answer(answer.reason)
            done(answer)

        try:
            call(done=answered)
        except Exception as error:  # the connection to Ray has gone
            self._lost(self, type(error).__name__)
            done(lost_answer(type(error).__name__))

    def heard(self, answer: tuple[Any, ...], at: float) -> None:
        """Take in a status report of the worker, and pass it on."""
        self.heard_at, self.asked_at = at, None
        self._pulse = Pulse(at, *answer)
        self._post(Heard(self, self._pulse))

    def stood_still(self, seconds: float) -> None:
        """Exclude ``seconds`` in which this process was suspended."""
        self.heard_at += seconds
        if self.asked_at is not None:
            self.asked_at += seconds
