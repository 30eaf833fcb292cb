"""raydl in a task, in an actor, through Ray's client: every destination, on real nodes."""

from __future__ import annotations

import gc
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import run_raydl
from tests.everywhere import Everywhere, fetch_everywhere
from tests.objectstores import bucket, s3_server, service  # noqa: F401 - fixtures

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

ROOT = Path(__file__).parent.parent


@pytest.fixture
def make_everywhere(make_origin, tmp_path, bucket):  # noqa: F811
    return lambda name: Everywhere(make_origin(b""), tmp_path / name, bucket)


@pytest.fixture
def busy(own_nodes):
    """A cluster of one processor, to which this process is connected as a user's program."""
    import ray

    nodes = own_nodes(1)
    nodes.add(num_cpus=0)
    nodes.cluster.wait_for_nodes()
    ray.init(nodes.address, log_to_driver=False, namespace="mine")
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_where_what_calls_it_has_the_only_processor(busy, make_everywhere):
    class Fetching:
        def fetch(self, *args):
            return fetch_everywhere(*args)

    for how in ("a task", "an actor"):
        everywhere = make_everywhere(how)
        options = {"num_cpus": 1, "runtime_env": {"env_vars": everywhere.variables}}
        if how == "a task":
            call = busy.remote(fetch_everywhere).options(**options)
        else:
            call = busy.remote(Fetching).options(**options).remote().fetch
        done = busy.get(call.remote(*everywhere.args), timeout=100)
        everywhere.check(done, 2)
        assert "the Ray session of this process" in done["chosen"]
    assert busy.cluster_resources()["CPU"] == 1


@pytest.mark.patient  # on a busy machine Ray's own half a minute for a client server is too short
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_through_rays_client(own_nodes, make_everywhere):
    pytest.importorskip("grpc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = own_nodes(2, ray_client_server_port=port)
    everywhere = make_everywhere("client")
    gc.collect()  # Ray leaves the log files of its client server to the garbage collector
    env = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": nodes.temp}
    address = f"ray://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    # The head's client server starts a little after the head.
    while run_raydl("nodes", "--address", address, cwd=ROOT, env=env).returncode:
        assert time.monotonic() < deadline
    command = [sys.executable, "-m", "tests.everywhere", *everywhere.args, address]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stderr
    everywhere.check(json.loads(done.stdout), 2)
