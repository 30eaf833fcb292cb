"""``raydl demo``: what many connections from many nodes bring, shown on one machine.

An origin on loopback caps each connection, as many do; a Ray cluster of three nodes on this
machine fetches a file from it over one connection, then with all nodes over several.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from raydl.api.functions import fetch, start
from raydl.cluster.session import several_nodes
from raydl.model.events import Event, LanesJoined, Progress
from raydl.model.report import Report
from raydl.model.units import counted, format_duration, format_size
from raydl.view.progress import renderer
from raydl.view.terminal import is_drawable

SIZE = 48 << 20
CAP = 6 << 20
CONNECTIONS = 2
NODES = 3
PARTS = 24


class _Capped(BaseHTTPRequestHandler):
    """Serves one file, byte ranges included, at CAP bytes a second a connection."""

    protocol_version = "HTTP/1.1"
    data = b""

    def do_HEAD(self) -> None:
        self._answer(200, 0, len(self.data), send=False)

    def do_GET(self) -> None:
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if first:
            self._answer(206, int(first), int(last) + 1, send=True)
        else:
            self._answer(200, 0, len(self.data), send=True)

    def _answer(self, status: int, start: int, stop: int, *, send: bool) -> None:
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"demo"')
        self.send_header("Content-Length", str(stop - start))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(self.data)}")
        self.end_headers()
        began, step = time.monotonic(), CAP // 40
        for position in range(start, stop if send else start, step):
            self.wfile.write(self.data[position : min(position + step, stop)])
            ahead = (position + step - start) / CAP - (time.monotonic() - began)
            time.sleep(max(0.0, ahead))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing, where a lane that is no longer needed closes its connection amid an answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def _origin(data: bytes) -> Iterator[str]:
    handler = type("Handler", (_Capped,), {"data": data})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/demo.bin"
    finally:
        server.shutdown()
        server.server_close()


def _fetch(url: str, target: Path, **options: Any) -> Report:
    """As ``raydl.fetch``; of what happens the bar alone is shown, on a terminal."""
    with renderer("bar" if is_drawable(sys.stderr) else "none") as render:

        def show(event: Event) -> None:
            if isinstance(event, Progress):
                render(event)

        return fetch(url, target, on_event=show, progress="none", **options)


def _start_workers(url: str, target: Path) -> None:
    """Have a worker on each node, so that what is shown is how they fetch."""
    nodes = set()
    download = start(url, target, fetch_here=False, limit_rate="1MiB", progress="none")
    for event in download.events():
        if isinstance(event, LanesJoined):
            nodes.add(event.node)
        if len(nodes) == NODES - 1:
            break
    download.cancel()
    download.join()


def main() -> None:
    """Run the demonstration; raises RaydlError where something does not work."""
    data = os.urandom(SIZE)
    checksum = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with tempfile.TemporaryDirectory() as folder, _origin(data) as url:
        _say(
            f"An origin on this machine serves {format_size(SIZE)}, "
            f"and gives each connection {format_size(CAP)}/s."
        )
        target = Path(folder) / "demo.bin"
        one = _fetch(url, target, connections=1, address="none", checksum=checksum)
        _say(f"this machine alone, 1 connection: {_figures(one)}")
        target.unlink()
        _say(f"Starting a Ray cluster of {NODES} nodes, all on this machine …")
        with several_nodes(NODES):
            _start_workers(url, Path(folder) / "started.bin")
            many = _fetch(url, target, parts=PARTS, connections=CONNECTIONS, checksum=checksum)
        nodes = counted(len(many.nodes), "node")
        _say(f"{nodes}, {CONNECTIONS} connections each: {_figures(many)}")
        for share in many.nodes:
            _say(f"  {share.node:<22} {format_size(share.bytes):>9}")
        _say(f"{many.speed / one.speed:.1f} times as fast; both files have the right sha256.")


def _figures(report: Report) -> str:
    return f"{format_duration(report.transfer_seconds)}, {format_size(report.speed)}/s"


def _say(line: str) -> None:
    print(line, flush=True)
