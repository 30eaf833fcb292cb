"""The bar of one file on a terminal, and on a wide one a line for each node."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TextIO

from raydl.model.events import CopiesNow, Event, Failed, Finished, Probed, Progress, Verifying
from raydl.model.units import counted, format_duration, format_size
from raydl.view.copies import rows
from raydl.view.messages import Messages
from raydl.view.pace import GLANCE_SECONDS
from raydl.view.status import DownloadStatus, NodeStatus, Step
from raydl.view.terminal import Block, cells_of, padded, shorten, size_of
from raydl.view.theme import TROUBLE_ON_TERMINALS, terminal_colour

BESIDE_BAR = (
    (99, "{amount}, {speed}, {left}, {who}"),
    (67, "{amount}, {speed}, {left}"),
    (54, "{fetched}, {speed}, {left}"),
    (43, "{speed}, {left}"),
    (30, "{speed}"),
    (0, ""),
)
"""What stands beside the bar from which width on: what fits at its longest with ten cells of bar,
so that no field comes and goes with the digits of another."""

WITHOUT_BAR = ((52, "{fetched}, {speed}, {who}"), (22, "{fetched}, {speed}"), (0, "{fetched}"))
"""The same where the size is not known."""

OF_COPIES = (
    (101, "{amount}, {speed}, {left}, {who}"),
    (69, "{amount}, {speed}, {left}"),
    (56, "{amount}, {speed}"),
    (43, "{amount}"),
    (32, "{count}"),
    (0, ""),
)
"""The same where each node gets the file."""

WIDE = 100
"""Columns from which on nodes have lines."""

MOST_NODES = 8
"""That have a line, and at most a third of the terminal's lines."""

NAME_CELLS, BAR_CELLS = 28, 20
"""Of a node's line."""

INDENT = "       "
"""Nodes' lines begin below the bar."""


