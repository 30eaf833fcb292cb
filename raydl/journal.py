"""The record beside a ``.part`` file: what it is a prefix of, and how much of it is safe.

The ``.part`` file only ever grows, in order, so its length says how much was written. After a
crash of the process alone (kill -9) all of that is still there; after a crash of the machine
only what had been synced is certain. The journal tells the two apart by the boot it was
written in.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from raydl.models import Remote, redact

VERSION = 1


@dataclass(frozen=True)
class Journal:
    """What a ``.part`` file holds. ``synced`` is in bytes; ``url`` has no secrets in it."""

    url: str
    size: int
    etag: str | None
    last_modified: str | None
    boot: str
    synced: int = 0
    version: int = VERSION

    @classmethod
    def of(cls, remote: Remote, size: int) -> Journal:
        """The journal of a download of ``remote`` that starts now."""
        return cls(redact(remote.url), size, remote.etag, remote.last_modified, boot_id())

    @classmethod
    def load(cls, path: Path) -> Journal | None:
        """The journal at ``path``, or None where there is none that can be understood."""
        try:
            record = json.loads(path.read_text())
            journal = cls(**record)
        except (OSError, ValueError, TypeError):
            return None
        return journal if journal.version == VERSION else None

    def save(self, path: Path) -> None:
        """Replace the journal at ``path`` in one step, durably. Raises OSError."""
        fresh = path.with_name(path.name + "~")
        try:
            with fresh.open("w") as file:
                json.dump(asdict(self), file)
                file.flush()
                if self.synced:
                    os.fsync(file.fileno())
            fresh.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise

    def with_synced(self, synced: int) -> Journal:
        """The same with the first ``synced`` bytes safe on the disk."""
        return replace(self, synced=synced, boot=boot_id())

    def kept(self, length: int) -> int:
        """How many of the ``length`` bytes in the ``.part`` file can be relied on."""
        same_boot = self.boot != "" and self.boot == boot_id()
        return min(length, self.size, length if same_boot else self.synced)

    def objection(self, remote: Remote, size: int, proven: bool) -> str:
        """Why a ``.part`` file is no prefix of ``remote``; empty if it is.

        ``proven`` tells that a checksum will prove the bytes, so no validator is needed.
        """
        if self.url != redact(remote.url):
            return "it is of another URL"
        if self.size != size:
            return f"the file had {self.size} bytes and has {size}"
        if (self.etag, self.last_modified) != (remote.etag, remote.last_modified):
            # A strong ETag decides alone: mirrors behind one name differ in their dates.
            if self.etag is None or self.etag != remote.etag:
                return "the file on the origin changed"
        elif remote.validator is None and not proven:
            return "the origin gives no way to tell whether the file changed"
        return ""


def boot_id() -> str:
    """Names this boot of this machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
