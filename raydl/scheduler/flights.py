"""All requests in flight: which compete for the same bytes, and which are late. Pure state."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodestate import Flight, NodeState
from raydl.scheduler.window import Task

MOST_RIVALS = 3
"""Lanes that are asked for the same bytes at once, at most."""

_tickets = count()
"""Never the same twice in a process: a worker that goes from one download to the next must not
match a late cancel to the wrong request."""


class Flights:
    """Flights by ticket, and by the first of the bytes that they fetch."""

    def __init__(self) -> None:
        self._by_ticket: dict[int, Flight] = {}
        self._racing: dict[int, list[Flight]] = {}

    def __len__(self) -> int:
        return len(self._by_ticket)

    def __iter__(self) -> Iterator[Flight]:
        return iter(self._by_ticket.values())

    def get(self, ticket: int) -> Flight | None:
        """The flight with this ticket, if it is still in flight."""
        return self._by_ticket.get(ticket)

    def launch(self, task: Task, node: NodeState, mirror: Mirror, now: float) -> Flight:
        """A lane of ``node`` takes the task and asks ``mirror``."""
        flight = Flight(next(_tickets), task, node, mirror, now)
        mirror.in_flight += 1
        self._by_ticket[flight.ticket] = node.flights[flight.ticket] = flight
        self._racing.setdefault(task.part.start, []).append(flight)
        return flight

    def land(self, flight: Flight) -> None:
        """Remove a finished request."""
        flight.mirror.in_flight -= 1
        del self._by_ticket[flight.ticket], flight.node.flights[flight.ticket]
        start = flight.task.part.start
        self._racing[start].remove(flight)
        if not self._racing[start]:
            del self._racing[start]

    def rivals(self, start: int) -> list[Flight]:
        """The requests for the bytes at ``start`` that are still wanted."""
        return [flight for flight in self._racing.get(start, ()) if not flight.moot]

    def late(
        self, now: float, speed: float, at: int | None = None, spare: float = 0.0
    ) -> list[Flight]:
        """Requests that a lane of ``speed`` bytes a second would overtake, the first bytes first.

        ``at`` asks about the bytes there alone, ``spare`` is how many seconds the download can
        do without them.
        """
        starts = sorted(self._racing) if at is None else [at]
        foremost = (self._foremost(start, now) for start in starts)
        return [f for f in foremost if f is not None and f.is_late(now, speed, spare)]

    def _foremost(self, start: int, now: float) -> Flight | None:
        """The request that will have ``start`` first; None if its bytes were hedged already."""
        racing = self.rivals(start)
        if len(racing) >= MOST_RIVALS:
            return None
        foremost = min(racing, key=lambda flight: flight.seconds_left(now), default=None)
        return None if foremost is None or foremost.replaced else foremost
