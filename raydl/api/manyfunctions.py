"""The Python API for many files.

The examples are run by a test: in them ``url`` is the address of a file, here of 5,000,000 bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from raydl.cluster.address import ClusterChoice, choose
from raydl.cluster.session import connect
from raydl.many.handle import ManyDownload
from raydl.many.instore import Deliveries, FileRefs, InStore
from raydl.many.listings import Listings
from raydl.many.lists import Entry, entries
from raydl.many.run import Order, run_into_cache, run_many
from raydl.model.control import Control
from raydl.model.errors import FilesFailedError, UsageError
from raydl.model.events import Event
from raydl.model.manyreport import ManyReport
from raydl.model.weburl import is_hub
from raydl.settings.options import OptionKeywords, Options, Unpack


def fetch_many(
    items: Iterable[Any],
    directory: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    if_changed: bool = False,
    report: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[OptionKeywords],
) -> ManyReport:
    """Download many files into ``directory``, with every node of the cluster, or this machine.

    ``items`` are URLs, (URL, path), (URL, path, digest), mappings with ``url``, ``path``, ``size``
    and ``digest``, or ``Item`` objects; they are read as files are fetched. A path is relative to
    the directory; without one, a file is named after its URL, or by ``name``, a template such as
    ``"{host}/{path}"``. ``if_changed`` checks files from earlier runs, and fetches those that have
    changed. ``report`` is a file that lists the result of each: ``.jsonl``, ``.csv``, ``.parquet``.

    ``hf://org/name[@revision][/path]`` means all files of a Hugging Face repository that
    ``include`` and ``exclude`` admit, which are patterns such as ``"*.safetensors"``. A single such
    name, without a directory, goes into the hub's own cache. ``s3://bucket/prefix/`` means
    everything below a prefix of an object store, as do ``gs://`` and ``az://``.

    A file that fails does not stop the others; it is in the report. The same call again continues:
    complete files are left alone. Raises RaydlError for what ends the whole run, such as a full
    disk.

        >>> report = raydl.fetch_many([(url, "a/one.iso"), (url, "a/two.iso")], "many")
        >>> report.done, report.failed, report.size
        (2, 0, 10000000)
        >>> raydl.fetch_many([(url, "a/one.iso")], "many").skipped
        1
    """
    work = _many(items, directory, name, include, exclude, if_changed, report, options)
    return work(on_event, None)


def start_many(
    items: Iterable[Any],
    directory: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    if_changed: bool = False,
    report: str | None = None,
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[OptionKeywords],
) -> ManyDownload:
    """Start to download many files in the background, like ``fetch_many``; returns a handle.

    Raises UsageError; other errors are raised by the handle's ``result``.

        >>> download = raydl.start_many([(url, "b/one.iso"), (url, "b/two.iso")], "many")
        >>> download.result(timeout=60).done
        2
    """
    work = _many(items, directory, name, include, exclude, if_changed, report, options)
    return ManyDownload(work, on_event)


def refs_many(
    items: Iterable[Any],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    on_event: Callable[[Event], None] | None = None,
    **options: Unpack[OptionKeywords],
) -> Iterator[FileRefs]:
    """Many files as Ray objects, left on the nodes that fetched them; ``items`` as ``fetch_many``.

    Yields ``(item, pieces)`` as files arrive: a piece is ``(ref, start, stop)``, and the file's
    bytes are ``memoryview(ray.get(ref))[start:stop]`` of each piece in turn, or ``memoryview`` of
    the argument in a task or actor of yours. A small file has one piece and shares its object with
    others; an empty file has none. Objects live as long as you hold their references: drop them as
    you go. About ``max_memory`` bytes are fetched ahead. Files over 16 MiB are only verified by
    digests of their pieces: with a digest of the whole file alone they fail.

    Events report files that fail; if there were any, FilesFailedError is raised at the end, and its
    ``report`` lists them. Raises UsageError if there is no cluster. The session is as with
    ``refs``.

    Images that are decoded where they are; ``image_urls`` are their addresses:

        >>> @ray.remote
        ... def size(data, start, stop):
        ...     return PIL.Image.open(io.BytesIO(memoryview(data)[start:stop])).size
        >>> sizes = [size.remote(*pieces[0]) for _, pieces in raydl.refs_many(image_urls)]
        >>> ray.get(sizes)
        [(32, 24), (32, 24)]

    The same as a data set for Ray Data:

        >>> @ray.remote
        ... def row(url, data, start, stop):
        ...     return pyarrow.table({"url": [url], "image": [bytes(memoryview(data)[start:stop])]})
        >>> blocks = [row.remote(item.url, *p[0]) for item, p in raydl.refs_many(image_urls)]
        >>> ray.data.from_arrow_refs(blocks).count()
        2
    """
    if options.get("to", "here") != "here":
        raise UsageError("refs_many takes no `to`", "these bytes come to this program")
    parsed, look = Options.of({"progress": "none", **options}), Listings(include, exclude)
    choice = choose(parsed.address)
    if choice.how == "none":
        raise UsageError(f"refs need a Ray cluster: {choice.note}", "address='local' starts one")
    return _refs_many(entries(items, look), choice, parsed, on_event)


def _refs_many(
    items: Iterator[Entry],
    choice: ClusterChoice,
    options: Options,
    on_event: Callable[[Event], None] | None,
) -> Iterator[FileRefs]:
    session = connect(replace(choice, purpose="many files"))
    session.give()
    session.close()
    deliveries = Deliveries(options.max_memory // 2)
    landing = partial(InStore, deliveries=deliveries)
    work = partial(run_many, Order(items, landing=landing), replace(options, address="auto"))
    download = ManyDownload(work, on_event)
    download.add_done_callback(lambda _: deliveries.end())
    try:
        yield from deliveries
        report = download.result()
        if report.failed:
            raise FilesFailedError.of(report)
    finally:
        download.cancel()
        download.join()


def _many(
    items: Iterable[Any],
    directory: str | os.PathLike[str] | None,
    name: str | None,
    include: Sequence[str],
    exclude: Sequence[str],
    if_changed: bool,
    report: str | None,
    options: OptionKeywords,
) -> Callable[[Callable[[Event], None] | None, Control | None], ManyReport]:
    """What fetches all of it, to be called once."""
    chosen: Any = dict(options)
    if directory is not None:
        chosen["output_dir"] = os.fspath(directory)
    look, parsed = Listings(include, exclude), Options.of(chosen)
    preview = (lambda: entries(items, look)) if isinstance(items, Sequence) else None
    order = Order(entries(items, look), preview, name, if_changed, report)
    if parsed.output_dir is None and isinstance(items, list | tuple) and is_hub(*items[:1]):
        if len(items) == 1:
            return partial(run_into_cache, items[0], look.hub, order, parsed)
        raise UsageError("of several repositories no cache is filled at once", "give a directory")
    return partial(run_many, order, parsed)
