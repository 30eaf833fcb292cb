"""Requests over a connection that is open already, which are asked with less effort."""

import gc
import socket
import ssl
import struct
import threading
import weakref
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raydl.model.remote import Access
from raydl.origin import Origin, OriginFailure
from raydl.origin.httpsession import _PLAIN
from tests.origin.rawserver import serving

GOOD = b"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-1/2\r\nContent-Length: 2\r\n\r\n"
FIRST = GOOD + b"ab"


@contextmanager
def server(*connections, tls=None):
    """Answers the requests of each connection with what is listed for it, then closes it; the
    requests are kept. What is called instead gets the socket."""
    asked = [[] for _ in connections]

    def serve(listening):
        for answers, seen in zip(connections, asked, strict=True):
            try:
                link, _ = listening.accept()
            except OSError:
                return
            if tls is not None:
                link = tls.wrap_socket(link, server_side=True)
            with link:
                for answer in answers:
                    request = b""
                    while b"\r\n\r\n" not in request and (more := link.recv(65536)):
                        request += more
                    seen.append(request)
                    if callable(answer):
                        answer(link)
                    else:
                        link.sendall(answer)

    with serving(serve) as host:
        yield f"http{'' if tls is None else 's'}://{host}", asked


class Reader:
    """Reads small files, one after the other."""

    def __init__(self, access=Access(), timeout=10.0):  # noqa: B008
        self.origin = Origin(access, timeout)
        self.close = self.origin.close

    def __call__(self, url):
        into = memoryview(bytearray(64))
        remote, count = self.origin.read_small(url, into)
        return remote, bytes(into[:count])


def fields(request):
    lines = request.split(b"\r\n")
    return lines[0], sorted(line.lower() for line in lines[1:] if line)


def test_they_say_the_same_as_the_first_one():
    access = Access(headers=(("X-Key", "k"), ("accept", "text/x")))
    with server([FIRST] * 3) as (url, asked), closing(Reader(access)) as read:
        for path in ("/a?b=%2Fc&d", "/a?b=%2Fc&d", "/a%20b"):
            assert read(url + path)[1] == b"ab"
    first, second, third = map(fields, asked[0])
    assert first == second
    assert third == (b"GET /a%20b HTTP/1.1", first[1])
    assert {b"x-key: k", b"accept: text/x", b"range: bytes=0-63"} <= set(first[1])


CHARACTERS = st.text("aZ09-._~!$&'()*+,;=:@/?#%[]{}|\\ \"<>^`é\t", max_size=12)
ESCAPES = st.builds("%{:02X}".format, st.integers(0, 255)) | st.just("%2f")


@settings(max_examples=2000)
@given(st.lists(CHARACTERS | ESCAPES, max_size=6).map("".join))
@example("/a/../b")
@example("/.")
@example("/%7E")
@example("/%2E%2E/")
@example("//b")
def test_what_is_sent_as_it_is_is_what_requests_would_send(rest):
    url = "http://h:8000/" + rest
    if (found := _PLAIN.fullmatch(url)) is None:
        return
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    assert (request.url, request.path_url) == (url, found[2])


def test_most_urls_are_sent_as_they_are():
    for url in (
        "https://h/models/a-b_c/resolve/main/model-00001-of-00002.safetensors?download=true",
        "https://b.s3.amazonaws.com/a%20b/k?X-Amz-Credential=AK%2F20261127&X-Amz-Signature=0f",
        "http://127.0.0.1:80/",
    ):
        assert _PLAIN.fullmatch(url) is not None
    for url in ("http://h", "http://u@h/", "http://h/#f", "http://h/a/./b", "http://h/ä"):
        assert _PLAIN.fullmatch(url) is None


def silent(link):
    link.settimeout(10)
    link.recv(1)


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (GOOD + b"a", "broken"),
        (b"HTTP/1.1 206 OK\r\nConte", "broken"),
        (b"HTTP/1.1 206 OK\r\nContent-Range : bytes 0-1/2\r\n\r\n", "wrong"),
        (b"what?\r\n\r\n", "broken"),
        (silent, "timeout"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status"),
    ],
)
def test_what_fails_says_where_and_how(second, kind):
    with server([FIRST, second], [FIRST]) as (url, _), closing(Reader(timeout=1.0)) as read:
        read(f"{url}/f")
        with pytest.raises(OriginFailure) as caught:
            read(f"{url}/f")
        assert caught.value.failure.kind == kind
        host = url.removeprefix("http://")
        assert host in caught.value.failure.message or "the origin" in caught.value.failure.message
        assert read(f"{url}/f")[1] == b"ab"


@pytest.mark.parametrize(
    "first",
    [
        FIRST,
        FIRST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        FIRST.replace(b"HTTP/1.1", b"HTTP/1.0"),
        FIRST + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ],
)
def test_a_connection_that_is_over_is_not_asked(first):
    """Nor one over which more came than was asked for."""
    with server([first], [FIRST]) as (url, asked), closing(Reader()) as read:
        for _ in range(2):
            assert read(f"{url}/f")[1] == b"ab"
    assert list(map(len, asked)) == [1, 1]


def reset(link):
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("end", [reset, lambda link: None])
def test_one_that_ends_without_an_answer_was_over(end):
    """RFC 9110, section 9.2.2: what is idempotent may be asked again. But once."""
    with server([FIRST, end], [FIRST, end], [end]) as (url, asked), closing(Reader()) as read:
        assert read(f"{url}/f")[1] == b"ab"
        assert read(f"{url}/f")[1] == b"ab"
        with pytest.raises(OriginFailure, match="broken"):
            read(f"{url}/f")
    assert list(map(len, asked)) == [2, 2, 1]


