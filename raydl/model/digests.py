"""Digests: the text ``sha256:HEX`` and the running computation."""

from __future__ import annotations

import copy
import hashlib
import re
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from raydl.model.errors import ChecksumError, UsageError

ALGORITHMS = ("sha256", "sha512", "blake2b", "sha1", "md5", "crc32c", "crc32")
"""The strongest first; nobody forges the first three, and most processors help with sha256."""

FORGED_BY_NOBODY = ALGORITHMS[:3]

GIT = "git"
"""The id of a blob in git: the sha1 of a header with its size, and the bytes. Lists of hubs have it
for small files, and people have no use for it."""

BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
"""What a digest without a name most likely is, by its hex digits."""

_READ_SIZE = 8 << 20


@dataclass(frozen=True)
class Checksum:
    """An expected digest: ``algorithm`` is one of ALGORITHMS, ``hex`` is lower case."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """Parse ``sha256:HEX``, also with ``=`` or ``-`` in between, as aria2 and npm write it.

        Raises UsageError for an unknown algorithm and for a digest of the wrong length.
        """
        for separator in ":=-":
            algorithm, found, digest = text.strip().partition(separator)
            algorithm = algorithm.strip().lower().replace("-", "")
            if found and algorithm in ALGORITHMS:
                break
        else:
            raise _no_checksum(text)
        if not is_known(algorithm):
            raise UsageError(f"{algorithm} needs a library that is not there", "pip install crc32c")
        digest = digest.strip().lower()
        wanted = 2 * new_hash(algorithm).digest_size
        if len(digest) != wanted or any(c not in "0123456789abcdef" for c in digest):
            kind = f"{'an' if algorithm == 'md5' else 'a'} {algorithm} digest"
            raise UsageError(f"{kind} has {wanted} hex digits, not {digest!r}")
        return cls(algorithm, digest)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def _no_checksum(text: str) -> UsageError:
    bare = text.strip().lower()
    likely = BY_LENGTH.get(len(bare)) if re.fullmatch("[0-9a-f]+", bare) else None
    if likely:
        return UsageError(f"{text!r} does not name its algorithm", f"write {likely}:{bare}")
    return UsageError(
        f"{text!r} is not a checksum",
        f"write ALGORITHM:HEX with one of {', '.join(ALGORITHMS)}",
    )


class Proof(NamedTuple):
    """The digest that a file must have, and its source: ``given``, a file, a URL or a header."""

    checksum: Checksum
    where: str

    def verify(self, digest: str, what: str) -> None:
        """Raise ChecksumError when ``digest`` (hex) is another one."""
        expected = self.checksum
        if digest != expected.hex:
            says = "" if self.where == "given" else f", which {self.where} says"
            raise ChecksumError(
                f"{what} has {expected.algorithm} {digest}, not {expected.hex}{says}",
                "the file is another one, or the checksum is",
            )

    def verify_file(self, path: Path, between: Callable[[], None]) -> dict[str, str]:
        """Hold the file at ``path`` against it; returns the digest under its algorithm.

        ``between`` is called between two reads, and may end it. Raises ChecksumError and OSError.
        """
        digest = new_hash(self.checksum.algorithm)
        with path.open("rb", buffering=0) as file:
            while data := file.read(_READ_SIZE):
                digest.update(memoryview(data))
                between()
        self.verify(digest.hexdigest(), str(path))
        return {self.checksum.algorithm: digest.hexdigest()}


class Hash(Protocol):
    """A running digest, as those of hashlib."""

    digest_size: int

    def update(self, data: memoryview, /) -> None:
        """Take ``data`` in."""

    def hexdigest(self) -> str:
        """Of all that was taken in."""

    def copy(self) -> Hash:
        """Another one that has taken in the same."""


class _Crc:
    """A checksum of 32 bits as a running digest: it finds accidents, not forgeries."""

    digest_size = 4

    def __init__(self, crc: Callable[[memoryview, int], int]) -> None:
        self._crc, self._value = crc, 0

    def update(self, data: memoryview, /) -> None:
        self._value = self._crc(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"

    def copy(self) -> _Crc:
        return copy.copy(self)


def _crc32c() -> Callable[[memoryview, int], int] | None:
    """The function of the crc32c library, which is imported when it is needed; None without it."""
    try:
        from crc32c import crc32c
    except ImportError:
        return None
    return crc32c


def is_known(algorithm: str) -> bool:
    """Whether that digest can be computed here; one of them takes a library."""
    return algorithm in ALGORITHMS and (algorithm != "crc32c" or _crc32c() is not None)


def new_hash(algorithm: str) -> Hash:
    """A running hash. Not for security: md5, sha1 and CRCs are there as origins state them."""
    if algorithm in ("crc32", "crc32c"):
        crc = zlib.crc32 if algorithm == "crc32" else _crc32c()
        assert crc is not None
        return _Crc(crc)
    return hashlib.new(algorithm, usedforsecurity=False)  # type: ignore[return-value]


def new_hash_of(algorithm: str, size: int) -> Hash:
    """The same for a file of so many bytes; also the id of a blob in git (``git hash-object``)."""
    if algorithm != GIT:
        return new_hash(algorithm)
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)  # type: ignore[return-value]


class RunningDigest:
    """The running digest, in a thread of its own beside the writing; nothing without a proof."""

    def __init__(self, proof: Proof | None) -> None:
        self._proof = proof
        self._hash = new_hash(proof.checksum.algorithm) if proof else None
        self._thread = ThreadPoolExecutor(1, "raydl-digest") if proof else None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to compute."""
        return self._hash is not None

    def take(self, data: memoryview) -> None:
        """Take ``data`` in, now."""
        if self._hash is not None:
            self._hash.update(data)

    def update(self, data: memoryview) -> Future[None] | None:
        """Start to take ``data`` in; it must stay as it is until the future is done."""
        if self._hash is None or self._thread is None:
            return None
        return self._thread.submit(self._hash.update, data)

    def verify(self, what: str) -> dict[str, str]:
        """Raise ChecksumError for another digest than the one expected."""
        if self._hash is None or self._proof is None:
            return {}
        digest = self._hash.hexdigest()
        self._proof.verify(digest, what)
        return {self._proof.checksum.algorithm: digest}

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown()
