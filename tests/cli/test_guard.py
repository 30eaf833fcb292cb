"""Who stands by, and who works; and a download whose Ray node ends."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from raydl.cli.guard import _wait
from raydl.cluster.address import may_be_cluster
from raydl.model.errors import ClusterError
from raydl.node.raynode import RayNode
from tests.conftest import RAYDL, random_bytes
from tests.containers import PROCESS_1, needs_namespaces, signal_process_1
from tests.rayhome import free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there")

PROGRAM = """
import os, signal, sys, time
from raydl.cli.guard import ends_in_order, stand_by
for name in {ignored}:
    signal.signal(name, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(43))
first = os.getpid()
is_here = stand_by(starts_ray={starts_ray})
assert is_here == (os.getpid() == first)
print("here" if is_here else os.getpid(), flush=True)
if not is_here:
    try:
        {work}
    finally:
        ends_in_order()
"""


@pytest.fixture
def begin():
    running = []

    def start(work, ignored=(), starts_ray=False, within=()):
        names = [int(name) for name in ignored]
        program = PROGRAM.format(work=work, ignored=names, starts_ray=starts_ray)
        process = subprocess.Popen(
            [*within, sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in running:
        process.kill()
        process.communicate()


def rest(process):
    """What it writes until its end. (Not communicate(), which passes over what is buffered.)"""
    said = process.stdout.read()
    process.wait(20)
    return said


@pytest.mark.parametrize("how", ["os._exit(1)", "os.abort()", "os.kill(os.getpid(), 9)"])
def test_what_is_ended_from_within_is_taken_over(begin, how):
    process, _ = begin(how)
    assert rest(process) == "here\n"
    assert process.returncode == 0


@pytest.mark.parametrize("code", [0, 1, 9])
def test_what_ends_in_order_is_the_end(begin, code):
    process, _ = begin(f"sys.exit({code})")
    assert rest(process) == ""
    assert process.returncode == code


@pytest.mark.parametrize("how", ["os._exit(1)", "os.abort()"])
def test_what_ray_does_while_it_is_shut_down_changes_no_exit_code(begin, how):
    process, _ = begin(f"ends_in_order(7); {how}")
    assert rest(process) == ""
    assert process.returncode == 7


def test_a_library_that_takes_sigterm_does_not_get_it(begin):
    """As Ray's does, which does not ask Python."""
    process, _ = begin("import ctypes; ctypes.CDLL(None).signal(15, 0); time.sleep(60)")
    process.send_signal(signal.SIGTERM)
    assert rest(process) == ""
    assert process.returncode == 43


def test_a_second_sigterm_does_not_wait(begin):
    tells = "lambda *_: print('once', flush=True)"
    ready = "print('ready', flush=True)"
    process, _ = begin(f"signal.signal(signal.SIGRTMIN, {tells}); {ready}; time.sleep(60)")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "once\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("starts_ray", [True, False])
def test_processes_of_a_ray_of_its_own_get_what_they_should(begin, starts_ray):
    child = "import subprocess; subprocess.run(['grep', 'SigBlk', '/proc/self/status'])"
    process, _ = begin(child, starts_ray=starts_ray)
    blocked = int(rest(process).split()[1], 16)
    assert process.returncode == 0
    assert bool(blocked & 1 << signal.SIGTERM - 1) is not starts_ray


def test_signals_go_on_to_it(begin):
    process, _ = begin("time.sleep(60)")
    process.send_signal(signal.SIGTERM)
    assert rest(process) == ""
    assert process.returncode == 43
    process, _ = begin("time.sleep(60)")
    process.send_signal(signal.SIGQUIT)  # that nobody handles
    assert rest(process) == ""
    assert process.returncode == -signal.SIGQUIT


@needs_namespaces
@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGTERM, 43), (signal.SIGQUIT, 128 + signal.SIGQUIT)]
)
def test_process_1_of_a_container_ends_as_well(begin, how, code):
    """No signal ends that which it has no handler for."""
    process, _ = begin("time.sleep(60)", within=PROCESS_1)
    signal_process_1(process, how)
    assert rest(process) == ""
    assert process.returncode == code


@pytest.mark.parametrize(
    ("work", "code", "said"), [("sys.exit(5)", 5, ""), ("os._exit(1)", 0, "here\n")]
)
def test_the_end_is_seen_where_ends_of_children_are_ignored(begin, work, code, said):
    """That is handed down through exec."""
    process, _ = begin(work, [signal.SIGCHLD])
    assert rest(process) == said
    assert process.returncode == code


