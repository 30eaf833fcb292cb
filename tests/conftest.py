"""What many tests share."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

import raydl
from raydl.download.machines import machines
from tests.rayhome import ray_home
from tests.scripted import Origin

for _number in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:  # as a shell's `&` hands it down
        signal.signal(_number, signal.SIG_DFL)

RAYDL = [sys.executable, "-m", "raydl"]


def random_bytes(count: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(count)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration and no cluster of this machine leaks into a test."""
    for name in list(os.environ):
        if name.startswith(("RAYDL_", "RAY_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "no-ray"))
    monkeypatch.setenv("HOME", str(tmp_path / "no-home"))


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory, and a place for Ray, that are the test's own."""
    with ray_home(monkeypatch) as home:
        yield home


@pytest.fixture
def origin() -> Iterator[Origin]:
    """An origin with 1 MB and a bit of random bytes."""
    with Origin(random_bytes(1_000_003)) as origin:
        yield origin


@pytest.fixture
def make_origin() -> Iterator[Callable[..., Origin]]:
    opened: list[Origin] = []

    def make(data: bytes, **kwargs: object) -> Origin:
        origin = Origin(data, **kwargs)  # type: ignore[arg-type]
        opened.append(origin.__enter__())
        return origin

    yield make
    for origin in opened:
        origin.__exit__(None, None, None)


def threads_end(before: Collection[threading.Thread] = ()) -> bool:
    """Whether every thread of raydl but those ends by itself."""
    left = [t for t in threading.enumerate() if t not in before and t.name.startswith("raydl")]
    for thread in left:
        thread.join(5)
    return not any(t.is_alive() for t in left)


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Every thread that a test starts has ended when it is over."""
    before = set(threading.enumerate())
    yield
    raydl.disconnect()
    assert threads_end(before)


@pytest.fixture(autouse=True)
def nothing_learned() -> None:
    """What another test's origin bore says nothing of one that has its port now."""
    machines.scheduler._origins.forget(math.inf)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and what it signed for a server and a client at 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    # As strict as Python 3.13 wants certificates to be.
    authority = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl(
        "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", *authority
    )
    extensions = "subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n"
    (folder / "extensions").write_text(extensions)
    for name in ("server", "client"):
        request = [*curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"]
        openssl("req", *request)
        by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *by)
    return folder


def run_raydl(
    *args: str, cwd: Path, env: dict[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """The command line, as a process of its own."""
    return subprocess.run(
        [*RAYDL, *args],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )


class NodesHere:
    """Ray nodes on this machine, apart from any other Ray."""

    def __init__(self, count: int, temp: str, **head: object) -> None:
        from ray.cluster_utils import Cluster

        self.temp = temp
        self.node = {
            "num_cpus": 1,
            "object_store_memory": 128 << 20,
            "include_dashboard": False,
            # Else the first head takes Ray's usual one, and no other can run Ray Jobs.
            "dashboard_agent_listen_port": 0,
        }
        self.cluster = Cluster(initialize_head=True, head_node_args={**self.node, **head})
        self.workers = [self.add() for _ in range(count - 1)]
        self.cluster.wait_for_nodes()
        self.address: str = self.cluster.address

    def add(self, **changes: object) -> object:
        return self.cluster.add_node(wait=False, **{**self.node, **changes})


@pytest.fixture(scope="session")
def two_nodes() -> Iterator[NodesHere]:
    """A head and a worker node that tests share and leave as they are."""
    yield from _nodes(2)


@pytest.fixture
def warm(
    make_origin: Callable[..., Origin], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[NodesHere], NodesHere]:
    """Has the workers of nodes started: on a busy machine those that a test's download starts may
    come too late to fetch any of it."""

    def start(nodes: NodesHere) -> NodesHere:
        url, path = make_origin(b"warm").url(), tmp_path_factory.mktemp("warm") / "f"
        raydl.fetch(url, path, address=nodes.address, fetch_here=False, progress="none")
        return nodes

    return start


@pytest.fixture
def warm_nodes(two_nodes: NodesHere, warm: Callable[[NodesHere], NodesHere]) -> NodesHere:
    """A head and a worker node that tests share, whose worker is there already."""
    return warm(two_nodes)


@pytest.fixture
def own_nodes() -> Iterator[Callable[..., NodesHere]]:
    """A cluster that a test may damage."""
    running: list[Iterator[NodesHere]] = []

    def start(count: int, **head: object) -> NodesHere:
        generator = _nodes(count, **head)
        running.append(generator)
        return next(generator)

    yield start
    for generator in running:
        next(generator, None)


def _nodes(count: int, **head: object) -> Iterator[NodesHere]:
    # A short path: Ray puts sockets into it, and their names may have 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="rdl", ignore_cleanup_errors=True) as temp,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in list(os.environ):
            if name.startswith("RAY_"):
                patch.delenv(name)
        patch.setenv("RAY_TMPDIR", temp)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        nodes = NodesHere(count, temp, **head)
        try:
            yield nodes
        finally:
            raydl.disconnect()
            nodes.cluster.shutdown()
