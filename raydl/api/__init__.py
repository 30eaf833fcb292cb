"""The Python API: the functions behind ``import raydl``, and fsspec's file system."""

from raydl.api.functions import (
    ask,
    disconnect,
    events,
    fetch,
    fetch_async,
    nodes,
    open,
    open_as,
    probe,
    refs,
    start,
    stream,
)

__all__ = [
    "ask",
    "disconnect",
    "events",
    "fetch",
    "fetch_async",
    "nodes",
    "open",
    "open_as",
    "probe",
    "refs",
    "start",
    "stream",
]
