"""Windows on a display without a screen."""

import tkinter as tk

import pytest

from tests.display import display
from tests.many.conftest import files, hub  # noqa: F401 - fixtures

KEPT = []
"""Windows that were closed: a Tk may only go in the thread that made it, or Tcl aborts."""

tk.Variable.__del__ = lambda self: None  # likewise; they end with their Tk


@pytest.fixture(scope="session")
def screen():
    """One for all: Tk does not survive the end of a display."""
    with display() as name:
        yield name


@pytest.fixture
def home(home, monkeypatch, screen):
    monkeypatch.setenv("DISPLAY", screen)
    (home / "Downloads").mkdir()
    return home


@pytest.fixture
def open_app(home):
    from raydl.gui.app import App

    opened = []

    def make(role=""):
        app = App(role)
        opened.append(app)
        app.root.update()
        return app

    yield make
    for app in reversed(opened):
        app.quit()
    KEPT.extend(opened)


@pytest.fixture
def coordinator(open_app):
    app = open_app("coordinator")
    return app, app.window
