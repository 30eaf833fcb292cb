"""The file on the disk of every host: raydl, aria2c on each, and aria2's swarm, in alternation.

    sudo python benchmarks/everynode.py four eight ...  [--rounds 3] [--size MIB] [--save]

Hosts as in fleet.py, the file to /data/file, where each host has a folder of its own on this
machine's disk. Every run is new processes, their start included:

plain       raydl fetch URL -o /data/file: on the head alone, fetched by all hosts
every-node  raydl fetch URL --to every-node -o /data/file
alone       aria2c -x16 -s16 -k1M on every host at once, each for itself
swarm       aria2c on every host at once with a .torrent: the origin is its web seed (url-list), a
            tracker on the head tells it the others, and all seed until the last has the file

Seconds are those until the last host has the whole file, and of raydl's whole program beside it.
The .torrent is there before, and its hashes are not counted. What the origin sent is from nginx's
log. raydl has the file on the disk when it ends, aria2c leaves that to the system. raydl's
processes are looked at four times a second for their private memory, which costs it a little.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from common import MIB, Command, private_bytes, save, show
from fleet import EVEN, LAST, Bench, Figures, Run, Watch, bench, half_way, note
from hosts import HEAD, RAY_ADDRESS, why_not
from swarm import torrent

FOLDER, NAME = "/data", "file"
TO_HEAD = ["-o", f"{FOLDER}/{NAME}"]
TO_ALL = ["--to", "every-node", *TO_HEAD]
SOME_MISSING = 10
"""raydl's exit code when some nodes do not have the file."""

ARIA2C = ["aria2c", "-q", "-x16", "-s16", "-k1M", "--file-allocation=none", "-d", FOLDER]
PIECE = 1 * MIB
DONE = "done"
SWARM = [
    "--seed-ratio=0", "--on-bt-download-complete=/shared/mark", "--bt-max-peers=0",
    "--enable-dht=false", "--stream-piece-selector=random",
]  # fmt: skip
TRACKER_PORT = 6969


class Plan(NamedTuple):
    """What the command line says."""

    rounds: int
    size: int
    ways: Sequence[str]


