"""The coordinator's window: a cluster on the left, downloads on the right."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from tkinter import ttk
from typing import Any

from raydl.gui.backend import Backend, Message
from raydl.gui.clusterpanel import ClusterPanel
from raydl.gui.detail import Detail
from raydl.gui.downloadform import DownloadForm, Typed
from raydl.gui.downloadlist import Actions, DownloadList
from raydl.gui.downloadqueue import DownloadQueue, Listed
from raydl.gui.item import Item
from raydl.gui.look import Look
from raydl.gui.memory import Memory, Unfinished
from raydl.gui.names import is_many
from raydl.gui.nodecolours import NodeColours
from raydl.gui.outside import notify, open_outside
from raydl.gui.partialdialog import PartialDialog
from raydl.gui.pump import Pump
from raydl.gui.widgets import Dialog, Trouble, copy
from raydl.model.state import DownloadState
from raydl.model.units import format_size
from raydl.settings.config import config_files, options_from, settings

DRAW_MS = 100

TOLD = {DownloadState.DONE: "Download finished", DownloadState.FAILED: "Download failed"}
"""What the desktop is told."""


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
        colours = NodeColours()
        px = look.px
        self.columnconfigure(0, weight=22, uniform="halves")
        self.columnconfigure(1, weight=30, uniform="halves")
        self.rowconfigure(0, weight=2)
        self.cluster = ClusterPanel(self, look, pump, memory, colours, self._use_cluster)
        self.cluster.grid(row=0, column=0, sticky="nsew", padx=(0, px(12)))
        right = ttk.Frame(self, style="Window.TFrame")
        right.grid(row=0, column=1, sticky="nsew")
        right.columnconfigure(0, weight=1)
        right.rowconfigure(1, weight=1)
        self.form = DownloadForm(right, look, memory, found, pump, self._submit, self._submit_many)
        self.form.grid(row=0, column=0, sticky="ew")
        self.form.url.accept_drops(self)
        actions = Actions(
            self.open, self.open_folder, self.copy_url, self.edit, self.toggle, self.cancel,
            self.remove, self.queue.clear_finished,
        )  # fmt: skip
        self.list = DownloadList(right, look, actions, self._look_at)
        self.list.grid(row=1, column=0, sticky="nsew", pady=(px(12), 0))
        self.detail = Detail(
            self, look, colours, self.toggle, self.cancel, self.open_folder,
            {"overwrite": self.overwrite, "beside": self.keep_both, "skip": self.skip},
            self.move,
        )  # fmt: skip
        self.detail.grid(row=1, column=0, columnspan=2, sticky="nsew", pady=(px(12), 0))
        self._look_at(None)
        for unfinished in memory.unfinished:
            self._offer(unfinished)
        if self.queue.items:
            self.select(self.queue.items[0])
        self.form.url.focus_set()
        self._timer = self.after(DRAW_MS, self._draw)

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
        self.list.select(item)

    def open(self) -> None:
        """Open the file, or the folder of many, with what the desktop has for it."""
        if self.item is not None and self.item.file is not None:
            open_outside(self.item.file)

    def open_folder(self) -> None:
        """Show where it is."""
        if self.item is not None and self.item.folder is not None:
            open_outside(self.item.folder)

    def copy_url(self) -> None:
        """To the clipboard."""
        if self.item is not None:
            copy(self, self.item.url)

    def edit(self) -> None:
        """Have it in the form instead of in the list."""
        item = self.item
        if item is not None and item.state.can_go_on and not self.form.is_reading:
            checksum = str(item.options.get("checksum") or "")
            typed = {"checksum": checksum, **item.typed}
            self.form.edit(item.url, item.target, item.to, typed)
            self.queue.remove(item)

    def toggle(self) -> None:
        """Pause or resume the one that is looked at."""
        if self.item is not None:
            self.queue.toggle(self.item)

    def cancel(self) -> None:
        """End the one that is looked at; asks what becomes of a partial file."""
        item = self.item
        if item is not None and not item.state.is_over:
            self._ask_for_partial(f"Cancel {item.name}?", item, self.queue.cancel)

    def overwrite(self) -> None:
        """Replace the file that is in the way of the one that is looked at."""
        if self.item is not None:
            self.queue.overwrite(self.item)

    def move(self, target: str) -> None:
        """Save the one that is looked at there."""
        if self.item is not None:
            self._memory.finished(self.item.url, self.item.target)
            self.queue.move(self.item, target)

    def keep_both(self) -> None:
        """Save it beside the file that is in the way."""
        if isinstance(self.item, Item):
            self.move(self.item.beside)

    def skip(self) -> None:
        """Leave the file that is in the way as it is."""
        if self.item is not None:
            self.queue.skip(self.item)

    def remove(self) -> None:
        """Take the one that is looked at off the list; asks what becomes of a partial file."""
        item = self.item
        if item is not None:
            self._ask_for_partial(f"Remove {item.name} from the list?", item, self.queue.remove)

    def _ask_for_partial(
        self, question: str, item: Listed, call: Callable[[Listed, bool], None]
    ) -> None:
        if not item.partial:
            call(item, False)
        elif self.dialog is None or not self.dialog.winfo_exists():
            self.dialog = PartialDialog(
                self, self._look, f"{question} {format_size(item.partial)} of it have arrived.",
                lambda delete: call(item, delete),
            )  # fmt: skip

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
        self.list.repaint()
        self.cluster.repaint()
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

    def _submit(self, url: str, target: str, options: dict[str, Any], typed: Typed) -> None:
        self._added(self.queue.add(url, target, options), typed)

    def _submit_many(
        self, names: list[str], target: str, options: dict[str, Any],
        files: int | None, template: str, typed: Typed,
    ) -> None:  # fmt: skip
        self._added(self.queue.add_many(names, target, options, files, template), typed)

    def _added(self, item: Listed, typed: Typed) -> None:
        item.typed = typed
        if self.item is None:
            self.select(item)

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
        if item not in self.queue.items:
            self._memory.finished(item.url, item.target)
            self.list.drop(item)
            return
        self.list.show(item)
        if item.state is DownloadState.DONE:
            self._memory.finished(item.url, item.target)
        elif item.state.can_go_on and item.process:  # not one only offered
            if item.can_resume:
                self._memory.interrupted(item.unfinished)
            else:
                self._memory.finished(item.url, item.target)
        if item.state in TOLD:
            told = partial(notify, TOLD[item.state], item.name)
            self._pump.run(told, lambda _: None, lambda _: None)
        if item is self.item:
            self._look_at(item)

    def _look_at(self, item: Listed | None) -> None:
        self.detail.show(item)
        if item is None:
            self.detail.grid_remove()
        else:
            self.detail.grid()
        self._draw_what_moves()

    def _draw(self) -> None:
        """What moves, ten times a second, however many events there were."""
        self._timer = self.after(DRAW_MS, self._draw)  # first: whatever goes wrong below
        running = self.queue.running
        if running is not None:
            self.list.show(running)
        if running is not None and running is self.item:
            self.detail.draw()
        self._draw_what_moves()
        self.cluster.look_after()
        self.backend.look_after()

    def _draw_what_moves(self) -> None:
        """Nodes, with what each did for all downloads; and rows of a table get more room."""
        running = self.queue.running
        self.cluster.show_work(
            running.status if isinstance(running, Item) else None,
            [item.status for item in self.queue.items if isinstance(item, Item)],
            running.status.speed if running is not None else 0.0,
        )
        self.rowconfigure(1, weight=1 if self.detail.has_rows else 0)
