"""Which cluster is meant, found out without importing ray: a file, a variable, a socket."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from raydl.cluster.head import check_listener
from raydl.cluster.process import PROCESS
from raydl.model.errors import ClusterError, UsageError
from raydl.settings.ownfile import NotOwnError, read_own

DEFAULT_PORT = 6379
CLIENT_SCHEME = "ray://"
CLIENT_PORT = 10001

SIOCGIFADDR = 0x8915
"""Linux's request for the address of an interface."""


@dataclass(frozen=True)
class ClusterChoice:
    """The cluster to use.

    ``how`` is ``none`` (this machine alone), ``session`` (this process is connected already),
    ``cluster`` (``address`` is HOST:PORT), ``client`` (``ray://…``) or ``local`` (start one).
    ``note`` is a line for a person that says which it is and why. ``purpose`` is what a connection
    is first made for, such as a file's name: others may use it later.
    """

    how: str
    address: str
    note: str
    purpose: str = field(default="", compare=False)


def choose(address: str) -> ClusterChoice:
    """The cluster that ``--address`` means.

    Raises UsageError for a malformed address, and ClusterError where an address was given, by
    flag or RAY_ADDRESS, and nothing that could be a Ray head listens there.
    """
    if address == "none":
        return ClusterChoice("none", "", "this machine alone, as chosen")
    if address == "auto":
        return _automatic()
    if address == "local":
        return ClusterChoice("local", "", "a Ray of its own on this machine")
    return _named(address, "")


def may_be_cluster(address: str) -> bool:
    """Whether ``--address`` may mean Ray, without a look at whether that is there."""
    if address == "auto":
        return bool(os.environ.get("RAY_ADDRESS", "").strip() or left_by_ray_start())
    return address != "none"


def _automatic() -> ClusterChoice:
    if _session_is_open():
        return ClusterChoice("session", "", "the Ray session of this process")
    named = os.environ.get("RAY_ADDRESS", "").strip()
    if named == "local":
        return ClusterChoice("local", "", "a Ray of its own on this machine (RAY_ADDRESS)")
    if named and named != "auto":
        return _named(named, "RAY_ADDRESS")
    left = left_by_ray_start()
    if left is None:
        return ClusterChoice("none", "", "this machine alone: no Ray cluster was started here")
    try:
        host, port = parse_address(left)
        check_listener(host, port)
    except (ClusterError, UsageError):
        note = f"this machine alone: the Ray cluster that was at {left} is gone"
        return ClusterChoice("none", "", note)
    return ClusterChoice("cluster", left, f"the Ray cluster at {left} (ray start)")


def _named(address: str, source: str) -> ClusterChoice:
    how = "client" if address.startswith(CLIENT_SCHEME) else "cluster"
    host, port = parse_address(
        address.removeprefix(CLIENT_SCHEME), CLIENT_PORT if how == "client" else 0
    )
    start = (
        'start one there, with "ray[client]" installed: '
        f"ray start --head --ray-client-server-port={port}"
        if how == "client"
        else how_to_start(port)
    )
    try:
        check_listener(host, port, start)
    except ClusterError as error:
        if source:
            error = ClusterError(f"{source}: {error.message}", error.hint)
        raise error from None
    plain = join_address(host, port)
    plain = CLIENT_SCHEME + plain if how == "client" else plain
    named_by = f" ({source})" if source else ""
    return ClusterChoice(how, plain, f"the Ray cluster at {plain}{named_by}")


def parse_address(address: str, default_port: int = 0) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` as (host, port); UsageError for anything else."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([\w.-]+))(?::(\d{1,5}))?", address)
    port = int(match[3]) if match and match[3] else default_port or DEFAULT_PORT
    if match is None or not 0 < port < 65536:
        raise UsageError(
            f"{address.rpartition('@')[2]!r} is no Ray address",
            f"write HOST:PORT (Ray's port is usually {DEFAULT_PORT}), auto, none or local",
        )
    return match[1] or match[2], port


def join_address(host: str, port: int) -> str:
    """The inverse of ``parse_address``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def how_to_start(port: int) -> str:
    """The hint for an address at which there is no head."""
    return f"start one there with: raydl coordinator --port {port}"


def is_here(host: str) -> bool:
    """Whether that is an address of this machine."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind(address)
                return True
            except OSError:
                continue
    return False


def own_addresses() -> list[str]:
    """This machine's addresses at which others may reach it, as far as they are easily known.

    The one from which it reaches others comes first; finding it sends nothing.
    """
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1: RFC 5737
        found.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        named = socket.getaddrinfo(socket.gethostname(), 0, socket.AF_INET, socket.SOCK_STREAM)
        found += [address[0] for *_, address in named]
    found += _addresses_of_interfaces()
    own = dict.fromkeys(str(address) for address in found if is_here(str(address)))
    return [address for address in own if not address.startswith("127.")]


def _addresses_of_interfaces() -> list[str]:
    """One of each network interface, by netdevice(7); none where that is not Linux's."""
    if not sys.platform.startswith("linux"):
        return []
    import fcntl

    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has none
                request = struct.pack("256s", name.encode()[:15])
                answer = fcntl.ioctl(any_socket.fileno(), SIOCGIFADDR, request)
                found.append(socket.inet_ntoa(answer[20:24]))
    return found


def left_by_ray_start() -> str | None:
    """The address in the file that `ray start` leaves, by default /tmp/ray/ray_current_cluster."""
    try:
        # In a directory where anyone may write, another user could name a cluster of theirs.
        return read_own(_address_file()).strip() or None
    except (OSError, ValueError, NotOwnError):
        return None


def forget(address: str) -> None:
    """Remove that file where it names ``address``, whose node has ended.

    Ray would try to connect there, for ever or until it fails, instead of starting a new one.
    """
    if left_by_ray_start() == address:
        with contextlib.suppress(OSError):
            _address_file().unlink()


def _address_file() -> Path:
    base = os.environ.get("RAY_TMPDIR")
    if base is None and sys.platform == "linux":
        base = os.environ.get("TMPDIR")
    if base is None:
        base = "/tmp" if sys.platform != "win32" else tempfile.gettempdir()
    return Path(base) / "ray" / "ray_current_cluster"


def session_id(ray: ModuleType) -> str:
    """Names the session to which this process is connected."""
    try:
        return str(ray.get_runtime_context().get_worker_id())
    except Exception:  # Ray's client does not tell
        return "client"


def _session_is_open() -> bool:
    ray = sys.modules.get("ray")
    # Without the attribute, another thread is importing it right now.
    is_initialized = getattr(ray, "is_initialized", None)
    if ray is None or is_initialized is None or not is_initialized():
        return False
    return not PROCESS.is_kept(session_id(ray))
