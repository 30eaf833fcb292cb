"""The origin, answer by answer: right bytes, a fallback, or a failure that says what is wrong."""

import contextlib
import socket
import ssl
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from raydl.model.errors import UsageError
from raydl.model.remote import Access, Source
from raydl.origin import USER_AGENT, Origin, OriginFailure
from raydl.origin.headers import (
    content_coding,
    content_length,
    last_modified,
    parse_content_range,
    parse_retry_after,
    strong_etag,
    wait_asked,
)
from raydl.origin.userinfo import split_auth
from tests import scripted
from tests.scripted import anything, changed, cut_off, get, head, redirect, status

TIMEOUT = 5.0


def probe(url, timeout=TIMEOUT, **kwargs):
    with closing(Origin(Access(), timeout)) as client:
        return client.probe(split_auth(url)[0], **kwargs)


def read(origin, start, stop, *, timeout=TIMEOUT, **changes):
    """The bytes read and the failure."""
    fields = {"url": origin.url(), "size": len(origin.data), "etag": '"v1"', "last_modified": None}
    source = Source(**{**fields, **changes}, timeout=timeout)
    buffer = bytearray(stop - start)
    counted = []
    with closing(Origin(Access(), timeout)) as client:
        got, failure = client.read_part(source, start, stop, memoryview(buffer), counted.append)
    assert sum(counted) == got or failure.kind == "wrong"
    assert bytes(buffer[:got]) == origin.data[start : start + got]
    return got, failure


