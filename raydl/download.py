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

from raydl.address import Choice, choose
from raydl.checksum import Proof
from raydl.control import Control
from raydl.coordinator import Coordinator
from raydl.errors import (
    OriginChangedError,
    RangesIgnoredError,
    RaydlError,
    UsageError,
    WrongAnswerError,
)
from raydl.event import (
    ClusterChosen,
    Emit,
    Event,
    Failed,
    Finished,
    Notice,
    Planned,
    Probed,
    Resumed,
    Verifying,
)
from raydl.fleet import ClusterFleet
from raydl.inbox import Inbox
from raydl.lookup import mirrors_of, probe_origin, source_of, text_at
from raydl.manners import Manners
from raydl.mirrors import Mirror
from raydl.models import Plan, Remote, Report, redact
from raydl.onestream import OneStream
from raydl.options import Options
from raydl.origin import split_auth
from raydl.plan import make_plan
from raydl.proof import proof_of
from raydl.sink import FileSink, Sink, StdoutSink
from raydl.target import STDOUT, check_target, planned_path, target_path
from raydl.threads import BufferPool, LocalTeam

JOIN_SECONDS = 1.5
"""What joining a cluster takes until its first bytes are here: importing Ray, connecting and
starting actors. A file that this machine alone has sooner is not worth the trouble; measured,
the trouble more than doubled the time of a file that takes a second."""

JOIN_AT_ONCE = 1 << 30
"""More bytes than that take longer than joining on all but the fastest of links."""

NO_VALIDATOR = (
    "the origin gives neither an ETag nor a date: a change of the file while it is downloaded "
    "could not be noticed; --checksum would prove the bytes"
)

Output = str | os.PathLike[str] | None


def run(
    url: str,
    output: Output,
    options: Options,
    on_event: Callable[[Event], None] | None = None,
    control: Control | None = None,
) -> Report:
    """Download ``url`` to ``output``; see ``raydl.fetch``. Every event goes to ``on_event``."""
    from raydl.progress import renderer

    lock = threading.Lock()
    with renderer(options.progress) as render:

        def emit(event: Event) -> None:
            with lock:
                render(event)
                if on_event is not None:
                    on_event(event)

        try:
            report = _download(url, output, options, emit, control or Control())
        except RaydlError as error:
            name = type(error).__name__
            emit(Failed(name, error.message, error.hint, error.exit_code))
            raise
        emit(Finished(report))
        return report


def _download(url: str, output: Output, options: Options, emit: Emit, control: Control) -> Report:
    began = time.monotonic()
    split_auth(url)
    output = _into(output, options)
    path = planned_path(output) if output != STDOUT else None
    if path is not None and check_target(path, options):
        return _skipped(url, str(path), path.stat().st_size)
    choice = choose(options.address)
    if choice.how == "none" and not options.fetch_here:
        raise UsageError(f"no machine is left to fetch: {choice.note}", "give --address HOST:PORT")
    emit(ClusterChosen(choice.address, choice.note))

    remote = probe_origin(url, options, emit, control)
    for last_chance in (False, True):
        emit(Probed(remote))
        if output != STDOUT:
            path = target_path(output, remote)
            if check_target(path, options):
                return _skipped(url, str(path), path.stat().st_size)
        proof = proof_of(remote, options, partial(text_at, url, options, emit))
        sink = _open_sink(path, remote, proof, options)
        try:
            with contextlib.closing(sink), _noting_kept(sink, path, control):
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
                remote = probe_origin(url, options, emit, control, trust_head=False)
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


def _into(output: Output, options: Options) -> Output:
    """The output with the directory that the options name."""
    if options.output_dir is None or output == STDOUT:
        return output
    if output is None:
        return os.path.join(options.output_dir, "")  # noqa: PTH118 - says that it is a directory
    return os.path.join(options.output_dir, output)  # noqa: PTH118 - keeps a slash at the end


@contextlib.contextmanager
def _noting_kept(sink: Sink, path: Path | None, control: Control) -> Iterator[None]:
    try:
        yield
    finally:
        control.kept = sink.written if path is not None and sink.can_resume else 0


def _skipped(url: str, path: str, size: int) -> Report:
    return Report(redact(url), path, size, skipped=True)


def _open_sink(path: Path | None, remote: Remote, proof: Proof | None, options: Options) -> Sink:
    if path is None:
        return StdoutSink(proof)
    return FileSink(
        path,
        remote,
        proof=proof,
        resume=options.resume,
        overwrite=options.overwrite,
        keep_bad=options.keep_bad,
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
        emit(Resumed(sink.kept, sink.note))
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        fetching: Coordinator | OneStream
        if remote.ranges and remote.size is not None:
            plan = _plan(remote.size, sink.kept, choice, options)
            emit(Planned.of(plan))
            if remote.validator is None and plan.count != 1 and not sink.is_proven:
                emit(Notice(NO_VALIDATOR))
            mirrors = mirrors_of(url, remote, options, emit)
            fetching = _coordinate(plan, mirrors, choice, options, emit, stack)
        else:
            fetching = OneStream(
                source_of(remote, options),
                emit,
                retries=options.retries,
                memory=options.max_memory // 2,
                manners=Manners(options.limit_rate, None),
            )
        stack.callback(fetching.close)
        control.watch(fetching.cancel)
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
            fetched=sink.written - sink.kept,
            resumed=sink.kept,
            transfer_seconds=transferred - began,
            parts=fetching.parts,
            retries=fetching.meter.retried,
            wasted=fetching.meter.wasted,
            limit=fetching.limit,
            digests=digests,
            nodes=fetching.meter.shares(),
        )


def _plan(size: int, start: int, choice: Choice, options: Options) -> Plan:
    return make_plan(
        size,
        start=start,
        parts=options.parts,
        part_size=options.part_size,
        window=_window_limit(choice, options),
        limited=options.limit_rate is not None,
    )


def _window_limit(choice: Choice, options: Options) -> int:
    # Alone, every byte of the window is in this process, which holds at most half of it.
    return options.max_memory // 2 if choice.how == "none" else options.max_memory


def _coordinate(
    plan: Plan,
    mirrors: list[Mirror],
    choice: Choice,
    options: Options,
    emit: Emit,
    stack: contextlib.ExitStack,
) -> Coordinator:
    """A coordinator with its fleets, which end with ``stack``."""
    inbox = Inbox()
    coordinator = Coordinator(
        plan,
        mirrors,
        inbox,
        emit,
        limit=_window_limit(choice, options),
        retries=options.retries,
        patience=options.timeout,
        required=choice.required,
        connections=options.connections,
        manners=Manners(options.limit_rate, options.max_connections_per_origin),
        lowest=options.lowest_speed,
    )
    if options.fetch_here:
        local = LocalTeam(BufferPool(options.max_memory // 2), inbox.post)
        stack.callback(local.close)
    if choice.how != "none" and plan.size > plan.start:
        cluster = ClusterFleet(
            choice,
            inbox.post,
            here=options.fetch_here,
            pays=lambda: (
                not options.fetch_here
                or plan.size - plan.start > JOIN_AT_ONCE
                or coordinator.meter.seconds_left() > JOIN_SECONDS
            ),
        )
        stack.callback(cluster.close)
    return coordinator
