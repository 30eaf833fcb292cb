"""The worker's window: the coordinator's address in, what this machine does out."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable
from tkinter import filedialog, ttk

from raydl.authtoken import parse_token, read_token
from raydl.errors import RaydlError
from raydl.gui.errand import Errand
from raydl.gui.look import Look
from raydl.gui.memory import Memory
from raydl.gui.pump import Pump
from raydl.gui.strip import Graph
from raydl.gui.widgets import Card, Dialog, Trouble, Wrapped
from raydl.roles import Joined, join
from raydl.units import counted, format_duration, format_size

LOOK_MS = 500
EVENTS = 6


class WorkerWindow(ttk.Frame):
    """Joins a cluster, and leaves it again."""

    title = "raydl worker"

    def __init__(self, parent: tk.Misc, look: Look, pump: Pump, memory: Memory) -> None:
        super().__init__(parent, style="Window.TFrame")
        self._look, self._pump, self._memory = look, pump, memory
        self._joined: Joined | None = None
        self._errand = Errand()
        self._lanes = 0
        self._events: list[str] = []
        self._leaving: Joined | None = None
        self._is_silent = False
        self._then: Callable[[], None] = lambda: None
        self.dialog: Dialog | None = None
        self._timer = self.after_idle(lambda: None)
        self._make_form()
        self._make_status()
        self._show()
        self.address.focus_set()

    # What is in it.

    def _make_form(self) -> None:
        px = self._look.px
        card = Card(self, self._look, "Join a cluster")
        card.pack(fill="x")
        body = card.body
        body.columnconfigure(1, weight=1)
        ttk.Label(body, text="Coordinator").grid(row=0, column=0, sticky="w", padx=(0, px(12)))
        self.address = ttk.Combobox(body, values=self._memory.addresses)
        self.address.grid(row=0, column=1, columnspan=2, sticky="ew")
        if self._memory.addresses:
            self.address.set(self._memory.addresses[0])
        ttk.Label(
            body, text="as its window shows it: HOST or HOST:PORT", style="Small.TLabel"
        ).grid(row=1, column=1, sticky="w", pady=(px(2), px(10)))
        ttk.Label(body, text="Token").grid(row=2, column=0, sticky="w", padx=(0, px(12)))
        self.token = ttk.Entry(body, show="•")
        self.token.grid(row=2, column=1, sticky="ew")
        self.file_button = ttk.Button(body, text="From file …", command=self._choose_token)
        self.file_button.grid(row=2, column=2, padx=(px(8), 0))
        ttk.Label(
            body,
            text="empty: the one in ~/.ray/auth_token, where the cluster wants one",
            style="Small.TLabel",
        ).grid(row=3, column=1, columnspan=2, sticky="w", pady=(px(2), px(10)))
        row = ttk.Frame(body)
        row.grid(row=4, column=0, columnspan=3, sticky="ew")
        self.join_button = ttk.Button(row, text="Join", style="Accent.TButton", command=self.join)
        self.join_button.pack(side="left")
        self.leave_button = ttk.Button(row, text="Leave", command=self.leave)
        self.leave_button.pack(side="left", padx=px(8))
        self.state_label = ttk.Label(row, style="Dim.TLabel")
        self.state_label.pack(side="left", padx=px(8))
        self.trouble = Trouble(body, self._look)
        self.trouble.grid(row=5, column=0, columnspan=3, sticky="ew")
        for entry in (self.address, self.token):
            entry.bind("<Return>", lambda _: self.join())

    def _make_status(self) -> None:
        px = self._look.px
        card = Card(self, self._look, "This machine")
        card.pack(fill="both", expand=True, pady=(px(12), 0))
        facts = ttk.Frame(card.body)
        facts.pack(fill="x")
        self.facts: dict[str, ttk.Label] = {}
        for column, (name, word) in enumerate(
            [("since", "Connected"), ("lanes", "Lanes busy"), ("bytes", "Delivered"),
             ("speed", "Speed now")]
        ):  # fmt: skip
            facts.columnconfigure(column, weight=1, uniform="facts")
            ttk.Label(facts, text=word, style="Small.TLabel").grid(row=0, column=column, sticky="w")
            self.facts[name] = ttk.Label(facts, text="-", style="Heading.TLabel")
            self.facts[name].grid(row=1, column=column, sticky="w")
        self.graph = Graph(card.body, self._look)
        self.graph.pack(fill="x", pady=(px(12), px(8)))
        self.log = Wrapped(card.body, style="Dim.TLabel", justify="left", anchor="nw")
        self.log.pack(fill="both", expand=True)

    # What it does.

    def join(self) -> None:
        """Check the coordinator and become its worker."""
        if self._errand.is_busy or self._joined is not None:
            return
        self.trouble.clear()
        address, pasted = self.address.get().strip(), self.token.get()
        try:
            token = parse_token(pasted) if pasted.strip() else None
        except RaydlError as error:
            self.trouble.show(error)
            return
        self._errand.begin()
        self._show(f"asking {address} …")

        def job() -> Joined:
            return join(address, token, cancelled=self._errand.is_cancelled)

        self._pump.run(job, self._has_joined, self._has_failed)

    def leave(self) -> None:
        """End the node that was started; asks first while parts are in flight."""
        if self._errand.is_busy:
            self._errand.cancel()
        else:
            self._leave_asking("Leave", lambda: None)

    def close(self, then: Callable[[], None]) -> None:
        """Leave, and call ``then``."""
        if self._errand.is_busy:
            self._errand.cancel(then)
        else:
            self._leave_asking("Leave and close", then)

    def hurry(self) -> None:
        """Give up what is being started."""
        self._errand.cancel()

    def kill(self) -> None:
        """End what was started, now, without questions."""
        self.after_cancel(self._timer)
        for joined in (self._joined, self._leaving):
            if joined is not None:
                joined.leave()

    def repaint(self) -> None:
        """The theme has changed."""
        self.graph.repaint()

    def _leave_asking(self, yes: str, then: Callable[[], None]) -> None:
        self._then = then  # the last wish counts
        if not self._lanes:
            self._leave(then)
        elif self.dialog is not None and self.dialog.winfo_exists():
            self.dialog.yes_button.configure(text=yes)
        else:
            parts = counted(self._lanes, "part")
            self.dialog = Dialog(
                self, self._look,
                f"{parts} of a download {'is' if self._lanes == 1 else 'are'} on the way through "
                "this machine. Other machines will fetch them again.",
                yes, lambda: self._leave(self._then),
            )  # fmt: skip

    def _leave(self, then: Callable[[], None]) -> None:
        joined, self._joined = self._joined, None
        if joined is None:
            then()
            return
        self._errand.begin()
        self.after_cancel(self._timer)
        self._show("leaving …")

        def left(_: object) -> None:
            self._note(f"left {joined.address}")
            self._rest(then)

        self._leaving = joined
        self._pump.run(joined.leave, left, left)

    def _rest(self, then: Callable[[], None] = lambda: None) -> None:
        """Nothing is being done any more: now comes ``then``, or what was asked for meanwhile."""
        then, self._leaving = self._errand.end() or then, None
        self._show()
        then()

    def _has_joined(self, joined: Joined) -> None:
        self._joined, then, self._is_silent = joined, self._errand.end(), False
        self.token.state(["!disabled"])
        self.token.delete(0, "end")
        self._memory.joined(self.address.get().strip())
        self.address.configure(values=self._memory.addresses)
        self._note(f"joined {joined.address} as {joined.node_address}")
        self._show()
        if then is not None:
            self._leave(then)
        else:
            self._look_after()

    def _has_failed(self, error: RaydlError) -> None:
        if self._errand.is_cancelled():
            self._note("joining was cancelled")
        else:
            self.trouble.show(error)
        self._rest()

    def _look_after(self) -> None:
        joined = self._joined
        if joined is None:
            return
        if not joined.is_running:
            self._note(f"the connection to {joined.address} ended")
            self.trouble.show(
                RaydlError(
                    f"this machine is no worker of {joined.address} any more",
                    f"{joined.why_ended}. Join goes back, once the coordinator is there",
                )
            )
            self._leave(lambda: None)
            return
        now = joined.activity()
        if bool(now.lanes) != bool(self._lanes):
            self._note(f"fetching with {counted(now.lanes, 'lane')}" if now.lanes else "idle")
        self._lanes = now.lanes
        self.facts["since"].configure(text=format_duration(time.time() - joined.since))
        self.facts["lanes"].configure(text=str(now.lanes))
        self.facts["bytes"].configure(text=format_size(now.received))
        self.facts["speed"].configure(text=f"{format_size(now.speed)}/s")
        self.graph.add(now.speed)
        if bool(joined.silence) != self._is_silent:
            self._is_silent = bool(joined.silence)
            silent = "the coordinator does not answer"
            self._note(silent if self._is_silent else "the coordinator answers again")
            self._show(f"{silent} …" if self._is_silent else "")
        self._timer = self.after(LOOK_MS, self._look_after)

    def _show(self, state: str = "") -> None:
        here = self._joined
        idle = not self._errand.is_busy and here is None
        self.join_button.state(["!disabled" if idle else "disabled"])
        self.leave_button.state(["disabled" if idle else "!disabled"])
        self.leave_button.configure(text="Leave" if here is not None else "Cancel")
        for entry in (self.address, self.token, self.file_button):
            entry.state(["!disabled" if idle else "disabled"])
        if here is not None:
            state = state or f"connected to {here.address}, as {here.node_address}"
            self.state_label.configure(
                style="Dim.TLabel" if self._errand.is_busy else "Good.TLabel"
            )
        else:
            self._lanes = 0
            self.state_label.configure(style="Dim.TLabel")
            for fact in self.facts.values():
                fact.configure(text="-")
        self.state_label.configure(text=state or "not connected")

    def _choose_token(self) -> None:
        path = filedialog.askopenfilename(parent=self, title="The cluster's token")
        if path:
            self.take_token(path)

    def take_token(self, path: str) -> None:
        """The token in that file, as if it had been pasted."""
        self.trouble.clear()
        try:
            token = read_token(path)
        except RaydlError as error:
            self.trouble.show(error)
            return
        self.token.delete(0, "end")
        self.token.insert(0, token)

    def _note(self, text: str) -> None:
        self._events = [*self._events, f"{time.strftime('%H:%M:%S')}  {text}"][-EVENTS:]
        self.log.configure(text="\n".join(self._events))
