"""What examines a machine, on that machine. It is shipped to nodes, which need no raydl."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from raydl.model.remote import Source
from raydl.origin.client import Origin

SHARED_MEMORY = "/dev/shm"


class Examiner:
    """Answers as tuples, which cross Ray without a class of ours."""

    def facts(self, directory: str) -> tuple[Any, ...]:
        """The fields of MachineFacts, the disk that of ``directory``, with pairs for rooms."""
        return (
            platform.python_version(),
            _ray_version(),
            _open_files(),
            _room(directory),
            _room(SHARED_MEMORY),
            time.time(),
        )

    def clock(self) -> float:
        """The time."""
        return time.time()

    def knock(self, host: str, ports: Sequence[int], seconds: float) -> tuple[int, ...]:
        """Those of the ports to which no connection comes about."""
        return closed_ports(host, ports, seconds)

    def reach(
        self, packed: tuple[Any, ...], ca: str | None
    ) -> tuple[float, tuple[Any, ...] | None]:
        """Seconds until the first byte of a Source's file was there, and the Failure if not."""
        source = Source.unpack(packed, ca)
        origin = Origin(source.access, source.timeout)
        began = time.monotonic()
        try:
            _, failure = origin.read_part(source, 0, 1, memoryview(bytearray(1)))
        finally:
            origin.close()
        seconds = time.monotonic() - began
        if failure is None:
            return seconds, None
        return seconds, (failure.kind, failure.message, failure.status, failure.retry_after)


def closed_ports(host: str, ports: Sequence[int], seconds: float) -> tuple[int, ...]:
    """Those of the ports to which no connection comes about in that time."""
    closed = []
    for port in ports:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
        except OSError:
            closed.append(port)
    return tuple(closed)


def _ray_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ray")
    except PackageNotFoundError:
        return ""


def _open_files() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def _room(directory: str) -> tuple[int, int] | None:
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.free, usage.total
