"""One window, in which one role follows the other."""

from __future__ import annotations

import signal
import sys
import tkinter as tk
import traceback
from collections.abc import Callable
from tkinter import ttk

from raydl.gui import desktop
from raydl.gui.coordinatorwindow import CoordinatorWindow
from raydl.gui.look import DARK, LIGHT, Look
from raydl.gui.memory import Memory
from raydl.gui.pump import Pump
from raydl.gui.roleselector import RoleSelector
from raydl.gui.workerwindow import WorkerWindow
from raydl.model.errors import RaydlError, UsageError

WINDOWS: dict[str, type[CoordinatorWindow | WorkerWindow]] = {
    "coordinator": CoordinatorWindow,
    "worker": WorkerWindow,
}
SIZES = {"": (580, 470), "worker": (660, 680), "coordinator": (1180, 860)}
SMALLEST = {"": (540, 470), "worker": (600, 560), "coordinator": (1024, 700)}
OF_SCREEN = 0.92
"""The share of a screen's height that bars of the desktop leave."""

THEMES = {"system": "Theme: as the system", "light": "Theme: light", "dark": "Theme: dark"}

MODIFIER, KEY = ("Command", "⌘") if sys.platform == "darwin" else ("Control", "Ctrl+")


class App:
    """The window. ``role`` is empty for the last one, or the choice where there was none yet."""

    def __init__(self, role: str = "") -> None:
        try:
            self.root = _make_root()
        except tk.TclError as error:
            raise UsageError(
                f"no window can be opened: {error}",
                "without one: `raydl coordinator`, `raydl worker ADDRESS`, `raydl fetch URL`",
            ) from None
        self.memory = Memory()
        self.look = Look(self.root, self.memory.theme)
        self.pump = Pump(self.root)
        self.window: CoordinatorWindow | WorkerWindow | None = None
        self.roles: RoleSelector | None = None
        self._frame: ttk.Frame | None = None
        self._has_ended = False
        self.root.title("raydl")
        self.root.protocol("WM_DELETE_WINDOW", self.close)
        self.root.report_callback_exception = self._unexpected
        self._bind_keys()
        role = role or self.memory.role
        if role in WINDOWS:
            self.show_role(role)
        else:
            self.show_roles()

    def run(self) -> None:
        """Until it is closed, or Ctrl-C or SIGTERM comes; nothing that it started stays."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):  # not at once: it may come in the middle of anything
                signal.signal(getattr(signal, name), lambda *_: self.pump.post(self.quit))
        try:
            self.root.mainloop()
        finally:
            self.quit()

    def show_roles(self, error: RaydlError | None = None) -> None:
        """Let the user choose; ``error`` is why the choice before came to nothing."""
        self._replace("")
        self.window = None
        self.roles = RoleSelector(self._body(), self.look, self.memory.role, self.choose)
        self.roles.pack(fill="both", expand=True)
        if error is not None:
            self.roles.show(error)

    def choose(self, role: str) -> None:
        """Show that role, now and at the next start."""
        self.memory.role = role
        self.show_role(role)

    def show_role(self, role: str) -> None:
        """The window of that role."""
        self._replace(role)
        self.roles = None
        px = self.look.px
        body = self._body()
        bar = ttk.Frame(body, style="Window.TFrame")
        bar.pack(fill="x", padx=px(16), pady=(px(12), px(10)))
        ttk.Label(bar, text=WINDOWS[role].title, style="Title.TLabel").pack(side="left")
        self.theme_button = ttk.Button(
            bar, text=THEMES[self.look.theme], style="Link.Window.TButton",
            command=self.next_theme, cursor="hand2",
        )  # fmt: skip
        self.theme_button.pack(side="right")
        self.back_button = ttk.Button(
            bar, text="Change role", style="Link.Window.TButton", cursor="hand2",
            command=self.change_role,
        )  # fmt: skip
        self.back_button.pack(side="right", padx=px(16))
        try:
            self.window = WINDOWS[role](body, self.look, self.pump, self.memory)
        except RaydlError as error:  # the configuration file, say
            self.show_roles(error)
            return
        keys = (
            f"Enter start   {KEY}N new URL   {KEY}P pause or resume   Tab next   Esc close dialog"
            f"   {KEY}Q quit"
            if role == "coordinator"
            else f"Enter join   Tab next   Esc close dialog   {KEY}Q quit"
        )
        ttk.Label(body, text=keys, style="Dim.Window.TLabel", font=self.look.small_font).pack(
            side="bottom", anchor="w", padx=px(16), pady=(0, px(8))
        )
        self.window.pack(fill="both", expand=True, padx=px(16), pady=(0, px(8)))

    def change_role(self) -> None:
        """Close the role's window, and choose again."""
        if self.window is not None:
            self.window.close(self.show_roles)

    def next_theme(self) -> None:
        """From system to light to dark."""
        names = list(THEMES)
        theme = names[(names.index(self.look.theme) + 1) % len(names)]
        self.memory.theme = theme
        self._paint(theme)
        self.theme_button.configure(text=THEMES[theme])

    def _paint(self, theme: str, system_dark: bool | None = None) -> None:
        self.look.apply(theme, system_dark)
        if self.window is not None:
            self.window.repaint()

    def _follow_system(self, event: tk.Event[tk.Misc]) -> None:
        """A user who comes back to the window may have set the desktop to light or dark."""

        def told(dark: bool) -> None:
            if self.look.theme == "system" and self.look.palette is not (DARK if dark else LIGHT):
                self._paint("system", dark)

        if event.widget is self.root and self.look.theme == "system":
            self.pump.run(desktop.is_dark, told, lambda _: None)

    def close(self) -> None:
        """End what runs, with a question where something would be cut off; then the window."""
        if self.window is None:
            self.quit()
        else:
            self.window.close(self.quit)

    def quit(self) -> None:
        """End it all now. Idempotent."""
        window, self.window = self.window, None
        if self._has_ended:
            return
        self._has_ended = True
        try:
            if window is not None:
                window.hurry()
            self.pump.settle()  # what was being started is there now, or is not
            if window is not None:
                window.kill()
        finally:
            self.root.destroy()

    def _unexpected(self, _: object, error: BaseException, __: object) -> None:
        """An error in a window's own code: a bug, which a person should see and can report."""
        traceback.print_exception(error)
        if self.window is not None:
            what = f"unexpected {type(error).__name__}: {error}"
            self.window.trouble.show(RaydlError(what, "please report this"))

    def _body(self) -> ttk.Frame:
        self._frame = ttk.Frame(self.root, style="Window.TFrame")
        self._frame.pack(fill="both", expand=True)
        return self._frame

    def _replace(self, role: str) -> None:
        if self._frame is not None:
            self._frame.destroy()
        px = self.look.px
        width, height = (px(size) for size in SIZES[role])
        width = min(width, self.root.winfo_screenwidth())
        height = min(height, int(OF_SCREEN * self.root.winfo_screenheight()))
        self.root.geometry(f"{width}x{height}")
        least = [px(size) for size in SMALLEST[role]]
        self.root.minsize(min(width, least[0]), min(height, least[1]))
        self.root.title(f"raydl {role}".strip())

    def _bind_keys(self) -> None:
        def on_coordinator(call: Callable[[CoordinatorWindow], object]) -> Callable[..., None]:
            def pressed(_: object) -> None:
                if isinstance(self.window, CoordinatorWindow):
                    call(self.window)

            return pressed

        root = self.root
        for kind in ("TButton", "TCheckbutton"):
            root.bind_class(kind, "<Return>", lambda event: _invoke(event.widget))
        for kind in ("TEntry", "TCombobox"):  # Tk's own goes to the beginning of the line
            root.bind_class(kind, f"<{MODIFIER}-a>", lambda event: _select_all(event.widget))
        root.bind("<FocusIn>", self._follow_system)
        root.bind(f"<{MODIFIER}-n>", on_coordinator(lambda w: w.form.url.focus_set()))
        root.bind(f"<{MODIFIER}-p>", on_coordinator(lambda w: w.toggle()))
        root.bind(f"<{MODIFIER}-q>", lambda _: self.close())


def _invoke(widget: tk.Misc) -> None:
    if isinstance(widget, ttk.Button | ttk.Checkbutton):
        widget.invoke()


def _select_all(widget: tk.Misc) -> str:
    if isinstance(widget, ttk.Entry):
        widget.selection_range(0, "end")
        widget.icursor("end")
    return "break"


def _make_root() -> tk.Tk:
    """A Tk; one that takes drops, where the library for it is there."""
    try:
        from tkinterdnd2 import TkinterDnD

        root: tk.Tk = TkinterDnD.Tk(className="raydl")
        root.can_drop = True  # type: ignore[attr-defined]
        return root
    except (ImportError, RuntimeError):
        return tk.Tk(className="raydl")
