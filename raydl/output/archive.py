"""What is in an archive, read while its bytes come: tar, plain or packed, and zip.

A zip has its list of members at the end, which is read first, from a file that goes anywhere; its
members are read like those of a tar, from the bytes as they come. So every byte passes by once, in
order, whatever the kind.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from raydl.output.packed import PIECE, SAVE_IT, Stream, judging, unfit, unpacked

LARGEST_HEADERS = 8 << 20
"""Bytes that may describe one member of a tar: they are in memory at once."""

FILE_HEADER = 30
"""Bytes before the name of a member (APPNOTE.TXT, section 4.3.7)."""

LARGEST_LIST = 128 << 20
"""Bytes of a zip's list of members, which is in memory, too: some million files."""

LONGEST_LINK = 4096

DAMAGED_TAR = "the tar is damaged, or ends early"

Content = Iterator[tuple[int, bytes]]
"""Bytes of a file, each with its place: what lies between is a hole."""

Member = tuple[tarfile.TarInfo, Content]


def members(
    pieces: Iterator[memoryview],
    open_list: Callable[[], IO[bytes]] | None,
    check: Callable[[], None],
) -> Iterator[Member]:
    """All members in their order; the content of one has to be taken before the next.

    ``open_list`` opens the archive as a file that goes anywhere, where that can be; ``check`` is
    called now and then, and may end this. It ends once all pieces were taken.
    """
    stream = Stream(pieces, check)
    start = stream.peek(6)
    if not start:
        raise unfit("it is empty")
    if start[:4] in (b"PK\3\4", b"PK\5\6"):
        if open_list is None:
            raise unfit("a zip needs byte ranges, for its list of members is at its end")
        return _of_zip(stream, open_list)
    return _of_tar(unpacked(stream, start, check))


def _of_tar(stream: Stream) -> Iterator[Member]:
    stream.allowed = LARGEST_HEADERS
    with judging("it is no zip, and no tar or a damaged one"):
        tar = tarfile.TarFile(fileobj=stream, encoding="utf-8")  # type: ignore[arg-type]
    while (member := _next_of_tar(tar)) is not None:
        stream.allowed = None
        yield member, _tar_content(stream, member)
        stream.allowed = LARGEST_HEADERS
    # tarfile takes a header that is damaged, or missing, for the end.
    if stream.last != bytes(tarfile.BLOCKSIZE):
        raise unfit(DAMAGED_TAR)
    stream.allowed = None
    while data := stream.read(PIECE):
        if data.count(0) != len(data):
            raise unfit("something follows the end of the tar")


def _next_of_tar(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    with judging(DAMAGED_TAR):
        # One with nothing in it has no member before which Python 3.10 could look.
        member = tar.next() if tar.offset else None
        tar.members.clear()  # type: ignore[attr-defined]  # there may be millions
        for_all = sum(len(name) + len(text) for name, text in tar.pax_headers.items())
        if for_all > LARGEST_HEADERS or (member is not None and member.size < 0):
            raise tarfile.ReadError
    return member


def _tar_content(stream: Stream, member: tarfile.TarInfo) -> Content:
    if not member.isreg():
        return
    extents: Any = [(0, member.size)] if member.sparse is None else member.sparse
    for at, length in extents:
        if min(at, length) < 0 or at + length > member.size:
            raise unfit(DAMAGED_TAR)
        while length:
            data = stream.read(min(length, PIECE))
            if not data:
                raise unfit(DAMAGED_TAR)
            yield at, data
            at, length = at + len(data), length - len(data)


class _ZipFile:
    """What zipfile reads: the list from a file that goes anywhere, then members from the stream."""

    def __init__(self, listed: IO[bytes]) -> None:
        self._file: Any = listed
        self._seen: list[tuple[int, bytes]] = []
        self.seek, self.tell = listed.seek, listed.tell

    def read(self, size: int = -1) -> bytes:
        if size > LARGEST_LIST:
            raise unfit("its list of members is too long")
        at, data = self._file.tell(), self._file.read(size)
        if not isinstance(self._file, Stream):
            self._seen.append((at, data))
        return bytes(data)

    def seekable(self) -> bool:
        return False

    def go_over_to(self, stream: Stream) -> None:
        """The list was read."""
        self._file, self.seek, self.tell = stream, stream.seek, stream.tell

    def has_seen(self, at: int, data: bytes) -> bool:
        """Whether these bytes are those that were read as the list."""
        for start, seen in self._seen:
            first, last = max(at, start), min(at + len(data), start + len(seen))
            if first < last and data[first - at : last - at] != seen[first - start : last - start]:
                return False
        return True


def _of_zip(stream: Stream, open_list: Callable[[], IO[bytes]]) -> Iterator[Member]:
    with contextlib.closing(open_list()) as listed, judging("its list of members is damaged"):
        file = _ZipFile(listed)
        zipped = zipfile.ZipFile(file)
        infos = sorted(zipped.infolist(), key=lambda info: info.header_offset)
        for info in infos:
            _check_zipped(info)
        if infos and max(_end_at_least(info) for info in infos) > zipped.start_dir:
            raise unfit("a member of it reaches into its list of members")
    file.go_over_to(stream)
    for info in infos:
        content = _zip_content(zipped, info)
        yield _zip_member(info, content), content
    # Only now it is known, and by a digest proved, that the list is that of these bytes.
    if infos and stream.tell() > zipped.start_dir:
        raise unfit("a member of it reaches into its list of members")
    while data := stream.read(PIECE):
        if not file.has_seen(stream.tell() - len(data), data):
            raise unfit("its list of members was another one a moment ago", "run it again")


def _end_at_least(info: zipfile.ZipInfo) -> int:
    return info.header_offset + FILE_HEADER + info.compress_size


_KINDS = {
    0: tarfile.REGTYPE,
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
}


def _check_zipped(info: zipfile.ZipInfo) -> None:
    name = info.filename
    if info.flag_bits & 1:
        raise unfit(f"{name!r} is encrypted", f"{SAVE_IT}; unzip asks for the password")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Of these zipfile unpacks at once all that it has read, which may be a million times that.
        raise unfit(f"{name!r} is packed by a rare method", f"{SAVE_IT}; unzip may know it")
    if not name or name.startswith("/") or "\\" in name or re.match("[A-Za-z]:", name):
        raise unfit(f"{name!r} is no name within a directory")


def _zip_member(info: zipfile.ZipInfo, content: Content) -> tarfile.TarInfo:
    """What a tar would say of it. Its link is read from its ``content``."""
    name, mode = info.filename, info.external_attr >> 16
    member = tarfile.TarInfo(name)
    member.size, member.mode = info.file_size, stat.S_IMODE(mode) or 0o644
    kind = _KINDS.get(stat.S_IFMT(mode), tarfile.CHRTYPE)
    member.type = tarfile.DIRTYPE if info.is_dir() else kind
    with contextlib.suppress(ValueError, OverflowError):  # such as a month 0
        member.mtime = int(time.mktime((*info.date_time, 0, 0, -1)))
    if member.issym():
        if info.file_size > LONGEST_LINK:
            raise unfit(f"{name!r} is a link that is too long")
        member.linkname = os.fsdecode(b"".join(data for _, data in content))
    return member


def _zip_content(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> Content:
    at = 0
    with judging(f"{info.filename!r} is damaged"):
        file = zipped.open(info)
    while True:
        with judging(f"{info.filename!r} is damaged"):
            data = file.read(PIECE)
        if not data:
            break
        yield at, data
        at += len(data)
    if at != info.file_size:
        raise unfit(f"{info.filename!r} ends early")
