"""BitTorrent as far as aria2c's swarm needs it: a .torrent with a web seed, and a tracker.

python benchmarks/swarm.py ADDRESS PORT     is the tracker; a line tells when it answers
"""

from __future__ import annotations

import hashlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

RETRY = 1
"""Seconds until a client asks the tracker again."""

peers: dict[str, set[tuple[str, int]]] = {}
"""Who takes part, by the torrent's hash."""


def bencode(value: Any) -> bytes:
    """``value`` as BEP 3 writes it."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, list):
        return b"l%be" % b"".join(map(bencode, value))
    if isinstance(value, dict):
        items = (bencode(key) + bencode(value[key]) for key in sorted(value))
        return b"d%be" % b"".join(items)
    data = value.encode() if isinstance(value, str) else value
    return b"%d:%b" % (len(data), data)


def torrent(file: Path, piece: int, *, tracker: str, web_seed: str) -> bytes:
    """The .torrent of ``file``, in pieces of so many bytes."""
    with file.open("rb") as source:
        blocks = iter(lambda: source.read(piece), b"")
        hashes = b"".join(hashlib.sha1(block).digest() for block in blocks)
    size = file.stat().st_size
    info = {"name": file.name, "length": size, "piece length": piece, "pieces": hashes}
    return bencode({"announce": tracker, "url-list": [web_seed], "info": info})


class Tracker(BaseHTTPRequestHandler):
    """Tells each client the addresses that the others ask from (BEP 3, compact as in BEP 23)."""

    def do_GET(self) -> None:
        """Take the client in, and answer with the others."""
        query = parse_qs(urlsplit(self.path).query, encoding="latin-1")
        swarm = peers.setdefault(query["info_hash"][0], set())
        client = (self.client_address[0], int(query["port"][0]))
        swarm.discard(client)
        others = b"".join(compact(*peer) for peer in swarm)
        if query.get("event") != ["stopped"]:
            swarm.add(client)
        body = bencode({"interval": RETRY, "peers": others})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nothing is logged."""


def compact(address: str, port: int) -> bytes:
    """Four bytes of address and two of port."""
    return bytes(map(int, address.split("."))) + port.to_bytes(2, "big")


if __name__ == "__main__":
    server = ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Tracker)
    print("ready", flush=True)
    server.serve_forever()
