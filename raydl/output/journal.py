"""The record beside a ``.part`` file: which file it is of, and which of its bytes are safe.

After a crash of the process alone (kill -9) all that was written is still there; after a crash of
the machine only what had been synced is certain. The journal tells the two apart by the boot it was
written in, and names none while what was written is in doubt. It is a line of JSON, which is
replaced in one step, and after it a note of what was written since, which is written over often and
brought to no disk. A ``.part`` file without a journal is not raydl's.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raydl.model.coverage import Coverage
from raydl.model.errors import TargetError
from raydl.model.remote import Remote
from raydl.model.units import printable
from raydl.origin.identity import Identity
from raydl.output.ranges import write_at
from raydl.settings.ownfile import make_own, open_own

VERSION = 3
LARGEST = 16 << 20
"""Bytes of a journal that are read: ours have some hundred, the URL's path, and some dozen for each
interval of what came out of order."""

_DIGEST_ETAG = re.compile(r'"[0-9a-f]{32,128}(-[0-9]+)?"', re.IGNORECASE)
"""An ETag that is made from the content, as object stores make them."""

NONSENSE = (AttributeError, LookupError, TypeError, ValueError)
"""What comes of taking a record apart that is none of ours."""


@dataclass(frozen=True)
class Journal:
    """What a ``.part`` file holds. ``synced`` are the bytes that are safe on the disk.

    ``noted`` are those that were written in its boot, whether or not they are safe. In earlier
    versions a file that grew in order said that by its length, as ``length_tells``.
    ``size`` is None where the origin does not tell it: nothing of such a file is ever gone on from.
    ``media_type`` is None in the journals of earlier versions, which did not note it. ``owner``
    says which run writes the file, where several hosts can: see ``output/owner``. ``writer`` names
    who has written it at any place; one that always grew in order has none.
    """

    identity: Identity
    size: int | None
    etag: str | None
    last_modified: str | None
    boot: str
    synced: Coverage = field(default_factory=Coverage)
    weak_etag: str | None = None
    weak_date: str | None = None
    media_type: str | None = None
    owner: str | None = None
    writer: str | None = None
    noted: Coverage = field(default_factory=Coverage)
    length_tells: bool = False

    @classmethod
    def of(cls, remote: Remote, identity: Identity) -> Journal:
        """The journal of a download of ``remote`` that starts now."""
        return cls(
            identity=identity,
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
                line, _, note = file.read(LARGEST).partition(b"\n")
                journal = cls.parse(json.loads(line))
                return journal and replace(journal, noted=_noted(note))
        except (OSError, TargetError, RecursionError, *NONSENSE):
            return None

    @classmethod
    def parse(cls, record: dict[str, Any]) -> Journal | None:
        """The journal with this record, if that is sound. Raises ``NONSENSE`` where it is none."""
        journal = cls(**_fields(record))
        return journal if journal._is_sound() else None

    def _is_sound(self) -> bool:
        marks = (
            self.etag, self.last_modified, self.weak_etag, self.weak_date, self.media_type,
            self.owner, self.writer,
        )  # fmt: skip
        texts = (self.identity.place, self.identity.query, self.boot)
        return all(type(text) is str for text in (*texts, *(mark or "" for mark in marks))) and (
            self.size is None or _is_count(self.size)
        )

    def save(self, path: Path) -> None:
        """Replace the journal at ``path`` in one step, durably. Raises OSError."""
        save_fields(path, self.record())

    def note(self, path: Path, written: Coverage) -> None:
        """Say, in the journal at ``path`` that this one is, what is written by now.

        Raises OSError. A note that is torn counts for nothing.
        """
        line = _line(self.record())
        fd = open_own(path, os.O_RDWR)
        try:
            if os.read(fd, len(line)) == line:
                write_at(fd, len(line), memoryview(_note_of(written)))
        finally:
            os.close(fd)

    def record(self) -> dict[str, Any]:
        """As plain data."""
        texts = {"identity": str(self.identity), "synced": str(self.synced)}
        rare, never = ("owner", "writer"), ("noted", "length_tells")
        fields = {
            name: value
            for name, value in vars(self).items()
            if name not in never and (name not in rare or value)
        }
        return {"version": VERSION, **fields, **texts}

    def with_synced(self, synced: Coverage) -> Journal:
        """The same with these bytes safe on the disk, and no others."""
        return replace(self, synced=synced, boot=boot_id(), noted=Coverage(), length_tells=False)

    def doubted(self) -> Journal:
        """The same, but what was written and not synced does not count, whatever the boot."""
        return replace(self, boot="")

    def kept(self, length: int) -> Coverage:
        """Which bytes can be relied on where the ``.part`` file has ``length``."""
        end = min(length, self.size or 0)
        kept = self.kept_safe(length)
        # Workers on nodes may still write after their run has ended, where a disk hung: then only
        # what is safe counts, ever.
        if self.writer is None and self.boot != "" and self.boot == boot_id():
            if self.length_tells and self.synced.size == self.synced.prefix:
                kept.add(0, end)
            for start, stop in self.noted:
                kept.add(start, min(stop, end))
        return kept

    def kept_safe(self, length: int) -> Coverage:
        """The same of what is safe on the disk."""
        end = min(length, self.size or 0)
        return Coverage((start, min(stop, end)) for start, stop in self.synced)

    def _same_content(self, remote: Remote) -> bool:
        """Whether size and ETag say so. Others than digests may be the same for two files."""
        etag = self.etag
        if etag is None or (etag, self.size) != (remote.etag, remote.size):
            return False
        return bool(_DIGEST_ETAG.fullmatch(etag))

    def another_url(self, remote: Remote, identity: Identity, proven: bool) -> str:
        """The URL that the ``.part`` file is of, where that is no prefix of ``remote`` for it.

        Empty if it is the same, or the content is. ``proven`` says whether a checksum will
        prove the bytes: then the query may be another one.
        """
        if self.identity == identity or self._same_content(remote):
            return ""
        place = printable(self.identity.place)
        if self.identity.place != identity.place:
            return place
        return "" if proven else f"{place} (its query is another)"

    def objection(self, remote: Remote, identity: Identity, proven: bool) -> str:
        """Why a ``.part`` file of this file is no prefix of ``remote``; empty if it is.

        ``proven`` says whether a checksum will prove the bytes: then no validator is needed. What
        validates those of one mirror says nothing of another's, though it be equal.
        """
        if self.size != remote.size:
            return f"the file had {self.size} bytes and has {remote.size}"
        from_mirror = self.identity.asked
        if from_mirror != identity.asked and not (proven or self._same_content(remote)):
            return f"it is from another mirror, {printable(from_mirror.place)}"
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


def _fields(record: dict[str, Any]) -> dict[str, Any]:
    """What a Journal is made of, from its record. Raises ``NONSENSE``."""
    version = record.pop("version")
    if version == 1:
        # It had a URL and its query's digest, and how many of the file's first bytes were safe.
        identity = Identity(record.pop("url"), record.pop("query"))
        if not _is_count(record["synced"]):
            raise ValueError("no number of bytes")
        synced = Coverage([(0, record["synced"])])
        record["length_tells"] = True
    elif version in (2, VERSION):
        identity = Identity.parse(record["identity"])
        synced = Coverage.parse(record["synced"])
        record["length_tells"] = version == 2
    else:
        raise ValueError("a version of a later raydl")
    return {**record, "identity": identity, "synced": synced}


def save_fields(path: Path, fields: dict[str, Any]) -> None:
    """Replace the file at ``path`` in one step, durably, by one with these. Raises OSError."""
    fresh = path.with_name(path.name + "~")
    try:
        # A new file, so that nothing that lies there, or that it links to, is written into.
        fresh.unlink(missing_ok=True)
        with os.fdopen(make_own(fresh, os.O_WRONLY, 0o600), "wb") as file:
            file.write(_line(fields))
            file.flush()
            os.fsync(file.fileno())
        _give_name(fresh, path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def _give_name(fresh: Path, path: Path) -> None:
    try:
        fresh.replace(path)
    except FileNotFoundError:  # it was there a moment ago
        if not path.parent.is_dir():
            raise
        raise OSError(errno.EBUSY, "another program writes it, too") from None


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _note_of(written: Coverage) -> bytes:
    text = str(written).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _noted(note: bytes) -> Coverage:
    """What a note says, nothing where it is torn."""
    line = note.partition(b"\n")[0]
    text = line[9:].decode("ascii", "replace")
    try:
        written = Coverage.parse(text)
    except ValueError:
        return Coverage()
    return written if note.startswith(_note_of(written)) else Coverage()


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def boot_id() -> str:
    """Names this boot of this machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
