"""Sends requests, and follows redirects one hop after the other.

requests would read their bodies whole, unpacked, and keep the first hop's proxy; and what each hop
may be shown is ours to say.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.cookiejar import CookieJar

from requests.utils import should_bypass_proxies

from raydl.model.failure import Failure
from raydl.model.log import describe, log
from raydl.model.remote import Access
from raydl.origin.credentialscope import shown
from raydl.origin.faults import FOREIGN, OriginFailure, chain, failure_of, host_of, in_circles
from raydl.origin.headers import content_length
from raydl.origin.httpsession import HttpSession
from raydl.origin.reply import Reply
from raydl.origin.transport import as_file

MOST_REDIRECTS = 30
"""As many as browsers and requests follow."""

SMALL_BODY = 16 << 10
"""Bytes. One that nobody wants is read up to this, so that its connection can be used again."""


class Requester:
    """The requests of one thread; any thread may ``abort`` them."""

    def __init__(self, access: Access, timeout: float, cookies: CookieJar | None = None) -> None:
        self.timeout = timeout
        self.access = access
        self._session = HttpSession(access.insecure)
        if cookies is not None:
            self._session.cookies.update(cookies)
        # With each request, for REQUESTS_CA_BUNDLE goes before what a session has.
        self._verify: bool | str | None = False if access.insecure else None
        self._files = contextlib.ExitStack()
        if access.ca is not None and not access.insecure:
            self._verify = self._files.enter_context(as_file(access.ca))
        self._certificate: str | None = None
        if access.certificate is not None:
            self._certificate = self._files.enter_context(as_file(access.certificate))

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
        self._files.close()

    def abort(self) -> None:
        """End the request that is under way, from another thread, and let none follow."""
        self._session.transport.cut()

    @property
    def aborted(self) -> bool:
        """Whether that was done."""
        return self._session.transport.is_cut

    @contextlib.contextmanager
    def translated(self, url: str = "") -> Iterator[None]:
        """Errors of requests, urllib3, http.client and the socket become an OriginFailure, about
        the host of ``url`` where they do not say of which."""
        try:
            yield
        except FOREIGN as error:
            if self.aborted:
                failure = Failure("cancelled", "cancelled")
            else:
                failure = failure_of(error, self.timeout, url)
                log.debug("%s: %s", failure.message, " < ".join(map(describe, chain(error))))
            raise OriginFailure(failure) from None

    @contextlib.contextmanager
    def send(self, method: str, url: str, headers: dict[str, str] | None = None) -> Iterator[Reply]:
        """The answer to a request, after all redirects; ``history`` has those."""
        if self.aborted:
            raise OriginFailure(Failure("cancelled", "cancelled"))
        reply, history = self._ask(method, url, url, headers or {}), []
        try:
            while (target := self._target(reply)) is not None:
                _drop(reply)
                history.append(reply)
                if len(history) > MOST_REDIRECTS:
                    raise OriginFailure(in_circles(host_of(url)))
                reply = self._ask(method, target, url, headers or {})
            reply.history = history
            yield reply
        finally:
            # A connection that settle gave back to the pool stays open, any other is closed.
            with contextlib.suppress(Exception):
                reply.close()

    def _ask(self, method: str, url: str, owner: str, headers: dict[str, str]) -> Reply:
        """The answer of ``url`` itself, which is shown what it may be of what ``owner`` is."""
        with self.translated(url):
            allowed = shown(self.access, owner, url)
            return self._session.ask(
                method,
                url,
                {**dict(allowed.headers), **headers},
                timeout=self.timeout,
                verify=self._verify,
                cert=self._certificate if allowed.certificate is not None else None,
                proxies=self._proxies(url),
            )

    def _target(self, reply: Reply) -> str | None:
        with self.translated():
            return self._session.redirect_of(reply)

    def _proxies(self, url: str) -> dict[str, str]:
        """What is given with the request goes before the environment's; NO_PROXY holds for both."""
        proxy = self.access.proxy
        if proxy is None:
            return {}
        if proxy == "none" or should_bypass_proxies(url, no_proxy=None):
            return {"http": "", "https": ""}
        return {"http": proxy, "https": proxy}


def _drop(reply: Reply) -> None:
    """Have done with an answer whose body nobody wants: read if it is small, for its connection."""
    length = content_length(reply.headers)
    with contextlib.suppress(Exception):
        if reply.method == "HEAD" or (length is not None and length < SMALL_BODY):
            answer = reply.answer
            answer.bound(1.0, SMALL_BODY)
            answer.read()
            reply.keep()
        else:
            reply.close()
