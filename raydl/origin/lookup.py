"""What the driver itself asks of origins: how long it waits, how often, and what is said."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.cookiejar import CookieJar
from itertools import count
from typing import TypeVar
from urllib.parse import urlsplit

from raydl.model import backoff
from raydl.model.control import Control
from raydl.model.events import Emit, Notice, Unanswered
from raydl.model.failure import Failure
from raydl.model.remote import Access
from raydl.model.units import format_duration
from raydl.origin import Origin, OriginFailure
from raydl.origin.access import access_of
from raydl.settings.options import Options

PROBE_RETRIES = 2
"""Tries for an origin that cannot be reached at all: a person waits for the answer."""

FIRST_BUDGET = 20.0
"""Seconds for an origin that has not answered yet, where neither tries nor timeout were chosen."""

FIRST_WORD = 5.0
"""Seconds after which it is said that nothing has come yet."""

MOST_WAITS = 2.0
"""Timeouts that all of a question may take: addresses that are dead, redirects, a slow answer."""

T = TypeVar("T")


@contextlib.contextmanager
def _after(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call ``call`` where what is within takes longer than that."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Asking:
    """A question to an origin that a person waits for: asked again while that may help.

    ``auth`` is the user and password that were in ``url``, and the options were given for the URL
    ``owner``. ``budget`` is in seconds, and ``what`` is said with an error.
    """

    def __init__(
        self,
        url: str,
        auth: tuple[str, str] | None,
        owner: str,
        options: Options,
        emit: Emit,
        control: Control,
        budget: float | None,
        what: str,
    ) -> None:
        self._options, self._emit, self._control = options, emit, control
        self._what = what
        self.url = url
        self._access: Access
        self._cookies: CookieJar
        self._access, self._cookies = access_of(
            url, auth, options, lambda text: emit(Notice(text)), owner=owner
        )
        chosen = (options.retries, options.timeout) != (Options.retries, Options.timeout)
        self._until = None if budget is None or chosen else time.monotonic() + budget

    def ask(self, question: Callable[[Origin], T]) -> T:
        """The answer. Raises RaydlError."""
        for tries in count(1):
            timeout = self._timeout()
            origin = Origin(self._access, timeout, self._cookies)
            self._control.watch(origin.abort)
            try:
                with self._saying_that_it_takes_long(), _after(timeout * MOST_WAITS, origin.abort):
                    return question(origin)
            except OriginFailure as error:
                self._control.wait(0)  # it was aborted where this raises
                failure = error.failure
                if failure.kind == "cancelled":
                    host = urlsplit(self.url).netloc
                    failure = Failure("timeout", f"{host} did not answer in time")
                self._wait(failure, tries)
            finally:
                origin.close()
        raise AssertionError("unreachable")

    def _timeout(self) -> float:
        if self._until is None:
            return self._options.timeout
        return min(self._options.timeout, max(1.0, self._until - time.monotonic()))

    def _saying_that_it_takes_long(self) -> AbstractContextManager[None]:
        host = urlsplit(self.url).netloc
        text = f"{host} has not answered for {format_duration(FIRST_WORD)}; waiting"
        return _after(FIRST_WORD, lambda: self._emit(Unanswered(text)))

    def _wait(self, failure: Failure, tries: int) -> None:
        """Wait for the next try. Raises RaydlError where there is none."""
        delay = backoff.delay(tries, failure.retry_after)
        is_silent = failure.kind in ("connect", "proxy", "timeout")
        limit = min(self._options.retries, PROBE_RETRIES if is_silent else self._options.retries)
        is_over = self._until is not None and time.monotonic() + delay >= self._until
        if not failure.retryable or tries > limit or is_over:
            error = failure.to_error(self._what + (f" ({tries} tries)" if tries > 1 else ""))
            if is_silent and failure.kind != "proxy":
                error.hint = "check the URL and this machine's network"
            elif is_over and failure.retryable:
                error.hint = "the origin is busy; --retries N asks for longer"
            if failure.status == 401 and any(n == "Authorization" for n, _ in self._access.headers):
                error.hint = "the credentials are wrong"
            raise error
        told = Unanswered if tries == 1 else Notice
        self._emit(told(f"{failure.message}; again in {format_duration(delay)}"))
        self._control.wait(delay)
