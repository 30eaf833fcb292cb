"""What the desktop is asked for. No Tk in here."""

from __future__ import annotations

import contextlib
import html
import os
import shutil
import subprocess
import sys
from pathlib import Path


def open_outside(path: Path) -> None:
    """Have the desktop show a directory or a file; nothing happens where there is none."""
    if sys.platform == "win32":
        os.startfile(path)
        return
    with contextlib.suppress(OSError):
        subprocess.Popen(
            ["open" if sys.platform == "darwin" else "xdg-open", str(path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def notify(title: str, text: str) -> None:
    """Have the desktop tell it, where it has what freedesktop.org's Notifications ask for. May take
    a moment."""
    program = shutil.which("notify-send")
    if program is None:
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # a text is markup there
        subprocess.run(
            [program, "--app-name=raydl", "--", title, html.escape(text, quote=False)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=False,
        )
