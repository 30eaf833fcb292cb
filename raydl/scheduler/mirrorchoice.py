"""Which mirror, if any, may be asked now, and what a failure there means for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial

from raydl.model import backoff
from raydl.model.errors import OriginChangedError, RaydlError
from raydl.model.events import Emit, Notice
from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.scheduler.failurepolicy import FROM_THE_ORIGIN, FailurePolicy, Verdict
from raydl.scheduler.flights import Flight
from raydl.scheduler.inbox import Resolved, Searched
from raydl.scheduler.mirrors import Mirror, Mirrors
from raydl.scheduler.nodestate import NodeState
from raydl.scheduler.retries import Retries

EXPIRED = (400, 401, 403)
"""What a URL that was signed is answered once its time is over; 400 is S3's word where that of the
credentials is which signed it (ExpiredToken)."""


class After(Enum):
    """What it means that connections were refused and a request went well after that."""

    NOTHING = "none was refused"
    TOO_MANY = "there were too many"
    BACK = "the origin was gone, and is there again"


class MirrorChoice:
    """Where to ask for bytes, and what a failure there means.

    ``post`` takes what a mirror answered when it was asked again where the file is; that runs
    in a thread of its own, and comes back through ``resolved``. ``awaited`` messages come to
    ``searched``. ``most`` requests at once may go to one origin.
    """

    def __init__(
        self,
        mirrors: Iterable[Mirror],
        emit: Emit,
        post: Callable[[Resolved], None],
        awaited: int = 0,
        most: int | None = None,
    ) -> None:
        self.mirrors = Mirrors(mirrors, awaited)
        self._most = most
        self._policy = FailurePolicy(self.mirrors)
        self._emit, self._post = emit, post
        self._last: RaydlError | None = None
        self._refused_at: float | None = None
        """When the first request began whose connection was refused, since one went well."""

    def next(self, node: NodeState, start: int, retries: Retries, now: float) -> Mirror | None:
        """Where ``node`` asks for the bytes at ``start``; None where it may ask nowhere."""
        spent = {mirror for mirror in self.mirrors if retries.is_spent(start, mirror)}
        if len(spent) == len(self.mirrors) and not self.mirrors.awaited:
            spent.clear()  # the others were left since: one more failure is the end

        def may_ask(mirror: Mirror) -> bool:
            return mirror not in spent and self._may_ask(node, mirror, now)

        return self.mirrors.next(may_ask, retries.at(start))

    def is_open(self, now: float) -> bool:
        """Whether any mirror may be asked, and it is known where."""
        return any(mirror.is_open and now >= mirror.host.until for mirror in self.mirrors)

    def is_full(self) -> bool:
        """Whether every mirror has all the requests that the user allows."""
        return self._most is not None and all(
            mirror.host.in_flight >= self._most for mirror in self.mirrors
        )

    def has_any(self, node: NodeState, now: float) -> bool:
        """Whether there is a mirror that ``node`` may ask now."""
        return any(m.is_open and self._may_ask(node, m, now) for m in self.mirrors)

    def _may_ask(self, node: NodeState, mirror: Mirror, now: float) -> bool:
        if self._most is not None and mirror.host.in_flight >= self._most:
            return False
        return self._policy.may_ask(node, mirror, now)

    def is_aside(self, node: NodeState) -> bool:
        """Whether ``node`` is set aside at every mirror."""
        return all(self._policy.is_aside(node, mirror) for mirror in self.mirrors)

    def delivered(self, flight: Flight, got: int, seconds: float, now: float) -> None:
        """``flight`` delivered ``got`` bytes."""
        self.mirrors.delivered(flight.mirror, flight.source, got, seconds)
        if self._policy.served(flight, now):
            self._emit(Notice(f"{flight.node.name} takes part again"))

    def fitted(self, start: int) -> None:
        """The bytes at ``start`` came, and they fit."""
        self._policy.fitted(start)

    def landed(self, flight: Flight, flights: Iterable[Flight]) -> None:
        """A request ended; ``flights`` are those still running."""
        mirror = flight.mirror
        if mirror.refused is None or flight.source is not mirror.source:
            return
        if mirror.served:
            self._resolve(mirror, mirror.refused)
        elif all(other.source is not mirror.source for other in flights):
            mirror.refused = None

    def is_excused(self, flight: Flight, failure: Failure, flights: Iterable[Flight]) -> bool:
        """Whether nobody is to blame, and the bytes are merely asked for again."""
        mirror = flight.mirror
        if failure.kind == "cancelled":
            return True
        if failure.kind == "lane":
            return False
        if flight.source is not mirror.source or mirror not in self.mirrors:
            return True
        if failure.status not in EXPIRED or mirror.resolve is None:
            return False
        # A URL that served bytes and then refuses was signed for a time, or for some requests. It
        # is resolved once for the whole fleet; one that has served nothing is a failure.
        if mirror.is_resolving:
            return True
        if self._policy.was_refused_before(flight):
            return False
        if mirror.served:
            self._resolve(mirror, failure)
            return True
        if any(other.source is mirror.source for other in flights):
            # They will show it: bytes that one of them delivers prove that the URL was good.
            mirror.refused = failure
            return True
        return False

    def judge(
        self, flight: Flight, failure: Failure, nodes: Iterable[NodeState], now: float
    ) -> Verdict:
        """What follows from a failure that nothing excuses, of a node of ``nodes``."""
        verdict = self._policy.judge(flight, failure, nodes, now)
        if verdict is Verdict.LEAVE_SOURCE:
            self._left(flight.mirror, failure.to_error())
        if verdict is Verdict.REST_NODE and self._policy.rest(flight, failure, now):
            where = f" for {flight.mirror}" if len(self.mirrors) > 1 else ""
            self._emit(Notice(f"{flight.node.name} is set aside{where}: {failure.message}"))
        return verdict

    def hold(self, mirror: Mirror, failure: Failure, now: float) -> bool:
        """Pause a mirror that asked everyone to wait; returns whether it did."""
        if failure.status not in FROM_THE_ORIGIN:
            return False
        if failure.status == 503 and failure.retry_after is None:
            return False
        mirror.host.until = max(mirror.host.until, now + backoff.delay(1, failure.retry_after))
        return True

    def give_up(self, mirror: Mirror, error: RaydlError) -> None:
        """Drop the mirror. Raises ``error`` if it is the only one, and no other may join."""
        if not self.mirrors.leave(mirror):
            raise error
        self._left(mirror, error)

    def is_complaint(self, flight: Flight, failure: Failure, now: float) -> bool:
        """Whether the origin says that there are too many requests, and no other mirror is well."""
        others = [mirror for mirror in self.mirrors if mirror is not flight.mirror]
        if any(m.is_open and now >= m.host.until and not m.failures for m in others):
            return False
        if failure.kind in ("connect", "proxy") and self._policy.knows_the_way(flight):
            # It may be too much for the origin, or the origin is gone: that is known later.
            self._refused_at = flight.began if self._refused_at is None else self._refused_at
        return failure.status in FROM_THE_ORIGIN

    def after_refusal(self, flight: Flight) -> After:
        """What refused connections meant, now that a request went well.

        One that was under way meanwhile shows that the origin was there, and too busy.
        """
        since, self._refused_at = self._refused_at, None
        if since is None:
            return After.NOTHING
        return After.TOO_MANY if flight.began < since else After.BACK

    def resolved(self, message: Resolved) -> None:
        """Go on with what a mirror answered. Raises its error, if there is no other mirror."""
        mirror, error = message.mirror, message.error
        if error is not None and not isinstance(error, RaydlError):
            raise error
        if message.source is not None and not mirror.renew(message.source):
            hint = "run the same command again to start over"
            error = OriginChangedError("the file on the origin changed", hint)
        if error is None or mirror not in self.mirrors:
            return
        mirror.is_resolving = False
        self.give_up(mirror, error)

    def searched(self, message: Searched) -> None:
        """A mirror joins, or will not. Raises the last one's error where none is left."""
        self._emit(Notice(message.note))
        if not self.mirrors.searched(message.mirror) and self._last is not None:
            raise self._last

    def _left(self, mirror: Mirror, error: RaydlError) -> None:
        self._last = error
        self._emit(Notice(f"{mirror} is left out from here: {error.message}"))

    def _resolve(self, mirror: Mirror, failure: Failure) -> None:
        assert mirror.resolve is not None
        mirror.is_resolving, mirror.refused = True, None
        self._emit(Notice(f"{failure.message}: asking again where the file is"))
        ask = partial(self._ask, mirror, mirror.resolve)
        threading.Thread(target=ask, name="raydl-resolve", daemon=True).start()

    def _ask(self, mirror: Mirror, resolve: Callable[[], Source]) -> None:
        try:
            answer = Resolved(mirror, resolve(), None)
        except BaseException as error:  # a listener's too: the scheduler waits for this message
            answer = Resolved(mirror, None, error)
        self._post(answer)
