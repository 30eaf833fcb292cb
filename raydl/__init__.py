"""raydl: download with every machine of a Ray cluster at once.

    >>> import raydl
    >>> report = raydl.fetch(url)  # "https://example.org/big.iso", say

``fetch`` downloads to a file, ``fetch_async`` does so for asyncio, ``start`` in the background,
``events`` tells what happens; ``fetch_many`` and ``start_many`` download many files. Without a
disk, ``read`` gives the bytes, ``stream`` gives them in order as they come, ``open`` a file object,
``refs`` and ``refs_many`` Ray objects. ``install`` has pandas, fsspec and what uses them download
with raydl. ``probe`` asks the origin what it offers, ``nodes`` lists the cluster and ``disconnect``
lets go of it. Errors are subclasses of ``RaydlError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from raydl.api.functions import (
        disconnect,
        events,
        fetch,
        fetch_async,
        nodes,
        open,  # noqa: F401
        probe,
        read,
        refs,
        start,
        stream,
    )
    from raydl.api.installation import install, uninstall
    from raydl.api.manyfunctions import fetch_many, refs_many, start_many
    from raydl.cluster.session import Node
    from raydl.download.handle import Download
    from raydl.download.reader import RemoteFile
    from raydl.many.handle import ManyDownload
    from raydl.model.digests import Checksum
    from raydl.model.errors import (
        BadPieceError,
        CancelledError,
        ChecksumError,
        ClusterError,
        FilesFailedError,
        HttpError,
        IncompleteError,
        NetworkError,
        OriginChangedError,
        OutputError,
        RangesIgnoredError,
        RaydlError,
        TargetError,
        TimedOutError,
        UsageError,
        WrongAnswerError,
    )
    from raydl.model.events import Event
    from raydl.model.item import Item
    from raydl.model.manyreport import FileReport, ManyReport
    from raydl.model.parts import PartRef
    from raydl.model.remote import Remote
    from raydl.model.report import NodeShare, Report
    from raydl.settings.options import Options

_HOMES = {
    "disconnect": "api.functions",
    "events": "api.functions",
    "fetch": "api.functions",
    "fetch_async": "api.functions",
    "fetch_many": "api.manyfunctions",
    "install": "api.installation",
    "nodes": "api.functions",
    "open": "api.functions",
    "probe": "api.functions",
    "read": "api.functions",
    "refs": "api.functions",
    "refs_many": "api.manyfunctions",
    "start": "api.functions",
    "start_many": "api.manyfunctions",
    "stream": "api.functions",
    "uninstall": "api.installation",
    "Checksum": "model.digests",
    "Node": "cluster.session",
    "Download": "download.handle",
    "Event": "model.events",
    "FileReport": "model.manyreport",
    "Item": "model.item",
    "ManyDownload": "many.handle",
    "ManyReport": "model.manyreport",
    "NodeShare": "model.report",
    "Options": "settings.options",
    "PartRef": "model.parts",
    "RemoteFile": "download.reader",
    "Remote": "model.remote",
    "Report": "model.report",
}

__all__ = [
    "fetch", "fetch_async", "fetch_many", "start", "start_many", "events", "read", "stream",
    "refs", "refs_many", "probe", "nodes", "disconnect", "install", "uninstall",
    "Options", "Checksum", "Remote", "Report", "NodeShare", "Node", "Event", "Download",
    "RemoteFile", "PartRef", "Item", "ManyDownload", "ManyReport", "FileReport",
    "RaydlError", "UsageError", "NetworkError", "TimedOutError", "HttpError", "WrongAnswerError",
    "OriginChangedError", "RangesIgnoredError", "ChecksumError", "BadPieceError", "TargetError",
    "OutputError",
    "ClusterError", "IncompleteError", "FilesFailedError", "CancelledError",
    "__version__",
]  # fmt: skip

_PUBLIC = {*__all__, "open"}
"""``from raydl import *`` leaves Python's own ``open`` alone; ``raydl.open`` is there."""


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that ``import raydl`` costs nothing."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'raydl' has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f"raydl.{_HOMES.get(name, 'model.errors')}")
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(_PUBLIC)
