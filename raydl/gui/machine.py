"""What this machine does as a worker: numbers, a graph, what happened."""

from __future__ import annotations

import time
import tkinter as tk
from tkinter import ttk

from raydl.gui.look import Look
from raydl.gui.strip import Graph
from raydl.gui.widgets import Card, Wrapped
from raydl.model.units import format_age, format_size
from raydl.node.monitor import Activity

EVENTS = 6

FACTS = (
    ("since", "Connected"),
    ("lanes", "Connections"),
    ("bytes", "Delivered"),
    ("speed", "Speed now"),
)


class Machine(Card):
    """Shows what it is told, twice a second."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent, look, "This machine")
        px = look.px
        facts = ttk.Frame(self.body)
        facts.pack(fill="x")
        self.facts: dict[str, ttk.Label] = {}
        for column, (name, word) in enumerate(FACTS):
            facts.columnconfigure(column, weight=1, uniform="facts")
            ttk.Label(facts, text=word, style="Small.TLabel").grid(row=0, column=column, sticky="w")
            self.facts[name] = ttk.Label(facts, style="Heading.TLabel")
            self.facts[name].grid(row=1, column=column, sticky="w")
        self.graph = Graph(self.body, look)
        self.graph.pack(fill="x", pady=(px(12), px(8)))
        self.log = Wrapped(self.body, style="Dim.TLabel", justify="left", anchor="nw")
        self.log.pack(fill="both", expand=True)
        self._events: list[str] = []
        self.rest()

    def show(self, now: Activity, since: float) -> None:
        """What its workers do now; it has been one of them since then."""
        self.facts["since"].configure(text=format_age(time.time() - since))
        self.facts["lanes"].configure(text=str(now.lanes))
        self.facts["bytes"].configure(text=format_size(now.received))
        self.facts["speed"].configure(text=f"{format_size(now.speed)}/s")
        self.graph.add(now.speed)

    def rest(self) -> None:
        """The machine is not a worker."""
        for fact in self.facts.values():
            fact.configure(text="-")

    def note(self, text: str) -> None:
        """Add what happened now. The last stands first: a low window cuts off what is below."""
        self._events = [f"{time.strftime('%H:%M:%S')}  {text}", *self._events][:EVENTS]
        self.log.configure(text="\n".join(self._events))
