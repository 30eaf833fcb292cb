"""The Python API: what ``import raydl`` offers.

The examples are run by a test: in them ``url`` is the address of a file, here of 5,000,000 bytes.
"""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import TypeVar

from raydl.cluster.address import ClusterChoice, choose
from raydl.cluster.connection import disconnect as disconnect
from raydl.cluster.session import Node, connect
from raydl.download.download import run
from raydl.download.handle import Download
from raydl.download.reader import RemoteFile
from raydl.download.sinkchoice import Output
from raydl.download.transfer import Transfer, transfer
from raydl.model.control import Control
from raydl.model.errors import HttpError, RangesIgnoredError, UsageError, render_briefly
from raydl.model.eventlog import note, note_quietly
from raydl.model.events import Event, Probed
from raydl.model.exithooks import closed_at_exit
from raydl.model.parts import PartRef
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.model.weburl import redact
from raydl.origin.resolver import Located, resolve
from raydl.output.pipe import Pipe
from raydl.settings.options import OptionKeywords, Options, Unpack, describe_options

File = TypeVar("File", bound=RemoteFile)


def fetch(
    url: str,
    output: Output = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[OptionKeywords],
) -> Report:
    """Download ``url`` with every node of the Ray cluster, or with this machine alone.

    ``output`` is a path, a directory, ``"-"`` for standard output, ``"s3://bucket/key"``, or None
    for the origin's name in the current directory; with ``extract`` the directory that the archive
    becomes. The keyword arguments are the fields of ``Options``; sizes are bytes or text such as
    ``"64MiB"``, durations seconds or text such as ``"30s"``.
    ``on_event`` receives every event, on the thread where it occurs; the last is Finished or
    Failed.

    Returns the Report when the file is complete, verified and in place. Raises RaydlError; its
    subclasses say what went wrong. What had arrived is kept, so that the same call continues from
    there, also after KeyboardInterrupt.

        >>> report = raydl.fetch(url, "big.iso", part_size="1MiB")
        >>> report.path, report.size
        ('big.iso', 5000000)
        >>> raydl.fetch(url, "big.iso", skip_existing=True).skipped
        True
    """
    return run(url, output, Options.of(options), on_event)


fetch.__doc__ = f"""{inspect.cleandoc(fetch.__doc__ or "")}

Options, with their defaults:

{describe_options("    ")}
"""


async def fetch_async(
    url: str,
    output: Output = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[OptionKeywords],
) -> Report:
    """``fetch`` for asyncio: the download runs in a thread and does not block the loop.

    Cancelling the task cancels the download, and waits until it has ended.

        >>> async def both(first, second):
        ...     return await asyncio.gather(
        ...         raydl.fetch_async(first, "first.iso"), raydl.fetch_async(second, "second.iso")
        ...     )
        >>> [report.size for report in asyncio.run(both(url, url))]
        [5000000, 5000000]
    """
    import asyncio  # 30 ms that the command line need not wait

    download = start(url, output, on_event=on_event, **options)
    try:
        return await asyncio.wrap_future(download.future)
    finally:
        if not download.done():
            download.cancel()
            await asyncio.shield(asyncio.to_thread(download.join))


def start(
    url: str,
    output: Output = None,
    *,
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[OptionKeywords],
) -> Download:
    """Start a download in the background, like ``fetch``; returns a handle.

    Concurrent downloads in a process share its workers, its memory and the budgets of their
    options, and take turns by bytes. Raises UsageError; other errors are raised by the handle's
    ``result``.

        >>> download = raydl.start(url, "later.iso")
        >>> download.pause()
        >>> download.resume()
        >>> report = download.result(timeout=60)
        >>> download.progress.fetched, download.progress.size  # bytes
        (5000000, 5000000)
    """
    return Download(url, output, Options.of(options), on_event)


def events(url: str, output: Output = None, **options: Unpack[OptionKeywords]) -> Iterator[Event]:
    """Download like ``fetch``, and yield every event as it occurs; the last is Finished.

    Raises what ``fetch`` raises, after a Failed event. Closing the iterator (leaving its loop)
    cancels the download and keeps what had arrived.

        >>> for event in raydl.events(url, "told.iso"):
        ...     last = event.to_dict()
        >>> last["event"], last["size"]
        ('finished', 5000000)
    """
    download = Download(url, output, replace(Options.of(options), progress="none"))
    try:
        yield from download.events()
        download.result()
    finally:
        download.cancel()
        download.join()


def stream(url: str, **options: Unpack[OptionKeywords]) -> Iterator[memoryview]:
    """The file's bytes in order, as they arrive, without a disk.

    Yields views of up to ``part_size`` bytes; each is valid until the next is requested. A slow
    reader slows the fleet down: never more than ``max_memory`` bytes wait. Leaving the loop ends
    the download. Raises what ``fetch`` raises; if a digest is known, a file with another one raises
    ChecksumError after its last byte.

        >>> hasher = hashlib.sha256()
        >>> for data in raydl.stream(url):  # memoryviews, in order
        ...     hasher.update(data)
    """
    return _stream(url, quietly(options))


def read(url: str, **options: Unpack[OptionKeywords]) -> bytes:
    """The whole file as bytes, without a disk.

    It is held in this machine's memory, in addition to ``max_memory`` for bytes in flight. Raises
    what ``stream`` raises.

        >>> len(raydl.read(url))
        5000000
    """
    whole = io.BytesIO()
    for data in stream(url, **options):
        whole.write(data)
    return whole.getvalue()


