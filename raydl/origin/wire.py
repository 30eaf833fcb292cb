"""An answer as it comes over the wire: a bounded header, a body's end distinguished from a cut."""

from __future__ import annotations

import io
import re
import ssl
import time
from http.client import HTTPException, HTTPResponse
from typing import Any

import requests

MOST_HEADER = 256 << 10
"""Bytes of a status line, its header and whatever interim answers came before them."""


NEARLY = 0.5
"""Seconds by which a header may come later than its time."""

_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n]*\r?\n")
_FOLDED = re.compile(rb"[ \t][^\r\n]*\r?\n")


class Answer(HTTPResponse):
    """An answer whose header, and whose trailer after chunks, are limited in time and in size.

    http.client waits a timeout for each read, however little comes; it takes the first interim
    answer but 100 for the final one, and skips any number of those, and any number of trailers.
    """

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._lines: list[bytes] = []
        self._way = _Way(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._way)
        self._way.bound(self._way.timeout, MOST_HEADER)

    def begin(self) -> None:
        """Called by http.client to read the header."""
        stream = self.fp
        self.fp = _Recorded(stream, self._lines)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:  # where it was closed
                self.fp = stream
        self._way.free()
        # The parser stops at the first line that is none of a header, such as one with a blank
        # before its colon, and what follows would count for nothing: lengths, codings, versions.
        # RFC 9112, sections 2.2 and 5.1, let such answers be refused.
        if not self._lines or not self._lines[-1].endswith(b"\n"):
            raise HTTPException("the connection ended within the header")
        for number, line in enumerate(self._lines[:-1]):
            if not (_FIELD.fullmatch(line) or (number and _FOLDED.fullmatch(line))):
                raise ValueError("a line that is none of a header")

    def bound(self, seconds: float, size: int) -> None:
        """What still comes has to come in ``seconds``, and be ``size`` bytes at most."""
        self._way.bound(seconds, size)

    @property
    def is_cut_off(self) -> bool:
        """Whether TLS ended without saying so: nobody knows whether that was the end.

        RFC 9112, section 9.8: such a body is incomplete where nothing else gave its length.
        """
        return self._way.is_cut_off

    def _read_status(self) -> tuple[str, int, str]:
        # RFC 9110, section 15.2: a client must be able to parse interim answers, and may ignore
        # them. 101 answers a question that is never asked.
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == 101:
                self._lines.clear()
                return version, status, reason
            while self.fp.readline().strip():
                pass

    def _read_and_discard_trailer(self) -> None:
        self._way.bound(self._way.timeout, MOST_HEADER)
        super()._read_and_discard_trailer()  # type: ignore[misc]
        self._way.free()


def answer_of(response: requests.Response) -> Answer:
    """What has the body's bytes.

    urllib3's own ``readinto`` reads into a new object and copies; the http.client response under
    it reads from the socket into the buffer, which takes a quarter off the CPU time a byte. It
    does not notice a body that is too short, but every caller here counts.
    """
    answer = response.raw._fp
    assert isinstance(answer, Answer)
    return answer


class _Recorded:
    """A stream that keeps the lines that are read from it."""

    def __init__(self, stream: Any, lines: list[bytes]) -> None:
        self._stream, self._lines = stream, lines

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._stream.readline(limit)
        self._lines.append(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Way(io.RawIOBase):
    """What a socket brings, within a time and a size while these are bound."""

    def __init__(self, sock: Any, raw: Any) -> None:
        super().__init__()
        self._sock, self._raw = sock, raw
        self.timeout = sock.gettimeout()
        self._until: float | None = None
        self._waits = self.timeout
        """The timeout that the socket has: each change of it costs a switch of threads."""
        self._room = 0
        self.is_cut_off = False

    def bound(self, seconds: float | None, room: int) -> None:
        self._until = None if seconds is None else time.monotonic() + seconds
        self._room = room

    def free(self) -> None:
        if self._until is not None:
            self._until = None
            self._wait(self.timeout)

    def _wait(self, seconds: float | None) -> None:
        if seconds != self._waits:
            self._sock.settimeout(seconds)
            self._waits = seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if self._until is None:
            return self._read(buffer)
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self._waits is None or left < self._waits - NEARLY:
            self._wait(left)
        count = self._read(buffer)
        self._room -= count
        if self._room < 0:
            raise ValueError("more than there is room for")
        return count

    def _read(self, buffer: Any) -> int:
        try:
            return self._raw.readinto(buffer) or 0
        except ssl.SSLEOFError:
            self.is_cut_off = True
            return 0

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
