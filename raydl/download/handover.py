"""What was fetched, handed to whoever takes it in the thread of the download."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator

from raydl.model.errors import CancelledError
from raydl.model.events import Emit, Event
from raydl.model.parts import Part
from raydl.model.waiting import next_item
from raydl.workers.protocol import Payload, Slots

MOST_EVENTS = 10_000
"""With more events than this that no listener has taken, nothing more is asked for."""


class Handover:
    """A destination that gives the bytes to whoever iterates over ``payloads``.

    With ``here`` they are brought to this process, else they stay where they were fetched. For
    ``in_order`` and ``slots`` see ``Destination``.
    """

    def __init__(self, here: bool, *, in_order: bool = True, slots: Slots | None = None) -> None:
        self.here, self.in_order, self.slots = here, in_order, slots
        self._out: queue.SimpleQueue[
            tuple[Part, Payload, Callable[[str], None]] | BaseException | None
        ] = queue.SimpleQueue()
        self._cancelled = self._closed = False
        self._given: Payload | None = None

    def take(
        self,
        part: Part,
        payload: Payload,
        node: str,  # noqa: ARG002 - as Destination has it
        done: Callable[[str], None],
    ) -> None:
        """Keep it for whoever iterates; it is done when the next one is asked for."""
        self._out.put((part, payload, done))
        if self._closed:
            self._drop()

    def end(self, error: BaseException | None) -> None:
        """Let the iteration end, or raise ``error``."""
        self._out.put(error)

    def cancel(self) -> None:
        """Let the iteration raise CancelledError; from any thread."""
        self._cancelled = True
        self._out.put(CancelledError("the download was cancelled", "start it again to go on"))

    def payloads(self) -> Iterator[tuple[Part, Payload]]:
        """The parts, as they are taken. Raises what ended the download before its end."""
        while (item := next_item(self._out)) is not None:
            if isinstance(item, BaseException):
                raise item
            part, self._given, done = item
            if self._cancelled:
                raise CancelledError("the download was cancelled", "start it again to go on")
            yield part, self._given
            self._given = None
            done("")

    def close(self) -> None:
        """Nobody iterates any more: what is left goes back to the memory that it lies in."""
        self._closed = True
        if self._given is not None:
            self._given.release()
        self._drop()

    def _drop(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                item = self._out.get_nowait()
                if isinstance(item, tuple):
                    item[1].release()


class Announcer:
    """Emits events in a thread of its own: a listener may block for as long as it wants.

    ``failed`` gets what a listener raises, after which nothing more is emitted.
    """

    def __init__(self, emit: Emit, failed: Callable[[BaseException], None]) -> None:
        self._emit, self._failed = emit, failed
        self._is_closed = False
        self._queue: queue.SimpleQueue[Event | Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="raydl-events", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Have it emitted, and return at once."""
        self._queue.put(event)

    def then(self, call: Callable[[], None]) -> None:
        """Call this once everything before it is emitted."""
        self._queue.put(call)

    def keeps_up(self) -> bool:
        """Whether the listener takes what happens about as soon as it does."""
        return self._queue.qsize() < MOST_EVENTS

    def close(self, seconds: float) -> None:
        """Emit what is left, and nothing more; waits ``seconds`` at most for a listener, once."""
        if not self._is_closed:
            self._is_closed = True
            self._queue.put(None)
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                if isinstance(item, Event):
                    self._emit(item)
                else:
                    item()
        except BaseException as error:
            self._failed(error)
