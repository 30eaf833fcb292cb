"""The list of downloads: how each stands, and what can be done with it."""

from __future__ import annotations

import sys
import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import ttk
from typing import Literal

from raydl.gui.downloadqueue import Listed
from raydl.gui.item import Item
from raydl.gui.look import Look
from raydl.gui.rows import Rows
from raydl.gui.widgets import Card
from raydl.model.state import DownloadState
from raydl.model.units import format_duration, format_size

COLUMNS: dict[str, tuple[int, Literal["w", "e"]]] = {
    "name": (140, "w"), "size": (76, "e"), "progress": (136, "w"), "speed": (88, "e"),
    "time left": (72, "e"),
}  # fmt: skip

BAR = 8
"""Strokes of a bar."""

MENU_KEYS = (
    "<Button-2>" if sys.platform == "darwin" else "<Button-3>", "<Control-Button-1>",
    "<Shift-F10>", "<Menu>", "<App>",
)  # fmt: skip
"""What asks for a menu: X11 and Windows each have a name for its key."""


@dataclass(frozen=True)
class Actions:
    """What can be done with the download that is selected, and with the list."""

    open: Callable[[], None]
    open_folder: Callable[[], None]
    copy_url: Callable[[], None]
    edit: Callable[[], None]
    toggle: Callable[[], None]
    cancel: Callable[[], None]
    remove: Callable[[], None]
    clear_finished: Callable[[], None]


