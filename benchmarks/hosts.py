"""Hosts on one machine: network namespaces with a shaped link to an origin each, and Ray nodes.

Every host has two links. ``wan`` leads to the origin and is as fast as the host was given;
``lan`` joins the hosts and is not limited. A host has a /tmp/ray and a /dev/shm of its own, so
that Ray moves objects from host to host over TCP, as it does between machines. On this machine's
disk are a /data of its own, which outlives its power, and a /shared, which all hosts have. Needs
root, iproute2 and util-linux.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

PREFIX = "rdlb"
WAN, LAN = "10.181.0", "10.182.0"
ORIGIN = f"{WAN}.1"
HEAD = "head"
RAY_PORT = 6379
RAY_ADDRESS = f"{LAN}.2:{RAY_PORT}"
STORE_BYTES = 1_000_000_000
SHARED = "shared"

PAYLOAD_SHARE = 1448 / 1514
"""Of what a link carries, what is left of an Ethernet frame of 1514 bytes for the file: 14 bytes
of Ethernet, 20 of IPv4 and 32 of TCP with time stamps go."""

STEPS = ("ip", "unshare", "bash")
"""The processes that make way for one another until a host's Ray runs, by name."""

Command = list[str]


def why_not() -> str:
    """Why hosts cannot be made here; empty where they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "tc", "unshare", "nsenter") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True, text=True)


class Host:
    """A namespace, with its Ray node once that is started."""

    def __init__(self, name: str, number: int, mbit: float | None, temp: Path) -> None:
        self.name, self.space = name, f"{PREFIX}-{name}"
        self.lan_address = f"{LAN}.{number}"
        self._temp = temp / name
        self._raylet: subprocess.Popen[bytes] | None = None
        self._clear()  # what a run that was killed has left
        _ip("netns", "add", self.space)
        _ip("-n", self.space, "link", "set", "lo", "up")
        for link, net in (("wan", WAN), ("lan", LAN)):
            port = self._port(link)
            _ip("link", "add", port, "type", "veth", "peer", "name", link, "netns", self.space)
            _ip("link", "set", port, "master", f"{PREFIX}-{link}", "up")
            _ip("-n", self.space, "addr", "add", f"{net}.{number}/24", "dev", link)
            _ip("-n", self.space, "link", "set", link, "up")
        if mbit is not None:
            self.limit("wan", mbit)

    def _port(self, link: str) -> str:
        return f"{PREFIX}{self.name}{link[0]}"

    def link(self, which: str, state: str) -> None:
        """Cut a link (``down``), or mend it (``up``)."""
        _ip("link", "set", self._port(which), state)

    def limit(self, which: str, mbit: float) -> None:
        """Limit what a link brings to this host, in Mbit/s."""
        shape = f"root tbf rate {mbit}mbit burst 256kb latency 50ms"
        qdisc = ["tc", "qdisc", "replace", "dev", self._port(which), *shape.split()]
        subprocess.run(qdisc, check=True, capture_output=True)

    def command(self, command: Command) -> Command:
        """``command`` as a process of this host."""
        if self._raylet is None:
            return ["ip", "netns", "exec", self.space, *command]
        pid = str(self._raylet.pid)
        return ["nsenter", "-t", pid, "-m", "-n", f"--wd={os.getcwd()}", "--", *command]

    def path(self, path: str) -> Path:
        """A file of this host, whose Ray runs, as it is seen from outside."""
        assert self._raylet is not None
        return Path(f"/proc/{self._raylet.pid}/root{path}")

    @property
    def data(self) -> Path:
        """Its /data, as it is seen from outside."""
        return self._temp / "data"

    @property
    def runs_ray(self) -> bool:
        """Whether its Ray node was started, and not killed."""
        return self._raylet is not None

    def start_ray(self, env: dict[str, str]) -> None:
        """Start its Ray node; returns at once."""
        binds = {
            Path("/tmp/ray"): self._temp / "ray",
            Path("/data"): self.data,
            Path("/shared"): self._temp.parent / SHARED,
        }
        for inside, outside in binds.items():
            inside.mkdir(exist_ok=True)
            outside.mkdir(parents=True, exist_ok=True)
        ray = [
            str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1",
            f"--node-ip-address={self.lan_address}", f"--object-store-memory={STORE_BYTES}",
        ]  # fmt: skip
        if self.name == HEAD:
            ray += ["--head", f"--port={RAY_PORT}", "--include-dashboard=false"]
        else:
            ray.append(f"--address={RAY_ADDRESS}")
        mounts = " && ".join(
            [
                "mount --make-rprivate /",
                *(f"mount --bind {outside} {inside}" for inside, outside in binds.items()),
                "mount -t tmpfs -o size=6g tmpfs /dev/shm",
                'exec "$@"',
            ]
        )
        steps = ["ip", "netns", "exec", self.space, "unshare", "--mount", "bash", "-c", mounts, ""]
        with (self._temp / "log").open("wb") as log:
            self._raylet = subprocess.Popen(
                [*steps, *ray],
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        # Who enters the host before these have made way for Ray would miss its mounts.
        cmdline = Path(f"/proc/{self._raylet.pid}/cmdline")
        while Path(os.fsdecode(cmdline.read_bytes().split(b"\0")[0])).name in STEPS:
            time.sleep(0.01)

    def kill(self) -> None:
        """End every process of this host at once, like a power cut."""
        while pids := self._pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self._raylet is not None:
                self._raylet.wait()
            time.sleep(0.05)
        self._raylet = None

    def _pids(self) -> list[int]:
        found = subprocess.run(
            ["ip", "netns", "pids", self.space], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    def remove(self) -> None:
        """Leave nothing of it."""
        self.kill()
        self._clear()

    def _clear(self) -> None:
        # With a namespace its links go too, but only some time later.
        for gone in (
            ["link", "del", self._port("wan")],
            ["link", "del", self._port("lan")],
            ["netns", "del", self.space],
        ):
            subprocess.run(["ip", *gone], check=False, capture_output=True)


class Hosts:
    """An origin's host, a head and workers; ``with`` it, and nothing is left afterwards."""

    def __init__(self, mbit: list[float]) -> None:
        """``mbit``: the head's link and each worker's, in Mbit/s."""
        self._mbit = mbit
        self.links = dict(zip([HEAD, *(f"w{i}" for i in range(1, len(mbit)))], mbit, strict=True))
        self.env = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._close = contextlib.ExitStack()

    def __enter__(self) -> Hosts:
        with contextlib.ExitStack() as stack:
            temp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
            self.shared = temp / SHARED
            self.shared.mkdir()
            for link in ("wan", "lan"):
                _ip("link", "add", f"{PREFIX}-{link}", "type", "bridge")
                stack.callback(_ip, "link", "del", f"{PREFIX}-{link}")
                _ip("link", "set", f"{PREFIX}-{link}", "up")
            self.origin = Host("org", 1, None, temp)
            stack.callback(self.origin.remove)
            self.hosts: dict[str, Host] = {}
            for number, (name, mbit) in enumerate(self.links.items(), 2):
                self.hosts[name] = Host(name, number, mbit, temp)
                stack.callback(self.hosts[name].remove)
            self._close = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._close.close()

    @property
    def head(self) -> Host:
        """Where drivers run."""
        return self.hosts[HEAD]

    def bytes_a_second(self, *without: str) -> float:
        """What the links bring together, of the file itself."""
        mbit = sum(rate for name, rate in self.links.items() if name not in without)
        return mbit * 1e6 / 8 * PAYLOAD_SHARE

    def start_ray(self, *names: str) -> None:
        """Start the Ray nodes of these hosts; returns when all nodes are alive."""
        for name in names:
            self.hosts[name].start_ray(self.env)
            if name == HEAD:
                self._wait_for(1)
        running = sum(host.runs_ray for host in self.hosts.values())
        self._wait_for(running)

    def cut_power(self, name: str) -> None:
        """End every process of a host; returns when Ray has noticed."""
        host = self.hosts[name]
        host.kill()
        for nodes in self.alive():
            if host.lan_address not in nodes:
                return

    def _wait_for(self, count: int) -> None:
        for nodes in self.alive():
            if len(nodes) == count:
                return

    def alive(self) -> Iterator[list[str]]:
        """Again and again, the addresses of the Ray nodes that are alive; for 90 seconds."""
        code = WATCH.format(address=RAY_ADDRESS, ip=self.head.lan_address)
        end = time.monotonic() + 90
        while time.monotonic() < end:
            # A head that is not ready yet ends the whole process: another one tries again.
            watcher = subprocess.Popen(
                self.head.command([sys.executable, "-c", code]),
                env={**os.environ, **self.env},
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            assert watcher.stdout is not None
            try:
                for line in watcher.stdout:
                    if line.startswith("["):  # and not what Ray has to say
                        yield json.loads(line)
            finally:
                watcher.kill()
                watcher.wait()
            time.sleep(0.5)
        raise TimeoutError("the Ray nodes did not come")


WATCH = """
import json, time
import ray
ray.init("{address}", _node_ip_address="{ip}", log_to_driver=False, logging_level="ERROR")
while True:
    print(json.dumps([n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"]]), flush=True)
    time.sleep(0.1)
"""
