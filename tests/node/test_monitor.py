import json
import os
import socket

import pytest

from raydl.node.monitor import VARIABLE, Activity, Monitor
from raydl.workers.worker import NodeWorker


@pytest.fixture
def monitor():
    monitor = Monitor()
    yield monitor
    monitor.close()
    assert not monitor.path.parent.exists()


def test_a_worker_tells_how_it_does(monitor, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(monitor.path))
    assert monitor.read() == Activity()
    worker = NodeWorker(copy=False)
    worker._worker._received = 5000
    worker.pulse()
    assert monitor.read().received == 5000
    assert monitor.read().lanes == 0


def test_several_workers_add_up_and_nonsense_is_passed_over(monitor):

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        for record in ([1, 4, 100], [2, 3, 50], [1, 5, 200], "nonsense", [1], {"a": 1}):
            to.sendto(json.dumps(record).encode(), str(monitor.path))
        to.sendto(b"\xff", str(monitor.path))
    now = monitor.read()
    assert (now.lanes, now.received) == (8, 250)


def test_nobody_listens(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    assert NodeWorker(copy=False).pulse()[1] == 0


def test_only_this_user_may_send(monitor):
    assert os.stat(monitor.path.parent).st_mode & 0o077 == 0
