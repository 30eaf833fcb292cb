"""Bytes of a file, in order, through every lane there is: a coordinator with its fleets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from raydl.cluster.address import Choice
from raydl.download.mirrorsearch import MirrorSearch, mirror_of
from raydl.download.onestream import OneStream
from raydl.model.events import Emit, Planned
from raydl.model.parts import Plan
from raydl.model.remote import Remote
from raydl.origin.lookup import source_of
from raydl.scheduler.coordinator import Coordinator
from raydl.scheduler.inbox import Inbox
from raydl.scheduler.plan import make_plan
from raydl.scheduler.throttle import Throttle
from raydl.settings.options import Options
from raydl.workers import company
from raydl.workers.fleet import ClusterFleet
from raydl.workers.threads import BufferPool, LocalTeam

JOIN_SECONDS = 1.5
"""What joining a cluster takes until its first bytes are here: importing Ray, connecting and
starting actors. A file that this machine alone has sooner is not worth the trouble; measured,
the trouble more than doubled the time of a file that takes a second."""

JOIN_AT_ONCE = 1 << 30
"""More bytes than that take longer than joining on all but the fastest of links."""


@contextlib.contextmanager
def transfer(
    url: str,
    remote: Remote,
    choice: Choice,
    options: Options,
    emit: Emit,
    *,
    start: int = 0,
    stay: bool = False,
) -> Iterator[Coordinator | OneStream]:
    """The file's bytes from ``start`` on, to be taken from ``chunks`` of what this yields.

    Without byte ranges it is one stream of the whole file. With ``stay`` the bytes stay in the
    object stores of the nodes that fetched them, and ``payloads`` is what to take from. Leaving
    the context ends it, finished or not.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(company.joined())
        fetching: Coordinator | OneStream
        if remote.ranges and remote.size is not None:
            plan = _plan(start, remote.size, choice, options)
            emit(Planned.of(plan))
            fetching = _coordinate(url, remote, plan, choice, options, emit, stack, stay)
        else:
            fetching = OneStream(
                source_of(remote, options),
                emit,
                retries=options.retries,
                memory=options.max_memory // 2,
                throttle=Throttle(options.limit_rate, None),
                lowest=options.lowest_speed,
            )
        stack.callback(fetching.close)
        yield fetching


def _plan(start: int, size: int, choice: Choice, options: Options) -> Plan:
    return make_plan(
        size,
        start=start,
        parts=options.parts,
        part_size=options.part_size,
        window=_window_limit(choice, options),
    )


def _window_limit(choice: Choice, options: Options) -> int:
    # Alone, every byte of the window is in this process, which holds at most half of it.
    return options.max_memory // 2 if choice.how == "none" else options.max_memory


def _coordinate(
    url: str,
    remote: Remote,
    plan: Plan,
    choice: Choice,
    options: Options,
    emit: Emit,
    stack: contextlib.ExitStack,
    stay: bool,
) -> Coordinator:
    """A coordinator with its fleets, which end with ``stack``."""
    inbox = Inbox()
    search = MirrorSearch(url, remote, options, inbox.queue.put)
    coordinator = Coordinator(
        plan,
        [mirror_of(url, url, remote, options, emit)],
        inbox,
        emit,
        limit=_window_limit(choice, options),
        retries=options.retries,
        patience=options.timeout,
        connections=options.connections,
        throttle=Throttle(options.limit_rate, options.max_connections_per_origin),
        lowest=options.lowest_speed,
        stay=stay,
        awaited=search.count,
    )
    stack.callback(search.close)
    search.start()
    if options.fetch_here and not stay:
        local = LocalTeam(BufferPool(options.max_memory // 2), inbox.post)
        stack.callback(local.close)
    if choice.how != "none" and plan.size > plan.start:
        cluster = ClusterFleet(
            choice,
            inbox.post,
            memory=coordinator.store,
            # This machine's threads do what an actor here would do, without a copy through the
            # object store. An actor is for bytes that stay there, and for a user who asks for a
            # separate Ray on one machine.
            here=lambda: options.fetch_here and (stay or choice.how == "local"),
            pays=lambda: (
                stay
                or not options.fetch_here
                or plan.size - plan.start > JOIN_AT_ONCE
                or coordinator.meter.seconds_left() > JOIN_SECONDS
            ),
        )
        # A user who interrupts a download is not kept waiting.
        stack.push(lambda kind, *_: cluster.close(hurry=kind is not None))
    return coordinator
