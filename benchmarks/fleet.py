"""Four hosts with links of their own, made of network namespaces, against aria2c on one of them.

    sudo python benchmarks/fleet.py even capped ...  [--rounds 3] [--save]

Each case starts the hosts and a Ray cluster on them, then a new process for each run: what raydl
needs to start and to join the cluster counts. Outputs go to memory. No flags are given to raydl
but the ones that a case is about.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common import GIB, Command, make_file, nginx_command, origin_command, save, show
from hosts import ORIGIN, RAY_ADDRESS, Host, Hosts, why_not

PORT = 8000
EVEN = [200.0, 200.0, 200.0, 200.0]
LAST = "w3"

Event = dict[str, Any]
Watch = Callable[[Event], None]
Figures = dict[str, list[float]]


class Run(NamedTuple):
    """A download: wall seconds of the process, when it began, and raydl's events."""

    seconds: float
    began: float
    events: list[Event]

    def when(self, kind: str, **fields: object) -> float:
        """Seconds after the start at which the last such event came."""
        times = [
            e["time"]
            for e in self.events
            if e["event"] == kind and all(e[name] == value for name, value in fields.items())
        ]
        return float(times[-1]) - self.began

    def fetched_at(self, moment: float) -> int:
        """Bytes that had been fetched so many seconds after the start."""
        seen = [
            e["fetched"]
            for e in self.events
            if e["event"] == "progress" and e["time"] - self.began <= moment
        ]
        return int(seen[-1])

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return int(self.events[-1]["size"])

    @property
    def transfer_rate(self) -> float:
        """Bytes a second, from when all nodes had joined to the last byte."""
        joined = self.when("lanes_joined")
        ended = self.when("verifying")
        return (self.size - self.fetched_at(joined)) / (ended - joined)

    @property
    def tail(self) -> float:
        """Seconds from when the first node had nothing more to do to the last byte."""
        last: dict[str, float] = {}
        for event in self.events:
            if event["event"] == "part_fetched":
                last[event["node"]] = event["time"] - self.began
        return self.when("verifying") - min(last.values())


