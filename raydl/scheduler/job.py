"""One file that is being fetched: what is known of it, wanted for it, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from raydl.model.events import Emit, PartFailed, Progress
from raydl.model.failure import Failure
from raydl.model.parts import Part, Plan
from raydl.model.pieces import Pieces
from raydl.scheduler.bottleneck import Bottleneck
from raydl.scheduler.delivery import Delivery
from raydl.scheduler.destination import Destination, slots_of
from raydl.scheduler.flights import Flight
from raydl.scheduler.inbox import THREADS, Inbox
from raydl.scheduler.lanes import LaneGroup
from raydl.scheduler.meter import Meter
from raydl.scheduler.mirrorchoice import MirrorChoice
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.nodestate import NodeState
from raydl.scheduler.retries import Retries
from raydl.scheduler.throttle import Throttle
from raydl.scheduler.window import Window
from raydl.workers.protocol import HERE, Payload

MOST_RIVALS = 3
"""Lanes that are asked for the same bytes at once, at most."""


@dataclass(frozen=True)
class Reach:
    """Which nodes fetch a file: those of one ``pool``, this process's ``threads``, or both.

    ``actor_here``: a worker of the pool on this machine fetches too, instead of the threads.
    ``labels``: only nodes that have all of these do.
    """

    pool: str = THREADS
    threads: bool = True
    actor_here: bool = False
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Wants:
    """What the user wants of a download.

    ``limit`` bounds the window in bytes, and ``retries`` how often a part is tried again at each
    mirror. ``patience`` is how long to wait, in seconds, when there is no lane at all.
    ``connections`` fixes the lanes of each node, which else are found by measuring; ``most``
    requests at once may go to one origin. ``lowest`` is the speed in bytes a second below which
    a connection is given up.
    """

    limit: int
    retries: int
    patience: float
    connections: int | None = None
    most: int | None = None
    lowest: int | None = None


class Job:
    """A file, for the scheduler: a queue of parts, each known by the job and its first byte.

    ``mirrors`` have the file, and ``awaited`` of them may still join. Of ``pieces`` none counts
    before it has its digest; parts are whole ones. What happens goes to ``emit``, which must return
    at once, as long as ``may_go_on`` says that it keeps up.
    """

    def __init__(
        self,
        plan: Plan,
        mirrors: Iterable[Mirror],
        destination: Destination,
        inbox: Inbox,
        emit: Emit,
        *,
        wants: Wants,
        throttle: Throttle | None = None,
        reach: Reach | None = None,
        meter: Meter | None = None,
        awaited: int = 0,
        pieces: Pieces | None = None,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self.plan, self.wants, self.emit, self.may_go_on = plan, wants, emit, may_go_on
        self.inbox, self.pieces = inbox, pieces
        self.throttle = throttle or Throttle(None)
        self.reach = reach or Reach()
        self.destination, self.slots = destination, slots_of(destination)
        self.window: Window[Payload] = Window(plan, wants.limit, in_order=destination.in_order)
        self.mirror_choice = MirrorChoice(
            mirrors, emit, lambda message: inbox.tell(self, message), awaited, wants.most
        )
        self.retries = Retries(wants.retries)
        self.delivery = Delivery(self)
        self.meter = meter or Meter(plan.size - plan.span, plan.size)
        self.bottleneck = Bottleneck()
        self.group: LaneGroup
        self.flights: dict[int, Flight] = {}
        self.coming = 0
        """Bytes so far of requests in flight that are still wanted."""
        self.racing: dict[int, list[Flight]] = {}
        self.lanes_at: Counter[str] = Counter()
        self.unfit: set[str] = set()
        self.served = 0.0
        self.is_idle = True
        """Whether it had nothing to ask for when it had its last turn."""
        self.is_ready = self.is_held = self.is_over = self.has_actor_here = False
        self.waiting = ""
        """What its lanes wait for, as of the last look; see ``WAITS``."""
        self.alone_since = 0.0
        self.was_alone = False
        self.show_at = 0.0

    @property
    def parts(self) -> int:
        """How many parts the file was divided into so far."""
        return self.window.cuts if self.plan.count is None else self.plan.count

    @property
    def limit(self) -> str:
        """A line that says which limit was met; empty where that is not known."""
        node = next((share.node for share in self.meter.shares()), HERE)
        tuner = self.group.tuner
        borne = tuner.borne if tuner.lanes == tuner.borne else None
        return self.bottleneck.explain(tuner.more_brings, tuner.refused, node, borne)

    def uses(self, node: NodeState) -> bool:
        """Whether ``node`` may fetch for it."""
        if node.pool == THREADS:
            return self.reach.threads and not self.has_actor_here
        if node.pool != self.reach.pool or not (self.reach.actor_here or node.name != HERE):
            return False
        return all(node.team.labels.get(key) == value for key, value in self.reach.labels)

    def rivals(self, start: int) -> list[Flight]:
        """The requests for the bytes at ``start`` that are still wanted."""
        return [flight for flight in self.racing.get(start, ()) if not flight.moot]

    def foremost(self, start: int, now: float) -> Flight | None:
        """The request that will have ``start`` first; None if its bytes were hedged already."""
        racing = self.rivals(start)
        if len(racing) >= MOST_RIVALS:
            return None
        first = min(racing, key=lambda flight: flight.seconds_left(now), default=None)
        return None if first is None or first.replaced else first

    def is_needed(self, flight: Flight) -> bool:
        """Whether nobody else has, fetches or will fetch the bytes of a flight that failed."""
        start = flight.part.start
        rivals = any(not rival.replaced for rival in self.rivals(start))
        return not (flight.moot or rivals or self.window.is_waiting(start))

    def ask_again(
        self, part: Part, failure: Failure, node: str, tries: int, delay: float, now: float
    ) -> None:
        """These bytes are asked for once more."""
        self.meter.retried += 1
        self.window.put_back(part, now + delay)
        self.emit(PartFailed(*part, node, failure.message, tries, round(delay, 2)))

    def lose(self, part: Part, problem: str, node: str, now: float) -> None:
        """The node that held or fetched these bytes is gone: refetch, without counting a try."""
        failure = Failure("lane", problem)
        self.retries.lost(part, failure)
        self.ask_again(part, failure, node, 0, 0.0, now)

    def show_progress(self, nodes: tuple[NodeState, ...]) -> None:
        """Say how far it is; ``nodes`` are those that may fetch."""
        self.emit(
            Progress(
                fetched=self.meter.look(self.coming),
                written=self.window.written,
                size=self.plan.size,
                lanes=len(self.flights),
                nodes=len(nodes),
                retries=self.meter.retried,
                by_node=tuple(node.describe(self.lanes_at[node.name]) for node in nodes),
                wasted=self.meter.wasted,
                waiting=self.waiting,
            )
        )
