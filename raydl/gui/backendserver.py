"""The process that downloads for a window, whose side is ``backend``.

Ray lives here too: a driver whose cluster goes away may be ended by Ray, and a window must not.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import IO, Any

from raydl.gui.backend import Message
from raydl.many.wanted import Wanted, problem_of
from raydl.model.errors import RaydlError
from raydl.model.events import Event
from raydl.model.fileevents import AllEnded, FileEnded
from raydl.model.manyreport import ManyReport

BATCH_SECONDS = 0.05
NODES_SECONDS = 2.0

MOST_FAILURES = 100
"""Of a run of many files: a window gets no more of them, the run's report has them all."""


class Server:
    """Does what ``Backend`` sends, and sends what happens."""

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
        self._began(key, download)

    def _do_start_many(
        self, key: int, wanted: Wanted, name: str | None, options: dict[str, Any], report: str
    ) -> None:
        from raydl.many.handle import ManyDownload
        from raydl.settings.options import Options

        failures = 0

        def heard(event: Event) -> None:
            nonlocal failures
            if isinstance(event, FileEnded):  # of a million files a window shows a few
                failures += event.has_failed
                if not event.has_failed or failures > MOST_FAILURES:
                    return
            if not isinstance(event, AllEnded):  # "ended" tells it
                self._outbox.put(("event", key, event))

        try:
            parsed = Options.of({**options, "progress": "none"})
            work = wanted.work(name, False, report, parsed)
        except RaydlError as error:
            self._outbox.put(("ended", key, None, error))
            return
        self._began(key, ManyDownload(work, heard))

    def _began(self, key: int, download: Any) -> None:
        self._downloads[key] = download
        download.add_done_callback(lambda ended: self._ended(key, ended))

    def _ended(self, key: int, download: Any) -> None:
        error = download.future.exception()
        if error is not None and not isinstance(error, RaydlError):
            error = RaydlError(f"unexpected {type(error).__name__}: {error}")
        report = None if error is not None else download.future.result()
        if isinstance(report, ManyReport):
            few = tuple(islice(report, MOST_FAILURES))  # all of them are in a file of this process
            report = replace(report, _failures=partial(iter, few))
            error = problem_of(report)
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
    Server(out).serve(sys.stdin.buffer)
    os._exit(0)


if __name__ == "__main__":
    _main()
