"""A disk of which every step can be the last: what is there after it, and after a power cut."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from raydl.output import partfile, placedfile


class Killed(BaseException):
    """The process is gone: nothing of it happens any more."""


class Steps:
    """Counts what is done to files in ``folder``, and kills the process before step ``cut``.

    A step is whatever changes a file or makes a change safe. ``fail_sync`` is the number of the
    call that brings bytes to the disk which fails: what it should have brought is lost then, as
    it is when the system drops pages that it could not write. Of what is there at the start all
    is safe, but of the files in ``safe`` only so many bytes.
    """

    def __init__(
        self, folder: Path, cut: int | None, fail_sync: int | None, safe: dict[str, int]
    ) -> None:
        self.folder, self.cut, self.fail_sync = folder, cut, fail_sync
        self.log: list[str] = []
        self.syncs = 0
        self.failed_at: int | None = None
        self._held = [
            os.open(path, os.O_RDONLY) for path in self._all()
        ]  # so that no number is used again
        self.safe = {
            path.stat().st_ino: path.read_bytes()[: safe.get(path.name)] for path in self._all()
        }
        """What of each file is on the disk."""
        self.folders = [self._listing()]
        """The folder as it is on the disk, and after each change since: a power cut leaves one."""

    def _all(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_file()]

    def _listing(self) -> dict[str, tuple[int, bytes]]:
        return {path.name: (path.stat().st_ino, path.read_bytes()) for path in self._all()}

    def step(self, what: str) -> None:
        if self.cut is not None and len(self.log) >= self.cut:
            raise Killed(what)
        self.log.append(what)

    def synced(self, fd: int) -> None:
        """The bytes of ``fd`` are on the disk, or lost."""
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            self.folders = [self._listing()]
            return
        number = os.fstat(fd).st_ino
        now = Path(f"/proc/self/fd/{fd}").read_bytes()
        self.syncs += 1
        if self.syncs - 1 == self.fail_sync:
            self.failed_at = len(self.log)
            lost = torn(self.safe.get(number, b""), now)
            with Path(f"/proc/self/fd/{fd}").open("r+b") as file:
                file.write(lost)
            raise OSError(errno.EIO, "Input/output error")
        self.safe[number] = now

    def close(self) -> None:
        self.after_a_power_cut = list(self._after_a_power_cut())
        """Every state that the folder may be in then."""
        for fd in self._held:
            os.close(fd)

    def _after_a_power_cut(self) -> Iterator[dict[str, bytes]]:
        for listing in self.folders:
            # What is written over often and brought to no disk may have come there by itself.
            for how, of_journals in ((kept, kept), (torn, torn), (kept, last), (torn, last)):
                yield {
                    name: (of_journals if name.endswith(".journal") else how)(
                        self.safe.get(number, b""), self._last(number, then)
                    )
                    for name, (number, then) in listing.items()
                }

    def _last(self, number: int, then: bytes) -> bytes:
        """What was in the file at the end, where it is still there."""
        return next((p.read_bytes() for p in self._all() if p.stat().st_ino == number), then)

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on every step counts."""
        for name in ("ftruncate", "write", "pwrite", "link"):
            self._wrap(monkeypatch, os, name)
        for name in ("fsync", "fdatasync"):
            self._wrap(monkeypatch, os, name, self.synced)
        for name in ("unlink", "replace"):
            self._wrap(monkeypatch, Path, name)
        self._wrap(monkeypatch, os, "open")
        self._wrap(monkeypatch, partfile, "_rename_if_free")
        self._wrap(monkeypatch, placedfile, "reserve")

    def _wrap(self, monkeypatch, where, name, instead=None):
        real = getattr(where, name)

        def call(*args, **kwargs):
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            self.step(name)
            result = (instead or real)(*args, **kwargs)
            if name == "open":
                self._held.append(real(args[0], os.O_RDONLY))
            if name in ("open", "link", "unlink", "replace", "_rename_if_free"):
                self.folders.append(self._listing())
            return result

        monkeypatch.setattr(where, name, call)


def kept(safe: bytes, _: bytes) -> bytes:
    """What is on the disk, where nothing came there since."""
    return safe


def last(_: bytes, now: bytes) -> bytes:
    """The same, where all did."""
    return now


def torn(safe: bytes, now: bytes) -> bytes:
    """``now`` where nothing but its length and what was safe is on the disk: holes elsewhere."""
    return bytes(now[i] if i < len(safe) and safe[i] == now[i] else 0 for i in range(len(now)))
