"""Small files that nodes fetched, put on this machine's disk beside everything else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from raydl.many.host import Task
from raydl.model.errors import RaydlError
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import MOST_KEPT, Brought, Wish, new_file

THREADS = 4

Saved = Callable[[Task, "Brought | None", str, "RaydlError | None"], None]
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

    def save(
        self,
        payload: Payload | None,
        files: Files,
        node: str,
        saved: Saved,
        lost: Callable[[list[Task]], None],
    ) -> None:
        """Bring the bytes here and write them: those of each of ``files``, one after the other.

        ``lost`` is called where they do not come. Files that are all empty have no payload.
        """
        size = sum(brought.size for _, _, brought in files)
        self._bytes += size
        self._batches += 1

        def end() -> None:
            self._bytes -= size
            self._batches -= 1
            if payload is not None:
                payload.release()

        def give_up() -> None:
            end()
            lost([task for _, task, _ in files])

        def finish(results: list[tuple[Task, Brought, RaydlError | None]]) -> None:
            end()
            for task, brought, error in results:
                saved(task, brought, node, error)

        def pulled(problem: str) -> None:
            if problem:
                self._post(give_up)
            else:
                self.submit(lambda: self._write(payload, files, finish))

        if payload is None:
            pulled("")
        else:
            payload.pull(pulled)

    def close(self) -> None:
        """Write nothing more."""
        with self._lock:
            if self._threads is not None:
                self._threads.shutdown(cancel_futures=True)

    def submit(self, call: Callable[[], None]) -> None:
        """Have one of the threads do something."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(THREADS, "raydl-save")
            self._threads.submit(call)

    def _write(self, payload: Payload | None, files: Files, finish: Callable[..., None]) -> None:
        view, at = memoryview(b"") if payload is None else payload.view(), 0
        results: list[tuple[Task, Brought, RaydlError | None]] = []
        for wish, task, brought in files:
            data, at = view[at : at + brought.size], at + brought.size
            error, written = None, 0
            try:
                written = _write(wish, data)
            except RaydlError as raised:
                error = raised
            except Exception as raised:  # a bug ends this file, and nobody waits for it
                error = RaydlError(f"unexpected {type(raised).__name__}: {raised}")
            results.append((task, brought._replace(written=written), error))
        self._post(lambda: finish(results))


def _write(wish: Wish, data: memoryview) -> int:
    file = new_file(wish)
    try:
        file.write(data)
        return file.publish()[1]
    finally:
        file.close()