def _stream(url: str, options: Options) -> Iterator[memoryview]:
    pipe = Pipe()
    download = Download(url, pipe.open, options)
    download.add_done_callback(lambda _: pipe.end())
    try:
        yield from pipe
        download.result()
    except KeyboardInterrupt as raised:
        render_briefly(raised, "interrupted")
        raise
    finally:
        pipe.cancel()
        download.cancel()
        download.join()


def open(url: str, **options: Unpack[OptionKeywords]) -> RemoteFile:
    """The file as a file object that reads by ranges: ``read``, ``readinto``, ``seek``, ``tell``.

    It is unbuffered: wrap it in ``io.BufferedReader`` for many small reads. If reads are
    sequential, the whole fleet reads ahead. Raises what ``probe`` raises, and
    reads raise RaydlError. ``zip_url`` is an archive's address:

        >>> with zipfile.ZipFile(raydl.open(zip_url)) as zipped:  # fetches the directory
        ...     zipped.read("hello.txt")  # and what is read
        b'hello'
    """
    return open_as(RemoteFile, url, **options)


def open_as(kind: type[File], url: str, **options: Unpack[OptionKeywords]) -> File:
    """The same as a file object of that kind."""
    chosen = quietly(options)
    choice = choose(chosen.address)
    found = _look(url, chosen)
    return kind(found, replace(choice, purpose=found.remote.name), chosen, note_quietly)


def refs(url: str, **options: Unpack[OptionKeywords]) -> Iterator[PartRef]:
    """The file's parts in order as Ray objects, left on the nodes that fetched them.

    Yields ``(ref, start, stop)``: bytes ``[start, stop)`` are ``memoryview(ray.get(ref))``, or
    ``memoryview`` of the argument in a task or actor of yours. They live as long as you hold the
    references, so drop them as you go: what you keep is not counted in ``max_memory``.

    An existing Ray session of this process stays as it is; otherwise raydl connects, and the
    session is yours from then on: ``ray.shutdown()`` ends it. Raises UsageError if there is no
    cluster, RangesIgnoredError if the origin serves no ranges, and what ``fetch`` raises.

    Words of a large text, counted where its parts are; ``text_url`` is its address:

        >>> @ray.remote
        ... def count(data):
        ...     text = bytes(memoryview(data))
        ...     return len(text.split()), text[:1].isspace(), text[-1:].isspace()
        >>> counts = ray.get([count.remote(ref) for ref, start, stop in raydl.refs(text_url)])
        >>> across = sum(
        ...     not end and not begin for (_, _, end), (_, begin, _) in zip(counts, counts[1:])
        ... )  # the edge of two parts
        >>> sum(words for words, _, _ in counts) - across
        700000
    """
    chosen = quietly(options)
    choice = choose(chosen.address)
    if choice.how == "none":
        raise UsageError(f"refs need a Ray cluster: {choice.note}", "address='local' starts one")
    return closed_at_exit(_refs(url, choice, chosen))


def _refs(url: str, choice: ClusterChoice, options: Options) -> Generator[PartRef, None, None]:
    found = _look(url, options)
    remote = found.remote
    if not remote.ranges:
        why = remote.why_no_ranges
        raise RangesIgnoredError(f"no parts for the nodes: {why}", "raydl.stream works without")
    session = connect(replace(choice, purpose=remote.name))
    session.give()
    session.close()
    with transfer(found, choose("auto"), options, note_quietly, stay=True) as fetching:
        assert isinstance(fetching, Transfer)
        for part, payload in fetching.payloads():
            yield PartRef(payload.ref, part.start, part.stop)


def quietly(options: OptionKeywords) -> Options:
    """These options, without progress unless that was asked for: somebody works with the bytes."""
    if options.get("to", "here") != "here":
        raise UsageError("only fetch() and start() take `to`", "these bytes come to this program")
    if options.get("extract"):
        raise UsageError("only fetch() and start() take `extract`", "tarfile and zipfile read here")
    return Options.of({"progress": "none", **options})


def probe(url: str, **options: Unpack[OptionKeywords]) -> Remote:
    """Ask the origin what it offers: size, ranges, validator, name. Raises RaydlError.

    >>> remote = raydl.probe(url)
    >>> remote.size, remote.ranges  # bytes; whether it serves byte ranges
    (5000000, True)
    """
    return ask(url, Options.of(options))


def ask(url: str, options: Options) -> Remote:
    """The same with options that are parsed already."""
    return _look(url, options).remote


def _look(url: str, options: Options) -> Located:
    try:
        found = resolve(url, options, note_quietly, Control())
    except HttpError as error:
        error.url = redact(url)
        raise
    note(Probed(found.remote))
    return found


def nodes(address: str = "auto") -> list[Node]:
    """The nodes of the cluster that ``address`` means, its head first; none without a cluster.

    Raises ClusterError if it cannot be reached, UsageError for an invalid address.

        >>> raydl.nodes("none")
        []
    """
    choice = choose(address)
    if choice.how == "none":
        return []
    session = connect(replace(choice, purpose="nodes"))
    try:
        return sorted(session.nodes(), key=lambda node: (not node.is_head, node.name))
    finally:
        session.close()
