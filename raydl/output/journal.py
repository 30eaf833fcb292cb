"""The record beside a ``.part`` file: what it is a prefix of, and how much of it is safe.

The ``.part`` file only ever grows, in order, so its length says how much was written. After a
crash of the process alone (kill -9) all of that is still there; after a crash of the machine
only what had been synced is certain. The journal tells the two apart by the boot it was
written in, and names none while what was written is in doubt. A ``.part`` file without a
journal is not raydl's.
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

from raydl.model.errors import TargetError
from raydl.model.remote import Remote
from raydl.model.units import printable
from raydl.model.weburl import redact
from raydl.origin.signing import without_signature
from raydl.settings.ownfile import make_own, open_own

VERSION = 1
LARGEST = 1 << 20
"""Bytes of a journal that are read; ours have some hundred, and the URL's path."""

_DIGEST_ETAG = re.compile(r'"[0-9a-f]{32,128}(-[0-9]+)?"', re.IGNORECASE)
"""An ETag that is made from the content, as object stores make them."""


@dataclass(frozen=True)
class Journal:
    """What a ``.part`` file holds. ``synced`` is in bytes; ``url`` has no secrets in it.

    ``query`` is a digest of what names the file in the URL's query: ``?id=1`` and ``?id=2`` are
    two files. What only signs the request is left out, for it is new each time. ``size`` is None
    where the origin does not tell it: nothing of such a file is ever gone on from. ``media_type``
    is None in the journals of earlier versions, which did not note it.
    """

    url: str
    query: str
    size: int | None
    etag: str | None
    last_modified: str | None
    boot: str
    synced: int = 0
    version: int = VERSION
    weak_etag: str | None = None
    weak_date: str | None = None
    media_type: str | None = None

    @classmethod
    def of(cls, remote: Remote) -> Journal:
        """The journal of a download of ``remote`` that starts now."""
        return cls(
            url=redact(remote.url),
            query=query_digest(remote.url),
            size=remote.size,
            etag=remote.etag,
            last_modified=remote.last_modified,
            boot=boot_id(),
            weak_etag=remote.weak_etag,
            weak_date=remote.weak_date,
            media_type=remote.media_type,
        )

    @classmethod
    def load(cls, path: Path) -> Journal | None:
        """The journal at ``path``, or None where there is none of ours that can be understood."""
        try:
            with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
                journal = cls(**json.loads(file.read(LARGEST)))
        except (OSError, TargetError, ValueError, TypeError, RecursionError):
            return None
        return journal if journal._is_sound() else None

    def _is_sound(self) -> bool:
        marks = (self.etag, self.last_modified, self.weak_etag, self.weak_date)
        texts = (self.url, self.query, self.boot, self.media_type or "", *(m or "" for m in marks))
        numbers = (self.synced, self.size or 0, self.version)
        return (
            all(type(text) is str for text in texts)
            and all(type(number) is int and number >= 0 for number in numbers)
            and self.version == VERSION
        )

    def save(self, path: Path) -> None:
        """Replace the journal at ``path`` in one step, durably. Raises OSError."""
        fresh = path.with_name(path.name + "~")
        try:
            # A new file, so that nothing that lies there, or that it links to, is written into.
            fresh.unlink(missing_ok=True)
            with os.fdopen(make_own(fresh, os.O_WRONLY, 0o600), "w") as file:
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

    def doubted(self) -> Journal:
        """The same, but what was written and not synced does not count, whatever the boot."""
        return replace(self, boot="")

    def kept(self, length: int) -> int:
        """How many of the ``length`` bytes in the ``.part`` file can be relied on."""
        same_boot = self.boot != "" and self.boot == boot_id()
        return min(length, self.size or 0, length if same_boot else self.synced)

    def _same_content(self, remote: Remote) -> bool:
        """Whether size and ETag say so. Others than digests may be the same for two files."""
        etag = self.etag
        if etag is None or (etag, self.size) != (remote.etag, remote.size):
            return False
        return bool(_DIGEST_ETAG.fullmatch(etag))

    def is_of(self, url: str) -> bool:
        """Whether that URL names the same file as the one that the ``.part`` file is of."""
        return (self.url, self.query) == (redact(url), query_digest(url))

    def another_url(self, remote: Remote, proven: bool) -> str:
        """The URL that the ``.part`` file is of, where that is no prefix of ``remote`` for it.

        Empty if it is the same, or the content is. ``proven`` says whether a checksum will
        prove the bytes: then the query may be another one.
        """
        if self.is_of(remote.url) or self._same_content(remote):
            return ""
        if self.url != redact(remote.url):
            return printable(self.url)
        return "" if proven else f"{printable(self.url)} (its query is another)"

    def objection(self, remote: Remote, proven: bool) -> str:
        """Why a ``.part`` file of this URL is no prefix of ``remote``; empty if it is.

        ``proven`` says whether a checksum will prove the bytes: then no validator is needed.
        """
        if self.size != remote.size:
            return f"the file had {self.size} bytes and has {remote.size}"
        if self.etag is not None and self.etag == remote.etag:
            return ""  # it decides alone: mirrors behind one name differ in their dates
        ours = (self.etag, self.last_modified or self.weak_date)
        theirs = (remote.etag, remote.last_modified or remote.weak_date)
        # Earlier versions did not note a weak ETag: that there is one now is no change.
        if ours != theirs or self.weak_etag not in (None, remote.weak_etag):
            return "the file on the origin changed"
        # What proves a version now may not have done so then: the date has become older.
        if self.last_modified is None and not proven:
            return "the origin gave no way to tell whether the file changed"
        return ""


def query_digest(url: str) -> str:
    """SHA-256 of the part of the query that says which file is meant; empty without one."""
    naming = without_signature(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    return hashlib.sha256(repr(naming).encode()).hexdigest() if naming else ""


def boot_id() -> str:
    """Names this boot of this machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
