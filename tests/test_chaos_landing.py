"""Downloads to every node, to a shared directory and into a bucket, while all of it fails.

    pytest -m chaos -s tests/test_chaos_landing.py

As in test_chaos.py, with disks that fill up and a service that refuses. Nowhere may there be wrong
bytes under the file's name, and no half of it once a download went well.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import random_bytes
from tests.landing.conftest import s3_server, service  # noqa: F401 - fixtures
from tests.landing.service import refuse, reset, reset_after
from tests.test_chaos import KNOWN_ERRORS, Vandal, flags, misbehave, run
from tests.workers.test_fleet import actors, gone

DOWNLOADS = 8
FULL, INCOMPLETE, BEING_WRITTEN = 8, 10, 7
DISK_BYTES = 128 << 20
PATIENTLY = ["--retries", "20", "--timeout", "30"]
PROGRAM = [sys.executable, "-m", "tests.landing.chaotic"]


class Disk:
    """A folder; where this user may mount, a file system of its own, that can be filled."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(path)]
        self.is_mounted = not subprocess.run(mount, capture_output=True, check=False).returncode

    @contextlib.contextmanager
    def full(self):
        filler = self.path / "filler"
        with filler.open("wb") as file:
            with contextlib.suppress(OSError):
                for _ in range(DISK_BYTES >> 20):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), 1 << 20)
            try:
                yield
            finally:
                filler.unlink()

    def close(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def make_disk(tmp_path):
    disks = []

    def make(name):
        disks.append(Disk(tmp_path / name))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


class Landlord(Vandal):
    """Damages disks, too. A node that comes in place of another has the disk of that."""

    def __init__(self, nodes, chance, disks):
        self.disks = disks
        self.at = {}
        super().__init__(nodes, chance)

    def deeds(self):
        may_fill = self.disks and all(disk.is_mounted for disk in self.disks)
        return {**super().deeds(), **({self.fill_disk: 2} if may_fill else {})}

    def fill_disk(self):
        with self.chance.choice(self.disks).full():
            self._stop.wait(self.chance.choice([0.5, 2.0, 6.0]))

    def mend(self):
        for number in (1, 2):
            if self.at.get(number) not in self.nodes.workers:
                self.at[number] = node = self.nodes.add(**node_with(self.disks, number))
                self.nodes.workers.append(node)


def node_with(disks, number):
    """What makes a node have an address of its own, and that disk."""
    where = {"node_ip_address": address(number)} if number else {}
    disk = {"env_vars": {"TEST_DISK": str(disks[number].path)}} if number < len(disks) else {}
    return {**where, **disk}


def address(number):
    return f"127.0.0.{number + 1}"


class EveryNode:
    name = "every-node"
    errors = KNOWN_ERRORS | {FULL, INCOMPLETE, BEING_WRITTEN}
    disks = 3

    def __init__(self, disks, bucket):
        self.all = disks

    def flags(self, number):
        return ["--to", "every-node", "-o", f"/{number}/file.bin"]

    def mend(self):
        pass

    def check(self, number, data, message):
        """Nothing is wrong; who lacks the file is named. Whether all have it."""
        lacking = []
        for node, disk in enumerate(self.all):
            if not right(disk.path / str(number) / "file.bin", data):
                lacking.append("this machine" if not node else address(node))
        if f"nodes do not have /{number}/file.bin" in message:
            assert all(name in message for name in lacking), (lacking, message)
        return not lacking

    def clean(self, number):
        for disk in self.all:  # a full one has no room for the record
            names = left(disk.path / str(number))
            assert names in (["file.bin"], [".file.bin.raydl", "file.bin"])


class Shared:
    name = "shared"
    errors = KNOWN_ERRORS | {FULL}
    disks = 1

    def __init__(self, disks, bucket):
        self.folder = disks[0].path

    def flags(self, number):
        (self.folder / str(number)).mkdir()
        return ["--to", "shared", "-o", str(self.folder / str(number) / "file.bin")]

    def mend(self):
        pass

    def check(self, number, data, message):
        return right(self.folder / str(number) / "file.bin", data)

    def clean(self, number):
        assert left(self.folder / str(number)) == ["file.bin"]


class Bucket:
    name = "bucket"
    errors = KNOWN_ERRORS | {FULL}
    disks = 0

    def __init__(self, disks, bucket):
        self.service = bucket

    def flags(self, number):
        return ["-o", self.service.target(f"{number}/file.bin")]

    def mend(self):
        self.service.rules.clear()

    def check(self, number, data, message):
        there = self.service.get(f"{number}/file.bin")
        assert there in (None, data)
        return there is not None

    def clean(self, number):
        assert self.service.unfinished() == []


def right(path, data):
    """Whether the file is there; then it has these bytes."""
    try:
        there = path.read_bytes()
    except FileNotFoundError:
        return False
    assert there == data, path
    return True


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def refuse_some(proxy, chance):
    """Faults of the service that pass."""
    faults = [reset, reset_after, refuse(503, "SlowDown"), refuse(500), refuse(403, "AccessDenied")]
    for fault in chance.sample(faults, chance.randrange(4)):
        proxy.on(fault, times=chance.choice([1, 1, 2, 5]))


def download(origin, vandal, place, number, tmp_path, chance):
    """One download, run again while it is killed; returns how it ended, and how often killed."""
    command = [*PROGRAM, "fetch", origin.url(), *flags(vandal.nodes, origin, chance)]
    command += place.flags(number)
    folder = tmp_path / f"{place.name}-{number}"
    folder.mkdir()
    killed, code = 0, None
    while code in (None, -signal.SIGKILL, 130, 143):
        vandal.mend()
        vandal.nodes.cluster.wait_for_nodes()
        before = vandal.done["remove_node"]
        code, errors = run(command, folder, vandal, chance if killed < 3 else None)
        said = [json.loads(line) for line in errors.splitlines() if line[:1] + line[-1:] == "{}"]
        is_there = place.check(number, origin.data, said[-1].get("message", ""))
        killed += 1
    ended = "right" if code == 0 else said[-1]["error"]
    if code == 0 and not is_there:  # one was not there to get it
        assert vandal.done["remove_node"] > before, errors[-2000:]
        ended = "without one that was not there"
    if not is_there or code:
        assert code in {0, *place.errors}, (code, errors[-2000:])
        with vandal.resting:
            origin.rules.clear()
            place.mend()
            vandal.mend()
            vandal.nodes.cluster.wait_for_nodes()
            code, errors = run([*command, *PATIENTLY], folder, vandal, None)
        assert code == 0, errors[-4000:]
        assert place.check(number, origin.data, ""), errors[-4000:]
    place.clean(number)
    assert left(folder) == []
    return ended, killed - 1


@pytest.mark.chaos
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [EveryNode, Shared, Bucket], ids=lambda kind: kind.name)
def test_chaos(
    own_nodes, make_origin, make_disk, service, tmp_path, monkeypatch, kind, seed  # noqa: F811
):  # fmt: skip
    chance = random.Random(f"{kind.name} {seed}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    disks = [make_disk(f"disk{number}") for number in range(kind.disks)]
    place = kind(disks, service)
    nodes = own_nodes(1, **node_with(disks, 0))
    vandal = Landlord(nodes, random.Random(chance.random()), disks)
    ends, kills = Counter(), 0
    began = time.monotonic()
    try:
        with vandal.resting:
            vandal.mend()
        for number in range(DOWNLOADS):
            origin = make_origin(random_bytes(int(4e6 * 10 ** chance.random()), number))
            misbehave(origin, chance)
            service.rules.clear()
            refuse_some(service, chance)
            ended, killed = download(origin, vandal, place, number, tmp_path, chance)
            ends[ended] += 1
            kills += killed
            assert gone(actors())
            for disk in disks:
                subprocess.run(["rm", "-r", str(disk.path / str(number))], check=False)
            service.calls.clear()
    finally:
        vandal.stop()
    seconds = time.monotonic() - began
    told = f"{dict(ends)}, {kills} kills, {dict(vandal.done)}, {seconds:.0f} s"
    print(f"\n{kind.name}, seed {seed}: {told}")
