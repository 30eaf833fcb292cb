"""What this machine knows of an unfinished upload: its id, and of which file it is.

A bucket lists the parts of an upload, and not of which file they are. So there is a note in this
user's state directory, without credentials, for each object that is being written. It is locked
meanwhile: two downloads to one object would take turns at one upload.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydl.landing.blocks import LARGEST, SMALLEST
from raydl.landing.s3 import CRC, MD5, Found, Place
from raydl.model.errors import OutputError, TargetError
from raydl.output.journal import NONSENSE, Journal
from raydl.output.oserrors import output_error
from raydl.output.partfile import lock_file
from raydl.settings.ownfile import make_own, open_own

LARGEST_NOTE = 1 << 20


@dataclass(frozen=True)
class Made:
    """What an upload becomes when it is finished: the ETag as far as that is known, and the CRC-32;
    ``digests`` are those that its bytes were held against."""

    etag: str
    crc: int | None
    digests: dict[str, str]

    @classmethod
    def parse(cls, fields: Any) -> Made | None:
        """From the note; None where there is none."""
        if not isinstance(fields, dict):
            return None
        return cls(str(fields["etag"]), fields["crc"], dict(fields["digests"]))

    def is_like(self, there: Found) -> bool:
        """Whether that is it, if it has the same size."""
        if self.crc is not None and there.crc is not None:
            return self.crc == there.crc
        return bool(self.etag) and self.etag.strip('"') == there.etag.strip('"')


@dataclass(frozen=True)
class Unfinished:
    """An upload that was begun, in blocks of ``grid`` bytes, sent with digests by ``algorithm``;
    ``journal`` says which file it is of, ``made`` what it becomes, once that was asked for."""

    upload: str
    grid: int
    algorithm: str
    journal: Journal
    made: Made | None = None

    @classmethod
    def parse(cls, text: bytes) -> Unfinished | None:
        """From what ``text`` gave; None where that is no note of ours."""
        try:
            fields = json.loads(text)
            journal = Journal.parse(fields["journal"])
            upload, grid, algorithm = fields["upload"], fields["grid"], fields["algorithm"]
            made = Made.parse(fields.get("made"))
        except (RecursionError, *NONSENSE):
            return None
        is_sound = type(upload) is str and type(grid) is int and SMALLEST <= grid <= LARGEST
        if journal is None or not is_sound or algorithm not in (CRC, MD5):
            return None
        return cls(upload, grid, algorithm, journal, made)

    def text(self) -> bytes:
        """As the note has it."""
        made = None if self.made is None else vars(self.made)
        fields: dict[str, Any] = {**vars(self), "journal": self.journal.record(), "made": made}
        return json.dumps(fields).encode()


def state_path(kind: str, place: Place, endpoint: str) -> Path:
    """Where this user's state keeps what is known of a place in a bucket."""
    import platformdirs  # no start without a bucket has to wait for it

    name = hashlib.sha256(repr((endpoint, place.bucket, place.key)).encode()).hexdigest()[:32]
    return Path(platformdirs.user_state_dir("raydl")) / kind / name


class Note:
    """The note of one object at one service, for this process alone. Raises RaydlError."""

    def __init__(self, place: Place, endpoint: str) -> None:
        self.path = state_path("uploads", place, endpoint).with_suffix(".json")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = self._open(place)
        except OSError as error:
            raise output_error(error, self.path) from None

    def read(self) -> Unfinished | None:
        """The upload that is noted."""
        return Unfinished.parse(os.pread(self._file, LARGEST_NOTE, 0))

    def write(self, unfinished: Unfinished) -> None:
        """Note this upload instead."""
        try:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, unfinished.text(), 0)
            os.fsync(self._file)
        except OSError as error:
            raise output_error(error, self.path) from None

    def clear(self) -> None:
        """There is none any more."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let go of it; an empty one is removed."""
        if not os.fstat(self._file).st_size:
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _open(self, place: Place) -> int:
        for _ in range(10):
            try:
                file = open_own(self.path, os.O_RDWR)
            except FileNotFoundError:
                try:
                    file = make_own(self.path, os.O_RDWR, 0o600)
                except FileExistsError:
                    continue
            if not lock_file(file):
                os.close(file)
                raise TargetError(f"another raydl is writing {place}", "wait for it")
            if self._is_in_place(file):
                return file
            os.close(file)  # its owner removed it just now
        raise OutputError(f"{self.path} comes and goes")

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.lstat())
        except FileNotFoundError:
            return False
