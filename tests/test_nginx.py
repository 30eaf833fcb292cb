"""Against a real server: nginx, started here on a port of its own."""

import hashlib
import os
import shutil
import socket
import subprocess
import time

import pytest

import raydl
from tests.conftest import random_bytes

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  types {{ text/plain txt; }}
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
    location /no-ranges/ {{ alias {folder}/www/; max_ranges 0; }}
    location /capped/ {{ alias {folder}/www/; limit_rate 2m; }}
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
    location /gzip/ {{ alias {folder}/www/; gzip on; gzip_min_length 1; }}
    location /private/ {{
      alias {folder}/www/; auth_basic "x"; auth_basic_user_file {folder}/users;
    }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    if NGINX is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "www").mkdir()
    folder.chmod(0o755)
    (folder / "www" / "file.bin").write_bytes(random_bytes(5_000_000))
    (folder / "www" / "empty.bin").write_bytes(b"")
    (folder / "www" / "text.txt").write_bytes(b"hello " * 50_000)
    (folder / "users").write_text("anna:{PLAIN}s3cret\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port))
    command = [NGINX, "-p", str(folder), "-c", str(config), "-e", str(folder / "error")]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None, (folder / "error").read_text()
            assert time.monotonic() < deadline
    yield f"http://127.0.0.1:{port}", folder / "www"
    process.terminate()
    process.wait(10)


@pytest.mark.parametrize("where", ["", "no-ranges/", "capped/", "moved/"])
def test_the_same_bytes(nginx, in_tmp, where):
    base, www = nginx
    data = (www / "file.bin").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    report = raydl.fetch(
        f"{base}/{where}file.bin",
        address="none",
        parts=6,
        checksum=f"sha256:{digest}",
        progress="none",
    )
    assert (in_tmp / "file.bin").read_bytes() == data
    assert report.parts == (1 if where == "no-ranges/" else 6)


def test_an_empty_file(nginx, in_tmp):
    raydl.fetch(f"{nginx[0]}/empty.bin", address="none", progress="none")
    assert (in_tmp / "empty.bin").read_bytes() == b""


def test_nothing_is_compressed_on_the_way(nginx, in_tmp):
    raydl.fetch(f"{nginx[0]}/gzip/text.txt", address="none", progress="none")
    assert (in_tmp / "text.txt").read_bytes() == b"hello " * 50_000


def test_a_password(nginx, in_tmp):
    base, www = nginx
    with pytest.raises(raydl.HttpError, match=r"401.*wants credentials"):
        raydl.fetch(f"{base}/private/file.bin", address="none", progress="none")
    url = base.replace("http://", "http://anna:s3cret@") + "/private/file.bin"
    raydl.fetch(url, address="none", progress="none")
    assert (in_tmp / "file.bin").read_bytes() == (www / "file.bin").read_bytes()


def test_a_file_that_is_replaced_meanwhile(nginx, in_tmp):
    base, www = nginx
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
        raydl.fetch(f"{nginx[0]}/nowhere", address="none", progress="none")
