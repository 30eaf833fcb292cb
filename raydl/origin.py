"""HTTP: what the origin has, and its bytes. The only module that imports requests.

An answer to a range request is guilty until proven: status, Content-Range, length, coding and
validator must all fit what was asked and what the probe saw, or no byte of it counts.
Failures of requests and urllib3 become ours here and nowhere else; their own texts hold URLs
with signatures and are never passed on.
"""

from __future__ import annotations

import contextlib
import email.utils
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import NameResolutionError

from raydl._version import __version__
from raydl.errors import UsageError
from raydl.models import Failure, Remote, Source
from raydl.naming import file_name

USER_AGENT = f"raydl/{__version__}"

LARGEST_READ = 4 << 20
SMALLEST_READ = 16 << 10

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", re.IGNORECASE | re.ASCII)

Tally = Callable[[int], None]


class OriginFailure(Exception):  # noqa: N818 - carries a Failure, which callers turn into an error
    """Leaves this module only towards a caller in the same process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class _Session(requests.Session):
    """A session that sends credentials to the origin they were given for, and no others."""

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        # The inherited one would look up ~/.netrc for the new host, on whatever machine this is.
        url, target = response.request.url or "", prepared_request.url or ""
        if self.should_strip_auth(url, target):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


class _NoAuth(requests.auth.AuthBase):
    """Keeps requests from looking for credentials in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def split_auth(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without its userinfo, and that userinfo as (user, password).

    Raises UsageError when it is no absolute http or https URL.
    """
    try:
        parts = urlsplit(url.strip())
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_fits = None, False
    if parts is None or not port_fits or not parts.hostname:
        raise UsageError("this is not a URL that can be fetched", "write https://host/path")
    if parts.scheme.lower() not in ("http", "https"):
        raise UsageError(f"{parts.scheme}: URLs are not supported", "write http:// or https://")
    userinfo, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    if not userinfo:
        return clean, None
    user, _, password = userinfo.partition(":")
    return clean, (unquote(user), unquote(password))


def parse_content_range(header: str | None) -> tuple[int | None, int | None, int | None] | None:
    """``bytes 0-9/100`` as (0, 9, 100); ``*`` is None; None for anything else.

    RFC 9110, section 14.4; a last position before the first, or not below the total, is
    invalid there and here.
    """
    match = _CONTENT_RANGE.fullmatch((header or "").strip())
    if match is None:
        return None
    first = int(match[1]) if match[1] else None
    last = int(match[2]) if match[2] else None
    total = None if match[3] == "*" else int(match[3])
    if first is not None and last is not None:
        if last < first or (total is not None and last >= total):
            return None
    elif total is None:
        return None
    return first, last, total


def parse_retry_after(header: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date (RFC 9110, section 10.2.3)."""
    if not header:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())


def strong_etag(header: str | None) -> str | None:
    """The ETag when it is a strong one, else None (RFC 9110, section 8.8.3)."""
    text = (header or "").strip()
    return text if re.fullmatch(r'"[^"]*"', text) else None


