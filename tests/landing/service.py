"""An S3 service of moto's, behind a proxy that misbehaves on request."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REFUSAL = "<?xml version='1.0'?><Error><Code>{}</Code><Message>secret words</Message></Error>"


@dataclass
class Call:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return {k: v[0] for k, v in parse_qs(urlsplit(self.path).query, True).items()}

    @property
    def number(self) -> int:
        """The part that is written; 0 for other requests."""
        return int(self.query.get("partNumber", 0)) if self.method == "PUT" else 0


Answer = Callable[["Handler", Call], bool]
"""Whether the request was answered by this."""


def refuse(status: int, code: str = "", **headers: str) -> Answer:
    def answer(handler: Handler, _: Call) -> bool:
        text = (REFUSAL.format(code) if code else "").encode()
        handler.reply(status, {**headers, "Content-Length": str(len(text))}, text)
        return True

    return answer


def reset(handler: Handler, _: Call) -> bool:
    """Break the connection."""
    handler.reset()
    return True


def reset_after(handler: Handler, call: Call) -> bool:
    """Do what is asked, and break the connection before it is said."""
    handler.forward(call)
    handler.reset()
    return True


@dataclass
class Rule:
    when: Callable[[Call], bool]
    answer: Answer
    times: int | None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        service = self.service
        if service.cut_bodies and self.command == "PUT" and length > 1 << 20:
            with service.lock:
                cut, service.cut_bodies = service.cut_bodies > 0, service.cut_bodies - 1
            if cut:
                self.rfile.read(length // 2)
                self.reset()
                return
        headers = {k.lower(): v for k, v in self.headers.items()}
        call = Call(self.command, self.path, headers, self.rfile.read(length))
        with service.lock:
            service.calls.append(call)
            rule = next((r for r in service.rules if r.times != 0 and r.when(call)), None)
            if rule is not None and rule.times is not None:
                rule.times -= 1
        if rule is not None and rule.answer(self, call):
            return
        status, answered, body = self.forward(call)
        self.reply(status, answered, body)

    def do_GET(self) -> None:
        self.respond()

    def do_HEAD(self) -> None:
        self.respond()

    def do_PUT(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def do_DELETE(self) -> None:
        self.respond()

    def forward(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        target = urlsplit(self.service.behind)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
        try:
            connection.request(call.method, call.path, call.body, call.headers)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        left_out = ("connection", "transfer-encoding", "date", "server")
        headers = {k: v for k, v in response.getheaders() if k.lower() not in left_out}
        if call.method != "HEAD":
            headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
            headers["Content-Length"] = str(len(body))
        return response.status, headers, body

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Service:
    """The proxy. ``client`` is a boto3 client of what is behind it."""

    behind: str
    client: Any
    bucket: str
    calls: list[Call] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    cut_bodies: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Service:
        handler = type("Bound", (Handler,), {"service": self})

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *args: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def target(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def on(
        self, answer: Answer, when: Callable[[Call], bool] = lambda c: c.number > 0, times: Any = 1
    ) -> None:
        self.rules.append(Rule(when, answer, times))

    def puts(self) -> list[Call]:
        """The parts that were written, in that order."""
        return [call for call in list(self.calls) if call.number]

    def get(self, key: str) -> bytes | None:
        """The object, if it is there."""
        try:
            return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except self.client.exceptions.NoSuchKey:
            return None

    def parts(self, key: str, upload: str) -> list[int]:
        """The numbers of the parts that are there of an upload."""
        listed = self.client.list_parts(Bucket=self.bucket, Key=key, UploadId=upload)
        return [part["PartNumber"] for part in listed.get("Parts", ())]

    def unfinished(self) -> list[str]:
        """The ids of the uploads that are there."""
        listed = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [upload["UploadId"] for upload in listed.get("Uploads", ())]
