"""The bytes of an archive, in order: what is packed is unpacked, by what it begins with.

Whatever is wrong with them is WrongAnswerError.
"""

from __future__ import annotations

import bz2
import contextlib
import lzma
import os
import re
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

from raydl.model.errors import RaydlError, UsageError, WrongAnswerError

PIECE = 1 << 20
_PACKED_PIECE = 256 << 10

LARGEST_XZ = 256 << 20
"""Memory that unpacking may take. zstd has a bound of its own, half of that."""

SAVE_IT = "without --extract it is saved as it is"


def unfit(what: str, hint: str = SAVE_IT) -> WrongAnswerError:
    """The error for an archive that is not unpacked."""
    return WrongAnswerError(f"the archive cannot be unpacked: {what}", hint)


class Stream:
    """Bytes that come in order, as a file that goes only forward."""

    def __init__(self, pieces: Iterator[Any], check: Callable[[], None]) -> None:
        self._pieces, self._check = pieces, check
        self._piece, self._at = memoryview(b""), 0
        self.allowed: int | None = None
        """How many bytes may still be read, None for any number."""
        self.last = b""
        """What the last read brought."""

    def peek(self, size: int) -> bytes:
        """The next bytes, without taking them."""
        data = self.read(size)
        self._piece, self._at = memoryview(data + self._piece), self._at - len(data)
        return data

    def read(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        if self.allowed is not None:
            self.allowed -= size
            if self.allowed < 0:
                raise unfit("what it says of a member is too long")
        found = []
        while size > 0 and self._has_more():
            found.append(bytes(self._piece[:size]))
            self._skip(size)
            size -= len(found[-1])
        self.last = b"".join(found)
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go forward."""
        left = offset - (self._at if whence == os.SEEK_SET else 0)
        if left < 0 or whence == os.SEEK_END:
            raise unfit("its members overlap")
        while left and self._has_more():
            left -= self._skip(left)
        return self._at

    def tell(self) -> int:
        """How many bytes have passed."""
        return self._at

    def _skip(self, size: int) -> int:
        size = min(size, self._piece.nbytes)
        self._piece, self._at = self._piece[size:], self._at + size
        return size

    def _has_more(self) -> bool:
        while not self._piece.nbytes:
            self._piece = memoryview(b"")  # the memory of the one before is used again
            self._check()
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._piece = memoryview(piece)
        return True


@contextlib.contextmanager
def judging(why: str) -> Iterator[None]:
    """Whatever a parser raises says that the bytes are wrong: only they are read in here."""
    try:
        yield
    except RaydlError:
        raise
    except NotImplementedError as error:  # zipfile's, of what others can unpack
        raise unfit(f"{why}: {error}") from None
    except Exception:
        raise unfit(why) from None


class _Decoder(Protocol):
    """As those of bz2, lzma and zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """The same for gzip."""

    def __init__(self) -> None:
        self._decoder, self.needs_input = zlib.decompressobj(zlib.MAX_WBITS | 16), True

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
        self.needs_input = len(out) < max_length and not self._decoder.unconsumed_tail
        return out


def _zstd() -> _Decoder:
    try:
        from compression import zstd  # from Python 3.14 on
    except ImportError:
        try:
            import backports.zstd as zstd
        except ImportError:
            raise UsageError("zstd needs a library", "pip install backports.zstd") from None
    decoder: _Decoder = zstd.ZstdDecompressor()
    return decoder


_PACKED: dict[bytes, Callable[[], _Decoder]] = {
    rb"\x1f\x8b": _Gzip,
    rb"BZh[1-9]": bz2.BZ2Decompressor,
    rb"\xfd7zXZ\x00": partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, LARGEST_XZ),
    rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18": _zstd,
}
"""How packed bytes begin, and what unpacks them."""


def unpacked(stream: Stream, start: bytes, check: Callable[[], None]) -> Stream:
    """What is packed in a stream with that ``start``; itself, where nothing is."""
    for begins, new in _PACKED.items():
        if re.match(begins, start, re.DOTALL):
            packed = iter(partial(stream.read, _PACKED_PIECE), b"")
            return Stream(_unpack(packed, new), check)
    return stream


def _unpack(packed: Iterator[bytes], new: Callable[[], _Decoder]) -> Iterator[bytes]:
    """What is in one or several packed streams, as pigz and pbzip2 write them; zeros may follow."""
    decoder: _Decoder | None = None
    for data in packed:
        while True:
            if decoder is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                decoder = new()
            with judging("what is packed is damaged, or takes too much memory"):
                out = decoder.decompress(data, PIECE)
            data = b""
            if out:
                yield out
            if decoder.eof:
                data, decoder = decoder.unused_data, None
            elif decoder.needs_input:
                break
    if decoder is not None:
        raise unfit("what is packed ends early")