@pytest.mark.parametrize(
    "empty",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 416 No\r\nContent-Range: bytes */0\r\nContent-Length: 0\r\n\r\n",
        GOOD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"2\r\nab\r\n0\r\n\r\n",
    ],
)
def test_after_an_empty_body_or_chunks_the_connection_goes_on(empty):
    with server([FIRST, empty, FIRST, FIRST]) as (url, asked), closing(Reader()) as read:
        for _ in range(4):
            read(f"{url}/f")
    assert len(asked[0]) == 4


def test_a_body_that_is_left_ends_its_connection():
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(100)
    with server([FIRST, large], [FIRST]) as (url, asked), closing(Reader()) as read:
        assert read(f"{url}/f")[1] == b"ab"
        assert read(f"{url}/f")[0].size == 100
        assert read(f"{url}/f")[1] == b"ab"
    assert list(map(len, asked)) == [2, 1]


def test_cookies_that_come_later_are_shown():
    cookie = FIRST.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n")
    with server([FIRST, cookie, FIRST]) as (url, asked), closing(Reader()) as read:
        for _ in range(3):
            remote, _ = read(f"{url}/f")
    assert [b"Cookie: a=b" in request for request in asked[0]] == [False, False, True]
    assert ("Cookie", "a=b") in remote.access.headers


def test_a_proxy_is_asked_each_time(monkeypatch):
    with server([FIRST, FIRST]) as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with closing(Reader()) as read:
            for _ in range(2):
                read("http://far.invalid/f")
    assert [request.split()[1] for request in asked[0]] == [b"http://far.invalid/f"] * 2


def test_it_can_be_cut_off():
    asked, cut = threading.Event(), threading.Event()

    def wait(link):
        asked.set()
        cut.wait(10)

    with server([FIRST, wait]) as (url, _), closing(Reader()) as read:
        read(f"{url}/f")
        thread = threading.Thread(target=lambda: asked.wait(10) and read.origin.abort())
        thread.start()
        with pytest.raises(OriginFailure) as caught:
            read(f"{url}/f")
        cut.set()
        thread.join(10)
    assert caught.value.failure.kind == "cancelled"


def open_sockets(read):
    transport = read.origin._requester._session.transport
    return [opened for opened in transport._sockets if opened.fileno() >= 0]


@pytest.mark.parametrize("times", [1, 2])
def test_none_is_open_once_it_is_closed(times):
    with server([FIRST] * times + [silent]) as (url, asked):
        read = Reader()
        for _ in range(times):
            read(f"{url}/f")
        (opened,) = open_sockets(read)
        read.close()
        assert opened.fileno() == -1
    assert asked[0][times:] == [b""]


def test_it_is_forgotten_once_it_is_closed():
    with server([FIRST] * 2) as (url, _):
        read = Reader()
        for _ in range(2):
            read(f"{url}/f")
        known = weakref.ref(read.origin._requester._session.transport)
        read.close()
        del read
        gc.collect()
        assert known() is None


def test_hosts_that_were_asked_before_have_no_connections_for_ever():
    with ExitStack() as stack:
        urls = [stack.enter_context(server([FIRST, FIRST]))[0] for _ in range(40)]
        read = stack.enter_context(closing(Reader()))
        for url in urls:
            read(f"{url}/f")
            read(f"{url}/f")
        gc.collect()
        assert len(open_sockets(read)) <= 20


@pytest.mark.parametrize("field", [b"Transfer-Encoding: chunked", b"Content-Length: 10", b"X: y"])
def test_an_answer_without_a_body_ends_with_its_header(field):
    """RFC 9112, section 6.3: whatever its fields say."""
    none = b"HTTP/1.1 304 Not Modified\r\n" + field + b"\r\n\r\n"
    with server([FIRST, none, FIRST]) as (url, asked), closing(Reader(timeout=1.0)) as read:
        assert read(f"{url}/f")[1] == b"ab"
        known, into = {"If-None-Match": '"e"'}, memoryview(bytearray(64))
        assert read.origin.read_small(f"{url}/f", into, known) == (None, 0)
        assert read(f"{url}/f")[1] == b"ab"
    assert len(asked[0]) == 3


@pytest.mark.parametrize("body", [b"", b"go"])
def test_after_a_redirect_the_connection_goes_on(body):
    there = b"HTTP/1.1 302 Found\r\nLocation: /f\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with server([there, FIRST] * 2) as (url, asked), closing(Reader()) as read:
        for _ in range(2):
            assert read(f"{url}/r")[1] == b"ab"
    assert len(asked[0]) == 4


def notified(link):
    with suppress(OSError):  # who closes need not say so, too
        link.unwrap()


@pytest.mark.parametrize("end", [reset, lambda link: None, notified])
def test_so_is_one_with_tls(certificates, end):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    access = Access(ca=(certificates / "ca.pem").read_text())
    with (
        server([FIRST, FIRST, end], [FIRST, end], [FIRST], tls=tls) as (url, asked),
        closing(Reader(access)) as read,
    ):
        for _ in range(4):
            assert read(f"{url}/f")[1] == b"ab"
    assert list(map(len, asked)) == [3, 2, 1]
