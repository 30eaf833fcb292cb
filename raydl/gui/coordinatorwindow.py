"""The coordinator's window: a cluster on the left, downloads on the right."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import Any

from raydl.gui.backend import Backend, Message
from raydl.gui.clusterpanel import ClusterPanel
from raydl.gui.detail import Detail
from raydl.gui.downloadform import DownloadForm
from raydl.gui.downloadqueue import DownloadQueue, Listed
from raydl.gui.item import Item
from raydl.gui.look import Look
from raydl.gui.memory import Memory, Unfinished
from raydl.gui.names import is_many
from raydl.gui.pump import Pump
from raydl.gui.widgets import Card, Dialog, Trouble
from raydl.model.state import DownloadState
from raydl.settings.config import config_files, options_from, settings

DRAW_MS = 100


class CoordinatorWindow(ttk.Frame):
    """Puts the pieces together: what one says, the others show."""

    title = "raydl coordinator"

    def __init__(self, parent: tk.Misc, look: Look, pump: Pump, memory: Memory) -> None:
        super().__init__(parent, style="Window.TFrame")
        self._look, self._pump, self._memory = look, pump, memory
        self.dialog: Dialog | None = None
        self._then: Callable[[], None] = lambda: None
        found = settings({}, files=config_files())
        options_from(found)
        self.backend = Backend(lambda batch: pump.post(self._take, batch))
        self.queue = DownloadQueue(self.backend, self._changed)
        px = look.px
        self.columnconfigure(0, weight=5, uniform="halves")
        self.columnconfigure(1, weight=7, uniform="halves")
        self.rowconfigure(0, weight=1)
        self.cluster = ClusterPanel(self, look, pump, memory, self._use_cluster)
        self.cluster.grid(row=0, column=0, sticky="nsew", padx=(0, px(12)))
        right = ttk.Frame(self, style="Window.TFrame")
        right.grid(row=0, column=1, sticky="nsew")
        self.form = DownloadForm(right, look, memory, found, pump, self._submit, self._submit_many)
        self.form.pack(fill="x")
        self._make_list(right)
        self.detail = Detail(
            right, look, self.toggle, self.cancel, overwrite=self.overwrite, move=self.move
        )
        self.detail.pack(fill="both", expand=True, pady=(px(12), 0))
        for unfinished in memory.unfinished:
            self._offer(unfinished)
        if self.queue.items:
            self.select(self.queue.items[0])
        self.form.url.focus_set()
        self._timer = self.after(DRAW_MS, self._draw)

    def _make_list(self, parent: tk.Misc) -> None:
        px = self._look.px
        card = Card(parent, self._look, "Downloads")
        card.pack(fill="x", pady=(px(12), 0))
        self.remove_button = ttk.Button(
            card.top, text="Remove", style="Small.TButton", command=self.remove
        )
        self.remove_button.pack(side="right")
        self.list = ttk.Treeview(card.body, columns=("state", "share"), height=3)
        self.list.heading("#0", text="file", anchor="w")
        self.list.heading("state", text="state", anchor="w")
        self.list.heading("share", text="", anchor="e")
        self.list.column("#0", width=px(260), stretch=True)
        self.list.column("state", width=px(90), stretch=False)
        self.list.column("share", width=px(60), stretch=False, anchor="e")
        self.list.pack(fill="x")
        self.list.bind("<<TreeviewSelect>>", lambda _: self._selected())
        self.list.bind("<Return>", lambda _: self.toggle())
        self.list.bind("<Delete>", lambda _: self.remove())

    @property
    def trouble(self) -> Trouble:
        """Where an error that belongs nowhere else is shown."""
        return self.form.trouble

    # What the user does.

    @property
    def item(self) -> Listed | None:
        """The download that is looked at."""
        return self.detail.item

    def select(self, item: Listed) -> None:
        """Look at that one."""
        self.list.selection_set(str(item.key))
        self.list.focus(str(item.key))

    def toggle(self) -> None:
        """Pause or resume the one that is looked at."""
        if self.item is not None:
            self.queue.toggle(self.item)

    def cancel(self) -> None:
        """End the one that is looked at."""
        if self.item is not None:
            self.queue.cancel(self.item)

    def overwrite(self) -> None:
        """Replace the file that is in the way of the one that is looked at."""
        if self.item is not None:
            self.queue.overwrite(self.item)

    def move(self, target: str) -> None:
        """Save the one that is looked at there."""
        if self.item is not None:
            self._memory.finished(self.item.url, self.item.target)
            self.queue.move(self.item, target)

    def remove(self) -> None:
        """Take the one that is looked at off the list, if it has ended."""
        item = self.item
        if item is not None and item.state.is_over:
            self.queue.remove(item)
            self._memory.finished(item.url, item.target)
            self.list.delete(str(item.key))
            self.detail.show(None)
            if self.queue.items:
                self.select(self.queue.items[-1])

    def close(self, then: Callable[[], None]) -> None:
        """End it all, and call ``then``; asks first while something is downloaded."""
        self._then = then  # the last wish counts
        running = self.queue.running
        if self.queue.is_closed:
            return
        if running is None:
            self._end()
        elif self.dialog is None or not self.dialog.winfo_exists():
            self.dialog = Dialog(
                self, self._look,
                f"{running.name}: not finished yet. What has arrived is kept: it can go on next "
                "time.",
                "Stop and close", self._end,
            )  # fmt: skip

    def _end(self) -> None:
        self._remember()
        self.queue.is_closed = True

        def after(_: object) -> None:
            self.cluster.close(lambda: self._then())

        self._pump.run(self.backend.close, after, after)

    def repaint(self) -> None:
        """The theme has changed."""
        self.detail.repaint()
        self.form.repaint()

    def hurry(self) -> None:
        """Give up what is being started."""
        if not self.queue.is_closed:
            self._remember()
        self.queue.is_closed = True
        self.cluster.hurry()

    def kill(self) -> None:
        """End what was started, now, without questions."""
        self.after_cancel(self._timer)
        self.backend.close()
        self.cluster.kill()

    def _remember(self) -> None:
        """What is not finished can go on at the next start."""
        for item in self.queue.items:
            if item.state is not DownloadState.DONE:
                self._memory.interrupted(item.unfinished)

    def _offer(self, kept: Unfinished) -> None:
        options = self.form.in_force(checksum=kept.checksum, to=kept.to, nodes=kept.nodes)
        names = kept.url.splitlines()
        if is_many(names):
            self.queue.offer_many(names, kept.target, options, kept.name)
        else:
            self.queue.offer(kept.url, kept.target, options, kept.name)

    # What happens.

    def _submit(self, url: str, target: str, options: dict[str, Any]) -> None:
        self.select(self.queue.add(url, target, options))

    def _submit_many(
        self, names: list[str], target: str, options: dict[str, Any],
        files: int | None, template: str,
    ) -> None:  # fmt: skip
        self.select(self.queue.add_many(names, target, options, files, template))

    def _use_cluster(self, address: str) -> None:
        self.queue.address = address or "none"
        self.backend.watch(address)

    def _take(self, batch: list[Message]) -> None:
        for message in batch:
            if message[0] == "nodes":
                self.cluster.take_nodes(message[1])
            else:
                self.queue.take(message)

    def _changed(self, item: Listed) -> None:
        key = str(item.key)
        if not self.list.exists(key):
            self.list.insert("", "end", iid=key)
        self._fill(item)
        self.list.see(key)
        if item.state is DownloadState.DONE:
            self._memory.finished(item.url, item.target)
        elif item.state.can_go_on and item.can_resume and item.process:  # not one only offered
            self._memory.interrupted(item.unfinished)
        if item is self.detail.item:
            self._look_at(item)

    def _selected(self) -> None:
        chosen = self.list.selection()
        item = next((i for i in self.queue.items if str(i.key) in chosen), None)
        if item is not self.detail.item:
            self._look_at(item)

    def _look_at(self, item: Listed | None) -> None:
        self.detail.show(item)
        self.cluster.show_status(item.status if isinstance(item, Item) else None)

    def _fill(self, item: Listed) -> None:
        share = "" if item.share is None else f"{100 * item.share:.0f} %"
        key, values = str(item.key), (item.state.value, share)
        if self.list.item(key, "values") != values or self.list.item(key, "text") != item.name:
            self.list.item(key, text=item.name, values=values)

    def _draw(self) -> None:
        """What moves, ten times a second, however many events there were."""
        self._timer = self.after(DRAW_MS, self._draw)  # first: whatever goes wrong below
        running = self.queue.running
        if running is not None:
            self._fill(running)
        if running is not None and running is self.detail.item:
            self.detail.draw()
            self.cluster.draw()
        self.cluster.look_after()
        self.backend.look_after()
