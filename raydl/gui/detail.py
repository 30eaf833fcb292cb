"""The download that is looked at: its steps, its part map, what became of it."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog, ttk

from raydl.gui.copytable import CopyTable
from raydl.gui.downloadlist import toggle_word
from raydl.gui.downloadqueue import Listed
from raydl.gui.filesview import FilesView
from raydl.gui.item import CELLS, Item
from raydl.gui.look import Look
from raydl.gui.manyitem import ManyItem
from raydl.gui.nodecolours import NodeColours
from raydl.gui.outside import open_outside
from raydl.gui.strip import Legend, Strip
from raydl.gui.widgets import Card, Cures, Trouble, Wrapped
from raydl.gui.words import in_windows
from raydl.model.errors import RaydlError
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.model.units import format_size
from raydl.view.status import Step

STEPS = (("fetched", "Fetched"), ("assembled", "Assembled"), ("verified", "Verified"))


class Detail(Card):
    """The others are what its buttons do: ``mends`` those for a file that is in the way, by
    "overwrite", "beside" and "skip"; ``move`` gets the path that was chosen."""

    def __init__(
        self, parent: tk.Misc, look: Look, colours: NodeColours, toggle: Callable[[], None],
        cancel: Callable[[], None], open_folder: Callable[[], None], mends: Cures,
        move: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__(parent, look, "")
        self._look, self._mends, self._move = look, mends, move
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
            self.top, text="Open folder", style="Small.TButton", command=open_folder
        )
        self.report_button = ttk.Button(
            self.top, text="Open report", style="Small.TButton", command=self._open_report
        )
        self.name = self.heading
        self.name.pack_forget()  # buttons come first: a long name is what is cut off
        self.name.pack(side="left")
        body.columnconfigure(0, weight=21, uniform="halves")
        body.columnconfigure(1, weight=31, uniform="halves")
        body.rowconfigure(0, weight=1, minsize=px(102))
        left, self._right = ttk.Frame(body), ttk.Frame(body)
        left.grid(row=0, column=0, sticky="nsew", padx=(0, px(24)))
        self._right.grid(row=0, column=1, sticky="nsew")
        self.summary = Wrapped(left, style="Dim.TLabel")
        self.summary.pack(fill="x")
        self.trouble = Trouble(left, look)
        self.result = Wrapped(left, style="TLabel", justify="left")
        self._bars_frame = bars = ttk.Frame(left)
        bars.columnconfigure(1, weight=1)
        self.bars: dict[str, ttk.Progressbar] = {}
        self.bar_texts: dict[str, ttk.Label] = {}
        for row, (step, word) in enumerate(STEPS):
            ttk.Label(bars, text=word, style="Small.TLabel").grid(row=row, column=0, sticky="w")
            bar = ttk.Progressbar(bars, maximum=1000, mode="determinate")
            bar.grid(row=row, column=1, sticky="ew", padx=(px(10), 0), pady=px(3))
            text = ttk.Label(bars, style="Small.TLabel", width=9, anchor="e")
            text.grid(row=row, column=2, sticky="e")
            self.bars[step], self.bar_texts[step] = bar, text
        self._map = ttk.Frame(self._right)
        self.strip = Strip(self._map, look, colours, CELLS)
        self.strip.pack(fill="x")
        self.legend = Legend(self._map, look, self.strip.word)
        self.legend.pack(fill="x")
        self.copies = CopyTable(self._right, look)
        self.files = FilesView(self._right, look)
        self.notes = Wrapped(self._right, style="Small.TLabel", justify="left", anchor="nw")
        self.show(None)

    @property
    def has_rows(self) -> bool:
        """Whether there is a table in it, which can do with more room."""
        return bool(self.copies.winfo_manager() or self.files.winfo_manager())

    def show(self, item: Listed | None) -> None:
        """Look at that one from now on."""
        self.item = item
        one = item if isinstance(item, Item) else None
        self.strip.show(one.parts if one else None)
        self.copies.forget()
        self.refresh()

    def repaint(self) -> None:
        """The theme has changed."""
        self.legend.repaint()
        self.show(self.item)

    def refresh(self) -> None:
        """The state may have changed: update buttons, result, error."""
        item = self.item
        state = item.state if item else None
        is_going = state in (DownloadState.RUNNING, DownloadState.PAUSED)
        can_toggle = is_going or (state is not None and state.can_go_on)
        self.toggle_button.state(["!disabled" if can_toggle else "disabled"])
        self.toggle_button.configure(text=toggle_word(item))
        can_cancel = is_going or state is DownloadState.QUEUED
        self.cancel_button.state(["!disabled" if can_cancel else "disabled"])
        self.trouble.clear()
        for widget in (
            self.trouble, self.result, self._bars_frame, self.folder_button, self.report_button
        ):  # fmt: skip
            widget.pack_forget()
        has_failed = item is not None and item.error is not None and state is DownloadState.FAILED
        gap = (self._look.px(6), 0)
        if item is not None and item.error is not None and has_failed:
            self.trouble.pack(fill="x")
            self.trouble.show(_in_the_way(item) or item.error, self._cures(item))
        elif item is not None and item.report is not None:
            self.result.configure(text=_result(item))
            self.result.pack(fill="x", pady=gap)
        if isinstance(item, Item) and not has_failed:
            self._bars_frame.pack(fill="x", pady=gap)
        if item is not None and item.report is not None and item.is_here:
            self.folder_button.pack(side="right")
        if isinstance(item, ManyItem) and item.has_report:
            self.report_button.pack(side="right", padx=self._look.px(6))
        self.draw()

    def draw(self) -> None:
        """Show the item's numbers and its map, as they are now."""
        item = self.item
        self._arrange(item)
        if item is None:
            return
        self.name.configure(text=item.name)
        told = [] if item.state.is_over else list(item.status.notes)[-3:]
        self._tell([in_windows(note) for note in told])
        if isinstance(item, ManyItem):
            self.summary.configure(text=_summary_of_many(item))
            self.files.show(item)
        else:
            self.summary.configure(text=_summary(item))
            self._draw_one(item)

    def _tell(self, lines: list[str]) -> None:
        """Lines below what is shown, which has their room when there are none."""
        self.notes.configure(text="\n".join(lines))
        if not lines:
            self.notes.pack_forget()
        elif not self.notes.winfo_manager():
            others = self._right.pack_slaves()
            for other in others:
                other.pack_forget()
            self.notes.pack(side="bottom", fill="x", pady=(self._look.px(6), 0))
            self._arrange(self.item)

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

    def _arrange(self, item: Listed | None) -> None:
        """The part map, what each node has where each gets the file, or many files."""
        copies = item.status.copies if isinstance(item, Item) else None
        if copies is not None:
            self.copies.show(copies)
        shown: ttk.Frame | None = self._map if copies is None else self.copies
        if isinstance(item, ManyItem):
            shown = self.files
        elif shown is self._map and item is not None and item.state.can_go_on and not item.fetched:
            shown = None  # a map of nothing
        if shown is not None and shown.winfo_manager():
            return
        for other in (self._map, self.copies, self.files):
            other.pack_forget()
        if shown is not None:
            fills = shown is not self._map
            shown.pack(fill="both" if fills else "x", expand=fills)

    def _bar(self, step: str, share: float, text: str) -> None:
        self.bars[step].configure(value=round(1000 * share))
        self.bar_texts[step].configure(text=text)

    def _cures(self, item: Listed) -> Cures:
        cures: Cures = {}
        if item.is_in_the_way:
            cures["Replace"] = self._mends["overwrite"]
            if isinstance(item, Item) and item.is_here:
                cures["Keep both"] = self._mends["beside"]
            cures["Skip"] = self._mends["skip"]
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

    def _open_report(self) -> None:
        if isinstance(self.item, ManyItem) and self.item.report_path is not None:
            open_outside(self.item.report_path)


def _in_the_way(item: Listed) -> RaydlError | None:
    """What is said where the buttons are the choices."""
    if item.error is None or not item.is_in_the_way or isinstance(item, ManyItem):
        return None
    both = " keep both under two names," if item.is_here else ""
    return RaydlError(item.error.message, f"replace it,{both} or skip this download")


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
