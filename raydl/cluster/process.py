"""What this process has of Ray, and what raydl changed in it for Ray. The one owner of both."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from raydl.cluster.titles import Titles

if TYPE_CHECKING:
    from raydl.cluster.actors import Actor
    from raydl.cluster.address import ClusterChoice

RAY_DEFAULTS = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # No line about an accelerator setting that will change in a later version.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Variables that Ray reads when it is imported, unless the user has set them."""


class RayProcess:
    """The connection to Ray, the workers that rest on it, and the variables that Ray reads.

    Ray has one connection a process, so there is one of these: ``PROCESS``. Who takes several
    steps holds ``lock`` meanwhile; it may be taken again by the same thread.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.users = 0
        self.is_lost = False
        """Whether the head is gone."""
        self.titles = Titles()
        """What Ray's tools call workers and calls on this connection."""
        self.has_own_token = False
        """Whether Ray has read the token that raydl set for it."""
        self._choice: ClusterChoice | None = None
        self._identity = ""
        self._idle: dict[str, list[Actor]] = {}
        self._timer: threading.Timer | None = None
        self._before: dict[str, str | None] = {}

    @property
    def choice(self) -> ClusterChoice | None:
        """What the connection was made for; None for one that is not raydl's to end."""
        return self._choice

    def is_kept(self, identity: str) -> bool:
        """Whether that connection is one that raydl made and keeps for the next download.

        Nobody else chose it, so it does not count as the session of this process.
        """
        return self._choice is not None and identity == self._identity

    def connected(self, identity: str) -> None:
        """This is the connection now: what was of another one is over, its workers too."""
        with self.lock:
            if identity != self._identity:
                self._identity, self._choice, self.is_lost = identity, None, False
                self._idle.clear()
                self.titles = Titles()

    def made(self, choice: ClusterChoice, identity: str) -> None:
        """Raydl made this connection, for nobody yet."""
        with self.lock:
            self.connected(identity)
            self._choice, self.users = choice, 0

    def given(self) -> None:
        """The connection is not raydl's to end any more."""
        with self.lock:
            self._choice = None

    @property
    def has_idle(self) -> bool:
        """Whether workers rest on the connection."""
        return bool(self._idle)

    def rest(self, node: str, actor: Actor) -> None:
        """Keep a worker for the next download."""
        with self.lock:
            self._idle.setdefault(node, []).append(actor)

    def wake(self, node: str) -> Actor | None:
        """A worker that rests on that node, if there is one."""
        with self.lock:
            idle = self._idle.get(node)
            return idle.pop() if idle else None

    def dismiss_idle(self) -> list[Actor]:
        """The workers that rest, which are not kept any longer."""
        with self.lock:
            actors = [actor for actors in self._idle.values() for actor in actors]
            self._idle.clear()
            return actors

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call that unless this is called again, or stopped, before."""
        with self.lock:
            self.stop_waiting()
            self._timer = threading.Timer(seconds, call)
            self._timer.daemon = True
            self._timer.start()

    def stop_waiting(self) -> None:
        """Do not call what is waited with."""
        with self.lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    @property
    def is_waiting(self) -> bool:
        """Whether something will be called later."""
        return self._timer is not None

    def set_defaults(self) -> None:
        """Set what Ray reads when it is imported; that stays."""
        for name, value in RAY_DEFAULTS.items():
            os.environ.setdefault(name, value)

    def set_variables(self, **variables: str) -> None:
        """Set variables of this process, until ``restore_variables``."""
        with self.lock:
            for name, value in variables.items():
                self._before.setdefault(name, os.environ.get(name))
                os.environ[name] = value

    def restore_variables(self, *names: str) -> None:
        """Undo that; a variable that was not set is left as it is."""
        with self.lock:
            for name in names:
                if name not in self._before:
                    continue
                before = self._before.pop(name)
                if before is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = before

    @contextlib.contextmanager
    def variables(self, **variables: str) -> Iterator[None]:
        """Set variables of this process within."""
        self.set_variables(**variables)
        try:
            yield
        finally:
            self.restore_variables(*variables)


PROCESS = RayProcess()
