"""A run: from a list to a report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from raydl.cluster.address import choose
from raydl.download.eventstream import event_stream
from raydl.download.landingchoice import check_absolute, check_cluster
from raydl.download.sinkchoice import BUCKET
from raydl.landing.desk import Desk
from raydl.many.account import Account
from raydl.many.bucket import Bucket
from raydl.many.crew import Crew
from raydl.many.everynode import EveryNode
from raydl.many.hub import Listing, cache
from raydl.many.intake import Intake
from raydl.many.landing import Here, Landing, Links
from raydl.many.lists import Entry
from raydl.many.names import Naming, must_differ
from raydl.many.reportfile import report_file
from raydl.many.shared import Shared
from raydl.model.control import Control
from raydl.model.errors import UsageError
from raydl.model.events import ClusterChosen, Emit, Event, Failed, Notice
from raydl.model.fileevents import AllEnded
from raydl.model.log import error_of, note_failure
from raydl.model.manyreport import ManyReport
from raydl.settings.options import Options
from raydl.settings.values import EVERY_NODE, SHARED


@dataclass(frozen=True)
class Order:
    """What is to be fetched, and how that is accounted for.

    ``entries`` are read once, as there is room; ``preview`` is the same list to look at before,
    None for one that can be read but once. ``name`` is a template for names, ``report`` a file to
    write, ``links`` what a directory in a hub's cache is to be given. ``landing`` makes another
    destination than the options say. ``notes`` has what is to be said of the list, once that was
    looked at.
    """

    entries: Iterator[Entry]
    preview: Callable[[], Iterator[Entry]] | None = None
    name: str | None = None
    if_changed: bool = False
    report: str | None = None
    links: Links | None = None
    landing: Callable[[Desk, Options, Emit], Landing] | None = None
    notes: Collection[str] = ()


def run_many(
    order: Order,
    options: Options,
    on_event: Callable[[Event], None] | None = None,
    control: Control | None = None,
) -> ManyReport:
    """Fetch all files of an order into ``output_dir``. Raises RaydlError where that ends all."""
    from raydl.view.progress import renderer

    control = control or Control()
    with renderer(options.progress, many=True) as render:
        emit = event_stream(render, on_event, control)
        try:
            report = _run(order, options, emit, control)
        except BaseException as raised:
            error = error_of(raised, "what is there is kept: run it again to go on")
            if not isinstance(raised, Exception):
                control.cancel()
            with contextlib.suppress(Exception):
                emit(Failed.of(error))
                error.was_told = True
            note_failure(raised)
            raise
        emit(AllEnded(report))
        return report


def run_into_cache(
    name: str,
    look: Callable[[str], Listing],
    order: Order,
    options: Options,
    on_event: Callable[[Event], None] | None = None,
    control: Control | None = None,
) -> ManyReport:
    """Fetch what of a hub's repository its own cache lacks, as it keeps that. Raises RaydlError.

    Of ``order`` only the report counts.
    """
    listing = look(name)
    folder = cache() / listing.repository.folder
    blobs = {file.blob: file for file in listing.files}

    def read() -> Iterator[Entry]:
        return (f.item(f"blobs/{f.blob}", n) for n, f in enumerate(blobs.values(), 1))

    names = [(file.blob, file.path) for file in listing.files]
    links = Links(listing.commit, listing.repository.revision, names)
    chosen = replace(options, output_dir=str(folder), skip_existing=True)
    order = replace(order, entries=read(), preview=read, links=links)
    return run_many(order, chosen, on_event, control)


def _run(
    order: Order, options: Options, emit: Callable[[Event], None], control: Control
) -> ManyReport:
    began = time.monotonic()
    check_options(options)
    is_in_bucket = _is_in_bucket(options)
    directory = Path(options.output_dir or ".")
    is_placed = options.output_dir is not None or order.landing is not None
    naming = Naming(order.name, hidden=is_placed)
    extent = must_differ(order.preview, naming) if order.preview is not None else None
    choice = replace(choose(options.address), purpose="many files")
    if choice.how == "none" and not options.fetch_here:
        why = f"no machine is left to fetch: {choice.note}"
        raise UsageError(why, "give --address HOST:PORT")
    check_cluster(choice, options)
    emit(ClusterChosen(choice.address, choice.note))
    for note in order.notes:
        emit(Notice(note))
    with report_file(order.report) as write:
        account = Account(emit, write, extent)

        def landing(desk: Desk) -> Landing:
            if order.landing is not None:
                return order.landing(desk, options, emit)
            if options.to == EVERY_NODE:
                return EveryNode(
                    desk, directory, options, order.if_changed, account, emit, order.links
                )
            if is_in_bucket:
                return Bucket(
                    str(options.output_dir), options, order.if_changed, account, desk.post
                )
            if options.to == SHARED:
                return Shared(directory, options, order.if_changed, account, desk.post, emit)
            return Here(directory, options, order.if_changed, account, desk.post, order.links)

        intake = Intake(order.entries, naming, account)
        crew = Crew(intake, account, landing, directory, choice, options, emit, control)
        copies = crew.run()
        where = str(options.output_dir if is_in_bucket else directory)
        return account.report(where, time.monotonic() - began, copies)


def _is_in_bucket(options: Options) -> bool:
    return (options.output_dir or "").startswith(BUCKET)


def check_options(options: Options) -> None:
    """Raise UsageError for what is not for many files."""
    if options.to == EVERY_NODE:
        check_absolute(options.output_dir, options.to, "--output-dir /DIRECTORY")
    if options.repair and (options.to != "here" or _is_in_bucket(options)):
        raise UsageError("--repair is for a Metalink's files here", "run it where they are")
    of_one = (
        "extract",
        "checksum",
        "checksum_url",
        "checksum_file",
        "mirror",
        "cookies",
        "limit_rate",
    )
    for name in of_one:
        if getattr(options, name, None):
            flag = f"--{name.replace('_', '-')}"
            hint = "a list has a digest for each" if "checksum" in name else "fetch it alone"
            raise UsageError(f"{flag} is for one file", hint)
