"""The real windows, on a display without a screen."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tkinter as tk
from pathlib import Path
from tkinter import ttk

import pytest

from raydl.cluster.session import Node
from raydl.cluster.tokenstore import find_token
from raydl.gui.item import CELLS
from raydl.gui.words import LABELS
from raydl.model.errors import ClusterError, IncompleteError, RaydlError
from raydl.model.events import (
    LanesJoined,
    PartFailed,
    PartFetched,
    PartHedged,
    PartStarted,
    PartWritten,
    Planned,
    Probed,
    Progress,
)
from raydl.model.remote import Remote
from raydl.model.state import DownloadState
from raydl.node.monitor import Activity
from raydl.node.roles import Head, start_head
from tests import servers
from tests.conftest import RAYDL, random_bytes
from tests.display import display, drive, why_not
from tests.download.test_handle import Gate
from tests.rayhome import free_port, processes
from tests.scripted import anything, status
from tests.view.copies import copy, now, report_of

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
    pytest.mark.timeout(120),
]


def texts(widget):
    """All that can be read in a window."""
    found = []
    for child in widget.winfo_children():
        if child.winfo_ismapped():
            if isinstance(child, ttk.Label | ttk.Button | tk.Label):
                found.append(str(child.cget("text")))
            found += texts(child)
    return found


def press(app, widget, keys):
    def has_focus():
        widget.focus_force()  # comes to nothing while the window is not on the screen yet
        return app.root.focus_get() is widget

    drive(app.root, has_focus)
    widget.event_generate(keys)
    app.root.update()


def fill(entry, text):
    entry.delete(0, "end")
    entry.insert(0, text)


# The choice of a role.


def test_a_role_is_chosen_once(open_app):
    app = open_app()
    assert set(app.roles.buttons) == {"coordinator", "worker"}
    assert "alone" in " ".join(texts(app.roles.buttons["coordinator"]))
    press(app, app.roles.buttons["worker"], "<Return>")
    assert "raydl worker" in texts(app.root)
    again = open_app()
    assert again.roles is None
    assert "raydl worker" in texts(again.root)
    assert again.back_button.cget("text") == "Change role"
    again.back_button.invoke()
    drive(again.root, lambda: again.roles)
    assert again.root.focus_lastfor() is again.roles.buttons["worker"]
    press(again, again.roles.buttons["coordinator"], "<space>")
    assert "raydl coordinator" in texts(again.root)


@pytest.mark.parametrize("role", ["coordinator", "worker"])
def test_a_desktop_that_turns_dark(open_app, home, monkeypatch, role):
    from raydl.gui.look import DARK, LIGHT

    setting = home / "gsettings"
    setting.write_text("#!/bin/sh\necho \"'default'\"\n")
    setting.chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=os.pathsep)
    app = open_app(role)
    assert app.look.palette is LIGHT
    setting.write_text("#!/bin/sh\necho \"'prefer-dark'\"\n")
    app.root.event_generate("<FocusIn>")
    drive(app.root, lambda: app.look.palette is DARK)
    assert str(app.root.cget("background")) == DARK.window
    if role == "worker":
        assert str(app.window.machine.graph.cget("background")) == DARK.card
    app.theme_button.invoke()
    app.root.event_generate("<FocusIn>")
    app.root.update()
    assert app.look.palette is LIGHT


def test_each_theme_is_readable(open_app):
    """Text stands out from what is behind it: 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    from raydl.gui.look import DARK, LIGHT

    def luminance(colour):
        values = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one, other):
        light, dark = sorted((luminance(one), luminance(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for p in (LIGHT, DARK):
        for text in (p.text, p.dim, p.good, p.bad, p.accent):
            assert contrast(text, p.card) >= 4.5, text
        assert contrast(p.dim, p.window) >= 4.5
        assert contrast(p.on_accent, p.accent) >= 4.5
    app = open_app("coordinator")
    names = []
    for _ in range(3):
        app.theme_button.invoke()
        app.root.update()
        names.append(app.memory.theme)
    assert names == ["light", "dark", "system"]


def test_everything_is_reached_by_tab_and_nothing_is_clipped(open_app):
    for role in ("coordinator", "worker"):
        app = open_app(role)
        app.root.update()
        wanted = {
            w for w in everything(app.root)
            if isinstance(w, ttk.Button | ttk.Entry | ttk.Checkbutton | ttk.Treeview)
            and w.winfo_viewable() and not w.instate(["disabled"])
        }  # fmt: skip
        seen, at = set(), app.root
        assert len(wanted) > 4
        for _ in range(100):
            at = at.tk_focusNext()
            if at in seen:
                break
            seen.add(at)
        assert wanted <= seen
        for widget in everything(app.root):
            if isinstance(widget, ttk.Button) and widget.winfo_viewable():
                assert widget.winfo_width() >= widget.winfo_reqwidth(), widget.cget("text")
                assert widget.winfo_height() >= widget.winfo_reqheight(), widget.cget("text")


def everything(widget):
    for child in widget.winfo_children():
        yield child
        yield from everything(child)


ON_ANOTHER_SCREEN = """
import subprocess, sys, tkinter
from tkinter import ttk
from raydl.gui.app import App
from raydl.model.errors import RaydlError
from pathlib import Path
from tests.gui.test_downloadlist import Nobody, look_for_what_is_cut_off
from tests.gui.test_windows import everything
scale, resource = float(sys.argv[1]), sys.argv[2]
first = tkinter.Tk()  # without one, the server forgets its resources
if resource:
    name = ["-f", "RESOURCE_MANAGER", "8s", "-set", "RESOURCE_MANAGER"]
    subprocess.run(["xprop", "-root", *name, f"Xft.dpi: {resource}"], check=True)
apps = [App(""), App("worker"), App("coordinator")]
apps[1].window.trouble.show(RaydlError("it is " * 40, "do " * 60))
apps[2].window.form.more_button.invoke()
for app in apps:
    for _ in range(20):
        app.root.update()
    assert app.look.px(100) == round(100 * scale), app.look.px(100)
    line = app.look.small_font.metrics("linespace")
    assert abs(line - 14 * scale) <= 2 * scale, line
    for widget in everything(app.root):
        inside = widget.winfo_toplevel()
        if not widget.winfo_viewable() or widget.winfo_class() not in (
            "TButton", "TLabel", "TCheckbutton", "TEntry", "TCombobox",
        ):
            continue
        what = (widget.winfo_class(), widget.winfo_parent(), widget.keys() and str(
            widget.cget("text") if "text" in widget.keys() else ""))
        assert widget.winfo_height() >= widget.winfo_reqheight(), what
        if "wraplength" not in widget.keys() or widget.cget("style") != "Placeholder.TLabel":
            assert widget.winfo_width() >= widget.winfo_reqwidth(), what
        right = widget.winfo_rootx() + widget.winfo_width()
        low = widget.winfo_rooty() + widget.winfo_height()
        assert right <= inside.winfo_rootx() + inside.winfo_width(), what
        assert low <= inside.winfo_rooty() + inside.winfo_height(), what
apps[2].window.form.more_dialog.done()
apps[2].window.queue._backend = Nobody()
look_for_what_is_cut_off(apps[2], Path.home())
apps[2].window.queue.items.clear()
apps[2].window.cluster.head = None
for app in apps:
    app.quit()
"""


@pytest.mark.parametrize(
    ("dpi", "variables", "resource", "scale"),
    [
        (96, {}, "", 1.0),
        (192, {}, "", 2.0),
        (96, {"GDK_SCALE": "2"}, "", 2.0),
        pytest.param(
            96, {}, "144", 1.5,
            marks=pytest.mark.skipif(not shutil.which("xprop"), reason="xprop is not installed"),
        ),
    ],
)  # fmt: skip
def test_as_large_as_the_desktop_wants_and_nothing_is_clipped(
    monkeypatch, home, dpi, variables, resource, scale
):
    """In a process of its own: Tk does not survive the end of a display."""
    with display(dpi=dpi, size="2800x2000") as name:
        for variable, value in {"DISPLAY": name, **variables}.items():
            monkeypatch.setenv(variable, value)
        done = subprocess.run(
            [sys.executable, "-c", ON_ANOTHER_SCREEN, str(scale), resource],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
    assert done.returncode == 0, done.stderr


# The worker's window.


def test_a_coordinator_that_is_not_there(open_app):
    app = open_app("worker")
    window = app.window
    window.address.set("127.0.0.1:1")
    began = time.monotonic()
    press(app, window.address, "<Return>")
    drive(app.root, lambda: window.trouble.message)
    assert time.monotonic() - began < 5
    assert window.trouble.message == "no Ray cluster at 127.0.0.1:1: nothing listens there"
    app.root.update()
    cure = "Press Start cluster in the coordinator's window there, with 1 as port."
    assert cure in texts(app.root)
    window.address.set("what is this")
    window.join_button.invoke()
    drive(app.root, lambda: "is no Ray address" in window.trouble.message)
    window.address.set("[::1]:1")
    window.join_button.invoke()
    drive(app.root, lambda: "::1" in window.trouble.message)


def test_a_token_is_never_in_the_clear(open_app, tmp_path):
    app = open_app("worker")
    window = app.window
    assert window.token.cget("show") == "•"
    (tmp_path / "token").write_text("secret-token\n")
    (tmp_path / "token").chmod(0o600)
    window.take_token(str(tmp_path / "token"))
    assert window.token.get() == "secret-token"
    app.root.update()
    assert "secret-token" not in " ".join(texts(app.root))
    window.take_token(str(tmp_path / "nowhere"))
    assert "cannot read the token" in window.trouble.message
    fill(window.token, "two words")
    window.join_button.invoke()
    assert window.trouble.message == "that is no token"
    assert "secret-token" not in " ".join(texts(app.root))


def test_a_pasted_token_is_for_this_session_alone(open_app, home, monkeypatch, capfd):
    joined = []
    monkeypatch.setattr(
        "raydl.gui.workerwindow.join", lambda address, token, **_: joined.append(token) or Here()
    )
    app = open_app("worker")
    window = app.window
    window.clipboard_clear()
    window.clipboard_append(" secret-token\n")
    window.paste_button.invoke()
    window.address.set("h:1")
    window.join()
    drive(app.root, lambda: window._joined)
    assert joined == ["secret-token"]
    assert "secret-token" not in " ".join(texts(app.root))
    app.quit()
    files = [path for path in home.rglob("*") if path.is_file()]
    assert home / "raydl" / "windows.json" in files
    assert not [path for path in files if b"secret-token" in path.read_bytes()]
    assert "secret-token" not in "".join(capfd.readouterr())
    assert open_app("worker").window.token.get() == ""


class Here:
    """A worker's node, as its window sees it."""

    address, node_address, since, is_running = "h:1", "n", 0.0, True
    silence, why_ended = 0.0, "the coordinator does not answer"

    def __init__(self, lanes=0):
        self.lanes, self.left, self.may_leave = lanes, 0, threading.Event()
        self.may_leave.set()

    def activity(self):
        return Activity(self.lanes, 1000, 10.0)

    def leave(self):
        assert self.may_leave.wait(20)
        self.left += 1


def test_leaving_asks_while_parts_are_in_flight(open_app):
    app = open_app("worker")
    window, here = app.window, Here(lanes=3)
    window._has_joined(here)
    assert window.machine.facts["lanes"].cget("text") == "3"
    window.leave_button.invoke()
    app.root.update()
    assert "3 parts of a download are on the way" in " ".join(texts(window.dialog))
    press(app, window.dialog.no_button, "<Escape>")
    assert here.left == 0
    window.leave_button.invoke()
    first = window.dialog
    app.close()
    assert window.dialog is first
    assert first.yes_button.cget("text") == "Leave and close"
    press(app, first.yes_button, "<Return>")
    drive_until_gone(app)
    assert here.left == 1


def test_closed_while_it_leaves(open_app):
    app = open_app("worker")
    window, here = app.window, Here()
    window._has_joined(here)
    here.may_leave.clear()
    window.leave_button.invoke()
    app.close()
    app.root.update()
    assert not app._has_ended
    here.may_leave.set()
    drive_until_gone(app)
    assert here.left == 1


def test_a_node_that_is_there_only_after_the_end_is_ended(open_app, monkeypatch):
    here, asked, may_come = Here(), threading.Event(), threading.Event()

    def join(*args, **kwargs):
        asked.set()
        assert may_come.wait(20)
        return here

    monkeypatch.setattr("raydl.gui.workerwindow.join", join)
    app = open_app("worker")
    app.window.address.set("h:1")
    app.window.join_button.invoke()
    drive(app.root, asked.is_set)
    threading.Timer(0.2, may_come.set).start()
    app.quit()
    assert here.left == 1


def test_one_that_ends_by_itself_is_told_and_may_be_joined_again(open_app):
    app = open_app("worker")
    window, here = app.window, Here()
    window._asked = ("h:1", None)
    window._has_joined(here)
    here.silence = 12.0
    drive(app.root, lambda: "does not answer" in window.state_label.cget("text"))
    assert str(window.state_label.cget("style")) == "Bad.TLabel"
    here.silence = 0.0
    drive(app.root, lambda: "connected to h:1" in window.state_label.cget("text"))
    assert str(window.state_label.cget("style")) == "Good.TLabel"
    assert "answers again" in window.machine.log.cget("text")
    here.is_running = False
    drive(app.root, lambda: here.left)
    assert "is no worker of h:1 any more" in window.trouble.message
    drive(app.root, lambda: "waits for h:1" in window.state_label.cget("text"))
    assert window.join_button.instate(["disabled"])
    assert window.leave_button.cget("text") == "Cancel"
    window.leave_button.invoke()
    assert window.join_button.instate(["!disabled"])
    assert window.state_label.cget("text") == "not connected"


class Joins:
    """What ``join`` does, one time after the other."""

    def __init__(self, monkeypatch, *answers):
        self.asked, self.answers = [], list(answers)
        monkeypatch.setattr("raydl.gui.workerwindow.join", self)
        monkeypatch.setattr("raydl.gui.workerwindow.REJOIN_SECONDS", 0.001)

    def __call__(self, address, token, *, cancelled):
        self.asked.append((address, token))
        answer = self.answers.pop(0) if self.answers else ClusterError("nothing listens there")
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_worker_joins_again_when_its_head_is_back(open_app, monkeypatch):
    first, second = Here(), Here()
    joins = Joins(monkeypatch, first, ClusterError("nothing listens there"), second)
    app = open_app("worker")
    window = app.window
    window.address.set("h:1")
    fill(window.token, "secret")
    window.join_button.invoke()
    drive(app.root, lambda: window._joined is first)
    first.is_running = False
    drive(app.root, lambda: window._joined is second)
    assert joins.asked == [("h:1", "secret")] * 3
    assert first.left == 1
    assert window.trouble.message == ""
    assert "connected to h:1" in window.state_label.cget("text")
    assert window.machine.log.cget("text").count("joined h:1") == 2
    window.leave_button.invoke()
    drive(app.root, lambda: second.left and window.join_button.instate(["!disabled"]))


def test_a_token_is_shown_to_no_other_cluster(open_app, monkeypatch):
    joins = Joins(monkeypatch)
    app = open_app("worker")
    window = app.window

    def ask(address, token=None):
        if token:
            fill(window.token, token)
        window.address.set(address)
        window.join_button.invoke()
        drive(app.root, lambda: not window._task.is_busy)
        return joins.asked[-1]

    assert ask("typing-error:1", "secret") == ("typing-error:1", "secret")
    joins.answers.append(Here())
    assert ask("h:1") == ("h:1", "secret")
    drive(app.root, lambda: window._joined is not None)
    window.leave_button.invoke()
    drive(app.root, lambda: window.join_button.instate(["!disabled"]))
    assert ask("h:1") == ("h:1", "secret")
    assert ask("other:1") == ("other:1", None)
    assert window.token.get() == ""
    assert ask("other:1", "secret") == ("other:1", "secret")


def test_one_that_cannot_stay_tries_less_and_less_often(open_app, monkeypatch):
    nodes = [Here() for _ in range(4)]
    for node in nodes:
        node.is_running = False
        node.since = time.time()
    joins, tries = Joins(monkeypatch, *nodes), []
    app = open_app("worker")
    window = app.window

    def join(*args, **kwargs):
        tries.append(window._tries)
        return joins(*args, **kwargs)

    monkeypatch.setattr("raydl.gui.workerwindow.join", join)
    window.address.set("h:1")
    window.join_button.invoke()
    drive(app.root, lambda: len(tries) > 4)
    assert tries[:5] == [0, 1, 2, 3, 4]
    app.close()
    drive_until_gone(app)


@pytest.mark.parametrize("waits", [False, True])
def test_cancel_counts_even_when_it_comes_too_late(open_app, monkeypatch, waits):
    first, second, asked, may_come = Here(), Here(), threading.Event(), threading.Event()
    joins = Joins(monkeypatch, *([first] if waits else []), second)
    app = open_app("worker")
    window = app.window
    window.address.set("h:1")
    if waits:
        window.join_button.invoke()
        drive(app.root, lambda: window._joined is first)

    def late(*args, **kwargs):
        asked.set()
        assert may_come.wait(20)
        return joins(*args, **kwargs)

    monkeypatch.setattr("raydl.gui.workerwindow.join", late)
    first.is_running = False
    window.join_button.invoke()  # where it does not wait
    drive(app.root, asked.is_set)
    window.leave_button.invoke()
    may_come.set()
    drive(app.root, lambda: second.left and window.join_button.instate(["!disabled"]))
    assert window._joined is None
    assert window.trouble.message == ""


def test_one_that_waits_for_its_head_can_be_closed(open_app, monkeypatch):
    first = Here()
    joins = Joins(monkeypatch, first)
    app = open_app("worker")
    window = app.window
    window.address.set("h:1")
    window.join_button.invoke()
    drive(app.root, lambda: window._joined is first)
    first.is_running = False
    drive(app.root, lambda: len(joins.asked) > 3)
    assert window.trouble.message == "nothing listens there"
    app.close()
    drive_until_gone(app)


# The coordinator's window, alone.


def test_a_download_alone(coordinator, origin, home):
    app, window = coordinator
    assert window.form.target.get() == f"{home}/Downloads/"
    window.form.url.put(origin.url("/big.iso"))
    window.form.fields["part_size"].set("100k")
    press(app, window.form.url, "<Return>")
    item = window.queue.items[0]
    drive(app.root, lambda: item.state is DownloadState.DONE)
    assert (home / "Downloads" / "big.iso").read_bytes() == origin.data
    shown = " ".join(texts(app.root))
    assert "976.6 KiB in" in shown
    assert str(home / "Downloads" / "big.iso") in shown
    assert window.detail.folder_button.winfo_ismapped()
    assert [window.detail.bars[p].cget("value") for p in window.detail.bars] == [1000, 1000, 0]
    assert window.detail.bar_texts["verified"].cget("text") == "no digest"
    assert all(cell.state.value == "written" for cell in item.parts.cells())
    assert window.form.url.text == ""
    window.remove()
    assert window.list.tree.get_children() == ()


def test_wrong_input_says_what_is_wrong(coordinator):
    app, window = coordinator
    for url, parts, message in (
        ("", "", "there is no URL"),
        ("big.iso", "", "big.iso has no scheme"),
        ("http://[bad/f", "", "its host is no address"),
        ("ftp://h/f", "", "the scheme ftp is not supported"),
        ("http://h/f", "many", "parts: "),
    ):
        window.form.url.put(url)
        window.form.fields["parts"].set(parts)
        window.form.submit()
        assert message in window.form.trouble.message
    window.form.fields["parts"].set("")
    window.form.fields["checksum"].set("sha256:short")
    window.form.submit()
    assert "checksum" in window.form.trouble.message
    assert window.queue.items == []
    fill(window.cluster.head_place.port, "x")
    window.cluster.start()
    assert "is no port" in window.cluster.trouble.message
    app.root.update()


def test_an_error_is_a_sentence_with_what_to_do_below(coordinator, origin):
    app, window = coordinator
    origin.on(status(404), None, anything)
    window.form.put_url(origin.url("/gone.iso"))
    window.form.submit()
    item = window.queue.items[0]
    drive(app.root, lambda: item.state is DownloadState.FAILED)
    assert "404 Not Found." in " ".join(texts(window.detail))
    app.root.update()
    assert "Check the URL." in texts(window.detail)
    origin.rules.clear()
    window.detail.toggle_button.invoke()
    drive(app.root, lambda: item.state is DownloadState.DONE)


def test_pause_resume_cancel_and_the_next(coordinator, make_origin, home):
    app, window = coordinator
    first, second = (make_origin(random_bytes(2_000_000, seed)) for seed in (1, 2))
    gate = Gate(first)
    window.form.fields["part_size"].set("50k")
    for name, origin in (("one", first), ("two", second)):
        window.form.put_url(origin.url(f"/{name}"))
        window.form.submit()
    one, two = window.queue.items
    window.select(one)
    app.root.update()
    gate.let(6)
    drive(app.root, lambda: (one.share or 0) > 0)
    press(app, window.list.tree, "<Control-p>")
    drive(app.root, lambda: one.state is DownloadState.PAUSED)
    assert window.detail.toggle_button.cget("text") == "Resume"
    assert two.state is DownloadState.QUEUED
    window.detail.toggle_button.invoke()
    gate.let(3)
    window.detail.cancel_button.invoke()
    assert "of it have arrived" in " ".join(texts(window.dialog))
    press(app, window.dialog.yes_button, "<Return>")
    gate.let(1000)
    drive(app.root, lambda: one.state is DownloadState.STOPPED and two.state is DownloadState.DONE)
    assert (home / "Downloads" / "two").read_bytes() == second.data
    assert one.left.kept > 0
    assert "of 1.9 MiB kept, Resume goes on from there" in " ".join(texts(window.detail))
    assert window.detail.toggle_button.cget("text") == "Resume"
    assert app.memory.unfinished == [(one.url, one.target, "", "one", "here", "")]
    window.toggle()
    drive(app.root, lambda: one.state is DownloadState.DONE)
    assert one.report.resumed > 0
    assert (home / "Downloads" / "one").read_bytes() == first.data
    assert app.memory.unfinished == []


def test_closing_asks_and_an_interrupted_one_is_offered(open_app, origin, home):
    app = open_app("coordinator")
    window = app.window
    gate = Gate(origin)
    gate.let(6)
    window.form.fields["part_size"].set("50k")
    digest = f"sha256:{hashlib.sha256(origin.data).hexdigest()}"
    window.form.fields["checksum"].set(digest)
    window.form.put_url(origin.url("/big.iso"))
    window.form.submit()
    window.form.put_url(origin.url("/next.iso"))
    window.form.submit()
    item, queued = window.queue.items
    drive(app.root, lambda: (item.share or 0) > 0)
    app.close()
    app.root.update()
    press(app, window.dialog.no_button, "<Escape>")
    assert not window.dialog.winfo_exists()
    app.change_role()
    first = window.dialog
    app.close()
    assert window.dialog is first
    assert item.state is DownloadState.RUNNING
    press(app, window.dialog.yes_button, "<Return>")
    drive_until_gone(app)
    assert queued.state is DownloadState.QUEUED
    assert not (home / "Downloads" / "next.iso.part").exists()
    gate.let(1000)
    again = open_app("coordinator")
    kept = next(i for i in again.window.queue.items if i.url == item.url)
    again.window.select(kept)
    again.root.update()
    assert kept.state is DownloadState.STOPPED
    assert again.window.item is kept
    assert kept.left.kept > 0
    remembered = [entry.url for entry in again.memory.unfinished]
    assert remembered == [offered.url for offered in again.window.queue.items]
    percent = f"{100 * kept.left.kept / len(origin.data):.0f} %"
    assert again.window.detail.bar_texts["fetched"].cget("text") == percent
    assert "kept, Resume goes on from there" in " ".join(texts(again.window.detail))
    again.window.toggle()
    drive(again.root, lambda: kept.state is DownloadState.DONE)
    assert kept.report.resumed > 0
    assert kept.report.proof == "given"
    assert f"{digest[7:]}, as it was given" in again.window.detail.result.cget("text")
    assert again.window.detail.bars["verified"].cget("value") == 1000
    assert (home / "Downloads" / "big.iso").read_bytes() == origin.data


def test_a_digest_that_does_not_fit_leaves_nothing(coordinator, origin, home):
    app, window = coordinator
    window.form.fields["checksum"].set(f"sha256:{'0' * 64}")
    window.form.put_url(origin.url("/big.iso"))
    window.form.submit()
    item = window.queue.items[0]
    drive(app.root, lambda: item.state is DownloadState.FAILED)
    assert "sha256" in window.detail.trouble.message
    assert window.detail.summary.cget("text") == "not finished; nothing is kept"
    assert window.detail.toggle_button.cget("text") == "Try again"
    assert window.detail.bar_texts["fetched"].cget("text") == "0 %"
    assert window.list.tree.item(str(item.key), "values")[1] == "failed"
    assert app.memory.unfinished == []


def cure(window, name):
    """The button of that name beside an error."""
    found = window.detail.trouble.cures.winfo_children()
    return next((button for button in found if button.cget("text") == name), None)


def test_a_file_that_is_there_is_replaced_or_left(coordinator, origin, home, monkeypatch):
    app, window = coordinator
    there = home / "Downloads" / "big.iso"
    there.write_text("old")
    for _ in range(2):
        window.form.put_url(origin.url("/big.iso"))
        window.form.submit()
    one, two = window.queue.items
    drive(app.root, lambda: two.state is DownloadState.FAILED)
    assert "exists already" in window.detail.trouble.message
    assert "--" not in " ".join(texts(window.detail))
    asked = []

    def choose(**options):
        asked.append((options["initialdir"], options["initialfile"]))
        return "" if len(asked) == 1 else str(home / "another.iso")

    monkeypatch.setattr("raydl.gui.detail.filedialog.asksaveasfilename", choose)
    another = cure(window, "Another name …")
    assert another.winfo_ismapped()
    another.invoke()
    assert two.state is DownloadState.FAILED
    another.invoke()
    drive(app.root, lambda: two.state is DownloadState.DONE)
    assert asked == [(str(there.parent), "big.iso")] * 2
    assert (home / "another.iso").read_bytes() == origin.data
    assert there.read_text() == "old"
    window.select(one)
    drive(app.root, lambda: window.item is one)
    press(app, cure(window, "Replace"), "<Return>")
    drive(app.root, lambda: one.state is DownloadState.DONE)
    assert there.read_bytes() == origin.data
    assert cure(window, "Replace") is None


def drive_until_gone(app, seconds=30):
    end = time.monotonic() + seconds
    while not app._has_ended:
        assert time.monotonic() < end
        app.root.update()
        time.sleep(0.005)


DRAGGED = """
import tkinter as tk
from tkinterdnd2 import COPY, DND_TEXT, TkinterDnD

root = TkinterDnD.Tk()
root.geometry("80x60+1190+10")
root.overrideredirect(True)
link = tk.Label(root, text="a link")
link.pack(fill="both", expand=True)
link.drag_source_register(1, DND_TEXT)


def begun(_):
    print("drags", flush=True)
    return COPY, DND_TEXT, "http://127.0.0.1/1.iso\\nhttp://127.0.0.1/2.iso"


link.dnd_bind("<<DragInitCmd>>", begun)
link.dnd_bind("<<DragEndCmd>>", lambda event: root.after_idle(root.destroy))
root.bind("<Visibility>", lambda _: print("there", flush=True))
root.mainloop()
"""


@contextlib.contextmanager
def ended(process):
    try:
        yield
    finally:
        process.kill()


@pytest.mark.skipif(not shutil.which("xdotool"), reason="needs xdotool")
@pytest.mark.parametrize("place", ["field", "list"])
def test_links_are_dropped_anywhere(coordinator, place):
    pytest.importorskip("tkinterdnd2")
    app, window = coordinator
    app.root.geometry("+0+0")
    window.form.url.put("http://old/")
    drive(app.root, window.form.start_button.winfo_rootx)

    def until_done(process):
        drive(app.root, lambda: process.poll() is not None)
        assert process.returncode == 0

    def pointer(*words):
        until_done(subprocess.Popen(["xdotool", *map(str, words)]))

    dragged = [sys.executable, "-c", DRAGGED]
    with subprocess.Popen(dragged, stdout=subprocess.PIPE, text=True) as other, ended(other):
        assert other.stdout.readline() == "there\n"
        url = window.form.url
        at = url if place == "field" else window.list.tree
        x, y = at.winfo_rootx() + 40, at.winfo_rooty() + 10
        pointer("mousemove", 1230, 40, "mousedown", 1)
        for to in [(1225, 45), (1200, 50)]:
            pointer("mousemove", *to)
        assert "drags\n" in other.stdout  # and reads no farther
        for to in [(x, y), (x + 3, y + 1)]:
            pointer("mousemove", *to)
        pointer("mouseup", 1)
        until_done(other)
    drive(app.root, lambda: url.text == "http://127.0.0.1/1.iso\nhttp://127.0.0.1/2.iso")


def test_without_what_drops_need(open_app, monkeypatch):
    monkeypatch.setitem(sys.modules, "tkinterdnd2", None)
    app = open_app("coordinator")
    assert not hasattr(app.root, "can_drop")
    app.window.form.put_url("http://127.0.0.1/pasted.iso")
    assert app.window.form.url.text == "http://127.0.0.1/pasted.iso"


def place_of(widget):
    return widget.winfo_rootx(), widget.winfo_rooty(), widget.winfo_width()


def test_each_option_behind_more_is_in_plain_words_and_explained(coordinator):
    app, window = coordinator
    dialog = window.form.more_dialog
    window.form.more_button.invoke()
    app.root.update()
    shown = texts(dialog)
    assert {"Files and verification", "Destination", "Speed and nodes"} <= set(shown)
    assert {"Speed limit", "no limit", "256 MiB", "30 s", "by measuring"} <= set(shown)
    assert not [text for text in shown if "_" in text or "--" in text]
    assert isinstance(dialog.fields["fetch_here"], ttk.Checkbutton)
    around = place_of(dialog.done_button)
    for name, field in dialog.fields.items():
        press(app, field, "<FocusIn>")
        said = dialog.said.cget("text")
        assert said.startswith(LABELS[name])
        assert not re.search(r"(^|\s)--?[a-z]", said), said
        assert dialog.said.winfo_reqheight() <= dialog.said.winfo_height(), said
        assert place_of(dialog.done_button) == around
    fill(dialog.fields["limit_rate"], "5M")
    app.root.update()
    assert texts(dialog).count("no limit") == shown.count("no limit") - 1


def test_port_and_address_of_the_head_are_chosen_once(open_app, monkeypatch):
    asked = []

    def start_head(host, port, **_):
        asked.append((host, port))
        raise ClusterError("it is only asked")

    monkeypatch.setattr("raydl.gui.headplace.own_addresses", lambda: ["10.0.0.3", "192.168.7.4"])
    monkeypatch.setattr("raydl.gui.clusterpanel.find_head", lambda: None)
    monkeypatch.setattr("raydl.gui.clusterpanel.start_head", start_head)
    app = open_app("coordinator")
    place = app.window.cluster.head_place
    drive(app.root, place.address.winfo_ismapped)
    assert place.address.get() == "10.0.0.3"
    place.address.set("192.168.7.4")
    fill(place.port, "6391")
    app.window.cluster.start()
    drive(app.root, lambda: asked)
    again = open_app("coordinator").window.cluster
    drive(again, again.head_place.address.winfo_ismapped)
    assert (again.head_place.port.get(), again.head_place.address.get()) == ("6391", "192.168.7.4")
    assert asked == [("192.168.7.4", 6391)]


def test_one_address_is_no_choice(open_app, monkeypatch):
    monkeypatch.setattr("raydl.gui.headplace.own_addresses", lambda: ["10.0.0.3"])
    app = open_app("coordinator")
    place = app.window.cluster.head_place
    place.take_addresses(["10.0.0.3"])
    app.root.update()
    assert not place.address.winfo_ismapped()
    assert place.chosen() == (None, 6379)


def test_options_behind_more(coordinator):
    app, window = coordinator
    window.form.more_button.invoke()
    app.root.update()
    assert window.form.more_dialog.winfo_ismapped()
    before = place_of(window.form.more_dialog.done_button)
    window.form.fields["limit_rate"].set("foo")
    press(app, window.form.more_dialog, "<Escape>")
    assert window.form.more_dialog.winfo_ismapped()
    assert "Speed limit: 'foo' is not" in window.form.more_dialog.error
    app.root.update()
    assert place_of(window.form.more_dialog.done_button) == before
    window.form.fields["limit_rate"].set("5M")
    press(app, window.form.more_dialog, "<Escape>")
    assert not window.form.more_dialog.winfo_ismapped()
    assert window.form.more_button.cget("text") == "More (1) …"
    window.form.fields["overwrite"].set(True)
    window.form.fields["parts"].set("12")
    chosen = window.form._chosen()
    assert (chosen["limit_rate"], chosen["overwrite"], chosen["parts"]) == (5 << 20, True, 12)


@pytest.mark.parametrize(
    ("typed", "url", "folder", "name"),
    [
        ("~/Downloads/", "https://h/a/big.iso?x=1", "Downloads", "big.iso"),
        ("~/Downloads", "https://h/big.iso", "Downloads", "big.iso"),
        ("~/Downloads/mine.iso", "https://h/big.iso", "Downloads", "mine.iso"),
        ("~/Downloads/", "", "Downloads", ""),
    ],
)
def test_browse_begins_where_the_file_would_go(
    coordinator, home, monkeypatch, typed, url, folder, name
):
    _, window = coordinator
    asked = {}

    def choose(**options):
        asked.update(options)
        return "/elsewhere/chosen.iso"

    monkeypatch.setattr("tkinter.filedialog.asksaveasfilename", choose)
    window.form.put_url(url)
    fill(window.form.target, typed)
    window.form.browse_button.invoke()
    assert (Path(asked["initialdir"]), asked["initialfile"]) == (home / folder, name)
    assert window.form.target.get() == "/elsewhere/chosen.iso"


def test_browse_for_many_begins_in_their_folder(coordinator, home, monkeypatch):
    _, window = coordinator
    asked = {}
    monkeypatch.setattr("tkinter.filedialog.askdirectory", lambda **o: asked.update(o) or "")
    window.form.put_url("https://h/a https://h/b")
    fill(window.form.target, "~/Downloads/")
    window.form.browse_button.invoke()
    assert Path(asked["initialdir"]) == home / "Downloads"
    assert window.form.target.get() == "~/Downloads/"


def test_credentials_are_for_one_file(coordinator, origin):
    _, window = coordinator
    window.form.fields["user"].set("u:p")
    window.form.fields["header"].set("X-Mine: 1")
    window.form.fields["mirror"].set(origin.url("/mirror"))
    window.form.fields["limit_rate"].set("5M")
    for name in ("one", "two"):
        window.form.put_url(origin.url(f"/{name}"))
        window.form.submit()
    one, two = window.queue.items
    assert (one.options["user"], one.options["header"]) == ("u:p", (("X-Mine", "1"),))
    assert not {"user", "header", "mirror"} & set(two.options)
    assert one.options["limit_rate"] == two.options["limit_rate"]
    assert window.form.more_button.cget("text") == "More (1) …"


def test_passwords_are_dots_and_are_not_kept(coordinator, home):
    app, window = coordinator
    secrets = {"user": "u:word", "header": "X: word", "proxy": "http://u:word@127.0.0.1:1"}
    for name, text in secrets.items():
        window.form.fields[name].set(text)
    window.form.more_button.invoke()
    app.root.update()
    entries = [w for w in everything(window.form.more_dialog) if isinstance(w, ttk.Entry)]
    for name in secrets:
        variable = str(window.form.fields[name])
        (entry,) = (w for w in entries if str(w.cget("textvariable")) == variable)
        assert entry.winfo_ismapped()
        assert entry.cget("show") == "•"
    window.form.more_dialog.done()
    window.form.put_url("http://127.0.0.1:1/f")
    window.form.submit()
    item = window.queue.items[0]
    drive(app.root, lambda: item.state is DownloadState.FAILED)
    assert "word" not in " ".join(texts(app.root))
    app.quit()
    kept = (home / "raydl" / "windows.json").read_text()
    assert "127.0.0.1:1/f" in kept
    assert "word" not in kept


def test_ctrl_a_takes_all(coordinator):
    app, window = coordinator
    window.form.put_url("http://127.0.0.1/old")
    press(app, window.form.url, "<Control-a>")
    assert window.form.url.selection_get() == "http://127.0.0.1/old"


def test_a_cluster_that_goes_leaves_no_nodes_in_the_list(coordinator):
    _, window = coordinator
    window.cluster.head = Head("h:1", has_token=False)
    window.cluster.take_nodes([Node("1", "n", "h", False, True, 1.0, 0)])
    assert window.cluster.table.get_children() == ("n",)
    window.cluster.take_nodes(ClusterError("no Ray cluster at h:1: nothing listens there"))
    assert window.cluster.table.get_children() == ()
    assert "nothing listens there" in window.cluster.trouble.message
    window.cluster.head = None


def test_the_configuration_file_counts(home, open_app, monkeypatch, tmp_path):
    mine = tmp_path / "no-config" / "raydl" / "raydl.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text('user = "me:word"\n')
    (tmp_path / "raydl.toml").write_text("connections = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYDL_TIMEOUT", "5s")
    app = open_app("coordinator")
    chosen = app.window.form._chosen()
    assert (chosen["connections"], chosen["timeout"]) == (3, 5.0)
    assert "word" not in " ".join(texts(app.root))


def test_a_configuration_file_that_is_wrong(open_app, monkeypatch, tmp_path):
    (tmp_path / "raydl.toml").write_text("no_such = 3\n")
    monkeypatch.chdir(tmp_path)
    app = open_app("coordinator")
    assert app.window is None
    assert "unknown option 'no_such'" in app.roles.trouble.message
    (tmp_path / "raydl.toml").unlink()
    app.roles.buttons["coordinator"].invoke()
    app.root.update()
    assert app.window is not None


# Where each node gets the file.


class Nobody:
    """A backend that only listens."""

    def __init__(self):
        self.asked = []

    def start(self, *args):
        self.asked.append(args)
        return 1


def test_the_form_has_a_choice_of_places(coordinator, tmp_path, monkeypatch):
    app, window = coordinator
    form, backend = window.form, Nobody()
    window.queue._backend = backend
    assert form.to.get() == "here"
    assert "every node" in form.to.cget("values")
    form.fields["to"].set("every node")
    form.fields["nodes"].set("pool=gpu zone=a")
    fill(form.target, f"{tmp_path}/")
    form.put_url("http://127.0.0.1:1/model.bin")
    form.submit()
    assert form.trouble.message == ""
    item = window.queue.items[0]
    options = backend.asked[0][3]
    assert (options["to"], item.target) == ("every-node", f"{tmp_path}/")
    assert options["nodes"] == (("pool", "gpu"), ("zone", "a"))
    assert app.memory.folder != str(tmp_path)  # which is here
    assert form.to.get() == "every node"
    window.queue.take(("ended", item.key, None, RaydlError("gone")))
    window._remember()
    (kept,) = app.memory.unfinished
    assert (kept.to, kept.nodes) == ("every-node", "pool=gpu zone=a")
    window.queue.items.clear()


def test_what_a_place_is_called_follows_the_setting(open_app, home, monkeypatch):
    monkeypatch.setenv("RAYDL_TO", "every-node")
    form = open_app("coordinator").window.form
    assert form.to.get() == "every node"
    assert form._chosen()["to"] == "every-node"
    form.fields["to"].set("here")
    assert form._chosen()["to"] == "here"


def test_nodes_are_rows_with_what_each_has(coordinator):
    app, window = coordinator
    window.queue._backend = Nobody()
    item = window.queue.add("http://h/f", "/data/f", {"to": "every-node"})
    window.select(item)
    app.root.update()
    detail = window.detail
    assert detail.strip.winfo_ismapped()

    def take(*events):
        app.pump.post(window._take, [("event", item.key, event) for event in events])

    rows = detail.copies.rows
    take(now(copy("10.0.0.3", "receiving", 256, 256), copy("10.0.0.4", "done", 0, 1024)))
    drive(app.root, lambda: len(rows) == 2 and detail.copies.winfo_ismapped())
    assert not detail.strip.winfo_ismapped()
    assert rows["10.0.0.3"] == ("━━━━━───── 50 %", "256 MiB", "256 MiB", "receiving")
    assert rows["10.0.0.4"] == ("━━━━━━━━━━ 100 %", "", "1 GiB", "done")
    assert detail.bar_texts["fetched"].cget("text") == "75 %"
    assert detail.bar_texts["assembled"].cget("text") == "50 %"
    assert window.list.tree.item(str(item.key), "values")[1] == "━━━━━━── 75 %"
    problem = "disk full; run the same command again"
    take(now(copy("10.0.0.3", "done", 256, 768), copy("10.0.0.4", "failed", problem=problem)))
    drive(app.root, lambda: rows["10.0.0.4"][3] == "failed: disk full; Resume")
    assert detail.copies.list.get_children() == ("10.0.0.4", "10.0.0.3")
    detail.copies.list.selection_set("10.0.0.4")
    drive(app.root, lambda: "10.0.0.4: failed: disk full; Resume" in texts(detail))
    error = IncompleteError("1 of 2 nodes do not have /data/f: 10.0.0.4: disk full")
    error.report = report_of(("10.0.0.3", "done", 256, 768, 5.0), ("10.0.0.4", "failed", 0, 0, 0.0))
    app.pump.post(window._take, [("ended", item.key, None, error)])
    drive(app.root, lambda: item.state is DownloadState.FAILED)
    assert item.share == 0.5
    assert "not finished, 1 of 2 nodes have it; Resume goes on from what is there" in texts(detail)
    assert detail.toggle_button.cget("text") == "Resume"
    detail.show(window.queue.add("http://h/g", "/data/g", {}))
    app.root.update()
    assert detail.strip.winfo_ismapped()
    assert not detail.copies.winfo_ismapped()
    window.queue.items.clear()


def test_the_end_says_that_all_have_the_same(coordinator):
    app, window = coordinator
    window.queue._backend = Nobody()
    item = window.queue.add("http://h/f", "/data/f", {"to": "every-node"})
    window.select(item)
    report = report_of(("a", "done", 512, 512, 5.0), ("b", "done", 512, 512, 5.0))
    app.pump.post(window._take, [("ended", item.key, report, None)])
    drive(app.root, lambda: item.state is DownloadState.DONE)
    app.root.update()
    assert "sha256 ab, the same on all nodes" in "".join(texts(window.detail))
    assert len(window.detail.copies.rows) == 2
    assert not window.detail.folder_button.winfo_ismapped()
    window.queue.items.clear()


def test_two_hundred_nodes_do_not_hold_the_window_up(coordinator):
    app, window = coordinator
    window.queue._backend = Nobody()
    item = window.queue.add("http://h/f", "/data/f", {"to": "every-node"})
    window.select(item)
    step = [0]

    def feed():
        step[0] += 1
        copies = now(*[copy(f"10.0.1.{n}", "receiving", 1, step[0] % 1000) for n in range(200)])
        app.pump.post(window._take, [("event", item.key, copies)])

    busy = lively(app, feed, 1.5)
    assert len(window.detail.copies.rows) == 200
    assert busy[len(busy) * 95 // 100] < 0.05
    window.queue.items.clear()


# Never frozen.


def lively(app, feed, seconds):
    """How long the window was busy at a time while ``feed`` goes on, in seconds of its thread:
    those of the clock would count what else runs on the machine."""
    busy = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        feed()
        began = time.thread_time()
        app.root.update()
        busy.append(time.thread_time() - began)
        time.sleep(0.001)
    return sorted(busy)


def test_ten_thousand_events_a_second_and_a_hundred_thousand_parts(coordinator):
    """A map of cells that stand for runs of parts, drawn where it changed, and no stutter."""
    app, window = coordinator
    window.queue._backend = type("Nobody", (), {"start": lambda *_: None})()
    item = window.queue.add("http://h/f", "f", {})
    window.select(item)
    parts, size = 100_000, 100_000 * 1000
    remote = Remote("http://h/f", "http://h/f", size, True, None, None, "f")
    key = item.key

    def take(*events):
        app.pump.post(window._take, [("event", key, event) for event in events])

    take(Probed(remote), Planned(0, size, parts, 1000, ""), LanesJoined("a", 4))
    app.root.update()
    began, number, drawn = time.monotonic(), [0], []
    draw = window.detail.strip.draw

    def counted():
        drawn.append(draw())
        return drawn[-1]

    window.detail.strip.draw = counted

    def feed():
        due = int((time.monotonic() - began) * 10_000 / 4)
        batch = []
        while number[0] < due:
            n = number[0] % parts
            at = (n, n * 1000, n * 1000 + 1000)
            batch += [
                PartStarted(*at, "a"), PartHedged(*at, "a", "late"), PartFetched(*at, "b", 0.1),
                PartWritten(*at),
            ]  # fmt: skip
            number[0] += 1
        if batch:
            take(*batch, Progress(number[0] * 1000, number[0] * 1000, size, 4, 2, 0))

    busy = lively(app, feed, 1.5)
    assert number[0] * 4 > 12_500
    assert busy[-1] < 0.15, busy[-5:]
    assert busy[len(busy) * 95 // 100] < 0.05
    assert len(drawn) > 10
    assert max(drawn[2:]) < CELLS / 4
    take(PartFailed(9, size - 1000, size, "a", "why", 1, 0.5))
    drive(app.root, lambda: item.parts.cell(CELLS - 1).state.value.startswith("failed"))
    fill_of = window.detail.strip.itemcget
    drive(app.root, lambda: fill_of(window.detail.strip._cells[-1], "fill") == "#d62728")
    window.queue.items.clear()


# Without a window.


def test_no_display(tmp_path):
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [*RAYDL, "gui"], env=env, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "no window can be opened" in done.stderr
    assert "`raydl worker ADDRESS`" in done.stderr


def test_no_tk(tmp_path):
    script = (
        "import sys; sys.modules['tkinter'] = None; sys.argv = ['raydl', 'gui']\n"
        "from raydl.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "this Python has no Tk" in done.stderr


# A cluster that the windows make.


@pytest.mark.slow
@pytest.mark.cluster
def test_two_windows_make_a_cluster_and_download(open_app, home, tmp_path):
    """64 MiB from nginx over a head and a worker that the windows started; the worker leaves
    half-way; what was started is gone in the end."""
    servers.find("nginx")
    data = random_bytes(64 << 20)
    worker_app, head_app = open_app("worker"), open_app("coordinator")
    worker, head = worker_app.window, head_app.window

    def both(until, seconds=60):
        drive(head_app.root, lambda: worker_app.root.update() or until(), seconds)

    fill(head.cluster.head_place.port, str(free_port()))
    press(head_app, head.cluster.head_place.port, "<Return>")
    both(lambda: head.cluster.head)
    address = head.cluster.head.address
    assert head.cluster.address.text.get() == address
    assert "•" in head.cluster.token.text.get()
    head.cluster.token.reveal_button.invoke()
    token = head.cluster.token.text.get()
    assert len(token) == 64
    assert os.stat(home / ".ray" / "auth_token").st_mode & 0o777 == 0o600
    head.cluster.address.button.invoke()
    assert head.clipboard_get() == address

    worker.address.set(address)
    fill(worker.token, "f" * 64)
    worker.join_button.invoke()
    both(lambda: worker.trouble.message)
    assert "refuses this machine's token" in worker.trouble.message
    fill(worker.token, token)
    worker.join_button.invoke()
    both(lambda: worker._joined)
    assert worker.address.cget("values") == (address,)
    both(lambda: len(head.cluster.table.get_children()) == 2)

    (tmp_path / "big.iso").write_bytes(data)
    http = "server {{ listen 127.0.0.1:{port}; root {folder}; limit_rate 1m; }}"
    with servers.nginx(tmp_path, http) as port:
        head.form.fields["part_size"].set("1MiB")
        head.form.fields["connections"].set("4")
        head.form.put_url(f"http://127.0.0.1:{port}/big.iso")
        head.form.submit()
        item = head.queue.items[0]
        both(lambda: worker._lanes and len(item.status.nodes) == 2)
        both(lambda: float(worker.machine.facts["bytes"].cget("text").split()[0]) > 0)
        head.toggle()
        both(lambda: item.state is DownloadState.PAUSED and not item.status.progress.lanes)
        head.toggle()
        both(lambda: (item.share or 0) > 0.3)
        worker_app.close()
        if worker.dialog is not None:
            worker.dialog.yes_button.invoke()
        end = time.monotonic() + 30
        while not worker_app._has_ended:
            assert time.monotonic() < end
            worker_app.root.update()
            head_app.root.update()
        drive(head_app.root, lambda: item.state.is_over, 60)
    assert item.report is not None, item.error
    assert (home / "Downloads" / "big.iso").read_bytes() == data
    assert len(item.report.nodes) == 2
    drive(head_app.root, lambda: len(head.cluster.table.get_children()) >= 1)
    head.cluster.stop()
    drive(head_app.root, lambda: head.cluster.head is None and not head.cluster._task.is_busy)
    # But for what serves the window. Ray's workers notice that they are to go.
    drive(head_app.root, lambda: all("raydl.gui.backend" in line for line in processes(home)))


@pytest.mark.slow
@pytest.mark.cluster
def test_ctrl_c_leaves_no_process_behind(home, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_A_HEAD, str(free_port())],
        stdout=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as process:  # fmt: skip
        try:
            assert process.stdout.readline() == "running\n"
            assert processes(home)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not processes(home)


STARTS_A_HEAD = """
import sys
from raydl.gui.app import App
app = App("coordinator")
panel = app.window.cluster
panel.head_place.port.delete(0, "end")
panel.head_place.port.insert(0, sys.argv[1])
panel.start()
def look():
    if panel.head is None:
        app.root.after(50, look)
    else:
        print("running", flush=True)
look()
app.run()
"""


@pytest.mark.patient
@pytest.mark.cluster
def test_a_head_that_ends_by_itself(coordinator):
    app, window = coordinator
    fill(window.cluster.head_place.port, str(free_port()))
    window.cluster.start()
    drive(app.root, lambda: window.cluster.head)
    os.kill(window.cluster.head.node._process.pid, signal.SIGTERM)
    drive(app.root, lambda: window.cluster.trouble.message)
    assert window.cluster.trouble.message == "the Ray head has ended"
    drive(app.root, lambda: not window.cluster._task.is_busy)
    assert window.queue.address == "none"


@pytest.mark.patient
@pytest.mark.cluster
@pytest.mark.timeout(240)
def test_a_head_that_was_away(open_app):
    """It is told within seconds, and this machine is a worker again once the head is back."""
    app, port = open_app("worker"), free_port()
    window, head = app.window, start_head(None, port)
    try:
        window.address.set(head.address)
        fill(window.token, find_token())
        window.join_button.invoke()
        drive(app.root, lambda: window._joined, 60)
        first = window._joined
        head.stop()
        drive(app.root, lambda: str(window.state_label.cget("style")) == "Bad.TLabel", 30)
        head = start_head(None, port)
        drive(app.root, lambda: str(window.state_label.cget("style")) == "Good.TLabel", 120)
        assert window._joined is first
        assert "connected to" in window.state_label.cget("text")
    finally:
        app.quit()
        head.stop()


def test_a_bug_is_seen(coordinator):
    app, _ = coordinator
    seen = []

    def broken():
        raise ZeroDivisionError("one by nought")

    app.pump.run(broken, seen.append, seen.append)
    drive(app.root, lambda: seen)
    assert isinstance(seen[0], RaydlError)
    assert "ZeroDivisionError" in seen[0].message
