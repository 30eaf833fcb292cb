"""Workers on nodes, seen from the driver: actors, their answers, their objects."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from raydl.model.failure import Failure

CONTROL = "control"
"""The concurrency group for all but fetching."""

DISK = "disk"
"""The one for what goes to the node's disk, or comes from it."""

DISK_THREADS = 8

MOST_LANES = 64
"""Threads of an actor that wait for parts to fetch."""

_export_lock = threading.Lock()


class ActorLost(Exception):  # noqa: N818 - an outcome, handed to a callback
    """The actor will never answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Outcome = tuple[int, float, Failure | None]
"""Bytes that are right, seconds, and why there are no more."""


class Actor:
    """A worker on a node, seen from the driver. Callbacks come on Ray's own thread."""

    def __init__(self, ray: ModuleType, handle: Any, grouped: bool) -> None:
        self._ray, self._handle = ray, handle
        self._fetch = handle.fetch.options(num_returns=2)
        self._small = handle.small.options(num_returns=2)
        self._last = -1
        # A thread of its own in the actor: it answers while all lanes are busy.
        self._pulse, self._cancel, self._rest = (
            method.options(concurrency_group=CONTROL) if grouped else method
            for method in (handle.pulse, handle.cancel, handle.rest)
        )
        group = {"concurrency_group": DISK} if grouped else {}
        self._disk = handle.disk.options(**group)
        self._send = handle.send.options(**group)
        self._read = handle.read.options(num_returns=2, **group)
        self._shared = handle.shared.options(**group)
        self._shelf = handle.shelf.options(**group)
        self._read_shelf = handle.read_shelf.options(num_returns=2, **group)
        self._at_once = handle.disk.options(**({"concurrency_group": CONTROL} if grouped else {}))

    @staticmethod
    def _answered(answer: Any, done: Callable[[Any], None]) -> None:
        def answered(future: Any) -> None:
            error = future.exception()
            done(future.result() if error is None else ActorLost(reason_of(error)))

        answer.future().add_done_callback(answered)

    @classmethod
    def _answered_with_bytes(cls, both: Any, done: Callable[[Any, ObjectPayload], None]) -> None:
        answer, data = both
        payload = ObjectPayload(data)
        cls._answered(answer, lambda what: done(what, payload))

    def pulse(self, done: Callable[[tuple[Any, ...] | ActorLost], None]) -> None:
        """Ask how it is doing: ``done`` gets the fields of a Pulse, but for when it is heard.

        A worker that has just been made answers as soon as it has started.
        """

        self._answered(self._pulse.remote(), done)

    def fetch(
        self,
        source: tuple[tuple[Any, ...], str | None],
        ticket: int,
        start: int,
        stop: int,
        done: Callable[[Outcome | ActorLost, ObjectPayload], None],
    ) -> None:
        """Fetch ``[start, stop)``: ``done`` gets what became of it, and the payload."""
        self._last = ticket
        meta, data = self._fetch.remote(*source, ticket, start, stop)
        payload = ObjectPayload(data)

        def answered(future: Any) -> None:
            error = future.exception()
            if error is not None:
                done(ActorLost(reason_of(error)), payload)
                return
            got, seconds, problem = future.result()
            done((got, seconds, Failure(*problem) if problem else None), payload)

        meta.future().add_done_callback(answered)

    def disk(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """Have it do something with its node's files; ``done`` gets the answer or an ActorLost."""
        self._answered(self._disk.remote(method, *args), done)

    def send(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """The same for a bucket, with bytes in the object store."""
        self._answered(self._send.remote(method, *args), done)

    def shared(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """The same with a file that several nodes write."""
        self._answered(self._shared.remote(method, *args), done)

    def disk_at_once(self, method: str, *args: Any) -> None:
        """The same, beside whatever else it does there; without an answer."""
        self._at_once.remote(method, *args)

    def read(
        self, key: str, start: int, stop: int, done: Callable[[Any, ObjectPayload], None]
    ) -> None:
        """Have it give bytes of its copy: ``done`` gets what became of it, and the payload."""
        self._answered_with_bytes(self._read.remote(key, start, stop), done)

    def shelf(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """Have it do something with its node's directories of small files."""
        self._answered(self._shelf.remote(method, *args), done)

    def read_shelf(
        self, key: str, places: list[tuple[Any, ...]], done: Callable[[Any, ObjectPayload], None]
    ) -> None:
        """Have it give small files: ``done`` gets what became of them, and their bytes."""
        self._answered_with_bytes(self._read_shelf.remote(key, places), done)

    def small(
        self,
        source: tuple[tuple[Any, ...], str | None],
        ticket: int,
        wishes: list[tuple[Any, ...]],
        pace: float,
        put_ca: str | None,
        done: Callable[[Any, ObjectPayload], None],
    ) -> None:
        """Have it fetch small files: ``done`` gets what became of them, and their bytes."""
        self._last = max(self._last, ticket)
        self._answered_with_bytes(self._small.remote(*source, ticket, wishes, pace, put_ca), done)

    def cancel(self, ticket: int) -> None:
        """Cut that request off."""
        self._cancel.remote([ticket])

    def rest(self) -> None:
        """Cut everything off, until the next download.

        What was sent may reach the worker after this: it recognises that by the last ticket.
        """
        self._rest.remote(self._last)

    def kill(self) -> None:
        """End the actor's process."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._handle)


class ObjectPayload:
    """Bytes in a node's object store.

    ``pull`` brings them to this node's store; the view is on that shared memory, without a
    copy, and pins it until ``release``.
    """

    placed = False

    def __init__(self, ref: Any) -> None:
        self._ref = ref
        self._data: memoryview | None = None

    @property
    def ref(self) -> Any:
        """The object reference, until ``release``."""
        return self._ref

    @property
    def here(self) -> bool:
        """Whether ``view`` answers at once."""
        return self._data is not None

    def pull(self, done: Callable[[str], None]) -> None:
        """Start to bring the bytes here; ``done`` gets an empty text, or why they are lost."""

        def answered(future: Any) -> None:
            error = future.exception()
            if error is None:
                self._data = memoryview(future.result())
            done("" if error is None else reason_of(error))

        self._ref.future().add_done_callback(answered)

    def view(self) -> memoryview:
        """The bytes; only once they are here."""
        if self._data is None:
            raise LookupError("the object has not been pulled")
        return self._data

    def release(self) -> None:
        """Let go of the object, here and on its node."""
        self._data = None
        self._ref = None


def reason_of(error: BaseException) -> str:
    """A few words on why an actor or object is lost, without Ray's pages of advice."""
    words = {
        "ActorDiedError": "its process ended",
        "ActorUnavailableError": "it does not answer",
        "ActorUnschedulableError": "its node has gone",
        "NodeDiedError": "its node died",
        "ObjectLostError": "its memory was lost",
        "OwnerDiedError": "its owner died",
        "OutOfMemoryError": "it ran out of memory",
        "RuntimeEnvSetupError": "its environment could not be set up",
    }
    for cls in type(error).__mro__:
        if cls.__name__ in words:
            return words[cls.__name__]
    cause = getattr(error, "cause", None)
    if isinstance(cause, ImportError):
        return f"it cannot import {cause.name or 'a module'}"
    return type(cause if isinstance(cause, BaseException) else error).__name__


@contextlib.contextmanager
def shipped_by_value(ray: ModuleType) -> Iterator[None]:
    """Within it, classes of raydl are pickled whole, so that nodes need no raydl of their own."""
    package = sys.modules["raydl"]
    with _export_lock:
        ray.cloudpickle.register_pickle_by_value(package)
        try:
            yield
        finally:
            ray.cloudpickle.unregister_pickle_by_value(package)
