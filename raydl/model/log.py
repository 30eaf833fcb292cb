"""Logs what is done to ``logging.getLogger("raydl")``; no record holds a secret."""

from __future__ import annotations

import logging
import os
import traceback

from raydl.model.errors import CancelledError, RaydlError, Signalled, render_briefly

log = logging.getLogger("raydl")

DEBUG = "RAYDL_DEBUG"
"""If set, what is done and the causes of errors are logged. Not an option: no download changes."""

MOST_LINKS = 16

MISTAKES = (AssertionError, AttributeError, ImportError, IndexError, KeyError, TypeError)
"""Errors whose texts name parts of a program."""

TOLD = "_raydl_has_told"
"""Attribute that marks an error as logged: attributes end with it, and every error has them."""

OURS = "_raydl_error"
"""Attribute that holds the RaydlError reported for a foreign exception."""


def note_failure(error: BaseException) -> None:
    """Log an error with all that led to it, once."""
    if log.isEnabledFor(logging.DEBUG) and TOLD not in vars(error):
        vars(error)[TOLD] = True
        log.debug("%s", whole_chain(error))


def error_of(raised: BaseException, hint: str = "") -> RaydlError:
    """The RaydlError that is reported for whatever ended a run, always the same one.

    ``hint`` is for one that was interrupted.
    """
    if isinstance(raised, RaydlError):
        return raised
    if OURS not in vars(raised):
        match raised:
            case KeyboardInterrupt():
                error: RaydlError = CancelledError("interrupted", hint)
                render_briefly(raised, str(error))
            case Signalled():
                error = raised.to_error(hint)
            case _:
                error = RaydlError(f"unexpected {describe(raised)}", f"{DEBUG}=1 shows where")
        vars(raised)[OURS] = error
    found: RaydlError = vars(raised)[OURS]
    return found


def whole_chain(error: BaseException) -> str:
    """The traceback of an error with all that led to it, as text without secrets.

    ``raise … from None`` keeps what an error came from out of a user's sight, not out of its
    ``__context__``.
    """
    links: list[str] = []
    link: BaseException | None = error
    while link is not None and len(links) < MOST_LINKS:
        lines = traceback.format_tb(link.__traceback__)
        links.append("".join((*lines, describe(link), "\n")))
        link = link.__cause__ or link.__context__
    return "which led to:\n".join(reversed(links))


def describe(error: BaseException) -> str:
    """What an error is. Texts of other libraries may hold a URL, a header, a cookie: only ours,
    and those of mistakes in a program, are shown.
    """
    kind = type(error)
    text = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if isinstance(error, OSError) and error.errno and error.strerror:
        return f"{text}: [Errno {error.errno}] {os.strerror(error.errno)}"
    if isinstance(error, RaydlError) or type(error) in MISTAKES:
        return f"{text}: {error}"
    return text