class TestProbe:
    def test_a_good_origin_answers_with_one_request(self, origin):
        remote = probe(origin.url("/dir/file.bin?x=1"))
        assert (remote.size, remote.ranges, remote.etag) == (1_000_003, True, '"v1"')
        assert remote.name == "file.bin"
        assert [seen.method for seen in origin.requests] == ["HEAD"]
        assert origin.requests[0].headers["user-agent"] == USER_AGENT
        assert origin.requests[0].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("code", [403, 404, 405, 500, 501])
    def test_head_refused(self, origin, code):
        origin.on(status(code), when=head)
        remote = probe(origin.url())
        assert (remote.size, remote.ranges) == (1_000_003, True)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Length": None, "Transfer-Encoding": "chunked"},
            {"Content-Length": "0"},
            {"Accept-Ranges": None},
            {"Content-Encoding": "gzip"},
        ],
    )
    def test_head_silent_or_doubtful(self, origin, headers):
        origin.on(changed(headers=headers), when=head)
        remote = probe(origin.url())
        assert (remote.size, remote.ranges) == (1_000_003, True)
        assert origin.requests[1].range == (0, 0)

    def test_head_not_trusted(self, origin):
        origin.on(changed(headers={"Content-Length": "5"}), when=head)
        assert probe(origin.url()).size == 5
        assert probe(origin.url(), how="byte").size == 1_000_003

    def test_no_ranges(self, make_origin):
        origin = make_origin(b"abc", ranges=False)
        remote = probe(origin.url())
        assert (remote.size, remote.ranges) == (3, False)
        assert remote.why_no_ranges == "the origin ignores byte ranges"

    def test_no_length(self, origin):
        origin.on(scripted.chunked, None, anything)
        remote = probe(origin.url())
        assert (remote.size, remote.ranges) == (None, False)
        assert "does not tell the size" in remote.why_no_ranges

    @pytest.mark.parametrize("ranges", [True, False])
    def test_an_empty_file(self, make_origin, ranges):
        remote = probe(make_origin(b"", ranges=ranges).url())
        assert remote.size == 0

    def test_one_byte(self, make_origin):
        assert probe(make_origin(b"x").url()).size == 1

    def test_total_unknown(self, origin):
        origin.on(status(405), None, head)
        origin.on(changed(headers={"Content-Range": "bytes 0-0/*"}), when=get)
        remote = probe(origin.url())
        assert (remote.size, remote.ranges) == (None, False)

    def test_a_206_about_other_bytes(self, origin):
        origin.on(status(405), None, head)
        origin.on(scripted.shift, when=get)
        with pytest.raises(OriginFailure) as caught:
            probe(origin.url())
        assert caught.value.failure.kind == "wrong"

    def test_416_for_a_file_that_is_not_empty(self, origin):
        origin.on(status(405), None, head)
        origin.on(status(416), when=lambda seen: seen.range == (0, 0))
        remote = probe(origin.url())
        assert (remote.size, remote.ranges) == (1_000_003, False)

    @pytest.mark.parametrize("code", [401, 403, 404, 410, 500])
    def test_error_statuses(self, origin, code):
        origin.on(status(code), None, anything)
        with pytest.raises(OriginFailure) as caught:
            probe(origin.url())
        assert caught.value.failure.status == code
        assert f"127.0.0.1:{origin.port} answered {code}" in caught.value.failure.message

    def test_a_weak_etag_proves_nothing(self, make_origin):
        date = "Mon, 01 Jan 2024 00:00:00 GMT"
        remote = probe(make_origin(b"x", headers={"ETag": 'W/"1"', "Last-Modified": date}).url())
        assert (remote.etag, remote.weak_etag) == (None, '"1"')
        assert remote.validator == date

    @pytest.mark.parametrize(
        ("age", "validator"), [(0, False), (59, False), (61, True), (-3600, False)]
    )
    def test_a_date_proves_something_once_it_is_a_minute_old(self, make_origin, age, validator):
        """RFC 9110, section 8.8.2.2."""
        date = format_datetime(datetime.now(timezone.utc) - timedelta(seconds=age), usegmt=True)
        remote = probe(make_origin(b"x", headers={"Last-Modified": date}).url())
        assert remote.validator == (date if validator else None)
        assert remote.weak_date == (None if validator else date)
        assert remote.to_dict()["last_modified"] == date

    def test_an_empty_etag_is_none(self, make_origin):
        remote = probe(make_origin(b"x", headers={"ETag": '""'}).url())
        assert (remote.etag, remote.weak_etag, remote.validator) == (None, None, None)

    def test_a_file_that_lies_packed(self, origin):
        """As Apache serves a .tar.gz: the coding is a part of the file."""
        origin.headers["Content-Encoding"] = "x-gzip"
        remote = probe(origin.url())
        assert (remote.size, remote.ranges, remote.coding) == (1_000_003, True, "x-gzip")

    def test_what_is_packed_on_its_way_is_not_the_file(self, origin):
        origin.headers["Content-Encoding"] = "gzip"
        origin.on(scripted.chunked, None, anything)
        assert probe(origin.url()).coding == ""

    def test_a_name_without_an_end_is_not_looked_at(self, origin):
        """Parsing it took the square of its length: minutes."""
        origin.headers["Content-Disposition"] = "attachment; " + 'filename="x";' * 5000
        began = time.monotonic()
        assert probe(origin.url(), timeout=60).name == "file.bin"
        assert time.monotonic() - began < 5

    def test_redirects(self, origin):
        origin.on(redirect("/two"), when=lambda s: s.path == "/one", times=None)
        origin.on(redirect("./three.bin"), when=lambda s: s.path == "/two", times=None)
        remote = probe(origin.url("/one"))
        assert remote.final_url == origin.url("/three.bin")
        assert remote.name == "three.bin"

    def test_a_redirect_loop(self, origin):
        origin.on(redirect("/file.bin"), None, anything)
        with pytest.raises(OriginFailure) as caught:
            probe(origin.url())
        assert caught.value.failure.message.endswith("in circles: it may want a login or a cookie")

    def test_credentials_go_to_the_origin_they_were_given_for_alone(self, make_origin):
        first, second = make_origin(b"x"), make_origin(b"yy")
        first.on(redirect(second.url()), None, anything)
        with closing(Origin(Access((("Authorization", "Basic x"),)), TIMEOUT)) as client:
            remote = client.probe(first.url())
        assert remote.size == 2
        assert remote.access.headers == ()
        assert first.requests[0].headers["authorization"] == "Basic x"
        assert all("authorization" not in seen.headers for seen in second.requests)

    def test_netrc_is_not_read(self, origin, tmp_path, monkeypatch):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login anna password hunter2\n")
        monkeypatch.setenv("NETRC", str(netrc))
        probe(origin.url())
        assert "authorization" not in origin.requests[0].headers


