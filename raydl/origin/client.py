"""Requests to an origin: probe, parts, the whole file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlsplit

import requests

from raydl.log import log, without_secrets
from raydl.models import Access, Failure, Remote, Source
from raydl.naming import file_name
from raydl.origin.answers import check_part, check_whole, status_failure
from raydl.origin.digests import stated_digest
from raydl.origin.faults import FOREIGN, OriginFailure, failure_of
from raydl.origin.headers import (
    content_coding,
    content_length,
    last_modified,
    parse_content_range,
    strong_etag,
)
from raydl.origin.session import Session
from raydl.origin.transport import Transport, as_file

LARGEST_READ = 4 << 20
SMALLEST_READ = 16 << 10
QUICK_READ, SLOW_READ = 0.0125, 0.05
"""Seconds. Who watches a speed, or cuts a request off, sees it in steps of one read."""

Tally = Callable[[int], None]


class Origin:
    """One connection's worth of requests to an origin; for one thread at a time.

    ``abort`` is the exception: any thread may call it, and whoever waits for an answer or for its
    bytes goes on at once. Only the wait for DNS or for a connection to be accepted lasts.
    """

    def __init__(self, access: Access, timeout: float, cookies: CookieJar | None = None) -> None:
        self._timeout = timeout
        self._access = access
        self._transport = Transport(access.insecure)
        self._session = Session(access)
        if cookies is not None:
            self._session.cookies.update(cookies)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._transport)
        # With each request, for REQUESTS_CA_BUNDLE goes before what a session has.
        self._verify: bool | str | None = False if access.insecure else None
        self._files = contextlib.ExitStack()
        if access.ca is not None and not access.insecure:
            self._verify = self._files.enter_context(as_file(access.ca))
        if access.certificate is not None:
            self._session.cert = self._files.enter_context(as_file(access.certificate))

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
        self._files.close()

    def abort(self) -> None:
        """End the request that is under way, from another thread, and let none follow."""
        self._transport.cut()

    @property
    def aborted(self) -> bool:
        """Whether that was done."""
        return self._transport.is_cut

    def probe(self, url: str, trust_head: bool = True) -> Remote:
        """Ask what ``url`` offers: HEAD, and a one-byte GET where HEAD does not settle it.

        Raises OriginFailure.
        """
        if trust_head:
            with self._request("HEAD", url) as response:
                remote = self._remote_from_head(url, response)
            if remote is not None:
                return remote
        with self._request("GET", url, {"Range": "bytes=0-0"}) as response:
            if response.status_code in (200, 206):
                return self._remote_from_get(url, response)
            content_range = parse_content_range(response.headers.get("Content-Range"))
            if response.status_code == 416 and content_range and content_range[2] == 0:
                return self._remote(url, response, 0, True)
            if response.status_code != 416:
                raise OriginFailure(status_failure(response))
        with self._request("GET", url) as response:
            if response.status_code != 200:
                raise OriginFailure(status_failure(response))
            return self._remote_from_get(url, response)

    def text(self, url: str, limit: int) -> str:
        """What is at ``url``, up to ``limit`` bytes. Raises OriginFailure."""
        with self._request("GET", url) as response:
            if response.status_code != 200:
                raise OriginFailure(status_failure(response))
            with self._translated():
                data: bytes = response.raw.read(limit, decode_content=True)
        return data.decode(errors="replace")

    def read_part(
        self,
        source: Source,
        start: int,
        stop: int,
        into: memoryview,
        tally: Tally,
    ) -> tuple[int, Failure | None]:
        """Read bytes ``[start, stop)`` into ``into``; returns how many are there and right.

        The bytes counted are a correct prefix even when a Failure comes with them. Fewer bytes
        without a Failure mean that the origin chose to send less, which it may.
        """
        got = 0
        try:
            headers = {"Range": f"bytes={start}-{stop - 1}"}
            with self._request("GET", source.url, headers) as response:
                wanted = check_part(response, source, start, stop)
                for count in self._fill(response, into[:wanted]):
                    got += count
                    tally(count)
                self._settle(response)
        except OriginFailure as error:
            # Of an answer that turned out not to fit, nothing counts.
            return 0 if error.failure.kind == "wrong" else got, error.failure
        return got, None

    def read_whole(
        self, source: Source, take: Callable[[], memoryview], give: Callable[[int], None]
    ) -> Failure | None:
        """Read the file in one stream into the buffers that ``take`` hands out.

        ``give`` gets the number of bytes in the buffer taken last.
        """
        received, size = 0, source.size
        try:
            with self._request("GET", source.url) as response:
                check_whole(response, source)
                if size is None:  # nobody knew before; this answer may
                    size = content_length(response.headers)
                while True:
                    view = take()
                    filled = 0
                    for count in self._fill(response, view, may_end=True):
                        filled += count
                    if filled:
                        received += filled
                        give(filled)
                    if filled < view.nbytes:
                        break
        except OriginFailure as error:
            return error.failure
        if size is not None and received != size:
            return Failure("broken", f"the origin sent {received} of {size} bytes")
        return None

    def _fill(
        self, response: requests.Response, view: memoryview, may_end: bool = False
    ) -> Iterator[int]:
        """Read until ``view`` is full, and yield the size of each read.

        The reads adapt to the speed: large ones cost least, but what a broken connection had
        delivered of the read under way is lost, so a slow connection gets small ones.
        """
        amount, position = SMALLEST_READ * 4, 0
        body = _body(response)
        while position < view.nbytes:
            if self.aborted:
                raise OriginFailure(Failure("cancelled", "cancelled"))
            began = time.monotonic()
            with self._translated():
                count = body.readinto(view[position : position + amount])
            if not count:
                if self.aborted:
                    continue
                if may_end:
                    return
                raise OriginFailure(Failure("broken", "the origin closed the connection early"))
            position += count
            yield count
            took = time.monotonic() - began
            if took < QUICK_READ:
                amount = min(amount * 4, LARGEST_READ)
            elif took > SLOW_READ:
                amount = max(amount // 2, SMALLEST_READ)

    def _settle(self, response: requests.Response) -> None:
        """After the last byte that was wanted: keep the connection, if nothing follows."""
        if content_length(response.headers) is None:
            with self._translated():
                if response.raw.read(1):
                    raise OriginFailure(Failure("wrong", "the origin sent more than it said"))
        response.raw.release_conn()

    @contextlib.contextmanager
    def _request(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[requests.Response]:
        if self.aborted:
            raise OriginFailure(Failure("cancelled", "cancelled"))
        with self._translated():
            response = self._session.request(
                method,
                url,
                headers=headers,
                stream=True,
                allow_redirects=True,
                timeout=(self._timeout, self._timeout),
                proxies=self._proxies(url),
                verify=self._verify,
            )
        try:
            yield response
        finally:
            # A connection that _settle gave back to the pool stays open, any other is closed.
            with contextlib.suppress(Exception):
                response.close()

    def _proxies(self, url: str) -> dict[str, str] | None:
        """What is given with the request goes before the environment's; NO_PROXY holds for both."""
        proxy = self._access.proxy
        if proxy is None:
            return None
        if proxy == "none" or requests.utils.should_bypass_proxies(url, no_proxy=None):
            return {"http": "", "https": ""}
        return {"http": proxy, "https": proxy}

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of requests, urllib3, http.client and the socket become an OriginFailure."""
        try:
            yield
        except FOREIGN as error:
            if self.aborted:
                failure = Failure("cancelled", "cancelled")
            else:
                failure = failure_of(error, self._timeout)
                log.debug("%s: %s", failure.message, without_secrets(repr(error)))
            raise OriginFailure(failure) from None

    def _remote_from_head(self, url: str, response: requests.Response) -> Remote | None:
        length = content_length(response.headers)
        settled = (
            response.status_code == 200
            and length is not None
            and length > 0
            and not content_coding(response.headers)
            and response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        )
        return self._remote(url, response, length, True) if settled else None

    def _remote_from_get(self, url: str, response: requests.Response) -> Remote:
        if response.status_code == 206:
            content_range = parse_content_range(response.headers.get("Content-Range"))
            if content_range is None or content_range[0] != 0 or content_range[1] != 0:
                raise OriginFailure(
                    Failure("wrong", "the origin's answer to a request for byte 0 makes no sense")
                )
            size = content_range[2]
            why = "" if size is not None else "the origin does not tell its size"
            return self._remote(url, response, size, size is not None, why)
        size = content_length(response.headers)
        if size == 0:
            return self._remote(url, response, 0, True)
        why = "the origin ignores byte ranges"
        if size is None:
            why += " and does not tell the size"
        return self._remote(url, response, size, False, why)

    def _remote(
        self,
        url: str,
        response: requests.Response,
        size: int | None,
        ranges: bool,
        why: str = "",
    ) -> Remote:
        final = response.url
        # What the last request went with: what is private stayed behind on the way elsewhere, and
        # the cookies are those for where it ended.
        names = {"cookie", *(name.lower() for name, _ in self._access.headers)}
        sent = response.request.headers.items()
        headers = tuple((name, str(value)) for name, value in sent if name.lower() in names)
        return Remote(
            url=url,
            final_url=final,
            size=size,
            ranges=ranges,
            etag=strong_etag(response.headers.get("ETag")),
            last_modified=last_modified(response.headers),
            name=file_name(response.headers.get("Content-Disposition"), final),
            why_no_ranges=why,
            access=replace(self._access, headers=headers),
            digest=stated_digest(
                response.headers,
                is_whole=response.status_code == 200,
                earlier=[(urlsplit(r.url).hostname or "", r.headers) for r in response.history],
            ),
        )


def _body(response: requests.Response) -> Any:
    """What has the body's bytes.

    urllib3's own ``readinto`` reads into a new object and copies; the http.client response under
    it reads from the socket into the buffer, which takes a quarter off the CPU time a byte. It
    does not notice a body that is too short, but every caller here counts.
    """
    inner = getattr(response.raw, "_fp", None)
    return inner if hasattr(inner, "readinto") else response.raw
