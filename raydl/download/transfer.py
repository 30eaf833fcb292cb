"""Bytes of a file, in order, through every lane there is: what a download asks of the scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from raydl.cluster.address import ClusterChoice
from raydl.download.handover import Announcer, Handover
from raydl.download.machines import machines
from raydl.download.mirrorsearch import MirrorSearch
from raydl.download.monitoring import BUCKET, REFS, counted
from raydl.download.onestream import OneStream
from raydl.model.coverage import Coverage
from raydl.model.errors import UsageError
from raydl.model.events import Emit, Notice, Planned
from raydl.model.parts import Part
from raydl.model.pieces import Pieces
from raydl.model.weburl import host_of
from raydl.origin.resolver import Located
from raydl.scheduler.destination import Destination, grid_of, slots_of
from raydl.scheduler.inbox import THREADS, Held
from raydl.scheduler.job import Job, Reach, Wants
from raydl.scheduler.meter import Meter
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.plan import make_plan
from raydl.settings.options import Options
from raydl.workers.protocol import HERE, Payload, Slots

JOIN_SECONDS = 1.5
"""What joining a cluster takes until its first bytes are here: importing Ray, connecting and
starting actors. A file that this machine alone has sooner is not worth the trouble; measured,
the trouble more than doubled the time of a file that takes a second."""

JOIN_AT_ONCE = 1 << 30
"""More bytes than that take longer than joining on all but the fastest of links."""

START_SECONDS = 30.0
"""How long a download waits for somebody to fetch with, at least: workers take what they take to
start, whatever timeout the origin is given."""

CLOSE_SECONDS = 2.0


class Placing:
    """A file on its way from its origins to a destination: a job of the scheduler."""

    def __init__(self, job: Job, announcer: Announcer) -> None:
        self._job, self._announcer = job, announcer

    @property
    def meter(self) -> Meter:
        """What has arrived, from where."""
        return self._job.meter

    @property
    def parts(self) -> int:
        """How many parts the file was divided into so far."""
        return self._job.parts

    @property
    def limit(self) -> str:
        """A line that says which limit was met; empty where that is not known."""
        return self._job.limit

    def begin(self) -> None:
        """Start to fetch; the destination is told of the end."""
        machines.scheduler.begin(self._job)

    def hold(self, paused: bool) -> None:
        """Ask for nothing more, or go on; from any thread."""
        self._job.inbox.tell(self._job, Held(paused))

    def close(self) -> None:
        """Have done with it, whether it is whole or not.

        A listener that blocks is not waited for long.
        """
        machines.scheduler.close(self._job, CLOSE_SECONDS)
        self._announcer.close(CLOSE_SECONDS)


class Transfer(Placing):
    """The same to whoever takes the bytes one part after the other: what is fetched for a sink."""

    def __init__(self, job: Job, announcer: Announcer, handover: Handover) -> None:
        super().__init__(job, announcer)
        self._handover = handover

    def chunks(self) -> Iterator[tuple[Part, memoryview | None]]:
        """The file's bytes. A view is good until the next one is asked for; None stands for
        bytes that are where they belong.

        Raises RaydlError when the download cannot be finished.
        """
        for part, payload in self.payloads():
            yield part, None if payload.placed else payload.view()

    def fail(self, error: BaseException) -> None:
        """Let ``chunks`` raise this; from any thread."""
        self._handover.end(error)

    def payloads(self) -> Iterator[tuple[Part, Payload]]:
        """Like ``chunks``, but yields payload handles."""
        self.begin()
        yield from self._handover.payloads()

    def cancel(self) -> None:
        """Let ``chunks`` raise CancelledError; from any thread."""
        self._handover.cancel()

    def close(self) -> None:
        """Have done with it, and with what nobody took."""
        super().close()
        self._handover.close()


class _Announced:
    """A destination that ends once everything that happened before is emitted."""

    def __init__(self, destination: Destination, announcer: Announcer) -> None:
        self.here, self.in_order = destination.here, destination.in_order
        self.slots = slots_of(destination)
        self.take = destination.take
        self._destination, self._announcer = destination, announcer

    def end(self, error: BaseException | None) -> None:
        self._announcer.then(partial(self._destination.end, error))


@contextlib.contextmanager
def transfer(
    found: Located,
    choice: ClusterChoice,
    options: Options,
    emit: Emit,
    *,
    kept: Coverage | None = None,
    stay: bool = False,
    in_order: bool = True,
    slots: Slots | None = None,
) -> Iterator[Transfer | OneStream]:
    """The bytes that are not ``kept`` of the file found: ``chunks`` of what this yields.

    They come ``in_order``, or as they are fetched; what threads of this process put into ``slots``
    comes as None. Without byte ranges it is one stream of the whole file. With ``stay`` the bytes
    stay in the object stores of the nodes that fetched them, and ``payloads`` is what to take from.
    Leaving the context ends it, finished or not.
    """
    with contextlib.ExitStack() as stack:
        fetching: Transfer | OneStream
        remote, kind = found.remote, REFS if stay else options.to
        if remote.ranges and remote.size is not None:
            handover = Handover(here=not stay, in_order=in_order, slots=slots)
            how = Fetching.by(options, threads=options.fetch_here and not stay, at_once=stay)
            job, announcer = _job(found, handover, kind, choice, options, emit, kept, how, stack)
            fetching = Transfer(job, announcer, handover)
        else:
            stream = HERE, host_of(found.source.url)
            fetching = OneStream(
                found.source,
                counted(emit, choice, kind, stack, stream),
                retries=options.retries,
                memory=options.max_memory // 2,
                throttle=machines.scheduler.throttles.at(options.limit_rate),
                lowest=options.lowest_speed,
            )
        stack.callback(fetching.close)
        yield fetching


@dataclass(frozen=True)
class Fetching:
    """Who fetches: this process's ``threads`` too, or only workers on nodes, with ``at_once`` from
    the start whatever the file's size; ``labels`` are those that the nodes must have."""

    threads: bool = True
    at_once: bool = False
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def by(cls, options: Options, *, threads: bool, at_once: bool) -> Fetching:
        """Those, but only nodes with the labels that were asked for: threads have none, so that
        this machine fetches as a node, too."""
        labels = options.fetch_nodes
        return cls(threads and not labels, at_once or bool(labels), labels)


