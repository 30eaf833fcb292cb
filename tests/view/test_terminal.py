import io
import os

import pytest

from raydl.view.terminal import (
    Block,
    cells_of,
    has_colours,
    is_drawable,
    padded,
    shorten,
    size_of,
)
from tests.view.screens import Terminal


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("model.safetensors", 17, "model.safetensors"),
        ("model-00001-of-00002.safetensors", 24, "model-00001….safetensors"),
        ("模型模型模型模型.bin", 12, "模型…型.bin"),
        ("模型", 3, "模…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("a\x1b[2J\nb", 9, "a\ufffd[2J\ufffdb"),
    ],
)
def test_what_is_too_long_loses_its_middle(text, room, shown):
    assert shorten(text, room) == shown
    assert cells_of(shown) <= room
    assert cells_of(padded(text, room)) == room


@pytest.mark.parametrize(
    ("text", "cells"),
    [("", 0), ("abc", 3), ("データ", 6), ("e\u0301", 1), ("a\u200bb", 2), ("❤\ufe0f", 2)],
)
def test_columns_of_a_text(text, cells):
    assert cells_of(text) == cells


def test_a_block_is_drawn_in_its_place_and_leaves_nothing(monkeypatch):
    terminal = Terminal(monkeypatch, 20, 6)
    block = Block(terminal)
    block.say("before")
    block.draw(["one", "two", "three"])
    block.draw(["four", "5"])
    assert terminal.lines == ["before", "four", "5"]
    block.say("said")
    assert terminal.lines == ["before", "said", "four", "5"]
    for number in range(9):  # and at the lower end, where what is above moves up
        block.say(f"line {number}")
    assert terminal.lines == ["line 5", "line 6", "line 7", "line 8", "four", "5"][-6:]
    block.clear()
    block.clear()
    assert terminal.lines == ["line 5", "line 6", "line 7", "line 8"]
    assert (terminal.screen.cursor.x, terminal.screen.cursor.y) == (0, 4)


def test_what_the_terminal_echoes_amid_it_goes_with_it(monkeypatch):
    terminal = Terminal(monkeypatch, 20)
    block = Block(terminal)
    block.draw(["one", "two"])
    terminal.write("^C")
    block.clear()
    assert terminal.lines == []


def test_lines_that_a_narrow_terminal_has_wrapped_are_all_drawn_over(monkeypatch):
    """Terminals that wrap anew keep the cursor at the character where it was."""
    terminal = Terminal(monkeypatch, 10)
    block = Block(terminal)
    block.say("above")
    block.draw(["one " * 10, "two " * 10])  # four lines of ten columns each ...
    terminal.write("\x1b[6A")  # ... so the cursor is where the first one begins
    block.draw(["1", "2"])
    assert terminal.lines == ["above", "1", "2"]


def test_a_bar(monkeypatch):
    terminal = Terminal(monkeypatch, 20)
    monkeypatch.setenv("NO_COLOR", "1")
    block = Block(terminal)
    for share, drawn in ((0, "    "), (0.5, "██  "), (0.59, "██▎ "), (1, "████"), (1.5, "████")):
        assert block.bar(share, 4, 36) == drawn


def test_a_bar_where_there_is_but_ascii():
    block = Block(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert block.bar(0.6, 5, 36) == "###  "


def test_who_has_colours(monkeypatch):
    terminal = Terminal(monkeypatch, 20)
    assert has_colours(terminal)
    assert not has_colours(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours(terminal)
    assert is_drawable(terminal)
    monkeypatch.setenv("NO_COLOR", "")
    assert has_colours(terminal)
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours(terminal)
    assert not is_drawable(terminal)


def test_the_size_is_that_of_the_terminal_that_is_drawn_on(monkeypatch):
    """Standard output may be a pipe, or another terminal."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x18\0\x3c\0\0\0\0\0")  # 24 lines of 60
    monkeypatch.setenv("COLUMNS", "200")
    with open(ours, "rb"), open(theirs, "w") as stream:
        assert size_of(stream) == (59, 24)


def test_a_terminal_that_has_gone_ends_nothing(monkeypatch):
    terminal = Terminal(monkeypatch, 20)
    block = Block(terminal)
    terminal.close()
    block.draw(["one"])
    block.clear()
