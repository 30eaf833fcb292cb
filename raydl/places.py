"""The places that have the file, while it is downloaded: asked, left, or resolved anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial

from raydl.crew import Flight
from raydl.errors import OriginChangedError, RaydlError
from raydl.event import Emit, Notice
from raydl.inbox import Resolved, Searched
from raydl.mirrors import Mirror, Mirrors
from raydl.models import Failure, Source


class Places:
    """Says whose fault a failure is: the request's, or that of the place that was asked.

    ``post`` takes what a place answered when it was asked anew where the file is; that goes on
    in a thread of its own, and comes back through ``resolved``. ``awaited`` messages come to
    ``searched``.
    """

    def __init__(
        self,
        mirrors: Iterable[Mirror],
        emit: Emit,
        post: Callable[[Resolved], None],
        awaited: int = 0,
    ) -> None:
        self._mirrors = Mirrors(mirrors, awaited)
        self._emit, self._post = emit, post
        self._last: RaydlError | None = None

    def next(self) -> Mirror | None:
        """Where the next request would be served soonest; None while nobody can say where."""
        return self._mirrors.next()

    def delivered(self, flight: Flight, got: int, seconds: float) -> None:
        """It brought ``got`` bytes."""
        self._mirrors.delivered(flight.mirror, flight.source, got, seconds)

    def excuse(self, flight: Flight, failure: Failure) -> bool:
        """Whether it is the place that failed, and the bytes will be had from elsewhere."""
        mirror = flight.mirror
        if failure.kind in ("cancelled", "lane"):
            return False
        if flight.source is not mirror.source or not self._mirrors.knows(mirror):
            return True
        if failure.status in (401, 403) and mirror.resolve is not None:
            # A URL that served bytes and then refuses was signed for a time. It is resolved once
            # for the whole fleet; a new one that serves nothing either is a failure.
            if mirror.is_resolving:
                return True
            if mirror.served:
                mirror.is_resolving = True
                self._emit(Notice(f"{failure.message}: asking anew where the file is"))
                resolve = partial(self._resolve, mirror, mirror.resolve)
                threading.Thread(target=resolve, name="raydl-resolve", daemon=True).start()
                return True
        return self._leaves(mirror, failure)

    def resolved(self, message: Resolved) -> None:
        """Go on with what a place answered. Raises its error, if there is no other place."""
        mirror, error = message.mirror, message.error
        if message.source is not None and not mirror.renew(message.source):
            hint = "run the same command again to start over"
            error = OriginChangedError("the file on the origin changed", hint)
        if error is None:
            return
        mirror.is_resolving = False
        if not self._leaves(mirror, Failure("changed", error.message)):
            raise error

    def searched(self, message: Searched) -> None:
        """A place joins, or will not. Raises the last one's error where none is left."""
        if not self._mirrors.searched(message.mirror) and self._last is not None:
            raise self._last

    def _leaves(self, mirror: Mirror, failure: Failure) -> bool:
        """Whether this failure was one too many, and the place is asked no more."""
        if not self._mirrors.failed(mirror, failure):
            return False
        self._last = failure.to_error()
        self._emit(Notice(f"{mirror} is left out from here: {failure.message}"))
        return True

    def _resolve(self, mirror: Mirror, resolve: Callable[[], Source]) -> None:
        try:
            answer = Resolved(mirror, resolve(), None)
        except RaydlError as error:
            answer = Resolved(mirror, None, error)
        self._post(answer)
