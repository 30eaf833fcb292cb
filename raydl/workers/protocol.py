"""The protocol between scheduler and workers: teams of lanes, payloads, and what they post.

A lane is one request in flight. The lanes of one node are a team: it starts requests and
cancels them, says how they come on, and posts what became of each. Teams join, leave and fail
while a download runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple, Protocol

from raydl.model.errors import RaydlError
from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.origin.body import Place

HERE = "this machine"

tickets = count()
"""Of requests, never the same twice in a process: a worker that goes from one download to the next
must not match a late cancel to the wrong request."""


class Payload(Protocol):
    """The bytes of a part, wherever they are."""

    @property
    def ref(self) -> Any:
        """Their object reference; None for bytes that are not in the object store."""

    @property
    def here(self) -> bool:
        """Whether ``view`` answers at once."""

    @property
    def placed(self) -> bool:
        """Whether the bytes are where they belong: then there is nothing to view."""

    def pull(self, done: Callable[[str], None]) -> None:
        """Bring the bytes here; ``done`` gets an empty text, or why they are lost."""

    def view(self) -> memoryview:
        """The bytes; only once they are here."""

    def release(self) -> None:
        """The bytes are no longer needed."""


class Pulse(NamedTuple):
    """A worker's status report.

    ``at`` is when it was received, by this machine's monotonic clock; ``clock`` when it was taken,
    by the node's. ``received`` counts bytes since the worker started, ``flights`` those of each
    request in flight, by ticket. ``cpu`` is (busy, all) seconds of the node's processors since
    some time in the past, and ``fetching`` those that the threads which fetch have used, both where
    the system reports it.
    """

    at: float
    clock: float
    received: int
    flights: Mapping[int, int]
    cpu: tuple[float, float] | None
    fetching: float | None = None


class Slot(Place, Protocol):
    """A range of a destination, for one request of this process to put its bytes into."""

    def settle(self, got: int) -> int:
        """The request ended, and ``got`` bytes of it are right; how many of these are there."""

    def leave(self) -> None:
        """It is of no more use."""


class Slots(Protocol):
    """Where threads of this process put bytes straight to where they belong."""

    def take(self, start: int, stop: int) -> Slot | None:
        """The range ``[start, stop)``; None where the request needs memory all the same."""


class Memory(Protocol):
    """Where the bytes of parts lie until they are released. Sizes are in bytes."""

    def has_room(self, size: int, now: float) -> bool:
        """Whether there is room for ``size`` more."""

    def took(self, size: int) -> None:
        """A request for ``size`` starts."""

    def spared(self, size: int) -> None:
        """``size`` of what a request was for did not come."""

    def released(self, size: int, now: float) -> None:
        """``size`` are no longer needed."""


class Team(Protocol):
    """The lanes of one node."""

    node: str
    labels: Mapping[str, str]
    """Of its node, as Ray has them."""
    most: int
    """Requests that it can have in flight at once."""
    reports: bool
    """Whether it posts Heard messages; else it is asked by ``look``."""

    @property
    def period(self) -> float:
        """Seconds between two of its reports."""

    @property
    def memory(self) -> Memory:
        """Where what it fetches lies. A part that the output waits for is never turned away."""

    def start(self, ticket: int, part: Part, source: Source, slots: Slots | None) -> None:
        """Fetch it from there, into one of the slots if it can be; returns at once, and a Fetched
        message follows."""

    def cancel(self, ticket: int) -> None:
        """Cut that request off; its Fetched message comes all the same."""

    def look(self) -> Pulse | None:
        """How it is doing now; None for one that reports by itself."""


class Joined(NamedTuple):
    """A team is ready; it takes over from any that its node had.

    ``store`` is the size in bytes of its node's object store, 0 where it uses none.
    """

    team: Team
    store: int = 0


class Heard(NamedTuple):
    """A team says how it is doing."""

    team: Team
    pulse: Pulse


class Left(NamedTuple):
    """A team is gone, with what it had in flight; None for a node whose team never joined.

    ``unreachable``: whether what it fetched before cannot be had either.
    """

    node: str
    team: Team | None
    reason: str
    unreachable: bool = False


class Fetched(NamedTuple):
    """A request ended: ``got`` bytes are right, ``payload`` holds them."""

    ticket: int
    got: int
    payload: Payload | None
    failure: Failure | None
    seconds: float


class Connected(NamedTuple):
    """The cluster answered; ``others`` nodes besides this machine will get workers.

    ``store`` is the size in bytes of the smallest object store, 0 where none is known.
    """

    address: str
    nodes: int
    others: int
    store: int


class Listed(NamedTuple):
    """The nodes that the cluster has now: by name, each with its labels."""

    nodes: Mapping[str, Mapping[str, str]]


class ConnectFailed(NamedTuple):
    """The cluster cannot be used."""

    error: RaydlError


class Disconnected(NamedTuple):
    """The cluster is gone, or its head is: nobody joins from there any more."""

    error: RaydlError


Message = Joined | Heard | Left | Fetched | Connected | Listed | ConnectFailed | Disconnected
Post = Callable[[Message], None]