class DownloadList(Card):
    """Rows in the order in which they are fetched. ``selected`` gets the one that is looked at."""

    def __init__(
        self, parent: tk.Misc, look: Look, actions: Actions,
        selected: Callable[[Listed | None], None],
    ) -> None:  # fmt: skip
        super().__init__(parent, look, "Downloads")
        self._look, self._does, self._selected = look, actions, selected
        self._items: dict[str, Listed] = {}
        px = look.px
        self.remove_button = ttk.Button(
            self.top, text="Remove", style="Small.TButton", command=actions.remove
        )
        self.remove_button.pack(side="right")
        self.clear_button = ttk.Button(
            self.top, text="Clear finished", style="Small.TButton", command=actions.clear_finished
        )
        self.clear_button.pack(side="right", padx=px(6))
        rows = Rows(self.body, look, COLUMNS, height=2, selectmode="browse")
        rows.pack(fill="both", expand=True)
        self.tree = tree = rows.tree
        self._nothing = ttk.Label(
            tree, text="Nothing yet: paste a URL above, and press Enter.",
            style="Placeholder.TLabel",
        )  # fmt: skip
        self.menu = tk.Menu(self, tearoff=False)
        tree.bind("<<TreeviewSelect>>", lambda _: self._chosen())
        tree.bind("<Return>", lambda _: actions.open())
        tree.bind("<KP_Enter>", lambda _: actions.open())
        tree.bind("<Double-Button-1>", lambda event: self._open_row(event.y))
        tree.bind("<Delete>", lambda _: actions.remove())
        for keys in MENU_KEYS:
            self._bind_menu(keys)
        self.repaint()
        self._enable()

    @property
    def item(self) -> Listed | None:
        """The one that is selected."""
        return self._items.get("".join(self.tree.selection()))

    def select(self, item: Listed) -> None:
        """Look at that one."""
        self.tree.selection_set(str(item.key))
        self.tree.focus(str(item.key))
        self.tree.see(str(item.key))

    def show(self, item: Listed) -> None:
        """Draw how that one stands; it may be new."""
        key = str(item.key)
        if not self.tree.exists(key):
            self._items[key] = item
            self.tree.insert("", "end", iid=key)
            self.tree.see(key)
        values, tag = row(item), item.state.name
        if self.tree.item(key, "values") != values or self.tree.item(key, "text") != item.name:
            self.tree.item(key, text=item.name, values=values, tags=(tag,))
        self._enable()

    def drop(self, item: Listed) -> None:
        """It is in the list no more; its neighbour is looked at where it was."""
        key = str(item.key)
        if self._items.pop(key, None) is None:
            return
        was_selected = key in self.tree.selection()
        neighbour = self.tree.next(key) or self.tree.prev(key)
        self.tree.delete(key)
        if was_selected and neighbour:
            self.select(self._items[neighbour])
        self._enable()

    def repaint(self) -> None:
        """Take the colours of the theme."""
        p = self._look.palette
        self.menu.configure(
            background=p.card, foreground=p.text, activebackground=p.accent,
            activeforeground=p.on_accent, disabledforeground=p.dim, borderwidth=1,
            activeborderwidth=0, font="TkDefaultFont",
        )  # fmt: skip
        for state, ink in (("FAILED", p.bad), ("DONE", p.good), ("QUEUED", p.dim)):
            self.tree.tag_configure(state, foreground=ink)

    def make_menu(self) -> None:
        """What can be done with the one that is selected."""
        self.menu.delete(0, "end")
        does, item = self._does, self.item
        state = item.state if item else None
        is_going = state in (DownloadState.RUNNING, DownloadState.PAUSED)
        can_go_on = state is not None and state.can_go_on
        for words, call, can_do in (
            ("Open", does.open, item and item.file),
            ("Open folder", does.open_folder, item and item.is_here and item.folder),
            ("Copy URL", does.copy_url, item),
            ("Edit and try again", does.edit, can_go_on),
            ("", None, True),
            (toggle_word(item), does.toggle, is_going or can_go_on),
            ("Cancel", does.cancel, is_going or state is DownloadState.QUEUED),
            ("Remove", does.remove, item),
            ("", None, True),
            ("Clear finished", does.clear_finished, self._has_finished),
        ):
            if call is None:
                self.menu.add_separator()
            else:
                self.menu.add_command(label=words, command=call)
                if not can_do:
                    self.menu.entryconfigure("end", state="disabled")

    @property
    def _has_finished(self) -> bool:
        return any(item.state is DownloadState.DONE for item in self._items.values())

    def _chosen(self) -> None:
        self._enable()
        self._selected(self.item)

    def _enable(self) -> None:
        self.remove_button.state(["!disabled" if self.item else "disabled"])
        self.clear_button.state(["!disabled" if self._has_finished else "disabled"])
        if self._items:
            self._nothing.place_forget()
        else:
            self._nothing.place(relx=0.5, rely=0.6, anchor="center")

    def _bind_menu(self, keys: str) -> None:
        def asked(event: tk.Event[ttk.Treeview]) -> str:
            is_key = event.type is tk.EventType.KeyPress
            at = self._place_of_selected() if is_key else (event.x_root, event.y_root)
            under = self.tree.identify_row(event.y)
            if not is_key and under:
                self.select(self._items[under])
            self._selected(self.item)
            self.make_menu()
            self.menu.tk_popup(*at)
            return "break"

        try:
            self.tree.bind(keys, asked)
        except tk.TclError:
            return  # a key that this system does not have

    def _place_of_selected(self) -> tuple[int, int]:
        box = self.tree.bbox("".join(self.tree.selection())) if self.item else ""
        left, top = (box[0], box[1] + box[3]) if box else (0, 0)
        return self.tree.winfo_rootx() + left, self.tree.winfo_rooty() + top

    def _open_row(self, y: int) -> None:
        if self.tree.identify_row(y):
            self._does.open()


def row(item: Listed) -> tuple[str, ...]:
    """Size, progress, speed and the time that is left, as they stand in the list."""
    status = item.status
    size = item.status.size if isinstance(item, Item) else None
    left = status.seconds_left
    return (
        format_size(size) if size is not None else "",
        _progress(item),
        f"{format_size(status.speed)}/s" if status.speed else "",
        format_duration(left) if left is not None else "",
    )


def toggle_word(item: Listed | None) -> str:
    """What it is called to pause it, or to go on."""
    if item is not None and item.state.can_go_on:
        return item.again
    return "Resume" if item is not None and item.state is DownloadState.PAUSED else "Pause"


def _progress(item: Listed) -> str:
    share = item.share
    if item.state is DownloadState.RUNNING:
        full = round(BAR * (share or 0.0))
        return f"{'━' * full}{'─' * (BAR - full)} " + ("" if share is None else _percent(share))
    word = str(item.state.value)
    is_whole = item.state is DownloadState.DONE and share == 1.0
    return word if is_whole or not share else f"{word}, {_percent(share)}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
