"""Real nodes that freeze, go, or never come: the file is right, or the error says what to do."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import psutil
import pytest

import raydl
from raydl.cluster.actors import ObjectPayload
from raydl.model.errors import ClusterError
from raydl.model.events import (
    ClusterChosen,
    LanesJoined,
    LanesLeft,
    PartFailed,
    PartFetched,
    PartHedged,
)
from tests.conftest import RAYDL, random_bytes
from tests.workers.test_fleet import actors, gone, of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

HERE = "this machine"
SIZE = 20_000_000
LATE = 15_000_000


@pytest.fixture
def origin(make_origin):
    """20 MB, a part of 200 kB after ``delay`` seconds.

    ``gate`` decides which port gets bytes after ``late``, ``drops`` whose connections are closed.
    """
    origin = make_origin(random_bytes(SIZE))
    origin.delay = 0.1
    origin.late = LATE
    origin.gate = lambda port: True
    origin.drops = lambda port: False

    def wait(handler, seen):
        handler.origin.release.wait(origin.delay)
        if origin.drops(handler.client_address[1]):
            handler.close_connection = True
            return True
        while seen.range[0] > origin.late and not origin.gate(handler.client_address[1]):
            if handler.origin.release.wait(0.05):
                break
        return False

    origin.on(wait, None)
    return origin


def fetch(nodes, origin, on_event, **options):
    base = {"address": nodes.address, "progress": "none", "part_size": 200_000, "connections": 4}
    return raydl.fetch(origin.url(), on_event=on_event, **{**base, **options})


def raylet(node):
    """The raylet's process and those that it started."""
    process = psutil.Process(node.all_processes["raylet"][0].process.pid)
    return [process, *process.children(recursive=True)]


def far(event):
    return isinstance(event, PartFetched) and event.node != HERE


def hang_workers(nodes, tmp_path, monkeypatch):
    """Add a node whose worker processes hang before they can say anything."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "sitecustomize.py").write_text(
        "import time\n"
        "if 'default_worker.py' in open('/proc/self/cmdline').read():\n"
        "    time.sleep(600)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(shadow))
    nodes.workers.append(nodes.add())
    nodes.cluster.wait_for_nodes()
    monkeypatch.delenv("PYTHONPATH")


def talks_to(pid, port):
    """Whether this process, or one that it started, is connected to this port."""
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        links = [link for one in (first, *first.children()) for link in one.net_connections()]
        return any(link.raddr and link.raddr.port == port for link in links)
    return False


def asks_from(processes, port):
    """Whether one of these processes has this port."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(c.laddr.port == port for c in process.net_connections("tcp")):
                return True
    return False


@pytest.mark.slow
def test_a_node_freezes_and_thaws(own_nodes, origin, in_tmp, no_leaks):
    """What it had in flight goes to others soon; once it thaws it takes part again."""
    nodes = own_nodes(2)
    origin.delay = 0.25
    events, frozen, hedged = [], [], set()
    at = {}
    back = threading.Event()
    # This machine does not get far before the node takes part. The end of the file is for the
    # node that froze, until it has fetched of it.
    origin.late = 2_000_000
    origin.gate = lambda port: back.is_set() or asks_from(actors(), port)

    def on_event(event):
        events.append(event)
        now = time.monotonic()
        if far(event) and not frozen:
            at["frozen"] = now
            origin.late = LATE
            frozen.extend(raylet(nodes.workers[0]))
            for process in frozen:
                process.suspend()
        elif isinstance(event, PartHedged) and "does not answer" in event.reason:
            hedged.add(event.start)
        elif isinstance(event, PartFetched) and event.start in hedged and "thawed" not in at:
            assert event.node == HERE
            at["thawed"] = now
            for process in frozen:
                process.resume()
        elif far(event) and event.start > LATE:
            back.set()

    fetch(nodes, origin, on_event)
    assert at["thawed"] - at["frozen"] < 5.0
    assert not of(events, LanesLeft)
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.slow
def test_all_nodes_go_and_this_machine_ends_it(own_nodes, origin, in_tmp, no_leaks):
    nodes = own_nodes(3)
    joined, gone = set(), threading.Event()
    origin.gate = lambda port: gone.is_set()

    def on_event(event):
        # Not what they have fetched: one that joins late finds only bytes that the gate holds.
        if isinstance(event, LanesJoined) and event.node != HERE:
            joined.add(event.node)
        if len(joined) == 2 and not gone.is_set():
            gone.set()
            for node in nodes.workers:
                nodes.cluster.remove_node(node, allow_graceful=False)

    report = fetch(nodes, origin, on_event)
    assert len(joined) == 2
    assert report.nodes[0].node == HERE
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.patient
def test_all_nodes_go_and_nobody_else_may(own_nodes, origin, in_tmp, no_leaks):
    """It waits for a node, then says so; with a node the same call goes on."""
    nodes = own_nodes(2)
    gone = []
    origin.gate = lambda port: bool(gone)

    def on_event(event):
        if far(event) and event.start > 2_000_000 and not gone:
            gone.append(time.monotonic())
            nodes.cluster.remove_node(nodes.workers[0], allow_graceful=False)

    with pytest.raises(ClusterError, match="no node has been there") as caught:
        fetch(nodes, origin, on_event, fetch_here=False, timeout=3)
    assert "goes on from here" in caught.value.hint
    nodes.add()
    report = fetch(nodes, origin, None, fetch_here=False)
    assert report.resumed > 0
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.slow
def test_a_worker_that_never_starts(own_nodes, origin, tmp_path, in_tmp, monkeypatch, no_leaks):
    """Others do the work, and nothing waits."""
    nodes = own_nodes(1)
    hang_workers(nodes, tmp_path, monkeypatch)
    events = []
    report = fetch(nodes, origin, events.append)
    assert [share.node for share in report.nodes] == [HERE]
    assert len(of(events, ClusterChosen)) == 2
    assert [event.node for event in of(events, LanesJoined)] == [HERE]
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    with pytest.raises(ClusterError, match="no node has been there"):
        fetch(nodes, origin, None, fetch_here=False, timeout=3, overwrite=True)


