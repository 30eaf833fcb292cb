"""The list of downloads in the coordinator's window, and the nodes beside it."""

import time
import tkinter as tk
from tkinter import font, ttk

import pytest

from raydl.cluster.session import Node
from raydl.gui.rows import Rows
from raydl.gui.widgets import Card, Wrapped
from raydl.model.errors import CancelledError, NetworkError, TargetError
from raydl.model.events import LanesJoined, NodeNow, PartFetched, Planned, Probed, Progress
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.node.roles import Head
from tests.display import drive, why_not
from tests.gui.test_downloadqueue import leave
from tests.gui.test_windows import cure, everything, fill, press, texts
from tests.view.copies import copy, now

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")

SIZE = 1 << 20


class Nobody:
    """A backend that only listens."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        def ask(*args):
            self.asked.append((name, *args))
            return 1

        return ask


@pytest.fixture
def alone(coordinator):
    """A window whose downloads a test tells."""
    app, window = coordinator
    window.queue._backend = Nobody()
    yield app, window
    window.queue.items.clear()
    window.cluster.head = None


def take(window, item, *events):
    window._take([("event", item.key, event) for event in events])


def end(window, item, path=None, error=None):
    report = Report(item.url, str(path), SIZE) if error is None else None
    window._take([("ended", item.key, report, error)])


def begin(window, home, name="big.iso", fetched=0):
    window.form.put_url(f"http://h/{name}")
    window.form.submit()
    item = window.queue.items[-1]
    remote = Remote(item.url, item.url, SIZE, True, None, None, name)
    if item.state is DownloadState.RUNNING:
        take(window, item, Probed(remote), Planned(0, SIZE, 4, SIZE // 4, ""))
        take(window, item, Progress(fetched, fetched, SIZE, 4, 1, 0))
    return item


def row_of(window, item):
    return window.list.tree.item(str(item.key), "values")


def entries(window):
    """The menu's words, and whether each can be chosen."""
    menu = window.list.menu
    return {
        menu.entrycget(n, "label"): menu.entrycget(n, "state") == "normal"
        for n in range(menu.index("end") + 1)
        if menu.type(n) == "command"
    }


def choose(app, window, words):
    window.list.make_menu()
    menu = window.list.menu
    assert entries(window)[words]
    menu.invoke(menu.index(words))
    app.root.update()


def test_a_row_has_name_size_progress_speed_and_what_is_left(alone, home):
    app, window = alone
    tree = window.list.tree
    columns = ("#0", *tree.cget("columns"))
    words = [tree.heading(column, "text") for column in columns]
    assert words == ["name", "size", "progress", "speed", "time left"]
    item = begin(window, home)
    began = time.monotonic()
    for _ in range(40):  # speeds want a while
        share = (time.monotonic() - began) / 10
        take(window, item, Progress(int(SIZE * share), 0, SIZE, 4, 1, 0))
        drive(app.root, lambda: True)
        if row_of(window, item)[3]:
            break
        time.sleep(0.1)
    size, progress, speed, left = row_of(window, item)
    assert (size, progress[0], progress[-1]) == ("1 MiB", "━" if item.share > 0.07 else "─", "%")
    assert speed.endswith("iB/s")
    assert left.endswith("s")
    window.toggle()
    assert row_of(window, item)[1].startswith("paused, ")
    queued = begin(window, home, "next.iso")
    assert row_of(window, queued)[1] == "queued"
    end(window, item, error=NetworkError("gone"))
    assert row_of(window, item) == ("1 MiB", "failed", "", "")


def test_the_list_has_what_room_there_is_and_a_scroll_bar_when_it_is_short(alone, home):
    app, window = alone
    app.root.geometry("1024x700")
    for number in range(12):
        begin(window, home, f"{number}.iso")
    tree = window.list.tree
    bar = tree.master._bar
    drive(app.root, bar.winfo_ismapped)
    low = tree.winfo_height()
    assert low > 70  # two rows and a heading
    app.root.geometry("1380x980")
    drive(app.root, lambda: tree.winfo_height() > low)
    assert tree.winfo_height() - low >= 0.95 * 280
    drive(app.root, lambda: not bar.winfo_ismapped() or tree.winfo_height() < 13 * 24)


