"""An answer as it comes over the wire: a bounded header, a body's end distinguished from a cut."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import socket
import ssl
import sys
import time
from http.client import HTTPException, HTTPMessage, HTTPResponse, UnknownProtocol
from typing import Any

MOST_HEADER = 256 << 10
"""Bytes of a status line, its header and whatever interim answers came before them."""


NEARLY = 0.5
"""Seconds by which a header may come later than its time."""

SOON_SECONDS = 0.05
"""A read of much that has something by then returns it."""

MOST_FIELDS = 100
"""As http.client has it."""

_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\r\n]*)\r?\n")
_FOLDED = re.compile(r"[ \t]([^\r\n]*)\r?\n")
_BLANKS = " \t"


class Answer(HTTPResponse):
    """An answer whose header, and whose trailer after chunks, are limited in time and in size.

    http.client waits a timeout for each read, however little comes; it takes the first interim
    answer but 100 for the final one, and skips any number of those, and any number of trailers. It
    parses the header as one of a mail, which costs more than all else that it does.
    """

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fields: list[tuple[str, str]] = []
        """The header, in its order."""
        self._way = _Way(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._way)
        self._way.bound(self._way.timeout, MOST_HEADER)

    def begin(self) -> None:
        """Called by http.client to read the header."""
        version, self.status, reason = self._read_status()
        self.code, self.reason = self.status, reason.strip()
        if not version.startswith(("HTTP/1.", "HTTP/0.9")):
            raise UnknownProtocol(version)
        self.version = 10 if version in ("HTTP/1.0", "HTTP/0.9") else 11
        self.fields = self._read_fields()
        self._way.free()
        self.headers = self.msg = HTTPMessage()
        for name, value in self.fields:
            self.headers.set_raw(name, value)
        # Where the body ends: RFC 9112, section 6.3.
        self.chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.will_close = self._check_close()  # type: ignore[attr-defined]
        length = self.headers.get("Content-Length", "")
        is_number = length.isascii() and length.isdigit() and len(length) < 19
        self.length = int(length) if is_number and not self.chunked else None
        if self.status in (204, 304) or self._method == "HEAD":  # type: ignore[attr-defined]
            self.length, self.chunked = 0, False
        self.will_close = self.will_close or (self.length is None and not self.chunked)

    def _read_fields(self) -> list[tuple[str, str]]:
        """Up to the empty line.

        A lenient parser stops at the first line that is none of a header, such as one with a blank
        before its colon, and what follows would count for nothing: lengths, codings, versions.
        RFC 9112, sections 2.2 and 5.1, let such answers be refused.
        """
        fields: list[tuple[str, str]] = []
        while (line := self.fp.readline().decode("latin-1")) not in ("\r\n", "\n"):
            if not line.endswith("\n"):
                raise HTTPException("the connection ended within the header")
            if (found := _FIELD.fullmatch(line)) is not None:
                fields.append((found[1], found[2].strip(_BLANKS)))
            elif fields and (folded := _FOLDED.fullmatch(line)) is not None:
                name, value = fields[-1]
                fields[-1] = name, f"{value} {folded[1].strip(_BLANKS)}"
            else:
                raise ValueError("a line that is none of a header")
            if len(fields) > MOST_FIELDS:
                raise HTTPException(f"more than {MOST_FIELDS} fields in a header")
        return fields

    def bound(self, seconds: float, size: int) -> None:
        """What still comes has to come in ``seconds``, and be ``size`` bytes at most."""
        self._way.bound(seconds, size)

    @property
    def has_length(self) -> bool:
        """Whether its header says how long it is: then nothing of it can turn out to be wrong."""
        return self.length is not None and not self.chunked

    @property
    def can_splice(self) -> bool:
        """Whether ``splice`` can move the body: it comes as it is, without TLS, over a socket."""
        return sys.platform == "linux" and self.has_length and self._way.is_plain

    def read_ahead(self, most: int) -> bytes:
        """Up to ``most`` bytes of the body that came along with the header, without a wait."""
        assert self.length is not None
        data = self._way.read_ahead(self.fp, min(most, self.length))
        self.length -= len(data)
        return data

    def receive(self, view: memoryview) -> int:
        """Fill ``view``; returns how many bytes came, which are fewer at the end, or of a slow one.

        Like ``readinto``, but straight from the socket: TLS brings 16 KiB at once at most.
        """
        if not self.has_length:
            return int(self.readinto(view))
        ahead = self.read_ahead(view.nbytes)
        count = len(ahead)
        view[:count] = ahead
        assert self.length is not None
        more = self._way.receive(view[count : count + self.length])
        self.length -= more
        return count + more

    def wait(self) -> None:
        """Wait until there is something to splice. Raises OSError, TimeoutError like any read."""
        self._way.wait()

    def splice(self, pipe: int, amount: int) -> int | None:
        """Move up to ``amount`` bytes from the socket to a pipe, without a copy; 0 at the end, and
        None where there are none yet.

        Only after all of ``read_ahead``. Raises OSError, TimeoutError like any read.
        """
        assert self.length is not None
        count = self._way.splice(pipe, min(amount, self.length))
        self.length -= count or 0
        return count

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
                return version, status, reason
            while self.fp.readline().strip():
                pass

    def _read_and_discard_trailer(self) -> None:
        self._way.bound(self._way.timeout, MOST_HEADER)
        super()._read_and_discard_trailer()  # type: ignore[misc]
        self._way.free()


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
        self._is_dry = self.is_cut_off = False
        self.is_plain = type(sock) is socket.socket
        self._recv = sock.recv_into
        if isinstance(sock, ssl.SSLSocket):  # what ``recv_into`` comes to, for each 16 KiB
            self._recv = lambda buffer: sock.read(len(buffer), buffer)
        self._failed: OSError | None = None
        # With the header of this one, whoever reads from here may read some of what follows.
        self._has_ahead = True

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

    def read_ahead(self, reader: Any, most: int) -> bytes:
        """Up to ``most`` bytes that ``reader``, which reads from here, has and did not give out."""
        if not self._has_ahead:
            return b""
        self._is_dry = True
        try:
            data: bytes = reader.read1(most) or b""
        finally:
            self._is_dry = False
        self._has_ahead = len(data) == most
        return data

    def receive(self, view: memoryview) -> int:
        """Fill it, as far as bytes come soon; returns how many did.

        What fails after some of them fails next time.
        """
        if self._failed is not None:
            raise self._failed
        position, until = 0, time.monotonic() + SOON_SECONDS
        try:
            while position < view.nbytes and not (position and time.monotonic() > until):
                count = self._read(view[position:])
                if not count:
                    break
                position += count
        except OSError as error:
            if not position:
                raise
            self._failed = error
        return position

    def wait(self) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if not poll.poll(None if self.timeout is None else 1000 * self.timeout):
            raise TimeoutError("timed out")

    def splice(self, pipe: int, amount: int) -> int | None:
        try:
            return os.splice(self._sock.fileno(), pipe, amount, flags=os.SPLICE_F_MOVE)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self.is_plain = False  # not with this kind of socket, or system
            return os.write(pipe, self._sock.recv(min(amount, select.PIPE_BUF)))

    def readinto(self, buffer: Any, /) -> int | None:
        if self._is_dry:
            return None
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
            return int(self._recv(buffer))
        except ssl.SSLEOFError:
            self.is_cut_off = True
            return 0

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
