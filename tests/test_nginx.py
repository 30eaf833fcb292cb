"""Against a real server: nginx, started here on a port of its own."""

import base64
import hashlib
import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import raydl
from raydl.model import backoff
from tests import servers
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import anything, status
from tests.servers import free_port

HTTP = """
  types {{ text/plain txt; }}
  limit_conn_zone $binary_remote_addr zone=address:1m;
  limit_req_zone $binary_remote_addr zone=requests:1m rate=50r/s;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
    location /no-ranges/ {{ alias {folder}/www/; max_ranges 0; }}
    location /capped/ {{ alias {folder}/www/; limit_rate 2m; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
    location /gzip/ {{ alias {folder}/www/; gzip on; gzip_min_length 1; }}
    location /three/ {{ alias {folder}/www/; limit_conn address 3; limit_rate 4m; }}
    location /seldom/ {{
      alias {folder}/www/; limit_req zone=requests burst=4 nodelay; limit_req_status 429;
    }}
    location /signed/ {{
      secure_link $arg_sum,$arg_until; secure_link_md5 "$secure_link_expires hush";
      if ($secure_link != "1") {{ return 403; }}
      alias {folder}/www/; limit_rate 1m;
    }}
    location /private/ {{
      alias {folder}/www/; auth_basic "x"; auth_basic_user_file {folder}/users;
    }}
  }}
  server {{
    listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {certificates}/server.pem; ssl_certificate_key {certificates}/server.key;
    root {folder}/www;
  }}
"""


class Nginx(NamedTuple):
    base: str
    secure: str
    www: Path


@pytest.fixture(scope="module")
def nginx(tmp_path_factory, certificates):
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "www").mkdir()
    folder.chmod(0o755)
    (folder / "www" / "file.bin").write_bytes(random_bytes(5_000_000))
    (folder / "www" / "empty.bin").write_bytes(b"")
    (folder / "www" / "text.txt").write_bytes(b"hello " * 50_000)
    (folder / "users").write_text("anna:{PLAIN}s3cret\n")
    tls_port = free_port()
    with servers.nginx(folder, HTTP, tls_port=tls_port, certificates=certificates) as port:
        yield Nginx(f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}", folder / "www")


@pytest.mark.parametrize("where", ["", "no-ranges/", "capped/", "moved/"])
def test_the_same_bytes(nginx, in_tmp, where):
    base, www = nginx.base, nginx.www
    data = (www / "file.bin").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    report = raydl.fetch(
        f"{base}/{where}file.bin",
        parts=6,
        checksum=f"sha256:{digest}",
        **ALONE,
    )
    assert (in_tmp / "file.bin").read_bytes() == data
    assert report.parts == (1 if where == "no-ranges/" else 6)


def test_an_empty_file(nginx, in_tmp):
    raydl.fetch(f"{nginx.base}/empty.bin", address="none", progress="none")
    assert (in_tmp / "empty.bin").read_bytes() == b""


def test_nothing_is_compressed_on_the_way(nginx, in_tmp):
    raydl.fetch(f"{nginx.base}/gzip/text.txt", address="none", progress="none")
    assert (in_tmp / "text.txt").read_bytes() == b"hello " * 50_000


def test_a_password(nginx, in_tmp):
    base, www = nginx.base, nginx.www
    with pytest.raises(raydl.HttpError, match=r"401.*wants credentials"):
        raydl.fetch(f"{base}/private/file.bin", address="none", progress="none")
    url = base.replace("http://", "http://anna:s3cret@") + "/private/file.bin"
    raydl.fetch(url, address="none", progress="none")
    assert (in_tmp / "file.bin").read_bytes() == (www / "file.bin").read_bytes()


def test_a_file_that_is_replaced_meanwhile(nginx, in_tmp):
    base, www = nginx.base, nginx.www
    name = "changing.bin"
    (www / name).write_bytes(random_bytes(4_000_000, 1))
    new = random_bytes(4_000_000, 2)
    replaced = False
    for event in raydl.events(
        f"{base}/capped/{name}", address="none", part_size=100_000, connections=1
    ):
        if type(event).__name__ == "PartWritten" and not replaced:
            replaced = True
            (www / "new").write_bytes(new)
            os.utime(www / "new", (1, 1))
            (www / "new").replace(www / name)
    assert (in_tmp / name).read_bytes() == new


def test_not_there(nginx, in_tmp):
    with pytest.raises(raydl.HttpError, match="404"):
        raydl.fetch(f"{nginx.base}/nowhere", address="none", progress="none")


@pytest.mark.parametrize("connections", [None, 12])
def test_more_connections_than_it_takes_are_refused_and_learned(
    nginx, in_tmp, monkeypatch, connections
):
    """limit_conn answers 503 to the fourth; --connections 12 asks for more all the same."""
    monkeypatch.setattr(backoff, "FIRST", 0.05)
    report = raydl.fetch(
        f"{nginx.base}/three/file.bin", part_size=100_000, connections=connections, **ALONE
    )
    assert (in_tmp / "file.bin").read_bytes() == (nginx.www / "file.bin").read_bytes()
    assert report.retries < report.parts


def test_fewer_requests_a_second_than_it_could(nginx, in_tmp, monkeypatch):
    """limit_req answers 429."""
    monkeypatch.setattr(backoff, "FIRST", 0.05)
    raydl.fetch(f"{nginx.base}/seldom/file.bin", part_size=100_000, connections=8, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == (nginx.www / "file.bin").read_bytes()


def test_signed_urls_that_expire_half_way(nginx, make_origin, in_tmp):
    signed = []

    def sign(handler, seen):
        until = int(time.time()) + 2
        digest = hashlib.md5(f"{until} hush".encode()).digest()
        text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        signed.append(f"{nginx.base}/signed/file.bin?sum={text}&until={until}")
        return status(302, Location=signed[-1])(handler, seen)

    front = make_origin(b"")
    front.on(sign, None, anything)
    raydl.fetch(front.url(), part_size=200_000, connections=1, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == (nginx.www / "file.bin").read_bytes()
    assert 2 <= len(set(signed)) == len(signed) <= 4


def test_tls(nginx, certificates, in_tmp):
    url = f"{nginx.secure}/file.bin"
    raydl.fetch(url, cacert=str(certificates / "ca.pem"), parts=6, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == (nginx.www / "file.bin").read_bytes()
