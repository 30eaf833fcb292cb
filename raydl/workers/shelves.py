"""The directories of a node that many small files go to, and come from for other nodes.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from raydl.model.digests import Checksum, Proof, new_hash_of
from raydl.model.errors import RaydlError, TargetError
from raydl.output.hublayout import link
from raydl.output.ledger import Known
from raydl.output.newfile import NewFile
from raydl.output.ranges import sync_file_system
from raydl.output.shelf import HAS, OTHER, Found, Place, Shelf
from raydl.workers.nodefiles import LOOK_SECONDS, Answer, GetObject, answer_of

WAIT_SECONDS = 60.0
"""For bytes of another node."""

Refusal = tuple[str, str, str]
"""The class of an error of ours, its message and its hint."""


class Copy(NamedTuple):
    """A file as some node has it: ``size`` bytes for a ``place``, and what the origin said of it.

    ``is_new``: this run brought it, so what nodes have from before may be another version.
    """

    place: tuple[Any, ...]
    size: int
    etag: str | None
    last_modified: str | None
    digest: str
    is_new: bool

    @property
    def is_known(self) -> bool:
        """Whether its version can be told from another one of the same size."""
        return bool(self.etag or self.last_modified or self.digest) or not self.is_new

    def may_be_at(self, found: Found) -> bool:
        """Whether nothing says that what was found is another one."""
        if found.state != HAS or found.stamp is None:
            return found.state == HAS
        version = found.size, found.etag, found.last_modified, found.digest
        return version == (self.size, self.etag, self.last_modified, self.digest)

    def is_at(self, found: Found) -> bool:
        """Whether what was found is this one, or is to count as this one."""
        return self.may_be_at(found) and (self.is_known or found.stamp is None)


class _Open:
    """A directory, of which one thread at a time looks at the account."""

    def __init__(self, shelf: Shelf, overwrite: bool) -> None:
        self.shelf, self.overwrite = shelf, overwrite
        self.lock = threading.Lock()


class Shelves:
    """The directories of this node that the driver fills, each known by a key of the driver's.

    Methods return plain data and raise nothing.
    """

    def __init__(self, get_object: GetObject) -> None:
        self._get_object = get_object
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def open(self, key: str, directory: str, overwrite: bool, skip_existing: bool) -> Answer:
        """Take up the directory, which is made where it is not there."""
        return answer_of(lambda: self._take_up(key, directory, overwrite, skip_existing))

    def look(self, key: str, places: list[tuple[Any, ...]]) -> Answer:
        """What is at each of ``places`` (see ``Place``), as the fields of a ``Found``."""

        def look() -> list[tuple[Any, ...]]:
            opened = self._get(key)
            with opened.lock:
                return [tuple(opened.shelf.look(Place(*place))) for place in places]

        return answer_of(look)

    def put(self, key: str, copies: list[tuple[Any, ...]], verify: bool, ref: list[Any]) -> Answer:
        """Write files whose bytes are one after the other in an object; none for empty ones.

        ``copies`` have the fields of a ``Copy``; where it is there already it stays. With
        ``verify`` a digest that a place has is computed.
        Returns a refusal for each, or None. The reference comes within a list, so that Ray hands it
        on and does not wait for it; the class LookupError says that the object is lost.
        """
        files = [Copy(*each) for each in copies]
        return answer_of(lambda: self._put(key, files, verify, ref))

    def read(self, key: str, copies: list[tuple[Any, ...]]) -> tuple[Answer, Any]:
        """The size of each file, -1 for one that is not there as it is wanted; and their bytes."""
        data = bytearray()

        def read() -> list[int]:
            opened = self._get(key)
            return [_read(opened, Copy(*copy), data) for copy in copies]

        answer = answer_of(read)
        return answer, data if answer[0] is None and data else None

    def link(self, key: str, commit: str, revision: str, names: list[tuple[str, str]]) -> Answer:
        """Give the blobs in a directory of a hub's cache their names: see ``hublayout.link``."""
        return answer_of(lambda: link(self._get(key).shelf.directory, commit, revision, names))

    def sync(self, directory: str) -> Answer:
        """Bring to the disk what was written to the file system that a directory is on."""
        return answer_of(lambda: sync_file_system(Path(directory)))

    def close(self, key: str) -> Answer:
        """Let go of the directory."""
        with self._lock:
            opened = self._open.pop(key, None)
        return answer_of(lambda: _close(opened) if opened is not None else None)

    def close_all(self) -> None:
        """Let go of all of them."""
        for key in list(self._open):
            self.close(key)

    def _get(self, key: str) -> _Open:
        opened = self._open.get(key)
        if opened is None:
            raise LookupError("the directory is not open on this node")
        return opened

    def _take_up(self, key: str, directory: str, overwrite: bool, skip_existing: bool) -> None:
        with self._lock:
            if key not in self._open:
                shelf = Shelf(Path(directory), overwrite, skip_existing)
                self._open[key] = _Open(shelf, overwrite)

    def _put(
        self, key: str, copies: Sequence[Copy], verify: bool, ref: list[Any]
    ) -> list[Refusal | None]:
        opened, places = self._get(key), [Place(*copy.place) for copy in copies]
        data = self._data(key, ref[0]) if ref else memoryview(b"")
        if data.nbytes != sum(copy.size for copy in copies):
            raise LookupError(f"{data.nbytes} bytes came")
        with opened.lock:
            found = [opened.shelf.look(place) for place in places]
            wanted = [not c.is_at(there) for c, there in zip(copies, found, strict=True)]
            each = zip(places, found, wanted, strict=True)
            opened.shelf.begin(p.key for p, there, one in each if one and there.state != OTHER)
        refusals: list[Refusal | None] = []
        came: list[tuple[bytes, Known]] = []
        at = 0
        for copy, place, there, is_wanted in zip(copies, places, found, wanted, strict=True):
            part, at = data[at : at + copy.size], at + copy.size
            refusals.append(None)
            if is_wanted:
                try:
                    if verify and place.digest:
                        _verify(place, part)
                    came.append((place.key, _write(opened, copy, place, there, part)))
                except RaydlError as error:
                    refusals[-1] = (type(error).__name__, error.message, error.hint)
        with opened.lock:
            opened.shelf.add(came)
            opened.shelf.settle(time.monotonic())
        return refusals

    def _data(self, key: str, ref: Any) -> memoryview:
        began = time.monotonic()
        while (data := self._get_object(ref, LOOK_SECONDS)) is None:
            if key not in self._open or time.monotonic() - began > WAIT_SECONDS:
                raise LookupError("the bytes did not come")
        return data


