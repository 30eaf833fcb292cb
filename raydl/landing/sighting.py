"""Whether a node sees the file that this process writes: then it could write there itself."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

from raydl.model.events import Emit, Notice
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import Answer
from raydl.workers.protocol import HERE, Joined, Message

WORTH_BYTES = 1 << 30
"""Of smaller files nothing is said."""


class Sighting:
    """Asks the first other node that joins, and tells of it if that is so. From any thread."""

    def __init__(self, path: Path, emit: Emit) -> None:
        self._path, self._emit = path.absolute(), emit
        self._is_asked = False

    def hear(self, message: Message) -> None:
        """Take what the fleet says."""
        match message:
            case Joined(team) if isinstance(team, ActorTeam) and team.node != HERE:
                if not self._is_asked:
                    self._is_asked = True
                    team.shared("number_of", str(self._path), done=partial(self._seen, team.node))

    def _seen(self, node: str, answer: Answer) -> None:
        _, number = answer
        with contextlib.suppress(OSError):
            if number == self._path.stat().st_ino:
                self._emit(
                    Notice(
                        f"{node} sees {self._path.parent}, too: with --to shared the nodes write "
                        "there themselves, and no bytes pass this machine"
                    )
                )
