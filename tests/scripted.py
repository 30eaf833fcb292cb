"""A scripted origin on port 0: does the right thing and, on request, a wrong one."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def range(self) -> tuple[int, int] | None:
        """First and last byte asked for."""
        text = self.headers.get("range", "")
        if not text.startswith("bytes="):
            return None
        first, _, last = text.removeprefix("bytes=").partition("-")
        return int(first), int(last)

    @property
    def is_part(self) -> bool:
        return self.method == "GET" and self.range is not None and self.range != (0, 0)


Behaviour = Callable[["Handler", "Seen"], bool]


@dataclass
class Rule:
    """Misbehave ``times`` times (None: always) for requests that ``when`` admits."""

    behaviour: Behaviour
    when: Callable[[Seen], bool]
    times: int | None
    used: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin: Origin

    def do_HEAD(self) -> None:
        self.respond()

    def do_GET(self) -> None:
        self.respond()

    def respond(self) -> None:
        headers = {k.lower(): v for k, v in self.headers.items()}
        seen = Seen(self.command, self.path, headers)
        with self.origin.lock:
            self.origin.requests.append(seen)
            rule = next(
                (
                    r
                    for r in self.origin.rules
                    if (r.times is None or r.used < r.times) and r.when(seen)
                ),
                None,
            )
            if rule is not None:
                rule.used += 1
        if rule is not None and rule.behaviour(self, seen):
            return
        self.serve(seen)

    def serve(self, seen: Seen, **changes: Any) -> None:
        """The right answer, or with some of its properties changed."""
        origin = self.origin
        data = origin.at(seen)
        asked = seen.range if origin.ranges else None
        if asked is not None and asked[0] >= len(data):
            self.start(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
            return
        status = changes.get("status", 206 if asked else 200)
        first, last = asked or (0, len(data) - 1)
        last = min(last, len(data) - 1)
        body = data[first : last + 1]
        headers = dict(origin.headers)
        if origin.ranges:
            headers["Accept-Ranges"] = "bytes"
        headers["Content-Length"] = str(len(body))
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        headers.update(changes.get("headers", {}))
        headers = {k: v for k, v in headers.items() if v is not None}
        self.start(status, headers)
        if self.command != "HEAD":
            self.wfile.write(changes.get("body", body))

    def start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.getpeername()  # of a client that has gone, ssl would leave the socket open
        # In the handler's thread: who goes away while they shake hands must not hold up the others.
        with self.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, *args: object) -> None:
        """Clients that hang up are part of the tests."""


@dataclass
class Origin:
    data: bytes
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"v1"'})
    ranges: bool = True
    rules: list[Rule] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)
    files: dict[str, bytes] = field(default_factory=dict)
    """What is at some paths instead of ``data``."""
    release: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Origin:
        handler = type("BoundHandler", (Handler,), {"origin": self})
        self.server = _Server(("127.0.0.1", 0), handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def at(self, seen: Seen) -> bytes:
        """What is where that request asks."""
        return self.files.get(seen.path.partition("?")[0], self.data)

    def url(self, path: str = "/file.bin") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def on(
        self,
        behaviour: Behaviour,
        times: int | None = 1,
        when: Callable[[Seen], bool] = lambda seen: seen.is_part,
    ) -> None:
        self.rules.append(Rule(behaviour, when, times))

    @property
    def parts(self) -> list[Seen]:
        return [seen for seen in self.requests if seen.is_part]


def secured(origin: Origin, certificates: Path, **context: Any) -> Origin:
    """The same with TLS; ``context`` are attributes of its SSLContext."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    tls.load_verify_locations(certificates / "ca.pem")
    for name, value in context.items():
        setattr(tls, name, value)
    origin.server.tls = tls
    return origin


def head(seen: Seen) -> bool:
    return seen.method == "HEAD"


def get(seen: Seen) -> bool:
    return seen.method == "GET"


def anything(seen: Seen) -> bool:
    return True


def status(code: int, **headers: str) -> Behaviour:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def behave(handler: Handler, seen: Seen) -> bool:
        handler.start(code, {"Content-Length": "0", **named})
        return True

    return behave


