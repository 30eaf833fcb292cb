"""What the desktop is asked for. No Tk in here."""

from __future__ import annotations

import contextlib
import os
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
