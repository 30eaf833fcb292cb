"""raydl: download one file with every machine of a Ray cluster at once.

    >>> import raydl
    >>> report = raydl.fetch("https://example.org/big.iso")  # doctest: +SKIP

``fetch`` downloads, ``events`` does so and tells what happens, ``probe`` asks the origin what
it offers, ``nodes`` lists the cluster and ``disconnect`` lets go of it. Errors are subclasses of
``RaydlError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raydl._version import __version__

if TYPE_CHECKING:
    from raydl.api import disconnect, events, fetch, nodes, probe
    from raydl.checksum import Checksum
    from raydl.cluster import Node
    from raydl.errors import (
        CancelledError,
        ChecksumError,
        ClusterError,
        HttpError,
        NetworkError,
        OriginChangedError,
        OutputError,
        RangesIgnoredError,
        RaydlError,
        TargetError,
        UsageError,
        WrongAnswerError,
    )
    from raydl.event import Event
    from raydl.models import NodeShare, Remote, Report
    from raydl.options import Options

_HOMES = {
    "disconnect": "api",
    "events": "api",
    "fetch": "api",
    "nodes": "api",
    "probe": "api",
    "Checksum": "checksum",
    "Node": "cluster",
    "Event": "event",
    "NodeShare": "models",
    "Options": "options",
    "Remote": "models",
    "Report": "models",
}

__all__ = [
    "fetch", "events", "probe", "nodes", "disconnect",
    "Options", "Checksum", "Remote", "Report", "NodeShare", "Node", "Event",
    "RaydlError", "UsageError", "NetworkError", "HttpError", "WrongAnswerError",
    "OriginChangedError", "RangesIgnoredError", "ChecksumError", "TargetError", "OutputError",
    "ClusterError", "CancelledError",
    "__version__",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that ``import raydl`` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'raydl' has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f"raydl.{_HOMES.get(name, 'errors')}")
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
