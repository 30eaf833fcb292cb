"""One download, from URL to file: the only module that knows every stage.

``probe → plan → coordinator (or one stream) → sink``, with the fleets beside them and one
stream of events out of all of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from raydl.cluster.address import Choice, choose
from raydl.download.transfer import transfer
from raydl.model.control import Control
from raydl.model.digests import Proof
from raydl.model.errors import (
    OriginChangedError,
    RangesIgnoredError,
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
from raydl.model.log import error_of, log, note, note_failure
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.model.units import format_size
from raydl.model.weburl import check_url, redact
from raydl.origin import PAGE
from raydl.origin.identity import Identity
from raydl.origin.proof import given_proof, is_asked_for, proof_of, read_list
from raydl.origin.resolver import resolve, text_at
from raydl.output.filesink import FileSink
from raydl.output.sink import Sink
from raydl.output.stdoutsink import StdoutSink
from raydl.output.target import STDOUT, check_target, planned_path, target_path, verify_target
from raydl.settings.options import Options

NO_VALIDATOR = (
    "the origin gives neither a strong ETag nor a date that is old enough to prove anything: a "
    "change of the file might go unnoticed; --checksum would prove the bytes"
)

EMIT_SECONDS = 0.5
"""Interval for checking cancellation while a listener blocks."""

Output = str | os.PathLike[str] | Callable[[Proof | None], Sink] | None
"""A path, a directory, ``-``, None for the origin's name here, or what makes a sink."""


def run(
    url: str,
    output: Output,
    options: Options,
    on_event: Callable[[Event], None] | None = None,
    control: Control | None = None,
) -> Report:
    """Download ``url`` to ``output``; see ``raydl.fetch``. Every event goes to ``on_event``."""
    from raydl.view.progress import renderer

    lock = threading.Lock()
    control = control or Control()
    with renderer(options.progress) as render:

        def emit(event: Event) -> None:
            note(event)
            # A listener may block for as long as it wants: a cancel does not wait for that.
            while not lock.acquire(timeout=EMIT_SECONDS):
                control.wait(0)
            try:
                render(event)
                if on_event is not None:
                    on_event(event)
            finally:
                lock.release()

        try:
            report = _download(url, output, options, emit, control)
        except BaseException as raised:
            error = error_of(raised, control.how_to_go_on())
            if not isinstance(raised, Exception):
                control.cancel()  # Ctrl-C does not wait for a listener
            with contextlib.suppress(Exception):
                emit(Failed.of(error))
                error.was_told = True
            note_failure(raised)
            raise
        emit(Finished(report))
        return report


def _download(url: str, output: Output, options: Options, emit: Emit, control: Control) -> Report:
    began = time.monotonic()
    check_url(url)
    make_sink = output if callable(output) else StdoutSink if output == STDOUT else None
    place = None if callable(output) else _into(output, options)
    path = planned_path(place) if make_sink is None else None
    listed = read_list(options)
    if path is not None and check_target(path, options):
        given = given_proof(options)
        if given or not is_asked_for(options):
            return _skipped(url, path, given, emit, control)
    choice = choose(options.address)
    if choice.how == "none" and not options.fetch_here:
        raise UsageError(f"no machine is left to fetch: {choice.note}", "give --address HOST:PORT")
    emit(ClusterChosen(choice.address, choice.note))

    remote = resolve(url, options, emit, control).remote
    for last_chance in (False, True):
        emit(Probed(remote))
        is_there = False
        if make_sink is None:
            path = target_path(place, remote)
            is_there = check_target(path, options)
        proof = proof_of(remote, options, partial(text_at, url, options, emit, control), listed)
        if is_there and path is not None:
            wanted = proof if is_asked_for(options) else None
            return _skipped(url, path, wanted, emit, control)
        if make_sink is not None:
            sink = make_sink(proof)
        else:
            assert path is not None
            sink = _file_sink(url, path, remote, proof, options, control)
        try:
            with (
                _noting_left(sink, path, remote, control),
                contextlib.closing(sink),
                _interrupts_cancel(control),
            ):
                report = _transfer(url, remote, sink, choice, options, emit, control)
        except WrongAnswerError as error:
            # What is out on standard output cannot be taken back, so there is no second start.
            if last_chance or (path is None and sink.written):
                raise
            if isinstance(error, RangesIgnoredError):
                emit(Notice(f"{error.message}: one stream, from the start"))
                why = "the origin ignores byte ranges"
                remote = replace(remote, ranges=False, why_no_ranges=why)
            elif isinstance(error, OriginChangedError):
                emit(Notice(f"{error.message}: looking at it again"))
                remote = _second_look(url, remote, options, emit, control)
            else:
                raise
            # What is in the .part file stays only if its journal fits what is there now.
        else:
            seconds = time.monotonic() - began
            return replace(
                report,
                path=None if path is None else str(path),
                seconds=seconds,
                proof=proof.where if proof else "",
            )
    raise AssertionError("unreachable")


