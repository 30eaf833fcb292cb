"""Against other real servers than nginx: lighttpd, squid as a proxy, httpbin."""

import string
import tempfile
from pathlib import Path

import pytest

import raydl
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.servers import find, free_port, python, running

DATA = random_bytes(3_000_000)


@pytest.fixture(scope="module")
def lighttpd(tmp_path_factory):
    program, folder, port = find("lighttpd"), tmp_path_factory.mktemp("lighttpd"), free_port()
    (folder / "file.bin").write_bytes(DATA)
    (folder / "empty.bin").write_bytes(b"")
    config = folder / "lighttpd.conf"
    config.write_text(
        f"""
        server.document-root = "{folder}"
        server.bind = "127.0.0.1"
        server.port = {port}
        server.modules = ("mod_setenv")
        server.max-keep-alive-requests = 3
        $HTTP["url"] =~ "^/plain" {{ server.range-requests = "disable" }}
        mimetype.assign = ("" => "application/octet-stream")
        """
    )
    (folder / "plain.bin").write_bytes(DATA)
    with running([program, "-D", "-f", str(config)], port, folder / "log"):
        yield f"http://127.0.0.1:{port}"


class TestLighttpd:
    """It closes a connection after three requests here."""

    @pytest.mark.parametrize("name", ["file.bin", "plain.bin"])
    def test_the_same_bytes(self, lighttpd, in_tmp, name):
        report = raydl.fetch(f"{lighttpd}/{name}", part_size=100_000, **ALONE)
        assert (in_tmp / name).read_bytes() == DATA
        assert report.retries == 0

    def test_an_empty_file(self, lighttpd, in_tmp):
        raydl.fetch(f"{lighttpd}/empty.bin", **ALONE)
        assert (in_tmp / "empty.bin").read_bytes() == b""

    def test_not_there(self, lighttpd, in_tmp):
        with pytest.raises(raydl.HttpError, match="404"):
            raydl.fetch(f"{lighttpd}/nowhere", **ALONE)


@pytest.fixture(scope="module")
def squid():
    """In a directory of its own where anyone may write: squid does not stay root."""
    program, port = find("squid"), free_port()
    with tempfile.TemporaryDirectory(prefix="rdl") as temp:
        yield from run_squid(program, Path(temp), port)


def run_squid(program, folder, port):
    folder.chmod(0o777)
    config = folder / "squid.conf"
    config.write_text(
        f"""
        http_port 127.0.0.1:{port}
        http_access allow localhost
        cache deny all
        pid_filename none
        access_log stdio:{folder}/access
        cache_log {folder}/log
        coredump_dir {folder}
        shutdown_lifetime 0 seconds
        """
    )
    folder.joinpath("access").touch()
    folder.joinpath("access").chmod(0o666)
    with running([program, "-N", "-f", str(config)], port, folder / "output"):
        yield f"127.0.0.1:{port}", folder / "access"


def test_squid(squid, origin, in_tmp):
    proxy, log = squid
    report = raydl.fetch(origin.url(), proxy=proxy, parts=6, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert report.parts == 6
    assert log.read_text().count("GET") == len(origin.parts) > 0


def test_squid_and_an_origin_that_is_not_there(squid, in_tmp):
    with pytest.raises(raydl.HttpError, match=r"50[34]"):
        raydl.fetch(f"http://127.0.0.1:{free_port()}/file.bin", proxy=squid[0], retries=0, **ALONE)


@pytest.fixture(scope="module")
def httpbin(tmp_path_factory):
    pytest.importorskip("httpbin", exc_type=ImportError)
    port = free_port()
    serve = (
        "from werkzeug.serving import make_server; from httpbin import app; "
        f"make_server('127.0.0.1', {port}, app, threaded=True).serve_forever()"
    )
    with running(python(serve), port, tmp_path_factory.mktemp("httpbin") / "log"):
        yield f"http://127.0.0.1:{port}"


class TestHttpbin:
    ALPHABET = string.ascii_lowercase.encode()

    def test_range(self, httpbin, in_tmp):
        report = raydl.fetch(f"{httpbin}/range/100000", "out", parts=5, **ALONE)
        assert (in_tmp / "out").read_bytes() == (self.ALPHABET * 4000)[:100_000]
        assert report.parts == 5

    def test_redirects(self, httpbin, in_tmp):
        url = f"{httpbin}/redirect-to?url={httpbin}/range/1000"
        raydl.fetch(url, "out", parts=3, **ALONE)
        assert (in_tmp / "out").read_bytes() == (self.ALPHABET * 40)[:1000]
        raydl.fetch(f"{httpbin}/redirect/3", "hops", **ALONE)
        assert b'"url"' in (in_tmp / "hops").read_bytes()

    @pytest.mark.parametrize("code", [401, 404, 410, 418])
    def test_statuses(self, httpbin, in_tmp, code):
        with pytest.raises(raydl.HttpError, match=str(code)):
            raydl.fetch(f"{httpbin}/status/{code}", "out", **ALONE)

    def test_a_drip(self, httpbin, in_tmp):
        raydl.fetch(f"{httpbin}/drip?numbytes=2000&duration=0.5&delay=0", "out", **ALONE)
        assert (in_tmp / "out").read_bytes() == b"*" * 2000

    def test_no_length(self, httpbin, in_tmp):
        raydl.fetch(f"{httpbin}/stream-bytes/50000?seed=1", "out", **ALONE)
        assert (in_tmp / "out").stat().st_size == 50_000
