"""What became of a download."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from raydl.model.units import counted, format_duration, format_size

HAVE_FILE = ("done", "had", "skipped")
"""The states of a copy whose node has the file."""


@dataclass(frozen=True)
class NodeShare:
    """What one machine contributed: ``bytes`` of the file, over up to ``lanes`` connections.

    If each node gets the file, it also describes the node's copy: ``state`` is ``done``, ``had``
    (from before), ``skipped`` or ``failed``, and ``problem`` says why; ``from_peers`` are bytes
    that came from other nodes, ``seconds`` is the time until it had the file, and ``digest`` the
    copy's digest, as ``ALGORITHM:HEX``.
    """

    node: str
    bytes: int
    lanes: int
    state: str = ""
    from_peers: int = 0
    seconds: float = 0.0
    digest: str = ""
    problem: str = ""


class NodeShares(tuple[NodeShare, ...]):
    """What each machine did; one of them by its name, too: ``shares["10.0.0.3"]``."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        """By its place, or by the node's name. Raises LookupError."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        for share in self:
            if share.node == key:
                return share
        raise KeyError(key)


@dataclass(frozen=True)
class Report:
    """A finished download.

    ``path`` is None if the bytes went to standard output; for an unpacked archive it is the
    directory, and ``size`` is the archive's. ``size``, ``fetched`` (over the network in this
    run) and ``resumed`` (kept from an earlier run) are bytes, ``seconds`` is wall time and
    ``transfer_seconds`` the time from the first request for a part to the last byte. ``wasted``
    bytes were fetched twice or in vain. ``digests`` maps an algorithm to the hex digest
    that was computed and compared, and ``proof`` says where the expected one came from:
    ``given``, a file or URL, or a header of the origin. ``limit`` says which limit was met, if that
    is known.
    """

    url: str
    path: str | None
    size: int
    fetched: int = 0
    resumed: int = 0
    seconds: float = 0.0
    transfer_seconds: float = 0.0
    parts: int = 0
    retries: int = 0
    wasted: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    nodes: tuple[NodeShare, ...] = NodeShares()
    skipped: bool = False
    limit: str = ""
    proof: str = ""

    @property
    def speed(self) -> float:
        """Bytes per second over the transfer; 0 if nothing was transferred."""
        return self.fetched / self.transfer_seconds if self.transfer_seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, the speed included."""
        return {**asdict(self), "speed": self.speed}

    def __str__(self) -> str:
        return self.summary()

    def summary(self) -> str:
        """The result in one line."""
        if any(share.state for share in self.nodes):
            return self._summary_of_copies()
        where = self.path or "standard output"
        if self.skipped:
            size = f", {format_size(self.size)}" if self.size else ""
            line = f"{where} exists{size}: skipped"
            return ", ".join((line, *(f"{algorithm} verified" for algorithm in self.digests)))
        line = f"{where}: {format_size(self.size)} in {format_duration(self.seconds)}"
        line += self._pace()
        if len(self.nodes) > 1:
            line += f", {counted(len(self.nodes), 'node')}"
        if self.resumed:
            line += f", {format_size(self.resumed)} kept from before"
        return line + self._trouble_and_proof()

    def _summary_of_copies(self) -> str:
        copies = [share for share in self.nodes if share.state]
        there = [share for share in copies if share.state in HAVE_FILE]
        new = [share for share in there if share.state == "done"]
        of = "" if len(there) == len(copies) else f"{len(there)} of "
        nodes = f"{of}{counted(len(copies), 'node')}"
        left = sum(share.state == "skipped" for share in there)
        line = f"{self.path} on {nodes}: "
        if left and left == len(there):
            return f"{line}left as it is{self._trouble_and_proof()}"
        line += f"{format_size(self.size)} each"
        if left:
            line += f", on {counted(left, 'node')} left as it is"
        if there and not new:
            line += ", from before"
        else:
            line += f" in {format_duration(self.seconds)}"
            line += f", {format_size(self.fetched) if self.fetched else 'nothing'} from the origin"
            line += self._pace()
            if len(new) < len(there):
                line += f", {counted(len(there) - len(new), 'node')} had it before"
            elif self.resumed:
                line += f", {format_size(self.resumed)} kept from before"
        line += self._trouble_and_proof()
        digests = {share.digest for share in there}
        if not self.digests and len(there) > 1 and len(digests) == 1 and any(digests):
            line += f", the same {digests.pop().partition(':')[0]} on all"
        return line

    def _pace(self) -> str:
        if not self.fetched:
            return ""
        over = format_duration(self.transfer_seconds)
        words = "" if over == format_duration(self.seconds) else f" over {over}"
        return f", {format_size(self.speed)}/s{words}"

    def _trouble_and_proof(self) -> str:
        words = f", {counted(self.retries, 'retry', 'retries')}" if self.retries else ""
        return words + "".join(f", {algorithm} verified" for algorithm in self.digests)

    def is_shown_in(self, cell: int) -> None:
        """Say that a widget of that cell of a notebook shows it."""
        vars(self)["_cell"] = cell  # no field: it says nothing of the download

    def _ipython_display_(self) -> None:
        """Nothing more, as the last value of the cell whose widget shows it already."""
        from raydl.view.widget import running_cell

        if vars(self).get("_cell") != running_cell():
            raise NotImplementedError  # so that IPython asks for the HTML

    def _repr_html_(self) -> str:
        """For notebooks, which ask the value itself how it looks."""
        from raydl.view.html import report

        return report(self)
