"""Events of a download, one at a time, from whichever thread they come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from raydl.model.control import Control
from raydl.model.eventlog import note
from raydl.model.events import Emit, Event

EMIT_SECONDS = 0.5
"""Interval for checking cancellation while a listener blocks."""


def event_stream(render: Emit, on_event: Callable[[Event], None] | None, control: Control) -> Emit:
    """What marks each event as this download's, and hands it to the log and to both of these."""
    lock = threading.Lock()

    def emit(event: Event) -> None:
        event = replace(event, download=control.id)
        note(event)
        # A listener may block for as long as it wants: a cancel does not wait for that.
        while not lock.acquire(timeout=EMIT_SECONDS):
            control.wait(0)
        try:
            render(event)
            if on_event is not None:
                on_event(event)
        finally:
            lock.release()

    return emit
