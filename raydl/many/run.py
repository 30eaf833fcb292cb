"""A run: from a list to a report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from raydl.cluster.address import choose
from raydl.download.eventstream import event_stream
from raydl.many.account import Account
from raydl.many.crew import Crew
from raydl.many.hub import cache, link
from raydl.many.intake import Intake
from raydl.many.ledger import Ledger
from raydl.many.lists import Entry, Look
from raydl.many.names import Naming, must_differ
from raydl.many.reportfile import report_file
from raydl.many.settling import Settling
from raydl.model.control import Control
from raydl.model.errors import UsageError
from raydl.model.events import ClusterChosen, Event, Failed
from raydl.model.fileevents import AllEnded
from raydl.model.log import error_of, note_failure
from raydl.model.manyreport import ManyReport
from raydl.settings.options import Options


@dataclass(frozen=True)
class Order:
    """What is to be fetched, and how that is accounted for.

    ``entries`` are read once, as there is room; ``preview`` is the same list to look at before,
    None for one that can be read but once. ``name`` is a template for names, ``report`` a file to
    write.
    """

    entries: Iterator[Entry]
    preview: Callable[[], Iterator[Entry]] | None = None
    name: str | None = None
    if_changed: bool = False
    report: str | None = None


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
            error = error_of(raised, "what is there is kept: run the same command again to go on")
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
    look: Look,
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

    chosen = replace(options, output_dir=str(folder), skip_existing=True)
    report = run_many(replace(order, entries=read(), preview=read), chosen, on_event, control)
    link(listing, folder)
    return report


def _run(
    order: Order, options: Options, emit: Callable[[Event], None], control: Control
) -> ManyReport:
    began = time.monotonic()
    _check(options)
    directory = Path(options.output_dir or ".")
    naming = Naming(order.name, hidden=options.output_dir is not None)
    total = must_differ(order.preview, naming) if order.preview is not None else None
    choice = choose(options.address)
    if choice.how == "none" and not options.fetch_here:
        why = f"no machine is left to fetch: {choice.note}"
        raise UsageError(why, "give --address HOST:PORT")
    emit(ClusterChosen(choice.address, choice.note))
    with contextlib.ExitStack() as stack:
        ledger = Ledger(directory)
        stack.callback(ledger.close)
        write = stack.enter_context(report_file(order.report))
        account = Account(ledger, Settling(ledger, directory), emit, write, total)
        stack.callback(account.save)
        intake = Intake(
            order.entries, naming, ledger, account, directory, options, order.if_changed
        )
        Crew(intake, account, directory, choice, options, emit, control).run()
        account.finish()
        return account.report(str(directory), time.monotonic() - began)


def _check(options: Options) -> None:
    if options.to != "here":
        raise UsageError(
            f"--to {options.to} takes one file", "many files go to --output-dir on this machine"
        )
    if (options.output_dir or "").startswith("s3://"):
        raise UsageError("many files do not go into a bucket yet", "give a directory")
    of_one = ("checksum", "checksum_url", "checksum_file", "mirror", "cookies", "limit_rate")
    for name in of_one:
        if getattr(options, name, None):
            flag = f"--{name.replace('_', '-')}"
            hint = "a list has a digest for each" if "checksum" in name else "fetch it alone"
            raise UsageError(f"{flag} is for one file", hint)
