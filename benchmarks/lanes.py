"""What a part costs the scheduler, by the number of lanes and of parts; nothing else is slow.

    python benchmarks/lanes.py [--save]

Five Ray nodes on this machine, whose workers fetch small parts from an origin on loopback that is
never the limit; the driver itself fetches nothing. Processor time of the driver's process, all of
its threads and Ray's included, over the parts. A plan of 1 TiB is made beside it, to see that it
takes no memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from common import MIB, Command, make_file, nginx_command, ray_nodes, save, show

from raydl.model.parts import Part
from raydl.scheduler.plan import make_plan

PART = 64 << 10
CASES = [(64, 2_000), (256, 2_000), (64, 8_000), (256, 8_000)]
"""Lanes in all, and parts."""

NODES = 4


def processor_seconds(command: Command, env: dict[str, str]) -> float:
    """What this process takes, its own and the system's for it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **env}, check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def cost_a_part(rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time that a part adds, for each number of lanes and parts."""
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="rdl", dir="/dev/shm") as temp:
        folder = Path(temp)
        folder.chmod(0o755)
        (folder / "www").mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        for parts in {1, *(parts for _, parts in CASES)}:
            make_file(folder / "www" / str(parts), parts * PART)
        env = {
            "RAY_TMPDIR": temp, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip
        nginx = subprocess.Popen(nginx_command(folder, address))
        try:
            with ray_nodes(1 + NODES, 256 * MIB, env) as ray_address:

                def seconds(lanes: int, parts: int) -> float:
                    command = [
                        sys.executable, "-m", "raydl", "fetch", f"http://{address}/{parts}",
                        "-o", str(folder / "out"), "--address", ray_address, "--no-fetch-here",
                        "--connections", str(lanes // NODES), "--part-size", str(PART),
                        "--progress", "none", "--overwrite",
                    ]  # fmt: skip
                    return processor_seconds(command, env)

                for _ in range(rounds):
                    for lanes, parts in CASES:
                        spent = seconds(lanes, parts) - seconds(lanes, 1)
                        name = f"{lanes} lanes, {parts} parts"
                        measured.setdefault(name, []).append(spent / parts * 1000)
                        print(f"  {name:<24} {measured[name][-1]:.2f} ms a part", flush=True)
        finally:
            nginx.terminate()
            nginx.wait()
    return measured


def plan_of_a_tebibyte() -> dict[str, list[float]]:
    """Peak KiB of memory, and seconds, to go through a million parts of a plan of 1 TiB."""
    tracemalloc.start()
    began = time.monotonic()
    plan = make_plan(1 << 40, parts=1 << 20, part_size=MIB, window=256 * MIB)
    position, cuts = 0, 0
    while position < plan.size:
        part: Part = plan.cut(cuts, position, MIB)
        position, cuts = part.stop, cuts + 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cuts == 1 << 20
    return {"peak KiB": [peak / 1024], "seconds": [time.monotonic() - began]}


def main() -> None:
    """Measure, print, and save if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    for name, unit, measured in (
        ("lanes", "ms of processor time a part", cost_a_part(args.rounds)),
        ("plan", "as named", plan_of_a_tebibyte()),
    ):
        show(measured)
        if args.save:
            save(name, (__doc__ or "").splitlines()[0], unit, measured)


if __name__ == "__main__":
    main()
