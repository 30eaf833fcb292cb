"""The worker's window: the coordinator's address in, what this machine does out."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable
from tkinter import filedialog, ttk

from raydl.cluster.tokenstore import find_token, parse_token, read_token
from raydl.gui.backgroundtask import BackgroundTask
from raydl.gui.look import Look
from raydl.gui.machine import Machine
from raydl.gui.memory import Memory
from raydl.gui.pump import Pump
from raydl.gui.widgets import Card, Dialog, Field, Trouble, Wrapped
from raydl.model.errors import RaydlError
from raydl.model.units import counted
from raydl.node.roles import Membership, join

LOOK_MS = 500
REJOIN_SECONDS, REJOIN_AT_MOST = 5.0, 60.0
"""Between tries to join again, a little longer each time."""


def _nothing() -> None:
    """Nothing comes afterwards."""


class WorkerWindow(ttk.Frame):
    """Joins a cluster, and leaves it again; goes back to one that went away and is there again."""

    title = "raydl worker"

    def __init__(self, parent: tk.Misc, look: Look, pump: Pump, memory: Memory) -> None:
        super().__init__(parent, style="Window.TFrame")
        self._look, self._pump, self._memory = look, pump, memory
        self._joined: Membership | None = None
        self._task = BackgroundTask()
        self._lanes = 0
        self._asked: tuple[str, str | None] = ("", None)
        self._token_is_new = True
        self._waits, self._tries = False, 0
        self._leaving: Membership | None = None
        self._is_silent = False
        self._then: Callable[[], None] = _nothing
        self.dialog: Dialog | None = None
        self._timer = self.after_idle(_nothing)
        self._make_form()
        self.machine = Machine(self, look)
        self.machine.pack(fill="both", expand=True, pady=(look.px(12), 0))
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
        self.address.grid(row=0, column=1, columnspan=3, sticky="ew")
        if self._memory.addresses:
            self.address.set(self._memory.addresses[0])
        Wrapped(
            body, text="The address that the coordinator's window shows.", style="Small.TLabel"
        ).grid(row=1, column=1, columnspan=3, sticky="ew", pady=(px(2), px(10)))
        ttk.Label(body, text="Token").grid(row=2, column=0, sticky="w", padx=(0, px(12)))
        self._token_text = tk.StringVar(self)
        self._token_text.trace_add("write", lambda *_: self._has_new_token())
        says = "this machine's own" if find_token() else "none"
        self.token = Field(body, self._look, says, self._token_text, show="•")
        self.token.grid(row=2, column=1, sticky="ew")
        self.paste_button = ttk.Button(body, text="Paste", command=self._paste_token)
        self.paste_button.grid(row=2, column=2, padx=(px(8), 0))
        self.file_button = ttk.Button(body, text="From file …", command=self._choose_token)
        self.file_button.grid(row=2, column=3, padx=(px(8), 0))
        Wrapped(
            body,
            text="Copy it in the coordinator's window, under Token, and paste it here. It is kept "
            "until this window is closed, and never written to the disk.",
            style="Small.TLabel",
        ).grid(row=3, column=1, columnspan=3, sticky="ew", pady=(px(2), px(10)))
        row = ttk.Frame(body)
        row.grid(row=4, column=0, columnspan=4, sticky="ew")
        self.join_button = ttk.Button(row, text="Join", style="Accent.TButton", command=self.join)
        self.join_button.pack(side="left")
        self.leave_button = ttk.Button(row, text="Leave", command=self.leave)
        self.leave_button.pack(side="left", padx=px(8))
        self.state_label = ttk.Label(row, style="Dim.TLabel")
        self.state_label.pack(side="left", padx=px(8))
        self.trouble = Trouble(body, self._look)
        self.trouble.grid(row=5, column=0, columnspan=4, sticky="ew")
        for entry in (self.address, self.token):
            entry.bind("<Return>", lambda _: self.join())

    # What it does.

    def join(self) -> None:
        """Check the coordinator and become its worker."""
        if self._task.is_busy or self._joined is not None or self._waits:
            return
        self.trouble.clear()
        address = self.address.get().strip()
        if address != self._asked[0] and not self._token_is_new:
            self.token.delete(0, "end")  # it is the one of another cluster
        pasted = self.token.get()
        try:
            token = parse_token(pasted) if pasted.strip() else None
        except RaydlError as error:
            self.trouble.show(error)
            return
        self._asked, self._tries = (address, token), 0
        self._ask()

    def leave(self) -> None:
        """End the node that was started; asks first while parts are in flight."""
        waited = self._wait_no_more()
        if self._task.is_busy:
            self._task.cancel()
        elif waited:
            self.trouble.clear()
            self._show()
        else:
            self._leave_asking("Leave", _nothing)

    def close(self, then: Callable[[], None]) -> None:
        """Leave, and call ``then``."""
        self._wait_no_more()
        if self._task.is_busy:
            self._task.cancel(then)
        else:
            self._leave_asking("Leave and close", then)

    def hurry(self) -> None:
        """Give up what is being started."""
        self._task.cancel()

    def kill(self) -> None:
        """End what was started, now, without questions."""
        self.after_cancel(self._timer)
        for joined in (self._joined, self._leaving):
            if joined is not None:
                joined.leave()

    def repaint(self) -> None:
        """The theme has changed."""
        self.machine.graph.repaint()

    def _ask(self) -> None:
        address, token = self._asked
        self._task.begin()
        self._show(f"asking {address} …")

        def job() -> Membership:
            return join(address, token, cancelled=self._task.is_cancelled)

        self._pump.run(job, self._has_joined, self._has_failed)

    def _ask_again_soon(self) -> None:
        """As long as nobody has said that it shall not."""
        if self._waits:
            self._tries += 1
            seconds = min(self._tries * REJOIN_SECONDS, REJOIN_AT_MOST)
            self._timer = self.after(round(1000 * seconds), self._ask)
            self._show(f"waits for {self._asked[0]} …")

    def _wait_no_more(self) -> bool:
        """Whether it did wait."""
        waited, self._waits = self._waits, False
        if waited:
            self.after_cancel(self._timer)
        return waited

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
        self._task.begin()
        self.after_cancel(self._timer)
        self._show("leaving …")

        def left(_: object) -> None:
            self.machine.note(f"left {joined.address}")
            self._rest(then)

        self._leaving = joined
        self._pump.run(joined.leave, left, left)

    def _rest(self, then: Callable[[], None] = _nothing) -> None:
        """Nothing is being done any more: now comes ``then``, or what was asked for meanwhile."""
        then, self._leaving = self._task.end() or then, None
        self._show()
        then()

    def _has_joined(self, joined: Membership) -> None:
        # Where Cancel came too late, it leaves again.
        then = self._task.end() or (_nothing if self._task.is_cancelled() else None)
        self._joined, self._is_silent = joined, False
        self._waits = self._token_is_new = False
        self.trouble.clear()
        self._memory.joined(self.address.get().strip())
        self.address.configure(values=self._memory.addresses)
        self.machine.note(f"joined {joined.address} as {joined.node_address}")
        self._show()
        if then is not None:
            self._leave(then)
        else:
            self._look_after()

    def _has_failed(self, error: RaydlError) -> None:
        if self._task.is_cancelled():
            self.trouble.clear()
            self.machine.note("joining was cancelled")
        else:
            self.trouble.show(error)
        self._rest(self._ask_again_soon)

    def _look_after(self) -> None:
        joined = self._joined
        if joined is None:
            return
        if not joined.is_running:
            self.machine.note(f"the connection to {joined.address} ended")
            self.trouble.show(
                RaydlError(
                    f"this machine is no worker of {joined.address} any more",
                    f"{joined.why_ended}. It joins again, once the coordinator is there",
                )
            )
            if time.time() - joined.since > REJOIN_AT_MOST:  # else it may not be able to stay
                self._tries = 0
            self._waits = True
            self._leave(self._ask_again_soon)
            return
        now = joined.activity()
        if bool(now.lanes) != bool(self._lanes):
            self.machine.note(
                f"fetching with {counted(now.lanes, 'connection')}" if now.lanes else "idle"
            )
        self._lanes = now.lanes
        self.machine.show(now, joined.since)
        if bool(joined.silence) != self._is_silent:
            self._is_silent = bool(joined.silence)
            silent = "the coordinator does not answer"
            self.machine.note(silent if self._is_silent else "the coordinator answers again")
            self._show(f"{silent} …" if self._is_silent else "")
        self._timer = self.after(LOOK_MS, self._look_after)

    def _show(self, state: str = "") -> None:
        here = self._joined
        idle = not self._task.is_busy and here is None and not self._waits
        self.join_button.state(["!disabled" if idle else "disabled"])
        self.leave_button.state(["disabled" if idle else "!disabled"])
        self.leave_button.configure(text="Leave" if here is not None else "Cancel")
        for entry in (self.address, self.token, self.paste_button, self.file_button):
            entry.state(["!disabled" if idle else "disabled"])
        if here is not None:
            state = state or f"connected to {here.address}, as {here.node_address}"
            how = "Dim" if self._task.is_busy else "Bad" if self._is_silent else "Good"
            self.state_label.configure(style=f"{how}.TLabel")
        else:
            self._lanes = 0
            self.state_label.configure(style="Dim.TLabel")
            self.machine.rest()
        self.state_label.configure(text=state or "not connected")

    def _has_new_token(self) -> None:
        self._token_is_new = True

    def _paste_token(self) -> None:
        try:
            text = self.clipboard_get().strip()
        except tk.TclError:
            return
        self.token.delete(0, "end")
        self.token.insert(0, text)

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
