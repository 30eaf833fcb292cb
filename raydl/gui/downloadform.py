"""What to download, where to, and how."""

from __future__ import annotations

import os
import tkinter as tk
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tkinter import filedialog, ttk
from typing import Any

from raydl.gui.look import Look
from raydl.gui.memory import Memory
from raydl.gui.moreoptions import MoreOptions, Variables
from raydl.gui.names import HUB, LISTS, checked, is_many, look_through, names_in
from raydl.gui.pump import Pump
from raydl.gui.urlfield import UrlField
from raydl.gui.widgets import Card, Cures, Field, Trouble, Wrapped
from raydl.gui.words import place, placeholder
from raydl.model.errors import RaydlError, UsageError
from raydl.model.naming import file_name
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

ONE = "Several URLs, a line each, are fetched one and all into a folder."
ON_NODES = "The path is the same on each machine; which ones get it is behind More …"
MANY = "All files go into one folder. A list may have a path, a size and a digest for each."
OF_HUB = "All files go into one folder, or into the hub's own cache where none is given."

MENDS = {"Number them": "{number}-{name}", "Keep hosts and paths": "{host}/{path}"}
"""How files are named apart."""

Typed = dict[str, str]
"""What was typed for the options OF_ONE, as it was typed."""

Submit = Callable[[str, str, dict[str, Any], Typed], None]
SubmitMany = Callable[[list[str], str, dict[str, Any], "int | None", str, Typed], None]


