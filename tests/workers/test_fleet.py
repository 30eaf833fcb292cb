"""Downloads over real nodes, and what happens when they go."""

import contextlib
import gc
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest

import raydl
from raydl.cluster.address import ClusterChoice
from raydl.cluster.session import connect
from raydl.model.errors import ClusterError
from raydl.model.events import LanesJoined, LanesLeft, PartFetched
from tests import scripted
from tests.conftest import RAYDL, random_bytes, run_raydl
from tests.scripted import status

pytestmark = pytest.mark.cluster


@pytest.fixture
def slow_origin(make_origin):
    """20 MB in parts that take a while: long enough for a cluster to pay."""
    origin = make_origin(random_bytes(20_000_000))

    def wait(handler, seen):
        handler.origin.release.wait(0.1)
        return False

    origin.on(wait, None)
    return origin


def fetch(nodes, origin, events=None, **options):
    on_event = None if events is None else events.append
    base = {"address": nodes.address, "progress": "none", "timeout": 10}
    return raydl.fetch(origin.url(), on_event=on_event, **{**base, **options})


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def actors():
    """The worker processes of raydl on the nodes that this test run started, and no others."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if re.search("(Node|Rooted)Worker|ray::raydl ", " ".join(process.cmdline())):
                found.append(process)
    return found


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(processes):
    return not psutil.wait_procs(processes, timeout=10)[1]


def test_every_node_fetches(warm_nodes, slow_origin, in_tmp, no_leaks):
    events = []
    report = fetch(warm_nodes, slow_origin, events, part_size=200_000, connections=2)
    assert (in_tmp / "file.bin").read_bytes() == slow_origin.data
    assert [e.lanes for e in of(events, LanesJoined)] == [2, 2]
    assert len(report.nodes) == 2
    assert all(share.bytes > 1_000_000 for share in report.nodes)
    assert sum(share.bytes for share in report.nodes) == len(slow_origin.data)
    raydl.disconnect()
    assert gone(actors())


def test_bytes_flow_before_the_actors_are_there(two_nodes, make_origin, in_tmp):
    origin, events = make_origin(random_bytes(20_000_000)), []
    origin.on(
        lambda handler, seen: (
            handler.origin.release.wait(0.1 if seen.range[0] < 5e6 else 30) and False
        ),
        None,
    )
    raydl.disconnect()
    options = {"address": two_nodes.address, "part_size": 200_000, "connections": 4}
    for event in raydl.events(origin.url(), **options):
        events.append(event)
        if isinstance(event, LanesJoined) and event.node != "this machine":
            origin.release.set()
    kinds = [(type(e).__name__, getattr(e, "node", "")) for e in events]
    joined = kinds.index(("LanesJoined", next(e.node for e in of(events, LanesJoined)[1:])))
    assert ("PartFetched", "this machine") in kinds[:joined]


def test_downloads_at_once_share_the_workers(two_nodes, make_origin, in_tmp, no_leaks):
    """One on each node, whoever is first or last; of each origin as many lanes as one would get."""
    origins = [make_origin(random_bytes(12_000_000, seed)) for seed in range(2)]
    for origin in origins:
        origin.on(lambda handler, seen: bool(handler.origin.release.wait(0.1)) and False, None)
    options = {"address": two_nodes.address, "fetch_here": False, "part_size": 200_000}
    first = raydl.start(origins[0].url(), "0", progress="none", **options)
    until(lambda: first.progress is not None and first.progress.fetched > 1_000_000)
    second = raydl.start(origins[1].url(), "1", progress="none", connections=2, **options)
    until(lambda: second.progress is not None and second.progress.fetched > 1_000_000)
    assert len(actors()) == 1
    for number, download in enumerate((first, second)):
        assert len(download.result(60).nodes) == 1
        assert (in_tmp / f"{number}").read_bytes() == origins[number].data
    raydl.disconnect()
    assert gone(actors())


def test_not_here(two_nodes, slow_origin, in_tmp):
    events = []
    report = fetch(two_nodes, slow_origin, events, fetch_here=False, part_size="1MiB")
    assert (in_tmp / "file.bin").read_bytes() == slow_origin.data
    assert "this machine" not in {e.node for e in of(events, PartFetched)}
    assert len(report.nodes) == 1


def test_faults_on_a_node(two_nodes, slow_origin, in_tmp):
    slow_origin.rules.clear()
    slow_origin.on(status(503, Retry_After="0"), 3)
    slow_origin.on(scripted.cut_off(50_000), 3)
    slow_origin.on(scripted.shorter(5_000), 3)
    report = fetch(two_nodes, slow_origin, fetch_here=False, part_size="1MiB")
    assert (in_tmp / "file.bin").read_bytes() == slow_origin.data
    assert report.retries == 6


def test_an_error_of_a_node_is_the_same_error(two_nodes, slow_origin, in_tmp):
    slow_origin.on(status(404), None)
    slow_origin.rules.reverse()
    with pytest.raises(raydl.HttpError, match="404") as caught:
        fetch(two_nodes, slow_origin, fetch_here=False)
    assert caught.value.status == 404
    raydl.disconnect()
    assert gone(actors())


def test_a_worker_process_is_killed(warm_nodes, slow_origin, in_tmp, no_leaks):
    """Its parts are fetched again by others, and the file is right."""
    events, killed = [], []

    def on_event(event):
        events.append(event)
        if isinstance(event, PartFetched) and event.node != "this machine" and not killed:
            killed.extend(actors())
            for process in killed:
                process.kill()

    raydl.fetch(
        slow_origin.url(),
        on_event=on_event,
        address=warm_nodes.address,
        progress="none",
        part_size=200_000,
        connections=4,
    )
    assert killed
    assert (in_tmp / "file.bin").read_bytes() == slow_origin.data
    (left,) = of(events, LanesLeft)
    assert left.reason == "its process ended"


@pytest.mark.slow
def test_a_node_dies_with_what_it_had_fetched(own_nodes, warm, slow_origin, in_tmp):
    """The raylet and all its workers at once; objects not yet brought here are lost with it."""
    nodes = warm(own_nodes(3))
    events, killed = [], []

    def on_event(event):
        events.append(event)
        if isinstance(event, PartFetched) and event.node != "this machine" and not killed:
            killed.append(event.node)
            nodes.cluster.remove_node(nodes.workers[0], allow_graceful=False)

    raydl.fetch(
        slow_origin.url(),
        on_event=on_event,
        address=nodes.address,
        progress="none",
        part_size=200_000,
        connections=2,
        timeout=10,
    )
    assert killed
    assert (in_tmp / "file.bin").read_bytes() == slow_origin.data


@pytest.mark.patient
def test_a_node_that_joins_later_gets_lanes(own_nodes, make_origin, in_tmp):
    nodes = own_nodes(1)
    origin = make_origin(random_bytes(20_000_000))

    def wait(handler, seen):
        # The file ends only once the new node has had a part of it.
        if seen.range[0] > 10_000_000:
            handler.origin.release.wait(30)
        return False

    origin.on(wait, None)
    added = False
    for event in raydl.events(
        origin.url(), address=nodes.address, part_size=200_000, connections=4
    ):
        if isinstance(event, PartFetched) and not added:
            added = True
            nodes.add()
        if isinstance(event, LanesJoined) and event.node != "this machine":
            origin.release.set()
    assert len(event.report.nodes) == 2
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_the_driver_is_killed_and_resumed(two_nodes, slow_origin, tmp_path, how):
    env = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    command = [
        *RAYDL, "fetch", slow_origin.url(), "--address", two_nodes.address, "--no-fetch-here",
        "--part-size", "200000", "--connections", "4",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "file.bin.part"
    deadline = time.monotonic() + 30
    while not part.exists() or part.stat().st_size < 4_000_000:
        assert time.monotonic() < deadline
        assert process.poll() is None
    workers = actors()
    sent = time.monotonic()
    process.send_signal(how)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - sent < 2.0
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    assert "Traceback" not in errors
    assert workers
    assert gone(workers)
    kept = part.stat().st_size
    done = run_raydl(*command[3:], "--json", cwd=tmp_path, env={"RAY_AUTH_MODE": "disabled"})
    assert done.returncode == 0, done.stderr
    # Of what was written last, the journal may have no note yet.
    assert 0 < json.loads(done.stdout)["resumed"] <= kept
    assert (tmp_path / "file.bin").read_bytes() == slow_origin.data


def test_standard_output_from_a_cluster_is_clean(two_nodes, slow_origin, tmp_path):
    done = subprocess.run(
        [*RAYDL, "fetch", slow_origin.url(), "--address", two_nodes.address, "-o", "-"],
        cwd=tmp_path,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == slow_origin.data
    told = done.stderr.decode().splitlines()
    assert not [line for line in told if "raylet" in line or "SIGTERM" in line or "W " in line]


@pytest.mark.slow
def test_a_reader_that_waits_holds_up_the_nodes_and_nothing_spills(
    two_nodes, make_origin, tmp_path
):
    """Much more than the stores hold, and for a while nobody takes it."""
    origin = make_origin(random_bytes(200_000_000))
    store = two_nodes.node["object_store_memory"]
    process = subprocess.Popen(
        [*RAYDL, "fetch", origin.url(), "--address", two_nodes.address, "--no-fetch-here", "-o-"],
        cwd=tmp_path,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 40
    while len(origin.parts) < 2 or not settled(origin):
        assert time.monotonic() < deadline
    asked = sum(last + 1 - first for first, last in {seen.range for seen in origin.parts})
    assert store // 8 < asked <= store // 4 + 65_536  # and a pipe's worth
    assert process.communicate(timeout=60)[0] == origin.data
    assert process.returncode == 0
    logs = list(Path(two_nodes.temp).rglob("raylet*.out"))
    assert logs
    assert not [log.name for log in logs if "Spilled " in log.read_text()]


def settled(origin, seconds=1.0):
    """Whether nothing more is asked for."""
    before = len(origin.parts)
    origin.release.wait(seconds)
    return len(origin.parts) == before


@pytest.mark.patient
def test_a_ray_of_its_own(slow_origin, tmp_path, monkeypatch):
    import tempfile

    with tempfile.TemporaryDirectory(prefix="rdl", ignore_cleanup_errors=True) as temp:
        done = run_raydl(
            "fetch", slow_origin.url(), "--address", "local", "--json", "--part-size", "200000",
            "--connections", "2", cwd=tmp_path, env={"RAY_TMPDIR": temp},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file.bin").read_bytes() == slow_origin.data
    assert not (tmp_path / "no-home" / ".ray").exists()


@pytest.mark.slow
def test_auto_finds_what_ray_start_left(two_nodes, slow_origin, tmp_path):
    env = {"RAY_TMPDIR": two_nodes.temp, "RAY_AUTH_MODE": "disabled"}
    done = run_raydl(
        "fetch",
        slow_origin.url(),
        "--part-size",
        "200000",
        "--connections",
        "4",
        "--no-fetch-here",
        "--json",
        cwd=tmp_path,
        env=env,
    )
    assert "(ray start)" in done.stderr
    assert len(json.loads(done.stdout)["nodes"]) == 1
    env = {"RAY_ADDRESS": two_nodes.address, "RAY_AUTH_MODE": "disabled"}
    done = run_raydl(
        "fetch", slow_origin.url(), "--overwrite", "--part-size", "200000",
        "--connections", "4", "--no-fetch-here", "--json", cwd=tmp_path, env=env,
    )  # fmt: skip
    assert "(RAY_ADDRESS)" in done.stderr
    assert len(json.loads(done.stdout)["nodes"]) == 1


def test_a_worker_that_is_frozen_is_given_up(warm_nodes, slow_origin, in_tmp, no_leaks):
    """Ray would wait for ever: the process lives, and says nothing."""
    events, frozen = [], []

    def on_event(event):
        events.append(event)
        if isinstance(event, PartFetched) and event.node != "this machine" and not frozen:
            frozen.extend(actors())
            for process in frozen:
                process.suspend()

    try:
        raydl.fetch(
            slow_origin.url(),
            on_event=on_event,
            address=warm_nodes.address,
            progress="none",
            part_size=200_000,
            connections=4,
        )
    finally:
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
    assert frozen
    assert (in_tmp / "file.bin").read_bytes() == slow_origin.data
    raydl.disconnect()
    assert gone(frozen)


def test_two_downloads_share_a_connection(warm_nodes, make_origin, in_tmp):
    """The one that ends first leaves the other its Ray."""
    quick, slow = make_origin(random_bytes(9_000_000, 1)), make_origin(random_bytes(20_000_000, 2))

    def wait(handler, seen):
        handler.origin.release.wait(0.1)
        return False

    slow.on(wait, None)
    results = {}

    def work(name, origin):
        options = {
            "address": warm_nodes.address,
            "progress": "none",
            "part_size": 200_000,
            "connections": 4,
        }
        results[name] = raydl.fetch(origin.url(), name, **options)

    threads = [
        threading.Thread(target=work, args=("slow", slow)),
        threading.Thread(target=work, args=("quick", quick)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(results) == {"quick", "slow"}
    assert len(results["slow"].nodes) == 2
    for name, origin in (("quick", quick), ("slow", slow)):
        assert (in_tmp / name).read_bytes() == origin.data
    import ray

    raydl.disconnect()
    assert not ray.is_initialized()


def test_workers_stay_for_the_next_download_and_go_after_a_while(
    two_nodes, slow_origin, in_tmp, monkeypatch, no_leaks
):
    import ray

    fetch(two_nodes, slow_origin, fetch_here=False)
    before = actors()
    assert len(before) == 1
    monkeypatch.setattr("raydl.cluster.connection.WARM_SECONDS", 0.2)
    fetch(two_nodes, slow_origin, fetch_here=False, overwrite=True)
    assert gone(before)  # it was the same one, and nobody called disconnect
    deadline = time.monotonic() + 10
    while ray.is_initialized():
        assert time.monotonic() < deadline
    assert not actors()


def test_another_address_than_the_open_session(two_nodes, slow_origin, in_tmp):
    session = connect(ClusterChoice("cluster", two_nodes.address, ""))
    try:
        with pytest.raises(ClusterError, match=r"ray\.shutdown"):
            connect(ClusterChoice("cluster", "127.0.0.1:1", ""))
    finally:
        session.close()


@pytest.mark.slow  # a client server can take half a minute to come up
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_through_rays_client(own_nodes, slow_origin, tmp_path):
    pytest.importorskip("grpc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = own_nodes(1, ray_client_server_port=port)
    gc.collect()  # Ray leaves the log files of its client server to the garbage collector
    env = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": nodes.temp}
    options = ["--address", f"ray://127.0.0.1:{port}", "--no-fetch-here", "--json"]
    deadline = time.monotonic() + 120
    while True:  # the head's client server starts a little after the head
        done = run_raydl("fetch", slow_origin.url(), *options, cwd=tmp_path, env=env)
        if done.returncode == 0 or time.monotonic() > deadline:
            break
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file.bin").read_bytes() == slow_origin.data
    (share,) = json.loads(done.stdout)["nodes"]
    assert share["node"] != "this machine"
    assert not [line for line in done.stderr.splitlines() if "INFO" in line or "WARN" in line]
