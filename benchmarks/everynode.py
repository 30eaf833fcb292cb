"""The file on the disk of every host: raydl, aria2c on each, and aria2's swarm, in alternation.

    sudo python benchmarks/everynode.py four eight ...  [--rounds 3] [--size MIB] [--save]

Hosts as in fleet.py, the file to /data/file, where each host has a folder of its own on this
machine's disk. Every run is new processes, their start included:

plain       raydl fetch URL -o /data/file: on the head alone, fetched by all hosts
every-node  raydl fetch URL --to every-node -o /data/file
watched     the same, whose processes are looked at four times a second for their private memory,
            which costs it half a second
alone       aria2c -x16 -s16 -k1M on every host at once, each for itself
swarm       aria2c on every host at once with a .torrent: the origin is its web seed (url-list), a
            tracker on the head tells it the others, and all seed until the last has the file

Seconds are those until the last host has the whole file, and of raydl's whole program beside it.
The .torrent is there before, and its hashes are not counted. What the origin sent is from nginx's
log. raydl has the file on the disk when it ends, aria2c leaves that to the system.

All hosts' memory is this machine's. Where that is a virtual machine whose host takes back what is
free (free page reporting), what every-node writes costs several times what it costs elsewhere:
``--ballast FILE`` has a file read before each run, which should be larger than what is free, so
that runs get memory from the page cache.

The swarm has what was best of what was tried with 1 GiB, one to five runs each: bytes of the web
seed from random places over 1, 2, 3, 4 or 16 connections, pieces of 0.25, 1, 2 or 4 MiB, more or
less disk cache, --bt-request-peer-speed-limit. On four hosts 1 to 4 connections took 13 to 18 s,
with that limit 14 to 16 s, and which of them is best is within the noise; 16 connections 19 to
20 s; all hosts beginning at the same place (the default --stream-piece-selector, and geom) 26 to
28 s. On eight hosts one connection and pieces of 1 MiB took 18 to 23 s, more connections or larger
pieces 20.5 to 25 s. The origin sends 1.2 to 1.9 files, from the same place 2.6: a host does not
know what another is fetching at that moment.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from common import MIB, save, show
from fleet import EVEN, LAST, Figures, bench, half_way, note
from hosts import HEAD, why_not
from nodes import FOLDER, NAME, Nodes

TO_HEAD = ["-o", f"{FOLDER}/{NAME}"]
TO_ALL = ["--to", "every-node", *TO_HEAD]


class Plan(NamedTuple):
    """What the command line says."""

    rounds: int
    size: int
    ballast: Path | None
    ways: Sequence[str]


@contextlib.contextmanager
def nodes(mbit: list[float], plan: Plan, *, without: str = "") -> Iterator[Nodes]:
    """Hosts, with an origin; a Ray node on all but ``without``."""
    with bench(mbit, plan.size, without=without) as fleet, fleet.origin():
        yield Nodes(fleet, plan.ballast)


def plain(hosts: Nodes) -> dict[str, float]:
    """To the head alone."""
    run = hosts.raydl(TO_HEAD)
    hosts.had_by(HEAD)
    return {"plain": run.seconds}


def every_node(hosts: Nodes) -> dict[str, float]:
    """To all, with raydl."""
    run = hosts.raydl(TO_ALL)
    seconds = hosts.had_by(*hosts.names) - run.began
    return {"every-node": seconds, "every-node program": run.seconds}


def watched(hosts: Nodes) -> dict[str, float]:
    """The same, and the memory that it takes."""
    with hosts.peaks() as peaks:
        run = hosts.raydl(TO_ALL)
    seconds = hosts.had_by(*hosts.names) - run.began
    return {"watched": seconds, **peaks, "spilled MiB": hosts.spilled()}


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
    "plain": plain, "every-node": every_node, "watched": watched, "alone": alone, "swarm": swarm,
}  # fmt: skip


def compare(mbit: list[float], plan: Plan) -> Figures:
    """All ways in alternation."""
    figures: Figures = {}
    with nodes(mbit, plan) as hosts:
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
    with nodes(EVEN, plan) as hosts:
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
    with nodes(EVEN, plan, without=LAST) as hosts:
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
    with nodes(EVEN, plan, without=LAST) as hosts:
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
    parser.add_argument("--ballast", type=Path, metavar="FILE", help="is read before each run")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    if problem := why_not():
        sys.exit(f"no hosts can be made here: {problem}")
    plan = Plan(args.rounds, args.size * MIB, args.ballast, args.ways)
    for name in args.cases or CASES:
        about = f"{CASES[name].__doc__} {args.size} MiB."
        print(f"{name}: {about}", flush=True)
        figures = CASES[name](plan)
        show(figures)
        if args.save:
            save(f"everynode-{name}", about, "seconds", figures)


if __name__ == "__main__":
    main()