class Line:
    """A bar with a text beside it. The bar moves with every drawing, the figures only as often as
    a person can read them."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._percent = self._text = ""
        self._looked_at, self._columns = float("-inf"), 0

    def is_due(self, columns: int) -> bool:
        """Whether it is time for other figures, or there is other room for them."""
        now = time.monotonic()
        is_due = now - self._looked_at >= GLANCE_SECONDS or self._columns != columns
        if is_due:
            self._looked_at, self._columns = now, columns
        return is_due

    def say(self, share: float | None, text: str) -> None:
        """What stands beside the bar from now on."""
        self._percent, self._text = "" if share is None else f"{int(100 * share):3} % |", text

    def draw(self, share: float | None) -> str:
        """The bar, full to ``share``; the text alone where that is not known."""
        if share is None or not self._percent:
            return shorten(self._text, self._columns)
        room = self._columns - len(self._percent) - 1
        if room <= 0:
            return shorten(self._percent, self._columns)
        text = shorten(f" {self._text}" if self._text else "", room)
        bar = self._block.bar(share, room - cells_of(text), terminal_colour(0))
        return f"{self._percent}{bar}|{text}"


class Bar:
    """The bar of one file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._block = stream, Block(stream)
        self._status, self._messages = DownloadStatus(), Messages()
        self._line, self._share = Line(self._block), 0.0
        self._below: list[str] = []

    def __call__(self, event: Event) -> None:
        """Move the bar, or write a line above it."""
        self._status.take(event)
        lines = self._messages.take(event)
        if isinstance(event, Finished | Failed):
            self._block.clear()
        for line in lines:
            self._say(line, is_brief=isinstance(event, Probed))
        match event:
            case Progress() | CopiesNow():
                self._draw()
            case Verifying() if self._status.copies is None and self._status.progress is not None:
                self._draw(afresh=True)

    def close(self) -> None:
        """Leave nothing of the bar."""
        self._block.clear()

    def _say(self, line: str, *, is_brief: bool) -> None:
        self._block.say(shorten(line, size_of(self._stream).columns) if is_brief else line)

    def _draw(self, *, afresh: bool = False) -> None:
        status, (columns, height) = self._status, size_of(self._stream)
        share = status.share
        if share is not None and status.copies is None:
            # Not below what is shown: bytes of a broken connection are fetched again. (Nodes come
            # and go, and their copies with them.)
            share = self._share = max(self._share, share)
        if self._line.is_due(columns) or afresh:
            self._line.say(share, beside_bar(status, columns))
            most = min(MOST_NODES, height // 3)
            self._below = node_lines(status, self._block, columns, most) if columns >= WIDE else []
        self._block.draw([self._line.draw(share), *self._below][:height])


def beside_bar(status: DownloadStatus, columns: int) -> str:
    """How it stands, in as many fields as there is room for."""
    copies = status.copies
    if copies is None and status.step is Step.VERIFYING:
        return Step.VERIFYING.value
    layouts = OF_COPIES if copies else BESIDE_BAR if status.size else WITHOUT_BAR
    layout = next(layout for least, layout in layouts if columns >= least)
    seconds = status.seconds_left
    left = f"{'?' if seconds is None else format_duration(seconds)} left"
    if copies is not None and status.step is not Step.FETCHING:
        left = status.step.value
    text = layout.format(
        amount=status.amount,
        count=f"{copies.whole}/{counted(len(copies.copies), 'node')}" if copies else "",
        fetched=format_size(status.fetched),
        speed=f"{format_size(status.speed)}/s",
        left=left,
        who=status.at_work,
    )
    return text.removesuffix(", ")


def node_lines(status: DownloadStatus, block: Block, columns: int, most: int) -> list[str]:
    """A line for each node, ``most`` in all: how fast it is, or what it has where each gets the
    file. None where this is the only one."""
    if status.copies is not None:
        return _copy_lines(status.copies, block, columns, most)
    nodes = [node for node in status.nodes.values() if node.state != "left"]
    if len(nodes) < 2 or most < 2:
        return []
    shown, others = (nodes, []) if len(nodes) <= most else (nodes[: most - 1], nodes[most - 1 :])
    fastest = max(node.speed for node in nodes) or 1.0
    names = _name_cells([node.name for node in shown])
    lines = [
        f"{INDENT}{padded(node.name, names)}  "
        f"{block.bar(node.speed / fastest, BAR_CELLS, terminal_colour(node.number))}"
        f"  {_speed_of(node, block)}"
        for node in shown
    ]
    if others:
        speed = format_size(sum(node.speed for node in others))
        silent = sum(node.state == "silent" for node in others)
        more = f"and {len(others)} more, {speed}/s in all" + (
            f", {silent} silent" if silent else ""
        )
        lines.append(INDENT + shorten(more, columns - len(INDENT)))
    return lines


def _speed_of(node: NodeStatus, block: Block) -> str:
    if node.state == "silent":
        return block.paint(f"{'silent':>11}", TROUBLE_ON_TERMINALS)
    connections = f"  {counted(node.lanes, 'connection')}" if node.lanes else ""
    return f"{format_size(node.speed) + '/s':>11}{connections}"


def _copy_lines(copies: CopiesNow, block: Block, columns: int, most: int) -> list[str]:
    if len(copies.copies) < 2 or most < 2:
        return []
    shown, more = rows(copies, most if len(copies.copies) <= most else most - 1)
    names = _name_cells([row.node for row in shown])
    room = columns - len(INDENT) - names - BAR_CELLS - 4
    lines = []
    for row in shown:
        colour = TROUBLE_ON_TERMINALS if row.is_bad else terminal_colour(0)
        bar, text = block.bar(row.share, BAR_CELLS, colour), shorten(row.text, room)
        text = block.paint(text, colour) if row.is_bad else text
        lines.append(f"{INDENT}{padded(row.node, names)}  {bar}  {text}")
    return [*lines, INDENT + shorten(more, columns - len(INDENT))] if more else lines


def _name_cells(names: Sequence[str]) -> int:
    return min(NAME_CELLS, max(map(cells_of, names)))
