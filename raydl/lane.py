"""What a lane is, and what lanes and fleets say to the coordinator.

A lane takes one task at a time and posts what became of it; lanes join, leave and fail while a
download runs. Everything said to the coordinator is one of the messages below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from raydl.errors import RaydlError
from raydl.models import Failure
from raydl.window import Task

HERE = "this machine"


class Payload(Protocol):
    """The bytes of a part, wherever they are."""

    @property
    def here(self) -> bool:
        """Whether ``view`` answers at once."""

    def pull(self, done: Callable[[str], None]) -> None:
        """Bring the bytes here; ``done`` gets an empty text, or why they are lost."""

    def view(self) -> memoryview:
        """The bytes; only once they are here."""

    def release(self) -> None:
        """The bytes are no longer needed."""


class Lane(Protocol):
    """One request in flight."""

    node: str

    def accepts(self, urgent: bool) -> bool:
        """Whether there is memory for a part; an ``urgent`` one is never turned away."""

    def start(self, task: Task) -> None:
        """Fetch it; returns at once, and a Fetched message follows."""

    def received(self) -> int:
        """Bytes of the task in flight so far, where that is known."""


class Joined(NamedTuple):
    """Lanes of a node are ready; they take over from any that the node had."""

    node: str
    lanes: list[Lane]


class Left(NamedTuple):
    """These lanes of a node are gone, with what they had in flight.

    ``unreachable`` tells that what they fetched before cannot be had either.
    """

    node: str
    lanes: list[Lane]
    reason: str
    unreachable: bool = False


class Fetched(NamedTuple):
    """A lane ended a task: ``got`` bytes of it are right, ``payload`` holds them."""

    lane: Lane
    task: Task
    got: int
    payload: Payload | None
    failure: Failure | None
    seconds: float


class Connected(NamedTuple):
    """The cluster answered; ``others`` nodes besides this machine will get workers."""

    address: str
    nodes: int
    others: int


class ConnectFailed(NamedTuple):
    """The cluster cannot be used."""

    error: RaydlError


Message = Joined | Left | Fetched | Connected | ConnectFailed
Post = Callable[[Message], None]