class Nodes:
    """Hosts, each of which is to have the file in its /data."""

    def __init__(self, fleet: Bench) -> None:
        self.fleet, self.hosts = fleet, fleet.hosts
        self.names = list(self.hosts.hosts)
        tracker = f"http://{self.hosts.head.lan_address}:{TRACKER_PORT}/announce"
        file = fleet.folder / "www" / NAME
        data = torrent(file, PIECE, tracker=tracker, web_seed=fleet.url)
        (self.hosts.shared / "torrent").write_bytes(data)
        script = self.hosts.shared / "mark"
        script.write_text(f"#!/bin/sh\n: > {FOLDER}/{DONE}\n")
        script.chmod(0o755)

    def raydl(self, flags: Command, watch: Watch = lambda event: None) -> Run:
        """A download with raydl, which may leave out some nodes."""
        os.sync()  # what was written before is no matter of this run
        return self.fleet.fetch(flags, watch, codes=(0, SOME_MISSING))

    def alone(self) -> float:
        """Seconds until aria2c has ended on each host."""
        with self._aria2c("-o", NAME, self.fleet.url) as (processes, began):
            for process in processes:
                if code := process.wait():
                    sys.exit(f"aria2c exited with {code}")
            return time.time() - began

    def swarm(self) -> float:
        """Seconds until the last host of the swarm has the file."""
        missing = [host.data / DONE for host in self.hosts.hosts.values()]
        with self._tracker(), self._aria2c(*SWARM, "/shared/torrent") as (processes, began):
            while missing := [mark for mark in missing if not mark.exists()]:
                if any(process.poll() is not None for process in processes):
                    sys.exit("an aria2c of the swarm has ended")
                time.sleep(0.02)
            return time.time() - began

    @contextlib.contextmanager
    def _aria2c(self, *more: str) -> Iterator[tuple[list[subprocess.Popen[bytes]], float]]:
        """aria2c on all hosts, and since when."""
        os.sync()
        began = time.time()
        processes = [
            subprocess.Popen(host.command([*ARIA2C, *more]), stdout=subprocess.DEVNULL)
            for host in self.hosts.hosts.values()
        ]
        try:
            yield processes, began
        finally:
            for process in processes:
                process.kill()
                process.wait()

    @contextlib.contextmanager
    def _tracker(self) -> Iterator[None]:
        """A tracker on the head."""
        script = str(Path(__file__).parent / "swarm.py")
        command = [sys.executable, script, self.hosts.head.lan_address, str(TRACKER_PORT)]
        process = subprocess.Popen(self.hosts.head.command(command), stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()
            process.wait()

    def had_by(self, *names: str) -> float:
        """When the last of these hosts had the file, which is right: it has its name since then."""

        def digest(path: Path) -> str:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()

        paths = [self.hosts.hosts[name].data / NAME for name in names]
        if missing := [name for name, path in zip(names, paths, strict=True) if not path.exists()]:
            sys.exit(f"without the file: {', '.join(missing)}")
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            digests = list(threads.map(digest, paths))
        if digests != [self.fleet.digest] * len(paths):
            sys.exit("a file is wrong")
        return max(path.stat().st_ctime for path in paths)

    def clear(self) -> None:
        """No host has anything of the file."""
        for host in self.hosts.hosts.values():
            for path in host.data.glob("*"):
                path.unlink()

    def sent(self) -> float:
        """What the origin has sent since this was asked last, in sizes of the file."""
        return self.fleet.sent() / self.fleet.size

    def spilled(self) -> float:
        """MiB that the object stores have spilled since they were started."""
        command = [str(Path(sys.executable).parent / "ray"), "memory", "--stats-only"]
        told = subprocess.run(
            self.hosts.head.command([*command, "--address", RAY_ADDRESS]),
            env={**os.environ, **self.hosts.env},
            capture_output=True,
            text=True,
            check=True,
        )
        return sum(float(size) for size in re.findall(r"Spilled (\d+) MiB", told.stdout))

    @contextlib.contextmanager
    def peaks(self) -> Iterator[dict[str, float]]:
        """The most private memory, in MiB, of the driver and of a worker until it is left."""
        most = {"driver MiB": 0.0, "worker MiB": 0.0}
        spaces = {os.stat(f"/run/netns/{host.space}").st_ino for host in self.hosts.hosts.values()}
        done = threading.Event()

        def look() -> None:
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):  # it has ended
                    if (folder / "ns" / "net").stat().st_ino not in spaces:
                        continue
                    command = (folder / "cmdline").read_bytes()
                    if command.startswith(b"ray::"):
                        who = "worker MiB"
                    elif b"\0-m\0raydl\0" in command:
                        who = "driver MiB"
                    else:
                        continue
                    most[who] = max(most[who], private_bytes(int(folder.name)) / MIB)

        def watch() -> None:
            while not done.wait(0.25):
                look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield most
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def nodes(mbit: list[float], size: int, *, without: str = "") -> Iterator[Nodes]:
    """Hosts, with an origin; a Ray node on all but ``without``."""
    with bench(mbit, size, without=without) as fleet, fleet.origin():
        yield Nodes(fleet)


def plain(hosts: Nodes) -> dict[str, float]:
    """To the head alone."""
    run = hosts.raydl(TO_HEAD)
    hosts.had_by(HEAD)
    return {"plain": run.seconds}


def every_node(hosts: Nodes) -> dict[str, float]:
    """To all, with raydl."""
    with hosts.peaks() as peaks:
        run = hosts.raydl(TO_ALL)
    seconds = hosts.had_by(*hosts.names) - run.began
    spilled = {"spilled MiB": hosts.spilled()}
    return {"every-node": seconds, "every-node program": run.seconds, **peaks, **spilled}


def alone(hosts: Nodes) -> dict[str, float]:
    """To all, each for itself."""
    seconds = hosts.alone()
    hosts.had_by(*hosts.names)
    return {"alone": seconds}


def swarm(hosts: Nodes) -> dict[str, float]:
    """To all, with BitTorrent."""
    seconds = hosts.swarm()
    hosts.had_by(*hosts.names)
    return {"swarm": seconds}


