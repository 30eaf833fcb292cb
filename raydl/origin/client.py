"""Requests to an origin: probe, parts, the whole file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http.cookiejar import CookieJar

from raydl.model.failure import Failure
from raydl.model.remote import Access, Remote, Source
from raydl.origin.answers import check_part, check_whole, status_failure
from raydl.origin.body import Place, fill, read_text, settle
from raydl.origin.faults import OriginFailure
from raydl.origin.headers import content_length, parse_content_range
from raydl.origin.redirects import Requester
from raydl.origin.remotes import remote_from_get, remote_from_head, remote_of, what_came

OnBytes = Callable[[int], None]
"""Gets the number of bytes of each read."""


class Origin:
    """One connection's worth of requests to an origin; for one thread at a time.

    ``abort`` is the exception: any thread may call it, and a thread that waits for an answer or for
    its bytes goes on at once. Only the wait for DNS or for a connection to be accepted lasts.
    """

    def __init__(self, access: Access, timeout: float, cookies: CookieJar | None = None) -> None:
        self._requester = Requester(access, timeout, cookies)

    def close(self) -> None:
        """Close the connection."""
        self._requester.close()

    def abort(self) -> None:
        """End the request that is under way, from another thread, and let none follow."""
        self._requester.abort()

    @property
    def aborted(self) -> bool:
        """Whether that was done."""
        return self._requester.aborted

    def probe(self, url: str, how: str = "head") -> Remote:
        """Ask what ``url`` offers. Raises OriginFailure.

        ``head``: with HEAD, and a GET of one byte where that does not settle it; ``byte``: with
        the latter alone; ``whole``: with a GET of everything, as a stream will ask.
        """
        if how == "whole":
            return self._probe_whole(url)
        if how == "head":
            with self._requester.send("HEAD", url) as reply:
                remote = remote_from_head(url, self._requester.access, reply)
            if remote is not None:
                return remote
        with self._requester.send("GET", url, {"Range": "bytes=0-0"}) as reply:
            if reply.status in (200, 206):
                return remote_from_get(url, self._requester.access, reply)
            content_range = parse_content_range(reply.headers.get("Content-Range"))
            if reply.status == 416 and content_range and content_range[2] == 0:
                return remote_of(url, self._requester.access, reply, 0, True)
            if reply.status != 416:
                raise OriginFailure(status_failure(reply))
        return self._probe_whole(url)

    def _probe_whole(self, url: str) -> Remote:
        with self._requester.send("GET", url) as reply:
            if reply.status != 200:
                raise OriginFailure(status_failure(reply))
            return remote_from_get(url, self._requester.access, reply)

    def text(self, url: str, limit: int) -> str:
        """What is at ``url``, in one timeout. Raises OriginFailure, also beyond ``limit`` bytes."""
        with self._requester.send("GET", url) as reply:
            if reply.status != 200:
                raise OriginFailure(status_failure(reply))
            return read_text(self._requester, reply, limit)

    def read_part(
        self,
        source: Source,
        start: int,
        stop: int,
        into: memoryview | Place,
        on_bytes: OnBytes = lambda _: None,
        left: Callable[[], int] | None = None,
    ) -> tuple[int, Failure | None]:
        """Read bytes ``[start, stop)`` into ``into``; returns how many are there and right.

        The bytes counted are a correct prefix even when a Failure comes with them. Fewer bytes
        without a Failure mean that the origin chose to send less, which it may. For ``left`` see
        ``fill``.
        """
        got = 0
        try:
            headers = {"Range": f"bytes={start}-{stop - 1}"}
            with self._requester.send("GET", source.url, headers) as reply:
                wanted = check_part(reply, source, start, stop)
                for count in fill(self._requester, reply, into, wanted, left=left):
                    got += count
                    on_bytes(count)
                settle(self._requester, reply)
        except OriginFailure as error:
            # Of an answer that turned out not to fit, nothing counts.
            return 0 if error.failure.kind == "wrong" else got, error.failure
        return got, None

    def read_small(
        self,
        url: str,
        into: memoryview,
        known: Mapping[str, str] | None = None,
        on_bytes: OnBytes = lambda _: None,
    ) -> tuple[Remote | None, int]:
        """The file at ``url`` and its first bytes, with one request that brings a small one whole.

        ``into`` is filled as far as the file goes; nothing is read of one that does not tell where
        it ends, or serves no byte ranges and is larger. ``known`` are headers that ask for nothing
        but a change, and None stands for a file that has none. Raises OriginFailure.
        """
        headers = {"Range": f"bytes=0-{into.nbytes - 1}", **(known or {})}
        with self._requester.send("GET", url, headers) as reply:
            if known and reply.status == 304:
                settle(self._requester, reply)
                return None, 0
            # S3 on an object without bytes; RFC 9110, 15.5.17, would have its size told.
            is_mute = reply.status == 416 and not reply.headers.get("Content-Range")
            if not is_mute:
                remote, count = what_came(url, self._requester.access, reply, into.nbytes)
                got = 0
                for piece in fill(self._requester, reply, into, count):
                    got += piece
                    on_bytes(piece)
                if count or remote.size == 0:
                    settle(self._requester, reply)
                return remote, got
        return self._probe_whole(url), 0

    def read_whole(
        self, source: Source, take: Callable[[], memoryview], give: Callable[[int], None]
    ) -> Failure | None:
        """Read the file in one stream into the buffers that ``take`` hands out.

        ``give`` gets the number of bytes in the buffer taken last.
        """
        received, size = 0, source.size
        try:
            with self._requester.send("GET", source.url) as reply:
                check_whole(reply, source)
                if size is None:  # nobody knew before; this answer may
                    size = content_length(reply.headers)
                while True:
                    view = take()
                    filled = 0
                    for count in fill(self._requester, reply, view, view.nbytes, True):
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
