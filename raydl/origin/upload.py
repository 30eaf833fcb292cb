"""Sends bytes to a URL with PUT: what a worker does for a bucket. Shipped to the nodes by value."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from raydl.model.failure import Failure
from raydl.origin.faults import FOREIGN, failure_of, host_of
from raydl.origin.headers import wait_asked
from raydl.origin.httpsession import HttpSession
from raydl.origin.reply import Reply
from raydl.origin.transport import as_file

SLICE = 256 << 10
"""Bytes that are given to the socket at once: that is what the timeout is for."""

LARGEST_ANSWER = 64 << 10

ANYTHING = "*"
"""May be replaced, whatever it is."""

CONDITION_UNKNOWN = ("NotImplemented", "InvalidArgument")
"""What services say of a condition that they do not have."""

_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


def condition(replaces: str) -> dict[str, str]:
    """The header by which a PUT replaces nothing but the object with that ETag, or nothing at all
    where it is empty (RFC 9110, 13.1); none for ANYTHING."""
    if replaces == ANYTHING:
        return {}
    return {"If-Match": replaces} if replaces else {"If-None-Match": "*"}


class Receipt(NamedTuple):
    """What a server said of a PUT. ``code`` is its own word for a failure, as S3 has them."""

    etag: str = ""
    checksums: tuple[tuple[str, str], ...] = ()
    failure: Failure | None = None
    code: str = ""


class Uploader:
    """The requests of one thread, over one connection; any thread may ``abort`` them.

    ``ca`` are the certificates (PEM) to trust instead of the system's.
    """

    def __init__(self, ca: str | None = None) -> None:
        self._session = HttpSession()
        self._files = contextlib.ExitStack()
        self._verify = self._files.enter_context(as_file(ca)) if ca else None

    def put(
        self, url: str, headers: Mapping[str, str], pieces: Sequence[memoryview], timeout: float
    ) -> Receipt:
        """Send these pieces, one after the other, as one body. Its failures never name the URL."""
        return self._ask("PUT", url, headers, _Body(pieces), timeout)

    def look(self, url: str, timeout: float) -> Receipt:
        """See what is there, by a URL that is signed for HEAD; it never names that, either."""
        return self._ask("HEAD", url, {}, None, timeout)

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: _Body | None,
        timeout: float,
    ) -> Receipt:
        try:
            if self.aborted:
                return Receipt(failure=Failure("cancelled", "cancelled"))
            reply = self._session.ask(
                method,
                url,
                headers,
                timeout=timeout,
                verify=self._verify,
                cert=None,
                proxies={},
                body=body,
            )
            with contextlib.closing(reply):
                return _receipt(reply, timeout)
        except FOREIGN as error:
            if self.aborted:
                return Receipt(failure=Failure("cancelled", "cancelled"))
            return Receipt(failure=failure_of(error, timeout))

    def abort(self) -> None:
        """End the request that is under way, from another thread, and let none follow."""
        self._session.transport.cut()

    @property
    def aborted(self) -> bool:
        """Whether that was done."""
        return self._session.transport.is_cut

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
        self._files.close()


class _Body:
    """Pieces of memory as a request's body, none of which is copied."""

    def __init__(self, pieces: Sequence[memoryview]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return sum(piece.nbytes for piece in self._pieces)

    def __iter__(self) -> Iterator[memoryview]:
        for piece in self._pieces:
            for start in range(0, piece.nbytes, SLICE):
                yield piece[start : start + SLICE]


def _receipt(reply: Reply, timeout: float) -> Receipt:
    answer = reply.answer
    answer.bound(timeout, LARGEST_ANSWER)
    text = answer.read()
    reply.keep()
    if reply.status == 200:
        prefix = "x-amz-checksum-"
        checksums = tuple(
            (name.lower().removeprefix(prefix), value)
            for name, value in reply.headers.items()
            if name.lower().startswith(prefix)
        )
        return Receipt(reply.headers.get("ETag", ""), checksums)
    found = _CODE.search(text)
    code = found[1].decode() if found else ""
    said = f"{host_of(reply.url)} answered {reply.status} {code}".strip()
    failure = Failure("status", said, reply.status, wait_asked(reply.headers))
    return Receipt(failure=failure, code=code)
