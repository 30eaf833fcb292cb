"""What was found, before anybody judges it. Plain data; no fact holds a secret."""

from __future__ import annotations

from dataclasses import dataclass

from raydl.model.failure import Failure


@dataclass(frozen=True)
class Room:
    """Bytes of a file system."""

    free: int
    total: int


@dataclass(frozen=True)
class MachineFacts:
    """A machine, as a process on it sees it.

    ``files`` is how many files it may have open, ``disk`` the file system of the directory in
    question, ``shared_memory`` that of /dev/shm, where there is one; ``clock`` the time there.
    ``ray`` is empty where there is none.
    """

    python: str
    ray: str
    files: int | None
    disk: Room | None
    shared_memory: Room | None
    clock: float = 0.0


@dataclass(frozen=True)
class NodeFacts:
    """A node of the cluster. ``machine`` is None where it has not answered, and ``silence`` why.

    ``ahead`` is how many seconds its clock is ahead of this machine's, ``give`` by how many that
    may be wrong. ``closed`` are its ports that cannot be reached from here, ``closed_here`` this
    machine's that cannot be reached from there.
    """

    name: str
    store: int
    machine: MachineFacts | None = None
    silence: str = ""
    ahead: float = 0.0
    give: float = 0.0
    closed: tuple[int, ...] = ()
    closed_here: tuple[int, ...] = ()


@dataclass(frozen=True)
class Reach:
    """How an origin answered a machine that asked for one byte, or all; seconds to the first."""

    seconds: float
    failure: Failure | None = None