def test_a_new_one_leaves_the_selection_where_it_is(alone, home):
    app, window = alone
    first = begin(window, home, "a")
    app.root.update()
    assert window.item is first
    second = begin(window, home, "b")
    app.root.update()
    assert window.item is first
    window.select(second)
    app.root.update()
    assert window.item is second
    end(window, first, error=NetworkError("gone"))
    app.root.update()
    assert window.item is second


def test_a_click_with_the_right_button_or_the_menu_key_asks_for_a_menu(alone, home):
    app, window = alone
    begin(window, home, "a")
    second = begin(window, home, "b")
    app.root.update()
    x, y, _, height = window.list.tree.bbox(str(second.key))
    window.list.tree.event_generate("<Button-3>", x=x + 5, y=y + height // 2)
    drive(app.root, lambda: window.item is second and window.list.menu.winfo_ismapped())
    window.list.menu.unpost()
    assert entries(window) == {
        "Open": False, "Open folder": False, "Copy URL": True, "Edit and try again": False,
        "Pause": False, "Cancel": True, "Remove": True, "Clear finished": False,
    }  # fmt: skip
    app.root.update()
    press(app, window.list.tree, "<Menu>")
    drive(app.root, window.list.menu.winfo_ismapped)
    window.list.menu.unpost()
    choose(app, window, "Copy URL")
    assert app.root.clipboard_get() == "http://h/b"


def test_what_is_done_is_opened_and_cleared(alone, home, monkeypatch):
    app, window = alone
    opened = []
    monkeypatch.setattr("raydl.gui.coordinatorwindow.open_outside", opened.append)
    item = begin(window, home)
    app.root.update()
    press(app, window.list.tree, "<Return>")
    assert opened == []
    path = home / "Downloads" / "big.iso"
    path.write_text("whole")
    end(window, item, path)
    press(app, window.list.tree, "<Return>")
    choose(app, window, "Open")
    choose(app, window, "Open folder")
    assert opened == [path, path, path.parent]
    other = begin(window, home, "other.iso")
    choose(app, window, "Clear finished")
    assert window.queue.items == [other]
    assert window.item is other
    assert path.exists()


def test_edit_and_try_again_has_it_in_the_form(alone, home):
    app, window = alone
    typed = {
        "checksum": f"md5:{'0' * 32}",
        "header": "X-Key: 1",
        "user": "anna:wrong",
        "mirror": "http://g/big.iso",
    }
    for name, text in typed.items():
        window.form.fields[name].set(text)
    item = begin(window, home)
    assert not any(window.form.fields[name].get() for name in typed)
    assert "wrong" not in repr(item)
    fill(window.form.target, "elsewhere")
    app.root.update()
    end(window, item, error=NetworkError("gone"))
    choose(app, window, "Edit and try again")
    assert window.queue.items == []
    assert window.form.url.text == "http://h/big.iso"
    assert window.form.target.get() == f"{home}/Downloads/"
    assert {name: window.form.fields[name].get() for name in typed} == typed
    assert str(window.form.more_button.cget("text")) == "More (3) …"
    window.form.fields["user"].set("anna:right")
    window.form.submit()
    again = window.queue.items[0]
    assert again.url == "http://h/big.iso"
    assert again.options == {**item.options, "user": "anna:right"}


@pytest.mark.parametrize("delete", [False, True])
def test_delete_removes_and_asks_what_becomes_of_a_partial_file(alone, home, delete):
    app, window = alone
    item = begin(window, home, fetched=700)
    app.root.update()
    press(app, window.list.tree, "<Delete>")
    assert "Remove big.iso from the list? 700 B of it" in " ".join(texts(window.dialog))
    press(app, window.dialog, "<Escape>")
    assert item.state is DownloadState.RUNNING
    window.list.remove_button.invoke()
    app.root.update()
    (window.dialog.delete_button if delete else window.dialog.yes_button).invoke()
    assert item.state is DownloadState.CANCELLING
    leave(home / "Downloads", "big.iso", 700, item.url, SIZE)
    end(window, item, error=CancelledError("cancelled"))
    assert window.list.tree.get_children() == ()
    assert (home / "Downloads" / "big.iso.part").exists() is not delete
    assert app.memory.unfinished == []


def test_cancel_offers_to_delete_what_has_arrived(alone, home):
    app, window = alone
    item = begin(window, home, fetched=700)
    app.root.update()
    window.detail.cancel_button.invoke()
    app.root.update()
    window.dialog.delete_button.invoke()
    leave(home / "Downloads", "big.iso", 700, item.url, SIZE)
    end(window, item, error=CancelledError("cancelled"))
    assert window.queue.items == [item]
    assert not (home / "Downloads" / "big.iso.part").exists()
    assert window.detail.toggle_button.cget("text") == "Try again"
    nothing_yet = begin(window, home, "next.iso")
    window.select(nothing_yet)
    app.root.update()
    window.detail.cancel_button.invoke()
    assert not window.dialog.winfo_exists()
    assert nothing_yet.state is DownloadState.CANCELLING


@pytest.mark.parametrize("choice", ["Replace", "Keep both", "Skip"])
def test_a_file_that_exists_is_replaced_kept_or_left(alone, home, choice):
    app, window = alone
    item = begin(window, home)
    app.root.update()
    there = home / "Downloads" / "big.iso"
    there.write_text("old")
    error = TargetError(f"{there} exists already", "choose: --overwrite, --skip-existing or -o")
    end(window, item, error=error)
    app.root.update()
    said = texts(window.detail)
    assert "Replace it, keep both under two names, or skip this download." in said
    cure(window, choice).invoke()
    if choice == "Skip":
        assert window.queue.items == []
        return
    name, _, _, target, options = window.queue._backend.asked[-1]
    assert name == "start"
    if choice == "Replace":
        assert (target, options["overwrite"]) == (f"{home}/Downloads/", True)
    else:
        assert target == str(home / "Downloads" / "big (1).iso")
        assert "overwrite" not in options
    assert there.read_text() == "old"


def test_nodes_are_those_of_the_cluster_whatever_is_selected(alone, home):
    app, window = alone
    table = window.cluster.table
    assert table.item("this machine", "values") == ("ready", "", "")
    window.cluster.head = Head("h:1", has_token=False)
    nodes = [Node(str(n), f"n{n}", "h", n == 0, n == 0, 1.0, 0) for n in range(3)]
    window.cluster.take_nodes(nodes)
    first = begin(window, home, "a")
    take(window, first, LanesJoined("n1", 4), PartFetched(0, 0, SIZE // 4, "n1", 0.1))
    end(window, first, home / "a")
    second = begin(window, home, "b")
    busy = (NodeNow("n1", 3, 2048.0, False),)
    take(window, second, LanesJoined("n1", 3), PartFetched(0, 0, SIZE // 2, "n1", 0.1))
    take(window, second, Progress(1, 0, SIZE, 3, 1, 0, busy))
    window.select(first)  # which rests
    app.root.update()
    drive(app.root, lambda: table.item("n1", "values")[0] == "3 connections")
    assert table.get_children() == ("this machine", "n1", "n2")
    assert table.item("n1", "values") == ("3 connections", "2 KiB/s", "768 KiB")
    assert table.item("n2", "values") == ("ready", "", "")
    assert window.cluster.nodes.total.cget("text").startswith("3 nodes, 3 connections")
    of_map, of_table = window.detail.strip._colours, window.cluster.nodes._colours
    assert of_map is of_table


def cut_off(app):
    """What is not wholly to be seen: labels, buttons, fields, and texts in rows."""
    found = []
    for widget in everything(app.window):
        if not widget.winfo_viewable():
            continue
        kind, card = widget.winfo_class(), widget
        while not isinstance(card, Card | Rows):
            card = card.master
            if card is app.window:
                break
        if kind in ("TButton", "TLabel", "TEntry", "TCombobox", "Canvas"):
            right = widget.winfo_rootx() + widget.winfo_width()
            low = widget.winfo_rooty() + widget.winfo_height()
            asks_for_none = isinstance(widget, Wrapped | tk.Canvas | ttk.Entry)
            if (
                (widget.winfo_width() < widget.winfo_reqwidth() and not asks_for_none)
                or widget.winfo_height() < min(widget.winfo_reqheight(), app.look.px(30))
                or right > card.winfo_rootx() + card.winfo_width()
                or low > card.winfo_rooty() + card.winfo_height()
            ):
                found.append((kind, str(widget), kind == "TLabel" and widget.cget("text")))
        elif kind == "Treeview":
            style = ttk.Style(app.root)
            letters = font.Font(app.root, font=style.lookup(widget.cget("style"), "font"))
            names = widget.cget("columns")
            total = sum(widget.column(name, "width") for name in ("#0", *names))
            if total > widget.winfo_width():
                found.append((str(widget), "columns", total, widget.winfo_width()))
            for row in widget.get_children():
                found += [
                    (str(widget), text)
                    for name, text in zip(names, widget.item(row, "values"), strict=True)
                    if letters.measure(text) + app.look.px(4) > widget.column(name, "width")
                ]
                if widget is app.window.cluster.nodes.table:  # beside a square of ten pixels
                    name = widget.item(row, "text")
                    if letters.measure(name) + app.look.px(16) > widget.column("#0", "width"):
                        found.append((str(widget), name, widget.column("#0", "width")))
    return found


def test_nothing_is_cut_off_in_the_smallest_window(alone, home):
    app, _ = alone
    look_for_what_is_cut_off(app, home)


def look_for_what_is_cut_off(app, home):
    """While five nodes download, and once a file is in the way."""
    window, px = app.window, app.look.px
    app.root.geometry(f"{px(1024)}x{px(700)}")
    window.cluster._started(Head("192.0.2.102:6379", has_token=True, notes=["the token is new"]))
    window.backend.watch("")
    nodes = [Node(str(n), f"192.168.178.{n + 20}", "h", n == 0, n == 0, 1.0, 0) for n in range(5)]
    window.cluster.take_nodes(nodes)
    item = begin(window, home)
    take(window, item, *(LanesJoined(f"192.168.178.{n + 20}", 16) for n in range(1, 5)))
    busy = tuple(NodeNow(f"192.168.178.{n + 20}", 16, 99 << 20, False) for n in range(1, 5))
    take(window, item, Progress(SIZE // 2, SIZE // 3, SIZE, 64, 4, 12, busy))
    item.status.notes.extend(["the Ray cluster at 192.0.2.102:6379", "connected: 5 nodes", "so"])
    for number in range(9):
        begin(window, home, f"{number}.iso")
    drive(
        app.root, lambda: app.root.winfo_width() < px(1040) and window.detail.strip.winfo_viewable()
    )
    for _ in range(20):
        app.root.update()
    assert cut_off(app) == []
    there = home / "Downloads" / "big.iso"
    there.write_text("old")
    end(window, item, error=TargetError(f"{there} exists already", "choose"))
    for _ in range(20):
        app.root.update()
    assert cut_off(app) == []


def test_a_download_to_every_node_shows_the_size_of_the_file(alone):
    app, window = alone
    item = window.queue.add("http://h/f", "/data/f", {"to": "every-node"})
    take(window, item, now(copy("a", "receiving", 256, 256)))
    drive(app.root, lambda: row_of(window, item)[0] == "1 GiB")


NOTIFIER = """#!/bin/sh
printf '%s\\n' "$@" > {}/told.tmp
mv {}/told.tmp {}/told
"""


def test_the_desktop_is_told_of_the_end(alone, home, monkeypatch):
    app, window = alone
    program = home / "notify-send"
    program.write_text(NOTIFIER.format(home, home, home))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=":")
    item = begin(window, home, "a&b.iso")
    app.root.update()
    assert not (home / "told").exists()
    end(window, item, home / "Downloads" / "a&b.iso")
    drive(app.root, (home / "told").exists)
    said = (home / "told").read_text().splitlines()
    assert said == ["--app-name=raydl", "--", "Download finished", "a&amp;b.iso"]
    monkeypatch.setenv("PATH", str(home / "none"))
    other = begin(window, home, "b")
    end(window, other, home / "b")  # and nothing where there is no such program
    assert other.state is DownloadState.DONE


def test_commands_for_a_terminal_are_whole_and_copied(alone):
    app, window = alone
    host = "ray-head." + "a-long-name." * 6 + "example"
    window.cluster._started(Head(f"{host}:6379", has_token=True))
    window.cluster.commands_button.invoke()
    commands = window.cluster.commands
    drive(app.root, commands.winfo_ismapped)
    for row in (commands.raydl, commands.ray):
        row.button.invoke()
        assert host in app.root.clipboard_get()
    press(app, commands.close_button, "<Escape>")
    assert not commands.winfo_ismapped()
    window.backend.watch("")
