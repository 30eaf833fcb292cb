"""What a terminal shows of what was written to it."""

import io
import time

import pytest

from raydl.view.progress import renderer

pyte = pytest.importorskip("pyte")


class Terminal(io.StringIO):
    """A terminal of that many columns and lines, in memory."""

    def __init__(self, monkeypatch, columns, lines=24):
        super().__init__()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)
        self._monkeypatch = monkeypatch
        self.screen = pyte.Screen(columns, lines)
        self.screen.set_mode(pyte.modes.LNM)  # as the system's terminal driver has it
        self._stream = pyte.Stream(self.screen)
        self.resize(columns, lines)

    def resize(self, columns, lines):
        """Have it so large; what is shown is not wrapped anew, but cut off."""
        self._monkeypatch.setenv("COLUMNS", str(columns))
        self._monkeypatch.setenv("LINES", str(lines))
        self.screen.resize(lines, columns)

    def isatty(self):
        return True

    def write(self, text):
        self._stream.feed(text)
        return super().write(text)

    @property
    def lines(self):
        """The lines that it shows, down to the last that is not empty."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def colours(self):
        """Those of the characters that are not blank."""
        rows = self.screen.buffer.values()
        return {cell.fg for row in rows for cell in row.values() if cell.data.strip()}


class Show:
    """Events in a style on a terminal, each with its time; ``render`` goes on with one."""

    def __init__(self, monkeypatch, terminal, style="auto", many=False):
        self.now, self.terminal = 0.0, terminal
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self._renderer = renderer(style, terminal, many)
        self._render = self._renderer.__enter__()

    def render(self, *events):
        """Show events, each a pair of a time and what happens then; returns the lines shown."""
        for self.now, event in events:
            self._render(event)
        return self.terminal.lines

    def close(self):
        """End it; returns the lines that stay."""
        self._renderer.__exit__(None, None, None)
        return self.terminal.lines
