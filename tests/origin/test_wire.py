"""Answers that never end, or end without saying so: as bytes on a socket, which no server sends."""

import gzip
import os
import socket
import ssl
import threading
import time
from contextlib import closing, contextmanager

import pytest

from raydl.model.remote import Access, Source
from raydl.origin import Origin, OriginFailure
from tests.origin.rawserver import serving

TIMEOUT = 0.5
LONG = 20.0
GOOD = b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789"


@contextmanager
def server(*answers, context=None, orderly=True):
    """A server that sends these answers, one a connection; a generator is sent as it comes."""
    sent = []

    def talk(link, answer):
        with link:
            if context is not None:
                link = context.wrap_socket(link, server_side=True)
            with link:
                link.recv(65536)
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    link.sendall(piece)
                    sent.append(len(piece))
                if context is not None and orderly:
                    link.unwrap()
                else:
                    link.shutdown(socket.SHUT_WR)
                link.recv(65536)

    def serve(listening):
        for answer in answers:
            link, _ = listening.accept()
            with link:
                try:
                    talk(link, answer)
                except OSError:
                    continue  # whoever asked has gone

    with serving(serve) as host:
        yield host, sent


def in_chunks(coding):
    return (
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/10\r\nTransfer-Encoding: " + coding
        + b"\r\n\r\na\r\n0123456789\r\n0\r\n\r\n"
    )  # fmt: skip


def endless(first, piece):
    yield first
    while True:
        yield piece


def read(host, timeout=TIMEOUT):
    source = Source(f"http://{host}/f", 10, None, None, timeout=timeout)
    buffer = bytearray(10)
    with closing(Origin(Access(), timeout)) as client:
        return client.read_part(source, 0, 10, memoryview(buffer), id), bytes(buffer)


class Piped:
    """Takes a body by ``read_ahead`` and ``splice``, as what writes into a file does."""

    def __init__(self):
        self.data, self.ahead, self.spliced = b"", 0, threading.Event()

    def take(self, body, position, amount, translated):
        assert position == len(self.data)
        if not body.can_splice:
            with translated():
                data = body.read(amount)
        else:
            with translated():
                data = body.read_ahead(amount)
            self.ahead += len(data)
        if not data and body.can_splice:
            end, pipe = os.pipe()
            try:
                self.spliced.set()
                with translated():
                    body.wait()
                    data = os.read(end, amount) if body.splice(pipe, amount) else b""
            finally:
                os.close(end)
                os.close(pipe)
        assert len(data) <= amount
        self.data += data
        return len(data)


def test_what_came_fast_and_then_stops_is_a_timeout():
    """Also where less is there than a read for much waits for."""
    body = bytes(1 << 20)

    def serve(listening):
        link, _ = listening.accept()
        with link:
            link.recv(65536)
            head = b"HTTP/1.1 206 ok\r\nContent-Range: bytes 0-%d/%d\r\nContent-Length: %d\r\n\r\n"
            link.sendall(head % (2 * len(body) - 1, 2 * len(body), 2 * len(body)))
            link.sendall(body + bytes(100_000))
            link.recv(65536)  # until the other side has had enough

    with serving(serve) as host, closing(Origin(Access(), 0.3)) as client:
        source = Source(f"http://{host}/f", 2 * len(body), None, None, timeout=0.3)
        into = memoryview(bytearray(2 * len(body)))
        got, failure = client.read_part(source, 0, 2 * len(body), into)
    assert 0 < got <= len(body) + 100_000
    assert failure.kind == "timeout"


def pipe_from(host, into, timeout=LONG, client=None):
    source = Source(f"http://{host}/f", 10, None, None, timeout=timeout)
    with closing(client or Origin(Access(), timeout)) as client:
        return client.read_part(source, 0, 10, into, id)


@pytest.fixture
def piped():
    return Piped()


ON_LINUX = pytest.mark.skipif(not hasattr(os, "splice"), reason="there is no splice")


