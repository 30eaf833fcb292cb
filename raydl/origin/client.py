"""Requests to an origin: probe, parts, the whole file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.cookiejar import CookieJar
from itertools import pairwise
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from raydl.model.failure import Failure
from raydl.model.log import describe, log
from raydl.model.naming import file_name
from raydl.model.remote import Access, Remote, Source
from raydl.model.units import format_size
from raydl.origin.answers import check_framing, check_part, check_whole, status_failure
from raydl.origin.digests import stated_digests
from raydl.origin.faults import FOREIGN, OriginFailure, chain, failure_of, host_of, in_circles
from raydl.origin.headers import (
    content_coding,
    content_length,
    is_strong_date,
    last_modified,
    media_type,
    parse_content_range,
    strong_etag,
    weak_etag,
)
from raydl.origin.session import Session
from raydl.origin.shown import shown
from raydl.origin.transport import Transport, as_file
from raydl.origin.wire import answer_of

MOST_REDIRECTS = 30
"""As many as browsers and requests follow."""

LARGEST_READ = 4 << 20
SMALLEST_READ = 16 << 10
QUICK_READ, SLOW_READ = 0.0125, 0.05
"""Seconds. A speed is seen, and a request is cut off, in steps of one read."""

Tally = Callable[[int], None]


class Origin:
    """One connection's worth of requests to an origin; for one thread at a time.

    ``abort`` is the exception: any thread may call it, and a thread that waits for an answer or for
    its bytes goes on at once. Only the wait for DNS or for a connection to be accepted lasts.
    """

    def __init__(self, access: Access, timeout: float, cookies: CookieJar | None = None) -> None:
        self._timeout = timeout
        self._access = access
        self._transport = Transport(access.insecure)
        self._session = Session()
        if cookies is not None:
            self._session.cookies.update(cookies)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, self._transport)
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
        self._transport.cut()

    @property
    def aborted(self) -> bool:
        """Whether that was done."""
        return self._transport.is_cut

    def probe(self, url: str, how: str = "head") -> Remote:
        """Ask what ``url`` offers. Raises OriginFailure.

        ``head``: with HEAD, and a GET of one byte where that does not settle it; ``byte``: with
        the latter alone; ``whole``: with a GET of everything, as a stream will ask.
        """
        if how == "whole":
            return self._probe_whole(url)
        if how == "head":
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
        return self._probe_whole(url)

    def _probe_whole(self, url: str) -> Remote:
        with self._request("GET", url) as response:
            if response.status_code != 200:
                raise OriginFailure(status_failure(response))
            return self._remote_from_get(url, response)

    def text(self, url: str, limit: int) -> str:
        """What is at ``url``, in one timeout. Raises OriginFailure, also beyond ``limit`` bytes."""
        with self._request("GET", url) as response:
            if response.status_code != 200:
                raise OriginFailure(status_failure(response))
            check_framing(response)
            if content_coding(response.headers):
                raise OriginFailure(Failure("wrong", "the origin sent a text packed"))
            answer, length = answer_of(response), content_length(response.headers)
            answer.bound(self._timeout, 2 * limit + SMALLEST_READ)  # with the framing of chunks
            with self._translated():
                data = answer.read(limit + 1)
            if len(data) > limit:
                much = f"more than {format_size(limit)}"
                raise OriginFailure(Failure("wrong", f"no list of digests, but {much} came"))
            if answer.is_cut_off or len(data) < (length or 0):
                raise OriginFailure(Failure("broken", "the origin closed the connection early"))
        return data.decode(errors="replace")

    def read_part(
        self,
        source: Source,
        start: int,
        stop: int,
        into: memoryview,
        tally: Tally = lambda _: None,
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
        body = answer_of(response)
        while position < view.nbytes:
            if self.aborted:
                raise OriginFailure(Failure("cancelled", "cancelled"))
            began = time.monotonic()
            with self._translated():
                count = body.readinto(view[position : position + amount])
            if not count:
                if self.aborted:
                    continue
                if may_end and not body.is_cut_off:
                    return
                how = "ended TLS without a word" if may_end else "closed the connection early"
                raise OriginFailure(Failure("broken", f"the origin {how}"))
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
                if answer_of(response).read(1):
                    raise OriginFailure(Failure("wrong", "the origin sent more than it said"))
        response.raw.release_conn()

    @contextlib.contextmanager
    def _request(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[requests.Response]:
        """The answer to a request, after all redirects; ``history`` has those."""
        if self.aborted:
            raise OriginFailure(Failure("cancelled", "cancelled"))
        response, history = self._send(method, url, url, headers or {}), []
        try:
            while (target := self._target(response)) is not None:
                _drop(response)
                history.append(response)
                if len(history) > MOST_REDIRECTS:
                    raise OriginFailure(in_circles(host_of(url)))
                response = self._send(method, target, url, headers or {})
            response.history = history
            yield response
        finally:
            # A connection that _settle gave back to the pool stays open, any other is closed.
            with contextlib.suppress(Exception):
                response.close()

    def _send(
        self, method: str, url: str, owner: str, headers: dict[str, str]
    ) -> requests.Response:
        """The answer of ``url`` itself, which is shown what it may be of what ``owner`` is."""
        with self._translated():
            allowed = shown(self._access, owner, url)
            carried = CaseInsensitiveDict([*allowed.headers, *headers.items()])
            request = self._session.prepare_request(requests.Request(method, url, carried))
            settings = self._session.merge_environment_settings(
                request.url, self._proxies(url), True, self._verify, None
            )
            settings["cert"] = self._certificate if allowed.certificate is not None else None
            timeouts = (self._timeout, self._timeout)
            return self._session.send(request, timeout=timeouts, allow_redirects=False, **settings)

    def _target(self, response: requests.Response) -> str | None:
        with self._translated():
            return self._session.redirect_of(response)

    def _proxies(self, url: str) -> dict[str, str]:
        """What is given with the request goes before the environment's; NO_PROXY holds for both."""
        proxy = self._access.proxy
        if proxy is None:
            return {}
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
                log.debug("%s: %s", failure.message, " < ".join(map(describe, chain(error))))
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
        check_framing(response)
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
        final, headers = response.url, response.headers
        access = shown(self._access, url, final)
        cookie = response.request.headers.get("Cookie")
        if cookie is not None:  # those in the jar that are for where it ended
            others = tuple(pair for pair in access.headers if pair[0].lower() != "cookie")
            access = replace(access, headers=(*others, ("Cookie", str(cookie))))
        date, is_strong = last_modified(headers), is_strong_date(headers)
        etag = strong_etag(headers.get("ETag"))
        way = [r.url for r in (*response.history, response)]
        return Remote(
            url=url,
            final_url=final,
            size=size,
            ranges=ranges,
            etag=etag,
            last_modified=date if is_strong else None,
            name=file_name(headers.get("Content-Disposition"), final),
            why_no_ranges=why,
            access=access,
            digests=stated_digests(
                headers,
                is_whole=response.status_code == 200,
                earlier=[(urlsplit(r.url).hostname or "", r.headers) for r in response.history],
            ),
            weak_etag=None if etag else weak_etag(headers.get("ETag")),
            weak_date=None if is_strong else date,
            media_type=media_type(headers),
            # What is packed on its way has no length, and is not what lies there.
            coding=content_coding(headers) if size is not None else "",
            is_downgraded=any(
                one.startswith("https:") and two.startswith("http:") for one, two in pairwise(way)
            ),
        )


def _drop(response: requests.Response) -> None:
    """Have done with an answer whose body nobody wants: read if it is small, for its connection."""
    length = content_length(response.headers)
    with contextlib.suppress(Exception):
        if response.request.method == "HEAD" or (length or SMALLEST_READ) < SMALLEST_READ:
            answer = answer_of(response)
            answer.bound(1.0, SMALLEST_READ)
            answer.read()
            response.raw.release_conn()
        else:
            response.close()
