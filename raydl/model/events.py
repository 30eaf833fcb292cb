"""What happens during a download, as frozen values.

``str(event)`` is a line for a log or a terminal; ``event.to_dict()`` is its JSON record
(docs/events.md has the schema). Progress bars, JSON lines and windows are renderings of these
and see nothing else. No event holds a credential.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, ClassVar, NamedTuple

from raydl.model import errors
from raydl.model.errors import RaydlError
from raydl.model.parts import Plan
from raydl.model.remote import Remote
from raydl.model.report import HAVE_FILE, Report
from raydl.model.units import counted, format_duration, format_size
from raydl.model.weburl import redact

SCHEMA = 1

Emit = Callable[["Event"], None]


@dataclass(frozen=True)
class Event:
    """Base of all events. ``level`` is ``info``, ``warning`` or ``detail``.

    ``download`` is the id of the download, empty before there is one, and ``file`` the number of
    the file in it: a part is identified by its file and its first byte.
    """

    level: ClassVar[str] = "detail"
    _: KW_ONLY
    download: str = ""
    file: int = 0

    @classmethod
    def kind(cls) -> str:
        """The record's ``event`` field: the class name in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def to_dict(self) -> dict[str, Any]:
        """Plain data: ``event``, whose it is, and what happened."""
        ids = {"download": self.download, "file": self.file}
        return {"event": self.kind(), **ids, **self.details()}

    def details(self) -> dict[str, Any]:
        """What happened, as plain data."""
        record = asdict(self)
        del record["download"], record["file"]
        return record


@dataclass(frozen=True)
class Probed(Event):
    """The origin answered the probe."""

    remote: Remote
    level: ClassVar[str] = "info"

    def details(self) -> dict[str, Any]:
        """The remote's fields, flat."""
        return {"schema": SCHEMA, **self.remote.to_dict()}

    def __str__(self) -> str:
        size = "size unknown" if self.remote.size is None else format_size(self.remote.size)
        line = f"{redact(self.remote.url)}: {size}"
        if not self.remote.ranges:
            line += f"; one stream, because {self.remote.why_no_ranges}"
        return line


@dataclass(frozen=True)
class Planned(Event):
    """The file is divided into ``parts`` parts of at most ``part_size`` bytes; ``parts`` is None
    where they are cut to measure as it goes."""

    start: int
    size: int
    parts: int | None
    part_size: int
    note: str
    level: ClassVar[str] = "info"

    @classmethod
    def of(cls, plan: Plan) -> Planned:
        """The event that reports a plan."""
        return cls(plan.start, plan.size, plan.count, plan.part_size, plan.note)

    def __str__(self) -> str:
        parts = "parts" if self.parts is None else counted(self.parts, "part")
        return self.note or f"{parts} of up to {format_size(self.part_size)}"


@dataclass(frozen=True)
class Resumed(Event):
    """``kept`` bytes of an earlier run stay (0 when it starts over); ``note`` says why."""

    kept: int
    note: str
    level: ClassVar[str] = "info"

    def __str__(self) -> str:
        return self.note


@dataclass(frozen=True)
class ClusterChosen(Event):
    """Which machines take part: ``address`` is empty for this machine alone."""

    address: str
    note: str
    level: ClassVar[str] = "info"

    def __str__(self) -> str:
        return self.note


@dataclass(frozen=True)
class LanesJoined(Event):
    """A node's lanes are ready."""

    node: str
    lanes: int

    def __str__(self) -> str:
        return f"{self.node} joined, with {counted(self.lanes, 'connection')}"


@dataclass(frozen=True)
class LanesLeft(Event):
    """A node's lanes are gone."""

    node: str
    lanes: int
    reason: str
    level: ClassVar[str] = "warning"

    def __str__(self) -> str:
        return f"{self.node} is lost: {self.reason}; its parts go to others"


@dataclass(frozen=True)
class PartStarted(Event):
    """A lane of ``node`` asks for ``[start, stop)``."""

    part: int
    start: int
    stop: int
    node: str

    def __str__(self) -> str:
        return f"part {self.part}: {self.node} asks for {_range(self.start, self.stop)}"


@dataclass(frozen=True)
class PartFetched(Event):
    """``[start, stop)`` has arrived at ``node`` from the host ``origin``."""

    part: int
    start: int
    stop: int
    node: str
    seconds: float
    origin: str = ""

    def __str__(self) -> str:
        what, seconds = _range(self.start, self.stop), format_duration(self.seconds)
        return f"part {self.part}: {what} came to {self.node} in {seconds}"


@dataclass(frozen=True)
class PartFailed(Event):
    """``[start, stop)`` did not arrive from ``node`` and is tried again after ``delay`` s."""

    part: int
    start: int
    stop: int
    node: str
    reason: str
    tries: int
    delay: float

    def __str__(self) -> str:
        again = f" in {format_duration(self.delay)}" if self.delay else ""
        return f"part {self.part} from {self.node}: {self.reason}; again{again}"


