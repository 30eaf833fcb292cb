"""`raydl coordinator` and `raydl worker`: real nodes, tokens, TLS, and nothing left at the end."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

import raydl
from raydl.cluster.tokenstore import find_token
from raydl.model.errors import ClusterError, UsageError
from raydl.node.attendance import Attendance
from raydl.node.raynode import RayNode
from raydl.node.roles import Head, find_head, is_here, join, start_head
from tests.conftest import RAYDL, random_bytes, run_raydl
from tests.rayhome import free_port, processes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture
def begin(tmp_path):
    """`raydl …` in the background; ended as Ctrl-C does."""
    running = []

    def start(*args, env=None):
        process = subprocess.Popen(
            [*RAYDL, *args], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, **(env or {})},
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in reversed(running):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


@pytest.mark.slow
def test_a_head_a_worker_and_a_download(home, begin, make_origin, tmp_path):
    port = free_port()
    coordinator = begin("coordinator", "--port", str(port), "--json")
    told = json.loads(coordinator.stdout.readline())
    address = told["address"]
    assert address.endswith(f":{port}")
    assert told["started"] is True
    assert os.stat(told["token_file"]).st_mode & 0o777 == 0o600
    assert find_token() not in json.dumps(told)
    assert told["worker"] == f"raydl worker {address} --token-file FILE"
    assert told["ray"] == f"RAY_AUTH_MODE=token ray start --address={address}"

    again = run_raydl("coordinator", "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["started"] is False

    assert told["notes"] == [f"the token is in {told['token_file']}, made just now"]

    # A machine without the token, one with another, one that cannot read it.
    elsewhere = {"HOME": str(tmp_path)}
    refused = run_raydl("worker", address, cwd=tmp_path, env=elsewhere)
    assert refused.returncode == ClusterError.exit_code
    assert "wants a token; copy the head's ~/.ray/auth_token here" in refused.stderr
    (tmp_path / "wrong").write_text("f" * 64)
    refused = run_raydl("worker", address, "--token-file", "wrong", cwd=tmp_path, env=elsewhere)
    assert "others can read it; `chmod 600 wrong`" in refused.stderr
    (tmp_path / "wrong").chmod(0o600)
    refused = run_raydl("worker", address, "--token-file", "wrong", cwd=tmp_path, env=elsewhere)
    assert refused.returncode == ClusterError.exit_code
    assert "refuses this machine's token" in refused.stderr
    assert "f" * 64 not in refused.stderr

    shutil.copy(told["token_file"], tmp_path / "token")  # with its mode
    worker = begin("worker", address, "--token-file", "token", "--json", env=elsewhere)
    assert json.loads(worker.stdout.readline())["coordinator"] == address
    for line in processes(home):
        assert find_token() not in line

    # In another terminal of the head's machine nothing has to be set.
    listed = run_raydl("nodes", "--json", cwd=tmp_path)
    assert len(json.loads(listed.stdout)) == 2, listed.stderr
    origin = make_origin(random_bytes(20_000_000))
    got = run_raydl("fetch", origin.url(), "--no-fetch-here", "--json", cwd=tmp_path)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "file.bin").read_bytes() == origin.data
    assert json.loads(got.stdout)["nodes"][0]["node"] != "this machine"

    worker.send_signal(signal.SIGINT)
    assert worker.wait(20) == 0
    left = home / "ray" / "ray_current_cluster"
    assert left.read_text() == address
    coordinator.send_signal(signal.SIGINT)
    assert coordinator.wait(20) == 0
    assert not left.exists()  # else ray.init() would look for that head
    assert not processes(home)


def news_of(attendance):
    """The one line that comes next."""
    end = time.monotonic() + 30
    while not (lines := attendance.news()):
        assert time.monotonic() < end
        time.sleep(0.02)
    [line] = lines
    return line


@pytest.mark.slow
def test_a_head_that_lets_in_anyone_is_ended_again(home, monkeypatch):
    """As with a Ray that knows no tokens, and says nothing of that."""

    class Careless(RayNode):
        def __init__(self, args, environment):
            super().__init__(args, {"RAY_AUTH_MODE": "disabled"})

    monkeypatch.setattr("raydl.node.roles.RayNode", Careless)
    with pytest.raises(ClusterError, match=r"ended again: it did not turn away .* 2\.53 or later"):
        start_head(None, free_port())
    assert not (home / "ray" / "ray_current_cluster").exists()
    assert not processes(home)


@pytest.mark.patient
def test_a_worker_sees_what_it_does(home, make_origin, tmp_path):
    head = start_head(None, free_port())
    attendance = Attendance(head.address, has_token=head.has_token)
    joined = join(head.address)
    try:
        assert joined.is_running
        assert news_of(attendance).endswith(" joined: 2 nodes")
        assert joined.activity().received == 0
        origin = make_origin(random_bytes(20_000_000))
        script = (
            "import raydl, sys\n"
            "for data in raydl.stream(sys.argv[1], address=sys.argv[2], fetch_here=False,"
            " limit_rate='10M'): pass"
        )
        driver = subprocess.Popen(
            [RAYDL[0], "-c", script, origin.url(), head.address], cwd=tmp_path
        )
        seen = []
        while driver.poll() is None:
            seen.append(joined.activity())
            time.sleep(0.02)
        assert driver.returncode == 0
        assert max(now.lanes for now in seen) > 0
        assert max(now.speed for now in seen) > 1e6
        assert seen[-1].received > 1e6
    finally:
        joined.leave()
        assert not joined.is_running
        assert news_of(attendance).endswith(" left: 1 node")
        attendance.close()
        assert find_head() is not None
        head.stop()
    assert find_head() is None
    assert not processes(home)


@pytest.mark.patient
def test_a_worker_notices_that_its_head_is_gone(home, monkeypatch):
    """Ray itself takes a minute; and never goes back to one that was started again."""
    monkeypatch.setattr("raydl.node.roles.Membership.HEAD_SECONDS", 0.2)

    def wait_until(state):
        end = time.monotonic() + 30
        while not state():
            assert time.monotonic() < end
            time.sleep(0.05)

    port, token = free_port(), "cd" * 32
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    head = start_head(None, port)
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    joined = join(head.address, token)
    try:
        assert not joined.silence
        head.stop()
        wait_until(lambda: joined.silence)
        assert "nothing listens there" in joined.trouble
        assert joined.is_running
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        head = start_head(None, port)
        wait_until(lambda: not joined.silence)
        assert not joined.trouble
        assert len(raydl.nodes(head.address)) == 2
        joined._node.stop()  # as `ray stop` does
        wait_until(lambda: not joined.is_running)
        assert joined.why_ended.startswith("Ray said: ")
    finally:
        joined.leave()
        head.stop()


@pytest.mark.slow
def test_a_head_without_a_token(home, monkeypatch):
    """Only if asked for; and who has a token is told that it is not wanted."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    for host in (None, "127.0.0.1"):  # for which Ray takes an outside address
        with pytest.raises(UsageError, match=r"would let anyone .* say --no-auth"):
            start_head(host, free_port())
    monkeypatch.delenv("RAY_AUTH_MODE")
    head = start_head("127.0.0.1", free_port(), auth=False)
    try:
        assert "listens on every address" in head.notes[-1]
        assert head.token_file is None
        assert "without a token" in head.notes[0]
        assert "token" not in head.raydl_command + head.ray_command
        with pytest.raises(ClusterError, match="has no token, and one was given"):
            join(head.address, "a" * 64)
        found = find_head()
        assert not found.has_token
        assert "anyone who reaches it can run code here" in found.notes[0]
        (home / "ray" / "ray_current_cluster").write_text("192.0.2.250:6379")
        assert find_head() is None  # that of a machine whose worker this one is
        with pytest.raises(UsageError, match="is taken"):
            start_head(None, int(head.address.rpartition(":")[2]))
    finally:
        head.stop()


