"""How the windows look: colours for light and dark, fonts, sizes on any screen."""

from __future__ import annotations

import tkinter as tk
from dataclasses import dataclass
from tkinter import font, ttk
from typing import Any

from raydl.gui import desktop
from raydl.gui.tick import draw_box
from raydl.view.theme import blend

FAMILIES = ("Segoe UI", "SF Pro Text", "Inter", "Cantarell", "Noto Sans", "DejaVu Sans")
MONO = ("Cascadia Mono", "SF Mono", "JetBrains Mono", "Noto Sans Mono", "DejaVu Sans Mono")


@dataclass(frozen=True)
class Palette:
    """The colours of a theme."""

    window: str
    card: str
    text: str
    dim: str
    line: str
    field: str
    accent: str
    on_accent: str
    hover: str
    empty: str
    good: str
    bad: str


LIGHT = Palette(
    window="#eef0f4", card="#ffffff", text="#1b2230", dim="#5a6372", line="#cfd5de",
    field="#ffffff", accent="#2f54c8", on_accent="#ffffff", hover="#e3e8f4", empty="#dfe3ea",
    good="#1a7f37", bad="#b3261e",
)  # fmt: skip
DARK = Palette(
    window="#14171c", card="#1d2127", text="#e6e9ee", dim="#9aa4b2", line="#3a414c",
    field="#14171c", accent="#7d9bf5", on_accent="#0d1220", hover="#2a303a", empty="#2f353f",
    good="#5fce7e", bad="#ff8a80",
)  # fmt: skip