class DownloadForm(Card):
    """``submit`` gets a URL, a target (a path, or a directory/) and options, all of them checked.

    ``submit_many`` gets several names, a directory/ (empty for the hub's cache), options, how many
    files that is as far as it is known, and a template for their names, which may be empty. Both
    get what was typed, for ``edit``.

    ``settings`` are the values in force: of raydl.toml and the environment.
    """

    def __init__(
        self, parent: tk.Misc, look: Look, memory: Memory, settings: dict[str, Setting],
        pump: Pump, submit: Submit, submit_many: SubmitMany,
    ) -> None:  # fmt: skip
        super().__init__(parent, look, "New download")
        self._look, self._memory, self._settings = look, memory, settings
        self._pump, self._submit, self._submit_many = pump, submit, submit_many
        self.is_reading = False
        self.fields: Variables = {}
        px, body = look.px, self.body
        body.columnconfigure(1, weight=1)
        self.url = UrlField(body, look, self.submit, self._typed)
        self._what = self._row(0, "URL", self.url)
        self._what.configure(width=9)
        self.paste_button = ttk.Button(body, text="Paste", command=self._paste)
        self.paste_button.grid(row=0, column=2, sticky="new", padx=(px(8), 0))
        where = ttk.Frame(body)
        where.columnconfigure(1, weight=1)
        self.fields["to"] = tk.StringVar(self, place(settings["to"].value))
        self.to = ttk.Combobox(
            where, textvariable=self.fields["to"], values=list(WORDS), state="readonly",
            width=max(map(len, WORDS)),
        )  # fmt: skip
        self.to.grid(row=0, column=0, padx=(0, px(8)))
        self.fields["to"].trace_add("write", lambda *_: self._typed())
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
        self.fields["parts"] = tk.StringVar(self)
        says = placeholder("parts", settings["parts"].value)
        parts = Field(small, look, says, self.fields["parts"], width=10)
        parts.grid(row=0, column=0)
        ttk.Label(small, text="Checksum").grid(row=0, column=1, sticky="e", padx=px(8))
        self.fields["checksum"] = tk.StringVar(self)
        says = "sha256:… or another"
        checksum = Field(small, look, says, self.fields["checksum"])
        checksum.grid(row=0, column=2, sticky="ew")
        small.columnconfigure(2, weight=6)
        self._row(2, "Parts", small)
        self.note = Wrapped(body, text=ONE, style="Small.TLabel")
        self.note.grid(row=3, column=1, columnspan=2, sticky="ew", pady=(px(2), px(6)))
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
        self.list_button = ttk.Button(row, text="List of files …", command=self._choose_list)
        self.list_button.pack(side="right")
        known = {n: f for n, f in option_fields().items() if n not in (*ABOVE, "to", *ELSEWHERE)}
        self.more_dialog = MoreOptions(self, look, known, settings, self._show_count)
        self.fields.update(self.more_dialog.variables)
        self.trouble = Trouble(body, look)
        self.trouble.grid(row=5, column=0, columnspan=3, sticky="ew")
        for entry in (self.to, self.target, parts, checksum):
            entry.bind("<Return>", lambda _: self.submit())

    def edit(self, text: str, target: str, to: str, typed: Typed) -> None:
        """Have that in its fields, to be changed and fetched again."""
        self.trouble.clear()
        self.setvar(str(self.fields["to"]), place(to))
        self._put_typed(typed)
        self.target.delete(0, "end")
        self.target.insert(0, target)
        self.put_url(text)

    def submit(self) -> None:
        """Check it all, and hand it over."""
        self._check("")

    def _check(self, template: str) -> None:
        if self.is_reading:
            return
        self.trouble.clear()
        target = self.target.get().strip()
        try:
            names = names_in(self.url.text)
            if not names:
                raise UsageError("there is no URL", "paste one: https://host/path")
            options = self._chosen()
            if is_many(names):
                target = self._folder(target, names)
            else:
                names = checked(names)
                target = self._place(target, self._to) if target else ""
        except RaydlError as error:
            self.trouble.show(error)
            return
        if is_many(names):
            self._look_through(names, target, options, template)
        else:
            self._submit(names[0], target, options, self._typed_for_it())
            self._is_taken()

    def _is_taken(self) -> None:
        """The next one is another."""
        self.url.put("")
        self._put_typed({})
        self.url.focus_set()

    def _typed_for_it(self) -> Typed:
        return {name: str(self.fields[name].get()) for name in OF_ONE}

    def _put_typed(self, typed: Typed) -> None:
        for name in OF_ONE:
            self.setvar(str(self.fields[name]), typed.get(name, ""))
        self._show_count()

    def _look_through(
        self, names: list[str], target: str, options: dict[str, Any], template: str
    ) -> None:
        """Read lists, which takes its time, and hand it all over if it can be fetched."""
        typed = self._typed_for_it()

        def done(found: tuple[list[str], int | None]) -> None:
            self._set_reading(False)
            self._submit_many(found[0], target, options, found[1], template, typed)
            self._is_taken()

        def failed(error: RaydlError) -> None:
            from raydl.many.names import SameNameError

            self._set_reading(False)
            if isinstance(error, SameNameError):
                mend = self._check
                mends: Cures = {word: partial(mend, names) for word, names in MENDS.items()}
                self.trouble.show(RaydlError(error.message), mends)
            else:
                self.trouble.show(error)

        self._set_reading(True)
        self._pump.run(lambda: look_through(names, target, options, template), done, failed)

    def _set_reading(self, reading: bool) -> None:
        self.is_reading = reading
        self.start_button.configure(text="Reading …" if reading else "Start")
        self.start_button.state(["disabled" if reading else "!disabled"])

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

    def _folder(self, target: str, names: list[str]) -> str:
        """The directory/ that is meant; empty for the hub's cache."""
        if not target:
            if len(names) == 1 and names[0].startswith(HUB):
                return ""
            raise UsageError("there is no folder for the files", 'choose one as "save to"')
        found = self._place(target if "://" in target else f"{target}/", self._to)
        if self._to == "here" and os.path.isfile(found.rstrip("/")):  # noqa: PTH113
            raise UsageError(f"{target} is a file", "many files go into a folder: choose one")
        return found

    def _row(self, number: int, label: str, widget: tk.Widget) -> ttk.Label:
        px = self._look.px
        text = ttk.Label(self.body, text=label)
        text.grid(row=number, column=0, sticky="nw", padx=(0, px(12)), pady=px(7))
        widget.grid(row=number, column=1, sticky="ew", pady=px(2))
        return text

    def _paste(self) -> None:
        try:
            text = self.clipboard_get().strip()
        except tk.TclError:
            return
        self.put_url(text)

    def repaint(self) -> None:
        """The theme has changed."""
        self.more_dialog.configure(background=self._look.palette.line)
        self.url.repaint()

    def put_url(self, text: str) -> None:
        """As if it had been pasted or dropped; several are a line each."""
        self.url.put_names(text)

    def _typed(self) -> None:
        """Say what the text is taken for."""
        names = names_in(self.url.text)
        is_of_hub = len(names) == 1 and names[0].startswith(HUB)
        what = f"{len(names):,} URLs" if len(names) > 1 else "List" if is_many(names) else "URL"
        self._what.configure(text="Hub" if is_of_hub else what)
        one = ONE if self._to == "here" else ON_NODES
        self.note.configure(text=OF_HUB if is_of_hub else MANY if is_many(names) else one)

    def _choose_list(self) -> None:
        path = filedialog.askopenfilename(
            parent=self,
            title="A list of files to download",
            filetypes=[("Lists", [f"*{ending}" for ending in LISTS]), ("All files", "*")],
        )
        if path:
            self.put_url(path)

    def _browse(self) -> None:
        """Choose where it goes, from where it goes now, under the name that it would have."""
        names = names_in(self.url.text)
        folder, name = self._shown_target()
        if is_many(names):
            chosen = filedialog.askdirectory(
                parent=self,
                title="Save to",
                initialdir=os.path.join(folder, name),  # noqa: PTH118
            )
            path = f"{chosen}/" if chosen else ""
        else:
            path = filedialog.asksaveasfilename(
                parent=self, title="Save to", initialdir=folder,
                initialfile=name or (file_name(None, names[0]) if names else ""),
                confirmoverwrite=False,  # raydl never replaces a file unless it is told to
            )  # fmt: skip
        if path:
            self.target.delete(0, "end")
            self.target.insert(0, path)

    def _shown_target(self) -> tuple[str, str]:
        """The folder that is typed, and the name in it; either may be empty."""
        target = os.path.expanduser(self.target.get().strip())  # noqa: PTH111 - which may raise
        if os.path.isdir(target):  # noqa: PTH112 - likewise
            return target, ""
        return os.path.split(target)
