"""An X server without a screen, and windows on it that a program drives."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIZE = "1400x1000"


def why_not() -> str:
    """Why windows cannot be tested here; empty where they can."""
    if shutil.which("Xvfb") is None:
        return "Xvfb is not installed"
    try:
        import tkinter  # noqa: F401
    except ImportError:
        return "this Python has no Tk"
    return ""


@contextmanager
def display(dpi: int = 96, size: str = SIZE) -> Iterator[str]:
    """The name of a display that is free, as DISPLAY has it."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-dpi", str(dpi),
         "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        with os.fdopen(read) as said:
            number = said.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


def drive(root, until: Callable[[], object], seconds: float = 30) -> None:
    """Let the window live until something is the case."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not come to that"
        root.update()
        time.sleep(0.005)
    root.update()
