"""Many files: raydl beside aria2c -j16 with the same list, in alternation.

    python benchmarks/many.py loopback disk delayed broken    on this machine, without a cluster
    sudo python benchmarks/many.py fleet mixed limited   on four hosts, as in fleet.py
    [--rounds 3] [--save]

Each run is a new process, its start included, into an empty folder; every file is compared. raydl's
last wait for the disk is in its time, aria2c leaves that to the system. ``cpu`` are the processor
seconds of the process that was started, with its children.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from common import KIB, MIB, Command, origin_command, save, show
from fleet import EVEN, PORT, Bench, Figures, bench, note
from hosts import ORIGIN, RAY_ADDRESS, why_not
from run import nginx

ARIA2C = ["aria2c", "-q", "-j16", "--file-allocation=none", "-i"]
RAYDL = [sys.executable, "-m", "raydl", "fetch", "--progress", "none", "-i"]


class Files:
    """Random files in ``folder``/www; the list of their URLs and what comes are at ``home``.

    ``seen`` is where commands see that.
    """

    def __init__(
        self, folder: Path, sizes: list[int], home: Path | None = None, seen: Path | None = None
    ) -> None:
        self._home = home or folder
        seen = seen or self._home
        self.list, self.out = seen / "list", seen / "out"
        (folder / "www").mkdir(exist_ok=True)
        self.digests: dict[str, bytes] = {}
        for number, size in enumerate(sizes):
            data = os.urandom(size)
            (folder / "www" / f"f{number}").write_bytes(data)
            self.digests[f"f{number}"] = hashlib.blake2b(data).digest()

    def at(self, url: str) -> None:
        """They are to be had there."""
        (self._home / "list").write_text("".join(f"{url}/{name}\n" for name in self.digests))

    def check(self) -> None:
        """All came, and nothing else; then they go."""
        out = self._home / "out"
        for name, digest in self.digests.items():
            if hashlib.blake2b((out / name).read_bytes()).digest() != digest:
                sys.exit(f"{name} is wrong")
        shutil.rmtree(out)

    def run(self, command: Command, prefix: Callable[[Command], Command] = list) -> list[float]:
        """Seconds of the command, and of its processors."""
        (self._home / "out").mkdir()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        done = subprocess.run(
            prefix(command), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        seconds = time.monotonic() - began
        if done.returncode:
            sys.exit(f"{command[0]} exited with {done.returncode}: {done.stderr[-500:]}")
        self.check()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return [seconds, sum(after[:2]) - sum(before[:2])]


@contextlib.contextmanager
def here(sizes: list[int], *flags: str, home: Path | None = None) -> Iterator[Files]:
    """Files at an nginx on loopback, or with ``flags`` at an origin that waits; what comes goes to
    memory, or to ``home``."""
    with tempfile.TemporaryDirectory(prefix="raydl-many", dir="/dev/shm") as temp:
        files = Files(Path(temp), sizes, home)
        if not flags:
            with nginx(Path(temp)) as url:
                files.at(url)
                yield files
            return
        command = origin_command(Path(temp), "127.0.0.1:0", *flags)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            files.at(f"http://127.0.0.1:{process.stdout.readline().split()[1]}")
            try:
                yield files
            finally:
                process.terminate()


def against_aria2c(
    files: Files, rounds: int, prefix: Callable[[Command], Command], *flags: str
) -> Figures:
    """raydl and aria2c in alternation."""
    figures: Figures = {}
    for _ in range(rounds):
        seconds, cpu = files.run(
            [*RAYDL, str(files.list), "--output-dir", str(files.out), *flags], prefix
        )
        theirs, cpu_theirs = files.run([*ARIA2C, str(files.list), "-d", str(files.out)], prefix)
        note(figures, raydl=seconds, aria2c=theirs, raydl_cpu=cpu, aria2c_cpu=cpu_theirs)
    return figures


def loopback(rounds: int) -> Figures:
    """2,000 files of 256 KiB, nginx on loopback, one machine."""
    with here([256 * KIB] * 2000) as files:
        return against_aria2c(files, rounds, list, "--address", "none")


def disk(rounds: int) -> Figures:
    """The same, to the disk of the current directory."""
    with (
        tempfile.TemporaryDirectory(prefix=".raydl-many", dir=".") as home,
        here([256 * KIB] * 2000, home=Path(home).absolute()) as files,
    ):
        return against_aria2c(files, rounds, list, "--address", "none")


def delayed(rounds: int) -> Figures:
    """2,000 files of 256 KiB, 50 ms before each answer, one machine."""
    with here([256 * KIB] * 2000, "--delay", "0.05") as files:
        return against_aria2c(files, rounds, list, "--address", "none")


@contextlib.contextmanager
def on_hosts(sizes: list[int]) -> Iterator[tuple[Files, Callable[[Command], Command]]]:
    """Files at an nginx before four hosts; what runs a command on their head."""
    with bench(EVEN, 1) as hosts, hosts.origin():
        memory = Path("/dev/shm")  # of the head alone
        files = Files(hosts.folder, sizes, hosts.hosts.head.path(str(memory)), memory)
        files.at(f"http://{ORIGIN}:{PORT}")

        def on_head(command: Command) -> Command:
            env = {**hosts.hosts.env, "RAY_ADDRESS": RAY_ADDRESS}
            given = [f"{name}={value}" for name, value in env.items()]
            return hosts.hosts.head.command(["env", *given, *command])

        yield files, on_head


def fleet(rounds: int) -> Figures:
    """20,000 files of 16 KiB, 4 hosts at 200 Mbit/s each."""
    with on_hosts([16 * KIB] * 20_000) as (files, on_head):
        return against_aria2c(files, rounds, on_head)


def mixed(rounds: int) -> Figures:
    """3 files of 400 MiB and 5,000 of 64 KiB among each other, 4 hosts at 200 Mbit/s each."""
    sizes = [64 * KIB] * 5000
    for place in (500, 2500, 4500):
        sizes.insert(place, 400 * MIB)
    with on_hosts(sizes) as (files, on_head):
        figures = against_aria2c(files, rounds, on_head)
    links = sum(EVEN) * 1e6 / 8
    figures["share of links"] = [sum(sizes) / seconds / links for seconds in figures["raydl"]]
    return figures


BROKEN = """
daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 2;
events {{ worker_connections 4096; }}
http {{
 access_log off; keepalive_requests 100000; client_body_temp_path {folder}/b;
 proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
 scgi_temp_path {folder}/s;
 server {{
  listen 127.0.0.1:{port}; root {folder}/www;
  location ~ /(f|wrong)[0-9]+$ {{ rewrite ^ /one break; }}
  location ~ /reset[0-9]+$ {{ return 444; }}
  location ~ /slow[0-9]+$ {{ proxy_pass http://127.0.0.1:{hole}; }}
 }}
}}
"""


def broken(rounds: int) -> Figures:
    """100,000 files of 1 KiB, of which 1,000 are missing, reset, silent or wrong; --timeout 2."""
    kinds = ("missing", "reset", "slow", "wrong")
    names = [f"{kinds[n // 100 % 4]}{n}" if n % 100 == 0 else f"f{n}" for n in range(100_000)]
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="raydl-many", dir="/dev/shm") as temp:
        folder = Path(temp)
        (folder / "www").mkdir()
        (folder / "www" / "one").write_bytes(os.urandom(KIB))
        with socket.socket() as hole, socket.socket() as free:  # the first one never answers
            hole.bind(("127.0.0.1", 0))
            hole.listen(4096)
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            config = BROKEN.format(folder=folder, port=port, hole=hole.getsockname()[1])
            (folder / "conf").write_text(config)
            lines = (
                f"http://127.0.0.1:{port}/{name}"
                + ("\t\tmd5:" + "0" * 32 if name.startswith("wrong") else "")
                for name in names
            )
            (folder / "list").write_text("\n".join(lines))
            user = ["-g", "user root;"] if os.geteuid() == 0 else []
            command = ["nginx", "-c", str(folder / "conf"), "-e", str(folder / "error"), *user]
            with subprocess.Popen(command) as process:
                try:
                    for _ in range(rounds):
                        note(figures, **one_broken(folder))
                finally:
                    process.terminate()
    return figures


def one_broken(folder: Path) -> dict[str, float]:
    """A run, which must fail for what is broken, and for nothing else."""
    out, report = folder / "out", folder / "report.jsonl"
    command = [
        *RAYDL, str(folder / "list"), "--output-dir", str(out), "--report", str(report),
        "--timeout", "2", "--retries", "1", "--address", "none",
    ]  # fmt: skip
    began = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        _, _, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    failed = Counter(
        line["path"].rstrip("0123456789")
        for line in map(json.loads, report.open())
        if line["state"] == "failed"
    )
    there = sum(1 for path in out.iterdir() if path.name.startswith("f"))
    if set(failed.values()) != {250} or len(failed) != 4 or there != 99_000:
        sys.exit(f"{there} files are there, and failed are {dict(failed)}")
    shutil.rmtree(out)
    return {"seconds": seconds, "MiB": usage.ru_maxrss / KIB}


LIMITED = """
daemon off; pid {folder}/pid; error_log {folder}/error crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
 log_format times "$msec $status"; access_log {folder}/log times; keepalive_requests 100000;
 limit_req_zone $server_port zone=all:1m rate=100r/s;
 server {{
  listen {address}; root {folder}/www;
  location ~ /f[0-9]+$ {{ limit_req zone=all burst=20 nodelay; rewrite ^ /one break; }}
 }}
}}
"""


def limited(rounds: int) -> Figures:
    """3,000 files of 1 KiB, nginx with limit_req 100r/s burst=20 for all, 4 hosts."""
    figures: Figures = {}
    with bench(EVEN, 1) as hosts:
        folder, address = hosts.folder, f"{ORIGIN}:{PORT}"
        (folder / "www" / "one").write_bytes(os.urandom(KIB))
        (folder / "conf").write_text(LIMITED.format(folder=folder, address=address))
        list_of = hosts.hosts.head.path("/dev/shm") / "list"
        list_of.write_text("".join(f"http://{address}/f{n}\n" for n in range(3000)))
        nginx = [
            "nginx",
            "-c",
            str(folder / "conf"),
            "-e",
            str(folder / "error"),
            "-g",
            "user root;",
        ]
        with subprocess.Popen(hosts.hosts.origin.command(nginx)) as process:
            try:
                for _ in range(rounds):
                    note(figures, **one_limited(hosts))
            finally:
                process.terminate()
    return figures


def one_limited(hosts: Bench) -> dict[str, float]:
    """A run: the share of refusals after two seconds, and what was served a second from then on."""
    given = [f"{name}={value}" for name, value in hosts.hosts.env.items()]
    command = ["env", *given, f"RAY_ADDRESS={RAY_ADDRESS}", *RAYDL, "/dev/shm/list"]
    log = hosts.folder / "log"
    log.write_text("")
    done = subprocess.run(
        hosts.hosts.head.command([*command, "--output-dir", "/dev/shm/out"]),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"raydl exited with {done.returncode}: {done.stderr[-500:]}")
    shutil.rmtree(hosts.hosts.head.path("/dev/shm") / "out")
    answers = [line.split() for line in log.read_text().splitlines()]
    first, last = float(answers[0][0]) + 2, float(answers[-1][0])
    later = [status for at, status in answers if float(at) > first]
    refused = sum(status == "503" for status in later)
    served = (len(later) - refused) / (last - first)
    return {"refused %": 100 * refused / len(later), "served a second": served}


CASES: dict[str, Callable[[int], Figures]] = {
    case.__name__: case for case in (loopback, disk, delayed, broken, fleet, mixed, limited)
}


def main() -> None:
    """Run the cases that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="+", choices=CASES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    for name in args.cases:
        case = CASES[name]
        if name in ("fleet", "mixed", "limited") and (why := why_not()):
            sys.exit(why)
        print(f"{name}: {case.__doc__}", flush=True)
        figures = case(args.rounds)
        show(figures)
        if args.save:
            save(f"many-{name}", case.__doc__ or "", "seconds", figures)


if __name__ == "__main__":
    main()
