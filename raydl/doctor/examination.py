"""The facts, collected: here, of the head, and on every node. Each look has a time to end in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TimedOut
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from raydl.cluster.actors import ActorLost
from raydl.cluster.address import ClusterChoice, choose, left_by_ray_start
from raydl.cluster.preflight import examine as ask_head
from raydl.cluster.preflight import require_client
from raydl.cluster.questions import Answered, Questions
from raydl.cluster.session import Node, Session, Whereabouts, connect
from raydl.cluster.tokenstore import find_token, why_unused
from raydl.doctor.examiner import Examiner, closed_ports
from raydl.doctor.facts import MachineFacts, NodeFacts, Reach, Room
from raydl.doctor.judge import (
    judge_alone,
    judge_extras,
    judge_machine,
    judge_node,
    judge_reach,
    judge_remote,
    judge_token,
)
from raydl.doctor.rows import HERE, Row, fine, wrong
from raydl.model.control import Control
from raydl.model.errors import ClusterError, RaydlError
from raydl.model.events import Event
from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.model.units import counted
from raydl.origin.resolver import Located, resolve
from raydl.settings.extras import extras
from raydl.settings.options import Options

CONNECT_SECONDS = 20.0
"""For Ray to let this process in, and to say who is there."""

ANSWER_SECONDS = 15.0
"""For a node to start a process that answers."""

CLOCK_SECONDS = 3.0
KNOCK_SECONDS = 2.0

ORIGIN_SECONDS = 10.0
"""For an origin to answer a node; ``timeout``, if that is less."""

T = TypeVar("T")


def examine(options: Options, url: str | None = None) -> Iterator[Row]:
    """A row for each thing that was looked at, as it is known: this machine, the cluster, its
    nodes, and how the origin of ``url`` answers each.

    Takes a second without a cluster, a few with one, and less than a minute whatever is frozen.
    """
    here = _machine(Examiner().facts("."))
    directory = ""
    with contextlib.suppress(OSError):
        directory = str(Path.cwd())
    yield from judge_machine(here, directory)
    yield judge_extras(*extras())
    source = None
    if url is not None:
        rows, source = _origin_from_here(url, options)
        yield from rows
    yield from _cluster(options.address, here, source)


def _machine(answer: tuple[Any, ...]) -> MachineFacts:
    python, ray, files, disk, shared_memory, clock = answer
    return MachineFacts(python, ray, files, _room(disk), _room(shared_memory), clock)


def _room(pair: tuple[int, int] | None) -> Room | None:
    return None if pair is None else Room(*pair)


def _origin_from_here(url: str, options: Options) -> tuple[list[Row], Source | None]:
    """What the origin says here, and what nodes may ask it for, if anything."""
    try:
        found: Located = resolve(url, options, _tell_nobody, Control())
        source = found.source
    except RaydlError as error:
        return [wrong(HERE, "URL", error)], None
    source = replace(source, timeout=min(source.timeout, ORIGIN_SECONDS))
    if not (found.remote.ranges and source.size):
        return judge_remote(HERE, found.remote, Reach(0.0)), None
    rows = judge_remote(HERE, found.remote, _reach(Examiner().reach(*source.pack())))
    return rows, source


def _tell_nobody(event: Event) -> None:
    """What an origin is asked is no event of a download."""


def _reach(answer: tuple[float, tuple[Any, ...] | None]) -> Reach:
    seconds, failure = answer
    return Reach(seconds, None if failure is None else Failure(*failure))


def _cluster(address: str, here: MachineFacts, source: Source | None) -> Iterator[Row]:
    try:
        choice = choose(address)
        if choice.how not in ("none", "local") and not here.ray:
            raise ClusterError(f"{choice.note} cannot be used without Ray", "pip install ray")
        wants_token = _ask_head(choice)
    except RaydlError as error:
        yield _token(None)
        yield wrong(HERE, "cluster", error)
        return
    yield _token(wants_token)
    if choice.how in ("none", "local"):
        yield judge_alone(
            choice.note, is_gone=address == "auto" and left_by_ray_start() is not None
        )
        return
    try:
        seen = _within(CONNECT_SECONDS, lambda: _connect(choice))
    except TimedOut:
        what = f"Ray did not let this process in within {CONNECT_SECONDS:g}s"
        yield wrong(HERE, "cluster", ClusterError(what, "look at it with `ray status`"))
        return
    except RaydlError as error:
        yield wrong(HERE, "cluster", error)
        return
    yield fine(HERE, "cluster", f"{choice.note}: {counted(len(seen.nodes), 'node')}")
    yield from seen.examine(here, source)


def _token(wants_token: bool | None) -> Row:
    return judge_token(find_token() is not None, why_unused(), wants_token)


def _ask_head(choice: ClusterChoice) -> bool | None:
    """Whether it wants a token; None where that is not known. Raises ClusterError."""
    if choice.how == "client":
        require_client()
        return None
    return ask_head(choice.address, find_token()).check() if choice.how == "cluster" else None


def _within(seconds: float, call: Callable[[], T]) -> T:
    """What that returns; TimedOut where it takes longer, for Ray's calls have no time limit."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name="raydl-doctor", daemon=True).start()
    return outcome.result(seconds)


