"""What to download, where to, and how."""

from __future__ import annotations

import os
import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog, ttk
from typing import Any

from raydl.gui.look import Look
from raydl.gui.memory import Memory
from raydl.gui.moreoptions import MoreOptions, Variables
from raydl.gui.widgets import Card, Hint, Trouble, Wrapped
from raydl.gui.words import place
from raydl.model.errors import RaydlError, UsageError
from raydl.model.weburl import check_url
from raydl.settings.config import Setting
from raydl.settings.options import Options, option_fields, parse_option
from raydl.settings.values import PLACES

ABOVE = ("parts", "checksum")
"""Options that are always in view; those of ELSEWHERE are chosen in other ways."""

ELSEWHERE = ("address", "progress", "output_dir")

WORDS = {place(name): name for name in PLACES}
"""Where bytes go, by what people read for it."""

OF_ONE = ("checksum", "checksum_url", "checksum_file", "mirror", "header", "user", "bearer_env")
"""What belongs to one file, or to one host: the next one does not get it."""

Submit = Callable[[str, str, dict[str, Any]], None]


class DownloadForm(Card):
    """``submit`` gets a URL, a target (a path, or a directory/) and options, all of them checked.

    ``settings`` are the values in force: of raydl.toml and the environment.
    """

    def __init__(
        self, parent: tk.Misc, look: Look, memory: Memory, settings: dict[str, Setting],
        submit: Submit,
    ) -> None:  # fmt: skip
        super().__init__(parent, look, "New download")
        self._look, self._memory, self._settings, self._submit = look, memory, settings, submit
        self.fields: Variables = {}
        px, body = look.px, self.body
        body.columnconfigure(1, weight=1)
        self.url = ttk.Entry(body)
        self._row(0, "URL", self.url)
        self.paste_button = ttk.Button(body, text="Paste", command=self._paste)
        self.paste_button.grid(row=0, column=2, sticky="ew", padx=(px(8), 0))
        where = ttk.Frame(body)
        where.columnconfigure(1, weight=1)
        self.fields["to"] = tk.StringVar(self, place(settings["to"].value))
        self.to = ttk.Combobox(
            where, textvariable=self.fields["to"], values=list(WORDS), state="readonly",
            width=max(map(len, WORDS)),
        )  # fmt: skip
        self.to.grid(row=0, column=0, padx=(0, px(8)))
        Hint(self.to, look, "Which disks get the file; the path is the same on each of them.")
        self.target = ttk.Entry(where)
        self.target.grid(row=0, column=1, sticky="ew")
        folder = memory.folder or str(Path.home() / "Downloads")
        # Not Path.is_dir, which may raise.
        is_there = os.path.isdir(folder)  # noqa: PTH112
        self.target.insert(0, (folder if is_there else str(Path.home())) + "/")
        self._row(1, "Save to", where)
        self.browse_button = ttk.Button(body, text="Browse …", command=self._browse)
        self.browse_button.grid(row=1, column=2, sticky="ew", padx=(px(8), 0))
        small = ttk.Frame(body)
        small.columnconfigure(1, weight=1)
        self.fields["parts"] = tk.StringVar(self)
        parts = ttk.Entry(small, textvariable=self.fields["parts"], width=8)
        parts.grid(row=0, column=0)
        ttk.Label(small, text="Checksum").grid(row=0, column=1, sticky="e", padx=px(8))
        self.fields["checksum"] = tk.StringVar(self)
        checksum = ttk.Entry(small, textvariable=self.fields["checksum"])
        checksum.grid(row=0, column=2, sticky="ew")
        small.columnconfigure(2, weight=6)
        self._row(2, "Parts", small)
        Wrapped(
            body,
            text="parts: empty for what fits;  checksum: sha256:HEX, sha512, sha1, md5 or blake2b",
            style="Small.TLabel",
        ).grid(row=3, column=1, columnspan=2, sticky="ew", pady=(px(2), px(6)))
        row = ttk.Frame(body)
        row.grid(row=4, column=0, columnspan=3, sticky="ew")
        self.start_button = ttk.Button(
            row, text="Start", style="Accent.TButton", command=self.submit
        )
        self.start_button.pack(side="left")
        self.more_button = ttk.Button(
            row, text="More …", command=lambda: self.more_dialog.open(self)
        )
        self.more_button.pack(side="left", padx=px(8))
        known = {n: f for n, f in option_fields().items() if n not in (*ABOVE, "to", *ELSEWHERE)}
        self.more_dialog = MoreOptions(self, look, known, settings, self._show_count)
        self.fields.update(self.more_dialog.variables)
        self.trouble = Trouble(body, look)
        self.trouble.grid(row=5, column=0, columnspan=3, sticky="ew")
        for entry in (self.url, self.to, self.target, parts, checksum):
            entry.bind("<Return>", lambda _: self.submit())
        self._accept_drops()

    def submit(self) -> None:
        """Check it all, and hand it over."""
        self.trouble.clear()
        url, target = self.url.get().strip(), self.target.get().strip()
        try:
            if not url:
                raise UsageError("there is no URL", "paste one: https://host/path")
            check_url(url)
            options = self._chosen()
            target = self._place(target, self._to) if target else ""
        except RaydlError as error:
            self.trouble.show(error)
            return
        self._submit(url, target, options)
        self.url.delete(0, "end")
        for name in OF_ONE:
            self.setvar(str(self.fields[name]), "")
        self._show_count()
        self.url.focus_set()

    def in_force(self, **chosen: str) -> dict[str, Any]:
        """Options from file and variables, and those that are given instead, as text."""
        options = {
            name: setting.value
            for name, setting in self._settings.items()
            if setting.value != option_fields()[name].default and name not in ELSEWHERE
        }
        options.update((name, parse_option(name, text)) for name, text in chosen.items() if text)
        return options

    @property
    def _to(self) -> str:
        return WORDS[str(self.fields["to"].get())]

    def _chosen(self) -> dict[str, Any]:
        """Those in force, and what is chosen here instead."""
        options = self.in_force()
        if self._to != self._settings["to"].value:
            options["to"] = self._to
        for name in ABOVE:
            if text := str(self.fields[name].get()).strip():
                options[name] = parse_option(name, text)
        options.update(self.more_dialog.values())
        Options.of(options)
        return options

    def _show_count(self) -> None:
        """Show that options are in force where they are hidden."""
        count = len(self.more_dialog.values())
        self.more_button.configure(text=f"More ({count}) …" if count else "More …")

    def _place(self, target: str, to: str) -> str:
        """The path that is meant, with a slash after a directory; a folder here is remembered."""
        if "://" in target:
            return target
        try:
            path = Path(target).expanduser()
            is_folder = target.endswith(("/", "\\")) or path.is_dir()
        except (OSError, RuntimeError, ValueError) as error:
            raise UsageError(f"cannot save to {target!r}: {error}", "choose another") from None
        if to == "here":
            self._memory.folder = str(path if is_folder else path.parent)
        return str(path) + ("/" if is_folder else "")

    def _row(self, number: int, label: str, widget: tk.Widget) -> None:
        px = self._look.px
        ttk.Label(self.body, text=label).grid(row=number, column=0, sticky="w", padx=(0, px(12)))
        widget.grid(row=number, column=1, sticky="ew", pady=px(2))

    def _paste(self) -> None:
        try:
            text = self.clipboard_get().strip()
        except tk.TclError:
            return
        self.put_url(text)

    def repaint(self) -> None:
        """The theme has changed."""
        self.more_dialog.configure(background=self._look.palette.line)

    def put_url(self, text: str) -> None:
        """As if it had been pasted or dropped; the first line."""
        lines = text.strip().splitlines()
        self.url.delete(0, "end")
        self.url.insert(0, lines[0] if lines else "")
        self.url.focus_set()

    def _browse(self) -> None:
        path = filedialog.asksaveasfilename(
            parent=self, title="Save to", initialdir=str(Path(self.target.get()).parent),
            confirmoverwrite=False,  # raydl never replaces a file unless it is told to
        )  # fmt: skip
        if path:
            self.target.delete(0, "end")
            self.target.insert(0, path)

    def _accept_drops(self) -> None:
        """Links that are dropped, where the library for it is there (the extra ``gui``)."""
        try:
            from tkinterdnd2 import COPY, DND_TEXT
        except ImportError:
            return
        register = getattr(self.url, "drop_target_register", None)
        if register is None or not getattr(self.winfo_toplevel(), "can_drop", False):
            return

        def dropped(event: Any) -> str:
            self.put_url(event.data)
            return str(COPY)

        register(DND_TEXT)
        self.url.dnd_bind("<<Drop>>", dropped)  # type: ignore[attr-defined]