WAYS: dict[str, Callable[[Nodes], dict[str, float]]] = {
    "plain": plain, "every-node": every_node, "alone": alone, "swarm": swarm,
}  # fmt: skip


def compare(mbit: list[float], plan: Plan) -> Figures:
    """All ways in alternation."""
    figures: Figures = {}
    with nodes(mbit, plan.size) as hosts:
        for _ in range(plan.rounds):
            for way in plan.ways:
                values = WAYS[way](hosts)
                note(figures, **values, **{f"{way} sent": hosts.sent()})
                hosts.clear()
    first, *others = plan.ways
    for way in others:
        ratio = statistics.median(figures[way]) / statistics.median(figures[first])
        print(f"  {way}: {ratio:.2f} times {first}")
    return figures


def four(plan: Plan) -> Figures:
    """4 hosts at 200 Mbit/s each."""
    return compare(EVEN, plan)


def eight(plan: Plan) -> Figures:
    """8 hosts at 100 Mbit/s each."""
    return compare([100.0] * 8, plan)


def killed(plan: Plan) -> Figures:
    """4 hosts at 200 Mbit/s, every process of one killed half-way: when the others have it."""
    figures: Figures = {}
    with nodes(EVEN, plan.size) as hosts:
        others = [name for name in hosts.names if name != LAST]
        for _ in range(plan.rounds):
            at: list[float] = []

            def act(at: list[float] = at) -> None:
                at.append(time.time())
                hosts.hosts.hosts[LAST].kill()

            run = hosts.raydl(TO_ALL, half_way(plan.size, act))
            seconds = hosts.had_by(*others) - run.began
            before = at[0] - run.began
            left = (plan.size - run.fetched_at(before)) / hosts.hosts.bytes_a_second(LAST)
            note(
                figures,
                others=seconds,
                others_over_the_ideal=seconds - before - left,
                program=run.seconds,
                sent=hosts.sent(),
            )
            hosts.clear()
            hosts.hosts.start_ray(LAST)
    return figures


def joining(plan: Plan) -> Figures:
    """4 hosts at 200 Mbit/s, of which one joins half-way: seconds from the last of the others."""
    figures: Figures = {}
    with nodes(EVEN, plan.size, without=LAST) as hosts:
        worker = hosts.hosts.hosts[LAST]
        others = [name for name in hosts.names if name != LAST]
        for _ in range(plan.rounds):
            start = half_way(plan.size, lambda: worker.start_ray(hosts.hosts.env))
            run = hosts.raydl(TO_ALL, start)
            last = hosts.had_by(*others)
            later = hosts.had_by(LAST) - last
            note(figures, others=last - run.began, joined_later=later, sent=hosts.sent())
            hosts.clear()
            hosts.hosts.cut_power(LAST)
    return figures


def again(plan: Plan) -> Figures:
    """4 hosts at 200 Mbit/s, of which one is new when the same command runs again."""
    figures: Figures = {}
    with nodes(EVEN, plan.size, without=LAST) as hosts:
        for _ in range(plan.rounds):
            hosts.raydl(TO_ALL)
            note(figures, first_sent=hosts.sent())
            hosts.hosts.start_ray(LAST)
            run = hosts.raydl(TO_ALL)
            hosts.had_by(*hosts.names)
            note(figures, again=run.seconds, again_sent=hosts.sent())
            hosts.clear()
            hosts.hosts.cut_power(LAST)
    return figures


CASES: dict[str, Callable[[Plan], Figures]] = {
    case.__name__: case for case in (four, eight, killed, joining, again)
}


def main() -> None:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    cases = "\n".join(f"{name}: {case.__doc__}" for name, case in CASES.items())
    parser.add_argument("cases", nargs="*", choices=list(CASES), metavar="CASE", help=cases)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="of the file")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    if problem := why_not():
        sys.exit(f"no hosts can be made here: {problem}")
    plan = Plan(args.rounds, args.size * MIB, args.ways)
    for name in args.cases or CASES:
        about = f"{CASES[name].__doc__} {args.size} MiB."
        print(f"{name}: {about}", flush=True)
        figures = CASES[name](plan)
        show(figures)
        if args.save:
            save(f"everynode-{name}", about, "seconds", figures)


if __name__ == "__main__":
    main()
