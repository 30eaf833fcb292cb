"""Compare raydl with curl, aria2c and hf_transfer on this machine, in alternation.

    python benchmarks/run.py embedded https disk bursts interrupted capped delayed ...

An nginx on loopback serves random bytes. Every command is a new process, its start included.
Runs of the competitors alternate, and medians and ratios are printed; with --save they also go
to benchmarks/results/. Files are written to --folder, by default memory (/dev/shm), so that the
disk is not what is measured, where a case is not about one. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from common import (
    GIB,
    MIB,
    Command,
    free_address,
    make_file,
    nginx_command,
    origin_command,
    private_bytes,
    ray_nodes,
    save,
)

RAYDL = [sys.executable, "-m", "raydl"]
Measured = dict[str, list[float]]

BY_HAND = [
    "--connections 16",
    "--connections 64",
    "--connections 16 --parts 16",
    "--connections 64 --parts 64",
]
"""What somebody might find who tries flags."""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[tuple[str, str]]:
    """Serves ``folder``/www on free ports of loopback: its URLs, without and with TLS."""
    plain, tls = free_address(), free_address()
    process = subprocess.Popen(nginx_command(folder, plain, tls=tls))
    try:
        while True:
            with contextlib.suppress(OSError):
                host, _, port = plain.rpartition(":")
                socket.create_connection((host, int(port)), 1).close()
                break
            if process.poll() is not None:
                sys.exit((folder / "error").read_text())
        yield f"http://{plain}", f"https://{tls}"
    finally:
        process.terminate()
        process.wait()


def run(command: Command, out: Path, env: dict[str, str]) -> tuple[float, float]:
    """Seconds that a command takes in ``out``, and seconds of processors, the system's included."""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=out,
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} exited with {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def alternate(
    commands: dict[str, Command], rounds: int, out: Path, env: dict[str, str]
) -> tuple[Measured, Measured]:
    """Seconds of each command, and of processors, round by round; what is there goes before."""
    seconds: Measured = {name: [] for name in commands}
    processor: Measured = {name: [] for name in commands}
    for number in range(-1, rounds):  # the first round warms caches up and does not count
        for name, command in commands.items():
            for left in out.iterdir():
                left.unlink()
            os.sync()  # or one pays for what the one before it has left to be written
            took, spent = run(command, out, env)
            if number >= 0:
                seconds[name].append(took)
                processor[name].append(spent)
                print(f"  {name:<28} {took:6.2f} s, {spent:6.2f} s of processors", flush=True)
    return seconds, processor


def raydl(url: str, *more: str) -> Command:
    """The command that fetches ``url``, on this machine alone unless ``more`` says otherwise."""
    return [*RAYDL, "fetch", url, "-o", "out", "--progress", "none", "--address", "none", *more]


ARIA2C = ["aria2c", "-q", "-x16", "-s16", "-k1M", "--file-allocation=none", "-o", "out"]


def peers(url: str, cacert: str) -> dict[str, Command]:
    """The others that are installed, with the flags of the comparison."""
    found: dict[str, Command] = {}
    if shutil.which("curl"):
        found["curl"] = ["curl", "-sf", "--cacert", cacert, "-o", "out", url]
    if shutil.which("aria2c"):
        found["aria2c -x4 -s4"] = [
            "aria2c", "-q", "-x4", "-s4", "--file-allocation=none", f"--ca-certificate={cacert}",
            "-o", "out", url,
        ]  # fmt: skip
    if url.startswith("https:"):  # it cannot be told of a certificate
        return found
    if (
        subprocess.run([sys.executable, "-c", "import hf_transfer"], capture_output=True).returncode
        == 0
    ):
        code = f"import hf_transfer; hf_transfer.download({url!r}, 'out', 4, 16 << 20)"
        found["hf_transfer"] = [sys.executable, "-c", code]
    return found


class Bench:
    """What the cases share. ``out`` is in memory, and ``disk`` on a disk."""

    def __init__(
        self, folder: Path, out: Path, disk: Path, urls: tuple[str, str], rounds: int
    ) -> None:
        self.folder, self.out, self.disk, self.rounds = folder, out, disk, rounds
        self.url, self.tls_url = urls
        self.cacert = str(folder / "cert.pem")
        self.processor: Measured = {}
        """Of the commands that were compared: seconds of processors."""

    def file(self, name: str, size: int) -> tuple[str, str]:
        """URL and sha256 of a served file of ``size`` random bytes."""
        path = self.folder / "www" / name
        return f"{self.url}/{name}", make_file(path, size)

    def compare(
        self,
        commands: dict[str, Command],
        env: dict[str, str] | None = None,
        out: Path | None = None,
    ) -> Measured:
        """Seconds of each command, in alternation."""
        measured, self.processor = alternate(commands, self.rounds, out or self.out, env or {})
        return measured


def embedded(bench: Bench) -> Measured:
    """1 GiB, one machine, to memory: raydl beside curl, aria2c and hf_transfer."""
    url, _ = bench.file("1g", GIB)
    return bench.compare({"raydl": raydl(url), **peers(url, bench.cacert)})


def https(bench: Bench) -> Measured:
    """1 GiB over TLS 1.3, one machine, to memory."""
    bench.file("1g", GIB)
    url = f"{bench.tls_url}/1g"
    ours = raydl(url, "--cacert", bench.cacert)
    return bench.compare({"raydl": ours, **peers(url, bench.cacert)})


def disk(bench: Bench) -> Measured:
    """1 GiB, one machine, to a disk."""
    url, _ = bench.file("1g", GIB)
    return bench.compare({"raydl": raydl(url), **peers(url, bench.cacert)}, out=bench.disk)


BURSTS = {"200k": 20 * MIB, "1m": 300 * MIB, "5m": 256 * MIB, "20m": GIB}


def bursts(bench: Bench) -> Measured:
    """nginx with limit_rate: a second's worth at once, then the cap."""
    measured: Measured = {}
    for cap, size in BURSTS.items():
        bench.file("bursts", size)
        url = f"{bench.url}/{cap}/bursts"
        commands = {f"raydl, {cap}": raydl(url), f"aria2c -x16, {cap}": [*ARIA2C, url]}
        measured |= bench.compare(commands)
    return measured


def checksum(bench: Bench) -> Measured:
    """1 GiB with --checksum: what the digest adds, beside the bare hashing of the file."""
    url, digest = bench.file("1g", GIB)
    path = bench.folder / "www" / "1g"
    code = f"import hashlib; hashlib.file_digest(open({str(path)!r}, 'rb'), 'sha256')"
    return bench.compare(
        {
            "raydl": raydl(url),
            "raydl --checksum": raydl(url, "--checksum", f"sha256:{digest}"),
            "hashing alone": [sys.executable, "-c", code],
        }
    )


def small(bench: Bench) -> Measured:
    """1 MiB all in, and --help."""
    url, _ = bench.file("1m", 1 << 20)
    return bench.compare({"raydl 1 MiB": raydl(url), "raydl --help": [*RAYDL, "--help"]})


@contextlib.contextmanager
def odd_origin(bench: Bench, *flags: str, size: int = 256 * MIB) -> Iterator[str]:
    """The URL of a file from an origin that waits, caps or breaks down."""
    bench.file("odd", size)
    command = origin_command(bench.folder, "127.0.0.1:0", *flags)
    origin = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert origin.stdout is not None
    try:
        yield f"http://127.0.0.1:{origin.stdout.readline().split()[1]}/odd"
    finally:
        origin.terminate()
        origin.wait()


def interrupted(bench: Bench) -> Measured:
    """nginx with limit_rate 1m, 16 connections: percent fetched twice after 8 s and an end."""
    with (bench.folder / "www" / "endless").open("wb") as file:
        file.truncate(16 * GIB)
    command = [*RAYDL, "fetch", f"{bench.url}/1m/endless", "-o", "out", "--address", "none"]
    command += ["--progress", "json", "--connections", "16"]
    twice: Measured = {"kill -9": [], "Ctrl-C": []}
    for _ in range(bench.rounds):
        for name, how in (("kill -9", signal.SIGKILL), ("Ctrl-C", signal.SIGINT)):
            fetched = until(command, bench.disk, "progress", "fetched", how, 8.0)
            kept = until(command, bench.disk, "resumed", "kept", signal.SIGKILL)
            twice[name].append(100 * (fetched - kept) / fetched)
            print(f"  {name:<28} {twice[name][-1]:6.2f} %", flush=True)
            for left in bench.disk.iterdir():
                left.unlink()
    return twice


def until(
    command: Command, folder: Path, event: str, field: str, how: int, seconds: float = 0.0
) -> int:
    """Run it for so long, and end it with a signal; what the last event of a kind said."""
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    began, found = time.monotonic(), 0
    for line in process.stderr:
        told = json.loads(line) if line.startswith("{") else {}
        found = told.get(field, found) if told.get("event") == event else found
        if found and time.monotonic() - began >= seconds:
            process.send_signal(how)
            seconds = math.inf
    process.wait()
    return found


def capped(bench: Bench) -> Measured:
    """256 MiB from an origin that gives each connection 5 MB/s; no flags for raydl."""
    with odd_origin(bench, "--cap", "5e6") as url:
        return bench.compare(
            {
                "raydl": raydl(url),
                "aria2c -x16 -s16 -k1M": [*ARIA2C, url],
                **{f"raydl {flags}": raydl(url, *flags.split()) for flags in BY_HAND},
            }
        )


def collapsing(bench: Bench) -> Measured:
    """1 GiB, 5 MB/s a connection up to 16, above that a hundredth: no flags, and fixed numbers."""
    with odd_origin(bench, "--cap", "5e6", "--most", "16", size=GIB) as url:
        fixed = (["--connections", number] for number in ("8", "16"))
        named = {f"raydl {' '.join(flags)}": raydl(url, *flags) for flags in fixed}
        return bench.compare({"raydl": raydl(url), **named})


def delayed(bench: Bench) -> Measured:
    """256 MiB from an origin that waits 100 ms before each answer; no flags for raydl."""
    with odd_origin(bench, "--delay", "0.1", "--cap", "25e6") as url:
        return bench.compare(
            {
                "raydl": raydl(url),
                **{f"raydl {flags}": raydl(url, *flags.split()) for flags in BY_HAND},
            }
        )


def memory(bench: Bench) -> Measured:
    """Peak private memory of the driver in MiB for 4 GiB, alone and on two nodes."""
    url, _ = bench.file("4g", 4 * GIB)
    peaks: Measured = {"embedded": [], "two nodes": []}
    with two_nodes() as (address, env):
        for _ in range(bench.rounds):
            for name, where in (("embedded", "none"), ("two nodes", address)):
                for left in bench.out.iterdir():
                    left.unlink()
                command = [*raydl(url), "--address", where]
                peaks[name].append(peak_private(command, bench.out, env))
                print(f"  {name:<28} {peaks[name][-1]:6.0f} MiB", flush=True)
    return peaks


def cluster(bench: Bench) -> Measured:
    """1 GiB on a running cluster of two nodes on this machine, beside one machine alone."""
    url, _ = bench.file("1g", GIB)
    with two_nodes() as (address, env):
        return bench.compare(
            {
                "embedded": raydl(url),
                "two nodes": [*raydl(url), "--address", address],
                "two nodes, not here": [*raydl(url), "--address", address, "--no-fetch-here"],
            },
            env,
        )


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a cluster of two nodes, and the environment of its drivers."""
    with tempfile.TemporaryDirectory(prefix="rdl", ignore_cleanup_errors=True) as temp:
        env = {"RAY_TMPDIR": temp, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        with ray_nodes(2, GIB, env) as address:
            yield address, env


def peak_private(command: Command, out: Path, env: dict[str, str]) -> float:
    """Peak of private memory (smaps_rollup, clean and dirty) of a command, in MiB."""
    process = subprocess.Popen(command, cwd=out, env={**os.environ, **env})
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, private_bytes(process.pid))

    thread = threading.Thread(target=watch)
    thread.start()
    code = process.wait()
    done.set()
    thread.join()
    if code:
        sys.exit(f"{' '.join(command)} exited with {code}")
    return peak / MIB


CASES: dict[str, Callable[[Bench], Measured]] = {
    case.__name__: case for case in (
        embedded, https, disk, bursts, interrupted, capped, collapsing, delayed, checksum, small,
        memory, cluster,
    )
}  # fmt: skip


UNITS = {"memory": "MiB", "interrupted": "percent"}


def main() -> None:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    cases = "\n".join(f"{name}: {case.__doc__}" for name, case in CASES.items())
    parser.add_argument("cases", nargs="*", choices=list(CASES), metavar="CASE", help=cases)
    parser.add_argument("--rounds", type=int, default=5)
    shm = Path("/dev/shm")
    parser.add_argument("--folder", type=Path, default=shm if shm.is_dir() else None)
    parser.add_argument("--disk", type=Path, help="a folder on a disk, for the case of that name")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="raydl-bench", dir=args.folder) as temp,
        tempfile.TemporaryDirectory(prefix="raydl-bench", dir=args.disk) as disk_folder,
    ):
        folder, out = Path(temp), Path(temp) / "out"
        folder.chmod(0o755)
        out.mkdir()
        (folder / "www").mkdir()
        with nginx(folder) as urls:
            for name in args.cases or CASES:
                print(f"{name}: {CASES[name].__doc__}")
                bench = Bench(folder, out, Path(disk_folder), urls, args.rounds)
                measured = CASES[name](bench)
                first = statistics.median(next(iter(measured.values())))
                for what, values in measured.items():
                    median = statistics.median(values)
                    spent = bench.processor.get(what)
                    print(
                        f"{what:<30} median {median:7.2f}  best {min(values):7.2f}  "
                        f"ratio {first / median:5.2f}"
                        + (f"  processors {statistics.median(spent):6.2f}" if spent else ""),
                        flush=True,
                    )
                if args.save:
                    unit = UNITS.get(name, "seconds")
                    measured |= {
                        f"{what}, processors": spent for what, spent in bench.processor.items()
                    }
                    save(name, CASES[name].__doc__ or "", unit, measured)


if __name__ == "__main__":
    main()
