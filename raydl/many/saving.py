"""Small files that nodes fetched, put on this machine's disk beside everything else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from raydl.many.host import Task
from raydl.model.errors import RaydlError
from raydl.output.newfile import NewFile
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import MOST_KEPT, Brought, Wish

THREADS = 4

Saved = Callable[[Task, Brought, str, "RaydlError | None"], None]
Files = Sequence[tuple[Wish, Task, Brought]]


class Saver:
    """Writes the files of a batch; ``post`` has what it tells called by the download's thread.

    ``limit`` bounds the bytes that come, or wait to be written.
    """

    def __init__(self, limit: int, post: Callable[[Callable[[], None]], None]) -> None:
        self._limit, self._post = limit, post
        self._threads: ThreadPoolExecutor | None = None
        self._bytes = 0
        self._batches = 0
        self._lock = threading.Lock()

    @property
    def has_room(self) -> bool:
        """Whether another batch may be fetched."""
        return self._bytes + MOST_KEPT <= self._limit or not self._batches

    @property
    def is_idle(self) -> bool:
        """Whether everything is written."""
        return not self._batches

    def save(self, payload: Payload, files: Files, node: str, saved: Saved) -> None:
        """Bring the bytes here and write them: those of each of ``files``, one after the other."""
        size = sum(brought.size for _, _, brought in files)
        self._bytes += size
        self._batches += 1

        def finish(results: list[tuple[Task, Brought, RaydlError | None]]) -> None:
            self._bytes -= size
            self._batches -= 1
            payload.release()
            for task, brought, error in results:
                saved(task, brought, node, error)

        def pulled(problem: str) -> None:
            if problem:
                lost = RaydlError(f"its bytes were lost: {problem}")
                self._post(lambda: finish([(task, brought, lost) for _, task, brought in files]))
            else:
                self._submit(lambda: self._write(payload, files, finish))

        payload.pull(pulled)

    def close(self) -> None:
        """Write nothing more."""
        with self._lock:
            if self._threads is not None:
                self._threads.shutdown(cancel_futures=True)

    def _submit(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(THREADS, "raydl-save")
            self._threads.submit(call)

    def _write(self, payload: Payload, files: Files, finish: Callable[..., None]) -> None:
        view, at = payload.view(), 0
        results: list[tuple[Task, Brought, RaydlError | None]] = []
        for wish, task, brought in files:
            data, at = view[at : at + brought.size], at + brought.size
            error, written = None, 0
            try:
                written = _write(wish, data)
            except RaydlError as raised:
                error = raised
            results.append((task, brought._replace(written=written), error))
        self._post(lambda: finish(results))


def _write(wish: Wish, data: memoryview) -> int:
    assert wish.target is not None
    file = NewFile(wish.target, wish.overwrite)
    try:
        file.write(data)
        return file.publish()[1]
    finally:
        file.close()