@ON_LINUX
class TestSplice:
    """A body that goes from the socket into a pipe."""

    @pytest.mark.parametrize("ahead", [0, 1, 9, 10])
    def test_what_came_along_with_the_header_and_what_follows(self, piped, ahead):
        def answer():
            yield GOOD[: len(GOOD) - 10 + ahead]
            if ahead < 10:
                assert piped.spliced.wait(LONG)  # so that it does not come along
                yield GOOD[len(GOOD) - 10 + ahead :]

        with server(answer()) as (host, _):
            assert pipe_from(host, piped) == (10, None)
        assert (piped.data, piped.ahead) == (b"0123456789", ahead)

    @pytest.mark.parametrize("ahead", [True, False])
    def test_more_than_it_said_is_none_of_it(self, piped, ahead):
        """What lies behind these bytes in a file is written by others."""

        def answer():
            yield GOOD + b"x" * 20 if ahead else GOOD[:-10]
            if not ahead:
                assert piped.spliced.wait(LONG)
                yield GOOD[-10:] + b"x" * 20

        with server(answer()) as (host, _):
            assert pipe_from(host, piped) == (10, None)
        assert piped.data == b"0123456789"

    @pytest.mark.parametrize("there", [0, 4])
    def test_an_early_end(self, piped, there):
        with server(GOOD[: len(GOOD) - 10 + there]) as (host, _):
            got, failure = pipe_from(host, piped)
        assert (got, failure.kind, piped.data) == (there, "broken", b"0123"[:there])

    def test_nothing_comes_any_more(self, piped):
        going = threading.Event()

        def answer():
            yield GOOD[:-6]
            going.wait(LONG)

        with server(answer()) as (host, _):
            got, failure = pipe_from(host, piped, timeout=0.1)
            going.set()
        assert (got, failure.kind, piped.data) == (4, "timeout", b"0123")

    def test_cut_by_another_thread(self, piped):
        going, done = threading.Event(), []

        def answer():
            yield GOOD[:-6]
            going.wait(LONG)

        client = Origin(Access(), LONG)
        with server(answer()) as (host, _):
            thread = threading.Thread(
                target=lambda: done.append(pipe_from(host, piped, client=client))
            )
            thread.start()
            assert piped.spliced.wait(LONG)
            client.abort()
            thread.join(LONG)
            going.set()
        assert [(got, failure.kind) for got, failure in done] == [(4, "cancelled")]

    @pytest.mark.parametrize("refused", [False, True])
    def test_the_connection_is_used_again(self, monkeypatch, refused):
        """Also where a kind of socket cannot do it."""
        if refused:

            def splice(*args, **kwargs):
                raise OSError(22, "Invalid argument")

            monkeypatch.setattr(os, "splice", splice)
        first = Piped()

        def serve(listening):
            link, _ = listening.accept()
            with link:
                for place in (first, None):
                    link.recv(65536)
                    link.sendall(GOOD[:-10])
                    assert place is None or place.spliced.wait(LONG)
                    link.sendall(GOOD[-10:])
                link.recv(65536)

        with serving(serve) as host, closing(Origin(Access(), LONG)) as client:
            source = Source(f"http://{host}/f", 10, None, None, timeout=LONG)
            for place in (first, Piped()):
                assert client.read_part(source, 0, 10, place, id) == (10, None)
                assert place.data == b"0123456789"


@pytest.mark.parametrize("code", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_interim_answers_are_passed_over(code):
    with server(b"HTTP/1.1 " + code + b"\r\nLink: </x>\r\n\r\n" + GOOD) as (host, _):
        assert read(host) == ((10, None), b"0123456789")


@pytest.mark.parametrize(
    "answer",
    [
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        endless(b"HTTP/1.1 206 OK\r\n", b"X-Padding: " + b"x" * 60_000 + b"\r\n"),
        endless(
            b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/10\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"a\r\n0123456789\r\n0\r\n",
            b"X-Trailer: 1\r\n" * 1000,
        ),
    ],
    ids=["interim", "header", "trailer"],
)
def test_what_never_ends_is_cut(answer):
    with server(answer) as (host, sent):
        (_, failure), _ = read(host, timeout=LONG)
    assert failure.kind in ("wrong", "broken")
    assert sum(sent) < 8 << 20  # what the buffers of both sides hold included


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 206 OK\r\nX-Slow: ",
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/10\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"a\r\n0123456789\r\n0\r\nX-Slow: ",
    ],
    ids=["header", "trailer"],
)
def test_a_header_that_dribbles_has_one_timeout(start):
    """Each byte comes well within the timeout, the end never."""
    going = threading.Event()

    def dribble():
        yield start
        while not going.wait(TIMEOUT / 10):
            yield b"x"

    with server(dribble()) as (host, _):
        began = time.monotonic()
        (_, failure), _ = read(host)
        took = time.monotonic() - began
        going.set()
    assert failure.kind == "timeout"
    assert took < LONG


def test_the_body_of_a_redirect_is_not_read():
    """Nor unpacked: 64 KiB of gzip can be 64 MiB."""
    bomb = gzip.compress(bytes(64 << 20))
    head = b"HTTP/1.1 302 Found\r\nLocation: /two\r\nContent-Encoding: gzip\r\n"
    large = head + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n" % len(bomb) + bomb + b"\r\n"
    with server(endless(large, chunk), GOOD) as (host, sent):
        assert read(host, timeout=LONG) == ((10, None), b"0123456789")
    assert sum(sent) < 16 << 20


@pytest.mark.parametrize("coding", [b"chunked ", b"\tChunked\t"])
def test_blanks_around_a_value_are_none_of_it(coding):
    """RFC 9110, section 5.5."""
    with server(in_chunks(coding)) as (host, _):
        assert read(host) == ((10, None), b"0123456789")


