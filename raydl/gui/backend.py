"""Downloads in a process of their own, so that no work of theirs holds a window up.

The window's side is ``Backend``; run as a program, this is the other side. Between them go pickled
tuples over the program's standard input and output. Ray lives there too: a driver whose cluster
goes away may be ended by Ray, and a window must not.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from raydl.cluster.program import run_module
from raydl.model.errors import RaydlError

BATCH_SECONDS = 0.05
AGAIN_SECONDS = 3.0
NODES_SECONDS = 2.0

Message = tuple[Any, ...]


class Backend:
    """The window's side. ``deliver`` gets lists of messages, on a thread of ours.

    ``("event", key, event)``, ``("ended", key, report or None, error or None)``,
    ``("nodes", list of Node or error)``, and ``("died", number)`` when a process is gone unasked;
    processes are counted from 1.
    """

    def __init__(self, deliver: Callable[[list[Message]], None]) -> None:
        self._deliver = deliver
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._spawned_at = 0.0
        self._watched = ""
        self._is_closed = False

    def start(self, key: int, url: str, output: str | None, options: dict[str, Any]) -> int:
        """Begin a download, which ``key`` names from now on; returns the process's number."""
        if not self._is_alive and not self._is_closed:
            self._spawn()
        self._send("start", key, url, output, options)
        return self._number

    def pause(self, key: int) -> None:
        """Ask the origin for nothing more."""
        self._send("pause", key)

    def resume(self, key: int) -> None:
        """Go on."""
        self._send("resume", key)

    def cancel(self, key: int) -> None:
        """End it, and keep what had arrived."""
        self._send("cancel", key)

    def watch(self, address: str) -> None:
        """Tell the nodes of that cluster, every two seconds; of none for an empty address."""
        self._watched = address
        if address and not self._is_alive and not self._is_closed:
            self._spawn()
        else:
            self._send("watch", address)

    def look_after(self) -> None:
        """Watch on, should the process have ended: Ray may end it with its cluster."""
        rested = time.monotonic() - self._spawned_at > AGAIN_SECONDS
        if self._watched and rested and not self._is_alive and not self._is_closed:
            self._spawn()

    def close(self) -> None:
        """End the process; its downloads keep what had arrived. Waits for it. Nothing starts
        any more."""
        self._is_closed = True
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()

    @property
    def _is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _send(self, *message: Any) -> None:
        if self._process is None or self._is_closed:
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it has died: the reader reports it
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()

    def _spawn(self) -> None:
        self._process = subprocess.Popen(
            run_module("raydl.gui.backend"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the window, which then ends this
        )
        self._number += 1
        self._spawned_at = time.monotonic()
        threading.Thread(
            target=self._read,
            args=(self._process, self._number),
            name="raydl-window-reader",
            daemon=True,
        ).start()
        if self._watched:
            self._send("watch", self._watched)

    def _read(self, process: subprocess.Popen[bytes], number: int) -> None:
        assert process.stdout is not None
        with process.stdout as stdout:
            while True:
                try:
                    batch = pickle.load(stdout)
                except (EOFError, OSError, pickle.UnpicklingError):
                    break
                self._deliver(batch)
        process.wait()
        with contextlib.suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        if not self._is_closed:
            self._deliver([("died", number)])


class _Served:
    """The other side."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._outbox: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._downloads: dict[int, Any] = {}
        self._watched = ""
        self._wake = threading.Event()

    def serve(self, commands: IO[bytes]) -> None:
        """Until the window closes its end."""
        threads = [
            threading.Thread(target=self._post, daemon=True),
            threading.Thread(target=self._watch, daemon=True),
        ]
        for thread in threads:
            thread.start()
        while True:
            try:
                name, *args = pickle.load(commands)
            except (EOFError, OSError, pickle.UnpicklingError):
                break
            getattr(self, f"_do_{name}")(*args)
        left = list(self._downloads.values())
        for download in left:
            download.cancel()
        for download in left:
            download.join()
        self._outbox.put(None)
        threads[0].join(2)

    def _do_start(self, key: int, url: str, output: str | None, options: dict[str, Any]) -> None:
        import raydl

        try:
            download = raydl.start(
                url,
                output,
                on_event=lambda event: self._outbox.put(("event", key, event)),
                **{**options, "progress": "none"},
            )
        except RaydlError as error:
            self._outbox.put(("ended", key, None, error))
            return
        self._downloads[key] = download
        download.add_done_callback(lambda ended: self._ended(key, ended))

    def _ended(self, key: int, download: Any) -> None:
        error = download.future.exception()
        if error is not None and not isinstance(error, RaydlError):
            error = RaydlError(f"unexpected {type(error).__name__}: {error}")
        report = None if error is not None else download.future.result()
        self._downloads.pop(key, None)  # before it is reported: the window may start it again
        self._outbox.put(("ended", key, report, error))

    def _do_pause(self, key: int) -> None:
        if download := self._downloads.get(key):
            download.pause()

    def _do_resume(self, key: int) -> None:
        if download := self._downloads.get(key):
            download.resume()

    def _do_cancel(self, key: int) -> None:
        if download := self._downloads.get(key):
            download.cancel()

    def _do_watch(self, address: str) -> None:
        self._watched = address
        self._wake.set()

    def _watch(self) -> None:
        import raydl

        while True:
            self._wake.wait(NODES_SECONDS if self._watched else None)
            self._wake.clear()
            address = self._watched
            if not address:
                raydl.disconnect()
                continue
            try:
                self._outbox.put(("nodes", raydl.nodes(address)))
            except RaydlError as error:
                self._outbox.put(("nodes", error))
            except Exception as error:  # Ray's own, while a head goes down
                what = f"the nodes are not known now: {type(error).__name__}"
                self._outbox.put(("nodes", RaydlError(what)))

    def _post(self) -> None:
        """In batches, so that many events do not mean many wake-ups of the window."""
        going = True
        while going:
            batch = [self._outbox.get()]
            time.sleep(BATCH_SECONDS)
            while not self._outbox.empty():
                batch.append(self._outbox.get())
            going = None not in batch
            try:
                self._out.write(pickle.dumps([message for message in batch if message is not None]))
                self._out.flush()
            except OSError:
                return


def _main() -> None:
    # What Ray prints on its own must not come between the messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _Served(out).serve(sys.stdin.buffer)
    os._exit(0)


if __name__ == "__main__":
    _main()
