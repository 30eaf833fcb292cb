"""SIGTERM, as a container gets it 30 s before it is killed: the same command goes on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raydl.model.coverage import Coverage
from raydl.output.journal import Journal
from tests import scripted
from tests.conftest import RAYDL, random_bytes
from tests.containers import PROCESS_1, needs_namespaces, signal_process_1
from tests.landing.rooted import NODE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="containers are only there")

SIZE, ANSWERED = 12_000_000, 6_000_000
"""Bytes of the file, and of those that the origin gives until it falls silent."""

GRACE = 15.0
"""Seconds: half of what Kubernetes gives, for this machine may be busy."""


@pytest.fixture
def silent(make_origin):
    """An origin that falls silent."""
    origin = make_origin(random_bytes(SIZE))
    origin.on(scripted.stall(10), None, lambda s: s.is_part and s.range[1] >= ANSWERED)
    return origin


HOME = Path(__file__).parent.parent.parent

DISKS = """
import sys, pytest
from tests.landing.rooted import rooted
rooted(pytest.MonkeyPatch(), None)
from raydl.cli.main import main
main()
"""
"""raydl, where each node has a disk of its own."""


def kept(folder):
    """The most bytes that one of the files below has kept."""
    found = map(Journal.load, folder.rglob("f.part.journal"))
    return max((journal.kept(SIZE).size for journal in found if journal), default=0)


def terminated(folder, command, send=subprocess.Popen.send_signal):
    """Let it have most of what the origin gives, and end it; it has kept that."""
    end = time.monotonic() + 60
    with subprocess.Popen(command, cwd=HOME, stderr=subprocess.PIPE, text=True) as process:
        try:
            while kept(folder) < ANSWERED * 3 // 4:
                assert time.monotonic() < end
                assert process.poll() is None
                time.sleep(0.01)
            send(process, signal.SIGTERM)
            assert process.wait(GRACE) == 128 + signal.SIGTERM
            said = process.stderr.read()
        finally:
            process.kill()
    assert "ended by SIGTERM" in said
    assert "Traceback" not in said
    assert kept(folder) >= ANSWERED * 3 // 4


def goes_on(origin, folder, command, copies=1):
    """The same command, now that the origin answers: only what is missing is asked for."""
    origin.release.set()
    origin.rules.clear()
    origin.requests.clear()
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    there = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    assert [path.name for path in there] == ["f"] * copies
    assert all(path.read_bytes() == origin.data for path in there)
    asked = Coverage()
    for seen in origin.parts:
        asked.add(*seen.range)
    assert asked.size <= SIZE - ANSWERED // 2


@needs_namespaces
def test_process_1_of_a_container(silent, tmp_path):
    args = ["fetch", silent.url(), "-o", tmp_path / "f", "--part-size", "1MB"]
    terminated(tmp_path, [*PROCESS_1, *RAYDL, *args], signal_process_1)
    goes_on(silent, tmp_path, [*RAYDL, *args])


@pytest.mark.cluster
def test_a_shared_directory(warm_nodes, silent, tmp_path):
    args = ["--to", "shared", "--address", warm_nodes.address, "--part-size", "1MB"]
    command = [*RAYDL, "fetch", silent.url(), "-o", tmp_path / "f", *args]
    terminated(tmp_path, command)
    goes_on(silent, tmp_path, command)


@pytest.mark.cluster
@pytest.mark.slow
def test_every_node(warm_nodes, silent, tmp_path):
    args = ["--to", "every-node", "--address", warm_nodes.address, "--part-size", "1MB"]
    here = [sys.executable, "-c", DISKS, "fetch", silent.url(), "-o", tmp_path / NODE / "f", *args]
    terminated(tmp_path, here)
    goes_on(silent, tmp_path, here, copies=2)
