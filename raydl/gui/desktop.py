"""What the desktop is set to: light or dark, and how large."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys


def is_dark() -> bool:
    """Whether the desktop is set to dark; light where it does not say."""
    if sys.platform == "darwin":
        asked = ["defaults", "read", "-g", "AppleInterfaceStyle"]
    else:
        asked = ["gsettings", "get", "org.gnome.desktop.interface", "color-scheme"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=2, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return "dark" in said.lower()


def scale() -> float:
    """How much larger than usual the desktop wants windows; 1.0 where it does not say.

    Tk looks only at what the X server takes for the size of the screen, which is nearly always
    that of 96 dots an inch. Desktops set ``Xft.dpi`` (GNOME, KDE, Xfce), and people GDK_SCALE.
    """
    found = [1.0]
    with contextlib.suppress(ValueError):
        found.append(float(os.environ.get("GDK_SCALE") or 1))
    with contextlib.suppress(ValueError):
        found.append(float(_resource("Xft", "dpi") or 96) / 96)
    return min(max(found), 4.0)


def _resource(program: str, name: str) -> str:
    """What the X resources say, empty where there are none. Tk reads those of itself alone."""
    try:
        x11 = ctypes.CDLL("libX11.so.6")  # Tk has it loaded, where it draws by X
    except OSError:
        return ""
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XGetDefault.restype = ctypes.c_char_p
    x11.XGetDefault.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if not display:
        return ""
    try:
        value = x11.XGetDefault(display, program.encode(), name.encode())
        return value.decode(errors="replace") if value else ""
    finally:
        x11.XCloseDisplay(display)