class TestProbeCannotConnect:
    def test_refused(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
            with pytest.raises(OriginFailure) as caught:
                probe(f"http://127.0.0.1:{port}/secret?token=hunter2")
        assert caught.value.failure.kind == "connect"
        assert caught.value.failure.message == f"127.0.0.1:{port} refuses the connection"

    def test_a_name_that_does_not_exist(self):
        with pytest.raises(OriginFailure) as caught:
            probe("http://no-such-host.invalid/x")
        assert caught.value.failure.message == (
            "the name of no-such-host.invalid cannot be resolved"
        )

    def test_nothing_answers(self):
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            pytest.raises(OriginFailure) as caught,
        ):
            probe(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.2)
        assert caught.value.failure.kind == "timeout"
        assert "sent nothing for 0.2s" in caught.value.failure.message

    def test_what_answers_is_no_http(self):
        with socket.create_server(("127.0.0.1", 0)) as server:

            def answer():
                link, _ = server.accept()
                with link:
                    link.sendall(b"220 ftp ready\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            with pytest.raises(OriginFailure) as caught:
                probe(f"http://127.0.0.1:{server.getsockname()[1]}/")
            thread.join()
        assert caught.value.failure.kind == "broken"


@pytest.mark.parametrize(
    "url",
    ["", "example.org/x", "ftp://h/x", "http://", "http:///x", "http://h:99999/", "https://[::1/x"],
)
def test_what_is_no_url(url):
    with pytest.raises(UsageError):
        split_auth(url)


def test_userinfo_is_taken_out_of_the_url():
    assert split_auth("https://an%40na:p%3Aw@h:1/x?q#f") == ("https://h:1/x?q", ("an@na", "p:w"))
    assert split_auth("https://h") == ("https://h/", None)


class TestReadPart:
    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 1), (0, 1_000_003), (77, 700_000), (1_000_002, 1_000_003)]
    )
    def test_right_bytes(self, origin, start, stop):
        assert read(origin, start, stop) == (stop - start, None)

    def test_the_connection_is_kept(self, origin):
        ports = set()
        origin.on(lambda h, s: bool(ports.add(h.client_address[1])), None)
        source = Source(origin.url(), len(origin.data), '"v1"', None)
        buffer = memoryview(bytearray(1000))
        with closing(Origin(Access(), TIMEOUT)) as client:
            for start in (0, 5000, 9000):
                assert client.read_part(source, start, start + 1000, buffer, id) == (1000, None)
        assert len(ports) == 1

    def test_a_200_with_everything_for_everything(self, make_origin):
        origin = make_origin(b"abcdef")
        origin.on(scripted.ignore_range)
        assert read(origin, 0, 6) == (6, None)

    @pytest.mark.parametrize(
        ("behaviour", "kind", "says"),
        [
            (scripted.ignore_range, "no-range", "status 200"),
            (scripted.shift, "wrong", "asked for bytes 100 to 199, the origin sent 101 to 200"),
            (changed(headers={"ETag": '"v2"'}), "changed", 'was "v1" and is "v2"'),
            (changed(headers={"ETag": None}), "changed", "is None"),
            (changed(headers={"ETag": 'W/"v1"'}), "changed", "is None"),
            (changed(headers={"Content-Range": "bytes 100-199/1000004"}), "changed", "1000004"),
            (changed(headers={"Content-Range": "bytes 100-199/*"}), "changed", "None bytes"),
            (changed(headers={"Content-Range": "bytes 100-200/1000003"}), "wrong", "100 to 200"),
            (changed(headers={"Content-Range": None}), "wrong", "which part"),
            (changed(headers={"Content-Range": "bits 1-2/3"}), "wrong", "which part"),
            (changed(headers={"Content-Length": "101"}), "wrong", "101 bytes for a range of 100"),
            (changed(headers={"Content-Encoding": "gzip"}), "wrong", "gzip coding"),
            (
                changed(status=200, headers={"Content-Range": "bytes 100-199/1000003"}),
                "no-range",
                "200",
            ),
            (
                changed(
                    headers={
                        "Content-Type": "multipart/byteranges; boundary=x",
                        "Content-Range": None,
                    }
                ),
                "wrong",
                "which part",
            ),
            (status(416), "changed", "shorter"),
            (status(404), "status", "answered 404"),
            (status(503, Retry_After="7"), "status", "answered 503"),
        ],
    )
    def test_wrong_answers(self, origin, behaviour, kind, says):
        origin.on(behaviour)
        got, failure = read(origin, 100, 200)
        assert got == 0
        assert failure.kind == kind
        assert says in failure.message

    def test_retry_after_is_passed_on(self, origin):
        origin.on(status(429, Retry_After="7"))
        assert read(origin, 0, 10)[1].retry_after == 7

    def test_last_modified_counts_where_there_is_no_etag(self, make_origin):
        origin = make_origin(b"abcdef", headers={"Last-Modified": "now"})
        assert read(origin, 0, 3, etag=None, last_modified="now") == (3, None)
        assert read(origin, 0, 3, etag=None, last_modified="then")[1].kind == "changed"

    @pytest.mark.parametrize(
        ("before", "headers", "says"),
        [
            ({"weak_etag": '"a"'}, {"ETag": 'W/"a"'}, None),
            ({"weak_etag": '"a"'}, {"ETag": '"a"'}, None),
            ({"weak_etag": '"a"'}, {"ETag": 'W/"b"'}, 'was "a" and is "b"'),
            ({"weak_etag": '"a"'}, {"ETag": None}, "is None"),
            ({"weak_date": "now"}, {"Last-Modified": "now"}, None),
            ({"weak_date": "now"}, {"Last-Modified": "later"}, "is later"),
            ({"last_modified": "then"}, {"Last-Modified": "now"}, "is now"),
            ({}, {"Content-Type": "text/html; charset=x"}, "a web page"),
            ({"media_type": "text/html"}, {"Content-Type": "text/html"}, None),
            ({"etag": '"v1"'}, {"Content-Type": "text/html"}, None),
        ],
    )
    def test_what_proves_nothing_may_show_a_change(self, origin, before, headers, says):
        origin.on(changed(headers=headers))
        got, failure = read(origin, 0, 10, **{"etag": None, **before})
        assert (failure is None) == (says is None)
        if failure is not None:
            assert (got, failure.kind) == (0, "changed")
            assert says in failure.message

    def test_a_coding_that_was_seen_before(self, origin):
        origin.on(changed(headers={"Content-Encoding": "gzip"}))
        assert read(origin, 0, 10, coding="gzip") == (10, None)
        assert read(origin, 0, 10, coding="gzip")[1].kind == "wrong"

    def test_less_than_asked_is_no_failure(self, origin):
        origin.on(scripted.shorter(10))
        assert read(origin, 100, 200) == (10, None)

    @pytest.mark.parametrize("reset", [False, True])
    def test_what_a_broken_connection_brought_counts(self, origin, reset):
        origin.on(cut_off(500_000, reset=reset))
        got, failure = read(origin, 0, 900_000)
        assert failure.kind == "broken"
        assert got <= 500_000
        if not reset:
            assert got == 500_000

    def test_a_stall_ends_with_the_timeout(self, origin):
        origin.on(scripted.stall(1000))
        got, failure = read(origin, 0, 5000, timeout=0.2)
        assert failure.kind == "timeout"
        assert got <= 1000

    def test_multipart(self, origin):
        """What an origin may send for several ranges, though one was asked for."""

        def multipart(handler, seen):
            body = b"--x\r\nContent-Range: bytes 0-9/1000003\r\n\r\n0123456789\r\n--x--\r\n"
            kind = {"Content-Type": "multipart/byteranges; boundary=x"}
            handler.start(206, {**origin.headers, **kind, "Content-Length": str(len(body))})
            handler.wfile.write(body)
            return True

        origin.on(multipart)
        got, failure = read(origin, 0, 10)
        assert (got, failure.kind) == (0, "wrong")

    @pytest.mark.parametrize("orderly", [True, False])
    def test_tls_cut_off(self, origin, certificates, orderly):
        """With close_notify or without: a body without its end counts for what came."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        origin.server.socket = server.wrap_socket(origin.server.socket, server_side=True)
        access = Access(ca=(certificates / "ca.pem").read_text())

        def cut(handler, seen):
            scripted.begin(handler, seen, 500)
            handler.wfile.flush()
            if orderly:
                with contextlib.suppress(OSError):
                    handler.connection.unwrap()
            else:
                socket.socket.shutdown(handler.connection, socket.SHUT_RDWR)
            handler.close_connection = True
            return True

        origin.on(cut, None)
        url = origin.url().replace("http://", "https://")
        source = Source(url, len(origin.data), '"v1"', None, access=access, timeout=5.0)
        with contextlib.closing(Origin(access, 5.0)) as client:
            got, failure = client.read_part(source, 0, 1000, memoryview(bytearray(1000)), id)
        assert got <= 500
        assert failure.kind == "broken"

    def test_more_than_was_said(self, origin):
        def endless(handler, seen):
            handler.start(
                206,
                {**origin.headers, "Content-Range": "bytes 0-9/1000003", "Connection": "close"},
            )
            handler.wfile.write(origin.data[:11])
            handler.close_connection = True
            return True

        origin.on(endless)
        assert read(origin, 0, 10)[1].kind == "wrong"

    def test_chunked_parts(self, origin):
        def in_chunks(handler, seen):
            handler.start(
                206,
                {
                    **origin.headers,
                    "Content-Range": "bytes 0-9/1000003",
                    "Transfer-Encoding": "chunked",
                },
            )
            handler.wfile.write(b"a\r\n" + origin.data[:10] + b"\r\n0\r\n\r\n")
            return True

        origin.on(in_chunks)
        assert read(origin, 0, 10) == (10, None)

    @pytest.mark.parametrize("silent", ["before", "within", "closing"])
    def test_abort_wakes_who_waits(self, origin, silent):
        """For the answer, for its bytes, for those of a connection that will be closed."""
        entered = threading.Event()

        def stall(handler, seen):
            if silent == "closing":
                origin.headers["Connection"] = "close"
            if silent != "before":
                scripted.begin(handler, seen, 10)
                handler.wfile.flush()
            entered.set()
            handler.origin.release.wait(60)
            handler.close_connection = True
            return True

        origin.on(stall)
        source = Source(origin.url(), len(origin.data), '"v1"', None)
        client = Origin(Access(), 60.0)
        result = []

        def work():
            result.append(client.read_part(source, 0, 1000, memoryview(bytearray(1000)), id))

        thread = threading.Thread(target=work)
        thread.start()
        assert entered.wait(10)
        client.abort()
        thread.join(10)
        assert not thread.is_alive()
        assert result[0][1].kind == "cancelled"
        assert client.read_part(source, 0, 1, memoryview(bytearray(1)), id)[1].kind == "cancelled"

    def test_abort_before_the_connection_is_there(self, origin, monkeypatch):
        """What another thread cannot see yet is cut as soon as it is there."""
        client = Origin(Access(), 5.0)
        origin.on(scripted.stall())
        connect = urllib3.util.connection.create_connection

        def slow(*args, **kwargs):
            client.abort()
            return connect(*args, **kwargs)

        monkeypatch.setattr("urllib3.util.connection.create_connection", slow)
        source = Source(origin.url(), len(origin.data), '"v1"', None)
        assert client.read_part(source, 0, 9, memoryview(bytearray(9)), id)[1].kind == "cancelled"


class TestReadWhole:
    def whole(self, origin, size, timeout=TIMEOUT, **changes):
        chunks = []
        buffer = bytearray(70_000)
        source = Source(origin.url(), size, changes.get("etag", '"v1"'), None, timeout=timeout)
        with closing(Origin(Access(), timeout)) as client:
            failure = client.read_whole(
                source, lambda: memoryview(buffer), lambda n: chunks.append(bytes(buffer[:n]))
            )
        return b"".join(chunks), failure

    def test_known_length(self, make_origin):
        origin = make_origin(b"ab" * 100_000, ranges=False)
        assert self.whole(origin, 200_000) == (origin.data, None)

    @pytest.mark.parametrize("behaviour", [scripted.chunked, scripted.until_close])
    def test_unknown_length(self, origin, behaviour):
        origin.on(behaviour, None, get)
        assert self.whole(origin, None, etag=None) == (origin.data, None)

    def test_cut_off(self, origin):
        origin.on(cut_off(100_000), when=get)
        data, failure = self.whole(origin, len(origin.data))
        assert failure.kind == "broken"
        assert data == origin.data[: len(data)]

    def test_chunks_cut_off(self, origin):
        def broken_chunks(handler, seen):
            handler.start(200, {"Transfer-Encoding": "chunked"})
            handler.wfile.write(b"ff\r\n" + b"x" * 10)
            handler.close_connection = True
            return True

        origin.on(broken_chunks, when=get)
        assert self.whole(origin, None, etag=None)[1].kind == "broken"

    def test_another_length_or_version(self, origin):
        assert self.whole(origin, 5)[1].kind == "changed"
        assert self.whole(origin, len(origin.data), etag='"v0"')[1].kind == "changed"


@given(st.text(max_size=40))
def test_no_content_range_is_believed_by_accident(text):
    parsed = parse_content_range(text)
    if parsed is not None:
        first, last, total = parsed
        assert (first is None) == (last is None)
        assert first is not None or total is not None


@given(st.integers(0, 10**17), st.integers(0, 10**17), st.integers(0, 10**17))
def test_content_range_roundtrip(first, last, total):
    parsed = parse_content_range(f"bytes {first}-{last}/{total}")
    assert parsed == ((first, last, total) if first <= last < total else None)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("bytes */10", (None, None, 10)),
        ("Bytes 0-1/*", (0, 1, None)),
        ("bytes */*", None),
        ("bytes 0-1", None),
        ("bytes=0-1/5", None),
        ("bytes 0-1/5, bytes 3-4/5", None),
        ("bytes ٣-٤/9", None),
        (None, None),
    ],
)
def test_content_ranges(text, parsed):
    assert parse_content_range(text) == parsed


@given(st.text(max_size=40))
def test_retry_after_never_fails(text):
    seconds = parse_retry_after(text)
    assert seconds is None or seconds >= 0


def test_retry_after():
    soon = datetime.now(timezone.utc) + timedelta(seconds=60)
    assert parse_retry_after("120") == 120
    assert parse_retry_after(format_datetime(soon, usegmt=True)) == pytest.approx(60, abs=3)
    assert parse_retry_after("Mon, 01 Jan 2001 00:00:00 GMT") == 0
    assert parse_retry_after("soon") is None
    assert parse_retry_after(None) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7", "RateLimit-Reset": "9"}, 7),
        ({"RateLimit": '"default";r=0;t=30'}, 30),
        ({"RateLimit": '"burst";r=0;t=3, "day";r=0;t=60, "month";r=5;t=900'}, 60),
        ({"RateLimit": '"day";r=5;t=60'}, None),
        ({"RateLimit": "limit=100, remaining=0, reset=12"}, 12),
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "5"}, 5),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "5"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000000001"}, 0),
        ({"X-Rate-Limit-Reset": "8"}, 8),
        ({"RateLimit-Reset": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_an_origin_asks_to_wait(headers, seconds):
    assert wait_asked(headers) == seconds
    later = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 100)}
    assert wait_asked(later) == pytest.approx(100, abs=5)


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Retry-After", "RateLimit", "RateLimit-Reset", "X-RateLimit-Remaining", "ETag",
            "X-RateLimit-Reset", "Content-Encoding", "Content-Length", "Last-Modified",
        ]
    ),
    st.one_of(
        st.text(max_size=30),
        st.text("0123456789 ,;=rtbytes-/*\"remaining", max_size=30),
    ),
)  # fmt: skip


@given(HEADERS)
def test_no_header_breaks_a_parser(headers):
    wait = wait_asked(headers)
    assert wait is None or 0 <= wait < 1e12
    length = content_length(headers)
    assert length is None or length >= 0
    etag = strong_etag(headers.get("ETag"))
    assert etag is None or (etag[0] == etag[-1] == '"' and not etag.startswith("W/"))
    assert content_coding(headers).isprintable()
    date = last_modified(headers)
    assert date is None or date.isprintable()


def test_small_headers():
    assert strong_etag('"x"') == '"x"'
    assert strong_etag('W/"x"') is None
    assert strong_etag("x") is None
    assert content_length({"Content-Length": "5"}) == 5
    assert content_length({"Content-Length": "+5"}) is None
    assert content_length({"Content-Length": "5", "Transfer-Encoding": "chunked"}) is None
    assert content_coding({"Content-Encoding": "Identity"}) == ""
    assert content_coding({"Content-Encoding": "BR"}) == "br"