@dataclass(frozen=True)
class PartHedged(Event):
    """``[start, stop)`` is to be fetched by another lane too: ``node`` has them late."""

    part: int
    start: int
    stop: int
    node: str
    reason: str

    def __str__(self) -> str:
        what = _range(self.start, self.stop)
        why = f"are late at {self.node}: {self.reason}"
        return f"part {self.part}: {what} {why}; another connection is asked, too"


@dataclass(frozen=True)
class PartWritten(Event):
    """``[start, stop)`` is in the output."""

    part: int
    start: int
    stop: int

    def __str__(self) -> str:
        return f"part {self.part}: {_range(self.start, self.stop)} are written"


class NodeNow(NamedTuple):
    """How a node does: lanes at work for the download, bytes a second that it brings for all of
    them, whether it was not heard of of late."""

    node: str
    lanes: int
    speed: float
    silent: bool


@dataclass(frozen=True)
class Progress(Event):
    """A few times a second: bytes of the file fetched and written so far, lanes at work.

    ``wasted`` bytes came twice or in vain; ``waiting`` is what lanes wait for, if anything.
    """

    fetched: int
    written: int
    size: int | None
    lanes: int
    nodes: int
    retries: int
    by_node: tuple[NodeNow, ...] = ()
    wasted: int = 0
    waiting: str = ""

    def details(self) -> dict[str, Any]:
        """With an object for each node."""
        return {**super().details(), "by_node": [node._asdict() for node in self.by_node]}

    def __str__(self) -> str:
        of = f" of {format_size(self.size)}" if self.size else ""
        at_work = f"{counted(self.lanes, 'connection')} on {counted(self.nodes, 'node')}"
        return f"{format_size(self.fetched)}{of}, {at_work}"


class CopyNow(NamedTuple):
    """A node's copy: its ``state``, the bytes it has, those that it fetched, those of others."""

    node: str
    state: str
    bytes: int
    from_origin: int
    from_peers: int
    problem: str

    @property
    def has_file(self) -> bool:
        """Whether the file is at its path there."""
        return self.state in HAVE_FILE


@dataclass(frozen=True)
class CopiesNow(Event):
    """A few times a second, where each node gets the file: how far the copies are."""

    size: int
    copies: tuple[CopyNow, ...]

    def details(self) -> dict[str, Any]:
        """With an object for each node."""
        return {"size": self.size, "copies": [copy._asdict() for copy in self.copies]}

    @property
    def whole(self) -> int:
        """How many nodes have the file."""
        return sum(copy.has_file for copy in self.copies)

    @property
    def count(self) -> str:
        """How many that are, and of how many."""
        verb = "has" if len(self.copies) == 1 else "have"
        return f"{self.whole} of {counted(len(self.copies), 'node')} {verb}"

    def __str__(self) -> str:
        return f"{self.count} the file"


@dataclass(frozen=True)
class Paused(Event):
    """Nothing more is asked for, until the download is continued."""

    level: ClassVar[str] = "info"

    def __str__(self) -> str:
        return "paused"


@dataclass(frozen=True)
class Continued(Event):
    """A download that was paused goes on."""

    level: ClassVar[str] = "info"

    def __str__(self) -> str:
        return "goes on"


@dataclass(frozen=True)
class Verifying(Event):
    """All bytes are there; length and digest are compared, data goes to the disk."""

    def __str__(self) -> str:
        return "verifying"


@dataclass(frozen=True)
class Notice(Event):
    """Something a person should know; the download goes on."""

    text: str
    level: ClassVar[str] = "warning"

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Unanswered(Notice):
    """The very first request failed, and is made again: shown even where nothing else is."""


@dataclass(frozen=True)
class Finished(Event):
    """The file is there."""

    report: Report
    level: ClassVar[str] = "info"

    def details(self) -> dict[str, Any]:
        """The report's fields, flat."""
        return self.report.to_dict()

    def __str__(self) -> str:
        line, limit = self.report.summary(), self.report.limit
        return f"{line}\n{limit}" if limit else line


def _range(start: int, stop: int) -> str:
    return f"bytes {start:,} to {stop - 1:,}"


@dataclass(frozen=True)
class Failed(Event):
    """The download ended without the file. ``exit_code`` is the CLI's."""

    error: str
    message: str
    hint: str
    exit_code: int
    level: ClassVar[str] = "warning"

    @classmethod
    def of(cls, error: RaydlError) -> Failed:
        """The event that reports an error, with the class that users know it by."""
        known = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
        return cls(known.__name__, error.message, error.hint, error.exit_code)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message
