"""One download, from URL to file: the only module that knows every stage.

``resolve → plan → scheduler (or one stream) → sink``, with the fleets beside them and one
stream of events out of all of them.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from raydl.cluster.address import ClusterChoice, choose
from raydl.download.eventstream import event_stream
from raydl.download.landingchoice import (
    Landing,
    check_cluster,
    check_landing,
    lands_elsewhere,
    sighting,
    tell_of_doubt,
    tell_of_unused,
)
from raydl.download.piecechoice import must_have_size, usable_pieces
from raydl.download.recovery import recover
from raydl.download.sinkchoice import Output, SinkChoice
from raydl.download.transfer import Transfer, transfer
from raydl.landing import bucket
from raydl.landing.s3 import Claim
from raydl.model.control import Control
from raydl.model.digests import Proof
from raydl.model.errors import (
    ChecksumError,
    HttpError,
    IncompleteError,
    NetworkError,
    UsageError,
    WrongAnswerError,
)
from raydl.model.events import (
    ClusterChosen,
    Emit,
    Event,
    Failed,
    Finished,
    Notice,
    Probed,
    Resumed,
    Verifying,
)
from raydl.model.item import Item
from raydl.model.log import error_of, log, note_failure
from raydl.model.pieces import Pieces
from raydl.model.report import Report
from raydl.model.units import format_size
from raydl.model.weburl import check_url, redact
from raydl.origin.proof import given_proof, is_asked_for, is_strong, proof_of, read_list
from raydl.origin.resolver import Located, resolve, text_at
from raydl.output.filesink import FileSink
from raydl.output.oserrors import output_error
from raydl.output.piecescan import right_pieces
from raydl.output.sink import Sink
from raydl.output.target import check_target, verify_target
from raydl.settings.options import Options
from raydl.settings.values import EVERY_NODE, SHARED


def run(
    url: str,
    output: Output,
    options: Options,
    on_event: Callable[[Event], None] | None = None,
    control: Control | None = None,
    item: Item | None = None,
    mode_of: Path | None = None,
    claim: Claim | None = None,
) -> Report:
    """Download ``url`` to ``output``; see ``raydl.fetch``. Every event goes to ``on_event``.

    ``item`` is what a list says of the file: its size, its pieces, and by which URL it is known.
    ``mode_of`` is the file that the caller replaces by it: it gets the permissions of that one.
    ``claim`` is, in a bucket, what is known of what is there, and gets what was made.
    """
    from raydl.view.progress import renderer

    control = control or Control()
    with renderer(options.progress) as render:
        emit = event_stream(render, on_event, control)
        try:
            item = item or Item(url)
            sinks = SinkChoice(output, options, mode_of)
            report = _Download(url, sinks, options, emit, control, item, claim or Claim()).run()
        except BaseException as raised:
            error = error_of(raised, control.how_to_go_on())
            if isinstance(error, HttpError):
                error.url = error.url or redact(url)
            if not isinstance(raised, Exception):
                control.cancel()  # Ctrl-C does not wait for a listener
            with contextlib.suppress(Exception):
                emit(Failed.of(error))
                error.was_told = True
            note_failure(raised)
            raise
        emit(Finished(report))
        return report


class _Download:
    """One download: prepare, attempt, and recover once where an answer did not fit."""

    def __init__(
        self,
        url: str,
        sinks: SinkChoice,
        options: Options,
        emit: Emit,
        control: Control,
        item: Item,
        claim: Claim,
    ) -> None:
        self._url, self._options, self._emit, self._control = url, options, emit, control
        self._item, self._claim = item, claim
        self._began = time.monotonic()
        self._sinks = sinks
        self._choice: ClusterChoice
        self._listed: str | None = None
        self._is_out = self._asks_named = False
        self._may_ask_named = options.origin_mirrors

    def run(self) -> Report:
        """All of it. Raises RaydlError."""
        found = self._prepare()
        if isinstance(found, Report):
            return found
        try:
            return self._attempt(found)
        except ChecksumError as error:
            if self._is_out or not self._asks_named:
                raise
            # The digest is no mirror's of these: one of them may have lied.
            self._emit(Notice(f"{error.message}: again, without mirrors that the origin names"))
            self._asks_named = self._may_ask_named = False
        except WrongAnswerError as error:
            if self._is_out:
                raise
            # What is in the .part file stays only if its journal fits what is there now.
            needs_ranges = self._sinks.bucket is not None or self._options.to == EVERY_NODE
            found = recover(error, found, self._control, needs_ranges)
        return self._attempt(found)

    def _prepare(self) -> Located | Report:
        """Find out who fetches, and what there is; a report where the file is here already."""
        check_url(self._url)
        options = self._options
        if options.extract:
            self._sinks.check_extract()
        path = self._sinks.planned_path()
        self._listed = read_list(options)
        if options.to != "here":
            check_landing(self._sinks, options)
        elif self._sinks.bucket is not None:
            bucket.check(self._sinks.bucket)
        if options.repair:
            if self._item.pieces is None or path is None or options.to != "here":
                raise UsageError("--repair is for a Metalink's files here", "give one as the list")
            if self._is_right(path, self._item.pieces):
                return self._skip(path, given_proof(options))
        if options.to != EVERY_NODE and path is not None and check_target(path, options):
            given = given_proof(options)
            if given or options.extract or not is_asked_for(options):
                return self._skip(path, given)
        self._choice = choose(options.address)
        if self._choice.how == "none" and not options.fetch_here:
            why = f"no machine is left to fetch: {self._choice.note}"
            raise UsageError(why, "give --address HOST:PORT")
        if options.to != "here":
            check_cluster(self._choice, options)
        self._emit(ClusterChosen(self._choice.address, self._choice.note))
        tell_of_unused(self._sinks, options, self._emit)
        return resolve(self._url, options, self._emit, self._control)

    def _is_right(self, path: Path, pieces: Pieces) -> bool:
        """Whether no piece of what is there has to be fetched."""
        if not path.is_file():
            return False
        self._emit(Verifying())
        try:
            with path.open("rb") as file:
                right = right_pieces(file.fileno(), pieces, lambda: self._control.wait(0))
        except OSError as error:
            raise output_error(error, path) from None
        bad = pieces.size - right.size
        if not bad and path.stat().st_size == pieces.size:
            return True
        self._emit(Notice(f"{format_size(bad)} of {path} are not right: only these are fetched"))
        return False

    def _attempt(self, found: Located) -> Report:
        """Fetch what was found, from what is kept of it on."""
        options, emit, control = self._options, self._emit, self._control
        remote = found.remote
        emit(Probed(remote))
        must_have_size(remote.size, self._item)
        self._choice = replace(self._choice, purpose=remote.name)
        path = self._sinks.path(remote)
        is_here = options.to != EVERY_NODE
        is_there = is_here and path is not None and check_target(path, options)
        get_text = partial(text_at, self._url, options, emit, control)
        proof = proof_of(remote, options, get_text, self._listed)
        if is_there and path is not None:
            return self._skip(path, proof if is_asked_for(options) else None)
        elsewhere = lands_elsewhere(remote, self._sinks, options)
        pieces = usable_pieces(self._item, remote, proof, self._choice, options, elsewhere, emit)
        named = remote.mirrors if self._may_ask_named and not elsewhere and is_strong(proof) else ()
        self._asks_named = bool(named)
        found = replace(found, pieces=pieces, named=named, known_as=self._item.url)
        if elsewhere:
            landing = Landing(found, proof, self._choice, options, emit, control, self._claim)
            try:
                with _interrupts_cancel(control):
                    report = landing.land(self._sinks)
            except IncompleteError as error:
                if error.report is not None:
                    error.report = self._dated(error.report, proof)
                raise
            return self._dated(report, proof)
        if options.to == SHARED:
            emit(Notice(f"{remote.why_no_ranges}: one stream, through this machine"))
        sink = self._sinks.open(found, proof, control, self._choice)
        is_file = path is not None and not options.extract
        try:
            with (
                _noting_left(sink, path, found, control),
                contextlib.closing(sink),
                _interrupts_cancel(control),
                sighting(found, path if is_file else None, self._choice, emit),
            ):
                report = _transfer(found, sink, self._item, self._choice, options, emit, control)
        finally:
            # What is out on standard output cannot be taken back, so there is no second start.
            self._is_out = path is None and sink.written > 0
        return self._dated(replace(report, path=None if path is None else str(path)), proof)

    def _dated(self, report: Report, proof: Proof | None) -> Report:
        seconds = time.monotonic() - self._began
        return replace(
            report, seconds=seconds, proof=proof.where if proof and report.digests else ""
        )

    def _skip(self, path: Path, proof: Proof | None) -> Report:
        """What is there already, held against the digest where one was asked for."""
        is_file = not self._options.extract
        size = path.stat().st_size if is_file else 0
        report = Report(redact(self._url), str(path), size, skipped=True)
        if proof is None or not is_file:  # the archive's, which nobody kept
            return report
        self._emit(Verifying())
        digests = verify_target(path, proof, lambda: self._control.wait(0))
        return replace(report, digests=digests, proof=proof.where)


@contextlib.contextmanager
def _noting_left(sink: Sink, path: Path | None, found: Located, control: Control) -> Iterator[None]:
    remote, control.why_nothing = found.remote, ""
    if path is None:
        control.why_nothing = "what is out on standard output cannot be gone on with"
    elif found.options.extract:
        control.why_nothing = "an archive is unpacked from its first byte on"
    elif not remote.ranges:
        control.why_nothing = f"{remote.why_no_ranges}, so every run starts from the first byte"
    log.debug("%s: open, %d bytes are kept", path or "the output", sink.kept.size)
    try:
        yield
    except NetworkError as error:
        if found.options.extract:
            error.hint = control.how_to_go_on()
        raise
    finally:
        control.kept = sink.left
        log.debug("closed at %d bytes; %d can be gone on with", sink.written, control.kept)


@contextlib.contextmanager
def _interrupts_cancel(control: Control) -> Iterator[None]:
    """Ctrl-C waits no longer than a cancel does."""
    try:
        yield
    except Exception:
        raise
    except BaseException:
        control.cancel()
        raise


def _transfer(
    found: Located,
    sink: Sink,
    item: Item,
    choice: ClusterChoice,
    options: Options,
    emit: Emit,
    control: Control,
) -> Report:
    """Fetch everything that the sink has not yet, and let it finish."""
    remote = found.remote
    if sink.note:
        emit(Resumed(sink.kept.size, sink.note))
    tell_of_doubt(remote, sink.is_proven, emit)
    file = sink if isinstance(sink, FileSink) else None
    slots = None if file is None else file.slots
    with transfer(
        found, choice, options, emit, kept=sink.kept, in_order=sink.in_order, slots=slots
    ) as fetching:
        began = time.monotonic()
        control.watch(fetching.cancel, fetching.hold)
        if file is not None and isinstance(fetching, Transfer):
            file.on_error = fetching.fail
        for part, data in fetching.chunks():
            if data is not None:
                sink.write(data, part.start)
                data.release()
            elif file is not None:
                file.placed(part.start, part.stop)
        transferred = time.monotonic()
        must_have_size(sink.written, item)
        emit(Verifying())
        digests = sink.finish()
        return Report(
            url=redact(remote.url),
            path=None,
            size=sink.written,
            fetched=sink.written - sink.kept.size,
            resumed=sink.kept.size,
            transfer_seconds=transferred - began,
            parts=fetching.parts,
            retries=fetching.meter.retried,
            wasted=fetching.meter.wasted,
            limit=fetching.limit,
            digests=digests,
            nodes=fetching.meter.shares(),
        )
