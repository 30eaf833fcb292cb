"""The record beside a ``.part`` file: what it is a prefix of, and how much of it is safe.

The ``.part`` file only ever grows, in order, so its length says how much was written. After a
crash of the process alone (kill -9) all of that is still there; after a crash of the machine
only what had been synced is certain. The journal tells the two apart by the boot it was
written in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from raydl.models import Remote, redact

VERSION = 1


@dataclass(frozen=True)
class Journal:
    """What a ``.part`` file holds. ``synced`` is in bytes; ``url`` has no secrets in it.

    ``query`` is a digest of what names the file in the URL's query: ``?id=1`` and ``?id=2`` are
    two files. What only signs the request is left out, for it is new each time.
    """

    url: str
    query: str
    size: int
    etag: str | None
    last_modified: str | None
    boot: str
    synced: int = 0
    version: int = VERSION

    @classmethod
    def of(cls, remote: Remote, size: int) -> Journal:
        """The journal of a download of ``remote`` that starts now."""
        return cls(
            url=redact(remote.url),
            query=query_digest(remote.url),
            size=size,
            etag=remote.etag,
            last_modified=remote.last_modified,
            boot=boot_id(),
        )

    @classmethod
    def load(cls, path: Path) -> Journal | None:
        """The journal at ``path``, or None where there is none that can be understood."""
        try:
            record = json.loads(path.read_text())
            journal = cls(**record)
        except (OSError, ValueError, TypeError):
            return None
        sound = type(journal.synced) is int and journal.synced >= 0 and journal.version == VERSION
        return journal if sound else None

    def save(self, path: Path) -> None:
        """Replace the journal at ``path`` in one step, durably. Raises OSError."""
        fresh = path.with_name(path.name + "~")
        try:
            with fresh.open("w") as file:
                json.dump(asdict(self), file)
                file.flush()
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
            return "another URL"
        if self.query != query_digest(remote.url) and not proven:
            return "another URL (the query differs)"
        if self.size != size:
            return f"the file had {self.size} bytes and has {size}"
        if (self.etag, self.last_modified) != (remote.etag, remote.last_modified):
            # A strong ETag decides alone: mirrors behind one name differ in their dates.
            if self.etag is None or self.etag != remote.etag:
                return "the file on the origin changed"
        elif remote.validator is None and not proven:
            return "the origin gives no way to tell whether the file changed"
        return ""


_SIGNING = re.compile(
    r"(x-amz-.*|x-goog-.*|signature|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|sig|se|st|sp|sv|sr|skoid|sktid|skt|ske|sks|skv|token|access_token|hmac|auth)",
    re.IGNORECASE,
)
"""Query keys by which S3, GCS, CloudFront, Azure (SAS) and others sign a request."""


def query_digest(url: str) -> str:
    """SHA-256 of the part of the query that says which file is meant; empty without one."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    naming = [pair for pair in pairs if not _SIGNING.fullmatch(pair[0])]
    return hashlib.sha256(repr(naming).encode()).hexdigest() if naming else ""


def boot_id() -> str:
    """Names this boot of this machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