@contextlib.contextmanager
def placing(
    found: Located,
    destination: Destination,
    choice: ClusterChoice,
    options: Options,
    emit: Emit,
    *,
    kept: Coverage,
    how: Fetching,
) -> Iterator[Placing]:
    """The bytes that are not ``kept`` of the file found, to a destination, once it is begun.

    The origin has to serve byte ranges. Leaving the context ends it, finished or not.
    """
    kind = BUCKET if options.to == "here" else options.to  # what comes here is a ``transfer``
    with contextlib.ExitStack() as stack:
        fetching = Placing(*_job(found, destination, kind, choice, options, emit, kept, how, stack))
        stack.callback(fetching.close)
        yield fetching


def _job(
    found: Located,
    destination: Destination,
    kind: str,
    choice: ClusterChoice,
    options: Options,
    emit: Emit,
    kept: Coverage | None,
    how: Fetching,
    stack: contextlib.ExitStack,
) -> tuple[Job, Announcer]:
    """A job for the scheduler, with the machines that fetch it, until ``stack`` is left."""
    assert found.remote.size is not None
    if how.labels and choice.how == "none":
        raise UsageError(
            f"--fetch-nodes needs a Ray cluster: {choice.note}",
            "start one with `ray start --head`, or give --address HOST:PORT",
        )
    grid = grid_of(destination)
    pieces = _fitting(found.pieces, kept or Coverage(), grid, emit)
    plan = make_plan(
        found.remote.size,
        kept=kept,
        parts=options.parts,
        part_size=options.part_size,
        window=window_limit(choice, options),
        grid=grid,
        unit=pieces.length if pieces else 1,
    )
    emit(Planned.of(plan))
    announcer = Announcer(emit, destination.end)
    stack.callback(announcer.close, CLOSE_SECONDS)
    if how.threads:
        stack.enter_context(machines.threads(options.max_memory // 2))
    scheduler = machines.scheduler
    # This machine's threads do what an actor here would do, without a copy through the object
    # store. An actor is for bytes that stay there, and for a user who asks for a separate Ray on
    # one machine.
    actor_here = options.fetch_here and (how.at_once or choice.how == "local")
    meter = Meter(plan.size - plan.span, plan.size)
    pool = THREADS
    if choice.how != "none" and plan.span:

        def pays() -> bool:
            is_long = plan.span > JOIN_AT_ONCE or meter.seconds_left() > JOIN_SECONDS
            return how.at_once or not options.fetch_here or is_long

        pool = stack.enter_context(machines.cluster(choice, actor_here, pays))
    search = MirrorSearch(found, options, lambda other: scheduler.inbox.tell(job, other))
    job = Job(
        plan,
        [Mirror(found.source, found.again)],
        _Announced(destination, announcer),
        scheduler.inbox,
        # Within the cluster's context: its end is told before the connection goes.
        counted(announcer.emit, choice, kind, stack),
        wants=Wants(
            limit=window_limit(choice, options),
            retries=options.retries,
            patience=max(START_SECONDS, options.timeout),
            connections=options.connections,
            most=options.max_connections_per_origin,
            lowest=options.lowest_speed,
        ),
        throttle=scheduler.throttles.at(options.limit_rate),
        reach=Reach(pool, how.threads, actor_here, how.labels),
        meter=meter,
        awaited=search.count,
        pieces=pieces,
        may_go_on=announcer.keeps_up,
    )
    stack.callback(search.close)
    search.start()
    return job, announcer


def _fitting(pieces: Pieces | None, kept: Coverage, grid: int, emit: Emit) -> Pieces | None:
    """The pieces, where what is to be fetched is whole ones."""
    if pieces is None or (pieces.fits(kept.missing(pieces.size)) and grid % pieces.length == 0):
        return pieces
    emit(Notice("what is kept, or the bucket, divides pieces: the digest of the file counts alone"))
    return None


def window_limit(choice: ClusterChoice, options: Options) -> int:
    """Bytes that may be in flight or wait for their turn."""
    # Alone, every byte of the window is in this process, which holds at most half of it.
    return options.max_memory // 2 if choice.how == "none" else options.max_memory