@pytest.mark.slow
def test_a_head_that_ends_amid_a_download(home, make_origin, tmp_path):
    """Ray would wait for it, and end the driver after a minute."""
    origin = make_origin(random_bytes(60_000_000))
    head = start_head(None, free_port(), auth=False)
    try:
        fetch = [*RAYDL, "fetch", origin.url(), "--address", head.address, "--limit-rate", "4M"]
        process = subprocess.Popen(
            [*fetch, "--progress", "json"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr:
            if "connected to" in line:
                break
        head.stop()
        said = process.communicate(timeout=60)[1]
        assert process.returncode == 0, said
        assert "going on without the cluster: no Ray cluster at" in said
        assert (tmp_path / "file.bin").read_bytes() == origin.data
    finally:
        head.stop()


TO_AND_FRO = """
import os, sys, raydl
closed, open_to_all = sys.argv[1:]
for head in [closed, open_to_all, closed]:
    assert len(raydl.nodes(head)) == 1
    assert (os.environ.get("RAY_AUTH_MODE") == "token") == (head == closed), head
raydl.disconnect()
assert "RAY_AUTH_MODE" not in os.environ
print("well")
"""


@pytest.mark.patient
def test_clusters_with_and_without_a_token_in_turn(home, tmp_path):
    heads = []
    try:
        for auth in (True, False):
            heads.append(start_head(None, free_port(), auth=auth))
        script = [RAYDL[0], "-c", TO_AND_FRO, *(head.address for head in heads)]
        done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.stdout == "well\n", done.stderr
    finally:
        for head in heads:
            head.stop()


@pytest.mark.slow
def test_tls_and_a_token(home, begin, make_origin, tmp_path):
    """Two nodes with both, and a download; without either, nothing."""
    pytest.importorskip("cryptography")
    address = _own_address()
    made = run_raydl("tls", "certificates", address, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "certificates" / address
    tls = {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(folder / "tls.crt"),
        "RAY_TLS_SERVER_KEY": str(folder / "tls.key"),
        "RAY_TLS_CA_CERT": str(folder / "ca.crt"),
    }
    coordinator = begin("coordinator", "--port", str(free_port()), "--json", env=tls)
    told = json.loads(coordinator.stdout.readline())
    worker = begin("worker", told["address"], "--json", env=tls)
    assert worker.stdout.readline()
    origin = make_origin(random_bytes(10_000_000))
    fetch = ["fetch", origin.url(), "--address", told["address"], "--no-fetch-here", "--json"]
    got = run_raydl(*fetch, cwd=tmp_path, env=tls)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "file.bin").read_bytes() == origin.data
    assert json.loads(got.stdout)["nodes"][0]["node"] != "this machine"

    (tmp_path / "file.bin").unlink()
    asked = len(origin.requests)
    no_token = {**tls, "HOME": str(tmp_path)}
    for command in (["worker", told["address"]], fetch):
        refused = run_raydl(*command, cwd=tmp_path, env=no_token)
        assert refused.returncode == ClusterError.exit_code
        assert "wants a token" in refused.stderr
        refused = run_raydl(*command, cwd=tmp_path)
        assert refused.returncode == ClusterError.exit_code
        assert "or it wants TLS" in refused.stderr
    other = run_raydl("tls", "others", address, cwd=tmp_path)
    assert other.returncode == 0
    foreign = {n: v.replace("certificates", "others") for n, v in tls.items()}
    refused = run_raydl("worker", told["address"], cwd=tmp_path, env=foreign)
    assert refused.returncode == ClusterError.exit_code
    # Not a byte of a part was asked for by any of them.
    assert not [seen for seen in origin.requests[asked:] if seen.is_part]
    assert len(json.loads(run_raydl("nodes", "--json", cwd=tmp_path, env=tls).stdout)) == 2


def _own_address():
    from ray._private.services import get_node_ip_address

    return get_node_ip_address()


@pytest.mark.slow
def test_what_does_not_start_says_why(home):
    node = RayNode(["--address=127.0.0.1:1", "--no-such-option"], {})
    with pytest.raises(ClusterError, match=r"did not start: .*no.such.option"):
        node.wait_ready()
    assert not node.is_running
    args = ["--head", f"--port={free_port()}", "--include-dashboard=false"]
    node = RayNode(args, {"RAY_AUTH_MODE": "disabled"})
    node.wait_ready()
    node._process.kill()
    node.stop()
    assert node.last_words == "it ended without a word"
    node = RayNode(args, {})
    with pytest.raises(ClusterError, match="cancelled"):
        node.wait_ready(lambda: True)
    assert not processes(home)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP])
