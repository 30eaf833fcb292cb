"""The coordinator's cluster: its head, what workers type, its nodes."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from raydl.cluster.session import Node
from raydl.cluster.tokenstore import find_token
from raydl.gui.backgroundtask import BackgroundTask
from raydl.gui.commands import Commands
from raydl.gui.headplace import HeadPlace
from raydl.gui.look import Look
from raydl.gui.memory import Memory
from raydl.gui.nodecolours import NodeColours
from raydl.gui.nodetable import NodeTable
from raydl.gui.pump import Pump
from raydl.gui.widgets import Card, CopyRow, SecretRow, Trouble, Wrapped
from raydl.model.errors import RaydlError, UsageError
from raydl.node.roles import Head, find_head, start_head
from raydl.view.status import DownloadStatus


class ClusterPanel(Card):
    """Starts or finds the head, and lists nodes as they come and go.

    ``changed`` gets the address for downloads, empty where there is no cluster.
    """

    def __init__(
        self, parent: tk.Misc, look: Look, pump: Pump, memory: Memory,
        colours: NodeColours, changed: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__(parent, look, "Cluster")
        self._look, self._pump, self._changed = look, pump, changed
        self._colours = colours
        self.head_place = HeadPlace(self.body, look, pump, memory, self.start)
        self.head: Head | None = None
        self._task = BackgroundTask()
        self._ending: Head | None = None
        self._nodes: list[Node] = []
        self._work: tuple[DownloadStatus | None, list[DownloadStatus], float] = (None, [], 0.0)
        self._make()
        self._show()

    def _make(self) -> None:
        px, body = self._look.px, self.body
        self.state_label = Wrapped(body, style="Dim.TLabel")
        self.state_label.pack(fill="x")
        row = ttk.Frame(body)
        row.pack(fill="x", pady=(px(8), 0))
        self.start_button = ttk.Button(row, text="Start cluster", command=self.start)
        self.start_button.pack(side="left")
        self.stop_button = ttk.Button(row, text="Stop", command=self.stop)
        self.stop_button.pack(side="right")
        self.head_place.pack(fill="x", pady=(px(8), 0))
        self.trouble = Trouble(body, self._look)
        self.trouble.pack(fill="x")
        self.invitation = ttk.Frame(body)
        self.address = CopyRow(self.invitation, self._look, "Address, for the workers' window")
        self.address.pack(fill="x", pady=(px(8), 0))
        self.token = SecretRow(
            self.invitation, self._look, "Token, which workers need", lambda: find_token() or ""
        )
        self.notes = Wrapped(self.invitation, style="Small.TLabel")
        self.commands_button = ttk.Button(
            self.invitation, text="Commands for a terminal …", style="Link.TButton",
            cursor="hand2", command=lambda: self.commands.open(),
        )  # fmt: skip
        self.commands_button.pack(anchor="w", pady=(px(8), 0))
        self.commands = Commands(self, self._look)
        self.nodes = NodeTable(body, self._look, self._colours)
        self.nodes.pack(fill="both", expand=True, pady=(px(12), 0))
        self.table = self.nodes.table

    # What it does.

    def start(self) -> None:
        """Find the head of this machine, or start one."""
        if self._task.is_busy or self.head is not None:
            return
        self.trouble.clear()
        try:
            host, port = self.head_place.chosen()
        except UsageError as error:
            self.trouble.show(error)
            return
        self._task.begin()
        self._show("starting Ray's head …")
        self._pump.run(
            lambda: find_head() or start_head(host, port, cancelled=self._task.is_cancelled),
            self._started,
            self._failed,
        )

    def stop(self) -> None:
        """End the head that was started, or let go of the one that was found."""
        if self._task.is_busy:
            self._task.cancel()
        else:
            self.close(lambda: None)

    def close(self, then: Callable[[], None]) -> None:
        """Stop, and call ``then``."""
        if self._task.is_busy:
            self._task.cancel(then)
            return
        head, self.head = self.head, None
        if head is None:
            then()
            return
        self._changed("")
        self._task.begin()
        self._ending = head
        self._show("ending Ray's head …" if head.node else "")

        def ended(_: object) -> None:
            self._nodes = []
            self._rest(then)

        self._pump.run(head.stop, ended, ended)

    def _rest(self, then: Callable[[], None] = lambda: None) -> None:
        """Nothing is being done any more: now comes ``then``, or what was asked for meanwhile."""
        then, self._ending = self._task.end() or then, None
        self._show()
        then()

    def hurry(self) -> None:
        """Give up what is being started."""
        self._task.cancel()

    def kill(self) -> None:
        """End what was started, now."""
        for head in (self.head, self._ending):
            if head is not None:
                head.stop()

    def look_after(self) -> None:
        """Notice a head that has ended by itself."""
        head = self.head
        if head is not None and head.node is not None and not head.node.is_running:
            words = head.node.last_words
            self.close(lambda: None)
            self.trouble.show(RaydlError("the Ray head has ended", f"Ray said: {words}"))

    def take_nodes(self, found: list[Node] | RaydlError) -> None:
        """The nodes there are now, or why they are not known."""
        if self.head is None:
            return
        if isinstance(found, RaydlError):
            self._nodes = []
            self.draw()
            if found.message != self.trouble.message:
                self.trouble.show(found)
            return
        if self.trouble.message:
            self.trouble.clear()
        self._nodes = found
        self.draw()

    def show_work(
        self, running: DownloadStatus | None, downloads: list[DownloadStatus], speed: float
    ) -> None:
        """What the nodes do for the download that runs, and brought for all of them."""
        self._work = (running, downloads, speed)
        self.draw()

    def draw(self) -> None:
        """Fill the list of nodes."""
        self.nodes.show(self._nodes, self.head is None, *self._work)

    def repaint(self) -> None:
        """The theme has changed."""
        self.nodes.repaint()

    def _started(self, head: Head) -> None:
        self.head, then = head, self._task.end()
        if then is not None:
            self.close(then)
            return
        self.address.text.set(head.address)
        self.commands.take(head)
        self.notes.configure(text="\n".join(head.notes))
        self._show()
        self._changed(head.address)

    def _failed(self, error: RaydlError) -> None:
        if not self._task.is_cancelled():
            self.trouble.show(error)
        self._rest()

    def _show(self, state: str = "") -> None:
        px, head = self._look.px, self.head
        idle = not self._task.is_busy and head is None
        self.start_button.state(["!disabled" if idle else "disabled"])
        self.head_place.enable(idle)
        self.stop_button.state(["disabled" if idle else "!disabled"])
        if head is None:
            self.stop_button.configure(text="Cancel" if self._task.is_busy else "Stop")
            self.invitation.pack_forget()
            self.head_place.pack(fill="x", pady=(px(8), 0), before=self.trouble)
            self.token.hide()
            self.commands.withdraw()
            text = state or "No cluster: this machine downloads alone. Start one, and others join."
            self.state_label.configure(text=text, style="Dim.TLabel")
        else:
            self.stop_button.configure(text="Stop" if head.node else "Let go")
            how = "runs here" if head.node else "was running here already"
            self.state_label.configure(text=state or f"A Ray head {how}.", style="Good.TLabel")
            self.head_place.pack_forget()
            if head.has_token:
                self.token.pack(fill="x", pady=(px(6), 0), after=self.address)
            else:
                self.token.pack_forget()
            self.notes.pack_forget()
            if head.notes:
                self.notes.pack(fill="x", pady=(px(6), 0), before=self.commands_button)
            self.invitation.pack(fill="x", before=self.nodes)
        self.draw()
