"""Real Ray nodes: actors by node, code shipped, the ways a connection can be refused."""

import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

import raydl
from raydl.cluster.actors import ActorLost, reason_of
from raydl.cluster.address import ClusterChoice
from raydl.cluster.preflight import version_error
from raydl.cluster.session import Session, connect
from raydl.model.errors import ClusterError
from raydl.model.remote import Source
from raydl.workers.worker import NodeWorker
from tests.conftest import run_raydl

pytestmark = pytest.mark.cluster


@pytest.fixture
def session(two_nodes):
    raydl.disconnect()  # workers of other tests may still be warm
    session = connect(ClusterChoice("cluster", two_nodes.address, ""))
    yield session
    session.close()


def worker_node(session):
    return next(node for node in session.nodes() if not node.is_driver)


def source(origin):
    return Source(origin.url(), len(origin.data), '"v1"', None, timeout=10.0).pack()


def test_nodes(session):
    nodes = session.nodes()
    assert len(nodes) == 2
    assert len({node.name for node in nodes}) == 2
    assert [n.is_driver for n in nodes].count(True) == 1
    assert [n.is_head for n in nodes].count(True) == 1
    assert all(node.object_store == 128 << 20 for node in nodes)


def outcome(call):
    """What a callback got."""
    arrived, box = threading.Event(), []

    def done(*args):
        box.extend(args)
        arrived.set()

    call(done)
    assert arrived.wait(30)
    return box


def test_a_worker_on_a_given_node_and_its_bytes_without_a_copy(session, origin):
    node = worker_node(session)
    actor, is_warm = session.hire(node, NodeWorker)
    assert not is_warm
    (pulse,) = outcome(actor.pulse)
    assert pulse[1:3] == (0, {})
    import ray

    states = ray._private.state.actors()
    assert [s["Address"]["NodeID"] for s in states.values() if s["State"] == "ALIVE"] == [node.id]
    (got, seconds, failure), payload = outcome(
        lambda done: actor.fetch(source(origin), 1, 1000, 900_000, done)
    )
    assert (got, failure) == (899_000, None)
    assert seconds > 0
    assert not payload.here
    with pytest.raises(LookupError):
        payload.view()
    assert outcome(payload.pull) == [""]
    assert payload.here
    assert payload.view().readonly
    assert bytes(payload.view()) == origin.data[1000:900_000]
    payload.release()
    assert not payload.here
    actor.kill()
    lost, _ = outcome(lambda done: actor.fetch(source(origin), 2, 0, 10, done))
    assert isinstance(lost, ActorLost)
    assert lost.reason == "its process ended"


def test_workers_have_names_of_their_own(session):
    """Of two on one node, too, as two drivers have them that share a namespace."""
    import ray

    node = worker_node(session)
    actors = [session.hire(node, NodeWorker)[0] for _ in range(2)]
    for actor in actors:
        outcome(actor.pulse)
    named = ray.util.list_named_actors(all_namespaces=True)
    names = {each["name"] for each in named if each["namespace"] == "raydl"}
    assert len(names) == len(named) == 2
    assert {name.rpartition(" ")[0] for name in names} == {f"raydl worker on {node.name}"}
    for actor in actors:
        actor.kill()
    # Ray has loaded no class of raydl's here, as it does to see who has a name.
    assert NodeWorker.fetch.__globals__ is sys.modules[NodeWorker.__module__].__dict__


def test_a_node_that_does_not_exist(session, origin):
    from dataclasses import replace

    node = replace(worker_node(session), id="ab" * 28)
    actor, _ = session.hire(node, NodeWorker)
    (problem,) = outcome(actor.pulse)
    assert isinstance(problem, ActorLost)


class SlowToRest:
    """A worker that lets go once a file is there, and tells whether it has."""

    def __init__(self, copy):
        self.has_rested = False

    def rest(self, last):
        import os
        import time

        while not os.path.exists(str(last)):
            time.sleep(0.01)
        self.has_rested = True

    def pulse(self):
        return (self.has_rested,)


def test_a_worker_is_ready_once_it_rests(session, tmp_path):
    """Else it would let go of what the next download opens."""
    actor, _ = session.hire(worker_node(session), SlowToRest)
    outcome(actor.pulse)
    actor._last = tmp_path / "go"
    actor.rest()
    answered, answers = threading.Event(), []
    actor.pulse(lambda answer: (answers.append(answer), answered.set()))
    (tmp_path / "go").touch()
    assert answered.wait(30)
    assert answers == [(True,)]
    actor.kill()