def test_one_that_is_killed_leaves_nothing(home, begin, how):
    """Nor one whose terminal has gone."""
    coordinator = begin("coordinator", "--port", str(free_port()), "--json")
    assert coordinator.stdout.readline()
    coordinator.send_signal(how)
    coordinator.wait(30)
    end = time.monotonic() + 20
    while processes(home):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_addresses_that_are_wrong(home):
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"nothing listens there; .*raydl coordinator --port 1$"):
        join("127.0.0.1:1")
    with pytest.raises(UsageError, match="is no Ray address; write HOST or HOST:PORT"):
        join("not an address")
    with pytest.raises(ClusterError, match="cannot be resolved"):
        join("no.such.invalid")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--host", "192.0.2.250"], "192.0.2.250 is no address of this machine; "),
        (["--host", "no.such.invalid"], "no.such.invalid is no address of this machine; "),
        (["--port", "10002"], "port 10002 cannot be a head's; "),
        (["--port", "19999"], "19999"),
    ],
)
def test_a_head_that_cannot_be_leaves_nothing(home, tmp_path, args, message):
    """Not even a token: all of that is known before Ray starts."""
    args = args if "--port" in args else [*args, "--port", str(free_port())]
    done = run_raydl("coordinator", *args, cwd=tmp_path)
    assert done.returncode == UsageError.exit_code, done.stderr
    assert message in done.stderr
    if "--host" in args:
        assert _own_address() in done.stderr
    assert not list(home.iterdir())


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_port_that_is_taken(home, host):
    with socket.create_server((host, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of this machine is taken; .*--port N"):
            start_head(None, port)
    assert not list(home.iterdir())


def test_a_port_at_one_address_only_is_taken_too(home):
    taken = socket.create_server((_own_address(), 0))
    with taken, pytest.raises(UsageError, match="is taken"):
        start_head(None, taken.getsockname()[1])
    assert not list(home.iterdir())


def test_which_addresses_are_this_machines():
    for host in ("127.0.0.1", "localhost", _own_address()):
        assert is_here(host)
    for host in ("192.0.2.250", "no.such.invalid", "2001:db8::1"):
        assert not is_here(host)


def test_a_token_in_a_variable(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "ab" * 32)
    head = Head("h:1", True)
    assert head.token_file is None
    assert "ab" * 32 not in json.dumps(head.to_dict())


def test_what_a_worker_types():
    head = Head("[2001:db8::1]:6379", True)
    assert head.raydl_command == "raydl worker '[2001:db8::1]:6379' --token-file FILE"
    assert raydl.nodes("none") == []