class Origin:
    """One connection's worth of requests to an origin; for one thread at a time.

    ``abort`` is the exception: any thread may call it, and a read that waits ends.
    """

    def __init__(self, auth: tuple[str, str] | None, timeout: float) -> None:
        self._timeout = timeout
        self._auth = auth
        self._aborted = False
        self._response: requests.Response | None = None
        self._session = _Session()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self._session.auth = auth or _NoAuth()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def abort(self) -> None:
        """End the request that is under way, from another thread."""
        self._aborted = True
        response = self._response
        if response is not None:
            # Absent before urllib3 2.3; then a waiting read ends with its timeout instead.
            with contextlib.suppress(Exception):
                response.raw.shutdown()

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
                raise OriginFailure(_status_failure(response))
        with self._request("GET", url) as response:
            if response.status_code != 200:
                raise OriginFailure(_status_failure(response))
            return self._remote_from_get(url, response)

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
                wanted = _check_part(response, source, start, stop)
                for count in self._fill(response, into[:wanted]):
                    got += count
                    tally(count)
                self._settle(response)
        except OriginFailure as error:
            return got, error.failure
        return got, None

    def read_whole(
        self, source: Source, take: Callable[[], memoryview], give: Callable[[int], None]
    ) -> Failure | None:
        """Read the file in one stream into the buffers that ``take`` hands out.

        ``give`` gets the number of bytes in the buffer taken last.
        """
        received = 0
        try:
            with self._request("GET", source.url) as response:
                _check_whole(response, source)
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
        if source.size is not None and received != source.size:
            return Failure("broken", f"the origin sent {received} of {source.size} bytes")
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
            if self._aborted:
                raise OriginFailure(Failure("cancelled", "cancelled"))
            began = time.monotonic()
            with self._translated():
                count = body.readinto(view[position : position + amount])
            if not count:
                if may_end:
                    return
                raise OriginFailure(Failure("broken", "the origin closed the connection early"))
            position += count
            yield count
            took = time.monotonic() - began
            if took < 0.05:
                amount = min(amount * 4, LARGEST_READ)
            elif took > 0.25:
                amount = max(amount // 2, SMALLEST_READ)

    def _settle(self, response: requests.Response) -> None:
        """After the last byte that was wanted: keep the connection, if nothing follows."""
        if response.headers.get("Content-Length") is None:
            with self._translated():
                if response.raw.read(1):
                    raise OriginFailure(Failure("wrong", "the origin sent more than it said"))
        response.raw.release_conn()

    @contextlib.contextmanager
    def _request(
        self, method: str, url: str, headers: dict[str, str] | None = None
    ) -> Iterator[requests.Response]:
        if self._aborted:
            raise OriginFailure(Failure("cancelled", "cancelled"))
        with self._translated():
            response = self._session.request(
                method,
                url,
                headers=headers,
                stream=True,
                allow_redirects=True,
                timeout=(self._timeout, self._timeout),
            )
        self._response = response
        try:
            yield response
        finally:
            self._response = None
            # A connection that _settle gave back to the pool stays open, any other is closed.
            with contextlib.suppress(Exception):
                response.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of requests, urllib3, http.client and the socket become an OriginFailure."""
        try:
            yield
        except (requests.RequestException, Urllib3Error, HTTPException, OSError) as error:
            if self._aborted:
                failure = Failure("cancelled", "cancelled")
            else:
                failure = _failure_of(error, self._timeout)
            raise OriginFailure(failure) from None

    def _remote_from_head(self, url: str, response: requests.Response) -> Remote | None:
        length = _content_length(response)
        settled = (
            response.status_code == 200
            and length is not None
            and length > 0
            and not _coding(response)
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
        size = _content_length(response)
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
        same_host = urlsplit(final).netloc == urlsplit(url).netloc
        return Remote(
            url=url,
            final_url=final,
            size=size,
            ranges=ranges,
            etag=strong_etag(response.headers.get("ETag")),
            last_modified=response.headers.get("Last-Modified"),
            name=file_name(response.headers.get("Content-Disposition"), final),
            why_no_ranges=why,
            auth=self._auth if same_host else None,
        )


def _check_part(response: requests.Response, source: Source, start: int, stop: int) -> int:
    """How many bytes of ``[start, stop)`` this answer brings; raises OriginFailure."""
    status = response.status_code
    if status == 416:
        raise OriginFailure(Failure("changed", "the file on the origin has become shorter"))
    if status not in (200, 206):
        raise OriginFailure(_status_failure(response))
    _check_version(response, source)
    length = _content_length(response)
    if status == 200:
        if start == 0 and stop == source.size and length == source.size:
            return stop
        raise OriginFailure(
            Failure("no-range", "the origin answered a request for a byte range with status 200")
        )
    content_range = parse_content_range(response.headers.get("Content-Range"))
    first, last, total = content_range or (None, None, None)
    if first is None or last is None:
        raise OriginFailure(
            Failure("wrong", "the origin sent part of the file without saying which part")
        )
    if total != source.size:
        raise OriginFailure(
            Failure("changed", f"the file on the origin now has {total} bytes, not {source.size}")
        )
    if first != start or last >= stop:
        raise OriginFailure(
            Failure(
                "wrong",
                f"asked for bytes {start} to {stop - 1}, the origin sent {first} to {last}",
            )
        )
    wanted = last + 1 - start
    if length is not None and length != wanted:
        raise OriginFailure(
            Failure("wrong", f"the origin announced {length} bytes for a range of {wanted}")
        )
    return wanted


def _check_whole(response: requests.Response, source: Source) -> None:
    if response.status_code != 200:
        raise OriginFailure(_status_failure(response))
    _check_version(response, source)
    length = _content_length(response)
    if source.size is not None and length != source.size:
        raise OriginFailure(
            Failure("changed", f"the file on the origin now has {length} bytes, not {source.size}")
        )


def _check_version(response: requests.Response, source: Source) -> None:
    expected: str | None
    coding = _coding(response)
    if coding:
        raise OriginFailure(
            Failure("wrong", f"the origin sent the file in {coding} coding, which was not asked")
        )
    if source.etag is not None:
        expected, seen = source.etag, strong_etag(response.headers.get("ETag"))
    else:
        expected, seen = source.last_modified, response.headers.get("Last-Modified")
    if expected is not None and seen != expected:
        raise OriginFailure(
            Failure(
                "changed",
                f"the file on the origin changed: its version was {expected} and is {seen}",
            )
        )


def _body(response: requests.Response) -> Any:
    """What has the body's bytes.

    urllib3's own ``readinto`` reads into a new object and copies; the http.client response under
    it reads from the socket into the buffer, which takes a quarter off the CPU time a byte. It
    does not notice a body that is too short, but every caller here counts.
    """
    inner = getattr(response.raw, "_fp", None)
    return inner if hasattr(inner, "readinto") else response.raw


def _coding(response: requests.Response) -> str:
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    return "" if coding == "identity" else coding


def _content_length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "").strip()
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return int(text) if re.fullmatch(r"[0-9]+", text) and not chunked else None


def _status_failure(response: requests.Response) -> Failure:
    reason = response.reason if re.fullmatch(r"[\w '-]{1,60}", response.reason or "") else ""
    host = urlsplit(response.url).netloc.rpartition("@")[2]
    return Failure(
        "status",
        f"{host} answered {response.status_code} {reason}".rstrip(),
        response.status_code,
        parse_retry_after(response.headers.get("Retry-After")),
    )


def _failure_of(error: BaseException, timeout: float) -> Failure:
    """What happened, from the chain of causes; never the text of a foreign error."""
    chain = _chain(error)
    host = next((_host_of(e) for e in chain if _host_of(e)), "the origin")
    for cause in chain:
        match cause:
            case NameResolutionError() | socket.gaierror():
                return Failure("connect", f"the name of {host} cannot be resolved")
            case ssl.SSLCertVerificationError():
                return Failure(
                    "tls", f"the certificate of {host} is not trusted: {cause.verify_message}"
                )
            case ConnectionRefusedError():
                return Failure("connect", f"{host} refuses the connection")
            case ConnectionResetError() | BrokenPipeError():
                return Failure("broken", f"{host} reset the connection")
            case requests.ConnectTimeout():
                return Failure("timeout", f"{host} did not accept a connection in {timeout:g}s")
            case requests.Timeout() | TimeoutError():
                return Failure("timeout", f"{host} sent nothing for {timeout:g}s")
            case requests.TooManyRedirects():
                return Failure("wrong", f"{host} redirects in circles")
            case requests.exceptions.ProxyError():
                return Failure("connect", "the proxy cannot be reached")
            case requests.exceptions.InvalidURL() | requests.exceptions.InvalidSchema():
                return Failure("wrong", f"{host} redirects to a URL that makes no sense")
            case OSError(errno=int() as number, strerror=str() as text) if number:
                return Failure("connect", f"{host}: {text}")
            case _:
                continue
    return Failure("broken", f"the connection to {host} broke ({type(chain[-1]).__name__})")


def _chain(error: BaseException) -> list[BaseException]:
    """The error and its causes, innermost last; also those that urllib3 keeps in fields."""
    chain: list[BaseException] = []
    pending: list[object] = [error]
    while pending and len(chain) < 16:
        item = pending.pop(0)
        if not isinstance(item, BaseException) or item in chain:
            continue
        chain.append(item)
        pending += [getattr(item, "reason", None), item.__cause__, item.__context__, *item.args]
    return chain


def _host_of(error: BaseException) -> str:
    request = getattr(error, "request", None)
    url = getattr(request, "url", None)
    return urlsplit(url).netloc.rpartition("@")[2] if isinstance(url, str) else ""