def test_a_worker_rests_and_works_again(two_nodes, session, origin):
    node = worker_node(session)
    actor, _ = session.hire(node, NodeWorker)
    outcome(actor.pulse)
    session.dismiss(node, actor)
    session.close()
    again = connect(ClusterChoice("cluster", two_nodes.address, ""))
    same, is_warm = again.hire(node, NodeWorker)
    assert is_warm
    assert same is actor
    (got, _, _), _ = outcome(lambda done: same.fetch(source(origin), 9, 0, 10, done))
    assert got == 10
    same.kill()
    again.close()
    raydl.disconnect()
    import ray

    assert not ray.is_initialized()


def test_a_session_that_was_there_stays(two_nodes, origin, in_tmp):
    import ray

    raydl.disconnect()
    ray.init(two_nodes.address, log_to_driver=False, configure_logging=False)
    try:
        events = []
        raydl.fetch(origin.url(), progress="none", on_event=events.append)
        assert any("the Ray session of this process" in str(e) for e in events)
        again = connect(ClusterChoice("session", "", ""))
        again.close()
        raydl.disconnect()
        assert len(ray.nodes()) == 2
    finally:
        ray.shutdown()


def test_nodes_command(two_nodes, tmp_path):
    done = run_raydl("nodes", "--address", two_nodes.address, "--json", cwd=tmp_path)
    records = json.loads(done.stdout)
    assert [r["lanes"] for r in records] == ["measured", "measured"]
    assert sum(r["this_machine"] for r in records) == 1
    table = run_raydl("nodes", "--address", two_nodes.address, cwd=tmp_path).stdout
    # Which of two nodes with one address a driver is at is for Ray to say: 2.53 takes either.
    assert table.count("this machine") == table.count("head") == 1


NO_RAYDL = "raise ImportError('there is no raydl on this machine')\n"


@pytest.mark.slow
def test_workers_need_no_raydl(own_nodes, make_origin, tmp_path, monkeypatch):
    """Nodes whose Python refuses to import raydl fetch all the same: the code comes along."""
    shadow = tmp_path / "shadow" / "raydl"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text(NO_RAYDL)
    monkeypatch.setenv("PYTHONPATH", str(shadow.parent))
    nodes = own_nodes(2)
    monkeypatch.delenv("PYTHONPATH")
    # Proof that the workers' Python is the crippled one.
    probe = (
        "import ray, sys\n"
        f"ray.init({nodes.address!r}, log_to_driver=False)\n"
        "@ray.remote\n"
        "def f():\n"
        "    try:\n"
        "        import raydl\n"
        "    except ImportError as error:\n"
        "        return str(error)\n"
        "print(ray.get(f.remote()))\n"
    )
    env = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env=env,
        capture_output=True,
        text=True,
        cwd=folder,
        check=True,
    )
    assert done.stdout.strip() == "there is no raydl on this machine"
    origin = make_origin(os.urandom(20_000_000))
    done = run_raydl(
        "fetch", origin.url(), "--address", nodes.address, "--no-fetch-here", "--json",
        cwd=folder, env={"RAY_AUTH_MODE": "disabled"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [share["bytes"] for share in report["nodes"]] == [20_000_000]
    assert (folder / "file.bin").read_bytes() == origin.data


@pytest.mark.parametrize(
    "line",
    [
        "f = raydl.open(url, address=head); f.read(300_000), f.read(1)",
        "it = raydl.refs(url, address=head, part_size=100_000); next(it)",
    ],
)
def test_a_program_that_ends_amid_its_use(two_nodes, make_origin, tmp_path, line):
    origin = make_origin(os.urandom(20_000_000))
    code = f"import raydl, sys; url, head = sys.argv[1:]; {line}; raise SystemExit(3)"
    done = subprocess.run(
        [sys.executable, "-c", code, origin.url(), two_nodes.address],
        cwd=tmp_path, env={**os.environ, "RAY_AUTH_MODE": "disabled"}, timeout=25,
    )  # fmt: skip
    assert done.returncode == 3


class TestRefusals:
    """Each within five seconds, with the command that mends it."""

    def fetch(self, nodes, origin, tmp_path, **env):
        return run_raydl(
            "fetch", origin.url(), "--address", nodes.address, "--no-fetch-here",
            cwd=tmp_path, env=env, timeout=30,
        )  # fmt: skip

    def test_a_token_that_is_not_wanted(self, two_nodes, origin, tmp_path):
        env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "ab" * 32}
        done = self.fetch(two_nodes, origin, tmp_path, **env)
        assert done.returncode == 9
        assert "unset RAY_AUTH_MODE" in done.stderr

    @pytest.mark.patient
    def test_another_version(self, own_nodes, origin, tmp_path):
        nodes = own_nodes(1)
        client = nodes.cluster.head_node.get_gcs_client()
        metadata = json.loads(client.internal_kv_get(b"CLUSTER_METADATA", b"cluster"))
        for change, says in (
            ({"ray_version": "2.9.1"}, 'pip install "ray==2.9.1"'),
            ({"python_version": "3.8.1"}, "python3.8 -m venv"),
        ):
            record = json.dumps({**metadata, **change}).encode()
            client.internal_kv_put(b"CLUSTER_METADATA", record, True, b"cluster")
            done = self.fetch(nodes, origin, tmp_path)
            assert done.returncode == 9
            assert says in done.stderr

    def test_a_token_that_is_missing_or_wrong(self, origin, tmp_path, monkeypatch):
        """A head with a token needs a process of its own: this one's Ray has none."""
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD_WITH_TOKEN],
            env={**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "cd" * 32},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            address = head.stdout.readline().strip()
            for env, says in (
                ({}, "wants a token; copy the head's ~/.ray/auth_token here"),
                (
                    {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "ab" * 32},
                    "refuses this machine's token",
                ),
            ):
                done = run_raydl(
                    "fetch", origin.url(), "--address", address, "--no-fetch-here",
                    cwd=tmp_path, env=env, timeout=30,
                )  # fmt: skip
                assert done.returncode == 9
                assert says in done.stderr
            right = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "cd" * 32}
            done = run_raydl("nodes", "--address", address, cwd=tmp_path, env=right)
            assert "head, this machine" in done.stdout
        finally:
            head.communicate("\n", timeout=30)


