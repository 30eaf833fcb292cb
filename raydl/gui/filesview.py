"""How a run of many files goes: its bar, its counts, the files that failed."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.manyitem import ManyItem
from raydl.gui.widgets import Wrapped
from raydl.gui.words import in_windows
from raydl.model.manyreport import FileReport


class FilesView(ttk.Frame):
    """What of it has changed is drawn again."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent)
        self._look, px = look, look.px
        top = ttk.Frame(self)
        top.pack(fill="x")
        self.bar = ttk.Progressbar(top, maximum=1000, mode="determinate")
        self.bar.pack(side="left", fill="x", expand=True)
        self.bar_text = ttk.Label(top, style="Small.TLabel", width=6, anchor="e")
        self.bar_text.pack(side="right")
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(px(8), 0))
        self.counts: dict[str, ttk.Label] = {}
        for word in ("done", "from before", "failed", "left"):
            self.counts[word] = ttk.Label(row, style="Heading.TLabel")
            self.counts[word].pack(side="left")
            ttk.Label(row, text=word, style="Small.TLabel").pack(side="left", padx=(px(5), px(24)))
        self._failures = ttk.Frame(self)
        self.list = ttk.Treeview(self._failures, columns=("why",), height=2, selectmode="browse")
        self.list.heading("#0", text="failed", anchor="w")
        self.list.heading("why", text="why", anchor="w")
        self.list.column("#0", width=px(190), stretch=False)
        self.list.column("why", width=px(300), stretch=True)
        bar = ttk.Scrollbar(self._failures, command=self.list.yview)
        self.list.configure(yscrollcommand=bar.set)
        self.word = Wrapped(self._failures, style="Small.TLabel")
        """The row that is chosen, or under the pointer, whole; else how many have no row."""
        self.word.pack(side="bottom", fill="x")
        bar.pack(side="right", fill="y")
        self.list.pack(side="left", fill="both", expand=True)
        self.list.bind("<Motion>", lambda event: self._tell(self.list.identify_row(event.y)))
        self.list.bind("<Leave>", lambda _: self._tell(""))
        self.list.bind("<<TreeviewSelect>>", lambda _: self._tell(""))
        self._item: ManyItem | None = None
        self._rest = ""

    def show(self, item: ManyItem) -> None:
        """Draw how that one stands."""
        failures = item.status.failures
        is_another = item is not self._item or len(failures) < len(self.list.get_children())
        if is_another:
            self.list.delete(*self.list.get_children())
        self._item = item
        share = item.share
        self.bar.configure(value=round(1000 * (share or 0.0)))
        self.bar_text.configure(text="" if share is None else f"{100 * share:.0f} %")
        counts = dict(item.status.counts)
        for word, label in self.counts.items():
            number = counts.get(word)
            label.configure(
                text="" if number is None else f"{number:,}",
                foreground=self._look.palette.bad if word == "failed" and number else "",
            )
        for number in range(len(self.list.get_children()), len(failures)):
            self.list.insert(
                "", "end", iid=str(number), text=_name(failures[number]),
                values=(in_windows(failures[number].problem),),
            )  # fmt: skip
        if failures and not self._failures.winfo_manager():
            self._failures.pack(fill="both", expand=True, pady=(self._look.px(10), 0))
        elif not failures:
            self._failures.pack_forget()
        more = counts.get("failed", 0) - len(failures)
        rest = f"and {more:,} more: the report has all" if more > 0 else ""
        if is_another or rest != self._rest:
            self._rest = rest
            self._tell("")

    def _tell(self, row: str) -> None:
        row = row or "".join(self.list.selection())
        if row and self._item is not None:
            failure = self._item.status.failures[int(row)]
            self.word.configure(text=f"{_name(failure)}: {in_windows(failure.problem)}")
        else:
            self.word.configure(text=self._rest)


def _name(failure: FileReport) -> str:
    return failure.path or failure.url or f"line {failure.number}"
