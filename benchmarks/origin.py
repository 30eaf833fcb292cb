"""An origin with manners that can be chosen: it waits before each answer, caps
connections, or breaks down under many.

    python benchmarks/origin.py FOLDER HOST:PORT [--delay 0.1] [--cap 2000000] [--most 16]

``--cap`` is in bytes a second and belongs to the connection, not to the request: asking again
over the same connection gains nothing. With more than ``--most`` connections of one address, each
of them gets a hundredth of it. One process, sendfile: 100 MB/s take a tenth of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

SLICE_SECONDS = 0.05
"""A capped connection gets what is its due this often."""


class Pace:
    """How much of its due a connection has had; it saves up one slice at most."""

    def __init__(self, cap: float, is_too_many: Callable[[], bool]) -> None:
        self._cap, self._is_too_many = cap, is_too_many
        self._paid_until = 0.0

    async def next_slice(self, left: int) -> int:
        """Bytes that may be sent now, once it is their time."""
        if not self._cap:
            return left
        clock = asyncio.get_running_loop().time
        self._paid_until = max(self._paid_until, clock() - SLICE_SECONDS)
        await asyncio.sleep(self._paid_until - clock())
        cap = self._cap / 100 if self._is_too_many() else self._cap
        size = min(left, max(1, int(cap * SLICE_SECONDS)))
        self._paid_until += size / cap
        return size


async def answer(
    head: bytes, writer: asyncio.StreamWriter, folder: Path, delay: float, pace: Pace
) -> None:
    """Answer one request."""
    method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
    path = folder / Path(target).name
    asked = re.search(rb"(?mi)^range: bytes=(\d+)-(\d+)", head)
    await asyncio.sleep(delay)
    with path.open("rb") as file:
        size = path.stat().st_size
        first, last = (int(asked[1]), min(int(asked[2]), size - 1)) if asked else (0, size - 1)
        lines = [
            "HTTP/1.1 206 Partial Content" if asked else "HTTP/1.1 200 OK",
            "Accept-Ranges: bytes",
            f'ETag: "{size:x}"',
            f"Content-Length: {last + 1 - first}",
        ]
        if asked:
            lines.append(f"Content-Range: bytes {first}-{last}/{size}")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await writer.drain()
        if method == "GET":
            await send(file, first, last + 1, writer, pace)


async def send(
    file: BinaryIO, start: int, stop: int, writer: asyncio.StreamWriter, pace: Pace
) -> None:
    """Send these bytes of the file at the connection's pace."""
    loop = asyncio.get_running_loop()
    while start < stop:
        size = await pace.next_slice(stop - start)
        start += await loop.sendfile(writer.transport, file, start, size)


async def serve(
    folder: Path, host: str, port: int, delay: float, cap: float, most: int | None
) -> None:
    """Serve ``folder`` until cancelled; says ``ready PORT`` on standard output."""
    talking: Counter[str] = Counter()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        pace = Pace(cap, lambda: most is not None and talking[address] > most)
        talking[address] += 1
        # asyncio throws RuntimeError for a connection that the other side has closed meanwhile.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, RuntimeError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await answer(head, writer, folder, delay, pace)
        talking[address] -= 1
        writer.close()

    server = await asyncio.start_server(talk, host, port, backlog=1024)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("address")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--cap", type=float, default=0.0, help="bytes a second and connection")
    parser.add_argument("--most", type=int, help="connections of an address before it breaks down")
    args = parser.parse_args()
    host, _, port = args.address.rpartition(":")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(args.folder, host, int(port), args.delay, args.cap, args.most))


if __name__ == "__main__":
    main()
