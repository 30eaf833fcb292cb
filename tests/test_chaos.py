"""Downloads while nodes, origin and driver fail at random: the right bytes, or a clear error.

    pytest -m chaos -s          a few minutes; the seeds are in the tests' names

Every round starts three Ray nodes and does a dozen downloads. A thread kills, freezes and
replaces workers and nodes meanwhile, the origin misbehaves, and the driver is killed and run
again. None may hang, none may leave an actor, a thread or a file behind.
"""

import contextlib
import hashlib
import json
import math
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests import scripted
from tests.conftest import RAYDL, random_bytes
from tests.scripted import cut_off, status
from tests.test_faults import raylet
from tests.workers.test_fleet import actors, gone

DOWNLOADS = 12
LIMIT_SECONDS = 180
"""An origin that keeps failing is asked again for a minute or two, longer where workers die."""
KNOWN_ERRORS = {3, 4, 5, 9}
"""Exit codes for an origin that fails, and for a cluster that does."""


class Vandal:
    """Damages a cluster, and mends it when it is told to."""

    def __init__(self, nodes, chance):
        self.nodes, self.chance = nodes, chance
        self.done = Counter()
        self.resting = threading.Lock()
        """Nothing is damaged while others hold it."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join()

    def deeds(self):
        """What it does, and how often, one compared with another."""
        return {
            self.kill_worker: 4,
            self.freeze_worker: 4,
            self.freeze_node: 2,
            self.remove_node: 1,
        }

    def _run(self):
        deeds = self.deeds()
        while not self._stop.wait(self.chance.uniform(0.3, 3.0)):
            deed = self.chance.choices(list(deeds), list(deeds.values()))[0]
            with self.resting, contextlib.suppress(psutil.Error, LookupError):
                deed()
                self.done[deed.__name__] += 1

    def kill_worker(self):
        self.chance.choice(actors()).kill()

    def freeze_worker(self):
        self._freeze([self.chance.choice(actors())])

    def freeze_node(self):
        self._freeze(raylet(self.chance.choice(self.nodes.workers)))

    def _freeze(self, processes):
        try:
            for process in processes:
                process.suspend()
            self._stop.wait(self.chance.choice([0.5, 2.0, 4.0]))
        finally:
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.resume()

    def remove_node(self):
        victim = self.chance.choice(self.nodes.workers)
        self.nodes.workers.remove(victim)
        self.nodes.cluster.remove_node(victim, allow_graceful=False)

    def mend(self):
        """Add what was removed; in the main thread, for Ray installs signal handlers."""
        while len(self.nodes.workers) < 2:
            self.nodes.workers.append(self.nodes.add())


def slowly(chance):
    """The right answer, after a while."""

    def behave(handler, seen):
        handler.origin.release.wait(chance.uniform(0.02, 0.1))
        return False

    return behave


def misbehave(origin, chance):
    """Faults that pass, and sometimes one that does not; whether it is one that does not."""
    faults = [
        status(503), status(500), status(429, Retry_After="1"), status(404),
        cut_off(0), cut_off(20_000), cut_off(50_000, reset=True), scripted.stall(30_000),
        scripted.shorter(7_000), scripted.shift, scripted.ignore_range,
    ]  # fmt: skip
    for fault in chance.sample(faults, chance.randrange(5)):
        after = chance.randrange(len(origin.data))
        origin.on(
            fault,
            chance.choice([1, 1, 2, 5]),
            lambda seen, after=after: seen.is_part and seen.range[0] > after,
        )
    if chance.random() < 0.1:
        origin.on(
            status(chance.choice([403, 404, 410, 500])),
            None,
            lambda seen: seen.is_part and seen.range[0] > len(origin.data) // 2,
        )
    origin.on(slowly(chance), None)


def flags(nodes, origin, chance):
    """Some way to fetch it."""
    chosen = ["--address", nodes.address, "--timeout", "5", "--progress", "json"]
    chosen += ["--part-size", str(chance.choice([100_000, 300_000, 1_000_000]))]
    if chance.random() < 0.5:
        chosen += ["--connections", str(chance.choice([1, 4, 8]))]
    if chance.random() < 0.3:
        chosen += ["--no-fetch-here"]
    if chance.random() < 0.3:
        chosen += ["--checksum", f"sha256:{hashlib.sha256(origin.data).hexdigest()}"]
    if chance.random() < 0.3:
        chosen += ["--max-memory", "16MiB"]
    return chosen


def run(command, folder, vandal, chance):
    """Run it to its end, or to the end that chance has in mind; returns code and errors."""
    log = folder.with_suffix(".log")
    env = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    began = time.monotonic()
    fate, how = math.inf, signal.SIGKILL
    if chance is not None and chance.random() < 0.4:
        fate = chance.uniform(0.3, 6.0)
        how = chance.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=env, stderr=file)
        while process.poll() is None:
            age = time.monotonic() - began
            if age > fate and log.stat().st_size:  # it is past its imports
                fate = math.inf
                process.send_signal(how)
            if age > LIMIT_SECONDS:
                pytest.fail(f"it hangs: {where_it_is(process, log, vandal.nodes)}")
            vandal.mend()
            time.sleep(0.05)
    errors = log.read_text()
    assert "Traceback" not in errors, errors[-2000:]
    return process.returncode, errors


def where_it_is(process, log, nodes):
    """What a process that hangs has said last; and what it and its workers do, if they can tell."""
    process.send_signal(signal.SIGUSR1)  # which ends it, if it cannot
    workers = actors()
    for worker in workers:
        worker.send_signal(signal.SIGUSR1)
    time.sleep(1)
    process.kill()
    process.wait()
    said = [log.read_text()[-20_000:]]
    for worker in workers:
        for told in Path(nodes.temp).glob(f"**/worker-*-{worker.pid}.err"):
            said.append(f"{told.name}:\n{told.read_text()[-10_000:]}")
    return "\n".join(said)


def download(origin, vandal, folder, chance):
    """One download, run again while it is killed; returns how it ended."""
    command = [*RAYDL, "fetch", origin.url(), *flags(vandal.nodes, origin, chance)]
    killed = 0
    while True:
        code, errors = run(command, folder, vandal, chance if killed < 3 else None)
        if code not in (-signal.SIGKILL, 130, 143):
            break
        killed += 1
    events = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    ended = "right" if code == 0 else events[-1]["error"]
    if code != 0:
        assert code in KNOWN_ERRORS, (code, errors[-2000:])
        origin.rules.clear()
        code, errors = run([*command, "--retries", "20"], folder, vandal, None)
        assert code == 0, errors[-2000:]
    assert (folder / "file.bin").read_bytes() == origin.data
    assert [path.name for path in folder.iterdir()] == ["file.bin"]
    return ended, killed


@pytest.mark.chaos
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(5))
def test_chaos(own_nodes, make_origin, tmp_path, seed):
    chance = random.Random(seed)
    nodes = own_nodes(3)
    vandal = Vandal(nodes, random.Random(chance.random()))
    ends, kills = Counter(), 0
    began = time.monotonic()
    try:
        for number in range(DOWNLOADS):
            origin = make_origin(random_bytes(chance.randrange(1, 15_000_000), number))
            misbehave(origin, chance)
            folder = tmp_path / str(number)
            folder.mkdir()
            ended, killed = download(origin, vandal, folder, chance)
            ends[ended] += 1
            kills += killed
            assert gone(actors())
    finally:
        vandal.stop()
    seconds = time.monotonic() - began
    print(f"\nseed {seed}: {dict(ends)}, {kills} kills, {dict(vandal.done)}, {seconds:.0f} s")
