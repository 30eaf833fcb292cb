"""Where the head of a cluster can be reached: its port, and which address of this machine."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from raydl.cluster.address import DEFAULT_PORT, own_addresses
from raydl.gui.look import Look
from raydl.gui.memory import Memory
from raydl.gui.pump import Pump
from raydl.model.errors import UsageError


class HeadPlace(ttk.Frame):
    """A port, as it was the last time, and a choice of addresses where there are several."""

    def __init__(
        self, parent: tk.Misc, look: Look, pump: Pump, memory: Memory, submit: Callable[[], None]
    ) -> None:
        super().__init__(parent)
        self._memory, self._look, px = memory, look, look.px
        self.columnconfigure(1, weight=1)
        ttk.Label(self, text="Port", style="Small.TLabel").grid(
            row=0, column=0, sticky="w", padx=(0, px(8))
        )
        self.port = ttk.Entry(self, width=8)
        self.port.insert(0, memory.port or str(DEFAULT_PORT))
        self.port.grid(row=0, column=1, sticky="w")
        self._label = ttk.Label(self, text="Workers reach it at", style="Small.TLabel")
        self.address = ttk.Combobox(self, state="readonly", width=16)
        for field in (self.port, self.address):
            field.bind("<Return>", lambda _: submit())
        pump.run(own_addresses, self.take_addresses, lambda _: None)

    def take_addresses(self, found: list[str]) -> None:
        """Those of this machine, the likeliest first."""
        if len(found) < 2 or not self.winfo_exists():
            return
        last = self._memory.host
        self.address.configure(values=found)
        self.address.set(last if last in found else found[0])
        self._label.grid(row=1, column=0, sticky="w", padx=(0, self._look.px(8)))
        self.address.grid(row=1, column=1, sticky="w", pady=(self._look.px(6), 0))

    def chosen(self) -> tuple[str | None, int]:
        """Address and port, which are remembered; no address where there is no choice.

        Raises UsageError for what is no port.
        """
        text = self.port.get().strip()
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise UsageError(f"{text!r} is no port", f"a number, usually {DEFAULT_PORT}")
        host = self.address.get()
        self._memory.port = text
        if host:
            self._memory.host = host
        return host or None, int(text)

    def enable(self, can_change: bool) -> None:
        """Whether it can be changed."""
        self.port.state(["!disabled" if can_change else "disabled"])
        self.address.state(["!disabled" if can_change else "disabled"])
