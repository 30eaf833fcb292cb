"""Real servers, started here on ports of their own; a test whose server is missing is skipped."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def find(program: str) -> str:
    """Where it is; skips the test where it is not."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """The server, from when it listens on ``port``; ``log`` is where it says why it does not."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text(errors="replace")
                assert time.monotonic() < deadline, log.read_text(errors="replace")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  %s
}}
"""


@contextmanager
def nginx(folder: Path, http: str, **values: object) -> Iterator[int]:
    """Its port. ``http`` is what stands in that block of its configuration, with ``{folder}``,
    ``{port}`` and ``values`` filled in; a brace is written twice."""
    program, port = find("nginx"), free_port()
    config = folder / "nginx.conf"
    config.write_text((NGINX % http).format(folder=folder, port=port, **values))
    command = [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error")]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]
    with running(command, port, folder / "output"):
        yield port


def python(code: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-c", code]
