"""Hosts that are each to have a file in their /data, and what brings it there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import MIB, Command, private_bytes
from fleet import Bench, Run, Watch
from hosts import RAY_ADDRESS
from swarm import torrent

FOLDER, NAME, DONE = "/data", "file", "done"
SOME_MISSING = 10
"""raydl's exit code when some nodes do not have the file."""

ARIA2C = ["aria2c", "-q", "-k1M", "--file-allocation=none", "-d", FOLDER]
ALONE = ["-x16", "-s16"]
PIECE = MIB
SWARM = [
    "-x1", "-s1", "--stream-piece-selector=random", "--bt-request-peer-speed-limit=200M",
    "--bt-max-peers=0", "--enable-dht=false", "--seed-ratio=0",
    "--on-bt-download-complete=/shared/mark",
]  # fmt: skip
"""The best that was found; what was tried stands in everynode.py."""

TRACKER_PORT = 6969


class Nodes:
    """Hosts, each of which is to have the file in its /data."""

    def __init__(self, fleet: Bench, ballast: Path | None) -> None:
        self.fleet, self.hosts, self._ballast = fleet, fleet.hosts, ballast
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
        self._settle()
        return self.fleet.fetch(flags, watch, codes=(0, SOME_MISSING))

    def _settle(self) -> None:
        """What was before is no matter of the next run: what it wrote, what memory it freed."""
        os.sync()
        if self._ballast is not None:
            with self._ballast.open("rb", buffering=0) as file:
                while file.read(16 * MIB):
                    pass

    def alone(self) -> float:
        """Seconds until aria2c has ended on each host."""
        with self._aria2c(*ALONE, "-o", NAME, self.fleet.url) as (processes, began):
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
        self._settle()
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
                    if command.startswith(b"ray::") and b"Agent" not in command:
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
