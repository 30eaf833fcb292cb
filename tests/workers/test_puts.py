"""What a node does for a bucket."""

from __future__ import annotations

import hashlib
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from raydl.model.remote import Source
from raydl.workers import puts, smallputs
from raydl.workers.nodefiles import LOST
from raydl.workers.puts import Puts
from raydl.workers.smallfiles import DONE, FAILED, SmallFiles, Wish
from raydl.workers.worker import Worker

PIECES = [b"one ", b"and two ", b"and three"]
SIZES = [len(piece) for piece in PIECES]
WHOLE = b"".join(PIECES)


class Store:
    """Objects by number; what is not there does not come, and what is None is lost."""

    def __init__(self, *objects):
        self.objects = dict(enumerate(objects))

    def get(self, refs, seconds):
        if any(self.objects.get(ref, b"") is None for ref in refs):
            raise LookupError("ObjectLostError")
        if any(ref not in self.objects for ref in refs):
            return None
        return [memoryview(self.objects[ref]) for ref in refs]


@pytest.fixture
def node():
    return Puts(Store(*PIECES).get)


@pytest.fixture
def server():
    """Keeps what is put; what is put to ``/held`` it does not read."""
    seen, arrived, release = {}, threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            if self.path == "/held":
                arrived.set()
                release.wait(30)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen[self.path] = dict(self.headers), body
            status = 503 if self.path == "/slow" else 200
            text = b"<Error><Code>SlowDown</Code></Error>" if status == 503 else b""
            self.send_response(status)
            self.send_header("ETag", '"e"')
            self.send_header("x-amz-checksum-crc32", "sum")
            self.send_header("Retry-After", "7")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    server.seen, server.arrived = seen, arrived
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    release.set()
    server.shutdown()
    server.server_close()


def test_objects_are_one_body_with_a_length(node, server):
    where = (f"{server.url}/f?signature", {"x-amz-checksum-crc32": "sum"}, 5.0)
    problem, (etag, checksums, failure, _) = node.put(where, None, [0, 1, 2], SIZES, 1.0)
    assert (problem, failure) == (None, None)
    assert etag == '"e"'
    assert dict(checksums) == {"crc32": "sum"}
    headers, body = server.seen["/f?signature"]
    assert body == WHOLE
    assert "Transfer-Encoding" not in headers
    assert headers["x-amz-checksum-crc32"] == "sum"
    node.rest()


def test_a_refusal_is_its_code_without_the_url(node, server):
    where = (f"{server.url}/slow", {}, 5.0)
    _, (etag, _, failure, code) = node.put(where, None, [0, 1, 2], SIZES, 1.0)
    assert (etag, code) == ("", "SlowDown")
    assert failure[2:] == (503, 7.0)
    assert "/slow" not in failure[1]
    node.rest()


def test_who_cannot_be_reached_is_named_without_the_query(node):
    where = ("http://127.0.0.1:1/f?X-Amz-Signature=secret", {}, 5.0)
    _, (_, _, failure, _) = node.put(where, None, [0, 1, 2], SIZES, 1.0)
    assert failure[0] == "connect"
    assert "secret" not in failure[1]


def test_resting_cuts_what_is_under_way(node, server):
    answers = []
    where = (f"{server.url}/held", {}, 60.0)
    thread = threading.Thread(
        target=lambda: answers.append(node.put(where, None, [0], SIZES[:1], 1.0))
    )
    thread.start()
    assert server.arrived.wait(30)
    node.rest()
    thread.join(30)
    assert answers[0][1][2][0] == "cancelled"


def ask(origin, worker, files, ticket, url):
    source = Source(origin.url(), None, None, None, timeout=60.0)
    wish = Wish(origin.url(), None, "", False, None, False, put=(url, "s3://b/f", ""))
    return files.fetch(source, ticket, [wish], 0.0, bytearray())[0]


def test_what_is_cancelled_is_sent_no_longer(make_origin, server):
    worker, outcomes = Worker(), []
    files, origin = SmallFiles(worker.lent), make_origin(WHOLE)
    held = (origin, worker, files, 1, f"{server.url}/held")
    thread = threading.Thread(target=lambda: outcomes.append(ask(*held)))
    thread.start()
    assert server.arrived.wait(30)
    worker.cancel(1)
    thread.join(30)
    assert outcomes[0][:2] == (FAILED, "cancelled")
    assert ask(origin, worker, files, 2, f"{server.url}/f")[0] == DONE
    worker.close()


def test_what_is_cancelled_waits_for_no_pause(make_origin, server, monkeypatch):
    """The service asks for seven seconds, and is not asked again."""
    worker, waits = Worker(), []
    files, origin = SmallFiles(worker.lent), make_origin(WHOLE)

    def sleep(seconds):
        waits.append(seconds)
        worker.cancel(1)

    monkeypatch.setattr(smallputs.time, "sleep", sleep)
    outcome = ask(origin, worker, files, 1, f"{server.url}/slow")
    assert outcome[:2] == (FAILED, "cancelled")
    assert waits == [smallputs.LOOK_SECONDS]
    worker.close()


def test_a_block_is_summed(node):
    assert node.checksum("crc32", [0, 1, 2], SIZES, 1.0) == (None, f"{zlib.crc32(WHOLE):08x}")


def test_a_digest_grows_block_by_block_and_says_where_it_is(node):
    assert node.hash("k", "sha256", 0, [0], SIZES[:1], 1.0) == (None, True)
    assert node.hash("k", "sha256", 0, [0], SIZES[:1], 1.0) == (None, False)
    assert node.hash("k", "sha256", 4, [1, 2], SIZES[1:], 1.0) == (None, True)
    assert node.digest("k", len(WHOLE)) == (None, hashlib.sha256(WHOLE).hexdigest())
    assert node.digest("k", len(WHOLE)) == (None, "")


def test_what_is_lost_is_told_by_its_index(monkeypatch):
    monkeypatch.setattr(puts, "LOOK_SECONDS", 0.0)
    node = Puts(Store(PIECES[0], None, PIECES[2]).get)
    problem, lost = node.checksum("crc32", [0, 1, 2], SIZES, 1.0)
    assert problem[0] == LOST
    assert lost == [1]
    node = Puts(Store(*PIECES).get)
    problem, lost = node.checksum("crc32", [0, 9, 2], SIZES, 0.0)
    assert (problem[0], lost) == (LOST, [1])


def test_bytes_of_another_length_are_none(node):
    problem, lost = node.checksum("crc32", [0, 1, 2], [4, 8, 1], 1.0)
    assert (problem[0], lost) == (LOST, [0, 1, 2])


def test_what_nobody_expects_does_not_tell_the_url(node, monkeypatch):
    def put(self, url, *_):
        raise TypeError(f"no such thing: {url}")

    monkeypatch.setattr("raydl.origin.upload.Uploader.put", put)
    where = ("https://h/f?X-Amz-Signature=secret", {}, 5.0)
    assert node.put(where, None, [0, 1, 2], SIZES, 1.0) == (
        ("TypeError", "unexpected TypeError", ""),
        None,
    )
