"""How a download stands: what its events add up to. Windows and widgets draw from this."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from raydl.model.events import (
    ClusterChosen,
    Continued,
    CopiesNow,
    CopyNow,
    Event,
    Failed,
    Finished,
    LanesJoined,
    LanesLeft,
    Notice,
    PartFetched,
    Paused,
    Planned,
    Probed,
    Progress,
    Resumed,
    Verifying,
)
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.model.units import counted, format_duration, format_size
from raydl.view.copies import amount, can_have, copies_of
from raydl.view.pace import GLANCE_SECONDS, LEFT_SECONDS, SPEED_SECONDS, Pace


class Step(Enum):
    """What a download that runs is about."""

    ASKING = "asking"
    FETCHING = "fetching"
    VERIFYING = "verifying"


@dataclass
class NodeStatus:
    """What a node has brought: ``number`` counts nodes in the order in which they came.

    ``bytes`` of whole parts, ``lanes`` at work, ``speed`` in bytes a second over the last seconds.
    """

    name: str
    number: int
    bytes: int = 0
    lanes: int = 0
    speed: float = 0.0
    state: str = "joins"
    _speeds: deque[tuple[float, float]] = field(default_factory=deque, repr=False)
    _seen_at: float = field(default=float("-inf"), repr=False)

    def observe(self, speed: float, now: float) -> None:
        """Record the current speed."""
        self._speeds.append((now, speed))
        while self._speeds[0][0] < now - SPEED_SECONDS:
            self._speeds.popleft()
        if now - self._seen_at >= GLANCE_SECONDS:
            self._seen_at = now
            self.speed = sum(speed for _, speed in self._speeds) / len(self._speeds)

    def rest(self, state: str) -> None:
        """Record that the node does nothing any more."""
        self.state, self.lanes, self.speed = state, 0, 0.0
        self._speeds.clear()
        self._seen_at = float("-inf")


class DownloadStatus:
    """Takes in events, one after the other. Whoever asks for a pause or an end sets ``state``."""

    def __init__(self, state: DownloadState = DownloadState.RUNNING) -> None:
        self.name = ""
        self.size: int | None = None
        self.state = state
        self.step = Step.ASKING
        self.progress: Progress | None = None
        self.copies: CopiesNow | None = None
        """Where each node gets the file."""
        self.whole: list[CopyNow] = []
        """Copies in the order in which their nodes had the file."""
        self.nodes: dict[str, NodeStatus] = {}
        self.notes: deque[str] = deque(maxlen=100)
        """Lines that a person should know, the last ones."""
        self.report: Report | None = None
        self._speed, self._calm = Pace(SPEED_SECONDS), Pace(LEFT_SECONDS)
        self._lanes: deque[tuple[float, int]] = deque()

    def take(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case Probed(remote):
                self.name, self.size = remote.name, remote.size
                self._begin_pace()
            case Planned(_, size) if self.copies is not None:
                self.size = size  # the origin's part begins: what nodes have stays
            case Planned(_, size):
                self.size, self.step = size, Step.FETCHING
                for node in self.nodes.values():  # it may have begun again
                    node.bytes = 0
                self._begin_pace()
            case LanesJoined(name):
                self.node(name).state = "fetches"
            case LanesLeft(name):
                self.node(name).rest("left")
            case PartFetched(_, start, stop, name):
                self.node(name).bytes += stop - start
            case Progress():
                self._take_progress(event)
            case CopiesNow():
                self._take_copies(event)
            case Verifying() if self.copies is not None:
                self._leave_the_origin()
            case Verifying():
                self.step = Step.VERIFYING
            case Paused():
                self._turn(DownloadState.PAUSED)
            case Continued():
                self._turn(DownloadState.RUNNING)
                self._begin_pace()
            case Finished(report):
                self.report, self.state = report, DownloadState.DONE
                self.end_copies(report)
                self._rest("done")
            case Failed(error):
                self.state = DownloadState.after(error)
                self._rest("stopped")
        if isinstance(event, Notice | ClusterChosen | Resumed | LanesLeft | Failed):
            self.notes.append(str(event))

    def end_copies(self, report: Report) -> None:
        """Take in what became of each copy: the last event of them may have been before that."""
        copies = copies_of(report)
        if copies is not None:
            self._take_copies(copies)

    def node(self, name: str) -> NodeStatus:
        """The node of that name, which may be new."""
        if name not in self.nodes:
            self.nodes[name] = NodeStatus(name, len(self.nodes))
        return self.nodes[name]

    @property
    def fetched(self) -> int:
        """Bytes of the file that are somewhere; of all copies, where there are several."""
        if self.copies is not None:
            return sum(amount(copy, self.copies.size) for copy in self._counted)
        return self.progress.fetched if self.progress else 0

    @property
    def total(self) -> int | None:
        """The bytes that there will be, of all copies that there can still be; None if unknown."""
        if self.copies is not None:
            return self.copies.size * len(self._counted)
        return self.size

    @property
    def share(self) -> float | None:
        """How much of it that is, 0 to 1; None while unknown."""
        known = self.total if self.progress or self.copies else None
        return self.fetched / known if known else None

    @property
    def speed(self) -> float:
        """Bytes a second, over the last seconds."""
        return self._speed.rate if self._is_fetching else 0.0

    @property
    def at_work(self) -> str:
        """The connections and nodes at work; empty where that is this one, and nothing comes.

        Under a rate most moments have no lane at work, so they are the most of the last seconds.
        """
        if self.progress is None:
            return ""
        lanes, nodes = max((lanes for _, lanes in self._lanes), default=0), self.progress.nodes
        words = [counted(lanes, "connection")] if lanes else []
        return " on ".join(words if nodes == 1 else [*words, counted(nodes, "node")])

    @property
    def amount(self) -> str:
        """How much there is, and of how much."""
        if self.copies is not None:
            return f"{self.copies.count} it"
        text = format_size(self.fetched)
        return f"{text} of {format_size(self.size)}" if self.size else text

    @property
    def seconds_left(self) -> float | None:
        """At that speed; None while unknown."""
        total = self.total if self.speed else None
        return self._calm.seconds_for(total - self.fetched) if total else None

    def summary(self) -> str:
        """How it stands, in a line."""
        if self.report is not None:
            return self.report.summary().partition(": ")[2] or self.report.summary()
        text = self.amount
        if not self._is_fetching:
            running = self.state is DownloadState.RUNNING
            word = self.step.value if running else self.state.value
            return f"{text}, {word}" if self.progress or self.copies else f"{word} …"
        text += f", {format_size(self.speed)}/s"
        left = self.seconds_left
        if left is not None:
            text += f", {format_duration(left)} left"
        if self.at_work:
            text += f", {self.at_work}"
        if self.progress is not None and self.progress.retries:
            text += f", {counted(self.progress.retries, 'retry', 'retries')}"
        return text

    @property
    def _counted(self) -> Sequence[CopyNow]:
        """Copies by which it is seen how far it is: at the end, those that failed as well."""
        if self.copies is None:
            return ()
        return self.copies.copies if self.state.is_over else can_have(self.copies)

    @property
    def _is_fetching(self) -> bool:
        return self.state is DownloadState.RUNNING and self.step is Step.FETCHING

    def _turn(self, state: DownloadState) -> None:
        """What was said before it was cancelled may come after that."""
        if self.state is not DownloadState.CANCELLING:
            self.state = state

    def _take_progress(self, event: Progress) -> None:
        self.progress, self.size = event, event.size
        if self.step is Step.ASKING:
            self.step = Step.FETCHING
        now = time.monotonic()
        if self.copies is None:
            # A lost node's requests count until others have taken them over.
            busy = sum(seen.lanes for seen in event.by_node) if event.by_node else event.lanes
            self._sample(now, event.fetched, min(busy, event.lanes))
        for seen in event.by_node:
            node = self.node(seen.node)
            node.lanes = seen.lanes
            node.observe(seen.speed, now)
            node.state = "silent" if seen.silent else "fetches" if seen.lanes else "idle"

    def _take_copies(self, event: CopiesNow) -> None:
        if self.copies is None:
            self._begin_pace()
        self.copies, self.size = event, event.size
        known = {copy.node for copy in self.whole}
        self.whole += [c for c in event.copies if c.has_file and c.node not in known]
        self.step = _step({copy.state for copy in can_have(event) if not copy.has_file})
        # What a node had from before is no speed.
        come = sum(copy.from_origin + copy.from_peers for copy in event.copies)
        self._sample(time.monotonic(), come, self.progress.lanes if self.progress else 0)

    def _leave_the_origin(self) -> None:
        """All that is asked of the origin is there; nodes still give it to each other."""
        self.progress = None
        for node in self.nodes.values():
            node.rest("idle")

    def _sample(self, now: float, come: int, lanes: int) -> None:
        self._speed.take(now, come)
        self._calm.take(now, come)
        self._lanes.append((now, lanes))
        while self._lanes[0][0] < now - SPEED_SECONDS:
            self._lanes.popleft()

    def _begin_pace(self) -> None:
        self._speed.clear()
        self._calm.clear()

    def _rest(self, state: str) -> None:
        for node in self.nodes.values():
            node.rest("left" if node.state == "left" else state)


def _step(states: set[str]) -> Step:
    """What copies in these states are about."""
    if states and states <= {"awaited", "opening"}:
        return Step.ASKING
    if states and states <= {"verifying", "publishing"}:
        return Step.VERIFYING
    return Step.FETCHING