class Look:
    """The style of one Tk, and sizes in its pixels. ``theme`` is system, light or dark."""

    def __init__(self, root: tk.Tk, theme: str) -> None:
        self._root = root
        if root.tk.call("tk", "windowingsystem") == "x11":
            wanted = max(desktop.scale(), root.winfo_fpixels("1i") / 96)
            root.tk.call("tk", "scaling", wanted * 96 / 72)
        # Fonts are given in points and grow with that; what is given in pixels does not.
        self._scale = max(1.0, root.winfo_fpixels("1i") / 96)
        families = set(font.families(root))
        base = font.nametofont("TkDefaultFont", root)
        family = next((f for f in FAMILIES if f in families), base.actual("family"))
        mono = next((f for f in MONO if f in families), "TkFixedFont")
        for name in ("TkDefaultFont", "TkTextFont", "TkMenuFont", "TkHeadingFont"):
            font.nametofont(name, root).configure(family=family, size=10)
        self.title_font = font.Font(root, family=family, size=17, weight="bold")
        self.heading_font = font.Font(root, family=family, size=11, weight="bold")
        self.small_font = font.Font(root, family=family, size=9)
        self.mono_font = font.Font(root, family=mono, size=9)
        self._pictures: list[tk.PhotoImage] = []
        """Tk keeps their names alone."""
        self.palette = LIGHT
        self.apply(theme)

    def px(self, size: float) -> int:
        """``size`` pixels of a screen with 96 a (logical) inch, on this one."""
        return round(size * self._scale)

    def apply(self, theme: str, system_dark: bool | None = None) -> None:
        """Take the colours of ``theme``; for ``system`` it is asked, unless it is known."""
        self.theme = theme
        if theme == "system":
            dark = desktop.is_dark() if system_dark is None else system_dark
        else:
            dark = theme == "dark"
        self.palette = p = DARK if dark else LIGHT
        root, px = self._root, self.px
        root.configure(background=p.window)
        root.option_add("*TCombobox*Listbox.background", p.field)
        root.option_add("*TCombobox*Listbox.foreground", p.text)
        style = ttk.Style(root)
        style.theme_use("clam")
        style.configure(
            ".", background=p.card, foreground=p.text, bordercolor=p.line, darkcolor=p.card,
            lightcolor=p.card, troughcolor=p.empty, fieldbackground=p.field, font="TkDefaultFont",
            insertcolor=p.text, selectbackground=p.accent, selectforeground=p.on_accent,
            focuscolor=p.accent,
        )  # fmt: skip
        style.configure("Window.TFrame", background=p.window)
        style.configure("Window.TLabel", background=p.window)
        style.configure("Dim.Window.TLabel", background=p.window, foreground=p.dim)
        style.configure("Title.TLabel", background=p.window, font=self.title_font)
        style.configure("Card.TFrame", background=p.card, bordercolor=p.line, relief="solid")
        style.configure("Command.TLabel", font=self.mono_font)
        style.configure("Heading.TLabel", font=self.heading_font)
        style.configure("Dim.TLabel", foreground=p.dim)
        style.configure("Small.TLabel", foreground=p.dim, font=self.small_font)
        style.configure("Bad.Small.TLabel", foreground=p.bad)
        style.configure("Placeholder.TLabel", background=p.field, foreground=p.dim)
        style.configure("Placeholder.TLabel", font=self.small_font)
        style.configure("Good.TLabel", foreground=p.good)
        style.configure("Bad.TLabel", foreground=p.bad)
        self._buttons(style, p)
        style.configure(
            "TEntry", padding=px(5), bordercolor=p.line, lightcolor=p.field, darkcolor=p.field
        )
        style.map(
            "TEntry", bordercolor=[("focus", p.accent)], foreground=[("disabled", p.dim)],
            lightcolor=[("focus", p.accent)], fieldbackground=[("readonly", p.card)],
            background=[("readonly", p.card)],
        )  # fmt: skip
        style.configure("TCombobox", padding=px(5), arrowcolor=p.dim, arrowsize=px(14))
        style.map(
            "TCombobox", bordercolor=[("focus", p.accent)],
            fieldbackground=[("readonly", p.field)], foreground=[("readonly", p.text)],
            selectbackground=[("readonly", p.field)], selectforeground=[("readonly", p.text)],
        )  # fmt: skip
        thumb = blend(p.dim, p.field, 0.4)
        style.configure(
            "TScrollbar", arrowcolor=p.dim, arrowsize=px(14), gripcount=0, troughcolor=p.field,
            background=thumb, lightcolor=thumb, darkcolor=thumb, bordercolor=p.field,
        )  # fmt: skip
        style.map("TScrollbar", background=[("active", p.dim), ("disabled", p.field)])
        self._check_boxes(style, p)
        self._bars(style, p)
        style.configure(
            "Treeview", background=p.field, fieldbackground=p.field, foreground=p.text,
            borderwidth=0, rowheight=px(24), font="TkDefaultFont",
        )  # fmt: skip
        style.map("Treeview", background=[("selected", p.hover)], foreground=[("selected", p.text)])
        style.configure(
            "Treeview.Heading", background=p.card, foreground=p.dim, relief="flat",
            font=self.small_font, padding=px(3),
        )  # fmt: skip
        style.map("Treeview.Heading", background=[("active", p.card)])

    def _bars(self, style: ttk.Style, p: Palette) -> None:
        """Flat ones: those of the theme have a border within which they grow."""
        if "flat.pbar" not in style.element_names():
            for part in ("trough", "pbar"):
                style.element_create(f"flat.{part}", "from", "default", f"Progressbar.{part}")
        grown: list[Any] = [("flat.pbar", {"side": "left", "sticky": "ns"})]
        style.layout(
            "Horizontal.TProgressbar", [("flat.trough", {"sticky": "nswe", "children": grown})]
        )
        style.configure(
            "Horizontal.TProgressbar", background=p.accent, troughcolor=p.empty, borderwidth=0,
            thickness=self.px(8), troughborderwidth=0, troughrelief="flat",
        )  # fmt: skip

    def _check_boxes(self, style: ttk.Style, p: Palette) -> None:
        """As pictures, of which each palette has its own."""
        name = f"{'dark' if p is DARK else 'light'}.tick"
        if name not in style.element_names():
            size, px = self.px(16), self.px
            off = draw_box(self._root, size, p.card, p.dim, p.field)
            on = draw_box(self._root, size, p.card, p.accent, p.accent, p.on_accent)
            lit = draw_box(self._root, size, p.card, p.accent, p.field)
            self._pictures += [off, on, lit]
            style.element_create(
                name, "image", off, ("selected", on), ("active", lit), ("focus", lit),
                width=size + px(6), sticky="w",
            )  # fmt: skip
        text: list[Any] = [("Checkbutton.label", {"sticky": "nswe"})]
        parts: list[Any] = [
            (name, {"side": "left"}),
            ("Checkbutton.focus", {"side": "left", "children": text}),
        ]
        style.layout(
            "TCheckbutton", [("Checkbutton.padding", {"sticky": "nswe", "children": parts})]
        )
        style.configure("TCheckbutton", padding=self.px(1))
        style.map("TCheckbutton", background=[("active", p.card)])

    def _buttons(self, style: ttk.Style, p: Palette) -> None:
        px = self.px
        style.configure(
            "TButton", padding=(px(12), px(5)), background=p.card, bordercolor=p.line,
            relief="raised", width=-1, anchor="center",
        )  # fmt: skip
        style.map(
            "TButton", background=[("disabled", p.card), ("active", p.hover)],
            foreground=[("disabled", p.dim)], bordercolor=[("focus", p.accent)],
        )  # fmt: skip
        style.configure(
            "Accent.TButton", background=p.accent, foreground=p.on_accent, bordercolor=p.accent,
            lightcolor=p.accent, darkcolor=p.accent, focuscolor=p.on_accent,
        )  # fmt: skip
        style.map(
            "Accent.TButton", background=[("disabled", p.empty), ("active", p.accent)],
            foreground=[("disabled", p.dim)],
        )  # fmt: skip
        style.configure("Small.TButton", padding=(px(7), px(2)), font=self.small_font)
        style.configure(
            "Link.TButton", padding=0, foreground=p.accent, borderwidth=0, relief="flat",
            font=self.small_font,
        )  # fmt: skip
        style.configure("Link.Window.TButton", background=p.window)
        for state, background in (("", p.card), ("Hover.", p.hover)):
            style.configure(
                f"{state}ClusterChoice.TFrame",
                background=background,
                bordercolor=p.line,
                relief="solid",
            )
            style.configure(
                f"{state}ClusterChoice.TLabel", background=background, font=self.heading_font
            )
            style.configure(
                f"Dim.{state}ClusterChoice.TLabel", foreground=p.dim, font="TkDefaultFont"
            )
        style.map("ClusterChoice.TFrame", bordercolor=[("focus", p.accent)])
