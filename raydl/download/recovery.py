"""After an answer that did not fit: another look at the origin, and what to start over with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raydl.model.control import Control
from raydl.model.errors import OriginChangedError, RangesIgnoredError, WrongAnswerError
from raydl.model.events import Notice
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.origin import PAGE
from raydl.origin.resolver import Located, resolve


def recover(
    error: WrongAnswerError, first: Located, control: Control, needs_ranges: bool
) -> Located:
    """What to start over with, now that an answer did not fit what was found ``first``.

    ``needs_ranges``: one stream would not do. Raises ``error`` where there is nothing, and
    WrongAnswerError where what comes is not what is promised: a login page, for one.
    """
    if isinstance(error, RangesIgnoredError) and first.remote.ranges:
        if needs_ranges:  # one server of many may have ignored it, once
            first.emit(Notice(f"{error.message}: asking again"))
            return _second_look(first, control)
        first.emit(Notice(f"{error.message}: one stream, from the start"))
        why = "the origin ignores byte ranges"
        return replace(first, remote=replace(first.remote, ranges=False, why_no_ranges=why))
    if isinstance(error, OriginChangedError):
        first.emit(Notice(f"{error.message}: looking at it again"))
        return _second_look(first, control)
    raise error


def _second_look(before: Located, control: Control) -> Located:
    """What the origin offers by now."""
    first = before.remote
    found = _look(before, control, "byte" if first.ranges else "whole")
    remote = found.remote
    if remote.size == first.size:
        return found
    if _shape(remote) != _shape(first) and (remote.media_type == PAGE or not remote.ranges):
        raise _contradiction(first, remote)
    if first.ranges and not remote.ranges:
        promised = _look(before, control, "head").remote
        if promised.size != remote.size:
            raise _contradiction(promised, remote)
    if not first.ranges and not remote.ranges:
        # A page that is generated for each request: what one answer brings is whole in itself, and
        # need not fit in what differs each time.
        promises = ("size", "etag", "last_modified", "weak_etag", "weak_date", "digests")
        differing = [name for name in promises if getattr(first, name) != getattr(remote, name)]
        nothing: dict[str, Any] = {name: () if name == "digests" else None for name in differing}
        return replace(found, remote=replace(remote, **nothing))
    return found


def _look(before: Located, control: Control, how: str) -> Located:
    return resolve(before.name, before.options, before.emit, control, how, is_known=True)


def _shape(remote: Remote) -> tuple[object, ...]:
    """What stays the same in a page that is generated for each request."""
    return (remote.media_type, bool(remote.etag or remote.weak_etag), bool(remote.digests))


def _contradiction(promised: Remote, came: Remote) -> WrongAnswerError:
    def told(remote: Remote) -> str:
        size = "unknown size" if remote.size is None else format_size(remote.size)
        return f"{remote.media_type or 'a file'} of {size}"

    return WrongAnswerError(
        f"the origin promised {told(promised)} and sends {told(came)}",
        "look at the URL in a browser: it may want a login",
    )
