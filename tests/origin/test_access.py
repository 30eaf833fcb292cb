"""Credentials and trust: which wins, who gets them, and that nobody else ever sees them."""

import base64
import http.server
import json
import os
import ssl
import threading
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import raydl
from raydl.model.errors import HttpError, NetworkError, UsageError
from raydl.model.remote import Access
from raydl.origin.access import access_of
from raydl.settings.options import Options
from tests.conftest import random_bytes, run_raydl
from tests.download.test_download import ALONE
from tests.scripted import anything, redirect, secured, status

URL = "https://example.org/file"


def headers(url=URL, auth=None, environ=None, told=None, **options):
    notes = [] if told is None else told
    access, _ = access_of(url, auth, Options.of(options), notes.append, environ or {})
    return dict(access.headers)


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def netrc(tmp_path):
    path = tmp_path / "netrc"
    path.write_text("machine example.org login anna password hunter2\n")
    path.chmod(0o600)
    return path


def test_nothing_is_sent_without_being_asked():
    assert headers() == {}
    assert Options().header == ()


def test_what_is_said_most_plainly_counts(netrc):
    environ = {"TOKEN": "t0k", "HF_TOKEN": "hf_x"}
    all_of_them = {"netrc": str(netrc), "bearer_env": "TOKEN", "user": "bob:pw"}
    everything = {**all_of_them, "header": "authorization: Own x"}
    for gone, expected in (
        ("", "Own x"), ("header", basic("url", "pw")), ("", basic("url", "pw")),
    ):  # fmt: skip
        everything.pop(gone, None)
        found = headers(auth=("url", "pw"), environ=environ, **everything)
        assert {k.lower(): v for k, v in found.items()} == {"authorization": expected}
    assert headers(environ=environ, **all_of_them)["Authorization"] == basic("bob", "pw")
    del all_of_them["user"]
    assert headers(environ=environ, **all_of_them)["Authorization"] == "Bearer t0k"
    del all_of_them["bearer_env"]
    assert headers(environ=environ, **all_of_them)["Authorization"] == basic("anna", "hunter2")


class TestHeaders:
    @pytest.mark.parametrize(
        "given",
        [
            "X-One: 1\nX-Two: a: b",
            ["X-One: 1", "X-Two:a: b"],
            {"X-One": "1", "X-Two": "a: b"},
            (("X-One", "1"), ("X-Two", "a: b")),
        ],
    )
    def test_forms(self, given):
        assert Options.of({"header": given}).header == (("X-One", "1"), ("X-Two", "a: b"))

    def test_a_file(self, tmp_path):
        path = tmp_path / "headers"
        path.write_text("X-One: 1\n\nX-Two: 2\n")
        assert len(Options.of({"header": [f"@{path}", "X-Three: 3"]}).header) == 3
        with pytest.raises(UsageError, match="cannot be read"):
            Options.of({"header": "@/nowhere"})

    def test_a_file_names_no_further_files(self, tmp_path):
        path = tmp_path / "headers"
        path.write_text(f"X-One: 1\n@{path}\n")
        with pytest.raises(UsageError, match="a header"):
            Options.of({"header": f"@{path}"})

    @pytest.mark.parametrize(
        "line",
        ["hunter2", "X y: hunter2", "X: hunter2\x00", "X: hunter2\u20ac", "Range: hunter2"],
    )
    def test_bad_ones_are_refused_without_their_value(self, line):
        with pytest.raises(UsageError, match="header") as caught:
            Options.of({"header": [line]})
        assert "hunter2" not in str(caught.value)


