"""Small pieces of the windows."""

import tkinter as tk

import pytest

from raydl.gui.widgets import CopyRow, Field, Wrapped
from tests.display import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "")


def test_lines_break_at_the_width_that_there_is_and_ask_for_none(open_app):
    root = open_app().root
    label = Wrapped(root, text="a word " * 40)
    asked = label.winfo_reqwidth()
    for width in (300, 200, 300):
        label.place(x=0, y=0, width=width)
        root.update()
        assert int(str(label.cget("wraplength"))) == width
        assert label.winfo_reqwidth() == asked < 100


def test_an_empty_field_says_what_holds(open_app):
    app = open_app()
    text = tk.StringVar(app.root)
    field = Field(app.root, app.look, "no limit", text)
    field.place(x=0, y=0, width=200)
    app.root.update()
    (says,) = field.winfo_children()
    assert (says.cget("text"), says.winfo_ismapped()) == ("no limit", 1)
    field.insert(0, "5M")
    app.root.update()
    assert not says.winfo_ismapped()
    field.delete(0, "end")
    app.root.update()
    assert says.winfo_ismapped()
    assert text.get() == ""


def test_a_long_command_is_readable_to_its_end_and_copied_whole(open_app):
    app = open_app()
    row = CopyRow(app.root, app.look, "in a terminal")
    row.place(x=0, y=0, width=260)
    command = "RAY_AUTH_MODE=token ray start --address=192.168.100.100:6379"
    row.text.set("ray start")
    app.root.update()
    low = row.line.winfo_reqheight()
    row.text.set(command)
    app.root.update()
    assert row.line.winfo_height() >= row.line.winfo_reqheight() >= 2 * low
    row.button.invoke()
    assert app.root.clipboard_get() == command
