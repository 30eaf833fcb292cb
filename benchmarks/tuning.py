"""How good the number of lanes is that raydl finds, against the best that could have been set.

    python benchmarks/tuning.py [--save] [CASE ...]

The real scheduler in simulated time, with origins and links that behave in one way each. Printed
are, for a file of some ten to twenty seconds, the seconds it takes and the bytes of the first ten
seconds, with raydl's own number of lanes and with the best fixed one of each; and how much worse
raydl is in percent. It may be better, as it can do different things at different times.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from common import save
from simnet import Case, Rates, Run, fetch

FIXED = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)
LINK = 25e6
MIB = 1 << 20
K200, M1, M5, M20 = 200 << 10, MIB, 5 * MIB, 20 * MIB
BUFFER = 2 * MIB
"""nginx's ``sendfile_max_chunk``."""

LOOPBACK = {"link": 600e6, "latency": 0.002, "buffer": BUFFER}


def _noisy(case: Case) -> Case:
    return case._replace(rates=replace(case.rates, noise=0.4))


EVEN = {
    "one link": Case(Rates(link=LINK), 1, 15 * LINK),
    "four links": Case(Rates(link=LINK), 4, 50 * LINK),
    "four links, 100 ms": Case(Rates(link=LINK, latency=0.1), 4, 50 * LINK),
    "a fast link": Case(Rates(link=600e6, latency=0.002), 1, 9e9),
    "a shared link": Case(Rates(total=LINK), 4, 15 * LINK),
    "an address": Case(Rates(address=10e6, link=LINK), 4, 500e6),
    "a connection, 2 MB/s": Case(Rates(connection=2e6, link=LINK), 1, 15 * LINK),
    "a connection, 2 MB/s, four": Case(Rates(connection=2e6, link=LINK), 4, 50 * LINK),
    "a connection, 0.3 MB/s, four": Case(Rates(connection=0.3e6, link=LINK), 4, 900e6),
    "a connection, 5 MB/s, no link": Case(Rates(connection=5e6), 1, 4e9),
    "a bucket of 8 MB, then 1 MB/s": Case(Rates(connection=1e6, saved=8e6, link=60e6), 1, 900e6),
    "a collapse above 16": Case(Rates(connection=2e6, link=60e6, bears=16), 1, 400e6),
    "a collapse above 16, four": Case(Rates(connection=1e6, link=LINK, bears=16), 4, 900e6),
    "a collapse above 16, slow": Case(
        Rates(connection=2e6, link=60e6, bears=16, recovery=2.0), 1, 400e6
    ),
    "a collapse above 6": Case(Rates(link=60e6, connection=10e6, bears=6), 1, 900e6),
}

BURSTS = {
    "limit_rate 200k": Case(Rates(request=K200, **LOOPBACK), 1, 200 * MIB),
    "limit_rate 1m": Case(Rates(request=M1, **LOOPBACK), 1, 4096 * MIB),
    "limit_rate 5m": Case(Rates(request=M5, **LOOPBACK), 1, 6144 * MIB),
    "limit_rate 20m": Case(Rates(request=M20, **LOOPBACK), 1, 6144 * MIB),
    "limit_rate 1m, four links": Case(Rates(request=M1, link=LINK, buffer=BUFFER), 4, 50 * LINK),
    "limit_rate 5m, four links": Case(Rates(request=M5, link=LINK, buffer=BUFFER), 4, 50 * LINK),
    "limit_rate 200k, four links": Case(Rates(request=K200, link=LINK), 4, 600e6),
}

CASES = EVEN | BURSTS | {f"{name}, noise": _noisy(case) for name, case in EVEN.items()}


class Row(NamedTuple):
    """What raydl did in a case, and what the best fixed numbers of lanes did."""

    own: Run
    fastest: Run
    earliest: Run

    @property
    def longer(self) -> float:
        """How much more time it took, as a share."""
        return self.own.seconds / self.fastest.seconds - 1

    @property
    def less(self) -> float:
        """How much less came at first, as a share."""
        return 1 - self.own.early / self.earliest.early


def compare(name: str) -> Row:
    """Measure a case with raydl's own number of lanes, and with each fixed one."""
    fixed = [fetch(CASES[name], lanes) for lanes in FIXED]
    fastest = min(fixed, key=lambda run: run.seconds)
    return Row(fetch(CASES[name]), fastest, max(fixed, key=lambda run: run.early))


def main() -> None:
    """Print a line for each case."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    arguments.add_argument("--save", action="store_true")
    given = arguments.parse_args()
    print("| case | s | best s (lanes) | more | MB at first | best MB (lanes) | less | lanes |")
    print("|---|---|---|---|---|---|---|---|")
    measured = {}
    with ProcessPoolExecutor() as pool:
        for name, row in zip(given.cases, pool.map(compare, given.cases), strict=True):
            own, fastest, earliest = row
            early, best = own.early / 1e6, earliest.early / 1e6
            measured[name] = [own.seconds, fastest.seconds, early, best]
            print(
                f"| {name} | {own.seconds:.1f} | {fastest.seconds:.1f} ({fastest.lanes}) "
                f"| {row.longer:+.0%} | {early:.0f} | {best:.0f} ({earliest.lanes}) "
                f"| {row.less:+.0%} | {own.lanes} |",
                flush=True,
            )
    if given.save:
        unit = "s, best fixed number's s, MB in 10 s, best fixed number's MB in 10 s"
        save("tuning", "the number of lanes, in simulated time", unit, measured)


if __name__ == "__main__":
    main()
