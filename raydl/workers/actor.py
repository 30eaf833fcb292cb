"""The team whose lanes are those of an actor on a node."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

from raydl.cluster.actors import MOST_LANES, Actor, ActorLost, Outcome
from raydl.cluster.session import Node
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.workers.lane import HERE, Fetched, Payload, Post, Pulse


def name_of(node: Node) -> str:
    """What events call it."""
    return HERE if node.is_driver else node.name


class ActorTeam:
    """The lanes of a worker on a node, from the moment it is asked for until it is dropped."""

    most = MOST_LANES
    in_store = True

    def __init__(
        self,
        node: Node,
        actor: Actor,
        post: Post,
        lost: Callable[[ActorTeam, str], None],
    ) -> None:
        self.node = name_of(node)
        self.place = node
        self.actor = actor
        self.joined = self.asked = False
        self.heard_at = time.monotonic()
        self._post, self._lost = post, lost
        self._pulse: Pulse | None = None

    def accepts(self, size: int, urgent: bool) -> bool:  # noqa: ARG002 - the signature of teams
        """The node's memory is bounded by the window alone."""
        return True

    def start(self, ticket: int, part: Part, source: Source) -> None:
        """Send the part to the actor."""

        def done(outcome: Outcome | ActorLost, payload: Payload) -> None:
            if isinstance(outcome, ActorLost):
                self._lost(self, outcome.reason)
                return
            got, seconds, problem = outcome
            self._post(Fetched(ticket, got, payload if got else None, problem, seconds))

        try:
            self.actor.fetch(source.pack(), ticket, part.start, part.stop, done)
        except Exception as error:  # the connection to Ray has gone
            self._lost(self, type(error).__name__)

    def cancel(self, ticket: int) -> None:
        """Let the actor cut it off."""
        with contextlib.suppress(Exception):
            self.actor.cancel(ticket)

    def look(self) -> Pulse | None:
        """What it answered last."""
        return self._pulse

    def heard(self, answer: tuple[Any, ...]) -> None:
        """Take in a status report of the worker."""
        self.heard_at = time.monotonic()
        self._pulse = Pulse(self.heard_at, *answer)
        self.asked = False
