"""What a terminal shows: lines that are drawn again and again, in the cells and colours it has."""

from __future__ import annotations

import contextlib
import os
import shutil
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from raydl.model.units import printable

CLEAR = "\r\x1b[J"
"""From the first column of this line on, nothing: what a ``Block`` has drawn, and a ^C in it."""


def is_drawable(stream: TextIO) -> bool:
    """Whether it is a terminal on which lines can be drawn again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colours(stream: TextIO) -> bool:
    """Whether to use colours there (https://no-color.org)."""
    return is_drawable(stream) and not os.environ.get("NO_COLOR")


def size_of(stream: TextIO) -> os.terminal_size:
    """Columns and lines to draw in; one column short of the edge, where terminals would wrap."""
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        found = os.terminal_size((0, 0))
    if not found.columns or not found.lines:
        found = shutil.get_terminal_size()
    return os.terminal_size((max(1, found.columns - 1), max(1, found.lines)))


def cells_of(text: str) -> int:
    """The columns that it takes. Rather too many than too few: what is too long would wrap."""
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    # A variation selector may make what is before it wide.
    is_mark = unicodedata.category(character) in ("Mn", "Me", "Cf") and character != "\ufe0f"
    return 0 if is_mark else 1


def shorten(text: str, room: int) -> str:
    """In ``room`` columns; what is too long loses its middle, for names differ at their ends."""
    text = printable(text)
    if cells_of(text) <= room:
        return text
    tail = _fitting(text[::-1], room // 2)[::-1]
    return _fitting(text, room - 1 - cells_of(tail)) + "…" + tail if room > 0 else ""


def _fitting(text: str, room: int) -> str:
    """The beginning that fits."""
    for count, character in enumerate(text):
        room -= _cells(character)
        if room < 0:
            return text[:count]
    return text


def padded(text: str, room: int) -> str:
    """In exactly ``room`` columns."""
    text = shorten(text, room)
    return text + " " * (room - cells_of(text))


class Block:
    """Lines that are drawn again and again at the end of what a terminal shows; what is said
    goes above them.

    Between two drawings the cursor is where the first line begins. So nothing has to be known of
    what has become of the lines, as when the window got narrower and the terminal wrapped them:
    they are below, and nothing else is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._has_colours = has_colours(stream)
        self._lines: Sequence[str] = ()

    def draw(self, lines: Sequence[str]) -> None:
        """Show these instead of those before. None may be longer than ``size_of`` says."""
        self._lines = lines
        self._write(self._drawn())

    def say(self, text: str) -> None:
        """Write it above the lines, where it stays: a line, or several."""
        text = printable(text, "\n")
        self._write(f"{CLEAR}{text}\n{self._drawn()}" if self._lines else f"{text}\n")

    def clear(self) -> None:
        """Leave no line of it."""
        if self._lines:
            self._lines = ()
            self._write(CLEAR)

    def paint(self, text: str, colour: int) -> str:
        """In one of the terminal's own colours (ECMA-48, SGR), where there are any."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self._has_colours and text else text

    def bar(self, share: float, width: int, colour: int) -> str:
        """So many columns, full to ``share`` (0 to 1)."""
        from tqdm.std import Bar  # type: ignore[attr-defined] # 30 ms, where a bar is drawn

        cells = " #" if self._is_plain else Bar.UTF
        drawn = format(Bar(min(1.0, max(0.0, share)), charset=cells), f"{width}").rstrip()
        return self.paint(drawn, colour) + " " * (width - len(drawn))

    @property
    def _is_plain(self) -> bool:
        """Whether there is nothing but ASCII."""
        try:
            "█".encode(self._stream.encoding or "utf-8")
        except (UnicodeError, LookupError):
            return True
        return False

    def _drawn(self) -> str:
        """Each line over the one before; what is left below goes, and the cursor back."""
        back = f"\x1b[{len(self._lines) - 1}A" if len(self._lines) > 1 else ""
        return "\r" + "\x1b[K\n".join(self._lines) + f"\x1b[J\r{back}"

    def _write(self, text: str) -> None:
        # The reader of standard error may have gone: that is no reason to stop a download.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
