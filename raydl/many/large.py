"""Files that are too large for one lane: each is a download of its own, a few at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from raydl.download.download import run
from raydl.many.host import Task
from raydl.model.control import Control
from raydl.model.digests import GIT, Checksum, Proof, new_hash_of
from raydl.model.errors import ChecksumError, RaydlError, TargetError, WrongAnswerError
from raydl.model.events import Event, Progress
from raydl.model.log import error_of
from raydl.settings.options import Options
from raydl.workers.smallfiles import Brought

AT_ONCE = 4
"""They share all lanes; more of them would only end later, each."""

READ_SIZE = 8 << 20

Ended = Callable[[Task, "Brought | None", "RaydlError | None"], None]


class LargeFiles:
    """Downloads them beside the small ones; ``ended`` is called by the download's thread.

    ``options_for`` has those for a URL, without what is private where that is another host's.
    """

    def __init__(
        self,
        options_for: Callable[[str], Options],
        post: Callable[[Callable[[], None]], None],
        ended: Ended,
    ) -> None:
        self._options_for = options_for
        self._post, self._ended = post, ended
        self._waiting: deque[tuple[Task, Path]] = deque()
        self._running: dict[Task, Control] = {}
        self._threads: list[threading.Thread] = []
        self._fetched: dict[Task, int] = {}
        self._is_held = False

    @property
    def is_idle(self) -> bool:
        """Whether all of them have ended."""
        return not (self._waiting or self._running)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def fetched(self) -> int:
        """Bytes so far of those that are under way."""
        return sum(list(self._fetched.values()))

    def add(self, task: Task, path: Path) -> None:
        """It is to be downloaded to ``path``."""
        self._waiting.append((task, path))
        self._go_on()

    def hold(self, paused: bool) -> None:
        """Ask for nothing more, or go on."""
        self._is_held = paused
        for control in list(self._running.values()):
            control.pause(paused)

    def close(self) -> None:
        """End those that are under way; what came is kept."""
        self._waiting.clear()
        for control in list(self._running.values()):
            control.cancel()
        for thread in self._threads:
            thread.join()

    def _go_on(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            task, path = self._waiting.popleft()
            control = self._running[task] = Control()
            if self._is_held:
                control.pause()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(
                target=self._download, args=(task, path, control), name="raydl-large"
            )
            self._threads.append(thread)
            thread.start()

    def _download(self, task: Task, path: Path, control: Control) -> None:
        def heard(event: Event) -> None:
            if isinstance(event, Progress):
                self._fetched[task] = event.fetched

        digest = task.item.digest
        options = self._options_for(task.url)
        options = replace(
            options,
            progress="none", output_dir=None, skip_existing=False,
            checksum=digest if digest is not None and digest.algorithm != GIT else None,
            overwrite=options.overwrite or task.stamp is not None,
        )  # fmt: skip
        brought, error = None, None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _must_be_as_it_was(path, task)
            report = run(task.item.url, str(path), options, heard, control)
            _must_have_size(path, report.size, task)
            if digest is not None and digest.algorithm == GIT:
                _compare(path, digest, control)
            compared = next((f"{name}:{hex}" for name, hex in report.digests.items()), "")
            written = path.stat().st_mtime_ns
            brought = Brought(
                report.size, written, path.name, None, None, compared, report.proof, report.seconds
            )
        except BaseException as raised:
            error = error_of(raised, control.how_to_go_on())
        self._post(lambda: self._has_ended(task, brought, error))

    def _has_ended(self, task: Task, brought: Brought | None, error: RaydlError | None) -> None:
        del self._running[task]
        self._fetched.pop(task, None)
        self._ended(task, brought, error)
        self._go_on()


def _must_be_as_it_was(path: Path, task: Task) -> None:
    """Raise TargetError where what may be replaced is another file by now."""
    if task.stamp is not None and path.exists():
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != task.stamp:
            raise TargetError(f"{path} exists already", "--overwrite replaces it")


def _must_have_size(path: Path, size: int, task: Task) -> None:
    """Remove what is not as large as the list says. Raises WrongAnswerError."""
    if task.item.size not in (None, size):
        path.unlink()
        what = f"the origin has {size} bytes, the list says {task.item.size}"
        raise WrongAnswerError(what)


def _compare(path: Path, digest: Checksum, control: Control) -> None:
    """Hold a file against its id in git, which no digest of its bytes is. Raises RaydlError."""
    found = new_hash_of(GIT, path.stat().st_size)
    with path.open("rb") as file:
        while data := file.read(READ_SIZE):
            found.update(memoryview(data))
            control.wait(0)
    try:
        Proof(digest, "given").verify(found.hexdigest(), str(path))
    except ChecksumError:
        path.unlink()
        raise
