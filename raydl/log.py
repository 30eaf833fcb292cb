"""What is done, told to ``logging.getLogger("raydl")``; nothing of it holds a secret."""

from __future__ import annotations

import logging
import re
import traceback
import weakref

from raydl.event import Event, PartWritten, Progress, Unanswered

log = logging.getLogger("raydl")

_told: weakref.WeakSet[BaseException] = weakref.WeakSet()


def note(event: Event) -> None:
    """Tell of an event; not of those that come many times a second and say little."""
    if log.isEnabledFor(logging.DEBUG) and not isinstance(event, Progress | PartWritten):
        record = event.to_dict()
        kind = record.pop("event")
        log.debug("%s: %s", kind, " ".join(f"{name}={value!r}" for name, value in record.items()))


def note_quietly(event: Event) -> None:
    """Tell of an event, for who shows none: of an origin that does not answer, as a warning."""
    note(event)
    warn(event)


def warn(event: Event) -> None:
    """What is shown of an event where nothing is: on standard error, or where logging leads."""
    if isinstance(event, Unanswered):
        log.warning("%s", event)


def note_failure(error: BaseException) -> None:
    """Tell of an error with all that led to it, once."""
    if log.isEnabledFor(logging.DEBUG) and error not in _told:
        _told.add(error)
        log.debug("%s", whole_chain(error))


def whole_chain(error: BaseException) -> str:
    """The traceback of an error with all that led to it, as text without secrets.

    ``raise … from None`` keeps what an error came from out of a user's sight, not out of its
    ``__context__``.
    """
    # Not compact: else it leaves out what the errors suppress.
    link: traceback.TracebackException | None
    shown = link = traceback.TracebackException.from_exception(error, compact=False)
    while link is not None:
        link.__suppress_context__ = False
        link = link.__cause__ or link.__context__
    return without_secrets("".join(shown.format()))


def without_secrets(text: str) -> str:
    """A text of other libraries, without the passwords and queries of the URLs in it."""
    text = re.sub(r"//[^/\s'\"]*@", "//…@", text)
    return re.sub(r"\?[^\s'\"<>()]+", "?…", text)