class TestNetrc:
    def test_others_may_not_read_it(self, netrc):
        netrc.chmod(0o640)
        told = []
        assert headers(netrc=str(netrc), told=told) == {}
        assert "chmod 600" in told[0]
        told = []
        assert headers("https://elsewhere.org/", netrc=str(netrc), told=told) == {}
        assert not told

    def test_for_other_hosts_and_none(self, netrc):
        assert headers("https://elsewhere.org/", netrc=str(netrc)) == {}
        assert headers(netrc="none") == {}

    def test_missing_or_broken(self, netrc, tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            headers(netrc=str(tmp_path / "nowhere"))
        netrc.write_text("machine example.org nonsense hunter2")
        with pytest.raises(UsageError, match="line 1") as caught:
            headers(netrc=str(netrc))
        assert "hunter2" not in str(caught.value)


class TestTokens:
    def test_a_variable(self):
        assert headers(bearer_env="T", environ={"T": " abc\n"})["Authorization"] == "Bearer abc"
        with pytest.raises(UsageError, match="NOT_THERE is not set"):
            headers(bearer_env="NOT_THERE")
        with pytest.raises(UsageError, match="characters"):
            headers(bearer_env="T", environ={"T": "hun\u00e4ter"})

    def test_hugging_face(self, tmp_path):
        model = "https://huggingface.co/a/b/resolve/main/c"
        assert headers(model, environ={"HF_TOKEN": "hf_1"})["Authorization"] == "Bearer hf_1"
        assert headers(URL, environ={"HF_TOKEN": "hf_1"}) == {}
        assert headers(model.replace("https", "http"), environ={"HF_TOKEN": "hf_1"}) == {}
        (tmp_path / "token").write_text("hf_2\n")
        assert headers(model, environ={"HF_HOME": str(tmp_path)})["Authorization"] == "Bearer hf_2"
        off = {"HF_TOKEN": "hf_1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
        assert headers(model, environ=off) == {}


def test_nothing_of_it_is_in_a_repr(netrc):
    access, _ = access_of(
        URL,
        ("anna", "hunter1"),
        Options.of({"header": "X-Key: hunter2", "proxy": "http://a:hunter3@p:1"}),
        print,
    )
    options = Options.of({"user": "bob:hunter4", "header": "X: hunter5", "proxy": "a:hunter6@p:1"})
    assert "hunter" not in repr(access) + repr(options)


@pytest.fixture
def two(make_origin):
    """An origin that redirects to another, which has the file."""
    first, second = make_origin(b""), make_origin(random_bytes(300_000))
    first.on(redirect(second.url()), None, anything)
    return first, second


def test_private_headers_stay_with_their_host(two, in_tmp):
    first, second = two
    options = {"header": ["X-Key: hunter2", "Accept-Language: fr"], "user": "anna:hunter3"}
    raydl.fetch(first.url(), part_size=100_000, **options, **ALONE)
    assert first.requests[0].headers["x-key"] == "hunter2"
    assert first.requests[0].headers["authorization"] == basic("anna", "hunter3")
    assert len(second.parts) >= 3
    for seen in second.requests:
        assert "hunter" not in str(seen.headers)
        assert "authorization" not in seen.headers
        assert seen.headers["accept-language"] == "fr"


def test_unless_the_origin_is_trusted(two, in_tmp):
    first, second = two
    raydl.fetch(first.url(), header="X-Key: 1", user="a:b", location_trusted=True, **ALONE)
    for seen in second.requests:
        assert seen.headers["x-key"] == "1"
        assert seen.headers["authorization"] == basic("a", "b")


def test_they_follow_a_redirect_within_their_host(origin, in_tmp):
    origin.on(redirect("/elsewhere"), 1, anything)
    raydl.fetch(origin.url(), header=["X-Key: 1", "Cookie: a=b"], **ALONE)
    assert len(origin.parts) >= 1
    for seen in origin.requests:
        assert (seen.headers["x-key"], seen.headers["cookie"]) == ("1", "a=b")


def test_cookies(two, in_tmp, tmp_path):
    first, second = two
    jar = tmp_path / "cookies.txt"
    jar.write_text(
        "# Netscape HTTP Cookie File\n"
        "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\thunter2\n"
        "example.org\tFALSE\t/\tFALSE\t0\tother\thunter3\n"
    )
    raydl.fetch(first.url(), cookies=str(jar), **ALONE)
    assert second.parts
    for seen in [*first.requests, *second.requests]:  # cookies do not tell ports apart
        assert seen.headers["cookie"] == "session=hunter2"
    jar.write_text("{}")
    with pytest.raises(UsageError, match="no cookie file"):
        raydl.fetch(first.url(), cookies=str(jar), **ALONE)


def test_cookies_that_come_with_a_redirect(origin, in_tmp):
    origin.on(status(302, Location="/elsewhere", Set_Cookie="ticket=1; Path=/"), 1, anything)
    raydl.fetch(origin.url(), **ALONE)
    assert {seen.headers.get("cookie") for seen in origin.parts} == {"ticket=1"}


def test_user_agent(origin, in_tmp):
    raydl.fetch(origin.url(), user_agent="mine/1", **ALONE)
    assert {seen.headers["user-agent"] for seen in origin.requests} == {"mine/1"}


def test_wrong_credentials(origin, in_tmp):
    origin.on(status(401), None, anything)
    with pytest.raises(HttpError, match="credentials are wrong"):
        raydl.fetch(origin.url(), user="a:b", **ALONE)
    with pytest.raises(HttpError, match="wants credentials"):
        raydl.fetch(origin.url(), **ALONE)


@pytest.mark.cluster
def test_secrets_are_nowhere_after_a_run_that_failed(two_nodes, make_origin, tmp_path):
    """Not in what is said, nor in files, nor where Ray and the system show processes."""
    origin = make_origin(random_bytes(3_000_000))
    origin.on(status(403), None, lambda seen: seen.is_part and seen.range[0] > 2_000_000)
    secret = "hunter" + os.urandom(8).hex()
    header = tmp_path / "header"
    header.write_text(f"X-Key: {secret}")
    folder = tmp_path / "here"
    folder.mkdir()
    done = run_raydl(
        "fetch", origin.url(f"/file.bin?sig={secret}"), "-H", f"@{header}", "--no-fetch-here",
        "--address", two_nodes.address, "--progress", "json", "--part-size", "100000",
        cwd=folder,
        env={"RAY_AUTH_MODE": "disabled", "RAYDL_USER": f"anna:{secret}"},
    )  # fmt: skip
    assert done.returncode == 4
    assert any(seen.headers.get("x-key") == secret for seen in origin.parts)
    basic_secret = basic("anna", secret).split()[1]
    seen = done.stdout + done.stderr
    for path in folder.rglob("*"):
        seen += path.read_bytes().decode("latin-1") if path.suffix == ".journal" else path.name
    for path in Path(two_nodes.temp).rglob("*"):
        if path.is_file():
            seen += path.read_bytes().decode("latin-1")
    assert "NodeWorker" in seen  # Ray's logs are among what was searched
    assert secret not in seen
    assert basic_secret not in seen


def test_the_command_line(origin, tmp_path):
    done = run_raydl(
        "fetch", origin.url(), "-H", "X-One: 1", "-H", "X-Two: 2", "--output-dir", "deep",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 8
    (tmp_path / "deep").mkdir()
    done = run_raydl(
        "fetch", origin.url(), "-H", "X-One: 1", "-H", "X-Two: 2", "--output-dir", "deep",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "deep" / "file.bin").read_bytes() == origin.data
    assert origin.requests[0].headers["x-one"] == "1"
    assert origin.requests[0].headers["x-two"] == "2"
    done = run_raydl("probe", origin.url(), "--user", "anna:pw", "--json", cwd=tmp_path)
    assert json.loads(done.stdout)["size"] == len(origin.data)
    assert origin.requests[-1].headers["authorization"] == basic("anna", "pw")
    done = run_raydl(
        "config", cwd=tmp_path, env={"RAYDL_USER": "anna:hunter2", "RAYDL_HEADER": "X: hunter3"}
    )
    assert "RAYDL_USER" in done.stdout
    assert "hunter" not in done.stdout


@pytest.fixture
def tls(make_origin, certificates):
    """An origin that speaks TLS."""
    return secured(make_origin(random_bytes(400_000)), certificates)


def secure(origin):
    return origin.url().replace("http://", "https://")


class TestTls:
    def test_an_authority_of_our_own(self, tls, certificates, in_tmp):
        with pytest.raises(NetworkError, match="not trusted"):
            raydl.fetch(secure(tls), **ALONE)
        raydl.fetch(secure(tls), cacert=str(certificates / "ca.pem"), **ALONE)
        assert (in_tmp / "file.bin").read_bytes() == tls.data

    def test_unchecked(self, tls, in_tmp):
        events = []
        raydl.fetch(secure(tls), insecure=True, on_event=events.append, **ALONE)
        assert (in_tmp / "file.bin").read_bytes() == tls.data
        assert any("certificates are not checked" in str(event) for event in events)

    def test_a_certificate_of_our_own(self, tls, certificates, in_tmp):
        tls.server.tls.verify_mode = ssl.CERT_REQUIRED
        trust = {"cacert": str(certificates / "ca.pem")}
        with pytest.raises(NetworkError):
            raydl.fetch(secure(tls), retries=0, **trust, **ALONE)
        own = {"cert": str(certificates / "client.pem"), "key": str(certificates / "client.key")}
        raydl.fetch(secure(tls), **trust, **own, **ALONE)
        assert (in_tmp / "file.bin").read_bytes() == tls.data

    @pytest.mark.cluster
    def test_on_a_node(self, two_nodes, tls, certificates, in_tmp):
        """Certificates travel with the call: the nodes have no such files."""
        tls.server.tls.verify_mode = ssl.CERT_REQUIRED
        files = {
            "cacert": str(certificates / "ca.pem"),
            "cert": str(certificates / "client.pem"),
            "key": str(certificates / "client.key"),
        }
        where = {**ALONE, "address": two_nodes.address, "fetch_here": False}
        report = raydl.fetch(secure(tls), **files, **where)
        assert [share.bytes for share in report.nodes] == [len(tls.data)]

    def test_files_that_are_wrong(self, certificates, in_tmp):
        key, pem = str(certificates / "ca.key"), str(certificates / "client.pem")
        for options, says in (
            ({"cacert": "nowhere"}, "cannot be read"),
            ({"cacert": key}, "holds no certificates"),
            ({"cert": pem, "key": key}, "do not fit"),
            ({"key": key}, "without a certificate"),
        ):
            with pytest.raises(UsageError, match=says):
                headers(**options)


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes plain requests on."""

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        connection = http.client.HTTPConnection(urlsplit(self.path).netloc)
        connection.request(self.command, urlsplit(self.path).path, headers=dict(self.headers))
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("date", "server"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.read())
        connection.close()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture
def proxy():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class TestProxy:
    def test_by_flag(self, origin, proxy, in_tmp):
        raydl.fetch(origin.url(), proxy=f"anna:pw@127.0.0.1:{proxy.server_port}", **ALONE)
        assert (in_tmp / "file.bin").read_bytes() == origin.data
        assert len(proxy.asked) == len(origin.requests)
        assert proxy.asked[0][1]["Proxy-Authorization"] == basic("anna", "pw")

    def test_by_the_environment(self, origin, proxy, in_tmp, monkeypatch):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        raydl.fetch(origin.url(), **ALONE)
        assert proxy.asked
        proxy.asked.clear()
        raydl.fetch(origin.url(), proxy="none", overwrite=True, **ALONE)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        raydl.fetch(origin.url(), overwrite=True, **ALONE)
        assert not proxy.asked

    @pytest.mark.parametrize("bypassed", ["127.0.0.1", "localhost"])
    def test_each_url_on_the_way_is_judged_by_itself(
        self, make_origin, proxy, in_tmp, monkeypatch, bypassed
    ):
        """Neither does the first host's NO_PROXY hold for the second, nor the other way round."""
        first, second = make_origin(b""), make_origin(random_bytes(1000))
        there = second.url().replace("127.0.0.1", "localhost")
        first.on(redirect(there), None, anything)
        monkeypatch.setenv("no_proxy", bypassed)
        raydl.fetch(first.url(), proxy=f"127.0.0.1:{proxy.server_port}", **ALONE)
        hosts = {urlsplit(url).hostname for url, _ in proxy.asked}
        assert hosts == {"127.0.0.1", "localhost"} - {bypassed}

    def test_none_is_there(self, origin, in_tmp):
        with pytest.raises(NetworkError) as caught:
            raydl.fetch(origin.url(), proxy="anna:hunter2@127.0.0.1:1", retries=0, **ALONE)
        assert caught.value.message == "the proxy 127.0.0.1:1 cannot be reached"
        assert caught.value.hint == "check --proxy, or http_proxy and https_proxy"

    def test_the_environment_names_none_that_is_there(self, origin, in_tmp, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://anna:hunter2@127.0.0.1:1")
        with pytest.raises(
            NetworkError, match=r"^the proxy 127\.0\.0\.1:1 cannot be reached; check"
        ):
            raydl.fetch(origin.url(), retries=0, **ALONE)

    @pytest.mark.parametrize("value", ["p:1", "http://p", "https://p:1", "a:b@[::1]:1", "none"])
    def test_forms_of_a_proxy(self, value):
        assert Options.of({"proxy": value}).proxy in (value, f"http://{value}")

    @pytest.mark.skipif(find_spec("socks") is not None, reason="the library is there")
    def test_one_that_needs_a_library(self):
        with pytest.raises(UsageError, match="SOCKS proxy needs a library"):
            Options.of({"proxy": "socks5h://p:1"})

    @pytest.mark.parametrize(
        "value", ["", "foo", "h:", "h:0", "ftp://x", "http://", "http://h:x", "http://a b:1"]
    )
    def test_no_proxy_at_all(self, value):
        with pytest.raises(UsageError, match="proxy"):
            Options.of({"proxy": value})


def test_access_is_data():
    assert Access() == Access()
    assert hash(Access((("a", "b"),))) == hash(Access((("a", "b"),)))