def test_an_end_that_somebody_else_was_told_of(monkeypatch):
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    monkeypatch.setattr(signal, "sigwait", lambda numbers: signal.SIGCHLD)
    status, was_asked = _wait(child.pid, frozenset())
    assert os.waitstatus_to_exitcode(status) == 1
    assert not was_asked


def test_a_signal_that_was_ignored_asks_for_no_end(begin):
    """As SIGHUP is under nohup, and SIGINT after a shell's `&`."""
    ignored = [signal.SIGHUP, signal.SIGINT]
    # The last of the three comes back, once the others were seen.
    signals = "(signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)"
    work = (
        "signal.signal(signal.SIGUSR1, lambda *_: os._exit(1)); "
        f"[os.kill(os.getppid(), number) for number in {signals}]; time.sleep(60)"
    )
    process, _ = begin(work, ignored)
    assert rest(process) == "here\n"
    assert process.returncode == 0


def test_ctrl_z(begin):
    process, worker = begin("time.sleep(60)")

    def wait_until(*states):
        end = time.monotonic() + 10
        while {psutil.Process(pid).status() for pid in (process.pid, worker)} - set(states):
            assert time.monotonic() < end
            time.sleep(0.01)

    process.send_signal(signal.SIGTSTP)
    wait_until(psutil.STATUS_STOPPED)
    process.send_signal(signal.SIGCONT)
    wait_until(psutil.STATUS_SLEEPING, psutil.STATUS_RUNNING)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 43


def test_it_ends_with_who_stands_by(begin):
    process, worker = begin("time.sleep(60)")
    process.kill()
    end = time.monotonic() + 10
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_where_a_cluster_may_be(monkeypatch, tmp_path):
    assert not may_be_cluster("none")
    assert may_be_cluster("local")
    assert may_be_cluster("192.0.2.1:6379")
    assert not may_be_cluster("auto")
    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    assert may_be_cluster("auto")
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("192.0.2.1:6379")
    assert may_be_cluster("auto")


@pytest.fixture
def two_machines(home):
    """A head here, and a worker: each its node, which a test may end."""
    nodes = []
    port = free_port()
    for args in (["--head", f"--port={port}", "--include-dashboard=false"],
                 [f"--address=127.0.0.1:{port}"]):  # fmt: skip
        nodes.append(RayNode(args, {"RAY_AUTH_MODE": "disabled"}))
        nodes[-1].wait_ready()
    yield f"127.0.0.1:{port}"
    for node in reversed(nodes):
        node.stop()


def kill_first_raylet(home):
    raylets = [
        process
        for process in psutil.process_iter(["name", "create_time", "environ"])
        if process.info["name"] == "raylet"
        and (process.info["environ"] or {}).get("RAY_TMPDIR") == str(home)
    ]
    min(raylets, key=lambda process: process.info["create_time"]).kill()


@pytest.mark.cluster
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([], marks=pytest.mark.slow),
        pytest.param(["--no-fetch-here"], marks=pytest.mark.patient),
        pytest.param(["-o", "-"], marks=pytest.mark.patient),
    ],
)
def test_the_node_of_this_machine_ends_amid_a_download(
    home, two_machines, make_origin, tmp_path, flags
):
    """Ray ends the driver when next a part comes from the other machine."""
    origin, fast = make_origin(random_bytes(200_000_000)), threading.Event()
    origin.on(lambda handler, seen: fast.wait(0.5) and False, times=None)
    said, is_killed = [], False
    with (
        (tmp_path / "out").open("wb") as out,
        subprocess.Popen(
            [*RAYDL, "fetch", origin.url(), "--address", two_machines, "--progress", "json",
             "--connections", "8", "--part-size", "1MiB", *flags],
            cwd=tmp_path, stdout=out, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip
        for line in process.stderr:
            said.append(line)
            if "part_fetched" in line and "this machine" not in line and not is_killed:
                kill_first_raylet(home)
                is_killed = True
            if "Ray ended the download" in line:
                fast.set()
    assert fast.is_set(), said[-3:]
    if flags:
        assert process.returncode == ClusterError.exit_code, said[-3:]
    else:
        assert process.returncode == 0, said[-3:]
        assert any('"resumed"' in line for line in said)
        assert (tmp_path / "file.bin").read_bytes() == origin.data
