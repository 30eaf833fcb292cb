"""What raydl leaves of a connection to Ray: no secrets, and room for the next ray.init."""

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import raydl
from raydl.cluster.address import ClusterChoice
from raydl.cluster.opening import open_connection
from raydl.cluster.process import PROCESS
from raydl.cluster.session import connect
from raydl.model.errors import CancelledError
from raydl.model.remote import Access, Source
from raydl.workers.worker import NodeWorker
from tests.cluster.test_session import outcome, worker_node
from tests.conftest import random_bytes, run_raydl

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

PIECES = "f3a9c", "0ffee"


@pytest.fixture
def choice(two_nodes):
    raydl.disconnect()
    yield ClusterChoice("cluster", two_nodes.address, "")
    raydl.disconnect()


@pytest.fixture
def session(choice):
    session = connect(choice)
    yield session
    session.close()


@pytest.fixture
def secret():
    return "".join(PIECES)


def run_python(code, *args, **env):
    """What that code prints, as a program of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **env}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_command_line_is_not_in_the_job_table(two_nodes, choice, secret, origin, tmp_path):
    import ray

    done = run_raydl(
        "fetch", origin.url(f"/file.bin?sig={secret}"), "--user", f"me:{secret}",
        "-H", f"X-Key: {secret}", "--address", two_nodes.address, "--no-fetch-here",
        cwd=tmp_path, env={"RAY_AUTH_MODE": "disabled"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    session = connect(choice)
    jobs = ray._private.state.jobs()
    session.close()
    assert len(jobs) >= 2
    assert secret not in str(jobs)
    entrypoints = {job["Entrypoint"] for job in jobs}  # of tests that used Ray themselves, too
    assert "raydl" in entrypoints
    assert not [entrypoint for entrypoint in entrypoints if "fetch" in entrypoint]
    files = [path for path in Path(two_nodes.temp).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_a_user_of_ray_keeps_the_entrypoint(choice):
    from ray._private import utils

    before = utils.get_entrypoint_name
    connect(choice).close()
    assert utils.get_entrypoint_name is before


def holders_of(first, last):
    """What in this process refers to texts with that in them; in pieces, not to find itself."""
    gc.collect()
    found = []
    for holder in gc.get_objects():
        seen = gc.get_referents(holder)
        for text in seen:
            if isinstance(text, tuple) and not gc.is_tracked(text):  # it is not listed itself
                seen.extend(text)
            elif isinstance(text, str | bytes) and first + last in str(text):
                found.append(f"{type(holder).__name__}: {holder!r:.200}")
    return found


def test_a_worker_that_rests_has_no_credentials(session, secret, origin):
    import ray

    actor, _ = session.hire(worker_node(session), NodeWorker)
    access = Access(headers=(("Authorization", f"Bearer {secret}"),), proxy="none")
    url = f"{origin.url()}?sig={secret}"
    source = Source(url, len(origin.data), '"v1"', None, access, timeout=10.0).pack()
    (got, _, failure), _ = outcome(lambda done: actor.fetch(source, 1, 0, 100_000, done))
    assert (got, failure) == (100_000, None)

    look = ray.cloudpickle.loads(ray.cloudpickle.dumps(holders_of))
    ask = actor._handle.__ray_call__.remote
    assert ray.get(ask(lambda worker: look(*PIECES)))
    session.dismiss(worker_node(session), actor)
    end = time.monotonic() + 10  # the two calls may overtake each other
    while found := ray.get(ask(lambda worker: look(*PIECES))):
        assert time.monotonic() < end, found


@pytest.fixture
def gate(monkeypatch, make_origin):
    """A download that has its last byte only when Ray connects, beside a Ray that waits."""

    class Gate:
        def __init__(self):
            self.connecting, self.may_connect = threading.Event(), threading.Event()
            self.origin = make_origin(random_bytes(1_000_000))
            self.origin.on(self.wait, None)

        def wait(self, handler, seen):
            if seen.is_part:
                self.connecting.wait(30)
            return False

        def open(self, *args):
            self.connecting.set()
            self.may_connect.wait(30)
            open_connection(*args)

        def fetch(self, address):
            raydl.fetch(self.origin.url(), "out", address=address, progress="none")

    gate = Gate()
    monkeypatch.setattr("raydl.download.transfer.JOIN_AT_ONCE", 0)
    monkeypatch.setattr("raydl.cluster.connection.open_connection", gate.open)
    return gate


def can_init(address):
    import ray

    ray.init(address, log_to_driver=False, configure_logging=False)
    try:
        return ray.get(ray.remote(lambda: True).remote())
    finally:
        ray.shutdown()


def test_init_works_after_a_download_that_used_no_cluster(choice, gate, in_tmp):
    over = threading.Thread(target=lambda: until_there(in_tmp / "out") or gate.may_connect.set())
    over.start()
    gate.fetch(choice.address)
    over.join()
    assert can_init(choice.address)


def until_there(path):
    while not path.exists():
        time.sleep(0.001)


def test_disconnect_waits_for_a_connection_that_is_being_made(choice, gate, in_tmp, monkeypatch):
    monkeypatch.setattr("raydl.workers.fleet.CLOSE_SECONDS", 0.01)
    gate.fetch(choice.address)
    disconnecting = threading.Thread(target=raydl.disconnect)
    disconnecting.start()
    gate.may_connect.set()
    disconnecting.join(30)
    assert can_init(choice.address)


def test_what_nobody_wants_is_not_connected_to(choice, gate):
    import ray

    with pytest.raises(CancelledError):
        connect(choice, lambda: False)
    assert not gate.connecting.is_set()
    gate.may_connect.set()
    with pytest.raises(CancelledError):
        connect(choice, lambda: not gate.connecting.is_set())
    assert not ray.is_initialized()


def test_what_is_not_worth_keeping_is_ended_at_once(choice):
    import ray

    first, second = connect(choice), connect(choice)
    first.close(keep=False)
    assert ray.is_initialized()
    second.close()
    assert ray.is_initialized()
    connect(choice).close(keep=False)
    assert not ray.is_initialized()


def test_a_warm_connection_stays_warm_when_another_download_is_over_too_early(choice):
    connect(choice).close()
    with pytest.raises(CancelledError):
        connect(choice, lambda: False)
    assert PROCESS.is_waiting
    raydl.disconnect()
    assert not PROCESS.is_waiting


FETCH = """
import sys, raydl
told = []
raydl.fetch(
    sys.argv[1], "out", address="local", progress="none", part_size=50_000, connections=2,
    on_event=lambda event: told.append(str(event)),
)
assert any("connected to" in line for line in told), told
raydl.disconnect()
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
print(ray.get(ray.remote(lambda: "fine").remote()))
"""


def wanting_three_lanes(origin):
    """Nothing comes from that origin until a third lane asks, beside two of threads."""
    waiting, enough = [], threading.Event()

    def wait(handler, seen):
        if seen.is_part:
            waiting.append(seen)
            if len(waiting) > 2:
                enough.set()
            enough.wait(25)
        return False

    origin.on(wait, None)
    return origin


@pytest.mark.slow
def test_a_ray_of_its_own_beside_a_token_and_init_after_it(home, make_origin, in_tmp):
    """Of a file as `ray get-auth-token --generate` and a local ray.init leave it."""
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("ab" * 32)
    origin = wanting_three_lanes(make_origin(random_bytes(1_000_000)))
    assert run_python(FETCH, origin.url()) == "fine"
    assert (in_tmp / "out").read_bytes() == origin.data
