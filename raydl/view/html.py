"""Small pictures for notebooks: a bar, the part map, the nodes. Text to text, nothing else.

Colours are those of the notebook's theme where there is one, so that it reads well in the dark.
A front of its own stands on ``api/functions`` and ``view/status`` instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from raydl.model.events import CopiesNow
from raydl.model.report import Report
from raydl.model.units import counted, format_size
from raydl.view.copies import copies_of, rows
from raydl.view.theme import TROUBLE, colour

EMPTY = "rgba(128,128,128,.2)"

MOST_COPIES = 24
"""Rows of nodes that get the file; a line tells of the others."""


class NodeLine(NamedTuple):
    """A node's line: what it brought or has, as text, and as a share of the most."""

    name: str
    colour: str
    share: float
    text: str


def block(title: str, *rest: str) -> str:
    """A title over what follows."""
    head = f'<div style="font-weight:600">{escape(title)}</div>' if title else ""
    style = "font-family:sans-serif;line-height:1.5;max-width:44em"
    return f'<div style="{style}">{head}{"".join(rest)}</div>'


def line(text: str) -> str:
    """A line of text."""
    return f'<div style="opacity:.8">{escape(text)}</div>'


def bar(share: float) -> str:
    """A bar, full to ``share`` (0 to 1)."""
    width = f"{100 * min(1.0, max(0.0, share)):.1f}%"
    return (
        f'<div style="background:{EMPTY};height:.6em;border-radius:.3em;margin:.3em 0">'
        f'<div style="background:{colour(0)};height:100%;width:{width};border-radius:.3em">'
        "</div></div>"
    )


def strip(cells: Sequence[tuple[str, float, str]]) -> str:
    """Cells side by side, each a colour, an opacity and a word that says what it is."""
    drawn, number = [], 0
    while number < len(cells):
        same = number
        while same < len(cells) and cells[same] == cells[number]:
            same += 1
        fill, opacity, word = cells[number]
        drawn.append(
            f'<rect x="{number}" y="0" width="{same - number}" height="10" '
            f'fill="{fill}" fill-opacity="{opacity:g}"><title>{escape(word)}</title></rect>'
        )
        number = same
    return (
        f'<svg viewBox="0 0 {max(1, len(cells))} 10" preserveAspectRatio="none" '
        f'style="width:100%;height:1.1em;display:block;margin:.3em 0">{"".join(drawn)}</svg>'
    )


def nodes(lines: Iterable[NodeLine]) -> str:
    """A row for each node, with a bar."""
    rows = "".join(
        f'<tr style="background:none"><td style="text-align:left;padding:0 .8em 0 0">'
        f'{escape(node.name)}</td><td style="width:12em;padding:0">'
        f'<div style="background:{node.colour};height:.6em;'
        f'width:{100 * min(1.0, max(0.0, node.share)):.1f}%"></div></td>'
        f'<td style="text-align:left;padding:0 0 0 .8em">{escape(node.text)}</td></tr>'
        for node in lines
    )
    return f'<table style="border:none;margin:.2em 0">{rows}</table>' if rows else ""


def copies(copies: CopiesNow) -> str:
    """A row for each node that gets the file, with a bar of what it has."""
    shown, more = rows(copies, MOST_COPIES)
    lines = [
        NodeLine(row.node, TROUBLE if row.is_bad else colour(0), row.share, row.text)
        for row in shown
    ]
    return nodes(lines) + (line(more) if more else "")


def report(report: Report) -> str:
    """The summary, the digests, a bar for each node, the limit."""
    found = copies_of(report)
    return block(
        report.path or report.url,
        line(report.summary().partition(": ")[2] or report.summary()),
        *(line(f"{name} {digest}") for name, digest in report.digests.items()),
        _brought(report) if found is None else copies(found),
        line(report.limit) if report.limit else "",
    )


def _brought(report: Report) -> str:
    most = max((share.bytes for share in report.nodes), default=0) or 1
    return nodes(
        NodeLine(
            share.node,
            colour(number),
            share.bytes / most,
            f"{format_size(share.bytes)}, {counted(share.lanes, 'connection')}",
        )
        for number, share in enumerate(report.nodes)
    )
