"""Events in the log: each is a debug line of ``logging.getLogger("raydl")``."""

from __future__ import annotations

import logging

from raydl.model.events import Event, PartWritten, Progress, Unanswered
from raydl.model.log import log


def note(event: Event) -> None:
    """Log an event; not those that come many times a second and say little."""
    if log.isEnabledFor(logging.DEBUG) and not isinstance(event, Progress | PartWritten):
        details = event.details().items()
        log.debug("%s: %s", event.kind(), " ".join(f"{name}={value!r}" for name, value in details))


def note_quietly(event: Event) -> None:
    """Log an event where none is shown: an origin that does not answer, as a warning."""
    note(event)
    warn(event)


def warn(event: Event) -> None:
    """What is shown of an event where nothing is: on standard error, or where logging leads."""
    if isinstance(event, Unanswered):
        log.warning("%s", event)
