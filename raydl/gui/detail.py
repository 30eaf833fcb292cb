"""The download that is looked at: its steps, its part map, what became of it."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog, ttk

from raydl.gui.copytable import CopyTable
from raydl.gui.downloadqueue import Listed
from raydl.gui.filesview import FilesView
from raydl.gui.item import CELLS, Item
from raydl.gui.look import Look
from raydl.gui.manyitem import ManyItem
from raydl.gui.outside import open_outside
from raydl.gui.strip import Legend, Strip
from raydl.gui.widgets import Card, Cures, Trouble, Wrapped
from raydl.gui.words import in_windows
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.model.units import format_size
from raydl.view.status import Step

STEPS = (("fetched", "Fetched"), ("assembled", "Assembled"), ("verified", "Verified"))


class Detail(Card):
    """The others are what its buttons do; ``move`` gets the path that was chosen."""

    def __init__(
        self,
        parent: tk.Misc,
        look: Look,
        toggle: Callable[[], None],
        cancel: Callable[[], None],
        overwrite: Callable[[], None],
        move: Callable[[str], None],
    ) -> None:
        super().__init__(parent, look, "Progress")
        self._look, self._overwrite, self._move = look, overwrite, move
        self.item: Listed | None = None
        px, body = look.px, self.body
        self.cancel_button = ttk.Button(
            self.top, text="Cancel", style="Small.TButton", command=cancel
        )
        self.cancel_button.pack(side="right")
        self.toggle_button = ttk.Button(
            self.top, text="Pause", style="Small.TButton", command=toggle
        )
        self.toggle_button.pack(side="right", padx=px(6))
        self.folder_button = ttk.Button(
            self.top, text="Open folder", style="Small.TButton", command=self._open_folder
        )
        self.report_button = ttk.Button(
            self.top, text="Open report", style="Small.TButton", command=self._open_report
        )
        self.name = ttk.Label(body, style="Heading.TLabel")
        self.name.pack(anchor="w")
        self.summary = Wrapped(body, style="Dim.TLabel")
        self.summary.pack(fill="x", pady=(px(2), 0))
        # What matters most comes first: in a low window the last is what is cut off.
        self.trouble = Trouble(body, look)
        self.trouble.pack(fill="x")
        self.result = Wrapped(body, style="TLabel", justify="left")
        self._bars_frame = bars = ttk.Frame(body)
        bars.pack(fill="x", pady=(px(8), 0))
        bars.columnconfigure(1, weight=1)
        self.bars: dict[str, ttk.Progressbar] = {}
        self.bar_texts: dict[str, ttk.Label] = {}
        for row, (step, word) in enumerate(STEPS):
            ttk.Label(bars, text=word, style="Small.TLabel").grid(row=row, column=0, sticky="w")
            bar = ttk.Progressbar(bars, maximum=1000, mode="determinate")
            bar.grid(row=row, column=1, sticky="ew", padx=px(10), pady=px(3))
            text = ttk.Label(bars, style="Small.TLabel", width=9, anchor="e")
            text.grid(row=row, column=2, sticky="e")
            self.bars[step], self.bar_texts[step] = bar, text
        self._map = ttk.Frame(body)
        self.strip = Strip(self._map, look, CELLS)
        self.strip.pack(fill="x")
        self.legend = Legend(self._map, look)
        self.legend.pack(fill="x")
        ttk.Label(self._map, textvariable=self.strip.word, style="Small.TLabel").pack(anchor="w")
        self.copies = CopyTable(body, look)
        self.files = FilesView(body, look)
        self.notes = Wrapped(body, style="Small.TLabel", justify="left", anchor="nw")
        self.notes.pack(fill="x", pady=(px(6), 0))
        self.show(None)

    def show(self, item: Listed | None) -> None:
        """Look at that one from now on."""
        self.item = item
        one = item if isinstance(item, Item) else None
        self.strip.show(one.parts if one else None, one.status if one else None)
        self.legend.show(one.status if one else None)
        self.copies.forget()
        self.refresh()

    def repaint(self) -> None:
        """The theme has changed."""
        self.legend.forget()
        self.show(self.item)

    def refresh(self) -> None:
        """The state may have changed: update buttons, result, error."""
        item = self.item
        state = item.state if item else None
        is_going = state in (DownloadState.RUNNING, DownloadState.PAUSED)
        can_toggle = is_going or (state is not None and state.can_go_on)
        self.toggle_button.state(["!disabled" if can_toggle else "disabled"])
        self.toggle_button.configure(text=_toggle(item))
        can_cancel = is_going or state is DownloadState.QUEUED
        self.cancel_button.state(["!disabled" if can_cancel else "disabled"])
        self.trouble.clear()
        for widget in (self.result, self.folder_button, self.report_button):
            widget.pack_forget()
        if item is not None and item.report is not None:
            if item.error is None:
                self.result.configure(text=_result(item))
                self.result.pack(fill="x", pady=(self._look.px(6), 0), after=self.trouble)
            if item.is_here:
                self.folder_button.pack(side="right")
        if isinstance(item, ManyItem) and item.has_report:
            self.report_button.pack(side="right", padx=self._look.px(6))
        if item is not None and item.error is not None and state is DownloadState.FAILED:
            self.trouble.show(item.error, self._cures(item))
        self.draw()

    def draw(self) -> None:
        """Show the item's numbers and its map, as they are now."""
        item = self.item
        self._arrange(item)
        if item is None:
            self.name.configure(text="Nothing yet")
            self.summary.configure(
                text="Paste URLs, hf://org/name or the path of a list above, and press Enter."
            )
            for step in self.bars:
                self._bar(step, 0.0, "")
            self.notes.configure(text="")
            return
        self.name.configure(text=item.name)
        told = [] if item.state.is_over else list(item.status.notes)[-3:]
        self.notes.configure(text="\n".join(in_windows(note) for note in told))
        if isinstance(item, ManyItem):
            self.summary.configure(text=_summary_of_many(item))
            self.files.show(item)
        else:
            self.summary.configure(text=_summary(item))
            self._draw_one(item)

    def _draw_one(self, item: Item) -> None:
        status = item.status
        size, done = status.total, item.state is DownloadState.DONE
        for step, count in (("fetched", item.fetched), ("assembled", _assembled(item))):
            share = 1.0 if done else count / size if size else 0.0
            known = size or done
            self._bar(step, share, f"{100 * share:.0f} %" if known else _size(count))
        verifying = not item.state.is_over and status.step is Step.VERIFYING
        is_proven = item.report is not None and bool(_digests(item.report))
        word = "no digest" if done else "…" if verifying else ""
        self._bar("verified", float(is_proven), "100 %" if is_proven else word)
        self.strip.draw()
        self.legend.show(status)

    def _arrange(self, item: Listed | None) -> None:
        """The part map, what each node has where each gets the file, or many files."""
        copies = item.status.copies if isinstance(item, Item) else None
        if copies is not None:
            self.copies.show(copies)
        shown: ttk.Frame = self._map if copies is None else self.copies
        if isinstance(item, ManyItem):
            shown = self.files
        if shown.winfo_manager():
            return
        for other in (self._bars_frame, self._map, self.copies, self.files):
            other.pack_forget()
        if shown is not self.files:
            self._bars_frame.pack(fill="x", pady=(self._look.px(8), 0), before=self.notes)
        fills = shown is not self._map
        shown.pack(
            fill="both" if fills else "x", expand=fills, pady=(self._look.px(10), 0),
            before=self.notes,
        )  # fmt: skip

    def _bar(self, step: str, share: float, text: str) -> None:
        self.bars[step].configure(value=round(1000 * share))
        self.bar_texts[step].configure(text=text)

    def _cures(self, item: Listed) -> Cures:
        cures: Cures = {}
        if item.is_in_the_way:
            cures["Overwrite"] = self._overwrite
        if item.wants_another_place:
            what = "folder" if isinstance(item, ManyItem) else "name"
            cures[f"Another {what} …"] = self._choose_another
        return cures

    def _choose_another(self) -> None:
        item = self.item
        if isinstance(item, ManyItem):
            folder = filedialog.askdirectory(parent=self, title="Save to", initialdir=item.target)
            if folder:
                self._move(f"{folder}/")
        if not isinstance(item, Item):
            return
        at = item.path or Path(item.target, item.name)
        path = filedialog.asksaveasfilename(
            parent=self, title="Save to", initialdir=str(at.parent), initialfile=at.name,
            confirmoverwrite=False,  # a file that is there is asked about here
        )  # fmt: skip
        if path:
            self._move(path)

    def _open_folder(self) -> None:
        if self.item is not None and self.item.folder is not None:
            open_outside(self.item.folder)

    def _open_report(self) -> None:
        if isinstance(self.item, ManyItem) and self.item.report_path is not None:
            open_outside(self.item.report_path)