class Bench:
    """Hosts, a file on the origin, and downloads of it to the head."""

    def __init__(self, hosts: Hosts, folder: Path, size: int) -> None:
        self.hosts, self.folder = hosts, folder
        self._log = folder / "sent"
        (folder / "www").mkdir()
        self.url = f"http://{ORIGIN}:{PORT}/file"
        self.digest = make_file(folder / "www" / "file", size)
        self.size = size

    @contextlib.contextmanager
    def origin(self, *flags: str) -> Iterator[None]:
        """An origin that is never the limit; with ``flags``, one that waits or caps."""
        address = f"{ORIGIN}:{PORT}"
        command = (
            origin_command(self.folder, address, *flags)
            if flags
            else nginx_command(self.folder, address, self._log)
        )
        process = subprocess.Popen(
            self.hosts.origin.command(command), stdout=subprocess.DEVNULL, stderr=sys.stderr
        )
        reach = self.hosts.head.command(["curl", "-sfI", self.url])
        while subprocess.run(reach, stdout=subprocess.DEVNULL).returncode:
            time.sleep(0.1)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def sent(self) -> int:
        """Bytes of the file that nginx has sent since this was asked last."""
        sizes = self._log.read_text().split()
        os.truncate(self._log, 0)
        return sum(map(int, sizes))

    def raydl(self, watch: Watch = lambda event: None, flags: Command | None = None) -> Run:
        """Download to the head with every node; ``watch`` sees each event as it comes."""
        run = self.fetch(["-o", "/dev/shm/out", *(flags or [])], watch)
        self._check()
        return run

    def fetch(
        self, flags: Command, watch: Watch = lambda event: None, *, codes: tuple[int, ...] = (0,)
    ) -> Run:
        """Run ``raydl fetch`` on the head; it must exit with one of ``codes``."""
        command = [sys.executable, "-m", "raydl", "fetch", self.url, *flags]
        process, began = self._start([*command, "--progress", "json"])
        events: list[Event] = []
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("{"):
                events.append(json.loads(line))
                watch(events[-1])
            else:
                print(line, end="")
        code = process.wait()
        seconds = time.time() - began
        if code not in codes:
            sys.exit(f"raydl exited with {code}")
        return Run(seconds, began, events)

    def aria2c(self) -> float:
        """Seconds of aria2c on the head."""
        flags = ["-q", "-x16", "-s16", "-k1M", "--file-allocation=none", "--allow-overwrite=true"]
        process, began = self._start(["aria2c", *flags, "-d", "/dev/shm", "-o", "out", self.url])
        if code := process.wait():
            sys.exit(f"aria2c exited with {code}")
        seconds = time.time() - began
        self._check()
        return seconds

    def _start(self, command: Command) -> tuple[subprocess.Popen[str], float]:
        began = time.time()
        process = subprocess.Popen(
            self.hosts.head.command(command),
            env={**os.environ, **self.hosts.env, "RAY_ADDRESS": RAY_ADDRESS},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return process, began

    def _check(self) -> None:
        """The output is right; it goes."""
        output = self.hosts.head.path("/dev/shm/out")
        with output.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != self.digest:
                sys.exit("the output is wrong")
        output.unlink()


@contextlib.contextmanager
def bench(mbit: list[float], size: int, *, without: str = "") -> Iterator[Bench]:
    """Hosts with a Ray cluster on all but ``without``, and a file of ``size`` bytes."""
    with (
        tempfile.TemporaryDirectory(prefix="raydl-bench", dir="/dev/shm") as temp,
        Hosts(mbit) as hosts,
    ):
        Path(temp).chmod(0o755)
        hosts.start_ray(*(name for name in hosts.links if name != without))
        yield Bench(hosts, Path(temp), size)


def note(figures: Figures, **values: float) -> None:
    """Take in what a round gave, and print it."""
    for name, value in values.items():
        figures.setdefault(name.replace("_", " "), []).append(value)
    print("  " + "  ".join(f"{name} {value:.2f}" for name, value in values.items()), flush=True)


def against_aria2c(bench: Bench, rounds: int) -> Figures:
    """raydl and aria2c in alternation."""
    figures: Figures = {}
    for _ in range(rounds):
        run, seconds = bench.raydl(), bench.aria2c()
        share = run.transfer_rate / bench.hosts.bytes_a_second()
        note(
            figures, raydl=run.seconds, aria2c=seconds, share_of_links=share,
            joined=run.when("lanes_joined"), tail=run.tail,
        )  # fmt: skip
    ratio = statistics.median(figures["aria2c"]) / statistics.median(figures["raydl"])
    print(f"  {ratio:.2f} times aria2c")
    return figures


def of_the_links(bench: Bench, rounds: int) -> Figures:
    """raydl, beside what the links bring together."""
    figures: Figures = {}
    for _ in range(rounds):
        run = bench.raydl()
        links = bench.hosts.bytes_a_second()
        note(
            figures,
            raydl=run.seconds,
            share_of_links=run.transfer_rate / links,
            share_with_start=bench.size / run.seconds / links,
        )
    return figures


def even(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s each, 2 GiB."""
    with bench(EVEN, 2 * GIB) as hosts, hosts.origin():
        return against_aria2c(hosts, rounds)


def fast(rounds: int) -> Figures:
    """4 hosts at 400 Mbit/s each, 4 GiB."""
    with bench([400.0] * 4, 4 * GIB) as hosts, hosts.origin():
        return against_aria2c(hosts, rounds)


def capped(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s, the origin gives each connection 2 MB/s, 2 GiB."""
    with bench(EVEN, 2 * GIB) as hosts, hosts.origin("--cap", "2e6"):
        return against_aria2c(hosts, rounds)


def capped_short(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s, 2 MB/s a connection, 512 MiB: no flags, and the best fixed numbers."""
    with bench(EVEN, GIB // 2) as hosts, hosts.origin("--cap", "2e6"):
        figures: Figures = {}
        for _ in range(rounds):
            for name, flags in (("no flags", []), *((n, ["--connections", n]) for n in FIXED)):
                note(figures, **{name: hosts.raydl(flags=flags).seconds})
        return figures


FIXED = ("12", "16", "24", "32")


def delayed(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s, the origin waits 100 ms before each answer, 2 GiB."""
    with bench(EVEN, 2 * GIB) as hosts, hosts.origin("--delay", "0.1"):
        return of_the_links(hosts, rounds)


def uneven(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s, but one worker at 20 Mbit/s, 2 GiB."""
    with bench([*EVEN[:3], 20.0], 2 * GIB) as hosts, hosts.origin():
        return of_the_links(hosts, rounds)


def slow_head(rounds: int) -> Figures:
    """The head at 20 Mbit/s, three workers at 200 Mbit/s, 2 GiB."""
    with bench([20.0, *EVEN[1:]], 2 * GIB) as hosts, hosts.origin():
        return of_the_links(hosts, rounds)


def half_way(size: int, act: Callable[[], None]) -> Watch:
    """A watcher that calls ``act`` in a thread when half of the file is there."""
    acted = threading.Event()

    def watch(event: Event) -> None:
        if event["event"] == "progress" and event["fetched"] >= size // 2 and not acted.is_set():
            acted.set()
            threading.Thread(target=act).start()

    return watch


def cut_off(rounds: int, cut: Callable[[Host], None], mend: Callable[[Bench], None]) -> Figures:
    """Seconds over what the links allow, when ``cut`` hits a worker half-way."""
    figures: Figures = {}
    with bench(EVEN, GIB) as hosts, hosts.origin():
        for _ in range(rounds):
            at: list[float] = []

            def act(at: list[float] = at) -> None:
                at.append(time.time())
                cut(hosts.hosts.hosts[LAST])

            run = hosts.raydl(half_way(GIB, act))
            before = at[0] - run.began
            left = (GIB - run.fetched_at(before)) / hosts.hosts.bytes_a_second(LAST)
            note(figures, raydl=run.seconds, over_the_ideal=run.seconds - before - left)
            mend(hosts)
    return figures


def killed(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s, every process of a worker killed half-way, 1 GiB."""
    return cut_off(rounds, Host.kill, lambda bench: bench.hosts.start_ray(LAST))


def unplugged(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s, a worker's LAN link cut half-way, 1 GiB."""

    def mend(bench: Bench) -> None:
        host = bench.hosts.hosts[LAST]
        host.kill()
        host.link("lan", "up")
        bench.hosts.start_ray(LAST)

    return cut_off(rounds, lambda host: host.link("lan", "down"), mend)


def joining(rounds: int) -> Figures:
    """4 hosts at 200 Mbit/s, of which a worker joins half-way, 2 GiB: seconds until it is used."""
    figures: Figures = {}
    with bench(EVEN, 2 * GIB, without=LAST) as hosts, hosts.origin():
        worker = hosts.hosts.hosts[LAST]
        for _ in range(rounds):
            alive: list[float] = []

            def act(alive: list[float] = alive) -> None:
                worker.start_ray(hosts.hosts.env)
                for nodes in hosts.hosts.alive():
                    if worker.lan_address in nodes:
                        alive.append(time.time())
                        return

            run = hosts.raydl(half_way(2 * GIB, act))
            came = alive[0] - run.began
            used = min(
                e["time"] - run.began
                for e in run.events
                if e["event"] == "part_started" and e["node"] == worker.lan_address
            )
            note(figures, raydl=run.seconds, seconds_until_used=used - came)
            hosts.hosts.cut_power(LAST)
    return figures


CASES: dict[str, Callable[[int], Figures]] = {
    case.__name__: case
    for case in (
        even, fast, capped, capped_short, delayed, uneven, slow_head, killed, unplugged, joining,
    )
}  # fmt: skip


def main() -> None:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    cases = "\n".join(f"{name}: {case.__doc__}" for name, case in CASES.items())
    parser.add_argument("cases", nargs="*", choices=list(CASES), metavar="CASE", help=cases)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    if problem := why_not():
        sys.exit(f"no hosts can be made here: {problem}")
    for name in args.cases or CASES:
        about = CASES[name].__doc__ or ""
        print(f"{name}: {about}", flush=True)
        figures = CASES[name](args.rounds)
        show(figures)
        if args.save:
            save(f"fleet-{name}", about, "seconds", figures)


if __name__ == "__main__":
    main()