def _second_look(url: str, first: Remote, options: Options, emit: Emit, control: Control) -> Remote:
    """What the origin offers, now that an answer did not fit what it said ``first``.

    Raises WrongAnswerError where what comes is not what is promised: a login page, for one.
    """
    how = "byte" if first.ranges else "whole"
    remote = resolve(url, options, emit, control, how, is_known=True).remote
    if remote.size == first.size:
        return remote
    if _shape(remote) != _shape(first) and (remote.media_type == PAGE or not remote.ranges):
        raise _contradiction(first, remote)
    if first.ranges and not remote.ranges:
        promised = resolve(url, options, emit, control, is_known=True).remote
        if promised.size != remote.size:
            raise _contradiction(promised, remote)
    if not first.ranges and not remote.ranges:
        # A page that is generated for each request: what one answer brings is whole in itself, and
        # need not fit in what differs each time.
        promises = ("size", "etag", "last_modified", "weak_etag", "weak_date", "digests")
        differing = [name for name in promises if getattr(first, name) != getattr(remote, name)]
        nothing: dict[str, Any] = {name: () if name == "digests" else None for name in differing}
        return replace(remote, **nothing)
    return remote


def _shape(remote: Remote) -> tuple[object, ...]:
    """What stays the same in a page that is generated for each request."""
    return (remote.media_type, bool(remote.etag or remote.weak_etag), bool(remote.digests))


def _contradiction(promised: Remote, came: Remote) -> WrongAnswerError:
    def told(remote: Remote) -> str:
        size = "unknown size" if remote.size is None else format_size(remote.size)
        return f"{remote.media_type or 'a file'} of {size}"

    return WrongAnswerError(
        f"the origin promised {told(promised)} and sends {told(came)}",
        "look at the URL in a browser: it may want a login",
    )


def _into(output: str | os.PathLike[str] | None, options: Options) -> str | os.PathLike[str] | None:
    """The output with the directory that the options name."""
    if options.output_dir is None or output == STDOUT:
        return output
    if output is None:
        return os.path.join(options.output_dir, "")  # noqa: PTH118 - says that it is a directory
    return os.path.join(options.output_dir, output)  # noqa: PTH118 - keeps a slash at the end


@contextlib.contextmanager
def _noting_left(sink: Sink, path: Path | None, remote: Remote, control: Control) -> Iterator[None]:
    control.why_nothing = ""
    if path is None:
        control.why_nothing = "what is out on standard output cannot be gone on with"
    elif not remote.ranges:
        control.why_nothing = f"{remote.why_no_ranges}, so every run starts from the first byte"
    log.debug("%s: open, %d bytes are kept", path or "the output", sink.kept.size)
    try:
        yield
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


def _skipped(url: str, path: Path, proof: Proof | None, emit: Emit, control: Control) -> Report:
    """What is there already, held against the digest where one was asked for."""
    report = Report(redact(url), str(path), path.stat().st_size, skipped=True)
    if proof is None:
        return report
    emit(Verifying())
    return replace(
        report, digests=verify_target(path, proof, lambda: control.wait(0)), proof=proof.where
    )


def _file_sink(
    url: str, path: Path, remote: Remote, proof: Proof | None, options: Options, control: Control
) -> Sink:
    return FileSink(
        path,
        remote,
        Identity.of(url),
        proof=proof,
        resume=options.resume,
        overwrite=options.overwrite,
        check=lambda: control.wait(0),
        # A statement of the origin's alone is no reason to throw a whole file away.
        keep_bad=options.keep_bad or (proof is not None and proof is remote.digest),
    )


def _transfer(
    url: str,
    remote: Remote,
    sink: Sink,
    choice: Choice,
    options: Options,
    emit: Emit,
    control: Control,
) -> Report:
    """Fetch everything that the sink has not yet, and let it finish."""
    if sink.note:
        emit(Resumed(sink.kept.size, sink.note))
    if remote.ranges and remote.validator is None and not sink.is_proven:
        emit(Notice(NO_VALIDATOR))
    if remote.coding:
        emit(Notice(f"the file lies packed on the origin ({remote.coding}): it is saved like that"))
    with transfer(url, remote, choice, options, emit, start=sink.kept.prefix) as fetching:
        began = time.monotonic()
        control.watch(fetching.cancel, fetching.hold)
        for _, data in fetching.chunks():
            sink.write(data)
            data.release()
        transferred = time.monotonic()
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
