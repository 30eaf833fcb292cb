"""The Python API: what ``import raydl`` offers."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from raydl.address import choose
from raydl.cluster import Node, connect
from raydl.cluster import disconnect as disconnect
from raydl.control import Control
from raydl.download import Output, run
from raydl.event import Event
from raydl.lookup import probe_origin
from raydl.models import Remote, Report
from raydl.options import OptionKeywords, Options, Unpack, describe_options
from raydl.waiting import next_item


def fetch(
    url: str,
    output: Output = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[OptionKeywords],
) -> Report:
    """Download ``url`` with every node of the Ray cluster, or with this machine alone.

    ``output`` is a path, a directory, ``"-"`` for standard output, or None for the origin's
    name in the current directory. The keyword arguments are the fields of ``Options``; sizes
    are bytes or text such as ``"64MiB"``, durations seconds or text such as ``"30s"``.
    ``on_event`` gets every event, on the thread where it happens.

    Returns the Report once the file is whole, verified and in place. Raises RaydlError: its
    subclasses say what went wrong, and what had arrived is kept, so that the same call goes on
    from there. KeyboardInterrupt leaves the same.
    """
    return run(url, output, Options.of(options), on_event)


fetch.__doc__ = f"""{fetch.__doc__}
    Options, with their defaults:

{describe_options("    ")}
"""


def events(url: str, output: Output = None, **options: Unpack[OptionKeywords]) -> Iterator[Event]:
    """Download like ``fetch``, and yield every event as it happens; the last is Finished.

    Raises what ``fetch`` raises, after a Failed event. Closing the iterator (leaving its loop)
    cancels the download and keeps what had arrived.
    """
    chosen = replace(Options.of(options), progress="none")
    control = Control()
    happened: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            run(url, output, chosen, happened.put, control)
            happened.put(None)
        except BaseException as error:
            happened.put(error)

    thread = threading.Thread(target=work, name="raydl-events")
    thread.start()
    try:
        while (item := next_item(happened)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        control.cancel()
        thread.join()


def probe(url: str, **options: Unpack[OptionKeywords]) -> Remote:
    """Ask the origin what it offers: size, ranges, validator, name. Raises RaydlError."""
    return ask(url, Options.of(options))


def ask(url: str, options: Options) -> Remote:
    """The same with options that are parsed already."""
    return probe_origin(url, options, _ignore, Control())


def nodes(address: str = "auto") -> list[Node]:
    """The nodes of the cluster that ``address`` means; empty where there is no cluster.

    Raises ClusterError when it cannot be reached, UsageError for an address that is none.
    """
    choice = choose(address)
    if choice.how == "none":
        return []
    session = connect(choice)
    try:
        return session.nodes()
    finally:
        session.close()


def _ignore(event: Event) -> None:
    """For who does not listen."""
