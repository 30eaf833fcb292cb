"""Workers on nodes, seen from the driver: actors, their answers, their objects."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from raydl.cluster.titles import Titles
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

    def __init__(self, ray: ModuleType, handle: Any, titles: Titles, grouped: bool) -> None:
        self._ray, self._handle, self._titles, self._is_grouped = ray, handle, titles, grouped
        self._last = -1
        self._resting: Any = None
        self._calls: dict[tuple[str, str], Any] = {}

    def _named(self, method: str, name: str, group: str = "", returns: int = 1) -> Any:
        """That method's remote call, as Ray's tools shall name it.

        ``group``: what has threads of its own in the actor.
        """
        call = self._calls.get((method, name))
        if call is None:
            options: dict[str, Any] = {"name": name, "num_returns": returns}
            if group and self._is_grouped:
                options["concurrency_group"] = group
            call = getattr(self._handle, method).options(**options).remote
            self._calls[method, name] = call
        return call

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

        A worker that has just been made answers as soon as it has started; one that was told to
        rest once it does: else it would let go of what the next download opens.
        """
        resting, self._resting = self._resting, None
        if resting is None:
            # With threads of its own it answers while all lanes are busy.
            self._answered(self._named("pulse", "raydl status", CONTROL)(), done)
            return

        def rested(answer: Any) -> None:
            if isinstance(answer, ActorLost):
                done(answer)
            else:
                self.pulse(done)

        self._answered(resting, rested)

    def fetch(
        self,
        source: tuple[tuple[Any, ...], str | None],
        ticket: int,
        start: int,
        stop: int,
        done: Callable[[Outcome | ActorLost, ObjectPayload], None],
        name: str = "",
    ) -> None:
        """Fetch ``[start, stop)`` of the file that is called ``name``: ``done`` gets what became
        of it, and the payload."""
        self._last = ticket
        title = self._titles.of("part of", name, "a file")
        meta, data = self._named("fetch", title, returns=2)(*source, ticket, start, stop)
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
        self._answered(self._on_disk("disk", "copy", method)(method, *args), done)

    def send(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """The same for a bucket, with bytes in the object store."""
        self._answered(self._on_disk("send", "upload", method)(method, *args), done)

    def shared(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """The same with a file that several nodes write."""
        self._answered(self._on_disk("shared", "shared file", method)(method, *args), done)

    def disk_at_once(self, method: str, *args: Any) -> None:
        """The same, beside whatever else it does there; without an answer."""
        self._named("disk", _title("copy at once", method), CONTROL)(method, *args)

    def read(
        self, key: str, start: int, stop: int, done: Callable[[Any, ObjectPayload], None]
    ) -> None:
        """Have it give bytes of its copy: ``done`` gets what became of it, and the payload."""
        read = self._named("read", _title("copy", "read"), DISK, returns=2)
        self._answered_with_bytes(read(key, start, stop), done)

    def shelf(self, method: str, *args: Any, done: Callable[[Any], None]) -> None:
        """Have it do something with its node's directories of small files."""
        self._answered(self._on_disk("shelf", "small files", method)(method, *args), done)

    def read_shelf(
        self, key: str, places: list[tuple[Any, ...]], done: Callable[[Any, ObjectPayload], None]
    ) -> None:
        """Have it give small files: ``done`` gets what became of them, and their bytes."""
        read = self._named("read_shelf", _title("small files", "read"), DISK, returns=2)
        self._answered_with_bytes(read(key, places), done)

    def small(
        self,
        source: tuple[tuple[Any, ...], str | None],
        ticket: int,
        wishes: list[tuple[Any, ...]],
        pace: float,
        put_ca: str | None,
        done: Callable[[Any, ObjectPayload], None],
        host: str = "",
    ) -> None:
        """Have it fetch small files from that host: ``done`` gets what became of them, and their
        bytes."""
        self._last = max(self._last, ticket)
        title = self._titles.of("small files from", host, "a host")
        small = self._named("small", title, returns=2)
        self._answered_with_bytes(small(*source, ticket, wishes, pace, put_ca), done)

    def cancel(self, ticket: int) -> None:
        """Cut that request off."""
        self._named("cancel", "raydl cancel", CONTROL)([ticket])

    def rest(self) -> None:
        """Cut everything off, until the next download.

        What was sent may reach the worker after this: it recognises that by the last ticket.
        """
        resting = self._named("rest", "raydl rest", CONTROL)(self._last)
        if self._is_grouped:  # who asks for more in a callback of Ray's client waits for ever
            self._resting = resting

    def _on_disk(self, method: str, what: str, verb: str) -> Any:
        return self._named(method, _title(what, verb), DISK)

    def kill(self) -> None:
        """End the actor's process."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._handle)


def _title(what: str, verb: str) -> str:
    """Such as ``raydl copy: land all``."""
    return f"raydl {what}: {verb.replace('_', ' ')}"


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