def _toggle(item: Listed | None) -> str:
    if item is not None and item.state.can_go_on:
        return item.again
    return "Resume" if item is not None and item.state is DownloadState.PAUSED else "Pause"


def _summary(item: Item) -> str:
    match item.state:
        case DownloadState.QUEUED:
            return "waits for its turn"
        case DownloadState.STOPPED | DownloadState.FAILED:
            how = "stopped" if item.state is DownloadState.STOPPED else "not finished"
            if not item.is_here:
                amount = f", {item.status.amount}" if item.status.copies else ""
                return f"{how}{amount}; Resume goes on from what is there"
            if not item.left.kept:
                return f"{how}; nothing is kept"
            of = f" of {format_size(item.status.size)}" if item.status.size else ""
            return f"{how}; {format_size(item.left.kept)}{of} kept, Resume goes on from there"
        case DownloadState.CANCELLING:
            return "stopping …"
        case _:
            return item.status.summary()


def _summary_of_many(item: ManyItem) -> str:
    match item.state:
        case DownloadState.QUEUED:
            return "waits for its turn"
        case DownloadState.STOPPED:
            return "stopped; Resume goes on from what is there"
        case DownloadState.FAILED if item.report is None:
            return "not finished; Resume goes on from what is there"
        case DownloadState.CANCELLING:
            return "stopping …"
        case _:
            return item.status.summary()


def _assembled(item: Item) -> int:
    """Bytes that are where they belong; of copies, those of nodes that have the whole file."""
    status = item.status
    if status.copies is not None:
        return status.copies.size * status.copies.whole
    progress = None if item.state.can_go_on else status.progress
    return progress.written if progress else item.fetched


def _digests(report: Report) -> list[str]:
    """A line for each digest: as which it was expected, or that copies have the same."""
    who = "as it was given" if report.proof == "given" else f"as {report.proof} says"
    lines = [f"{name} {digest}, {who}" for name, digest in report.digests.items()]
    alike = {share.digest for share in report.nodes if share.state}
    if not lines and len(report.nodes) > 1 and len(alike) == 1 and any(alike):
        lines = [f"{alike.pop().replace(':', ' ', 1)}, the same on all nodes"]
    return lines


def _result(item: Listed) -> str:
    if isinstance(item, ManyItem):
        return str(item.folder or "")
    report = item.report
    assert report is not None
    lines = [f"{report.path}"]
    lines += _digests(report)
    return "\n".join([*lines, in_windows(report.limit)] if report.limit else lines)


def _size(count: int) -> str:
    return format_size(count) if count else ""