def changed(**changes: Any) -> Behaviour:
    """The right answer, but for some headers, the status or the body."""

    def behave(handler: Handler, seen: Seen) -> bool:
        handler.serve(seen, **changes)
        return True

    return behave


def ignore_range(handler: Handler, seen: Seen) -> bool:
    data = handler.origin.at(seen)
    handler.start(200, {**handler.origin.headers, "Content-Length": str(len(data))})
    with suppress(OSError):
        handler.wfile.write(data)
    return True


def shift(handler: Handler, seen: Seen) -> bool:
    """Another offset than the one asked for, honestly labelled."""
    assert seen.range is not None
    first, last = seen.range
    total = len(handler.origin.data)
    body = handler.origin.data[first + 1 : last + 2]
    label = f"bytes {first + 1}-{first + len(body)}/{total}"
    headers = {"Content-Range": label, "Content-Length": str(len(body))}
    handler.start(206, {**handler.origin.headers, **headers})
    handler.wfile.write(body)
    return True


def lying(*positions: int) -> Behaviour:
    """The right answer, but that those bytes of the file are others."""

    def behave(handler: Handler, seen: Seen) -> bool:
        data = handler.origin.at(seen)
        first, last = seen.range or (0, len(data) - 1)
        body = bytearray(data[first : last + 1])
        for position in positions:
            if first <= position < first + len(body):
                body[position - first] ^= 0xFF
        handler.serve(seen, body=bytes(body))
        return True

    return behave


def shorter(count: int) -> Behaviour:
    """Only ``count`` bytes, honestly labelled: an origin may do that."""

    def behave(handler: Handler, seen: Seen) -> bool:
        assert seen.range is not None
        first, last = seen.range
        last = min(last, first + count - 1)
        body = handler.origin.data[first : last + 1]
        headers = {
            **handler.origin.headers,
            "Content-Range": f"bytes {first}-{last}/{len(handler.origin.data)}",
            "Content-Length": str(len(body)),
        }
        handler.start(206, headers)
        handler.wfile.write(body)
        return True

    return behave


def begin(handler: Handler, seen: Seen, count: int) -> None:
    """Announce everything that was asked for, and send the first ``count`` bytes of it."""
    data = handler.origin.at(seen)
    first, last = seen.range or (0, len(data) - 1)
    last = min(last, len(data) - 1)
    body = data[first : last + 1]
    headers = {**handler.origin.headers, "Content-Length": str(len(body))}
    if seen.range:
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    handler.start(206 if seen.range else 200, headers)
    handler.wfile.write(body[:count])


def cut_off(count: int, *, reset: bool = False) -> Behaviour:
    """Announce everything, send ``count`` bytes, close (or reset) the connection."""

    def behave(handler: Handler, seen: Seen) -> bool:
        begin(handler, seen, count)
        if reset:
            handler.reset()
        handler.close_connection = True
        return True

    return behave


def stall(count: int = 0) -> Behaviour:
    """Announce everything, send ``count`` bytes, then nothing until the test ends."""

    def behave(handler: Handler, seen: Seen) -> bool:
        begin(handler, seen, count)
        handler.wfile.flush()
        handler.origin.release.wait(60)
        handler.close_connection = True
        return True

    return behave


def chunked(handler: Handler, seen: Seen) -> bool:
    """The whole file in chunks, its length nowhere."""
    handler.start(200, {**handler.origin.headers, "Transfer-Encoding": "chunked"})
    if handler.command == "HEAD":
        return True
    data = handler.origin.data
    for position in range(0, len(data), 60_000):
        piece = data[position : position + 60_000]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")
    return True


def until_close(handler: Handler, seen: Seen) -> bool:
    """The whole file as HTTP/1.0 did it: it ends where the connection ends."""
    handler.protocol_version = "HTTP/1.0"
    handler.start(200, {"Connection": "close"})
    if handler.command != "HEAD":
        handler.wfile.write(handler.origin.data)
    handler.close_connection = True
    return True


def redirect(location: str, code: int = 302) -> Behaviour:
    return status(code, Location=location)