@dataclass(frozen=True)
class _Nodes:
    """The nodes of a cluster, with an examiner under way to each."""

    session: Session
    nodes: Sequence[Node]
    places: Mapping[str, Whereabouts]
    questions: Questions

    def examine(self, here: MachineFacts, source: Source | None) -> Iterator[Row]:
        """Rows of every node, the first one's first."""
        try:
            yield from self._rows(here, source)
        finally:
            self.questions.close()
            self.session.close()

    def _rows(self, here: MachineFacts, source: Source | None) -> Iterator[Row]:
        directories = {node.id: (self.places[node.id].directory,) for node in self.nodes}
        facts = self.questions.ask("facts", directories, ANSWER_SECONDS)
        alive = [n for n in self.nodes if n.id in facts and not _is_lost(facts[n.id])]
        clocks = self.questions.ask("clock", {n.id: () for n in alive}, CLOCK_SECONDS)
        closed, closed_here = self._closed(alive)
        packed = None if source is None else source.pack()
        asked = {n.id: packed for n in alive if packed and not n.is_driver}
        reached = self.questions.ask("reach", asked, 2 * ORIGIN_SECONDS)
        for node in self.nodes:
            found = NodeFacts(
                node.name, node.object_store,
                closed=closed.get(node.id, ()), closed_here=closed_here.get(node.id, ()),
            )  # fmt: skip
            yield from judge_node(_told(found, facts.get(node.id), clocks.get(node.id)), here)
            if node.id in asked:
                yield judge_reach(node.name, _reached(reached.get(node.id)))

    def _closed(
        self, alive: Sequence[Node]
    ) -> tuple[Mapping[str, tuple[int, ...]], Mapping[str, tuple[int, ...]]]:
        """By node, its ports that are closed from here, and this machine's that are from there."""
        own = next((n.id for n in self.nodes if n.is_driver), None)
        if own is None or not self.session.is_inside:
            return {}, {}  # a client is in no network of theirs
        others = [n.id for n in self.nodes if n.id != own]
        with ThreadPoolExecutor(32, "raydl-knock") as threads:
            knocked = threads.map(lambda n: _knock(self.places[n]), others)
            closed = dict(zip(others, knocked, strict=True))
        host, ports, _ = self.places[own]
        asked = {n.id: (host, ports, KNOCK_SECONDS) for n in alive if n.id != own}
        answers = self.questions.ask("knock", asked, len(ports) * KNOCK_SECONDS + CLOCK_SECONDS)
        return closed, {n: a.value for n, a in answers.items() if not _is_lost(a)}


def _connect(choice: ClusterChoice) -> _Nodes:
    session = connect(choice)
    places = session.whereabouts()
    nodes = [node for node in session.nodes() if node.id in places]
    return _Nodes(session, nodes, places, session.question(nodes, Examiner))


def _knock(place: Whereabouts) -> tuple[int, ...]:
    return closed_ports(place.host, place.ports, KNOCK_SECONDS)


def _reached(answer: Answered | None) -> Reach:
    if answer is None or _is_lost(answer):
        seconds = 2 * ORIGIN_SECONDS
        return Reach(seconds, Failure("timeout", f"it was not asked within {seconds:g}s"))
    return _reach(answer.value)


def _is_lost(answer: Answered) -> bool:
    return isinstance(answer.value, ActorLost)


def _told(found: NodeFacts, answer: Answered | None, clock: Answered | None) -> NodeFacts:
    """The facts of a node with what it has said, if anything."""
    if answer is None:
        return replace(found, silence=f"no answer in {ANSWER_SECONDS:g}s")
    if isinstance(answer.value, ActorLost):
        return replace(found, silence=answer.value.reason)
    told = replace(found, machine=_machine(answer.value))
    if clock is None or _is_lost(clock):
        return told
    middle, give = (clock.asked + clock.came) / 2, (clock.came - clock.asked) / 2
    return replace(told, ahead=clock.value - middle, give=give)