HEAD_WITH_TOKEN = """
import os, sys, tempfile
with tempfile.TemporaryDirectory(prefix="rdl", ignore_cleanup_errors=True) as temp:
    os.environ["RAY_TMPDIR"] = temp
    from ray.cluster_utils import Cluster
    node = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    print(cluster.address, flush=True)
    sys.stdin.readline()
    cluster.shutdown()
"""


def test_versions():
    import ray

    mine = {"ray_version": ray.__version__, "python_version": sys.version.split()[0]}
    assert version_error("h:1", mine) is None
    assert version_error("h:1", {}) is None
    error = version_error("h:1", {**mine, "ray_version": "1.0"})
    assert isinstance(error, ClusterError)
    assert "runs Ray 1.0" in error.message


def test_reasons_are_a_few_words():
    from ray.exceptions import ActorDiedError, RayTaskError

    assert reason_of(ActorDiedError()) == "its process ended"
    cause = ImportError("x", name="requests")
    assert reason_of(RayTaskError("f", "trace", cause)) == "it cannot import requests"
    assert reason_of(ValueError("x")) == "ValueError"


def test_nodes_keep_their_names_whoever_else_comes_to_their_address():
    def entry(number, alive=True):
        return {
            "NodeID": f"{number}" * 8, "NodeManagerAddress": "10.0.0.3", "Alive": alive,
            "NodeManagerHostname": "h", "Resources": {},
        }  # fmt: skip

    listed = [entry(1)]
    context = SimpleNamespace(gcs_address="10.0.0.2:6379", get_node_id=lambda: "0")
    client = SimpleNamespace(ray=SimpleNamespace(is_connected=lambda: False))
    ray = SimpleNamespace(
        nodes=lambda: listed,
        get_runtime_context=lambda: context,
        util=SimpleNamespace(client=client),
    )
    session = Session(ray, SimpleNamespace(how="given", address="10.0.0.2:6379"))
    assert [node.name for node in session.nodes()] == ["10.0.0.3"]
    listed.append(entry(2))
    assert [node.name for node in session.nodes()] == ["10.0.0.3", "10.0.0.3#2222"]
    listed[0] = entry(1, alive=False)
    assert [node.name for node in session.nodes()] == ["10.0.0.3#2222"]
