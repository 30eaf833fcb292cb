"""What runs in the background, a download or many, and what to do with it."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from raydl.download.download import run
from raydl.download.sinkchoice import Output
from raydl.model.control import Control
from raydl.model.errors import render_briefly
from raydl.model.events import Event, Progress
from raydl.model.exithooks import before_exit
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.model.units import format_size
from raydl.model.waiting import next_item
from raydl.model.weburl import redact
from raydl.settings.options import Options

MOST_EVENTS = 10_000
"""Past events that are kept for a caller that asks for them late."""


R = TypeVar("R")
P = TypeVar("P", bound=Event)

Heard = Callable[[Event], None]


class Handle(Generic[R, P]):
    """Work in a thread of its own, which ends with an R, and tells how far it is by a P.

    It goes on until it is done, cancelled or failed, whether or not anybody asks. A program that
    ends cancels it: wait for ``result`` before.
    """

    _progress_kind: type[P]

    def __init__(self, work: Callable[[Heard, Control], R], on_event: Heard | None) -> None:
        self._control = Control()
        self._future: Future[R] = Future()
        self._future.set_running_or_notify_cancel()  # only ``cancel`` below ends it
        self._ended = False
        self._lock = threading.RLock()  # an iterator may be dropped wherever there is garbage
        self._past: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._listeners: tuple[queue.SimpleQueue[Event | None], ...] = ()
        self._progress: P | None = None
        self._on_event = on_event

        def run() -> None:
            result: R
            error = None
            try:
                result = work(self._happened, self._control)
            except BaseException as raised:
                error = raised
            with self._lock:
                self._ended = True
                for listener in self._listeners:
                    listener.put(None)
            if error is not None:
                self._future.set_exception(error)
            else:
                self._future.set_result(result)

        self._thread = threading.Thread(target=run, name="raydl-download")
        before_exit(self)
        self._thread.start()

    @property
    def id(self) -> str:
        """Its id, which its events have in ``download``."""
        return self._control.id

    @property
    def progress(self) -> P | None:
        """The latest progress event; None before the first."""
        return self._progress

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return self._control.is_paused

    def pause(self) -> None:
        """Send no more requests; what was requested, about a second's worth, still arrives."""
        self._control.pause()

    def resume(self) -> None:
        """Continue after ``pause``."""
        self._control.pause(False)

    def cancel(self) -> None:
        """Cancel; ``result`` raises CancelledError. What had arrived is kept in the .part file."""
        self._control.cancel()

    def done(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> R:
        """Wait for the report, for at most ``timeout`` seconds, and return it.

        Raises what ``raydl.fetch`` or ``fetch_many`` raises, and TimeoutError if it is still
        running.
        """
        from concurrent.futures import TimeoutError as NotYet  # before Python 3.11 another one

        try:
            return self._future.result(timeout)
        except NotYet:
            if self._future.done():
                raise
            raise TimeoutError(f"not done after {timeout:g}s: {self!r}") from None
        except KeyboardInterrupt as raised:
            if not self._future.done():
                render_briefly(raised, f"it goes on, until it is cancelled: {self!r}")
            raise

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        """Call ``call`` with this handle when it has ended; immediately if it already has."""
        self._future.add_done_callback(lambda _: call(self))

    def events(self) -> Iterator[Event]:
        """Every event as it occurs, until the end; earlier ones come first.

        A dropped iterator gets no more events.
        """
        mine: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        with self._lock:
            for past in self._past:
                mine.put(past)
            if self._ended:
                mine.put(None)
            self._listeners += (mine,)
        try:
            while (event := next_item(mine)) is not None:
                yield event
        finally:
            with self._lock:
                self._listeners = tuple(one for one in self._listeners if one is not mine)

    @property
    def future(self) -> Future[R]:
        """The same as a ``concurrent.futures.Future``; cancelling that has no effect."""
        return self._future

    def join(self) -> None:
        """Wait until its thread has ended."""
        self._thread.join()

    def _happened(self, event: Event) -> None:
        if isinstance(event, self._progress_kind):
            self._progress = event
        with self._lock:
            self._past.append(event)
            for listener in self._listeners:
                listener.put(event)
        if self._on_event is not None:
            self._on_event(event)

    @property
    def _state(self) -> DownloadState:
        if self._future.done():
            return DownloadState.after(self._future.exception())
        return self._control.state

    def _far(self) -> str:
        """How far it is, in words."""
        return ""

    def _said(self, what: str) -> str:
        state = self._state
        how = state.value
        if state.can_go_on:
            error = self._future.exception()
            how = f"{type(error).__name__}: {error}"
        elif self._progress is not None and not state.is_over:
            how += f", {self._far()}"
        return f"<{type(self).__name__} {what}: {how}>"


class Download(Handle[Report, Progress]):
    """A download in a thread of its own; ``raydl.start`` returns it."""

    _progress_kind = Progress

    def __init__(
        self,
        url: str,
        output: Output,
        options: Options,
        on_event: Heard | None = None,
    ) -> None:
        self.url = redact(url)
        super().__init__(lambda heard, control: run(url, output, options, heard, control), on_event)

    @property
    def kept(self) -> int:
        """Bytes from which the next run can continue, if it ended without the file."""
        return self._control.kept

    def _far(self) -> str:
        assert self._progress is not None
        how = format_size(self._progress.fetched)
        return f"{how} of {format_size(self._progress.size)}" if self._progress.size else how

    def __repr__(self) -> str:
        return self._said(self.url)