def _verify(place: Place, data: memoryview) -> None:
    checksum = Checksum(*place.digest.split(":", 1))
    found = new_hash_of(checksum.algorithm, data.nbytes)
    found.update(data)
    Proof(checksum, "given").verify(found.hexdigest(), place.path)


def _write(opened: _Open, copy: Copy, place: Place, there: Found, data: memoryview) -> Known:
    path = opened.shelf.path(place)
    if there.state == OTHER:
        raise TargetError(f"{path} exists already", "--overwrite replaces it")
    file = NewFile(path, opened.overwrite, there.stamp, True, opened.shelf.seal(place.key))
    try:
        file.write(data)
        size, written = file.publish()
    finally:
        file.close()
    return Known(size, written, copy.etag, copy.last_modified, copy.digest, "")


def _read(opened: _Open, copy: Copy, data: bytearray) -> int:
    place = Place(*copy.place)
    with opened.lock:
        found = opened.shelf.look(place)
    # One that was left there, whatever it is, is good for others if they can prove it.
    if not copy.may_be_at(found) or (found.stamp is None and not place.digest):
        return -1
    before = len(data)
    try:
        with open(opened.shelf.path(place), "rb") as file:  # noqa: PTH123 - for each of many
            data += file.read(found.size + 1)
            now = os.fstat(file.fileno())
    except OSError:
        return -1
    is_it = found.stamp in (None, (now.st_size, now.st_mtime_ns))
    if not is_it or len(data) - before != found.size:
        del data[before:]
        return -1
    return found.size


def _close(opened: _Open) -> None:
    with opened.lock:
        opened.shelf.close()