@pytest.mark.parametrize("coding", [b"chunked, chunked", b"gzip"])
def test_one_parser_decides_what_the_framing_is(coding):
    """http.client undoes ``chunked`` alone: what it takes otherwise would get into the file."""
    answer = in_chunks(coding)
    with server(answer) as (host, _):
        (got, failure), _ = read(host)
    assert (got, failure.kind) == (0, "wrong")
    with (
        server(answer.replace(b"206 OK", b"200 OK")) as (host, _),
        closing(Origin(Access(), TIMEOUT)) as client,
        pytest.raises(OriginFailure),
    ):
        client.text(f"http://{host}/", 100)


@pytest.mark.parametrize(
    ("lengths", "fits"),
    [(b"10\r\nContent-Length: 10", True), (b"5, 10", False), (b"5\r\nContent-Length: 10", False)],
)
def test_one_length(lengths, fits):
    with server(GOOD.replace(b"Length: 10", b"Length: " + lengths)) as (host, _):
        (got, failure), _ = read(host)
    assert (got == 10 and failure is None) == fits


@pytest.mark.parametrize(
    "line",
    [
        b"no header",
        b"Content-Length : 10",
        b"Transfer-Encoding : x",
        b" folded",
        b"X: a\rbad",
        b"Content-Type: multipart/x; boundary=b\r\n--b",
    ],
)
def test_a_line_that_is_none_of_a_header(line):
    """All that follows it would count for nothing: lengths, codings, validators."""
    with server(GOOD.replace(b"Content-Range", line + b"\r\nContent-Range")) as (host, _):
        (got, failure), _ = read(host)
    assert (got, failure.kind) == (0, "wrong")


@pytest.mark.parametrize(
    "line",
    [b"Content-Type: message/rfc822", b"Content-Type: multipart/x; boundary=b", b"X: a\r\n b"],
)
def test_lines_that_are_unusual(line):
    with server(GOOD.replace(b"Content-Range", line + b"\r\nContent-Range")) as (host, _):
        assert read(host) == ((10, None), b"0123456789")


@pytest.mark.parametrize("end", [0, 20, 40])
def test_a_header_that_is_cut_off(end):
    """Else what is there of it would be an answer without a length."""
    with server(GOOD.partition(b"\r\n\r\n")[0][: -end or None]) as (host, _):
        (got, failure), _ = read(host)
    assert (got, failure.kind) == (0, "broken")


@pytest.fixture
def tls(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    return context


@pytest.mark.parametrize("orderly", [True, False])
def test_a_stream_whose_end_tls_does_not_tell(tls, orderly):
    """Without a length only close_notify proves the end (RFC 9112, section 9.8)."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789"
    with server(answer, context=tls, orderly=orderly) as (host, _):
        source = Source(f"https://{host}/f", None, None, None, timeout=LONG)
        taken = []
        with closing(Origin(Access(insecure=True), LONG)) as client:
            buffer = memoryview(bytearray(100))
            failure = client.read_whole(source, lambda: buffer, taken.append)
    if orderly:
        assert (failure, taken) == (None, [10])
    else:
        assert failure.kind == "broken"
        assert "ended TLS without a word" in failure.message


def test_a_length_needs_no_word_from_tls(tls):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
    with server(answer, context=tls, orderly=False) as (host, _):
        source = Source(f"https://{host}/f", 10, None, None, timeout=LONG)
        with closing(Origin(Access(insecure=True), LONG)) as client:
            buffer = memoryview(bytearray(100))
            assert client.read_whole(source, lambda: buffer, id) is None


def test_abort_while_they_shake_hands():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Origin(Access(), LONG)
        failures = []

        def ask():
            try:
                client.probe(f"https://127.0.0.1:{silent.getsockname()[1]}/")
            except OriginFailure as error:
                failures.append(error.failure)

        thread = threading.Thread(target=ask)
        thread.start()
        link, _ = silent.accept()
        with link:
            link.recv(1)  # the first byte of the client's hello
            client.abort()
            thread.join(5)
            assert not thread.is_alive()
        assert failures[0].kind == "cancelled"
        client.close()


OK = b"HTTP/1.1 200 OK\r\n"


def text(answer):
    with server(answer) as (host, _), closing(Origin(Access(), TIMEOUT)) as client:
        return client.text(f"http://{host}/", 100)


@pytest.mark.parametrize("how", [b"Content-Length: 3", b"Connection: close"])
def test_a_text(how):
    assert text(OK + how + b"\r\n\r\nabc") == "abc"


@pytest.mark.parametrize(
    ("header", "body", "says"),
    [
        (b"Content-Length: 200", b"x" * 200, "more than 100 B"),
        (b"Content-Length: 999999999999", b"x" * 200, "more than 100 B"),
        (b"Content-Length: 9", b"abc", "closed the connection early"),
        (b"Content-Encoding: gzip\r\nContent-Length: 3", b"abc", "packed"),
    ],
)
def test_texts_are_bounded_and_whole(header, body, says):
    with pytest.raises(OriginFailure) as caught:
        text(OK + header + b"\r\n\r\n" + body)
    assert says in caught.value.failure.message
