"""Many downloads in one process: memory, handles, threads and actors stay level.

pytest -m soak -s           a few minutes
"""

import gc
import multiprocessing
import random
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import raydl
from tests.conftest import random_bytes
from tests.scripted import Origin, cut_off, status
from tests.test_chaos import slowly
from tests.workers.test_fleet import actors

DOWNLOADS = 200
WARM_UP = 40
"""After so many, what is kept for the next ones is there."""

MOST_GROWTH = 16 << 20
"""Bytes; allocators keep some of what they are given back."""


def level():
    """Memory of this process and of the workers, open files and sockets, threads."""
    gc.collect()
    me = psutil.Process()
    return {
        "memory": me.memory_full_info().uss,
        "workers' memory": sum(p.memory_full_info().uss for p in actors()),
        "handles": me.num_fds(),
        "threads": threading.active_count(),
        "tasks": me.num_threads(),
        "actors": len(actors()),
    }


def serve(pipe):
    """One origin after the other, each for a number that comes through the pipe."""
    while (number := pipe.recv()) is not None:
        chance = random.Random(number)
        with Origin(data(number)) as origin:
            origin.on(status(503), chance.randrange(3))
            origin.on(cut_off(20_000), chance.randrange(3))
            origin.on(slowly(chance), None)
            pipe.send(origin.url())
            pipe.recv()


def data(number):
    return random_bytes(random.Random(number).randrange(1, 9_000_000), number)


@contextmanager
def origins():
    """What they remember of their requests is not this process's memory."""
    spawned = multiprocessing.get_context("spawn")
    ours, theirs = spawned.Pipe()
    process = spawned.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        ours.send(None)
    finally:
        ours.close()
        process.join(10)
        process.kill()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_soak(two_nodes, tmp_path):
    with origins() as pipe:
        soak(two_nodes.address, tmp_path / "file", pipe)
    assert not list(Path(tmp_path).glob("*.part*"))
    raydl.disconnect()


def soak(address, target, pipe):
    levels = []
    for number in range(DOWNLOADS):
        pipe.send(number)
        raydl.fetch(
            pipe.recv(),
            target,
            address=address,
            fetch_here=number % 2 == 0,
            overwrite=True,
            part_size=300_000,
            progress="none",
        )
        assert target.read_bytes() == data(number)
        pipe.send("done")
        if number % WARM_UP == WARM_UP - 1:
            levels.append(level())
            print(number + 1, levels[-1], flush=True)
    first, last = levels[0], levels[-1]
    assert last["memory"] - first["memory"] < MOST_GROWTH
    assert last["workers' memory"] - first["workers' memory"] < MOST_GROWTH
    for name in ("handles", "threads", "tasks", "actors"):
        assert last[name] <= first[name] + 2, (name, levels)
