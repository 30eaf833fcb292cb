"""The field for what is to be downloaded: it grows with what is pasted."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from typing import Any

from raydl.gui.look import Look
from raydl.gui.names import names_in

MOST_LINES = 4
"""That are in view; it scrolls behind them."""

FILE_TYPES = ("text/uri-list", "CF_HDROP", "NSPasteboardTypeFileURL", "DND_Files")
"""What the systems call what is dropped as a list of Tcl's."""


class UrlField(tk.Text):
    """Lines of text that look like a field. Enter is ``submit``, Tab goes on; ``changed`` is called
    when there is another text."""

    def __init__(
        self, parent: tk.Misc, look: Look, submit: Callable[[], None], changed: Callable[[], None]
    ) -> None:
        px = look.px
        super().__init__(
            parent, height=1, width=10, wrap="none", undo=True, font="TkDefaultFont",
            relief="flat", borderwidth=0, highlightthickness=1, padx=px(5), pady=px(6),
        )  # fmt: skip
        self._look, self._changed = look, changed
        self.repaint()
        for keys, call in (
            ("<Return>", submit),
            ("<KP_Enter>", submit),
            ("<Tab>", lambda: self.tk_focusNext().focus_set()),  # type: ignore[union-attr]
            ("<Control-a>", self._select_all),
            ("<Command-a>", self._select_all),
            *((name, self._go_back) for name in ("<Shift-Tab>", "<ISO_Left_Tab>")),
        ):
            self._bind_instead(keys, call)
        self.bind("<Shift-Return>", lambda _: None)  # Tk's own: a new line
        self.bind("<<Modified>>", self._modified)

    @property
    def text(self) -> str:
        """What is in it."""
        return self.get("1.0", "end-1c")

    def put(self, text: str) -> None:
        """Have that in it."""
        self.delete("1.0", "end")
        self.insert("1.0", text)
        self.see("1.0")

    def put_names(self, text: str) -> None:
        """As if it had been pasted; each name that is in it gets a line."""
        self.put("\n".join(names_in(text)))
        self.focus_set()

    def repaint(self) -> None:
        """Take the colours of the theme."""
        p = self._look.palette
        self.configure(
            background=p.field, foreground=p.text, insertbackground=p.text,
            highlightbackground=p.line, highlightcolor=p.accent, selectbackground=p.accent,
            selectforeground=p.on_accent,
        )  # fmt: skip

    def accept_drops(self, place: tk.Misc) -> None:
        """Have links and lists dropped anywhere on ``place``, where the library for it is there."""
        try:
            from tkinterdnd2 import DND_FILES, DND_TEXT
        except ImportError:
            return
        register = getattr(place, "drop_target_register", None)
        if register is None or not getattr(self.winfo_toplevel(), "can_drop", False):
            return
        register(DND_FILES, DND_TEXT)
        place.dnd_bind("<<Drop>>", self.take_drop)  # type: ignore[attr-defined]

    def take_drop(self, event: Any) -> str:
        """Have in it what was dropped: a text, or a list of Tcl's."""
        is_list = str(event.type).startswith(FILE_TYPES)
        self.put_names("\n".join(self.tk.splitlist(event.data)) if is_list else event.data)
        return "copy"

    def _bind_instead(self, keys: str, call: Callable[[], Any]) -> None:
        """Have the keys do that, and not what Tk has for them."""

        def pressed(_: object) -> str:
            call()
            return "break"

        try:
            self.bind(keys, pressed)
        except tk.TclError:
            return  # a key that this system does not have

    def _go_back(self) -> None:
        before = self.tk_focusPrev()
        if before is not None:
            before.focus_set()

    def _select_all(self) -> None:
        self.tag_add("sel", "1.0", "end-1c")

    def _modified(self, _: object) -> None:
        if not self.edit_modified():
            return  # it is the reset of this flag
        self.edit_modified(False)
        lines = int(self.index("end-1c").partition(".")[0])
        self.configure(height=min(MOST_LINES, max(1, lines)))
        self._changed()