@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("probe", marks=pytest.mark.patient),
        pytest.param("connect", marks=pytest.mark.slow),
        pytest.param("hire", marks=pytest.mark.patient),
        pytest.param("transfer", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_in_any_phase(own_nodes, origin, tmp_path, monkeypatch, phase):
    """Within two seconds, and nothing is left behind."""
    raydl.disconnect()  # of what the tests before keep warm
    if phase == "hire":
        nodes = own_nodes(1)
        hang_workers(nodes, tmp_path, monkeypatch)
    else:
        nodes = own_nodes(2)
    reached = threading.Event()
    if phase == "probe":
        origin.on(lambda handler, seen: reached.set() or handler.origin.release.wait(30), None)
        origin.rules.reverse()
        origin.rules[0].when = lambda seen: True
    head = psutil.Process(nodes.cluster.head_node.all_processes["gcs_server"][0].process.pid)
    if phase == "connect":
        head.suspend()
    log = tmp_path / "log"
    try:
        with log.open("w") as file:
            process = subprocess.Popen(
                [*RAYDL, "fetch", origin.url(), "--address", nodes.address, "--no-fetch-here",
                 "--progress", "json"],
                cwd=tmp_path,
                env={**os.environ, "RAY_AUTH_MODE": "disabled"},
                stderr=file,
            )  # fmt: skip
        sign = {"hire": '"connected to', "transfer": '"part_written"'}
        while not reached.is_set() and sign.get(phase, "-") not in log.read_text():
            if phase == "connect" and talks_to(process.pid, int(nodes.address.split(":")[1])):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert time.monotonic() - sent < 2.0
    finally:
        head.resume()
    assert "Traceback" not in log.read_text()
    assert gone(actors())


@pytest.mark.slow
def test_the_drivers_way_to_the_origin_is_cut(two_nodes, origin, in_tmp, monkeypatch, no_leaks):
    """Nodes that reach it do the rest."""
    events, cut = [], threading.Event()
    origin.gate = lambda port: cut.is_set() or asks_from(actors(), port)
    origin.drops = lambda port: cut.is_set() and not asks_from(actors(), port)

    def refuse(*args, **kwargs):
        raise ConnectionRefusedError(111, "Connection refused")

    def on_event(event):
        events.append(event)
        if far(event) and not cut.is_set():
            monkeypatch.setattr("urllib3.util.connection.create_connection", refuse)
            cut.set()

    fetch(two_nodes, origin, on_event, retries=50)
    assert {event.node for event in of(events, PartFailed)} == {HERE}
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.slow
def test_objects_are_lost_after_they_were_fetched(own_nodes, origin, in_tmp, monkeypatch, no_leaks):
    """Their node goes before they could be brought here."""
    nodes = own_nodes(2)
    pull, small, held, lock = ObjectPayload.pull, [], [], threading.Lock()
    gone = False

    def lose():
        nonlocal gone
        nodes.cluster.remove_node(nodes.workers[0], allow_graceful=False)
        with lock:
            gone = True
        for payload, done in held:
            pull(payload, done)

    def hold(self, done):
        # A new lane's first part is small: its object comes with the answer, and cannot be lost.
        with lock:
            is_held = len(small) == 4 and not gone
            if len(small) < 4:
                small.append(self)
            elif is_held:
                held.append((self, done))
        if not is_held:
            pull(self, done)
        elif len(held) == 3:
            threading.Thread(target=lose).start()

    monkeypatch.setattr(ObjectPayload, "pull", hold)
    # The node begins before the parts of the end, which are small, too.
    origin.late = 2_000_000
    origin.gate = lambda port: len(held) >= 3 or asks_from(actors(), port)
    report = fetch(nodes, origin, None)
    assert report.wasted >= 3 * 65_536
    assert (in_tmp / "file.bin").read_bytes() == origin.data
